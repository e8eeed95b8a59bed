-- fix_draw: fix what the numbers of a draw follow from, and reveal its seed; the first one stays.
-- KEYS[1] opening    HASH   counters of the opening
-- ARGV[1] now_ms     int    0 = the store's TIME
-- ARGV[2] offset_ms  int    city time minus TIME
-- ARGV[3] root       str    the root that the key was made with
-- ARGV[4] signature  str    of the beacon's round, hex; empty = none
-- ARGV[5] no_beacon  str    why there is none; empty where there is, or where no beacon is named
-- ARGV[6] seed       str    hex
-- ARGV[7] draw_key   str    hex
-- RETURNS status     fixed | kept (another worker was first) | unbound (that is not its root) | absent
-- COST O(1)
local opening = KEYS[1]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local root, signature, no_beacon, seed, draw_key = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local o = load_opening(opening)
if not o then return 'absent' end
local bound, fixed, beacon = unpack(call('HMGET', opening, 'root', 'key', 'beacon'))
if bound ~= root then return 'unbound' end
if fixed then return 'kept' end
-- Who came back in time was told to come again, as late as the beacon is (`poll_after_draw_s` in
-- server/waiting_room/opening.py): no call's claim time starts before the last of them has looked.
local hold_ms = o.hold_ms
if beacon ~= '' and o.drawn > 0 then
  local late_ms = math.max(0, now - o.draw_ms)
  hold_ms = math.max(hold_ms, now + late_ms + OLDEST_ANSWER_MS + math.ceil(o.drawn * 1000 / o.poll_budget))
end
call('HSET', opening, 'signature', signature, 'no_beacon', no_beacon, 'seed', seed, 'key', draw_key,
  'settled', o.left == 0 and 1 or 0, 'hold_ms', string.format('%.0f', hold_ms))
call('HDEL', opening, 'sealed')
return 'fixed'
