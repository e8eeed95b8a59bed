-- next_message: the message that is to go to a resident now, for the pointer that led here. They go in the order of their
-- events: one that another pointer has in hand holds up those behind it, one that is not due yet or is shelved does not.
-- KEYS[1] owed       HASH   messages owed to the resident
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] pointer    str    of the outbox; the same one gets the same message until it is settled
-- RETURNS {status, seq, message, due_ms}  status: send | behind | early (due_ms) | none
-- COST O(messages owed)
local owed = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local pointer = ARGV[3]

local fields, seqs = {}, {}
local flat = call('HGETALL', owed)
for i = 1, #flat, 2 do
  fields[flat[i]] = flat[i + 1]
  local seq = tonumber(flat[i])
  if seq then seqs[#seqs + 1] = seq end
end
table.sort(seqs)
local free, behind, early
for _, seq in ipairs(seqs) do
  local by, message = fields[seq .. ':by'], fields[tostring(seq)]
  if by == pointer then return {'send', seq, message, 0} end
  if by then
    behind = behind or by ~= 'shelf'
  else
    local due_ms = cjson.decode(message)[4]
    if due_ms > now then
      early = math.min(early or due_ms, due_ms)
    elseif not behind then
      free = free or seq
    end
  end
end
if free then
  call('HSET', owed, free .. ':by', pointer)
  return {'send', free, fields[tostring(free)], 0}
end
if behind then return {'behind', 0, '', 0} end
if early then return {'early', 0, '', early} end
return {'none', 0, '', 0}
