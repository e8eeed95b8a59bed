"""Slots, desks and the doses given there."""
