-- release: registered, so the passes are free for the next in line; again changes nothing.
-- KEYS[1] claims     HASH   entry -> resident key and pass expiry (0 once registered)
-- KEYS[2] passes     ZSET   passes alive: score = expiry ms, member = entry
-- ARGV[1..] entry    int    entries whose residents have registered
-- RETURNS released   int    how many were not released before
-- COST O(entries * log passes)
local claims, passes = KEYS[1], KEYS[2]
local released = 0
for _, entry in ipairs(ARGV) do
  local claim = call('HGET', claims, entry)
  if claim and string.sub(claim, 17) ~= '0' then
    call('HSET', claims, entry, string.sub(claim, 1, 16) .. '0')
    call('ZREM', passes, entry)
    released = released + 1
  end
end
return released
