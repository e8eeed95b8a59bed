"""A store behind a socket, reached by TCP or TLS; which store may change, as behind a name that moves."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loadtests.faults.relay import Relay


class Name:
    """Where new connections are led; those that are there stay where they are.

    Args:
        url: of the store (`unix://`).
    """

    def __init__(self, url: str) -> None:
        self.lead_to(url)

    def lead_to(self, url: str) -> None:
        """From now on to this store."""
        self.path = url.removeprefix("unix://")


@asynccontextmanager
async def listening(name: Name, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Its port."""
    relay = Relay()
    try:
        yield await relay.listen(("127.0.0.1", 0), lambda: name.path, tls)
    finally:
        await relay.close()
