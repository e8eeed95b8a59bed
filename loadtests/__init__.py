"""The rehearsal: a synthetic city at the door of an opening, and the audit of what it was promised.

A client like any other: it knows the contract (HTTP, files, the draw) and, for the audit alone,
the documented keys of the store. It imports nothing of the product.
"""
