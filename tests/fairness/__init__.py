"""Draw, allotment, result file and verification: pure, no store."""
