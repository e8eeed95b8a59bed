"""Whether the workers on the public listener answer: asked by the one that has a listener of its own."""

import asyncio

from server.core.errors import Refusal

_PATIENCE_SECONDS = 2.0
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"


class PublicWorkers:
    """Those on the public listener, asked as anybody would ask them.

    Args:
        address: HOST:PORT, where this machine reaches them.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host.removeprefix("[").removesuffix("]"), int(port)
        self._request = _REQUEST % address.encode()

    async def answer(self) -> None:
        """One of them answers that it is alive, which a worker does that is full, too.

        Raises:
            Refusal: `overloaded`: none does, in time.
        """
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    writer.write(self._request)
                    status = (await reader.readline()).split()
                finally:
                    writer.close()
        except OSError:  # a timeout is one
            status = []
        if status[1:2] != [b"200"]:
            raise Refusal("overloaded", retry_after_seconds=3, reason="workers")
