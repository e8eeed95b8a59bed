-- ask_alerts: the holder of a place is to be told of its call, or is not any more; again changes nothing but the language.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] places     HASH   resident key -> entry
-- KEYS[3] alerts     HASH   entry -> resident key and language of who is to be told
-- KEYS[4] soon       ZSET   entries to be told that their call is near: score = number, -1 - entry while it is not known
-- KEYS[5] turns      ZSET   entries to be told of their call: score = number
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] resident   bytes  16-byte resident key
-- ARGV[4] entry      int    the place
-- ARGV[5] number     int    its number, 0 while the caller does not know it
-- ARGV[6] lang       str    in which language; empty: they want to be told nothing any more
-- ARGV[7] most       int    so many places of an opening are told at most
-- RETURNS status     asked | withdrawn | called (it is their turn, or was) | full | other (the place is not theirs) | ended | absent
-- COST O(log places to be told)
local opening, places, alerts, soon, turns = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local resident, entry, number, lang, most = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])

local o = load_opening(opening)
if not o then return 'absent' end
if now >= o.closes_ms then return 'ended' end
if tonumber(call('HGET', places, resident)) ~= entry then return 'other' end
if lang == '' then
  call('HDEL', alerts, entry)
  call('ZREM', soon, entry)
  call('ZREM', turns, entry)
  return 'withdrawn'
end
if number > 0 and number <= o.serving then return 'called' end
local is_new = call('HEXISTS', alerts, entry) == 0
if is_new and call('HLEN', alerts) >= most then return 'full' end
call('HSET', alerts, entry, resident .. lang)
if is_new then
  call('ZADD', soon, number > 0 and number or -1 - entry, entry)
  -- Workers look after openings that have any (`due_alerts`).
  call('HSET', opening, 'alerts', 1)
end
return 'asked'
