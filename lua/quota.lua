-- quota: count one of a thing that may be had so many times in each of some spans of time.
-- KEYS[1] asked      LIST   times in ms, the latest first
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] count      int    1 = count one; 0 = only look
-- ARGV[4..] span     int    length in ms, most in it, ...; the shortest first
-- RETURNS wait_ms    int    0 = it may be had; else nothing is counted before this time has passed
-- COST O(most in the longest span)
local asked = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local count = tonumber(ARGV[3])

local longest, keep, wait = 0, 0, 0
local times = call('LRANGE', asked, 0, -1)
for i = 4, #ARGV, 2 do
  local span, most = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local oldest = tonumber(times[most])
  -- A clock that was set back leaves times ahead of it: those hold nobody up for longer than the span.
  if oldest and oldest <= now and oldest + span > now then wait = math.max(wait, oldest + span - now) end
  longest, keep = math.max(longest, span), math.max(keep, most)
end
if wait > 0 or count == 0 then return wait end
call('LPUSH', asked, string.format('%.0f', now))
call('LTRIM', asked, 0, keep - 1)
call('PEXPIRE', asked, longest)
return 0
