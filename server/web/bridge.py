"""Litestar speaks ASGI; granian also speaks RSGI, which costs a quarter less a request. This stands between the two."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from urllib.parse import quote

from granian import rsgi

Asgi = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class Headers(Protocol):
    """A request's headers; names in lower case. A value with other characters than ASCII's is left out."""

    def get(self, key: str, default: str = ...) -> str:
        """The first header of this name, or the default."""

    def items(self) -> Iterable[tuple[str, str]]:
        """All of them, in order."""


# What granian gives with each request (`Scope` and `HTTPProtocol` of `granian.rsgi`); it publishes no exact types.
Scope = Any
Exchange = Any
# The other side went away.
Gone: type[Exception] = rsgi.ProtocolClosed  # type: ignore[attr-defined]


async def over_asgi(app: Asgi, scope: Scope, exchange: Exchange) -> None:
    """Have an ASGI application answer an RSGI request.

    Bodies pass in pieces, as they come: whoever reads bounds them.
    """
    pieces = aiter(exchange)
    transport: Any = None
    over = asyncio.Event()
    started: dict[str, Any] = {}

    async def receive() -> dict[str, Any]:
        nonlocal pieces
        try:
            if pieces is not None:
                return {"type": "http.request", "body": await anext(pieces), "more_body": True}
        except StopAsyncIteration:
            pieces = None
            return {"type": "http.request", "body": b"", "more_body": False}
        except Gone:
            return {"type": "http.disconnect"}
        ends = [asyncio.ensure_future(end) for end in (_left(exchange), over.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal transport
        if message["type"] == "http.response.start":
            started.update(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if not more:
            over.set()
        try:
            if transport is None:
                status = started["status"]
                headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in started["headers"]]
                if not more:
                    exchange.response_bytes(status, headers, body)
                    return
                transport = exchange.response_stream(status, headers)
            if body:
                await transport.send_bytes(body)
        except Gone:  # nobody is there any more: `receive` says so, once it has its turn
            over.set()
            await asyncio.sleep(0)

    await app(_asgi_scope(scope), receive, send)


async def _left(exchange: Exchange) -> None:
    await exchange.client_disconnect()


def _asgi_scope(scope: Scope) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        "path": scope.path,
        "raw_path": quote(scope.path).encode(),
        "query_string": scope.query_string.encode("latin-1"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in scope.headers.items()],
        "client": _address(scope.client),
        "server": _address(scope.server),
        "state": {},
        "extensions": {},
    }


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port) if port.isdigit() else 0
