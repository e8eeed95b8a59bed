-- more_time: more time for who has been called, once a place; nobody else waits longer than the cap makes them.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] places     HASH   resident key -> entry
-- KEYS[3] done       BITMAP numbers claimed or left
-- KEYS[4] calls      ZSET   call steps that can still be claimed
-- KEYS[5] claims     HASH   entry -> resident key and pass expiry
-- KEYS[6] leavers    HASH   resident key -> how many places they have given up
-- KEYS[7] starts     ZSET   number -> from when on its own claim time counts, later than its call
-- KEYS[8] longer     BITMAP numbers that have had more time
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] resident   bytes  16-byte resident key
-- ARGV[4] entry      int    the place
-- ARGV[5] number     int    its number
-- ARGV[6] more_ms    int    so much
-- RETURNS {outcome, until_ms}  outcome: extended | ready (they have had it) | waiting | claimed | lapsed | used | missed | left |
--         lost (a roll-back: the place is not theirs) | absent
-- COST O(log call steps)
local opening, places, done, calls, claims, leavers, starts, longer = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local resident, entry, number, more_ms = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local o = load_opening(opening)
if not o then return {'absent', 0} end
local outcome, until_ms = standing_for(o, places, leavers, claims, done, calls, starts, entry, number, resident, now)
if outcome == 'ready' and more_ms > 0 and call('SETBIT', longer, number, 1) == 0 then
  local start = until_ms - o.claim_ms + more_ms
  call('ZADD', starts, 'GT', start, number)
  outcome, until_ms = 'extended', claim_deadline(o, start, now)
end
return {outcome, until_ms}
