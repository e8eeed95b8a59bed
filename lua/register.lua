-- register: store a registration, unless the resident has an open one or is barred; the same pass again finds the same one.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] past          SET    numbers of their earlier, closed registrations
-- KEYS[3] stop          STRING why they may not join: "open NO" | "barred" | "done DATE"; whoever closes a registration changes it
-- KEYS[4] registry      STRING packed record; from now on it stays
-- KEYS[5] no_shows      STRING how often they were charged
-- KEYS[6] owed          HASH   messages owed to the resident
-- KEYS[7] registered    STRING who has registered on that day's openings, of this slot of a cluster; under another tag
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] expires_ms    int    expiry of the pass
-- ARGV[4] no            str    registration number, bound to the pass
-- ARGV[5] first_dose    str    date of the first dose, YYYY-MM-DD, empty = none
-- ARGV[6] line          bytes  what the day's list gets: resident key, number, line feed
-- ARGV[7..] field       str    name, value, ... of the registration
-- RETURNS {status, registered_ms, no, no_shows}  status: registered | again | open (another one, its number) | barred |
--                       done (a later dose has been given meanwhile) | used (this pass has done its work) | expired
-- COST O(fields)
local registration, past, stop, registry, no_shows, owed, registered = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local expires_ms, no, first_dose, line = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
-- The nights look back for fewer days (server/night/waiting_list.py).
local LISTED_MS = 36 * 86400000

local latest, registered_ms = unpack(call('HMGET', registration, 'no', 'registered_ms'))
local why = call('GET', stop) or ''
local count = tonumber(call('GET', no_shows) or 0)
if latest == no then return {why == 'open ' .. no and 'again' or 'used', tonumber(registered_ms), no, count} end
if call('SISMEMBER', past, no) == 1 then return {'used', 0, no, count} end
local held = string.match(why, '^open (.+)$')
if held then return {'open', 0, held, count} end
if why == 'barred' then return {'barred', 0, no, count} end
local given = string.match(why, '^done (.+)$')
if given and first_dose < given then return {'done', 0, no, count} end
if now >= expires_ms then return {'expired', 0, no, count} end
if latest then
  call('SADD', past, latest)
  call('DEL', registration)
end
call('SET', stop, 'open ' .. no)
call('PERSIST', registry)
call('HSET', registration, 'no', no, 'state', 'proposed', 'registered_ms', now,
  'first_dose', first_dose, unpack(ARGV, 7))
if call('APPEND', registered, line) == #line then call('PEXPIRE', registered, LISTED_MS) end
owe(owed, now, 'registered', no, 0, {})
return {'registered', now, no, count}
