-- join: give each resident of a batch a place, or the place they have.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] places     HASH   resident key -> entry
-- KEYS[3] leavers    HASH   resident key -> how many places they have given up
-- KEYS[4] leaves     STRING 16-byte blind of each entry of the draw, in order
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] residents  bytes  16-byte resident keys, one after the other, at most 1024
-- ARGV[4] most       int    who has given up so many places gets no other one; 0 = no such bound
-- ARGV[5] told       int    so many places have been given, as the caller was told
-- ARGV[6] blinds     bytes  their 16-byte blinds, in the same order; empty where the draw is of the first version
-- RETURNS {status, drawn, serving, answer...}  status: ok | early | paused | ended | absent; drawn: N, -1 during the draw;
--         answer: 2 * entry, + 1 where the place is new, or where there is none: -1 (none is given now),
--         -2 (they have given up too many), -3 (the opening has given all that it can) or -4 (another node has just
--         become the primary: in a moment)
-- COST O(residents), a few store calls whatever their number
local opening, places, leavers, leaves = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local residents, most, told, blinds = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local n = #residents / 16
assert(n >= 1 and n <= 1024 and n % 1 == 0, 'residents: 1 to 1024 keys of 16 bytes')

local o = load_opening(opening)
if not o then return {'absent'} end
give_no_fewer(opening, o, told)
close_draw_when_due(opening, o, now)
local status = 'ok'
if now < o.opens_ms then status = 'early'
elseif now >= o.closes_ms then status = 'ended'
elseif o.paused == 1 then status = 'paused' end

local keys = {}
for i = 1, n do keys[i] = string.sub(residents, i * 16 - 15, i * 16) end
local known = call('HMGET', places, unpack(keys))
local held = false
if status == 'ok' then
  for i = 1, n do
    if not known[i] then
      held = is_held(opening, o, now)
      break
    end
  end
end
local spent
if status == 'ok' and most > 0 and o.left > 0 then
  local strangers = {}
  for i = 1, n do
    if not known[i] then strangers[#strangers + 1] = keys[i] end
  end
  if #strangers > 0 then
    spent = {}
    for i, count in ipairs(call('HMGET', leavers, unpack(strangers))) do
      if count and tonumber(count) >= most then spent[strangers[i]] = true end
    end
  end
end
local issued = o.issued
local answers, fresh, in_batch, blinded = {status, o.drawn or -1, o.serving}, {}, {}, {}
for i = 1, n do
  local resident = keys[i]
  local entry = known[i] or in_batch[resident]
  if entry then
    answers[i + 3] = 2 * entry
  elseif status ~= 'ok' then
    answers[i + 3] = -1
  elseif held then
    answers[i + 3] = -4
  elseif spent and spent[resident] then
    answers[i + 3] = -2
  elseif issued >= MOST_PLACES then
    answers[i + 3] = -3
  else
    in_batch[resident] = issued
    fresh[#fresh + 1] = resident
    fresh[#fresh + 1] = issued
    blinded[#blinded + 1] = string.sub(blinds, i * 16 - 15, i * 16)
    answers[i + 3] = 2 * issued + 1
    issued = issued + 1
  end
end
if issued > o.issued then
  call('HSET', places, unpack(fresh))
  call('HSET', opening, 'issued', issued)
  -- At their entries' place: an entry that was given without a blind has one of zeros.
  if not o.drawn and blinds ~= '' then call('SETRANGE', leaves, o.issued * 16, table.concat(blinded)) end
end
return answers
