"""Messages on their way to phones."""
