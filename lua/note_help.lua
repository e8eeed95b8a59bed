-- note_help: a helper did something for a resident, which their history says; again changes nothing.
-- KEYS[1] history    LIST   what happened to their registrations
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] no         str    the registration number that their place has, or will have
-- ARGV[4] actor      str    who
-- ARGV[5] why        str    what they did: join | register
-- RETURNS noted      int    1, or 0 where it was noted already
-- COST O(history)
local history = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local no, actor, why = ARGV[3], ARGV[4], ARGV[5]

for _, line in ipairs(call('LRANGE', history, 0, -1)) do
  local _, its_no, state, its_actor, its_why = unpack(cjson.decode(line))
  if its_no == no and state == 'helped' and its_actor == actor and its_why == why then return 0 end
end
note(history, now, no, 'helped', actor, why)
return 1
