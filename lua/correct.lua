-- correct: put the registry's word into a resident's open registration, and their line beside it; again changes nothing.
-- KEYS[1] registration  HASH   the resident's latest registration
-- KEYS[2] history       LIST   what happened to their registrations
-- KEYS[3] registry      STRING packed record
-- KEYS[4] owed          HASH   messages owed to them
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] actor         str    who
-- ARGV[5] first_dose    str    date of the first dose, YYYY-MM-DD
-- ARGV[6] product       str    its product
-- ARGV[7] record        bytes  packed record to keep in any case, empty = as it is
-- RETURNS status        corrected | same (it says so already) | other (closed) | absent (no such latest registration)
-- COST O(1)
local registration, history, registry, owed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, actor, first_dose, product, record = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

if record ~= '' then call('SET', registry, record) end
local latest, state, old_dose, old_product = unpack(call('HMGET', registration, 'no', 'state', 'first_dose', 'product'))
if latest ~= no then return 'absent' end
if state ~= 'proposed' and state ~= 'booked' then return 'other' end
old_dose, old_product = old_dose or '', old_product or ''
if old_dose == first_dose and old_product == product then return 'same' end
local why = old_dose .. ' → ' .. first_dose
if old_dose == first_dose then why = old_product .. ' → ' .. product end
call('HSET', registration, 'first_dose', first_dose, 'product', product, 'corrected_ms', string.format('%.0f', now))
note(history, now, no, 'corrected', actor, why)
-- A product that an earlier version has not noted is no news to its holder.
if old_dose ~= first_dose or old_product ~= '' then owe(owed, now, 'corrected', no, 0, {first_dose = first_dose}) end
return 'corrected'
