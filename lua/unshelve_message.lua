-- unshelve_message: what was laid aside for a resident is to be sent after all.
-- KEYS[1] owed      HASH   messages owed to the resident
-- ARGV[1] seq       int    which message
-- RETURNS taken     int    1, or 0 where it was not laid aside
-- COST O(1)
local owed = KEYS[1]
local seq = ARGV[1]

if call('HGET', owed, seq .. ':by') ~= 'shelf' then return 0 end
call('HDEL', owed, seq .. ':by')
return 1
