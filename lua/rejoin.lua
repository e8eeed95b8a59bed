-- rejoin: a new place at the back for a resident whose earlier one is spent (missed, or a pass that lapsed).
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] places     HASH   resident key -> entry
-- KEYS[3] done       BITMAP numbers claimed or left
-- KEYS[4] calls      ZSET   call steps that can still be claimed
-- KEYS[5] claims     HASH   entry -> resident key and pass expiry
-- KEYS[6] leavers    HASH   resident key -> how many places they have given up
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] resident   bytes  16-byte resident key
-- ARGV[4] entry      int    the place they have
-- ARGV[5] number     int    its number, 0 while the caller does not know it
-- ARGV[6] most       int    who has given up so many places gets no other one; 0 = no such bound
-- RETURNS {status, entry}   status: rejoined | kept (the place is not spent, or another device was quicker) | early | paused | ended |
--                           spent (they have given up too many) | full (the opening has given all that it can) | absent
-- COST O(log call steps)
local opening, places, done, calls, claims, leavers = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local resident, entry, number, most = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local o = load_opening(opening)
if not o then return {'absent', -1} end
close_draw_when_due(opening, o, now)
if now < o.opens_ms then return {'early', -1} end
if now >= o.closes_ms then return {'ended', -1} end
local held = tonumber(call('HGET', places, resident))
if held and (held ~= entry or number == 0) then return {'kept', held} end
if held then
  local standing = standing_of(o, claims, done, calls, entry, number, now)
  if standing == 'waiting' or standing == 'ready' or standing == 'claimed' then return {'kept', held} end
end
if o.paused == 1 then return {'paused', -1} end
-- Their place was given up on another device in this very moment: then this is a join like any other.
if not held and most > 0 and tonumber(call('HGET', leavers, resident) or 0) >= most then return {'spent', -1} end
if o.issued >= MOST_PLACES then return {'full', -1} end
call('HSET', places, resident, o.issued)
call('HSET', opening, 'issued', o.issued + 1)
return {'rejoined', o.issued}
