-- bury: a pointer whose message cannot be sent becomes a dead letter, for an operator to look at.
-- KEYS[1] outbox  STREAM pointers to residents who are owed a message
-- KEYS[2] dead    HASH   pointer -> what is known of the message, without name or phone
-- ARGV[1] entry   str    id in the stream
-- ARGV[2] pointer str    the pointer
-- ARGV[3] letter  bytes  what is known
-- RETURNS buried  int    1
-- COST O(1)
local outbox, dead = KEYS[1], KEYS[2]
local entry, pointer, letter = ARGV[1], ARGV[2], ARGV[3]

call('HSET', dead, pointer, letter)
call('XACK', outbox, 'gateway', entry)
call('XDEL', outbox, entry)
return 1
