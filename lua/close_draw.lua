-- close_draw: fix N when the draw is over, then learn the numbers of those who left during it; no call before that.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] left       LIST   entries given up, in order
-- KEYS[3] done       BITMAP numbers claimed or left
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] from       int    the numbers are of those who left after so many others; as an earlier call returned it
-- ARGV[4..] numbers  int    numbers of the entries that an earlier call returned, in that order (none the first time)
-- RETURNS {status, drawn, from, entry...}  status: early | unfixed (nobody knows the numbers yet: fix_draw) |
--                           unsettled (call again with the numbers of these entries) | settled | absent
-- COST O(numbers, or entries that are returned: 5000 at most)
local opening, left, done = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local from, given = tonumber(ARGV[3]), #ARGV - 3
local MOST_AT_ONCE = 5000

local o = load_opening(opening)
if not o then return {'absent', -1, 0} end
close_draw_when_due(opening, o, now)
if not o.drawn then return {'early', -1, 0} end
if o.settled == 1 then return {'settled', o.drawn, 0} end
local version, draw_key, numbered = unpack(call('HMGET', opening, 'version', 'key', 'numbered'))
if version and not draw_key then return {'unfixed', o.drawn, 0} end
numbered = tonumber(numbered or 0)
if given > 0 and from == numbered and from + given <= o.left then
  for i = 4, #ARGV do call('SETBIT', done, ARGV[i], 1) end
  numbered = numbered + given
  call('HSET', opening, 'numbered', numbered)
end
if numbered < o.left then
  local answer = call('LRANGE', left, numbered, numbered + MOST_AT_ONCE - 1)
  table.insert(answer, 1, numbered)
  table.insert(answer, 1, o.drawn)
  table.insert(answer, 1, 'unsettled')
  return answer
end
call('HSET', opening, 'settled', 1)
return {'settled', o.drawn, 0}
