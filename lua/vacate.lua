-- vacate: a registration's slot is free again, unless somebody has taken the matter up since; again changes nothing.
-- KEYS[1] taken      HASH   site|period|product -> how many are taken
-- KEYS[2] roster     HASH   registration number -> 16-byte resident key, then site|period|product
-- KEYS[3] unsettled  HASH   registration number -> 16-byte resident key, then since when in ms
-- KEYS[4] vacated    HASH   registration number -> the line that the roster had of it
-- ARGV[1] no         str    registration number
-- ARGV[2] since_ms   int    of the note in `unsettled` that is followed, 0 = none
-- RETURNS vacated    int    1, or 0 where it had none
-- COST O(1)
local taken, roster, unsettled, vacated = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local no, since_ms = ARGV[1], tonumber(ARGV[2])

local note = call('HGET', unsettled, no)
if since_ms > 0 and note and tonumber(string.sub(note, 17)) ~= since_ms then return 0 end
call('HDEL', unsettled, no)
local held = call('HGET', roster, no)
if not held then return 0 end
call('HDEL', roster, no)
call('HSET', vacated, no, held)
call('HINCRBY', taken, string.sub(held, 17), -1)
return 1
