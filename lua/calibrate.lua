-- calibrate: make public how a wait becomes an interval, and keep what the next such figures follow from; of workers that
-- do it at the same moment the first one counts, so that all say the same.
-- KEYS[1] opening    HASH   counters of the opening
-- KEYS[2] promises   STRING what was told, and how it turned out
-- ARGV[1] before     str    the figures that these follow; empty: there were none
-- ARGV[2] promise    str    the figures
-- ARGV[3] kept       str    for `promises`
-- RETURNS status     calibrated | kept (another worker was first) | absent
-- COST O(1)
local opening, promises = KEYS[1], KEYS[2]
local before, promise, kept = ARGV[1], ARGV[2], ARGV[3]

local opens_ms, now_public = unpack(call('HMGET', opening, 'opens_ms', 'promise'))
if not opens_ms then return 'absent' end
if (now_public or '') ~= before then return 'kept' end
call('HSET', opening, 'promise', promise)
call('SET', promises, kept)
return 'calibrated'
