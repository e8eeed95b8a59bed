-- assist: a helper wants to join for a resident; counted before the join, so that the lane never brings more, nor faster, than
-- the city file lets it, however many helpers there are.
-- KEYS[1] helped            HASH   16-byte resident key -> who helps them, and who consented, `actor|consent`
-- KEYS[2] lane              HASH   `places:ACTOR`, `pace:ACTOR` (credit, and when it was looked at), and of all: `places`, `pace`
-- ARGV[1] now_ms            int    0 = the store's TIME
-- ARGV[2] offset_ms         int    city time minus TIME
-- ARGV[3] actor             str    who helps
-- ARGV[4] resident          bytes  16-byte resident key
-- ARGV[5] consent           str    who said yes: self | family | phone
-- ARGV[6] most              int    so many places for this helper
-- ARGV[7] per_minute        int    so many joins a minute by this helper
-- ARGV[8] most_of_all       int    so many places for all helpers
-- ARGV[9] per_second_of_all int    so many joins a second by all helpers
-- RETURNS {status, wait_ms}  status: taken | again | full | all_full | slow | all_slow; wait_ms: with the last two
-- COST O(1)
local helped, lane = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local actor, resident, consent = ARGV[3], ARGV[4], ARGV[5]
local most, per_minute, most_of_all, per_second = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

if call('HEXISTS', helped, resident) == 1 then return {'again', 0} end
if tonumber(call('HGET', lane, 'places:' .. actor) or 0) >= most then return {'full', 0} end
if tonumber(call('HGET', lane, 'places') or 0) >= most_of_all then return {'all_full', 0} end

-- A token bucket that holds what comes in its span; a clock that was set back fills nothing.
local function credit(field, per_span, span_ms)
  local had, last = string.match(call('HGET', lane, field) or '', '^(%S+) (%d+)$')
  if not had then return per_span end
  return math.min(per_span, tonumber(had) + math.max(0, now - tonumber(last)) * per_span / span_ms)
end
local mine, all = credit('pace:' .. actor, per_minute, 60000), credit('pace', per_second, 1000)
if mine < 1 then return {'slow', math.ceil((1 - mine) * 60000 / per_minute)} end
if all < 1 then return {'all_slow', math.ceil((1 - all) * 1000 / per_second)} end
call('HSET', lane, 'pace:' .. actor, string.format('%.6f %.0f', mine - 1, now), 'pace', string.format('%.6f %.0f', all - 1, now))
call('HINCRBY', lane, 'places:' .. actor, 1)
call('HINCRBY', lane, 'places', 1)
call('HSET', helped, resident, actor .. '|' .. consent)
return {'taken', 0}
