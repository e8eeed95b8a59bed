"""Faults of the machine, injected into a rehearsal's own server."""
