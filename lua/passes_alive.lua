-- passes_alive: how many may still register in an opening, and what time it is.
-- KEYS[1] passes     ZSET   passes: score = expiry ms, member = entry
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- RETURNS {now_ms, alive}
-- COST O(log passes)
local passes = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))

return {now, call('ZCOUNT', passes, '(' .. string.format('%.0f', now), '+inf')}
