-- admit: count one more message to a phone, if it may have one: so many of a kind, so many that only confirm, and so many
-- in all in a day. What only confirms is left out rather than put off where the phone has had enough.
-- KEYS[1] messages         LIST   messages to this phone in the last day, the latest first: "when in ms|kind|1 = only confirms"
-- ARGV[1] now_ms           int    0 = the store's TIME
-- ARGV[2] offset_ms        int    city time minus TIME
-- ARGV[3] kind             str    which message
-- ARGV[4] confirms         int    1 = it only confirms
-- ARGV[5] most_of_kind     int    of this kind
-- ARGV[6] most_confirming  int    of those that only confirm
-- ARGV[7] most             int    of all
-- RETURNS {verdict, wait_ms}  verdict: go | later (in wait_ms) | never
-- COST O(most)
local messages = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local kind, confirms = ARGV[3], tonumber(ARGV[4])
local most_of_kind, most_confirming, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local DAY_MS = 86400000

local all, same, confirming = {}, {}, {}
for _, message in ipairs(call('LRANGE', messages, 0, -1)) do
  local at, its_kind, its_confirms = string.match(message, '^(%d+)|([^|]*)|(%d)$')
  at = tonumber(at)
  -- A clock that was set back leaves times ahead of it: those hold nobody up.
  if at <= now and at + DAY_MS > now then
    all[#all + 1] = at
    if its_kind == kind then same[#same + 1] = at end
    if its_confirms == '1' then confirming[#confirming + 1] = at end
  end
end
local function wait(times, limit)
  return times[limit] and times[limit] + DAY_MS - now or 0
end
local wait_ms = wait(same, most_of_kind)
if confirms == 1 then
  if wait_ms == 0 and (wait(confirming, most_confirming) > 0 or wait(all, most) > 0) then return {'never', 0} end
else
  wait_ms = math.max(wait_ms, wait(all, most))
end
if wait_ms > 0 then return {'later', wait_ms} end
call('LPUSH', messages, string.format('%.0f|%s|%d', now, kind, confirms))
call('LTRIM', messages, 0, most - 1)
call('PEXPIRE', messages, DAY_MS)
return {'go', 0}
