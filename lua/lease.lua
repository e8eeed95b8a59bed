-- lease: one holder at a time; each new holder gets a higher token, so that an earlier one that wakes up is known as such.
-- KEYS[1] lease      HASH   holder, token, since_ms, expires_ms
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] holder     str    who asks, in words for an operator
-- ARGV[4] token      int    the token they hold, 0 = none yet
-- ARGV[5] lives_ms   int    for how long, 0 = give it back
-- ARGV[6] dead       int    token of a holder that is known to be dead, 0 = none
-- RETURNS {status, token, holder, since_ms, expires_ms}  status: held | other | free (given back)
-- COST O(1)
local lease = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local holder, token, lives_ms, dead = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local by, last, since_ms, expires_ms = unpack(call('HMGET', lease, 'holder', 'token', 'since_ms', 'expires_ms'))
last, since_ms, expires_ms = tonumber(last or 0), tonumber(since_ms or 0), tonumber(expires_ms or 0)
local is_mine = token > 0 and token == last
-- Further ahead than any lease lives: the clock was set back since.
local is_alive = expires_ms > now and (lives_ms == 0 or expires_ms <= now + lives_ms)
if not is_mine and (token > 0 or (is_alive and last ~= dead)) then
  return {'other', last, by or '', since_ms, expires_ms}
end
if lives_ms == 0 then
  call('HSET', lease, 'expires_ms', 0)
  return {'free', last, '', since_ms, 0}
end
if not is_mine then
  last, since_ms = last + 1, now
  call('HSET', lease, 'holder', holder, 'token', last, 'since_ms', string.format('%.0f', now))
end
expires_ms = now + lives_ms
call('HSET', lease, 'expires_ms', string.format('%.0f', expires_ms))
return {'held', last, holder, since_ms, expires_ms}
