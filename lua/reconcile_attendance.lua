-- reconcile_attendance: a dose was given on an appointment that the resident does not hold any more. It is a fact: their
-- latest registration is fulfilled by it, be it this one or a newer one, so that nobody comes for the same dose twice.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] past          SET    numbers of their earlier, closed registrations
-- KEYS[3] stop          STRING why they may not join
-- KEYS[4] no_shows      STRING how often they were charged
-- KEYS[5] history       LIST   what happened to their registrations
-- KEYS[6] registry      STRING packed record; what was typed for a first dose stays from now on
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number that the desk saw
-- ARGV[4] site          str    code of the site
-- ARGV[5] day           str    date of the dose, YYYY-MM-DD
-- ARGV[6] period        str    code of a period of the day, as am
-- ARGV[7] actor         str    who
-- ARGV[8] why           str    the reason given, empty = none
-- ARGV[9] held_day      str    date of the latest registration's appointment as the caller knows it, empty = none
-- RETURNS {status, at_ms, no, unbarred}  status: reconciled | again | other (another dose is on record, or this one is
--         counted) | moved (it has another appointment by now: look again) | absent (not this resident's number);
--         no: of the registration that is fulfilled; unbarred: 1 where a bar was lifted by it
-- COST O(1)
local registration, past, stop, no_shows, history, registry = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, site, day, period, actor, why, seen_day = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local latest, state, held_site, held_day, closed_ms, charged, first_dose =
  unpack(call('HMGET', registration, 'no', 'state', 'site', 'day', 'closed_ms', 'charged', 'first_dose'))
if latest ~= no and call('SISMEMBER', past, no) == 0 then return {'absent', 0, no, 0} end
if state == 'fulfilled' then
  if held_site == site and held_day == day then return {'again', tonumber(closed_ms), latest, 0} end
  return {'other', 0, latest, 0}
end
-- A newer registration for the next dose: the records have this one already.
if latest ~= no and first_dose ~= '' and first_dose >= day then return {'other', 0, latest, 0} end
if (held_day or '') ~= seen_day then return {'moved', 0, latest, 0} end
local unbarred = 0
if charged then
  if tonumber(call('GET', no_shows) or 0) > 0 then call('DECR', no_shows) end
  if call('GET', stop) == 'barred' then unbarred = 1 end
end
call('HDEL', registration, 'charged', 'cancel_before_ms', 'taken_back')
call('HSET', registration, 'state', 'fulfilled', 'site', site, 'day', day, 'period', period, 'closed_ms', now)
call('SET', stop, 'done ' .. day)
if first_dose == '' then call('PERSIST', registry) end
note(history, now, latest, 'fulfilled', actor, why)
return {'reconciled', now, latest, unbarred}
