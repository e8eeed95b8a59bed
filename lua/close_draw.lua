-- close_draw: fix N when the draw is over, then learn the numbers of those who left during it; no call before that.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] left       LIST   entries given up, in order
-- KEYS[3] done       BITMAP numbers claimed or left
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3..] numbers  int    numbers of the entries that an earlier call returned, in that order (none the first time)
-- RETURNS {status, drawn, entry...}  status: early | unsettled (call again with the numbers of these entries) | settled | absent
-- COST O(places given up during the draw)
local opening, left, done = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local given = #ARGV - 2

local o = load_opening(opening)
if not o then return {'absent', -1} end
close_draw_when_due(opening, o, now)
if not o.drawn then return {'early', -1} end
if o.settled == 1 then return {'settled', o.drawn} end
-- Until it is settled nobody can leave, so these are the draw's leavers, all of them.
if given ~= o.left then
  local answer = call('LRANGE', left, 0, o.left - 1)
  table.insert(answer, 1, o.drawn)
  table.insert(answer, 1, 'unsettled')
  return answer
end
for i = 3, #ARGV do call('SETBIT', done, ARGV[i], 1) end
call('HSET', opening, 'settled', 1)
return {'settled', o.drawn}
