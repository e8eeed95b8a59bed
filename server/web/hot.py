"""The two calls of the crowd, join and poll, as plain ASGI in front of Litestar: no routing, no injection."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import msgspec
import structlog

from server.errors import Refusal
from server.registry import Applicant
from server.services import Services
from server.web.bodies import decode, read_body
from server.web.problems import Headers, language, render

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger()

_TICKET = "/api/v1/ticket"
_OPENINGS = "/api/v1/openings/"
_TICKETS = "/tickets"
_HEADERS: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_encoder = msgspec.json.Encoder()
_applicant = msgspec.json.Decoder(Applicant)


class HotCalls:
    """Answers join and poll, and hands everything else on.

    Args:
        app: the Litestar application.
        services: gives the services once they run.
    """

    def __init__(self, app: App, services: Callable[[], Services]) -> None:
        self._app = app
        self._services = services

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI."""
        if scope["type"] == "http":
            path, method = scope["path"], scope["method"]
            if path == _TICKET and method == "GET":
                return self._poll(scope, send)
            if method == "POST" and path.endswith(_TICKETS) and path.startswith(_OPENINGS):
                return self._join(path[len(_OPENINGS) : -len(_TICKETS)], scope, receive, send)
        return self._app(scope, receive, send)

    async def _poll(self, scope: Scope, send: Send) -> None:
        services = self._services()
        try:
            ticket = bearer(scope["headers"])
            status = services.room.poll(ticket) or await services.room.poll_called(ticket)
            body = _encoder.encode(status)
            services.metrics.tally("poll", status.state)
            code, headers = 200, _HEADERS
        except Exception as error:
            code, headers, body = _refuse(error, scope)
            services.metrics.tally("poll", _code_of(error))
        await _answer(send, code, headers, body)

    async def _join(self, district: str, scope: Scope, receive: Receive, send: Send) -> None:
        services = self._services()
        started = perf_counter()
        try:
            applicant = decode(_applicant, await read_body(scope["headers"], receive))
            place, fresh = await services.room.join(district, applicant)
            code, headers, body = 201 if fresh else 200, _HEADERS, _encoder.encode(place)
            services.metrics.observe("join", "joined" if fresh else "again", started)
        except Exception as error:
            code, headers, body = _refuse(error, scope)
            services.metrics.observe("join", _code_of(error), started)
        await _answer(send, code, headers, body)


async def _answer(send: Send, code: int, headers: Headers, body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": code,
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _refuse(error: Exception, scope: Scope) -> tuple[int, Headers, bytes]:
    if not isinstance(error, Refusal):
        log.exception("unexpected", call=scope["method"], error=type(error).__name__)
        error = Refusal("overloaded", retry_after_seconds=5)
    return render(error, language(header(scope["headers"], b"accept-language")))


def _code_of(error: Exception) -> str:
    return error.code if isinstance(error, Refusal) else "unexpected"


def header(headers: Any, name: bytes) -> str:
    """A header's value, or an empty string."""
    for key, value in headers:
        if key == name:
            return bytes(value).decode("latin-1")
    return ""


def bearer(headers: Any) -> bytes:
    """The token of an `Authorization: Bearer` header.

    Raises:
        Refusal: `unauthorized`.
    """
    for key, value in headers:
        if key == b"authorization" and value[:7].lower() == b"bearer ":
            return bytes(value[7:].strip())
    raise Refusal("unauthorized")
