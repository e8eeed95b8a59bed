-- defer: a pointer of the outbox is to be looked at again later.
-- KEYS[1] outbox   STREAM pointers to residents who are owed a message
-- KEYS[2] later    ZSET   pointers to be looked at later: score = due ms, member = pointer|tries|resident key
-- ARGV[1] entry    str    id in the stream
-- ARGV[2] due_ms   int    when
-- ARGV[3] pointer  bytes  as its member
-- RETURNS deferred int    1
-- COST O(log pointers)
local outbox, later = KEYS[1], KEYS[2]
local entry, due_ms, pointer = ARGV[1], tonumber(ARGV[2]), ARGV[3]

call('ZADD', later, due_ms, pointer)
call('XACK', outbox, 'gateway', entry)
call('XDEL', outbox, entry)
return 1
