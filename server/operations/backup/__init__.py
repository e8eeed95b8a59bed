"""Backups: the whole store as it was at one moment, encrypted, checked, and put back without minting a number twice."""
