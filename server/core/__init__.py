"""What everything stands on: the city, its clock, papers, keys and words. Knows no store."""
