-- unenrol: forget what somebody typed who came for a first dose and left again; an imported or registered line stays.
-- KEYS[1] registry   STRING packed record; without expiry once imported or registered
-- RETURNS forgotten  int    1 or 0
-- COST O(1)
local registry = KEYS[1]

if call('PTTL', registry) < 0 then return 0 end
return call('DEL', registry)
