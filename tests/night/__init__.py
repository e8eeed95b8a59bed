"""The night's allotment on a store."""
