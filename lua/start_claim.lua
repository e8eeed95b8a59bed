-- start_claim: how a place stands whose holder is about to be told, or has been. Where its claim time counts from the message,
-- it counts from now on, at the latest from `latest`; what was told before is only ever extended.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] places     HASH   resident key -> entry
-- KEYS[3] done       BITMAP numbers claimed or left
-- KEYS[4] calls      ZSET   call steps that can still be claimed
-- KEYS[5] claims     HASH   entry -> resident key and pass expiry
-- KEYS[6] leavers    HASH   resident key -> how many places they have given up
-- KEYS[7] starts     ZSET   number -> from when on its own claim time counts, later than its call
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] resident   bytes  16-byte resident key
-- ARGV[4] entry      int    the place
-- ARGV[5] number     int    its number
-- ARGV[6] latest     int    in ms; 0: its claim time counts from its call, as everybody's
-- RETURNS {standing, until_ms}  standing: waiting | ready | claimed | lapsed | used | missed | left |
--         lost (a roll-back: the place is not theirs) | absent
-- COST O(log call steps)
local opening, places, done, calls, claims, leavers, starts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local resident, entry, number, latest = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local o = load_opening(opening)
if not o then return {'absent', 0} end
local standing, until_ms = standing_for(o, places, leavers, claims, done, calls, starts, entry, number, resident, now)
local start = math.min(now, latest)
local later_ms = claim_deadline(o, start, now)
if standing == 'ready' and later_ms > until_ms then
  call('ZADD', starts, 'GT', start, number)
  until_ms = later_ms
end
return {standing, until_ms}
