"""`GET /openings/{district}`: how an opening stands, the same for everyone; made once a second, whoever asks."""

import hashlib
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from server.core.clock import from_ms
from server.core.errors import StoreUnavailable
from server.services import Services
from server.waiting_room.opening import Opening, OpeningState
from server.waiting_room.openings import STALE_MS
from server.waiting_room.public_wait import WaitView, wait_view
from server.web.assets import has_tag

_encode = msgspec.json.Encoder().encode


class BeaconView(msgspec.Struct):
    """The beacon's round that a draw is bound to. Randomness and signature (hex) are there once the numbers are fixed,
    and where there are none `missing` says why."""

    chain: str
    round: int
    due_at: datetime
    randomness: str | None
    signature: str | None
    missing: str | None


class DrawView(msgspec.Struct):
    """The draw; entries, seed and key are revealed once the numbers are fixed, the root over all entries before that.

    `version` 1: the numbers follow from the seed, and there is neither root nor key; 2: from the key. `numbers_at`:
    when they can be expected.
    """

    seconds: int
    commitment: str | None
    entries: int | None
    seed: str | None
    version: int
    root: str | None
    root_at: datetime | None
    beacon: BeaconView | None
    key: str | None
    numbers_at: datetime | None


class OpeningView(msgspec.Struct):
    """`GET /openings/{district}`: the opening that is on, else the next of today, else today's last; `window`: which
    one of the day's, from 1; `wait`: what it takes to wait without asking a worker, while it is on."""

    district: str
    date: date
    state: OpeningState
    now: datetime
    opens_at: datetime | None
    closes_at: datetime | None
    issued: int
    serving: int
    waiting: int
    rate_per_second: float
    message: str | None
    draw: DrawView
    window: int
    wait: WaitView | None


def opening_fields(services: Services, it: Opening) -> dict[str, Any]:
    """The fields of an `OpeningView`."""
    now = services.room.now()
    now_ms = round(now.timestamp() * 1000)
    opens_at, closes_at = it.times() or (None, None)
    return {
        "district": it.district.code,
        "date": it.day,
        "state": it.state(now_ms),
        "now": now,
        "opens_at": opens_at,
        "closes_at": closes_at,
        "issued": it.issued,
        "serving": it.serving,
        "waiting": it.waiting,
        "rate_per_second": it.rate,
        "message": it.message or None,
        "draw": _draw_view(it),
        "window": it.window,
        "wait": wait_view(it, now_ms),
    }


def _draw_view(it: Opening) -> DrawView:
    draw, bound = it.drawing, it.drawing.bound(it.draw_ms)
    revealed = draw.settled
    beacon = bound and BeaconView(
        bound.chain.name,
        bound.round,
        from_ms(bound.due_ms, it.tz),
        bound.randomness if revealed else None,
        bound.signature if revealed else None,
        bound.missing if revealed else None,
    )
    return DrawView(
        seconds=(it.draw_ms - it.opens_ms) // 1000,
        commitment=draw.commitment,
        entries=draw.drawn if revealed else None,
        seed=draw.seed.hex() if revealed else None,
        version=draw.version,
        root=draw.root,
        root_at=None if draw.root_ms is None else from_ms(draw.root_ms, it.tz),
        beacon=beacon,
        key=draw.key if revealed else None,
        numbers_at=from_ms(it.numbers_ms, it.tz) if it.assigned else None,
    )


class _Made(NamedTuple):
    """An answer, and what it was made of."""

    opening: Opening
    view: int
    second: int
    tag: str
    headers: list[tuple[str, str]]
    body: bytes


class PublicOpenings:
    """The public answers of a worker, as they go out.

    Args:
        services: of the worker.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._made: dict[str, _Made] = {}

    def answer(self, district: str, if_none_match: str) -> tuple[int, list[tuple[str, str]], bytes, str]:
        """Status, headers and body for whoever has this, and the word under which it is counted.

        Raises:
            Refusal: `not-found`, `store-unavailable` (this worker's view is too old to be kept by anybody).
        """
        now_ms = self._services.clock.now_ms()
        made = self._made.get(district)
        if made is None or made.second != now_ms // 1000 or made.view != made.opening.views:
            made = self._made[district] = self._make(district, now_ms)
        if if_none_match and has_tag(if_none_match, made.tag):
            return 304, made.headers, b"", "unchanged"
        return 200, made.headers, made.body, "shown"

    def _make(self, district: str, now_ms: int) -> _Made:
        it = self._services.room.opening(district)
        # What does not move is told by the timetable, however long ago this worker has heard from the store.
        if it.opens_ms <= now_ms < it.closes_ms and now_ms - it.seen_ms > STALE_MS:
            raise StoreUnavailable
        with it.following:  # it may be asked for beside the event loop
            view, body = it.views, _encode(OpeningView(**opening_fields(self._services, it)))
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers = [("content-type", "application/json"), ("cache-control", "public, max-age=1"), ("etag", tag)]
        return _Made(it, view, now_ms // 1000, tag, headers, body)
