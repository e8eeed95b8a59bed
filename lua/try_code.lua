-- try_code: check a one-time code, and spend it; after `most` wrong tries it is gone.
-- KEYS[1] code       HASH   digest, expires_ms, tries, and the attempt that spent it
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] digest     bytes  keyed hash of what was typed
-- ARGV[4] most       int    tries
-- ARGV[5] spend      int    1 = a right one is gone with this; 0 = it stays
-- ARGV[6] attempt    bytes  of this try and its repetitions alone: finds what it has spent for a minute more; empty = none
-- RETURNS right      int    1, or 0: wrong, spent, too old or never sent
-- COST O(1)
local code = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local digest, most, spend, attempt = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]

local kept, expires_ms, spent_by = unpack(call('HMGET', code, 'digest', 'expires_ms', 'spent_by'))
if not kept then return 0 end
if now >= tonumber(expires_ms) then
  call('DEL', code)
  return 0
end
if spent_by then return kept == digest and spent_by == attempt and 1 or 0 end
if kept == digest then
  if spend == 1 and attempt ~= '' then
    call('HSET', code, 'spent_by', attempt)
    call('PEXPIRE', code, 60000)
  elseif spend == 1 then
    call('DEL', code)
  end
  return 1
end
if call('HINCRBY', code, 'tries', 1) >= most then call('DEL', code) end
return 0
