-- take: a slot for a registration, never beyond its capacity; the same again keeps the same one. Until the registration
-- has its appointment the slot is unsettled, so that a crash in between is found.
-- KEYS[1] slots      HASH   site|period|product -> capacity
-- KEYS[2] taken      HASH   site|period|product -> how many are taken
-- KEYS[3] roster     HASH   registration number -> 16-byte resident key, then site|period|product
-- KEYS[4] closures   HASH   site|period -> closure
-- KEYS[5] unsettled  HASH   registration number -> 16-byte resident key, then since when in ms
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] no         str    registration number
-- ARGV[4] resident   bytes  16-byte resident key
-- ARGV[5] site       str    code of the site
-- ARGV[6] period     str    code of a period of the day, as am
-- ARGV[7] product    str    vaccine
-- RETURNS {status, since_ms}  status: taken | again | other (it has another slot of this day) | closed | full;
--         since_ms: of the note in `unsettled`
-- COST O(1)
local slots, taken, roster, closures, unsettled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, resident, place, product = ARGV[3], ARGV[4], ARGV[5] .. '|' .. ARGV[6], ARGV[7]
local slot = place .. '|' .. product

local held = call('HGET', roster, no)
local since = string.format('%.0f', now)
if held == resident .. slot then
  -- A note of an earlier attempt may be just being settled by who reconciles: this one is ours.
  call('HSET', unsettled, no, resident .. since)
  return {'again', now}
end
if held then return {'other', 0} end
if call('HEXISTS', closures, place) == 1 then return {'closed', 0} end
local capacity, used = tonumber(call('HGET', slots, slot) or 0), tonumber(call('HGET', taken, slot) or 0)
if used >= capacity then return {'full', 0} end
call('HSET', taken, slot, used + 1)
call('HSET', roster, no, resident .. slot)
call('HSET', unsettled, no, resident .. since)
return {'taken', now}
