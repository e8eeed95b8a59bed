-- close_site: a site does not vaccinate in a period of a day; tells whom to send back to be allotted. Again: who is still to be sent back.
-- KEYS[1] closures   HASH   site|period -> closure: JSON of at_ms, actor, reason
-- KEYS[2] roster     HASH   registration number -> 16-byte resident key, then site|period|product
-- KEYS[3] audit      STREAM changes: who, when, what
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] actor      str    who
-- ARGV[4] site       str    code of the site
-- ARGV[5] period     str    code of a period of the day, as am
-- ARGV[6] reason     str    why
-- RETURNS {status, no, resident, ...}  status: closed | again
-- COST O(roster)
local closures, roster, audit = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local actor, site, period, reason = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local place = site .. '|' .. period

local answer = {'again'}
if call('HSETNX', closures, place, cjson.encode({now, actor, reason})) == 1 then
  call('XADD', audit, '*', 'at_ms', now, 'actor', actor, 'closed', place, 'reason', reason)
  answer[1] = 'closed'
end
local entries = call('HGETALL', roster)
for i = 1, #entries, 2 do
  if string.sub(entries[i + 1], 17, 17 + #place) == place .. '|' then
    answer[#answer + 1] = entries[i]
    answer[#answer + 1] = string.sub(entries[i + 1], 1, 16)
  end
end
return answer
