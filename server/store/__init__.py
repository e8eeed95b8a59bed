"""The store: one method per Lua script, and nothing that knows a rule."""

from server.store.coalescer import Coalescer
from server.store.store import Store, connect

__all__ = ["Coalescer", "Store", "connect"]
