-- called: an operator has called a resident whom no SMS had reached; into the audit log.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] history       LIST   what happened to their registrations
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] actor         str    who
-- ARGV[5] why           str    what they say of it
-- RETURNS noted         int    1, or 0 where there is no such latest registration
-- COST O(1)
local registration, history = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, actor, why = ARGV[3], ARGV[4], ARGV[5]

if call('HGET', registration, 'no') ~= no then return 0 end
note(history, now, no, 'called', actor, why)
return 1
