"""The store: the connection to it, and what every feature shares of it; each feature has its own small store."""
