"""The night: its run and its steps, what goes in, and what is published."""
