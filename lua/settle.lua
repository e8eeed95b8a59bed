-- settle: a registration and its slot are of one mind, unless somebody has taken the matter up since.
-- KEYS[1] unsettled  HASH   registration number -> 16-byte resident key, then since when in ms
-- ARGV[1] no         str    registration number
-- ARGV[2] since_ms   int    of the note that is followed, 0 = whichever
-- RETURNS settled    int    1, or 0 where there is no such note
-- COST O(1)
local unsettled = KEYS[1]
local no, since_ms = ARGV[1], tonumber(ARGV[2])

local note = call('HGET', unsettled, no)
if not note or (since_ms > 0 and tonumber(string.sub(note, 17)) ~= since_ms) then return 0 end
return call('HDEL', unsettled, no)
