-- pace: let messages through, no faster than all senders together may be. How long the key still lives is how long what was
-- let through before takes; so this is real time, whatever time the city has, and nothing is saved up.
-- KEYS[1] pace        STRING 1, for as long as no other message may go
-- ARGV[1] many        int    how many messages
-- ARGV[2] per_second  int    how many a second
-- RETURNS wait_ms     int    they may go when this time has passed
-- COST O(1)
local pace = KEYS[1]
local many, per_second = tonumber(ARGV[1]), tonumber(ARGV[2])

local wait_ms = math.max(0, call('PTTL', pace))
call('SET', pace, 1, 'PX', wait_ms + math.ceil(many * 1000 / per_second))
return wait_ms
