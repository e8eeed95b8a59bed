"""One run: what it is asked to do, the server it is held against, and how the load rises."""
