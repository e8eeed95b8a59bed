"""Slots and who has them: rosters, the desk, sites, and what the registry corrects."""
