"""Where and when a run takes place: the openings as the server tells them, and the moment its clock counts from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import gevent

from loadtests.client import answers
from loadtests.client.answers import Requests
from loadtests.client.wire import Address, Broken
from loadtests.client.wire_tls import connection_to
from loadtests.crowd.arrivals import Curve, CurveError, curve_of, parse_arrivals
from loadtests.crowd.crowd import Crowd
from loadtests.resident.acts import SECOND_US
from loadtests.resident.pace import Pace
from loadtests.resident.run_opening import RunOpening
from loadtests.run.clock import RunClock
from loadtests.run.options import CannotRehearse, Options

_LONGEST_WAIT_SECONDS = 15 * 60
_LAST_CALLS_SECONDS = 3
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Setting:
    """A setting says where and when a run takes place: its server, its openings, its clock.

    Attributes:
        host: `http://HOST:PORT`.
        openings: in the order of the crowd's districts.
        origin_s: city time, in seconds since the epoch, from which everybody's run clock counts.
        clock: the run's, one for all in this process: what residents were told is compared with what was seen.
    """

    host: str
    openings: tuple[RunOpening, ...]
    origin_s: float
    clock: RunClock

    @property
    def address(self) -> Address:
        """Say where it listens."""
        return address_of(self.host)


def find_setting(host: str, districts: tuple[str, ...], origin_s: float | None = None) -> Setting:
    """Ask a server about its openings, as the page does.

    The run begins with the first of them to open, or a second from now where that one is open.

    Args:
        origin_s: as told by who began the run, where that was another process.

    Raises:
        CannotRehearse: no answer, no such opening, or none that begins within a quarter of an hour.
    """
    get = _getter(host)
    service = answers.decode_city(get("/city")).service
    consent = service.consent.version if service and service.consent else ""
    ahead_seconds = _city_ahead_seconds(lambda: answers.decode_city(get("/city")).now)
    found = [answers.decode_opening(get(f"/openings/{code}")) for code in districts]
    now_s = time.monotonic() + ahead_seconds
    for o in found:
        if o.opens_at is None or o.closes_at is None or o.state in ("ended", "unassigned"):
            raise CannotRehearse(f"{host}: {o.district} is {o.state}")
    times = [(datetime.fromisoformat(o.opens_at or ""), datetime.fromisoformat(o.closes_at or "")) for o in found]
    first_s = min(opens.timestamp() for opens, _ in times)
    if (problem := opens_too_late(first_s - now_s)) is not None:
        first = min(opens for opens, _ in times)
        raise CannotRehearse(f"{host}: {problem}; start it with --clock shortly before {first.isoformat()}")
    origin_s = max(first_s, now_s + 1) if origin_s is None else origin_s
    openings = []
    for o, (opens, closes) in zip(found, times, strict=True):
        sites = answers.decode_sites(get(f"/sites?district={o.district}")).sites
        if not sites:
            raise CannotRehearse(f"{host}: no sites in {o.district}; import some")
        opens_us, closes_us = (int((at.timestamp() - origin_s) * SECOND_US) for at in (opens, closes))
        names = tuple(site.site for site in sites)
        openings.append(
            RunOpening(
                o.district, o.date, opens, opens_us, o.draw.seconds, o.draw.commitment, names, closes_us, consent
            )
        )
    return Setting(host, tuple(openings), origin_s, RunClock(origin_s - ahead_seconds - time.monotonic()))


def opens_too_late(in_seconds: float) -> str | None:
    """Return whether nobody should wait for an opening that begins in so many seconds, in words."""
    return f"opens in {in_seconds:.0f} s" if in_seconds > _LONGEST_WAIT_SECONDS else None


def curves_of(options: Options, crowd: Crowd, openings: tuple[RunOpening, ...]) -> tuple[Curve, ...]:
    """Say when the residents of each opening come: by the crowd's curve, or the options', within its window and the
    run.

    Raises:
        CannotRehearse: the curve, or the run, does not fit a window.
    """
    parts = crowd.profile.arrivals if options.arrivals is None else parse_arrivals(options.arrivals)
    curves = []
    for opening in openings:
        draw_ends = opening.opens_us / SECOND_US + opening.draw_seconds
        if options.minutes * 60 < draw_ends + _LAST_CALLS_SECONDS:
            raise CannotRehearse(
                f"--minutes {options.minutes:g}: the draw of {opening.district} ends after {draw_ends:g} s, and calls "
                f"begin only after it; take at least {(draw_ends + 60) / 60:.1f}"
            )
        begins_us = max(opening.opens_us, 0)
        ends_us = min(opening.closes_us, int(options.minutes * 60 * SECOND_US))
        seconds = (ends_us - begins_us) / SECOND_US * options.come_for
        draw_seconds = max(opening.draw_seconds + (opening.opens_us - begins_us) / SECOND_US, 0.0)
        try:
            curves.append(curve_of(parts, crowd.profile.door, seconds, draw_seconds, opening.opens_at.time()))
        except CurveError as error:
            raise CannotRehearse(str(error)) from None
    return tuple(curves)


def pace_of(options: Options, crowd: Crowd, setting: Setting) -> Pace:
    """Say how fast residents live in this run: as the crowd's file says where their opening lasts ten minutes or
    more."""
    lasts = [opening.closes_us - max(opening.opens_us, 0) for opening in setting.openings]
    return Pace.of(min(options.minutes * 60, min(lasts) / SECOND_US), crowd.profile)


def address_of(host: str) -> Address:
    """Say where `http://HOST:PORT` or `https://HOST:PORT` listens.

    Raises:
        CannotRehearse: it is none.
    """
    try:
        parts = urlsplit(host)
        port = parts.port
    except ValueError:
        raise CannotRehearse(f"{host}: expected http://HOST:PORT or https://HOST:PORT") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise CannotRehearse(f"{host}: expected http://HOST:PORT or https://HOST:PORT")
    return Address(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "https")


def _getter(host: str) -> Callable[[str], bytes]:
    address = address_of(host)
    requests, connection = Requests(address.authority), connection_to(address)

    def get(path: str) -> bytes:
        try:
            answer = connection.exchange(requests.get(path))
        except Broken as broken:
            raise CannotRehearse(f"{host}: no answer ({broken})") from None
        if answer.status != 200:
            raise CannotRehearse(f"{host}: GET {path}: {answer.status} {answer.body[:200]!r}")
        return answer.body

    return get


def _city_ahead_seconds(now: Callable[[], str]) -> float:
    """City time minus our monotonic clock. The city may tell whole seconds only, so look for just over one."""
    best, deadline = float("-inf"), time.monotonic() + 1.1
    while time.monotonic() < deadline:
        told = datetime.fromisoformat(now()).timestamp()
        best = max(best, told - time.monotonic())
        gevent.sleep(0.02)
    return best
