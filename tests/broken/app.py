"""A worker's application with the fault around it."""

from collections.abc import Awaitable, Callable
from typing import Any

from server.web.app import create_app as create_honest_app
from tests.broken.faults import Exchange, Fault, break_scripts, chosen

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def create_app() -> Any:
    """What granian calls in each worker."""
    fault = chosen()
    break_scripts(fault)
    return Broken(create_honest_app(), fault)


class Broken:
    """The application, whose answers a fault may change before they are sent."""

    def __init__(self, app: Any, fault: Fault) -> None:
        self._app, self._fault = app, fault

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        bearer = dict(scope["headers"]).get(b"authorization", b"").removeprefix(b"Bearer ")
        exchange = Exchange(scope["method"], scope["path"].removeprefix("/api/v1"), bearer)
        more = True
        while more:
            message = await receive()
            exchange.asked += message.get("body", b"")
            more = message.get("more_body", False)
        told = False

        async def listen() -> Any:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": exchange.asked, "more_body": False}

        async def say(message: Any) -> None:
            if message["type"] == "http.response.start":
                exchange.status, exchange.headers = message["status"], list(message["headers"])
            else:
                exchange.body += message.get("body", b"")

        await self._fault.before(exchange)
        await self._app(scope, listen, say)
        self._fault.after(exchange)
        headers = [(name, value) for name, value in exchange.headers if name.lower() != b"content-length"]
        if exchange.status != 204:
            headers.append((b"content-length", b"%d" % len(exchange.body)))
        await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
        await send({"type": "http.response.body", "body": exchange.body})
