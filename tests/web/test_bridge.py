"""What Litestar answers reaches who asked through RSGI, and who has left keeps nothing running."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from server.web.bridge import Gone, over_asgi

SCOPE = SimpleNamespace(
    http_version="1.1", method="GET", scheme="http", path="/", query_string="", client="127.0.0.1:1", server="[::1]:80",
    headers=SimpleNamespace(items=lambda: [("host", "x")]),
)  # fmt: skip


class Exchange:
    """One whose other side leaves after so many pieces."""

    def __init__(self, pieces: int) -> None:
        self._left = pieces
        self.body = b""

    async def __aiter__(self) -> Any:
        yield b"asked"

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> "Exchange":
        return self

    async def send_bytes(self, data: bytes) -> None:
        if not self._left:
            raise Gone
        self._left -= 1
        self.body += data


@pytest.mark.parametrize(("pieces", "sent"), [(10, 4), (2, 3)])
async def test_a_stream_ends_when_it_is_done_and_when_nobody_is_there(pieces: int, sent: int) -> None:
    tries = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal tries

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        listening = asyncio.create_task(listen())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while tries < 4 and not listening.done():
            tries += 1
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            for _ in range(10):  # the listener has its turn
                await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})
        await listening

    exchange = Exchange(pieces)
    async with asyncio.timeout(30):
        await over_asgi(app, SCOPE, exchange, aiter(exchange))
    assert (tries, exchange.body) == (sent, b"x" * min(sent, pieces))
