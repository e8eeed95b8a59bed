"""A run in figures: judged, compared, and shown."""
