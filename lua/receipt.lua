-- receipt: what the provider says became of a message it had accepted; an earlier message's word does not touch a later one's.
-- KEYS[1] registration  HASH   the resident's latest registration
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] kind          str    which message
-- ARGV[5] at_ms         int    when its event was
-- ARGV[6] outcome       str    delivered | undelivered
-- RETURNS status        noted | other (a later message, or another registration)
-- COST O(1)
local registration = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, kind, at_ms, outcome = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]

local latest, told = unpack(call('HMGET', registration, 'no', 'sms:' .. kind))
if latest ~= no or not told then return 'other' end
local was, told_ms, event_ms = string.match(told, '^(%a+) (%d+) (%d+)$')
if tonumber(event_ms) ~= at_ms then return 'other' end
-- A message of several parts has arrived when none is missing; the time stays that of its acceptance.
if was ~= 'undelivered' then
  call('HSET', registration, 'sms:' .. kind, string.format('%s %s %s', outcome, told_ms, event_ms))
  if outcome == 'undelivered' then call('HSET', registration, 'undelivered_ms', now) end
end
return 'noted'
