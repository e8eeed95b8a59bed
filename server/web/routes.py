"""The contract's calls as Litestar routes. Join and poll are answered in `hot.py`; here they stand for the schema."""

import io
from datetime import date, datetime
from hmac import compare_digest
from typing import Annotated, Any, Literal

import msgspec
import segno
from litestar import MediaType, Request, Response, delete, get, patch, post, route
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Body, Parameter
from litestar.types import ControllerRouterHandler

from server.city import District, Phase, Window
from server.errors import Refusal, StoreUnavailable
from server.keys import is_registration_no
from server.opening import Opening
from server.opening import State as OpeningState
from server.registrations import Registered, Registration, Wishes
from server.registry import Applicant
from server.services import Services
from server.sites import Site
from server.waiting_room import TicketIssued, TicketStatus
from server.web.bodies import Strict
from server.web.hot import bearer, header
from server.web.problems import language, title

AnyRequest = Request[Any, Any, State]
Code = Annotated[str, Parameter(description="Code of a district", max_length=12)]
No = Annotated[str, Parameter(description="Registration number", pattern="^[0-9]{15}$")]
_NO_STORE = {"cache-control": "no-store"}
_PUBLIC = {"cache-control": "public, max-age=1"}


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] | None = None


PROBLEMS = {
    status: ResponseSpec(Problem, generate_examples=False, description=words, media_type="application/problem+json")
    for status, words in {
        400: "malformed",
        401: "unauthorized, forged",
        403: "not-eligible, barred, identity-mismatch",
        404: "not-found",
        409: "already-registered, too-late, used",
        410: "expired, ended",
        422: "invalid",
        425: "not-open, not-your-turn",
        429: "too-many-requests",
        503: "paused, maintenance, overloaded, store-unavailable",
    }.items()
}


def _again(kind: type[Any]) -> dict[int, ResponseSpec]:
    """The answers of a call that gives 200 where it has been answered before."""
    return {**PROBLEMS, 200: ResponseSpec(kind, generate_examples=False, description="the same one, asked for again")}


class PhaseView(msgspec.Struct):
    """The phase in force."""

    name: str
    rule: str
    starts: date
    ends: date | None


class WindowView(msgspec.Struct):
    """Daily hours, HH:MM."""

    opens: str
    closes: str


class DistrictView(msgspec.Struct):
    """A district and its current or next opening."""

    code: str
    name_zh: str
    name_en: str
    window: WindowView | None
    state: OpeningState
    opens_at: datetime | None
    closes_at: datetime | None


class CityView(msgspec.Struct):
    """`GET /city`."""

    name: str
    timezone: str
    now: datetime
    phase: PhaseView | None
    open_hours: WindowView
    districts: list[DistrictView]


class DrawView(msgspec.Struct):
    """The draw; entries and seed are revealed once it is done."""

    seconds: int
    commitment: str | None
    entries: int | None
    seed: str | None


class OpeningView(msgspec.Struct):
    """`GET /openings/{district}`."""

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


class OperatorOpeningView(OpeningView):
    """An opening as the operator sees it after a change."""

    max_active: int
    passes_alive: int
    pending: int
    paused: bool


class SitesView(msgspec.Struct):
    """`GET /sites`."""

    sites: list[Site]


class PassView(msgspec.Struct):
    """`POST /passes`."""

    pass_: str = msgspec.field(name="pass")
    expires_at: datetime


class Adjustment(msgspec.Struct, forbid_unknown_fields=True):
    """`PATCH /openings/{district}`; what is absent stays as it is."""

    # No unions: of those Litestar's schema loses a bound of 0.
    rate_per_second: Annotated[float, msgspec.Meta(ge=0, le=100_000)] = msgspec.UNSET  # type: ignore[assignment]
    max_active: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] = msgspec.UNSET  # type: ignore[assignment]
    paused: bool | msgspec.UnsetType = msgspec.UNSET
    message: Annotated[str, msgspec.Meta(max_length=500)] | msgspec.UnsetType | None = msgspec.UNSET


_STORED = {"rate_per_second": "rate"}


def _services(request: AnyRequest) -> Services:
    services: Services = request.app.state.services
    return services


def _window(window: Window | None) -> WindowView | None:
    return WindowView(f"{window.opens:%H:%M}", f"{window.closes:%H:%M}") if window else None


def _phase(phase: Phase | None, lang: str) -> PhaseView | None:
    if phase is None:
        return None
    return PhaseView(phase.name, phase.rule_zh if lang == "zh" else phase.rule_en, phase.starts, phase.ends)


def _language(request: AnyRequest) -> str:
    return language(header(request.scope["headers"], b"accept-language"))


@get("/city", responses=PROBLEMS, summary="City, phase and districts")
async def city(request: AnyRequest) -> Response[CityView]:
    services = _services(request)
    place, room, lang = services.city, services.room, _language(request)
    now = room.now()
    districts = [_district(services, district, now) for district in place.districts]
    hours = _window(place.open_hours)
    assert hours is not None  # noqa: S101
    name = place.name_zh if lang == "zh" else place.name_en
    view = CityView(name, place.timezone, now, _phase(place.phase(now.date()), lang), hours, districts)
    return Response(view, headers=_PUBLIC | {"vary": "accept-language"})


def _district(services: Services, district: District, now: datetime) -> DistrictView:
    opening = services.room.opening(district.code)
    times = services.city.opening_times(district, now.date())
    if times is not None and now >= times[1]:
        times = services.city.next_opening(district, now)
    opens_at, closes_at = times or (None, None)
    state = opening.state(round(now.timestamp() * 1000))
    window = _window(district.window)
    return DistrictView(district.code, district.name_zh, district.name_en, window, state, opens_at, closes_at)


@get("/openings/{district:str}", responses=PROBLEMS, summary="How an opening stands; the same for everyone")
async def opening(request: AnyRequest, district: Code) -> Response[OpeningView]:
    services = _services(request)
    view = OpeningView(**_opening_fields(services, services.room.opening(district)))
    return Response(view, headers=_PUBLIC)


def _opening_fields(services: Services, it: Opening) -> dict[str, Any]:
    now = services.room.now()
    times = services.city.opening_times(it.district, it.day)
    opens_at, closes_at = times or (None, None)
    revealed = it.settled
    return {
        "district": it.district.code,
        "date": it.day,
        "state": it.state(round(now.timestamp() * 1000)),
        "now": now,
        "opens_at": opens_at,
        "closes_at": closes_at,
        "issued": it.issued,
        "serving": it.serving,
        "waiting": it.waiting,
        "rate_per_second": it.rate,
        "message": it.message or None,
        "draw": DrawView(
            services.city.policy.draw_seconds,
            it.commitment,
            it.drawn if revealed else None,
            it.seed.hex() if revealed else None,
        ),
    }


@get("/sites", responses=PROBLEMS, summary="Vaccination sites of a district")
async def sites(request: AnyRequest, district: Annotated[str, Parameter(max_length=12)]) -> Response[SitesView]:
    found = await _services(request).sites.of(district)
    return Response(SitesView(list(found.values())), headers={"cache-control": "public, max-age=60"})


@post(
    "/openings/{district:str}/tickets",
    responses=_again(TicketIssued),
    summary="Join: a place in the opening, or the one held",
)
async def join(district: Code, data: Annotated[Applicant, Body()]) -> TicketIssued:
    raise Refusal("not-found")  # another spelling of the path, as `/ticket/`


@get("/ticket", responses=PROBLEMS, security=[{"ticket": []}], summary="Poll: how my ticket stands")
async def poll() -> TicketStatus:
    raise Refusal("not-found")  # another spelling of the path, as `/ticket/`


@delete("/ticket", responses=PROBLEMS, security=[{"ticket": []}], summary="Give the place up")
async def leave(request: AnyRequest) -> None:
    await _services(request).room.leave(bearer(request.scope["headers"]))


@post(
    "/passes", responses=_again(PassView), security=[{"ticket": []}], summary="Claim: turn a called ticket into a pass"
)
async def claim(request: AnyRequest) -> Response[PassView]:
    text, expires_at, fresh = await _services(request).room.claim(bearer(request.scope["headers"]))
    return Response(PassView(text, expires_at), status_code=201 if fresh else 200, headers=_NO_STORE)


async def _holds_a_pass(request: AnyRequest) -> None:
    """Before the body is looked at."""
    _services(request).room.read_pass(bearer(request.scope["headers"]))
    await _has_a_body(request)


async def _is_operator(request: AnyRequest) -> None:
    """Before the body is looked at."""
    if not compare_digest(bearer(request.scope["headers"]), _services(request).operator_token.encode()):
        raise Refusal("forged")
    await _has_a_body(request)


async def _has_a_body(request: AnyRequest) -> None:
    if not await request.body():
        raise Refusal("malformed")


@post(
    "/registrations",
    dto=Strict[Wishes],
    return_dto=None,
    before_request=_holds_a_pass,
    responses=_again(Registered),
    security=[{"pass": []}],
    summary="Register; 2xx only once it is on disk",
)
async def register(request: AnyRequest, data: Annotated[Wishes, Body()]) -> Response[Registered]:
    text = bearer(request.scope["headers"])
    answer, fresh = await _services(request).registrations.register(text, data)
    return Response(answer, status_code=201 if fresh else 200, headers=_NO_STORE)


@get("/registrations/{no:str}", responses=PROBLEMS, security=[{"receipt": []}], summary="My registration")
async def registration(request: AnyRequest, no: No) -> Response[Registration]:
    found = await _services(request).registrations.find(no, bearer(request.scope["headers"]))
    return Response(found, headers=_NO_STORE)


@get(
    "/registrations/{no:str}/qr.svg", responses=PROBLEMS, media_type="image/svg+xml", summary="The number as a QR code"
)
async def registration_qr(no: No) -> Response[bytes]:
    # Only draws the number it was given: it says nothing about whether there is such a registration.
    if not is_registration_no(no):
        raise Refusal("not-found")
    svg = io.BytesIO()  # with its name space: without it no browser shows the image
    segno.make_qr(no, error="m").save(svg, kind="svg", scale=8, border=4, title=no, xmldecl=False)
    headers = {"cache-control": "public, max-age=86400, immutable", "content-security-policy": "default-src 'none'"}
    return Response(svg.getvalue(), media_type="image/svg+xml", headers=headers)


@patch(
    "/openings/{district:str}",
    dto=Strict[Adjustment],
    return_dto=None,
    before_request=_is_operator,
    responses=PROBLEMS,
    security=[{"operator": []}],
    summary="Operator: change an opening",
)
async def adjust(
    request: AnyRequest, district: Code, data: Annotated[Adjustment, Body()]
) -> Response[OperatorOpeningView]:
    services = _services(request)
    given = {name: getattr(data, name) for name in data.__struct_fields__}
    changes = {_STORED.get(k, k): v for k, v in given.items() if v is not msgspec.UNSET}
    if "message" in changes:
        changes["message"] = changes["message"] or ""
    it = await services.room.adjust(district, "operator", changes) if changes else services.room.opening(district)
    view = OperatorOpeningView(
        **_opening_fields(services, it),
        max_active=it.max_active,
        passes_alive=it.passes_alive,
        pending=it.pending,
        paused=it.paused,
    )
    return Response(view, headers=_NO_STORE)


def _options(path: str, allow: str) -> HTTPRouteHandler:
    """OPTIONS of a path with several methods: Litestar's own answer names the first of them only."""

    @route(path, http_method="OPTIONS", status_code=204, include_in_schema=False)
    async def options() -> Response[None]:
        return Response(None, status_code=204, headers={"allow": allow})

    return options


@get("/healthz", media_type=MediaType.JSON, summary="This process is alive")
async def healthz() -> dict[Literal["status"], str]:
    return {"status": "ok"}


@get("/readyz", responses={503: PROBLEMS[503]}, media_type=MediaType.JSON, summary="The store can be reached too")
async def readyz(request: AnyRequest) -> dict[Literal["status"], str]:
    services = _services(request)
    await services.store.ping()
    if not services.room.fresh():
        raise StoreUnavailable
    return {"status": "ready"}


@get("/metrics", media_type="text/plain; version=0.0.4; charset=utf-8", summary="Prometheus metrics")
async def metrics(request: AnyRequest) -> bytes:
    return _services(request).metrics.exposition()


@get("/problems/{code:str}", media_type=MediaType.TEXT, include_in_schema=False)
async def problem(request: AnyRequest, code: Annotated[str, Parameter(max_length=40)]) -> str:
    words = title(code, _language(request))
    if words is None:
        raise Refusal("not-found")
    return words


API: list[ControllerRouterHandler] = [
    _options("/ticket", "GET, DELETE, OPTIONS"),  # before the path's other methods
    _options("/openings/{district:str}", "GET, PATCH, OPTIONS"),
    *(city, opening, sites, join, poll, leave, claim, register, registration, registration_qr, adjust),
]
PLAIN = [healthz, readyz, metrics, problem]
