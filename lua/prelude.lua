-- prelude: what the scripts share; the loader puts it before each of them.

local call = redis.call

-- Fields of the opening, all numbers; `drawn` is absent until the draw has closed.
local FIELDS = {
  'opens_ms', 'draw_ms', 'closes_ms', 'claim_ms', 'pass_ms', 'grace_ms', 'poll_budget',
  'rate', 'max_active', 'paused', 'issued', 'drawn', 'settled', 'serving', 'called', 'claimed',
  'missed', 'missed_to', 'left', 'left_called', 'credit', 'last_ms', 'hold_ms', 'held_ms', 'claimed_seen',
}

-- So many places an opening gives: a registration number has seven digits for the entry (server/core/keys.py).
local MOST_PLACES = 10000000

-- A public answer lives a second, and a cache may go on giving it for ten more (server/waiting_room/opening.py).
local OLDEST_ANSWER_MS = 11000

-- A node that has taken over, or was started again, gives nothing for so long: the workers tell it several times a second
-- how far they had been told (`advance`), and it may have lost the last writes.
local HELD_MS = 1000

-- The one clock: what a test passes in, or the store's TIME moved by the city's offset.
local function clock(now_ms, offset_ms)
  if now_ms > 0 then return now_ms end
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000) + offset_ms
end

-- The opening as a table of numbers (but for `primary`), or nil when it has not been prepared.
local function load_opening(key)
  local values = call('HMGET', key, 'primary', unpack(FIELDS))
  if not values[2] then return nil end
  local o = {primary = values[1] or nil}
  for i, field in ipairs(FIELDS) do o[field] = tonumber(values[i + 1]) end
  o.held_ms, o.claimed_seen = o.held_ms or 0, o.claimed_seen or 0
  return o
end

-- Fixes the seed of a district's night, sealed, where it has none yet; whether it had none. A night that the version before
-- has begun has its seed in clear.
local function commit_seed(key, commitment, sealed)
  if call('HEXISTS', key, 'seed') == 1 or call('HSETNX', key, 'commitment', commitment) == 0 then return false end
  call('HSET', key, 'sealed', sealed)
  return true
end

-- Whether this node has just become the primary, or was started: then nobody new gets a place, a pass or a call yet.
-- Replication gives each primary a name of its own; the opening has the one under which it was last written.
local function is_held(key, o, now)
  local primary = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
  if primary ~= o.primary then
    o.held_ms = o.primary and now + HELD_MS or 0
    o.primary, o.claimed_seen = primary, 0
    call('HSET', key, 'primary', primary, 'held_ms', o.held_ms, 'claimed_seen', 0)
  end
  return now < o.held_ms and now >= o.held_ms - HELD_MS
end

-- So many places have been given, as was told: a store that knows of fewer was rolled back, and does not give these
-- again. They are a gap: nobody's, until their holders show their tickets (`rejoin`).
local function give_no_fewer(key, o, issued)
  issued = math.min(issued, MOST_PLACES)
  if issued <= o.issued then return end
  local gaps = call('HGET', key, 'gaps') or ''
  call('HSET', key, 'issued', issued, 'gaps', gaps .. string.format('%.0f-%.0f ', o.issued, issued - 1))
  call('HINCRBY', key, 'rollbacks', 1)
  o.issued = issued
end

-- Fixes N: from now on the numbers are known. Everyone in the draw was told to come back at draw_ms + entry / poll_budget
-- (`poll_after_draw_s` in server/waiting_room/opening.py), or looks at the public answer after as long, which a cache may
-- have kept for OLDEST_ANSWER_MS: no call's claim time starts before the last of them has looked (hold_ms).
local function fix_draw(key, o, drawn)
  o.drawn = drawn
  -- From the draw's second version on nobody's number is known before its key is (fix_draw.lua).
  o.settled = o.left == 0 and not call('HGET', key, 'version') and 1 or 0
  o.hold_ms = o.draw_ms
  if drawn > 0 then o.hold_ms = o.draw_ms + OLDEST_ANSWER_MS + math.ceil(drawn * 1000 / o.poll_budget) end
  call('HSET', key, 'drawn', o.drawn, 'settled', o.settled, 'hold_ms', o.hold_ms)
end

-- At the first look after the draw's time, whichever script that is: nobody can slip in late.
local function close_draw_when_due(key, o, now)
  if not o.drawn and now >= o.draw_ms and not is_held(key, o, now) then fix_draw(key, o, o.issued) end
end

-- Called and neither claimed, missed nor left: each has a pass reserved.
local function pending(o)
  return o.called - o.claimed - o.missed - o.left_called
end

-- Until when a number called at `called_ms` may be claimed, and whether that is over: nobody misses their turn in a
-- pause, so what was told is only ever extended.
local function claim_deadline(o, called_ms, now)
  local deadline = math.min(math.max(called_ms, o.hold_ms) + o.claim_ms, o.closes_ms)
  return deadline, deadline <= now and (o.paused == 0 or now >= o.closes_ms)
end

-- What a token bucket of this rate holds: one second's calls (at least one), so that a store that was away brings no
-- flood; at rate 0 nobody is called.
local function burst(rate)
  return rate > 0 and math.max(rate, 1) or 0
end

-- What has become of a place whose number is known:
-- waiting | ready (until) | claimed (pass until) | lapsed (pass was until) | used | missed | left
-- The claim time of some counts from later than their call (`starts`).
local function standing_of(o, claims, done, calls, starts, entry, number, now)
  local claim = call('HGET', claims, entry)
  if claim then
    local expires = tonumber(string.sub(claim, 17))
    if expires == 0 then return 'used', 0 end
    return expires > now and 'claimed' or 'lapsed', expires
  end
  if call('GETBIT', done, number) == 1 then return 'left', 0 end
  if number > o.serving then return 'waiting', 0 end
  local step = number > o.missed_to and call('ZRANGE', calls, number, '+inf', 'BYSCORE', 'LIMIT', 0, 1)[1]
  local own = call('ZSCORE', starts, number)
  if not step and not own then return 'missed', 0 end
  local called_ms = step and tonumber(string.match(step, ':(%d+)$')) or 0
  local deadline, over = claim_deadline(o, math.max(called_ms, tonumber(own or 0)), now)
  if over then return 'missed', 0 end
  return 'ready', deadline
end

-- The same for who shows a ticket or a pass: two of them may be signed for one entry, where a roll-back has made the
-- store forget the first. Also: lost (it is not theirs; they may have no place at all)
local function standing_for(o, places, leavers, claims, done, calls, starts, entry, number, resident, now)
  local standing, until_ms = standing_of(o, claims, done, calls, starts, entry, number, now)
  local claim = call('HGET', claims, entry)
  local mine = claim and string.sub(claim, 1, 16) == resident
  if mine or standing == 'left' then return standing, until_ms end
  local held = tonumber(call('HGET', places, resident))
  -- Replaced by a place further back; only a clock set back, a longer hold or a roll-back brings the old one here again.
  if held and held ~= entry then return 'missed', 0 end
  if claim then return 'lost', 0 end
  if held then return standing, until_ms end
  return call('HEXISTS', leavers, resident) == 1 and 'left' or 'lost', 0
end

-- One line of a resident's history, which is the audit log of their registrations: who made what of it, when and why.
local function note(history, now, no, state, actor, why)
  call('RPUSH', history, cjson.encode({now, no, state, actor, why}))
end

-- A message is owed to the resident, from the same moment as the event it tells of is true. What carries it out of here
-- (the district's outbox) is derived from this and may be lost or doubled; `not_before` in ms, 0 = at once.
local function owe(owed, now, kind, no, not_before, about)
  local seq = call('HINCRBY', owed, 'last', 1)
  call('HSET', owed, seq, cjson.encode({kind, no, now, not_before, about}))
end
