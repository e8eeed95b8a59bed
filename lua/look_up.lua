-- look_up: note that somebody is looked up by name, before anything of them is shown; unless this actor has looked up so many
-- within the minute that it is no desk's work any more.
-- KEYS[1] acts       STREAM what desks and helpers did with residents
-- KEYS[2] lookers    HASH   actor -> minute of the latest and how many in it, `minute:count`
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] most       int    so many a minute
-- ARGV[4] actor      str    who
-- ARGV[5] act        str    look-up | id-search
-- ARGV[6] site       str    code of the site
-- ARGV[7] no         str    registration number; empty where nobody was found
-- RETURNS wait_ms    int    0 = it is noted; else nothing is, and it may be tried again after this time
-- COST O(1)
local acts, lookers = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local most, actor, act, site, no = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local minute, count = math.floor(now / 60000), 0
local before, many = string.match(call('HGET', lookers, actor) or '', '^(%d+):(%d+)$')
if tonumber(before) == minute then count = tonumber(many) end
if count >= most then return (minute + 1) * 60000 - now end
call('HSET', lookers, actor, string.format('%.0f:%.0f', minute, count + 1))
call('XADD', acts, '*', 'at_ms', string.format('%.0f', now), 'actor', actor, 'act', act, 'site', site, 'no', no)
return 0
