-- enter_night: whoever holds the lease begins or goes on with a district's night; from now on an earlier holder changes nothing.
-- KEYS[1] night       HASH   a district's night: its seed, fence, what each step has brought
-- ARGV[1] token       int    of the lease
-- ARGV[2] commitment  str    hex SHA-256 of a seed; the first one given stays
-- ARGV[3] sealed      str    the seed, sealed; likewise
-- RETURNS {status, field, value, ...}  status: entered | stale (somebody holds a later lease)
-- COST O(fields)
local night = KEYS[1]
local token, commitment, sealed = tonumber(ARGV[1]), ARGV[2], ARGV[3]

if tonumber(call('HGET', night, 'fence') or 0) > token then return {'stale'} end
commit_seed(night, commitment, sealed)
call('HSET', night, 'fence', token)
return {'entered', unpack(call('HGETALL', night))}
