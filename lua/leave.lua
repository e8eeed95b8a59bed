-- leave: give a place up; again changes nothing.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] places     HASH   resident key -> entry
-- KEYS[3] done       BITMAP numbers claimed or left
-- KEYS[4] calls      ZSET   call steps that can still be claimed
-- KEYS[5] claims     HASH   entry -> resident key and pass expiry
-- KEYS[6] left       LIST   entries given up, in order
-- KEYS[7] leavers    HASH   resident key -> how many places they have given up
-- KEYS[8] starts     ZSET   number -> from when on its own claim time counts, later than its call
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] resident   bytes  16-byte resident key
-- ARGV[4] entry      int    the place
-- ARGV[5] number     int    its number, 0 while the caller does not know it
-- RETURNS status     left | gone (already left, missed, or replaced by a place further back) | used (called in and claimed) |
--                    unsettled (a draw of the first version has just closed: come again) | unnumbered (come again with the number) | absent
-- COST O(log call steps)
local opening, places, done, calls, claims, left, leavers, starts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local resident, entry, number = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local o = load_opening(opening)
if not o then return 'absent' end
close_draw_when_due(opening, o, now)
if tonumber(call('HGET', places, resident)) ~= entry then return 'gone' end
-- Before a draw of the second version is settled nobody has been called, and no number is needed.
if o.drawn and (o.settled == 1 or not call('HGET', opening, 'version')) then
  if o.settled == 0 then return 'unsettled' end
  if number == 0 then return 'unnumbered' end
  local standing = standing_of(o, claims, done, calls, starts, entry, number, now)
  if standing == 'missed' or standing == 'left' then return 'gone' end
  if standing ~= 'waiting' and standing ~= 'ready' then return 'used' end
  call('SETBIT', done, number, 1)
  if standing == 'ready' then call('HINCRBY', opening, 'left_called', 1) end
end
call('HDEL', places, resident)
call('HINCRBY', leavers, resident, 1)
call('RPUSH', left, entry)
call('HINCRBY', opening, 'left', 1)
return 'left'
