-- register: store a registration, unless the resident has an open one; the same pass again finds the same one.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] past          SET    numbers of their earlier, closed registrations
-- KEYS[3] open          STRING number of their open registration; whoever closes it deletes this
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] expires_ms    int    expiry of the pass
-- ARGV[4] no            str    registration number, bound to the pass
-- ARGV[5..] field       str    name, value, ... of the registration
-- RETURNS {status, registered_ms, no}  status: registered | again | open (another one, its number) | used (this pass has done its work) | expired
-- COST O(fields)
local registration, past, open = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local expires_ms, no = tonumber(ARGV[3]), ARGV[4]

local latest, registered_ms = unpack(call('HMGET', registration, 'no', 'registered_ms'))
local held = call('GET', open)
if latest == no then return {held == no and 'again' or 'used', tonumber(registered_ms), no} end
if call('SISMEMBER', past, no) == 1 then return {'used', 0, no} end
if held then return {'open', 0, held} end
if now >= expires_ms then return {'expired', 0, no} end
if latest then
  call('SADD', past, latest)
  call('DEL', registration)
end
call('SET', open, no)
call('HSET', registration, 'no', no, 'state', 'proposed', 'registered_ms', now, unpack(ARGV, 5))
return {'registered', now, no}
