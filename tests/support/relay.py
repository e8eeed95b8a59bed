"""A store behind a socket, reached by TCP or TLS; which store may change, as behind a name that moves."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class Relay:
    """Where new connections are led; those that are there stay where they are.

    Args:
        url: of the store (`unix://`).
    """

    def __init__(self, url: str) -> None:
        self.lead_to(url)

    def lead_to(self, url: str) -> None:
        """From now on to this store."""
        self.path = Path(url.removeprefix("unix://"))


@asynccontextmanager
async def listening(relay: Relay, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Its port."""
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_them = await asyncio.open_unix_connection(relay.path)
        both = [asyncio.create_task(pump(reader, to_them)), asyncio.create_task(pump(theirs, writer))]
        pumps.update(both)
        await asyncio.gather(*both)

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*pumps, return_exceptions=True)
