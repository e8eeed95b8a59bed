-- attend: the desk saw the resident and the dose was given; again changes nothing. A desk that was offline may be late:
-- what the night has counted as missed is put right, and so is the bar that came of it; who was sent back by a closure of
-- the site after they had come has their appointment again.
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
-- RETURNS {status, at_ms, unbarred}  status: attended | again | other (no appointment here on that day) | absent; unbarred: 1 where a bar was lifted by it
-- COST O(1)
local registration, stop, no_shows, history = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, site, day, actor = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local latest, state, held_site, held_day, closed_ms, charged, taken_back =
  unpack(call('HMGET', registration, 'no', 'state', 'site', 'day', 'closed_ms', 'charged', 'taken_back'))
if latest ~= no then return {'absent', 0, 0} end
local place, from = site .. '|' .. day .. '|', state
if state == 'proposed' and taken_back and string.sub(taken_back, 1, #place) == place then
  call('HSET', registration, 'state', 'booked', 'site', site, 'day', day, 'period', string.sub(taken_back, #place + 1))
  state, held_site, held_day, from = 'booked', site, day, false
end
if held_site ~= site or held_day ~= day then return {'other', 0, 0} end
if state == 'fulfilled' then return {'again', tonumber(closed_ms), 0} end
if state ~= 'booked' and state ~= 'noshow' then return {'other', 0, 0} end
local unbarred = 0
if charged then
  if tonumber(call('GET', no_shows) or 0) > 0 then call('DECR', no_shows) end
  call('HDEL', registration, 'charged')
  if call('GET', stop) == 'barred' then unbarred = 1 end
end
-- What a desk's undo goes back to (`unattend`); who was sent back by a closure is the operator's matter.
if from == 'noshow' then
  from = string.format('noshow %s %d %d', closed_ms, charged and 1 or 0, unbarred)
end
call('HSET', registration, 'state', 'fulfilled', 'closed_ms', now)
if from then
  call('HSET', registration, 'attended_from', from)
else
  call('HDEL', registration, 'attended_from')
end
call('SET', stop, 'done ' .. day)
note(history, now, no, 'fulfilled', actor, '')
return {'attended', now, unbarred}
