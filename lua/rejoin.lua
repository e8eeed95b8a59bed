-- rejoin: a new place at the back for a resident whose earlier one is spent (missed, or a pass that lapsed); and a place
-- for who shows a ticket of one that a roll-back has made the store forget: the same where it is in a gap, else at the back.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] places     HASH   resident key -> entry
-- KEYS[3] done       BITMAP numbers claimed or left
-- KEYS[4] calls      ZSET   call steps that can still be claimed
-- KEYS[5] claims     HASH   entry -> resident key and pass expiry
-- KEYS[6] leavers    HASH   resident key -> how many places they have given up
-- KEYS[7] shown      HASH   entry of a gap -> resident key of who has shown its ticket
-- KEYS[8] starts     ZSET   number -> from when on its own claim time counts, later than its call
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] resident   bytes  16-byte resident key
-- ARGV[4] entry      int    the place they have
-- ARGV[5] number     int    its number, 0 while the caller does not know it
-- ARGV[6] most       int    who has given up so many places gets no other one; 0 = no such bound
-- ARGV[7] told       int    so many places have been given, as the caller was told
-- RETURNS {status, entry}   status: rejoined | kept (the place is not spent, or another device was quicker, or it is back) |
--                           early | paused | ended | spent (they have given up too many) | full (the opening has given all that
--                           it can) | held (another node has just become the primary: in a moment) | absent
-- COST O(log call steps)
local opening, places, done, calls, claims, leavers, shown, starts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local resident, entry, number = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local most, told = tonumber(ARGV[6]), tonumber(ARGV[7])

local o = load_opening(opening)
if not o then return {'absent', -1} end

-- Whether an entry is in a gap, and nobody else has shown a ticket of it.
local function is_free()
  for first, last in string.gmatch(call('HGET', opening, 'gaps') or '', '(%d+)-(%d+)') do
    if entry >= tonumber(first) and entry <= tonumber(last) then
      return (call('HGET', shown, entry) or resident) == resident
    end
  end
  return false
end

give_no_fewer(opening, o, told)
close_draw_when_due(opening, o, now)
if now < o.opens_ms then return {'early', -1} end
if now >= o.closes_ms then return {'ended', -1} end
local held = tonumber(call('HGET', places, resident))
if held and (held ~= entry or number == 0) then return {'kept', held} end
if held then
  local standing = standing_for(o, places, leavers, claims, done, calls, starts, entry, number, resident, now)
  if standing == 'waiting' or standing == 'ready' or standing == 'claimed' then return {'kept', held} end
end
if not held and call('HEXISTS', leavers, resident) == 0 and is_free() then
  local standing = number > 0 and standing_of(o, claims, done, calls, starts, entry, number, now) or 'waiting'
  if standing == 'waiting' or standing == 'ready' then
    call('HSET', shown, entry, resident)
    call('HSET', places, resident, entry)
    return {'kept', entry}
  end
end
if o.paused == 1 then return {'paused', -1} end
-- Their place was given up on another device in this very moment: then this is a join like any other.
if not held and most > 0 and tonumber(call('HGET', leavers, resident) or 0) >= most then return {'spent', -1} end
if is_held(opening, o, now) then return {'held', -1} end
if o.issued >= MOST_PLACES then return {'full', -1} end
call('HSET', places, resident, o.issued)
call('HSET', opening, 'issued', o.issued + 1)
return {'rejoined', o.issued}
