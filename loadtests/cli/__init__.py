"""The commands, and the process that holds a rehearsal."""
