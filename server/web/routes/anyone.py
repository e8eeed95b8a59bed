"""What anyone may ask: the city, the openings, the sites, what the nights brought, and how this process is."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from litestar import MediaType, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from litestar.response import Stream

from server.appointments.periods import PeriodView, periods_of
from server.appointments.sites import Site
from server.core.districts import District
from server.core.errors import Refusal
from server.core.languages import of_two
from server.core.phases import Phase
from server.core.windows import Window
from server.night.reserves import ReserveView, reserves_of
from server.night.status import Announced, announced
from server.services import Services
from server.waiting_room.opening import OpeningState
from server.web.assets import takes_gzip
from server.web.problems import title
from server.web.public_opening import OpeningView
from server.web.public_workers import PublicWorkers
from server.web.routes.common import PROBLEMS, PUBLIC, AnyRequest, DistrictCode, language_of, services_of
from server.web.service_view import ServiceView, WindowView, service_view, window_view

_FOR_A_MINUTE: Final = {"cache-control": "public, max-age=60"}
_FILE_TYPE: Final = "application/x-ndjson"
_CHUNK_BYTES: Final = 1 << 18
NightDate = Annotated[date, Parameter(description="Date of the night, YYYY-MM-DD")]


class PhaseView(msgspec.Struct):
    """A phase of the campaign, and who may register in it."""

    name: str
    rule: str
    starts: date
    ends: date | None


class DistrictView(msgspec.Struct):
    """A district and its current or next opening, whose hours `window` are; `windows`: those of the whole day."""

    code: str
    name_zh: str
    name_en: str
    window: WindowView | None
    windows: list[WindowView]
    state: OpeningState
    opens_at: datetime | None
    closes_at: datetime | None


class CallsView(msgspec.Struct):
    """Of `GET /city`: whether holders of a place may be told of its call by SMS, how long before it, and how much more
    time they get, once, who have been called and ask for it."""

    sms: bool
    lead_minutes: int
    more_time_seconds: int


class CityView(msgspec.Struct):
    """`GET /city`: all that a page needs to know what the next stroke of the clock brings.

    `phase`: in force today; `next_phase`: tomorrow, where that is another one: who looks once today's opening is over
    reads the rule of the one that comes.
    """

    name: str
    timezone: str
    now: datetime
    phase: PhaseView | None
    next_phase: PhaseView | None
    open_hours: WindowView
    districts: list[DistrictView]
    draw_seconds: int
    no_show_limit: int
    periods: dict[str, PeriodView]
    service: ServiceView | None
    reserves: list[ReserveView]
    calls: CallsView


class SitesView(msgspec.Struct):
    """`GET /sites`."""

    sites: list[Site]


def _phase(phase: Phase | None, lang: str) -> PhaseView | None:
    if phase is None:
        return None
    return PhaseView(phase.name, phase.rule_zh if lang == "zh" else phase.rule_en, phase.starts, phase.ends)


@get("/city", responses=PROBLEMS, summary="City, phase and districts")
async def city(request: AnyRequest) -> Response[CityView] | Response[bytes]:
    services = services_of(request)
    place, room, lang = services.city, services.room, of_two(language_of(request))
    now = room.now()
    districts = [_district(services, district, now) for district in place.districts]
    hours = window_view(place.open_hours)
    name = place.name_zh if lang == "zh" else place.name_en
    phase, following, policy = place.phase(now.date()), place.phase(now.date() + timedelta(days=1)), place.policy
    view = CityView(
        name, place.timezone, now, _phase(phase, lang), _phase(following if following != phase else None, lang),
        hours, districts, policy.draw_seconds, policy.no_show_limit,
        periods_of(place), service_view(place, lang), reserves_of(place),
        CallsView(place.calls.sms, place.calls.lead_minutes, place.calls.more_time_seconds),
    )  # fmt: skip
    headers = PUBLIC | {"vary": "accept-language, accept-encoding"}
    if takes_gzip(request.headers.get("accept-encoding", "")):  # a third of what it is, on a bad network
        packed = gzip.compress(msgspec.json.encode(view), 6, mtime=0)
        return Response(packed, media_type=MediaType.JSON, headers=headers | {"content-encoding": "gzip"})
    return Response(view, headers=headers)


def _district(services: Services, district: District, now: datetime) -> DistrictView:
    opening = services.room.opening(district.code)
    times = opening.times()
    if times is None or now >= times[1]:
        times = services.city.next_opening(district, now)
    opens_at, closes_at = times or (None, None)
    state = opening.state(round(now.timestamp() * 1000))
    window = Window(opens_at.time(), closes_at.time()) if opens_at and closes_at else None
    return DistrictView(
        district.code, district.name_zh, district.name_en, window_view(window) if window else None,
        [window_view(each) for each in district.windows], state, opens_at, closes_at,
    )  # fmt: skip


@get("/openings/{district:str}", responses=PROBLEMS, summary="How an opening stands; the same for everyone")
async def opening(district: DistrictCode) -> OpeningView:
    raise Refusal("not-found")  # `public_opening.py` answers; this is another spelling of the path


@get("/sites", responses=PROBLEMS, summary="Vaccination sites of a district")
async def sites(request: AnyRequest, district: Annotated[str, Parameter(max_length=12)]) -> Response[SitesView]:
    found = await services_of(request).sites.of(district)
    return Response(SitesView(list(found.values())), headers={"cache-control": "public, max-age=60"})


@get("/allotments/{district:str}/{date:date}", responses=PROBLEMS, summary="What is public of a district's night")
async def allotment(request: AnyRequest, district: DistrictCode, date: NightDate) -> Response[Announced]:
    return Response(await _announced(request, district, date), headers=_FOR_A_MINUTE)


@get(
    "/allotments/{district:str}/{date:date}/file",
    responses={
        **PROBLEMS,
        200: ResponseSpec(
            bytes, generate_examples=False, media_type=_FILE_TYPE, description="as `jiaohao verify allotment` reads it"
        ),
    },
    media_type=_FILE_TYPE,
    summary="The result file of a district's night",
)
async def allotment_file(request: AnyRequest, district: DistrictCode, date: NightDate) -> Stream:
    public = await _announced(request, district, date)
    file = services_of(request).published.path(date, district)
    if public.root is None or file is None:
        raise Refusal("not-found")
    headers = _FOR_A_MINUTE | {
        "vary": "accept-encoding",
        "content-disposition": f'attachment; filename="{district}-{date.isoformat()}.jsonl"',
    }
    packed = takes_gzip(request.headers.get("accept-encoding", ""))
    if packed:
        headers["content-encoding"] = "gzip"
    else:
        headers["content-length"] = str(file.stat().st_size)
    return Stream(_chunks(file, packed=packed), media_type=_FILE_TYPE, headers=headers)


async def _announced(request: AnyRequest, district: str, day: date) -> Announced:
    """Raises Refusal `not-found`: no such district, or no night of that day."""
    services = services_of(request)
    if services.city.district(district) is None:
        raise Refusal("not-found")
    found = await announced(services.connection, services.published, district, day)
    if found is None:
        raise Refusal("not-found")
    return found


async def _chunks(file: Path, *, packed: bool) -> AsyncIterator[bytes]:
    """A file's content, read (and compressed) in threads: the loop has others to serve meanwhile."""
    squeeze = zlib.compressobj(1, wbits=31)  # 31: as gzip; 1: five times smaller already, and this is for every reader
    with file.open("rb") as f:
        while chunk := await asyncio.to_thread(f.read, _CHUNK_BYTES):
            if packed:
                chunk = await asyncio.to_thread(squeeze.compress, chunk)
            if chunk:
                yield chunk
    if packed:
        yield squeeze.flush()


@get("/healthz", media_type=MediaType.JSON, summary="This process is alive")
async def healthz() -> dict[Literal["status"], str]:
    return {"status": "ok"}


@get("/readyz", responses={503: PROBLEMS[503]}, media_type=MediaType.JSON, summary="The store can be reached too")
async def readyz(request: AnyRequest) -> dict[Literal["status"], str]:
    await services_of(request).ready()
    others: PublicWorkers | None = request.app.state.others
    if others is not None:
        await others.answer()
    return {"status": "ready"}


@get("/metrics", media_type="text/plain; version=0.0.4; charset=utf-8", summary="Prometheus metrics")
async def metrics(request: AnyRequest) -> bytes:
    services = services_of(request)
    return services.metrics.exposition() + await services.store_figures.exposition()


@get("/problems/{code:str}", media_type=MediaType.TEXT, include_in_schema=False)
async def problem(request: AnyRequest, code: Annotated[str, Parameter(max_length=40)]) -> str:
    words = title(code, language_of(request))
    if words is None:
        raise Refusal("not-found")
    return words
