-- freeze: a part of the list of those who wait, as it is tonight; once the night says that it is whole, nothing changes it.
-- KEYS[1] night     HASH   a district's night: its seed, fence, what each step has brought
-- KEYS[2] frozen    HASH   number of the part -> the part
-- ARGV[1] token     int    of the lease
-- ARGV[2] part      int    its number, from 0; the first one begins the list anew
-- ARGV[3] data      bytes  the part
-- ARGV[4] lives_ms  int    for how long the list is kept
-- RETURNS status    kept | frozen (it is whole already) | stale (somebody holds a later lease)
-- COST O(size of the part)
local night, frozen = KEYS[1], KEYS[2]
local token, part, data, lives_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local fence, list_root = unpack(call('HMGET', night, 'fence', 'list_root'))
if tonumber(fence or 0) ~= token then return 'stale' end
if list_root then return 'frozen' end
if part == 0 then call('DEL', frozen) end
call('HSET', frozen, part, data)
call('PEXPIRE', frozen, lives_ms)
return 'kept'
