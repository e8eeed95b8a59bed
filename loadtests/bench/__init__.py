"""Paired micro-benchmarks: each prints its figures side by side from one run (`python -m loadtests.bench --help`).

They look inside the server (the rehearsal does not: it is a client like any other), and assert nothing.
"""
