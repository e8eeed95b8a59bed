"""The server beside others that do the same work: `python -m loadtests.bench peers`."""
