-- adjust: the operator's changes to a running opening, written to the audit log.
-- KEYS[1] opening     HASH   counters of the opening
-- KEYS[2] passes      ZSET   passes alive: score = expiry ms, member = entry
-- KEYS[3] audit       STREAM changes: who, when, what
-- ARGV[1] now_ms      int    0 = the store's TIME
-- ARGV[2] offset_ms   int    city time minus TIME
-- ARGV[3] actor       str    who
-- ARGV[4] hold_ms     int    nobody's claim time starts before this long from now, where a faster rate could overtake the polls
-- ARGV[5..] change    str    field, value, ...; field: rate | max_active | paused | message
-- RETURNS status      adjusted | absent
-- COST O(changes)
local opening, passes, audit = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local actor, hold_ms = ARGV[3], tonumber(ARGV[4])
local CHANGEABLE = {rate = true, max_active = true, paused = true, message = true}
local change, log = {}, {}
for i = 5, #ARGV, 2 do
  assert(CHANGEABLE[ARGV[i]], 'not for the operator to change: ' .. ARGV[i])
  change[ARGV[i]] = ARGV[i + 1]
end

local o = load_opening(opening)
if not o then return 'absent' end
local rate, max_active = tonumber(change.rate or o.rate), tonumber(change.max_active or o.max_active)
assert(rate and rate >= 0 and max_active and max_active >= 0, 'rates and caps are positive')
assert(change.paused == nil or change.paused == '0' or change.paused == '1', 'paused is 0 or 1')
for i = 5, #ARGV, 2 do
  log[#log + 1] = ARGV[i]
  log[#log + 1] = (call('HGET', opening, ARGV[i]) or '') .. ' -> ' .. ARGV[i + 1]
end
if now > o.last_ms then
  -- What the old rate had earned stays earned, and a pause earns nothing.
  local earned = o.paused == 1 and 0 or (now - o.last_ms) / 1000 * o.rate
  local credit = math.min(o.credit + earned, burst(math.min(o.rate, rate)))
  call('HSET', opening, 'credit', string.format('%.17g', credit), 'last_ms', now)
end
-- Whoever has been called keeps a full claim time: after a pause, after more calls than there will be passes,
-- and where a faster rate has called people before the time at which they were told to look again.
local hold = o.hold_ms
if o.paused == 1 and change.paused == '0' then hold = math.max(hold, now) end
if max_active < o.max_active and max_active < pending(o) + call('ZCOUNT', passes, '(' .. now, '+inf') then
  hold = math.max(hold, now + o.pass_ms)
end
if rate > o.rate then hold = math.max(hold, now + hold_ms) end
call('HSET', opening, 'hold_ms', hold, 'adjusted', 1, unpack(ARGV, 5))
call('XADD', audit, '*', 'at_ms', now, 'actor', actor, unpack(log))
return 'adjusted'
