-- commit_night: fix the seed of a district's night to come, sealed, where it has none yet.
-- KEYS[1] night       HASH   a district's night: its seed, fence, what each step has brought
-- ARGV[1] commitment  str    hex SHA-256 of the seed
-- ARGV[2] sealed      str    the seed, sealed
-- RETURNS committed   int    1, or 0 where it has one
-- COST O(1)
local night = KEYS[1]
local commitment, sealed = ARGV[1], ARGV[2]

return commit_seed(night, commitment, sealed) and 1 or 0
