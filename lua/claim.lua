-- claim: turn called tickets into passes; the same ticket again gets the same pass.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] places     HASH   resident key -> entry
-- KEYS[3] done       BITMAP numbers claimed or left
-- KEYS[4] calls      ZSET   call steps that can still be claimed
-- KEYS[5] claims     HASH   entry -> resident key and pass expiry (0 once registered)
-- KEYS[6] passes     ZSET   passes alive: score = expiry ms, member = entry
-- KEYS[7] leavers    HASH   resident key -> how many places they have given up
-- KEYS[8] starts     ZSET   number -> from when on its own claim time counts, later than its call
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3..] ticket   mixed  entry, number, resident key, entry, number, resident key, ...
-- RETURNS {status, claimed, outcome, expires_ms, ...}  status: ok | absent; claimed: so many places of the opening are;
--         outcome: fresh | claimed (again) | waiting | ready (no pass free: max_active was lowered) | held (ready, and another
--         node has just become the primary) | lapsed | used | missed | left | ended | lost (a roll-back: the place is not theirs)
-- COST O(tickets * log passes)
local opening, places, done, calls, claims, passes, leavers, starts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))

local o = load_opening(opening)
if not o then return {'absent'} end
local held = is_held(opening, o, now)
local alive = call('ZCOUNT', passes, '(' .. now, '+inf')
local expires_ms = math.min(now + o.pass_ms, o.closes_ms + o.grace_ms)
local claimed = o.claimed
local answers = {'ok', 0}
for i = 3, #ARGV, 3 do
  local entry, number, resident = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), ARGV[i + 2]
  local outcome, until_ms = standing_for(o, places, leavers, claims, done, calls, starts, entry, number, resident, now)
  if outcome == 'ready' and alive < o.max_active and not held then
    call('SETBIT', done, number, 1)
    call('HSET', claims, entry, resident .. string.format('%.0f', expires_ms))
    call('ZADD', passes, expires_ms, entry)
    claimed = claimed + 1
    alive = alive + 1
    outcome, until_ms = 'fresh', expires_ms
  elseif outcome == 'ready' and held then
    -- They were told that it is their turn, and it is: in a second it can be said whether a pass is free.
    outcome, until_ms = 'held', 0
  elseif outcome == 'waiting' and now >= o.closes_ms then
    outcome = 'ended'
  end
  answers[#answers + 1] = outcome
  answers[#answers + 1] = until_ms
end
if claimed > o.claimed then call('HSET', opening, 'claimed', claimed) end
answers[2] = claimed
return answers
