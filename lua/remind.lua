-- remind: a message before the time to cancel is over is owed; again for the same appointment changes nothing.
-- KEYS[1] registration   HASH   the resident's latest registration
-- KEYS[2] owed           HASH   messages owed to the resident
-- ARGV[1] now_ms         int    0 = the store's TIME
-- ARGV[2] offset_ms      int    city time minus TIME
-- ARGV[3] no             str    registration number
-- ARGV[4] day            str    date of the appointment, YYYY-MM-DD
-- ARGV[5] not_before_ms  int    not to be sent earlier
-- ARGV[6] booked_to_ms   int    who got it later than this has just been told
-- RETURNS status         reminded | again | other (no such appointment, or it is new)
-- COST O(1)
local registration, owed = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, day, not_before_ms, booked_to_ms = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])

local latest, state, site, held_day, period, booked_ms, reminded =
  unpack(call('HMGET', registration, 'no', 'state', 'site', 'day', 'period', 'booked_ms', 'reminded'))
if latest ~= no or state ~= 'booked' or held_day ~= day then return 'other' end
if tonumber(booked_ms or 0) > booked_to_ms then return 'other' end
if reminded == day then return 'again' end
call('HSET', registration, 'reminded', day)
owe(owed, now, 'reminder', no, not_before_ms, {site = site, day = day, period = period})
return 'reminded'
