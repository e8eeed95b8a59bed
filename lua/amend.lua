-- amend: other wishes for a registration that has no appointment yet.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] history       LIST   what happened to their registrations
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] actor         str    who
-- ARGV[5..] field       str    name, value, ... of the wishes
-- RETURNS status        amended | same (they were those already) | other (allotted or closed) | absent (no such latest registration)
-- COST O(fields)
local registration, history = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, actor = ARGV[3], ARGV[4]

local latest, state = unpack(call('HMGET', registration, 'no', 'state'))
if latest ~= no then return 'absent' end
if state ~= 'proposed' then return 'other' end
local changed = false
for i = 5, #ARGV, 2 do changed = changed or call('HGET', registration, ARGV[i]) ~= ARGV[i + 1] end
if not changed then return 'same' end
call('HSET', registration, 'amended_ms', string.format('%.0f', now), unpack(ARGV, 5))
note(history, now, no, 'amended', actor, '')
return 'amended'
