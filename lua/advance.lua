-- advance: call the next numbers, as many as time, rate and max_active allow, and tell how the opening stands.
-- A function of the time that has passed: any worker may call it, twice or late, with the same result.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] done       BITMAP numbers claimed or left
-- KEYS[3] calls      ZSET   call steps that can still be claimed: score = its last number, member = number:called_ms
-- KEYS[4] passes     ZSET   passes: score = expiry ms, member = entry
-- KEYS[5] left       LIST   entries given up, in order
-- KEYS[6] starts     ZSET   number -> from when on its own claim time counts, later than its call
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] left_seen  int    so many entries given up are known to the caller
-- ARGV[4] max_steps  int    call steps to expire at most: an advance makes one at most, so a few are enough
-- ARGV[5] max_left   int    entries given up to tell at most
-- ARGV[6] issued     int    how far the caller was told that this opening had come: places given,
-- ARGV[7] drawn      int    N, -1 = not known,
-- ARGV[8] serving    int    the highest number called,
-- ARGV[9] claimed    int    places claimed
-- RETURNS {now_ms, passes_alive, opening (field, value, ...), entries given up after `left_seen`}
--         the opening is empty when it has not been prepared
-- COST O(log passes + log numbers + numbers called or passed over / 8; of those whose claim time is over, numbers)
local opening, done, calls, passes, left, starts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local left_seen, max_steps, max_left = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local issued, drawn, serving, claimed = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
-- Clocks of well kept nodes are less apart.
local SET_BACK_MS = 1000
local NUMBERS_AT_ONCE = 1000

-- The number up to which `wanted` of those after `from` are still there, and how many they are (fewer where the line
-- ends). Numbers that were given up cost nothing, and a stretch of them is passed over at once: the search doubles its
-- step until it has enough, then halves the last one.
local function next_in_line(from, last, wanted)
  local low, live, step = from, 0, wanted
  local high, found
  repeat
    high = math.min(low + step, last)
    found = live + (high - low) - call('BITCOUNT', done, low + 1, high, 'BIT')
    if found >= wanted or high == last then break end
    low, live, step = high, found, step * 2
  until false
  if found < wanted then return high, found end
  while live + (high - low) > wanted do
    local middle = math.floor((low + high) / 2)
    local so_far = live + (middle - low) - call('BITCOUNT', done, low + 1, middle, 'BIT')
    if so_far >= wanted then high = middle else low, live = middle, so_far end
  end
  return high, wanted
end

local o = load_opening(opening)
if not o then return {now, 0, {}, {}} end

-- Of the numbers after `from` up to `last`, whose call's time is over: how many are still to come, as theirs counts from later.
local function still_on(from, last)
  local count = 0
  if call('ZCARD', starts) == 0 then return count end
  for low = from + 1, last, NUMBERS_AT_ONCE do
    local numbers = {}
    for number = low, math.min(low + NUMBERS_AT_ONCE - 1, last) do numbers[#numbers + 1] = number end
    for i, own in ipairs(call('ZMSCORE', starts, unpack(numbers))) do
      if own then
        local _, over = claim_deadline(o, tonumber(own), now)
        if over then call('ZREM', starts, numbers[i])
        elseif call('GETBIT', done, numbers[i]) == 0 then count = count + 1 end
      end
    end
  end
  return count
end

local held = is_held(opening, o, now)
give_no_fewer(opening, o, issued)
if not o.drawn and drawn >= 0 then fix_draw(opening, o, drawn) end
close_draw_when_due(opening, o, now)
if o.settled == 1 and serving > o.serving then
  -- Numbers that were told as called stay called, all at this moment, and have cost what they cost.
  serving = math.min(serving, o.issued)
  local live = serving - o.serving - call('BITCOUNT', done, o.serving + 1, serving, 'BIT')
  o.serving, o.called, o.credit = serving, o.called + live, o.credit - live
  call('ZADD', calls, serving, string.format('%.0f:%.0f', serving, now))
  call('HSET', opening, 'serving', serving, 'called', o.called, 'credit', string.format('%.17g', o.credit))
end
if claimed > math.max(o.claimed, o.claimed_seen) then
  -- As many passes may be alive that nobody counts. Each is of a place that counts as called: none of these is taken for
  -- missed while such a pass may live.
  o.hold_ms = math.max(o.hold_ms, now + math.max(0, o.pass_ms - o.claim_ms))
  call('HSET', opening, 'claimed_seen', claimed, 'hold_ms', o.hold_ms)
end
-- Lapsed passes stay for a minute: a clock set back a little must not find a pass good that nobody counts.
call('ZREMRANGEBYSCORE', passes, '-inf', now - 60000)
local alive = call('ZCOUNT', passes, '(' .. now, '+inf')

-- Called and not come in time: their reserved passes go to the next in line.
if o.missed_to < o.serving and not held then
  local missed, missed_to = o.missed, o.missed_to
  for _, step in ipairs(call('ZRANGE', calls, 0, max_steps - 1)) do
    local upto, called_ms = string.match(step, '^(%d+):(%d+)$')
    upto = tonumber(upto)
    local _, over = claim_deadline(o, tonumber(called_ms), now)
    if not over then break end
    missed = missed + (upto - missed_to) - call('BITCOUNT', done, missed_to + 1, upto, 'BIT') - still_on(missed_to, upto)
    missed_to = upto
  end
  if missed_to > o.missed_to then
    call('ZREMRANGEBYSCORE', calls, '-inf', missed_to)
    call('HSET', opening, 'missed', missed, 'missed_to', missed_to)
    o.missed, o.missed_to = missed, missed_to
  end
end

-- And those whose own time is over by now, later than their call's.
if not held and (o.paused == 0 or now >= o.closes_ms) then
  local upto_ms = now >= o.closes_ms and '+inf' or now - o.claim_ms
  local missed = o.missed
  local late = call('ZRANGE', starts, '-inf', upto_ms, 'BYSCORE', 'LIMIT', 0, NUMBERS_AT_ONCE, 'WITHSCORES')
  for i = 1, #late, 2 do
    local number = tonumber(late[i])
    local _, over = claim_deadline(o, tonumber(late[i + 1]), now)
    if over and number <= o.missed_to then
      call('ZREM', starts, late[i])
      if call('GETBIT', done, number) == 0 then missed = missed + 1 end
    end
  end
  if missed > o.missed then
    call('HSET', opening, 'missed', missed)
    o.missed = missed
  end
end

-- A node that takes over may be seconds behind the one before. What has been earned stays earned; but nobody waits until
-- its clock has come to where the other one was.
if o.settled == 1 and now < o.last_ms - SET_BACK_MS then
  o.last_ms = math.max(now, o.draw_ms)
  call('HSET', opening, 'last_ms', o.last_ms)
end

if o.settled == 1 and o.paused == 0 and not held and now < o.closes_ms and now > o.last_ms and o.serving < o.issued then
  local credit = math.min(o.credit + (now - o.last_ms) / 1000 * o.rate, burst(o.rate))
  local wanted = math.min(math.floor(credit), o.max_active - pending(o) - alive)
  if wanted >= 1 then
    local upto, live = next_in_line(o.serving, o.issued, wanted)
    call('ZADD', calls, upto, string.format('%.0f:%.0f', upto, now))
    call('HSET', opening, 'serving', upto, 'called', o.called + live,
      'credit', string.format('%.17g', credit - live), 'last_ms', now)
  end
end

return {now, alive, call('HGETALL', opening), call('LRANGE', left, left_seen, left_seen + max_left - 1)}
