"""Litestar speaks ASGI; granian also speaks RSGI, which costs a quarter less a request. This stands between the two."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Protocol
from urllib.parse import quote

from granian import rsgi

Asgi = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class RequestHeaders(Protocol):
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


async def over_asgi(
    app: Asgi, scope: Scope, exchange: Exchange, body: AsyncIterator[bytes]
) -> tuple[dict[str, Any], int]:
    """Have an ASGI application answer an RSGI request.

    HEAD is asked of it as GET, and answered without what follows the headers. An answer that does not say who may keep
    it may be kept by nobody: caches in front keep what is silent for minutes.

    Args:
        app: answers.
        scope: of the request.
        exchange: the request's other half.
        body: pieces of the request's body, as they come: whoever reads bounds them. Where it raises, what it raises
            reaches the reader.

    Returns:
        The request's ASGI scope, with what the application has noted in it, and the status; 0 where it has answered
        nothing.
    """
    asgi = _asgi_scope(scope)
    transport: Any = None
    over = asyncio.Event()
    started: dict[str, Any] = {}
    is_read = False

    async def receive() -> dict[str, Any]:
        nonlocal is_read
        try:
            if not is_read:
                return {"type": "http.request", "body": await anext(body), "more_body": True}
        except StopAsyncIteration:
            is_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        except Exception:
            is_read = True
            if not started:
                raise
            return {"type": "http.disconnect"}  # the answer is on its way: it is too late to say why
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
        piece, more = message.get("body", b""), message.get("more_body", False)
        if not more:
            over.set()
        try:
            if transport is None:
                status, headers = started["status"], _shown(started["headers"])
                if not more:
                    exchange.response_bytes(status, headers, piece)  # of HEAD granian sends the length only
                    return
                transport = exchange.response_stream(status, headers)
            if scope.method == "HEAD":
                over.set()
                await asyncio.sleep(0)
            elif piece:
                await transport.send_bytes(piece)
        except Gone:  # nobody is there any more: `receive` says so, once it has its turn
            over.set()
            await asyncio.sleep(0)

    await app(asgi, receive, send)
    return asgi, started.get("status", 0)


def _shown(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """An answer's headers as they go out."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
    names = {name for name, _ in headers}
    if "cache-control" not in names:
        headers.append(("cache-control", "no-store"))
    if "allow" in names:
        return [(name, _with_head(value) if name == "allow" else value) for name, value in headers]
    return headers


def _with_head(allow: str) -> str:
    methods = allow.replace(" ", "").split(",")
    return ", ".join(["GET", "HEAD", *(it for it in methods if it != "GET")] if "GET" in methods else methods)


async def _left(exchange: Exchange) -> None:
    await exchange.client_disconnect()


def _asgi_scope(scope: Scope) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": scope.http_version,
        "method": "GET" if scope.method == "HEAD" else scope.method,
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
