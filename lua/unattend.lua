-- unattend: the desk has marked the wrong person as attended: all is as it was before, for a few minutes after the mark, and
-- until the night may have closed the day of one who was still expected. Again changes nothing.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] stop          STRING why they may not join
-- KEYS[3] no_shows      STRING how often they were charged
-- KEYS[4] history       LIST   what happened to their registrations
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] site          str    code of the site
-- ARGV[5] day           str    date of the appointment, YYYY-MM-DD
-- ARGV[6] actor         str    who
-- ARGV[7] why           str    the reason given
-- ARGV[8] within_ms     int    so long after the mark
-- ARGV[9] closes_ms     int    when the city closes on that day
-- RETURNS status        unattended | barred (and the bar is there again) | again | late | other (not marked by a desk) | absent
-- COST O(1)
local registration, stop, no_shows, history = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, site, day, actor, why = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local within, closes = tonumber(ARGV[8]), tonumber(ARGV[9])

local latest, state, held_site, held_day, closed_ms, from =
  unpack(call('HMGET', registration, 'no', 'state', 'site', 'day', 'closed_ms', 'attended_from'))
if latest ~= no then return 'absent' end
if held_site ~= site or held_day ~= day then return 'other' end
if state == 'booked' or state == 'noshow' then return 'again' end
if state ~= 'fulfilled' or not from then return 'other' end
if now >= tonumber(closed_ms) + within or (from == 'booked' and now >= closes) then return 'late' end
call('HDEL', registration, 'attended_from')
note(history, now, no, 'undone', actor, why)
if from == 'booked' then
  call('HSET', registration, 'state', 'booked')
  call('HDEL', registration, 'closed_ms')
  call('SET', stop, 'open ' .. no)
  return 'unattended'
end
local missed_ms, charged, barred = string.match(from, '^noshow (%d+) (%d) (%d)$')
call('HSET', registration, 'state', 'noshow', 'closed_ms', missed_ms)
if charged == '1' then
  call('INCR', no_shows)
  call('HSET', registration, 'charged', 1)
end
note(history, now, no, charged == '1' and 'noshow' or 'excused', actor, '')
if barred == '1' then
  call('SET', stop, 'barred')
  return 'barred'
end
call('DEL', stop)
return 'unattended'
