-- renumber: another number for a registration that waits, as another resident's has the same; a message says so.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] past          SET    numbers of their earlier registrations; the one it had is from now on among them
-- KEYS[3] stop          STRING why they may not join
-- KEYS[4] history       LIST   what happened to their registrations
-- KEYS[5] owed          HASH   messages owed to the resident
-- KEYS[6] registered    STRING who has registered on that day's openings, of this slot of a cluster; under another tag
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    the number that it has
-- ARGV[4] new_no        str    the number that it gets
-- ARGV[5] entry         int    of that number
-- ARGV[6] actor         str    who found it
-- ARGV[7] line          bytes  what the day's list gets: resident key, new number, line feed
-- RETURNS status        renumbered | other (it has another number, or an appointment, or is closed)
-- COST O(1)
local registration, past, stop, history, owed, registered = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, new_no, entry, actor, line = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local latest, state = unpack(call('HMGET', registration, 'no', 'state'))
if latest ~= no or state ~= 'proposed' then return 'other' end
call('HSET', registration, 'no', new_no, 'entry', entry)
call('SADD', past, no)
call('SET', stop, 'open ' .. new_no)
call('APPEND', registered, line)
note(history, now, new_no, 'renumbered', actor, no)
owe(owed, now, 'registered', new_no, 0, {})
return 'renumbered'
