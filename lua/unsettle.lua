-- unsettle: note that a registration's slot may have to be freed, before the registration is closed.
-- KEYS[1] unsettled  HASH   registration number -> 16-byte resident key, then since when in ms
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] no         str    registration number
-- ARGV[4] resident   bytes  16-byte resident key
-- RETURNS since_ms   int    now
-- COST O(1)
local unsettled = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, resident = ARGV[3], ARGV[4]

call('HSET', unsettled, no, resident .. string.format('%.0f', now))
return now
