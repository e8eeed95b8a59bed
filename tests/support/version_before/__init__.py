"""A small city's store as the version before left it, and what that version answered for it."""
