-- reopen: the site is closed, so the registration waits for another appointment, with priority and without a no-show;
-- one that the night has counted already is taken back.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] history       LIST   what happened to their registrations
-- KEYS[3] owed          HASH   messages owed to the resident
-- KEYS[4] stop          STRING why they may not join
-- KEYS[5] no_shows      STRING how often they were charged
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] site          str    code of the site
-- ARGV[5] day           str    date of the appointment, YYYY-MM-DD
-- ARGV[6] period        str    code of a period of the day, as am
-- ARGV[7] actor         str    who
-- ARGV[8] why           str    the reason given
-- RETURNS status        reopened | unbarred (and a bar that came of it is gone) | other (not booked there) | absent
-- COST O(1)
local registration, history, owed, stop, no_shows = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, site, day, period, actor, why = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]

local latest, state, held_site, held_day, held_period, charged =
  unpack(call('HMGET', registration, 'no', 'state', 'site', 'day', 'period', 'charged'))
if latest ~= no then return 'absent' end
if held_site ~= site or held_day ~= day or held_period ~= period then return 'other' end
local status = 'reopened'
if state == 'noshow' then
  if call('GET', stop) == 'barred' then status = 'unbarred' end
  if charged and tonumber(call('GET', no_shows) or 0) > 0 then call('DECR', no_shows) end
  call('HDEL', registration, 'charged', 'closed_ms')
  call('SET', stop, 'open ' .. no)
elseif state ~= 'booked' then
  return 'other'
end
call('HSET', registration, 'state', 'proposed', 'priority', 1, 'taken_back', site .. '|' .. day .. '|' .. period)
call('HDEL', registration, 'site', 'day', 'period', 'cancel_before_ms')
note(history, now, no, 'proposed', actor, why)
owe(owed, now, 'closed', no, 0, {site = site, day = day, period = period})
return status
