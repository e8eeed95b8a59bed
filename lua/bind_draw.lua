-- bind_draw: make the root over all entries of a draw public, before anybody can know its key; the first one stays.
-- KEYS[1] opening    HASH   counters of the opening
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] drawn      int    the root is over so many entries
-- ARGV[4] root       str    hex
-- RETURNS {status, root}  status: bound | kept (that is the root, another worker was first) |
--                         early (the draw is not over, or has other entries) | absent
-- COST O(1)
local opening = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local drawn, root = tonumber(ARGV[3]), ARGV[4]

local o = load_opening(opening)
if not o then return {'absent', ''} end
close_draw_when_due(opening, o, now)
if o.drawn ~= drawn then return {'early', ''} end
if call('HSETNX', opening, 'root', root) == 0 then return {'kept', call('HGET', opening, 'root')} end
call('HSET', opening, 'root_ms', string.format('%.0f', now))
return {'bound', root}
