-- settle_message: a message is owed no longer; what became of it stands on the registration it was about.
-- KEYS[1] owed          HASH   messages owed to the resident
-- KEYS[2] registration  HASH   the resident's latest registration
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] seq           int    which message
-- ARGV[4] pointer       str    that had it in hand
-- ARGV[5] outcome       str    accepted | refused | unsent (they were not told) | dropped (there was nothing to tell any more)
-- ARGV[6] why           str    of unsent: too-late | opted-out | too-many; else empty
-- RETURNS settled       int    1, or 0 where it was not in this pointer's hand
-- COST O(1)
local owed, registration = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local seq, pointer, outcome, why = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local message, by = unpack(call('HMGET', owed, seq, seq .. ':by'))
if not message or by ~= pointer then return 0 end
local kind, no, at_ms = unpack(cjson.decode(message))
if outcome ~= 'dropped' and call('HGET', registration, 'no') == no then
  call('HSET', registration, 'sms:' .. kind, string.format('%s %.0f %.0f', outcome, now, at_ms))
  call('HDEL', registration, 'why:' .. kind, 'parts:' .. kind)
  if why ~= '' then call('HSET', registration, 'why:' .. kind, why) end
end
call('HDEL', owed, seq, seq .. ':by')
if call('HLEN', owed) == 1 then call('DEL', owed) end
return 1
