-- enrol: keep what somebody without a registry line typed on joining, for a time; who came first stays.
-- KEYS[1] registry   STRING packed record; without expiry once imported or registered
-- ARGV[1] record     bytes  packed record to keep where there is none
-- ARGV[2] lives_ms   int    for how long
-- RETURNS record     bytes  the one that holds
-- COST O(1)
local registry = KEYS[1]
local record, lives_ms = ARGV[1], tonumber(ARGV[2])

if call('SET', registry, record, 'NX', 'PX', lives_ms) then return record end
return call('GET', registry)
