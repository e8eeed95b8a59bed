"""A worker's application with the fault around it."""

from collections.abc import AsyncIterator
from typing import Any

from server.web.app import create_app as create_honest_app
from tests.broken.faults import Exchange, Fault, break_scripts, chosen


def create_app() -> Any:
    """What granian calls in each worker."""
    fault = chosen()
    break_scripts(fault)
    return Broken(create_honest_app(), fault)


class Broken:
    """The application, whose answers a fault may change before they are sent."""

    def __init__(self, app: Any, fault: Fault) -> None:
        self._app, self._fault = app, fault

    def __rsgi_init__(self, loop: Any) -> None:
        self._app.__rsgi_init__(loop)

    def __rsgi_del__(self, loop: Any) -> None:
        self._app.__rsgi_del__(loop)

    async def __rsgi__(self, scope: Any, theirs: Any) -> None:
        if not scope.path.startswith("/api/"):
            await self._app.__rsgi__(scope, theirs)
            return
        bearer = scope.headers.get("authorization", "").removeprefix("Bearer ").encode()
        exchange = Exchange(scope.method, scope.path.removeprefix("/api/v1"), bearer)
        exchange.asked = await theirs()
        await self._fault.before(exchange)
        if not exchange.status:  # else the fault has answered, and nothing is done
            await self._app.__rsgi__(scope, _Held(exchange, theirs))
        self._fault.after(exchange)
        headers = [(name, value) for name, value in exchange.headers if name.lower() != "content-length"]
        theirs.response_bytes(exchange.status, headers, exchange.body)


class _Held:
    """What the application sees of an exchange: its body has been read, and its answer is held back."""

    def __init__(self, exchange: Exchange, theirs: Any) -> None:
        self._exchange, self._theirs = exchange, theirs

    async def __call__(self) -> bytes:
        return self._exchange.asked

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._exchange.asked

    async def client_disconnect(self) -> None:
        await self._theirs.client_disconnect()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self._exchange.status, self._exchange.headers, self._exchange.body = status, list(headers), body

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> "_Held":
        self._exchange.status, self._exchange.headers = status, list(headers)
        return self

    async def send_bytes(self, data: bytes) -> None:
        self._exchange.body += data
