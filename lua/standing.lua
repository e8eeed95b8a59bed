-- standing: what has become of places that were called; changes nothing.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] done       BITMAP numbers claimed or left
-- KEYS[3] calls      ZSET   call steps that can still be claimed
-- KEYS[4] claims     HASH   entry -> resident key and pass expiry
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3..] place    int    entry, number, entry, number, ...
-- RETURNS {status, standing, until_ms, ...}  status: ok | absent; standing: waiting | ready | claimed | lapsed | used | missed | left
-- COST O(places * log call steps)
local opening, done, calls, claims = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))

local o = load_opening(opening)
if not o then return {'absent'} end
local answers = {'ok'}
for i = 3, #ARGV, 2 do
  local entry, number = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local standing, until_ms = standing_of(o, claims, done, calls, entry, number, now)
  answers[#answers + 1] = standing
  answers[#answers + 1] = until_ms
end
return answers
