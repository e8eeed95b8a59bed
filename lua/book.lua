-- book: give a registration its appointment, whose slot has been taken; again changes nothing.
-- KEYS[1] registration      HASH   the resident's latest registration
-- KEYS[2] history           LIST   what happened to their registrations
-- KEYS[3] owed              HASH   messages owed to the resident
-- ARGV[1] now_ms            int    0 = the store's TIME
-- ARGV[2] offset_ms         int    city time minus TIME
-- ARGV[3] no                str    registration number
-- ARGV[4] site              str    code of the site
-- ARGV[5] day               str    date, YYYY-MM-DD
-- ARGV[6] period            str    code of a period of the day, as am
-- ARGV[7] cancel_before_ms  int    until when it may be cancelled (announcement A8)
-- ARGV[8] actor             str    who
-- ARGV[9] night             str    date of the night that gave it, YYYY-MM-DD, empty = none
-- ARGV[10] leaf             str    its line in that night's result, counted from 0 with the head
-- ARGV[11] frozen_ms        int    when its wishes were read; wishes changed later are not met by this, 0 = whenever
-- RETURNS status            booked | again | other (not waiting for one, another appointment, other wishes) | absent
-- COST O(1)
local registration, history, owed = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, site, day, period, cancel_before_ms, actor = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local night, leaf, frozen_ms = ARGV[9], ARGV[10], tonumber(ARGV[11])

local latest, state, held_site, held_day, held_period, amended_ms =
  unpack(call('HMGET', registration, 'no', 'state', 'site', 'day', 'period', 'amended_ms'))
if latest ~= no then return 'absent' end
if state == 'booked' and held_site == site and held_day == day and held_period == period then return 'again' end
if state ~= 'proposed' then return 'other' end
if frozen_ms > 0 and tonumber(amended_ms or 0) > frozen_ms then return 'other' end
call('HSET', registration, 'state', 'booked', 'site', site, 'day', day, 'period', period,
  'cancel_before_ms', string.format('%.0f', cancel_before_ms), 'booked_ms', now, 'night', night, 'leaf', leaf)
call('HDEL', registration, 'why_not', 'reached', 'nights', 'sms:allotted', 'why:allotted', 'parts:allotted',
  'sms:reminder', 'why:reminder', 'parts:reminder')
note(history, now, no, 'booked', actor, '')
owe(owed, now, 'allotted', no, 0, {site = site, day = day, period = period})
return 'booked'
