-- take: a slot for a registration, never beyond its capacity; the same again keeps the same one.
-- KEYS[1] slots      HASH   site|period|product -> capacity
-- KEYS[2] taken      HASH   site|period|product -> how many are taken
-- KEYS[3] roster     HASH   registration number -> 16-byte resident key, then site|period|product
-- KEYS[4] closures   HASH   site|period -> closure
-- ARGV[1] no         str    registration number
-- ARGV[2] resident   bytes  16-byte resident key
-- ARGV[3] site       str    code of the site
-- ARGV[4] period     str    am | pm
-- ARGV[5] product    str    vaccine
-- RETURNS status     taken | again | other (it has another slot of this day) | closed | full
-- COST O(1)
local slots, taken, roster, closures = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local no, resident, place, product = ARGV[1], ARGV[2], ARGV[3] .. '|' .. ARGV[4], ARGV[5]
local slot = place .. '|' .. product

local held = call('HGET', roster, no)
if held then return held == resident .. slot and 'again' or 'other' end
if call('HEXISTS', closures, place) == 1 then return 'closed' end
local capacity, used = tonumber(call('HGET', slots, slot) or 0), tonumber(call('HGET', taken, slot) or 0)
if used >= capacity then return 'full' end
call('HSET', taken, slot, used + 1)
call('HSET', roster, no, resident .. slot)
return 'taken'
