"""Servers that break one promise each, for the rehearsal to catch: `python -m tests.broken up ...` with BROKEN=FAULT.

The server is the real one. Only what a fault needs is put around it (`faults.py`), at the two seams that do not move:
the scripts, whose keys are documented (`lua/README.md`), and the contract's answers over HTTP. There is no switch for
any of this in the server.
"""
