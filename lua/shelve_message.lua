-- shelve_message: a message that could not be sent, time after time, is laid aside for an operator.
-- KEYS[1] owed          HASH   messages owed to the resident
-- KEYS[2] registration  HASH   the resident's latest registration
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] seq           int    which message
-- ARGV[4] pointer       str    that had it in hand
-- RETURNS shelved       int    1, or 0 where it was not in this pointer's hand
-- COST O(1)
local owed, registration = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local seq, pointer = ARGV[3], ARGV[4]

local message, by = unpack(call('HMGET', owed, seq, seq .. ':by'))
if not message or by ~= pointer then return 0 end
local kind, no, at_ms = unpack(cjson.decode(message))
if call('HGET', registration, 'no') == no then
  call('HSET', registration, 'sms:' .. kind, string.format('unsent %.0f %.0f', now, at_ms))
  call('HDEL', registration, 'why:' .. kind, 'parts:' .. kind)
end
call('HSET', owed, seq .. ':by', 'shelf')
return 1
