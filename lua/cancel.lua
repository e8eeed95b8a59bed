-- cancel: close a registration on its holder's wish, in time (announcement A8), or because there is nothing left to give;
-- again changes nothing.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] stop          STRING why they may not join
-- KEYS[3] history       LIST   what happened to their registrations
-- KEYS[4] registry      STRING packed record; what was typed for a first dose goes again
-- KEYS[5] owed          HASH   messages owed to the resident
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] actor         str    who
-- ARGV[5] day           str    date of its appointment as the caller knows it, empty = none
-- ARGV[6] lives_ms      int    for how long what was typed for a first dose stays
-- ARGV[7] why           str    the reason given, empty = their wish
-- RETURNS status        cancelled | again | moved (it has another appointment by now: look again) |
--                       late (booked, and its time to cancel is over) | closed (attended or missed) | absent
-- COST O(1)
local registration, stop, history, registry, owed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, actor, day, lives_ms, why = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]

local latest, state, cancel_before_ms, held_day, first_dose =
  unpack(call('HMGET', registration, 'no', 'state', 'cancel_before_ms', 'day', 'first_dose'))
if latest ~= no then return 'absent' end
if (held_day or '') ~= day then return 'moved' end
if state == 'cancelled' then return 'again' end
if state ~= 'proposed' and state ~= 'booked' then return 'closed' end
if state == 'booked' and now >= tonumber(cancel_before_ms) then return 'late' end
call('HSET', registration, 'state', 'cancelled', 'closed_ms', now)
call('DEL', stop)
if first_dose == '' then call('PEXPIRE', registry, lives_ms) end
note(history, now, no, 'cancelled', actor, why)
owe(owed, now, 'cancelled', no, 0, {})
return 'cancelled'
