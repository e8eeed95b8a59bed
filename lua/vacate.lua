-- vacate: a registration's slot is free again; again changes nothing.
-- KEYS[1] taken      HASH   site|period|product -> how many are taken
-- KEYS[2] roster     HASH   registration number -> 16-byte resident key, then site|period|product
-- KEYS[3] leaving    HASH   registration number -> resident key of those whose slot may have to be freed
-- ARGV[1] no         str    registration number
-- RETURNS vacated    int    1, or 0 where it had none
-- COST O(1)
local taken, roster, leaving = KEYS[1], KEYS[2], KEYS[3]
local no = ARGV[1]

call('HDEL', leaving, no)
local held = call('HGET', roster, no)
if not held then return 0 end
call('HDEL', roster, no)
call('HINCRBY', taken, string.sub(held, 17), -1)
return 1
