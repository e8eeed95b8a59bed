-- due_alerts: what those who asked for it are to be told of their call now. Each is given to one worker, and given out again
-- where that one has not said within a while that it is owed (`settle_alerts`).
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] done       BITMAP numbers claimed or left
-- KEYS[3] calls      ZSET   call steps that can still be claimed
-- KEYS[4] claims     HASH   entry -> resident key and pass expiry
-- KEYS[5] alerts     HASH   entry -> resident key and language of who is to be told
-- KEYS[6] soon       ZSET   entries to be told that their call is near: score = number, -1 - entry while it is not known
-- KEYS[7] turns      ZSET   entries to be told of their call: score = number
-- KEYS[8] overdue    ZSET   entries that were told of it and have not come: score = until when they may, member = entry:number
-- KEYS[9] telling    ZSET   what workers have in hand: score = when it is given out again, member = kind:entry:number:until_ms
-- KEYS[10] starts    ZSET   number -> from when on its own claim time counts, later than its call
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] near       int    numbers up to this one are called so soon that nothing is said before
-- ARGV[4] far        int    numbers up to this one are near enough to say so
-- ARGV[5] most       int    how much at most, of each kind
-- RETURNS {now_ms, unnumbered, what, whose, ...}  unnumbered: entries whose numbers are asked for (`number_alerts`); what: as in
--         `telling`, its kind is near, turn, missed or uncalled; whose: as in `alerts`
-- COST O(what is due * log places to be told)
local opening, done, calls, claims, alerts, soon, turns, overdue, telling, starts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local near, far, most = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
-- Longer than a worker takes to have it owed, or to give up.
local AGAIN_MS = 15000
-- Their time goes on in a pause: so often it is looked at again.
local PAUSE_MS = 5000

local o = load_opening(opening)
if not o or o.settled ~= 1 then return {now, {}} end
local answer = {now, call('ZRANGE', soon, '-inf', '(0', 'BYSCORE', 'LIMIT', 0, most)}

local function hand_out(what)
  local whose = call('HGET', alerts, string.match(what, ':(%d+):'))
  if not whose then return call('ZREM', telling, what) end -- they want to be told nothing any more
  call('ZADD', telling, now + AGAIN_MS, what)
  answer[#answer + 1] = what
  answer[#answer + 1] = whose
end
local function tell(kind, entry, number, until_ms)
  hand_out(string.format('%s:%.0f:%.0f:%.0f', kind, entry, number, until_ms))
end
local function each_of(due, follow)
  for i = 1, #due, 2 do
    local entry, number = tonumber(due[i]), tonumber(due[i + 1])
    follow(entry, number, standing_of(o, claims, done, calls, starts, entry, number, now))
  end
end

-- A clock that was set back leaves times ahead of it.
for _, range in ipairs({{'-inf', now}, {'(' .. now + AGAIN_MS, '+inf'}}) do
  for _, what in ipairs(call('ZRANGE', telling, range[1], range[2], 'BYSCORE', 'LIMIT', 0, most)) do hand_out(what) end
end
local is_over = now >= o.closes_ms
local upto = is_over and '+inf' or math.max(far, o.serving)
each_of(call('ZRANGE', soon, '(0', upto, 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES'), function(entry, number, standing)
  call('ZREM', soon, entry)
  if standing ~= 'waiting' and standing ~= 'ready' and standing ~= 'missed' then return end
  call('ZADD', turns, number, entry)
  if standing == 'waiting' and number > near and not is_over then tell('near', entry, number, 0) end
end)
upto = is_over and '+inf' or o.serving
each_of(call('ZRANGE', turns, '-inf', upto, 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES'), function(entry, number, standing, until_ms)
  call('ZREM', turns, entry)
  if standing == 'ready' then
    call('ZADD', overdue, until_ms, string.format('%.0f:%.0f', entry, number))
    tell('turn', entry, number, until_ms)
  elseif standing == 'waiting' or standing == 'missed' then -- nobody was there to tell them
    tell(is_over and 'uncalled' or 'missed', entry, number, 0)
  end
end)
for _, member in ipairs(call('ZRANGE', overdue, '-inf', now, 'BYSCORE', 'LIMIT', 0, most)) do
  local entry, number = string.match(member, '^(%d+):(%d+)$')
  local standing, until_ms = standing_of(o, claims, done, calls, starts, tonumber(entry), tonumber(number), now)
  if standing == 'ready' then
    call('ZADD', overdue, math.max(until_ms, now + PAUSE_MS), member)
  else
    call('ZREM', overdue, member)
    if standing == 'missed' then tell(is_over and 'uncalled' or 'missed', tonumber(entry), tonumber(number), 0) end
  end
end
return answer
