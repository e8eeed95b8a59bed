-- replace_record: put a registry line in the place of the one that was read, unless it has changed since.
-- KEYS[1] registry   STRING packed record
-- ARGV[1] old        bytes  as it was read
-- ARGV[2] new        bytes  as it shall be
-- RETURNS replaced   int    1, or 0 where it has changed
-- COST O(1)
local registry = KEYS[1]
local old, new = ARGV[1], ARGV[2]

if call('GET', registry) ~= old then return 0 end
call('SET', registry, new, 'KEEPTTL')
return 1
