-- standing: what has become of places that were called; changes nothing.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] places     HASH   resident key -> entry
-- KEYS[3] done       BITMAP numbers claimed or left
-- KEYS[4] calls      ZSET   call steps that can still be claimed
-- KEYS[5] claims     HASH   entry -> resident key and pass expiry
-- KEYS[6] leavers    HASH   resident key -> how many places they have given up
-- KEYS[7] starts     ZSET   number -> from when on its own claim time counts, later than its call
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3..] place    mixed  entry, number, resident key, entry, number, resident key, ...
-- RETURNS {status, standing, until_ms, ...}  status: ok | absent; standing: waiting | ready | claimed | lapsed | used | missed | left |
--         lost (a roll-back: the place is not theirs)
-- COST O(places * log call steps)
local opening, places, done, calls, claims, leavers, starts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))

local o = load_opening(opening)
if not o then return {'absent'} end
local answers = {'ok'}
for i = 3, #ARGV, 3 do
  local entry, number, resident = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), ARGV[i + 2]
  local standing, until_ms = standing_for(o, places, leavers, claims, done, calls, starts, entry, number, resident, now)
  answers[#answers + 1] = standing
  answers[#answers + 1] = until_ms
end
return answers
