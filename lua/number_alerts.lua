-- number_alerts: the numbers of those who asked to be told of their call before it had one; again changes nothing.
-- KEYS[1] soon       ZSET   entries to be told that their call is near: score = number, -1 - entry while it is not known
-- ARGV[1..] numbered int    entry, number, entry, number, ...
-- RETURNS numbered   int    how many were not known before
-- COST O(entries * log places to be told)
local soon = KEYS[1]

local numbered = 0
for i = 1, #ARGV, 2 do
  local score = tonumber(call('ZSCORE', soon, ARGV[i]) or 0)
  if score < 0 then
    call('ZADD', soon, ARGV[i + 1], ARGV[i])
    numbered = numbered + 1
  end
end
return numbered
