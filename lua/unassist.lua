-- unassist: the resident was not let in after all, so the helper's place is free again; what it took of the pace stays.
-- KEYS[1] helped    HASH   16-byte resident key -> who helps them, and who consented, `actor|consent`
-- KEYS[2] lane      HASH   places and pace of each helper, and of all
-- ARGV[1] actor     str    who helped
-- ARGV[2] resident  bytes  16-byte resident key
-- RETURNS freed     int    1, or 0 where this helper has no place for them
-- COST O(1)
local helped, lane = KEYS[1], KEYS[2]
local actor, resident = ARGV[1], ARGV[2]

local held = call('HGET', helped, resident)
if not held or string.match(held, '^(.*)|') ~= actor then return 0 end
call('HDEL', helped, resident)
call('HINCRBY', lane, 'places:' .. actor, -1)
call('HINCRBY', lane, 'places', -1)
return 1
