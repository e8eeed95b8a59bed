-- bring: pointers that are due again go back into the outbox.
-- KEYS[1] later      ZSET   pointers to be looked at later: score = due ms, member = pointer|tries|resident key
-- KEYS[2] outbox     STREAM pointers to residents who are owed a message
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] most       int    how many at most
-- RETURNS brought    int    how many
-- COST O(pointers brought * log pointers)
local later, outbox = KEYS[1], KEYS[2]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local most = tonumber(ARGV[3])

local due = call('ZRANGE', later, '-inf', now, 'BYSCORE', 'LIMIT', 0, most)
for _, member in ipairs(due) do
  local pointer, tries, resident = string.match(member, '^([^|]*)|(%d+)|(.*)$')
  call('XADD', outbox, '*', 'resident', resident, 'pointer', pointer, 'tries', tries)
  call('ZREM', later, member)
end
return #due
