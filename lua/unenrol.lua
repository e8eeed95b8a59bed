-- unenrol: forget what somebody typed who came for a first dose and left again; an imported or registered line stays, and
-- one that is needed for a message that is owed.
-- KEYS[1] registry   STRING packed record; without expiry once imported or registered
-- KEYS[2] owed       HASH   messages owed to the resident
-- RETURNS forgotten  int    1 or 0
-- COST O(1)
local registry, owed = KEYS[1], KEYS[2]

if call('PTTL', registry) < 0 or call('EXISTS', owed) == 1 then return 0 end
return call('DEL', registry)
