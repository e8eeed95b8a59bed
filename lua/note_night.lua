-- note_night: what a step of a district's night has brought; for its latest holder only.
-- KEYS[1] night     HASH   a district's night: its seed, fence, what each step has brought
-- ARGV[1] token     int    of the lease
-- ARGV[2..] field   str    name, value, ...
-- RETURNS noted     int    1, or 0 where somebody holds a later lease
-- COST O(fields)
local night = KEYS[1]
local token = tonumber(ARGV[1])

if tonumber(call('HGET', night, 'fence') or 0) ~= token then return 0 end
call('HSET', night, unpack(ARGV, 2))
return 1
