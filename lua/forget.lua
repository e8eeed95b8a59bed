-- forget: delete a resident's closed registrations as read; who registers again in that moment, or is barred, loses nothing.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] stop          STRING why they may not join
-- KEYS[3] registry      STRING packed record
-- KEYS[4] past          SET    numbers of their earlier, closed registrations
-- KEYS[5] history       LIST   what happened to their registrations
-- KEYS[6] no_shows      STRING how often they were charged
-- KEYS[7] owed          HASH   messages owed to the resident
-- ARGV[1] no            str    number of the latest registration, as it was read
-- ARGV[2] closed_ms     str    when it was closed, as it was read
-- ARGV[3] old_record    bytes  registry line, as it was read; empty where there is none
-- ARGV[4] new_record    bytes  what stays of it; empty = nothing
-- RETURNS forgotten     int    1, or 0 where something has changed
-- COST O(history)
local registration, stop, registry, past, history, no_shows, owed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local no, closed_ms, old_record, new_record = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local latest, latest_closed_ms = unpack(call('HMGET', registration, 'no', 'closed_ms'))
if latest ~= no or (latest_closed_ms or '') ~= closed_ms or call('GET', stop) == 'barred' then return 0 end
if (call('GET', registry) or '') ~= old_record then return 0 end
if new_record == '' then call('DEL', registry) else call('SET', registry, new_record, 'KEEPTTL') end
call('DEL', registration)
call('DEL', past)
call('DEL', history)
call('DEL', no_shows)
call('DEL', owed)
return 1
