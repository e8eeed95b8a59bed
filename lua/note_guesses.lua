-- note_guesses: how many wrong papers came to a district, and who is locked out by them; for the operator to see.
-- KEYS[1] wrong       HASH   minute:wrong, minute:refused -> how many
-- KEYS[2] locked      ZSET   resident key, score = until when in ms
-- ARGV[1] now_ms      int    0 = the store's TIME
-- ARGV[2] offset_ms   int    city time minus TIME
-- ARGV[3] wrong       int    names and phones that did not match
-- ARGV[4] refused     int    those that were not looked at
-- ARGV[5..] person    mixed  resident key, for how long in ms, ...
-- RETURNS people      int    locked out now
-- COST O(people * log locked)
local wrong, locked = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local minute = math.floor(now / 60000)

for name, count in pairs({wrong = tonumber(ARGV[3]), refused = tonumber(ARGV[4])}) do
  if count > 0 then call('HINCRBY', wrong, string.format('%.0f:%s', minute, name), count) end
end
for _, field in ipairs(call('HKEYS', wrong)) do
  local age = minute - tonumber(string.match(field, '^%d+'))
  if age > 10 or age < 0 then call('HDEL', wrong, field) end
end
call('PEXPIRE', wrong, 11 * 60000)

call('ZREMRANGEBYSCORE', locked, '-inf', now)
for i = 5, #ARGV, 2 do call('ZADD', locked, now + tonumber(ARGV[i + 1]), ARGV[i]) end
call('PEXPIRE', locked, 24 * 3600000)
return call('ZCARD', locked)
