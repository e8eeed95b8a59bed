-- keep_code: a one-time code by SMS; a new one replaces the one before.
-- KEYS[1] code        HASH   digest, expires_ms, tries
-- ARGV[1] now_ms      int    0 = the store's TIME
-- ARGV[2] offset_ms   int    city time minus TIME
-- ARGV[3] digest      bytes  keyed hash of the code
-- ARGV[4] lives_ms    int    for how long it is good
-- RETURNS expires_ms  int    until when
-- COST O(1)
local code = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local digest, lives_ms = ARGV[3], tonumber(ARGV[4])

call('HSET', code, 'digest', digest, 'expires_ms', now + lives_ms, 'tries', 0)
call('PEXPIRE', code, lives_ms)
return now + lives_ms
