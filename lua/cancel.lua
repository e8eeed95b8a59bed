-- cancel: close a registration on its holder's wish, in time (announcement A8); again changes nothing.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] stop          STRING why they may not join
-- KEYS[3] history       LIST   what happened to their registrations
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] actor         str    who
-- RETURNS status        cancelled | again | late (booked, and its time to cancel is over) | closed (attended or missed) | absent
-- COST O(1)
local registration, stop, history = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, actor = ARGV[3], ARGV[4]

local latest, state, cancel_before_ms = unpack(call('HMGET', registration, 'no', 'state', 'cancel_before_ms'))
if latest ~= no then return 'absent' end
if state == 'cancelled' then return 'again' end
if state ~= 'proposed' and state ~= 'booked' then return 'closed' end
if state == 'booked' and now >= tonumber(cancel_before_ms) then return 'late' end
call('HSET', registration, 'state', 'cancelled', 'closed_ms', now)
call('DEL', stop)
note(history, now, no, 'cancelled', actor, '')
return 'cancelled'
