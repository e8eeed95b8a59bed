-- try_code: check a one-time code, and spend it; after `most` wrong tries it is gone.
-- KEYS[1] code       HASH   digest, expires_ms, tries
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] digest     bytes  keyed hash of what was typed
-- ARGV[4] most       int    tries
-- ARGV[5] spend      int    1 = a right one is gone with this; 0 = it stays
-- RETURNS right      int    1, or 0: wrong, spent, too old or never sent
-- COST O(1)
local code = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local digest, most, spend = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local kept, expires_ms = unpack(call('HMGET', code, 'digest', 'expires_ms'))
if not kept then return 0 end
if now >= tonumber(expires_ms) then
  call('DEL', code)
  return 0
end
if kept == digest then
  if spend == 1 then call('DEL', code) end
  return 1
end
if call('HINCRBY', code, 'tries', 1) >= most then call('DEL', code) end
return 0
