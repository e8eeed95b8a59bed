"""HTTP behaviour, call by call."""
