"""Every call that is not hot, counted and timed under its method and its route: `GET /registrations/{no}`."""

from collections.abc import AsyncIterator
from time import perf_counter

from litestar import Litestar
from litestar.routes import HTTPRoute

from server.core.errors import Refusal
from server.core.metrics import Metrics
from server.web.bridge import Exchange, Scope, over_asgi

WORD = "word"
"""Under this name a handler's refusal notes its code in the request's state."""
_OTHER = "other"  # no such page; what was asked for is whoever asks's to choose, so no label
_PREFIX = "/api/v1"
_GOOD = {
    "join": ("joined", "again"),
    "poll": ("draw", "waiting", "ready", "claimed", "missed", "left"),
    "openings": ("shown", "unchanged"),
    "claim": ("claimed", "again"),
    "register": ("registered", "again"),
    "qr": ("ok",),
}
"""The codes of the hot calls' good answers."""
_HOT = frozenset({
    "POST /openings/{district}/tickets", "GET /ticket", "GET /openings/{district}", "POST /passes",
    "POST /registrations", "GET /registrations/{no}/qr.svg",
})  # fmt: skip
"""The same calls' routes, which only describe them."""


def word_of(error: Exception) -> str:
    """The code under which what went wrong is counted."""
    return error.code if isinstance(error, Refusal) else "unexpected"


def expect_calls(metrics: Metrics, app: Litestar) -> None:
    """Have all calls shown from the first scrape on."""
    names = {
        _name(method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    }
    calls = [*sorted(names - _HOT), _OTHER]
    good = [(call, code) for call, codes in _GOOD.items() for code in codes] + [(call, "ok") for call in calls]
    metrics.expect([*_GOOD, *calls], good)


async def measured(
    metrics: Metrics, app: Litestar, scope: Scope, exchange: Exchange, body: AsyncIterator[bytes]
) -> None:
    """Have Litestar answer, and count what it has answered."""
    started = perf_counter()
    asgi, status = await over_asgi(app, scope, exchange, body)
    route = asgi.get("path_template")
    call = _name(asgi["method"], route) if route else _OTHER
    word = "ok" if 0 < status < 400 else asgi["state"].get(WORD, str(status))
    metrics.observe(call, word, started)


def _name(method: str, path: str) -> str:
    return f"{method} {path.removeprefix(_PREFIX)}"
