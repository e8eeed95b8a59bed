-- pass_over: a night had no slot for a registration; why is kept for its holder. Again for the same night changes nothing.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] history       LIST   what happened to their registrations
-- KEYS[3] owed          HASH   messages owed to the resident
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] night         str    date of the night, YYYY-MM-DD
-- ARGV[5] leaf          str    its line in that night's result, counted from 0 with the head
-- ARGV[6] why_not       str    the reason
-- ARGV[7] reached       str    first-dose date of the last one who got a slot, YYYY-MM-DD, empty = none
-- ARGV[8] every         int    after so many nights in vain, and again after as many, a message is owed
-- ARGV[9] withdrawn     int    1 = a slot was given and taken away again in the same night: it goes first the next time
-- ARGV[10] frozen_ms    int    when its wishes were read; wishes changed later have not been looked at, 0 = whenever
-- RETURNS status        passed | told (and a message is owed) | again | other (not waiting, or other wishes) | absent
-- COST O(1)
local registration, history, owed = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, night, leaf, why_not, reached, every = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local withdrawn, frozen_ms = tonumber(ARGV[9]), tonumber(ARGV[10])

local latest, state, last_night, last_reason, amended_ms =
  unpack(call('HMGET', registration, 'no', 'state', 'night', 'why_not', 'amended_ms'))
if latest ~= no then return 'absent' end
if state ~= 'proposed' then return 'other' end
if frozen_ms > 0 and tonumber(amended_ms or 0) > frozen_ms then return 'other' end
if last_night == night and last_reason then return 'again' end
call('HSET', registration, 'night', night, 'leaf', leaf, 'why_not', why_not, 'reached', reached)
if withdrawn == 1 then
  call('HSET', registration, 'priority', 1)
  note(history, now, no, 'proposed', 'night', why_not)
end
if call('HINCRBY', registration, 'nights', 1) % every == 0 then
  owe(owed, now, 'waiting', no, 0, {reached = reached})
  return 'told'
end
return 'passed'
