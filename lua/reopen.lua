-- reopen: the site is closed, so the registration waits for another appointment, with priority and without a no-show.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] history       LIST   what happened to their registrations
-- KEYS[3] owed          HASH   messages owed to the resident
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] site          str    code of the site
-- ARGV[5] day           str    date of the appointment, YYYY-MM-DD
-- ARGV[6] period        str    am | pm
-- ARGV[7] actor         str    who
-- ARGV[8] why           str    the reason given
-- RETURNS status        reopened | other (not booked there) | absent
-- COST O(1)
local registration, history, owed = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, site, day, period, actor, why = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]

local latest, state, held_site, held_day, held_period =
  unpack(call('HMGET', registration, 'no', 'state', 'site', 'day', 'period'))
if latest ~= no then return 'absent' end
if state ~= 'booked' or held_site ~= site or held_day ~= day or held_period ~= period then return 'other' end
call('HSET', registration, 'state', 'proposed', 'priority', 1, 'taken_back', site .. '|' .. day .. '|' .. period)
call('HDEL', registration, 'site', 'day', 'period', 'cancel_before_ms')
note(history, now, no, 'proposed', actor, why)
owe(owed, now, 'closed', no, 0, {site = site, day = day, period = period})
return 'reopened'
