-- append: entries of the city's public log, each once; which place in it each has.
-- KEYS[1] log       LIST   the entries, in order; none is ever changed or removed
-- KEYS[2] logged    HASH   what an entry is of -> its index, from 0
-- ARGV[1..] entry   str    what it is of, the entry, ...
-- RETURNS {index, ...}  of each; of one that was there before, the earlier one's
-- COST O(entries)
local log, logged = KEYS[1], KEYS[2]

local answer = {}
for i = 1, #ARGV, 2 do
  local index = call('HGET', logged, ARGV[i])
  if not index then
    index = call('RPUSH', log, ARGV[i + 1]) - 1
    call('HSET', logged, ARGV[i], index)
  end
  answer[#answer + 1] = tonumber(index)
end
return answer
