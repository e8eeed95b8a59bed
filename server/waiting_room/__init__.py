"""An opening: joining, polling, claiming, and what is told of the wait."""
