-- book: give a registration its appointment, whose slot has been taken; again changes nothing.
-- KEYS[1] registration      HASH   the resident's latest registration
-- KEYS[2] history           LIST   what happened to their registrations
-- ARGV[1] now_ms            int    0 = the store's TIME
-- ARGV[2] offset_ms         int    city time minus TIME
-- ARGV[3] no                str    registration number
-- ARGV[4] site              str    code of the site
-- ARGV[5] day               str    date, YYYY-MM-DD
-- ARGV[6] period            str    am | pm
-- ARGV[7] cancel_before_ms  int    until when it may be cancelled (announcement A8)
-- ARGV[8] actor             str    who
-- RETURNS status            booked | again | other (not waiting for one, or another appointment) | absent
-- COST O(1)
local registration, history = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, site, day, period, cancel_before_ms, actor = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]

local latest, state, held_site, held_day, held_period =
  unpack(call('HMGET', registration, 'no', 'state', 'site', 'day', 'period'))
if latest ~= no then return 'absent' end
if state == 'booked' and held_site == site and held_day == day and held_period == period then return 'again' end
if state ~= 'proposed' then return 'other' end
call('HSET', registration, 'state', 'booked', 'site', site, 'day', day, 'period', period,
  'cancel_before_ms', string.format('%.0f', cancel_before_ms))
note(history, now, no, 'booked', actor, '')
return 'booked'
