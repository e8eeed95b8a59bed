-- check_papers: whether a name and phone are those of a person's registry line; a wrong one is counted in the same breath.
-- KEYS[1] registry    STRING packed record
-- KEYS[2] stop        STRING why they may not join
-- KEYS[3] guesses     STRING wrong ones of late, 20 bytes each, the latest first: when in ms (a double), then its hash
-- KEYS repeat: the same three of each further person; on a cluster, where two persons share no slot, there is none
-- ARGV[1] now_ms      int    0 = the store's TIME
-- ARGV[2] offset_ms   int    city time minus TIME
-- ARGV[3] short_ms    int    a span of time
-- ARGV[4] short_most  int    wrong ones in it, at most
-- ARGV[5] long_ms     int    a longer span
-- ARGV[6] long_most   int    wrong ones in it, at most
-- ARGV[7] is_proven   int    1 = they hold the registry's phone: `short_most` more, which nobody else can use up
-- ARGV[8] is_free     int    1 = who has no line passes uncounted: there is nothing to guess
-- ARGV[9..] matches   bytes  of each person: hashes of name and phone, 12 bytes each, any of which may be in the line
-- RETURNS {record, stop, verdict, ...}  verdict: none = they match; ms = not looked at until so much time has passed;
--         -1 = wrong; -1 - ms = wrong, and by that one nothing more is looked at for so long
-- COST O(people * wrong ones)
local registry, stop, guesses = KEYS[1], KEYS[2], KEYS[3]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local short_ms, short_most = tonumber(ARGV[3]), tonumber(ARGV[4])
local long_ms, long_most = tonumber(ARGV[5]), tonumber(ARGV[6])
local more = tonumber(ARGV[7]) == 1 and short_most or 0
local is_free = tonumber(ARGV[8]) == 1
local find, sub = string.find, string.sub

-- How long the last `most` of them still fill this span.
local function wait_ms(wrong, span, most)
  local at = (most - 1) * 20 + 1
  if #wrong < at + 19 then return 0 end
  local oldest = struct.unpack('>d', wrong, at)
  -- A clock that was set back leaves times ahead of it: those hold nobody up.
  if oldest > now or oldest + span <= now then return 0 end
  return oldest + span - now
end

local function locked_ms(wrong)
  return math.max(wait_ms(wrong, short_ms, short_most + more), wait_ms(wrong, long_ms, long_most + more))
end

-- The line is not taken apart: 12 bytes of a keyed hash stand in it by no accident.
local function is_in(record, matches)
  if find(record, sub(matches, 1, 12), 1, true) then return true end
  for at = 13, #matches, 12 do
    if find(record, sub(matches, at, at + 11), 1, true) then return true end
  end
  return false
end

-- A spelling that was wrong before tells nobody anything new, and is not counted again.
local function judge(record, matches, wrong)
  local locked = locked_ms(wrong)
  if locked > 0 then return locked end
  if record and is_in(record, matches) then return false end
  local hash = sub(matches, 1, 12)
  if find(wrong, hash, 1, true) then return -1 end
  wrong = sub(struct.pack('>d', now) .. hash .. wrong, 1, (long_most + short_most) * 20)
  call('SET', guesses, wrong, 'PX', long_ms)
  return -1 - locked_ms(wrong), wrong
end

local found
if #KEYS == 3 then found = call('MGET', registry, stop, guesses) else found = call('MGET', unpack(KEYS)) end
local counted -- by key: one person may be asked about several times in a batch
local at = 1
for i = 9, #ARGV do
  local record, wrong = found[at], found[at + 2]
  if counted then wrong = counted[KEYS[at + 2]] or wrong end
  -- Nearly always: the right ones, and nobody has tried others.
  if record and not wrong and is_in(record, ARGV[i]) then
    found[at + 2] = false
  elseif not record and is_free then
    found[at + 2] = false
  else
    guesses = KEYS[at + 2]
    local verdict, more_wrong = judge(record, ARGV[i], wrong or '')
    found[at + 2] = verdict
    if more_wrong then
      counted = counted or {}
      counted[guesses] = more_wrong
    end
  end
  at = at + 3
end
return found
