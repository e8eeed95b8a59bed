"""Many partitions and failovers: whether what was acknowledged in them is kept, and for how long nothing is."""
