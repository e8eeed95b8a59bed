-- release: registered, so the passes are free for the next in line; again changes nothing. A signed pass is the proof: a claim
-- that a roll-back has made the store forget is put back.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] done       BITMAP numbers claimed or left
-- KEYS[3] claims     HASH   entry -> resident key and pass expiry (0 once registered)
-- KEYS[4] passes     ZSET   passes alive: score = expiry ms, member = entry
-- KEYS[5] starts     ZSET   number -> from when on its own claim time counts, later than its call
-- ARGV[1..] place    mixed  entry, number (0 = not known), resident key of who has registered, entry, number, resident key, ...
-- RETURNS {status, ...}  status: released | again | other (another resident has claimed this entry)
-- COST O(places * log passes)
local opening, done, claims, passes, starts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- The place counts as claimed from now on: whatever it counted as after the roll-back.
local function count_claimed(o, entry, number)
  give_no_fewer(opening, o, entry + 1)
  if call('SETBIT', done, number, 1) == 1 then return end
  if number > o.serving then
    o.called = o.called + 1
  elseif number <= o.missed_to and not call('ZSCORE', starts, number) then
    o.missed = o.missed - 1
  end
  o.claimed = o.claimed + 1
  call('HSET', opening, 'called', o.called, 'missed', o.missed, 'claimed', o.claimed)
end

local answers = {}
for i = 1, #ARGV, 3 do
  local entry, number, resident = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), ARGV[i + 2]
  local claim = call('HGET', claims, entry)
  local status = 'released'
  if claim and string.sub(claim, 1, 16) ~= resident then
    status = 'other'
  elseif claim and string.sub(claim, 17) == '0' then
    status = 'again'
  else
    local o = not claim and number > 0 and load_opening(opening)
    if o then count_claimed(o, entry, number) end
    call('HSET', claims, entry, resident .. '0')
    call('ZREM', passes, entry)
  end
  answers[#answers + 1] = status
end
return answers
