"""Openings: joining, waiting, being called, coming in."""
