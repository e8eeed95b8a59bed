"""The way to one's turn: districts, an opening with its form, the place in line, and being called."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from time import perf_counter
from typing import Any, NamedTuple

from litestar import Response, get, post

from server.access.one_time_codes import Asked
from server.core.clock import at, from_ms
from server.core.districts import District
from server.core.errors import Invalid, Refusal
from server.core.languages import language_named, of_two
from server.core.papers import ID_TYPES, IdType
from server.core.sms import CODE_MINUTES
from server.registry.registry import Applicant
from server.waiting_room.opening import Opening, OpeningState
from server.waiting_room.room import Called, TicketStatus
from server.web.plain.night import odds
from server.web.plain.pages import go_to, page, refresh, trouble_of
from server.web.plain.visit import HOME, PlainVisit, safe_way_back, text_fields
from server.web.routes.common import AnyRequest, DistrictCode

TICKET, WISHES = f"{HOME}/ticket", f"{HOME}/wishes"
_RUNNING = ("draw", "open", "paused")


class DistrictRow(NamedTuple):
    """A district and how its opening stands."""

    district: District
    name: str
    hours: str
    state: OpeningState
    opens_at: datetime | None
    closes_at: datetime | None


def district_now(visit: PlainVisit, opening: Opening) -> DistrictRow:
    """What the pages say of a district."""
    room, district = visit.services.room, opening.district
    now = room.now()
    state = opening.state(round(now.timestamp() * 1000))
    times = opening.times()
    closes_at = times[1] if times and state in _RUNNING else None
    return DistrictRow(
        district,
        visit.pick(district.name_zh, district.name_en),
        visit.t("common.list-comma").join(f"{it.opens:%H:%M}–{it.closes:%H:%M}" for it in district.windows),
        state,
        None if closes_at else room.next_opens_at(district),
        closes_at,
    )


def applicant_of(form: dict[str, str]) -> Applicant:
    """The papers of a form.

    Raises:
        Invalid: a kind of papers that there is not.
    """
    fields = text_fields(form, "id_number", "name", "phone", "code")
    return Applicant(id_type=id_type_of(form), **fields)


def id_type_of(form: dict[str, str]) -> IdType:
    """The kind of papers.

    Raises:
        Invalid: there is no such kind.
    """
    kind = form.get("id_type", "")
    if kind not in ID_TYPES:
        raise Invalid(("id_type", "type"))
    return kind


# The first page


@get("/")
async def home(request: AnyRequest) -> Response[str]:
    """Districts, today's rule, and what this browser holds."""
    visit = PlainVisit(request)
    city, room = visit.services.city, visit.services.room
    openings = [room.opening(district.code) for district in city.districts]
    windows: dict[str, list[DistrictRow]] = {}
    for it in sorted((district_now(visit, opening) for opening in openings), key=lambda it: it.hours or "~"):
        windows.setdefault(it.hours, []).append(it)
    resting = not city.is_open_hours(room.now())
    back_at = min((it.opens_at for group in windows.values() for it in group if it.opens_at), default=None)
    coming = refresh(_stroke_s(visit, openings), HOME)
    return page(
        visit, "home", headers=coming, windows=windows,
        rule=visit.rule(back_at if resting else None), reserves=visit.reserves(), resting=resting, back_at=back_at,
        is_sent_here=visit.is_sent_here,
    )  # fmt: skip


def _stroke_s(visit: PlainVisit, openings: Sequence[Opening]) -> float:
    """How long until the timetable changes what the pages say of these openings: the hours, a draw, the day."""
    city, now = visit.services.city, visit.services.room.now()
    hours = [time(), city.open_hours.opens, city.open_hours.closes]
    times = [at(now.date() + timedelta(days=days), it, city.tz) for days in (0, 1) for it in hours]
    for opening in openings:
        it = district_now(visit, opening)
        times += [each for each in (it.opens_at, it.closes_at) if each]
        if it.state == "draw":
            times.append(_draw_ends_at(visit, opening))
    left = [each.timestamp() - now.timestamp() for each in times]
    return min(seconds for seconds in left if seconds > 0)


@post("/look")
async def look(request: AnyRequest) -> Response[str]:
    """The other language, or the other size of type."""
    visit = PlainVisit(request)
    form = await visit.form()
    lang = language_named(form.get("lang", ""))
    cookies = [visit.keep("lang", lang)] if lang else []
    if form.get("large") in ("0", "1"):
        cookies.append(visit.keep("large", form["large"]))
    return go_to(safe_way_back(form.get("back", "")), *cookies)


# An opening


def _opening_page(visit: PlainVisit, code: str, **more: Any) -> Response[str]:
    opening = visit.services.room.opening(code)
    it = district_now(visit, opening)
    # Where there is a form the page stays, as nobody's typing may be lost, and says of when it is.
    comes_again = it.state in ("unassigned", "maintenance")
    coming = refresh(_stroke_s(visit, [opening]), f"{HOME}/{code}") if comes_again else {}
    values: dict[str, Any] = {"typed": {}, "eligible": None, "proving": False, "code_sent": False} | more
    values |= {"minutes": CODE_MINUTES, "sms_file": visit.services.sms_file}
    return page(
        visit,
        "opening",
        headers=coming,
        it=it,
        opening=opening,
        rule=visit.rule(it.opens_at),
        reserves=visit.reserves(),
        draw_ends_at=_draw_ends_at(visit, opening),
        comes_again=comes_again,
        **values,
    )


def _draw_ends_at(visit: PlainVisit, opening: Opening) -> datetime:
    return from_ms(opening.draw_ms, visit.services.city.tz)


@get("/{district:str}")
async def opening(request: AnyRequest, district: DistrictCode) -> Response[str]:
    """How a district stands, and the form for one's papers."""
    return _opening_page(PlainVisit(request), district)


@post("/{district:str}")
async def join(request: AnyRequest, district: DistrictCode) -> Response[str]:
    """Join; or only look whether one may, before the opening; or ask for the code that opens a door that was shut."""
    visit = PlainVisit(request)
    form = await visit.form()
    services = visit.services
    services.room.opening(district)  # else no such page
    typed = text_fields(form, "id_type", "id_number", "name", "phone")
    proving = form.get("proving") == "1"
    started = perf_counter()
    try:
        if form.get("what") == "code":
            fields = text_fields(form, "id_number", "phone")
            await services.access.ask(Asked(id_type=id_type_of(form), **fields), of_two(visit.lang))
            return _opening_page(visit, district, typed=typed, proving=True, code_sent=True)
        if form.get("what") == "check":
            day, record = await services.room.check(district, applicant_of(form))
            dose = record.date if record else None
            likely = odds(visit, await services.outlooks.of(district, day, dose))
            return _opening_page(visit, district, typed=typed, eligible=_Eligible(day, dose, likely))
        place, fresh = await services.room.join(district, applicant_of(form))
    except Refusal as refusal:
        if not form.get("what"):
            services.metrics.observe("join", refusal.code, started)
        proving = proving or "prove" in refusal.extras
        return _opening_page(visit, district, typed=typed, proving=proving, trouble=trouble_of(visit, refusal))
    services.metrics.observe("join", "joined" if fresh else "again", started)
    of_before = [visit.drop(name) for name in ("alerts", "more") if fresh and name in request.cookies]
    return go_to(TICKET, visit.keep("ticket", f"{district}.{place.ticket}"), *of_before)


class _Eligible(NamedTuple):
    day: date
    first_dose: date | None
    odds: list[str]


# The place in line


@get("/ticket")
async def ticket(request: AnyRequest) -> Response[str]:
    """How one's place stands; comes again by itself, when the server says, never sooner."""
    visit = PlainVisit(request)
    held, services = visit.held(), visit.services
    status = services.room.poll(held.token)
    if isinstance(status, Called):
        status = await services.room.poll_called(status)
    services.metrics.tally("poll", status.state)
    now = services.room.now()
    claim_before = datetime.fromisoformat(status.claim_before) if status.claim_before else None
    wait_s = status.poll_after_seconds
    if claim_before is not None:
        # Nothing changes until then, and a page that moves under a finger is missed.
        wait_s = max(wait_s, (claim_before - now).total_seconds() + 1)
    surroundings = _surroundings(visit, held.district, status)
    closes_at = surroundings["it"].closes_at
    if status.state in ("drawing", "waiting") and closes_at is not None:  # what stands here is over then
        wait_s = min(wait_s, (closes_at - now).total_seconds() + 1)
    coming = refresh(wait_s, TICKET) if status.state in ("drawing", "waiting", "ready") else {}
    renewed = [visit.keep("ticket", f"{held.district}.{status.ticket}")] if isinstance(status.ticket, str) else []
    return page(
        visit,
        "ticket",
        headers=coming,
        cookies=renewed,
        status_=status,
        claim_before=claim_before,
        wait_seconds=wait_s,
        turn=_turn(now, status),
        calls=services.city.calls,
        **surroundings,
    )


def _turn(now: datetime, status: TicketStatus) -> tuple[datetime, datetime] | None:
    """Between which minutes the call comes, rounded outwards; None while nobody can say."""
    if status.eta_low_seconds is None or status.eta_high_seconds is None:
        return None
    begins = now + timedelta(seconds=status.eta_low_seconds)
    ends = now + timedelta(seconds=status.eta_high_seconds, minutes=1, microseconds=-1)
    return begins.replace(second=0, microsecond=0), ends.replace(second=0, microsecond=0)


def _surroundings(visit: PlainVisit, code: str, status: TicketStatus) -> dict[str, Any]:
    """The opening around a ticket; the cookie says only in which district it was taken."""
    if visit.services.city.district(code) is None:
        raise Refusal("forged")
    opening = visit.services.room.opening(code)
    it = district_now(visit, opening)
    closes_at = it.closes_at
    late = closes_at is not None and status.eta_seconds is not None and (
        visit.services.room.now().timestamp() + status.eta_seconds > closes_at.timestamp()
    )  # fmt: skip
    return {
        "it": it,
        "message": opening.message,
        "draw_ends_at": _draw_ends_at(visit, opening),
        "per_minute": opening.pace * 60,
        "drawn": opening.drawing.drawn,
        "late": late,
    }


@post("/claim")
async def claim(request: AnyRequest) -> Response[str]:
    """Turn a called place into a pass."""
    visit = PlainVisit(request)
    await visit.form()
    text, _, _ = await visit.services.room.claim(visit.held().token)
    return go_to(WISHES, visit.keep("pass", text))


@get("/leave")
async def ask_leave(request: AnyRequest) -> Response[str]:
    """Really?"""
    visit = PlainVisit(request)
    held, services = visit.held(), visit.services
    known = services.city.district(held.district) is not None
    drawing = known and district_now(visit, services.room.opening(held.district)).state == "draw"
    return page(visit, "leave", drawing=drawing)


@post("/leave")
async def leave(request: AnyRequest) -> Response[str]:
    """Give the place up."""
    visit = PlainVisit(request)
    await visit.form()
    await visit.services.room.leave(visit.held().token)
    return go_to(TICKET)


@get("/look")
async def after_look() -> Response[str]:
    """Somebody reloads, or comes back to, what only a form may ask for."""
    return go_to(HOME)


HANDLERS = [home, look, after_look, opening, join, ticket, claim, ask_leave, leave]
