-- spare: an entry that nobody is given, for a registration whose number another one has as well; from the last one down.
-- KEYS[1] opening    HASH   counters of the opening
-- RETURNS entry      int    never told before
-- COST O(1)
local opening = KEYS[1]

return MOST_PLACES - call('HINCRBY', opening, 'renumbered', 1)
