-- prepare: put today's opening in the store; until somebody has joined it follows the city file, then it stays.
-- KEYS[1] opening      HASH   the opening: timetable, policy, seed, counters
-- KEYS[2] night        HASH   the district's night of that date: its seed is fixed before anybody registers
-- ARGV[1] opens_ms     int    start of the window and of the draw
-- ARGV[2] draw_ms      int    end of the draw
-- ARGV[3] closes_ms    int    end of the window
-- ARGV[4] claim_ms     int    how long a called number may be claimed
-- ARGV[5] pass_ms      int    how long a pass lives
-- ARGV[6] grace_ms     int    how long a pass may outlive the window
-- ARGV[7] poll_budget  float  so many look each second when the draw is over
-- ARGV[8] rate         float  calls a second
-- ARGV[9] max_active   int    passes alive or reserved at most
-- ARGV[10] beacon      str    the chain that the draw is bound to; empty = none
-- ARGV[11] commitment  str    hex SHA-256 of the draw's seed; the first one given stays
-- ARGV[12] sealed      str    the seed, sealed; likewise
-- ARGV[13] night_commitment  str  hex SHA-256 of the night's seed; likewise; empty = none (it goes with the day's first opening)
-- ARGV[14] night_sealed      str  the night's seed, sealed; likewise
-- RETURNS status       prepared | kept
-- COST O(1)
local opening, night = KEYS[1], KEYS[2]
local rate, max_active, beacon, commitment, sealed = ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local night_commitment, night_sealed = ARGV[13], ARGV[14]
local draw_ms, closes_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
assert(tonumber(ARGV[1]) < draw_ms and draw_ms <= closes_ms, 'an opening opens, draws and closes, in this order')
assert(tonumber(ARGV[7]) > 0 and tonumber(rate) >= 0 and tonumber(max_active) >= 0, 'rates and caps are positive')

if night_commitment ~= '' then commit_seed(night, night_commitment, night_sealed) end
local timetable = {
  'opens_ms', ARGV[1], 'draw_ms', ARGV[2], 'closes_ms', ARGV[3],
  'claim_ms', ARGV[4], 'pass_ms', ARGV[5], 'grace_ms', ARGV[6], 'poll_budget', ARGV[7],
}
local known, version, issued, adjusted, drawn =
  unpack(call('HMGET', opening, 'opens_ms', 'version', 'issued', 'adjusted', 'drawn'))
if not known then
  call('HSET', opening, 'version', 2, 'commitment', commitment, 'sealed', sealed, 'beacon', beacon,
    'rate', rate, 'max_active', max_active, 'paused', 0, 'message', '',
    'issued', 0, 'settled', 0, 'serving', 0, 'called', 0, 'claimed', 0, 'missed', 0, 'missed_to', 0,
    'left', 0, 'left_called', 0, 'credit', 0, 'last_ms', draw_ms, 'hold_ms', 0, 'adjusted', 0, unpack(timetable))
  return 'prepared'
end
if issued ~= '0' or drawn then return 'kept' end
call('HSET', opening, 'last_ms', draw_ms, unpack(timetable))
if version then call('HSET', opening, 'beacon', beacon) end
if adjusted == '0' then call('HSET', opening, 'rate', rate, 'max_active', max_active) end
return 'prepared'
