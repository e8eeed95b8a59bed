-- enter_night: whoever holds the lease begins or goes on with a district's night; from now on an earlier holder changes nothing.
-- KEYS[1] night     HASH   a district's night: seed, fence, what each step has brought
-- ARGV[1] token     int    of the lease
-- ARGV[2] seed      str    32 bytes, hex; the first one given stays
-- RETURNS {status, field, value, ...}  status: entered | stale (somebody holds a later lease)
-- COST O(fields)
local night = KEYS[1]
local token, seed = tonumber(ARGV[1]), ARGV[2]

if tonumber(call('HGET', night, 'fence') or 0) > token then return {'stale'} end
call('HSETNX', night, 'seed', seed)
call('HSET', night, 'fence', token)
return {'entered', unpack(call('HGETALL', night))}
