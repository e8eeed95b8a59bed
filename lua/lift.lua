-- lift: an operator lifts a bar; the count of no-shows begins anew.
-- KEYS[1] stop       STRING why they may not join
-- KEYS[2] no_shows   STRING how often they were charged
-- KEYS[3] history    LIST   what happened to their registrations
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] no         str    registration number it was asked for with
-- ARGV[4] actor      str    who
-- ARGV[5] why        str    the reason given
-- RETURNS lifted     int    1, or 0 where there is no bar
-- COST O(1)
local stop, no_shows, history = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, actor, why = ARGV[3], ARGV[4], ARGV[5]

if call('GET', stop) ~= 'barred' then return 0 end
call('DEL', stop, no_shows)
note(history, now, no, 'lifted', actor, why)
return 1
