"""The calls of the crowd, each made by everyone, in front of Litestar: no routing, no injection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import Context
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias

import msgspec
import structlog
from litestar import Litestar

from server.core.errors import Refusal
from server.core.keys import is_registration_no
from server.core.languages import language, of_two
from server.records.registration import WishesAndConsent
from server.registry.registry import Applicant
from server.services import Services
from server.waiting_room.joining import TicketIssued
from server.waiting_room.polling import Called, TicketStatus
from server.web.bodies import decode, is_short, read_body
from server.web.bridge import Exchange, RequestHeaders, Scope
from server.web.connections import CLOSE, Connections, Ending
from server.web.incoming import ComingBody, Incoming, Patience, come
from server.web.measured import expect_calls, measured, word_of
from server.web.problems import bearer, render
from server.web.public_opening import PublicOpenings
from server.web.qr import qr_svg

log = structlog.get_logger()

_API = "/api/v1"
_READING = ("GET", "HEAD")
_TICKET = f"{_API}/ticket"
_PASSES = f"{_API}/passes"
_REGISTRATIONS = f"{_API}/registrations"
_QR = (f"{_API}/registrations/", "/qr.svg")
_OPENING = f"{_API}/openings/"
_TICKETS = (_OPENING, "/tickets")
_ALIVE = "/healthz"
_LATER = float("inf")
_HEADERS = [("content-type", "application/json"), ("cache-control", "no-store")]
_LAST_HEADERS = [*_HEADERS, CLOSE]
_QR_HEADERS = [
    ("content-type", "image/svg+xml"),
    ("cache-control", "public, max-age=86400, immutable"),
    ("content-security-policy", "default-src 'none'"),
]
_encode = msgspec.json.Encoder().encode
_applicant = msgspec.json.Decoder(Applicant)
_wishes = msgspec.json.Decoder(WishesAndConsent)

# Status, what is told, and the word under which it is counted.
_Told: TypeAlias = tuple[int, Any, str]
# Gives a request's body, or says why there is none.
_Reading: TypeAlias = Callable[[], Awaitable[bytes]]


class PassView(msgspec.Struct):
    """`POST /passes`."""

    pass_: str = msgspec.field(name="pass")
    expires_at: datetime


class HotCalls:
    """The application as granian runs it (RSGI): answers the crowd's calls itself, and hands everything else on.

    Args:
        litestar: answers everything else.
        run: gives the running services.
        patience: how long to wait for bodies.
        connections: which of them to end.
    """

    def __init__(
        self,
        litestar: Litestar,
        run: Callable[[], AbstractAsyncContextManager[Services]],
        patience: Patience,
        connections: Connections,
    ) -> None:
        self._litestar = litestar
        self._run = run
        self._patience = patience
        self._connections = litestar.state.connections = connections
        self._life = AsyncExitStack()
        self._services: Services
        self._openings: PublicOpenings
        self._loop: asyncio.AbstractEventLoop
        self._tell_ready: Callable[[], None] | None = None
        self._context = Context()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Requests can be answered."""
        async with self._run() as services:
            self._services = self._litestar.state.services = services
            self._openings = PublicOpenings(services)
            expect_calls(services.metrics, self._litestar)
            self._loop = asyncio.get_running_loop()
            watches = [self._patience.watch(), self._connections.watch(services.metrics)]
            if self._tell_ready is not None:
                watches.append(services.tell_when_ready(self._tell_ready))
            tasks = [asyncio.create_task(watch) for watch in watches]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    def when_ready(self, tell: Callable[[], None]) -> None:
        """Have `tell` called once the store has been heard of: an old worker is kept until then."""
        self._tell_ready = tell

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self._life.enter_async_context(self.running()))

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self._life.aclose())

    def at_once(self, scope: Scope, exchange: Exchange) -> bool:
        """Answer what needs neither the store nor a body, and begin the crowd's other calls; False for all else.

        Granian's own thread calls this, beside the event loop's: see `server.cli.granian_hooks`.
        """
        path, method = scope.path, scope.method
        if self._connections.is_near:
            if self._connections.is_full and path != _ALIVE:
                self._connections.refuse(exchange, self._language_of(scope.headers))
                return True
            exchange = Ending(exchange)
        if method in _READING:
            if path == _TICKET:
                headers = scope.headers
                if called := self._poll_at_once(headers, exchange):
                    self._begin(self._poll_called(called, headers, exchange))
                return True
            if path.startswith(_OPENING) and path.find("/", len(_OPENING)) < 0:
                self._show_opening(path[len(_OPENING) :], scope.headers, exchange)
                return True
            if path.endswith(_QR[1]) and path.startswith(_QR[0]):
                self._draw_qr(path[len(_QR[0]) : -len(_QR[1])], scope.headers, exchange)
                return True
        elif method == "POST":
            headers = scope.headers
            if path == _PASSES:
                self._begin(self._answer("claim", self._claim(headers), headers, exchange))
                return True
            if path == _REGISTRATIONS or (path.endswith(_TICKETS[1]) and path.startswith(_OPENING)):
                if is_short(headers):
                    coming = exchange()
                    self._patience.expect(coming)
                    coming.add_done_callback(partial(self._has_come, path, headers, exchange), context=self._context)
                    return True
        return False

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._loop.call_soon_threadsafe(self._loop.create_task, work)

    def _has_come(self, path: str, headers: RequestHeaders, exchange: Exchange, body: ComingBody) -> None:
        """Go on with a request whose body was read before the event loop heard of it: it is woken once for both."""
        self._patience.forget(body)
        self._loop.create_task(self._answer_to(path, headers, exchange, partial(come, body)))

    def _answer_to(
        self, path: str, headers: RequestHeaders, exchange: Exchange, read: _Reading
    ) -> Coroutine[Any, Any, None]:
        if path == _REGISTRATIONS:
            return self._answer("register", self._register(headers, read), headers, exchange)
        district = path[len(_TICKETS[0]) : -len(_TICKETS[1])]
        return self._answer("join", self._join(district, read), headers, exchange)

    def __rsgi__(self, scope: Scope, exchange: Exchange) -> Awaitable[None]:
        path, method = scope.path, scope.method
        if self._connections.is_near:
            exchange = Ending(exchange)
        if method in _READING:  # of HEAD granian sends the headers only
            if path == _TICKET:
                return self._poll(scope.headers, exchange)
            if path.startswith(_OPENING) and path.find("/", len(_OPENING)) < 0:
                return _soon(self._show_opening, path[len(_OPENING) :], scope.headers, exchange)
            if path.startswith(_QR[0]) and path.endswith(_QR[1]):
                return _soon(self._draw_qr, path[len(_QR[0]) : -len(_QR[1])], scope.headers, exchange)
        elif method == "POST":
            headers = scope.headers
            if path == _PASSES:
                return self._answer("claim", self._claim(headers), headers, exchange)
            if path == _REGISTRATIONS or (path.endswith(_TICKETS[1]) and path.startswith(_TICKETS[0])):
                return self._answer_to(path, headers, exchange, partial(read_body, headers, exchange, self._patience))
        body = Incoming(scope.headers, exchange, self._patience)
        return measured(self._services.metrics, self._litestar, scope, exchange, body)

    async def _answer(self, call: str, work: Awaitable[_Told], headers: RequestHeaders, exchange: Exchange) -> None:
        started = perf_counter()
        try:
            status, told, word = await work
            shown, body = _HEADERS, _encode(told)
            if isinstance(told, TicketIssued):
                shown = self._headers_for(told, headers)
        except Exception as error:
            word = word_of(error)
            status, shown, body = self._refuse(error, call, headers)
        self._services.metrics.observe(call, word, started)
        exchange.response_bytes(status, shown, body)

    async def _join(self, district: str, read: _Reading) -> _Told:
        applicant = decode(_applicant, await read())
        place, fresh = await self._services.room.join(district, applicant)
        return (201, place, "joined") if fresh else (200, place, "again")

    def _poll_at_once(self, headers: RequestHeaders, exchange: Exchange) -> Called | None:
        """Answer a poll from memory, or say that it has been called, which is for `_poll_called`."""
        told: TicketStatus | Called | Exception
        try:
            told = self._services.room.poll(bearer(headers.get("authorization", "")))
        except Exception as error:
            told = error
        if isinstance(told, Called):
            return told
        self._answer_poll(told, headers, exchange)
        return None

    async def _poll_called(self, called: Called, headers: RequestHeaders, exchange: Exchange) -> None:
        told: TicketStatus | Exception
        try:
            told = await self._services.room.poll_called(called)
        except Exception as error:
            told = error
        self._answer_poll(told, headers, exchange)

    def _answer_poll(self, told: TicketStatus | Exception, headers: RequestHeaders, exchange: Exchange) -> None:
        if isinstance(told, Exception):
            status, shown, body = self._refuse(told, "poll", headers)
            word = word_of(told)
        else:
            status, shown, body, word = 200, self._headers_for(told, headers), _encode(told), told.state
        self._services.metrics.tally("poll", word)
        exchange.response_bytes(status, shown, body)

    async def _poll(self, headers: RequestHeaders, exchange: Exchange) -> None:
        if called := self._poll_at_once(headers, exchange):
            await self._poll_called(called, headers, exchange)

    def _show_opening(self, district: str, headers: RequestHeaders, exchange: Exchange) -> None:
        known = headers.get("if-none-match", "")
        try:
            status, shown, body, word = self._openings.answer(district, known)
            # Whoever has an earlier answer waits, and most of those who wait are far; it is not known who asks.
            if known and self._connections.lets_go(_LATER, headers):
                shown = [*shown, CLOSE]
        except Exception as error:
            status, shown, body = self._refuse(error, "openings", headers)
            word = word_of(error)
        self._services.metrics.tally("openings", word)
        exchange.response_bytes(status, shown, body)

    async def _claim(self, headers: RequestHeaders) -> _Told:
        text, expires_at, fresh = await self._services.room.claim(bearer(headers.get("authorization", "")))
        view = PassView(text, expires_at)
        return (201, view, "claimed") if fresh else (200, view, "again")

    async def _register(self, headers: RequestHeaders, read: _Reading) -> _Told:
        services = self._services
        pass_, _ = services.room.read_pass(bearer(headers.get("authorization", "")))  # before the body is looked at
        wishes = decode(_wishes, await read())
        lang = of_two(self._language_of(headers))
        told, fresh = await services.registrations.register(pass_, wishes, lang)
        return (201, told, "registered") if fresh else (200, told, "again")

    def _draw_qr(self, no: str, headers: RequestHeaders, exchange: Exchange) -> None:
        # Only draws the number it was given: it says nothing about whether there is such a registration.
        good = (200, _QR_HEADERS, qr_svg(no)) if is_registration_no(no) else None
        self._services.metrics.tally("qr", "ok" if good else "not-found")
        exchange.response_bytes(*(good or self._refuse(Refusal("not-found"), "qr", headers)))

    def _refuse(self, error: Exception, call: str, headers: RequestHeaders) -> tuple[int, list[tuple[str, str]], bytes]:
        if not isinstance(error, Refusal):
            log.exception("unexpected", call=call, error=type(error).__name__)
            error = Refusal("overloaded", retry_after_seconds=5)
        status, shown, body = render(error, self._language_of(headers))
        if self._connections.lets_go(error.retry_after_seconds, headers):
            shown.append(CLOSE)
        return status, shown, body

    def _headers_for(self, told: TicketIssued | TicketStatus, headers: RequestHeaders) -> list[tuple[str, str]]:
        return _LAST_HEADERS if self._connections.lets_go(told.poll_after_seconds, headers) else _HEADERS

    def _language_of(self, headers: RequestHeaders) -> str:
        return language(headers.get("accept-language", ""), self._services.city.default_language)


async def _soon(answer: Callable[[str, RequestHeaders, Exchange], None], *asked: Any) -> None:
    answer(*asked)
