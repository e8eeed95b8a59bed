"""The load generators: connections that serve whoever is due, in one process or in several."""
