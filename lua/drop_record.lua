-- drop_record: delete the registry line of a resident who has no registration.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] registry      STRING packed record
-- RETURNS dropped       int    1, or 0 where there is a registration, or no line
-- COST O(1)
local registration, registry = KEYS[1], KEYS[2]

if call('EXISTS', registration) == 1 then return 0 end
return call('DEL', registry)
