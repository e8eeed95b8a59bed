-- owe_alert: a resident is owed a message about the call of their place, of each kind once, whoever says so and how often.
-- KEYS[1] owed       HASH   messages owed to the resident
-- KEYS[2] alerted    HASH   what they have been owed about their calls: opening:entry:kind -> when in ms
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] kind       str    which message
-- ARGV[4] place      str    opening:entry
-- ARGV[5] about      str    what it says, JSON
-- RETURNS status     owed | again
-- COST O(1)
local owed, alerted = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local kind, place, about = ARGV[3], ARGV[4], ARGV[5]
-- No ticket lives as long.
local KEPT_MS = 2 * 86400000

if call('HSETNX', alerted, place .. ':' .. kind, string.format('%.0f', now)) == 0 then return 'again' end
call('PEXPIRE', alerted, KEPT_MS)
owe(owed, now, kind, '', 0, cjson.decode(about))
return 'owed'
