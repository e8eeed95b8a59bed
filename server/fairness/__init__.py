"""Draw, allotment, Merkle tree, result file and their verification: pure functions, no store, no clock."""
