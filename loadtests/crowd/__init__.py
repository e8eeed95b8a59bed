"""Who comes, from where, when, and on which networks."""
