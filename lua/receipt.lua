-- receipt: what the provider says became of a message it had accepted; an earlier message's word does not touch a later one's.
-- It has arrived when none of its parts is missing. A part that is lost stays lost; of one whose fate is not known the
-- provider may know more later.
-- KEYS[1] registration  HASH   the resident's latest registration
-- ARGV[1] now_ms        int    0 = the store's TIME
-- ARGV[2] offset_ms     int    city time minus TIME
-- ARGV[3] no            str    registration number
-- ARGV[4] kind          str    which message
-- ARGV[5] at_ms         int    when its event was
-- ARGV[6] outcome       str    delivered | undelivered | unknown, of this part
-- ARGV[7] part          int    which part of it, from 1
-- ARGV[8] parts         int    how many there are
-- RETURNS {status, now, was}  status: noted | other (a later message, or another registration); what stands on the registration now, and stood there
-- COST O(parts)
local registration = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, kind, at_ms, outcome = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local part, parts = tonumber(ARGV[7]), tonumber(ARGV[8])

local latest, told, why, kept = unpack(call('HMGET', registration, 'no', 'sms:' .. kind, 'why:' .. kind, 'parts:' .. kind))
if latest ~= no or not told then return {'other', '', ''} end
local was, told_ms, event_ms = string.match(told, '^(%a+) (%d+) (%d+)$')
if tonumber(event_ms) ~= at_ms then return {'other', '', ''} end
-- One letter a part: - not told, d delivered, u undelivered, k not known. Where there is but one, the state says it.
local letters = kept or string.rep('-', parts)
if parts == 1 then letters = ({delivered = 'd', undelivered = why == 'unknown' and 'k' or 'u'})[was] or '-' end
if part > #letters then return {'other', '', ''} end
local stood = string.sub(letters, part, part)
local letter = ({delivered = 'd', undelivered = 'u', unknown = 'k'})[outcome]
if stood == 'u' or (stood == 'd' and letter == 'k') then letter = stood end
letters = string.sub(letters, 1, part - 1) .. letter .. string.sub(letters, part + 1)

local state = 'accepted'
if string.find(letters, '[uk]') then state = 'undelivered' elseif not string.find(letters, '-', 1, true) then state = 'delivered' end
call('HSET', registration, 'sms:' .. kind, string.format('%s %s %s', state, told_ms, event_ms))
if parts > 1 then call('HSET', registration, 'parts:' .. kind, letters) end
if state == 'undelivered' and was ~= 'undelivered' then call('HSET', registration, 'undelivered_ms', now) end
if state == 'undelivered' and not string.find(letters, 'u', 1, true) then
  call('HSET', registration, 'why:' .. kind, 'unknown')
else
  call('HDEL', registration, 'why:' .. kind)
end
return {'noted', state, was}
