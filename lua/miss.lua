-- miss: an appointment that was neither kept nor cancelled; more than `limit` of those that count bar (announcement A9).
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] stop          STRING why they may not join
-- KEYS[3] no_shows      STRING how often they were charged
-- KEYS[4] history       LIST   what happened to their registrations
-- KEYS[5] owed          HASH   messages owed to the resident
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] day           str    date of the appointment, YYYY-MM-DD
-- ARGV[5] charge        int    1 = it counts as a no-show
-- ARGV[6] limit         int    no-shows that are borne
-- ARGV[7] actor         str    who
-- RETURNS {status, no_shows}  status: missed | barred | again | other (no appointment on that day) | absent
-- COST O(1)
local registration, stop, no_shows, history, owed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, day, charge, limit, actor = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]

local count = tonumber(call('GET', no_shows) or 0)
local latest, state, held_day = unpack(call('HMGET', registration, 'no', 'state', 'day'))
if latest ~= no then return {'absent', count} end
if held_day ~= day then return {'other', count} end
if state == 'noshow' then return {'again', count} end
if state ~= 'booked' then return {'other', count} end
call('HSET', registration, 'state', 'noshow', 'closed_ms', now)
call('DEL', stop)
local status = 'missed'
if charge == 1 then
  count = call('INCR', no_shows)
  call('HSET', registration, 'charged', 1)
  if count > limit then
    call('SET', stop, 'barred')
    owe(owed, now, 'barred', no, 0, {})
    status = 'barred'
  end
end
note(history, now, no, charge == 1 and 'noshow' or 'excused', actor, '')
return {status, count}
