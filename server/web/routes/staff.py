"""The site staff's calls: the roster, who came, and a closed site. The operator's token opens them too."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Body, Parameter

from server.appointments.closures import Closed
from server.appointments.desk import Roster
from server.appointments.periods import PeriodView, periods_of
from server.appointments.staff import Role, Staff
from server.appointments.unmatched import Attended
from server.core.clock import from_ms
from server.core.errors import Invalid
from server.core.keys import is_registration_no
from server.core.periods import PeriodCode
from server.web.bodies import Strict
from server.web.routes.common import NO_STORE, PROBLEMS, AnyRequest, bearer_of, has_a_body, services_of

SiteCode = Annotated[str, Parameter(description="Code of a site", max_length=64)]
STAFF: list[dict[str, list[str]]] = [{"staff": []}, {"operator": []}]


class StaffView(msgspec.Struct):
    """`GET /staff`: whose token this is, the city's time, and the hours of each period of the day."""

    site: str | None
    name_zh: str | None
    name_en: str | None
    district: str | None
    role: str
    expires_at: datetime | None
    now: datetime
    periods: dict[str, PeriodView]


class Seen(msgspec.Struct):
    """`POST /attendances`; `holder`: the roster's, where its line has one."""

    registration_no: str
    date: date
    holder: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class Closing(msgspec.Struct):
    """`POST /sites/{site}/closures`; without a period the whole day."""

    date: date
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    period: PeriodCode | None = None


def staff_of(request: AnyRequest) -> Staff:
    """Who asks.

    Raises:
        Refusal: `unauthorized`, `forged`, `expired`.
    """
    return services_of(request).staff_tokens.read(bearer_of(request))


async def is_staff(request: AnyRequest) -> None:
    """Before the body is looked at."""
    staff_of(request)
    await has_a_body(request)


async def _is_manager(request: AnyRequest) -> None:
    """Before the body is looked at."""
    staff_of(request).check_manager()
    await has_a_body(request)


@get("/staff", responses=PROBLEMS, security=STAFF, summary="Whose token is this")
async def who(request: AnyRequest) -> Response[StaffView]:
    services, staff = services_of(request), staff_of(request)
    site = await services.sites.find(staff.site) if staff.site is not None else None
    expires_at = from_ms(staff.expires_s * 1000, services.city.tz) if staff.expires_s else None
    view = StaffView(
        site=staff.site,
        name_zh=site.name_zh if site else None,
        name_en=site.name_en if site else None,
        district=site.district if site else None,
        role="manager" if staff.role is Role.MANAGER else "desk",
        expires_at=expires_at,
        now=services.room.now(),
        periods=periods_of(services.city),
    )
    return Response(view, headers=NO_STORE)


@get("/sites/{site:str}/roster", responses=PROBLEMS, security=STAFF, summary="A site's day")
async def roster(
    request: AnyRequest,
    site: SiteCode,
    date: Annotated[date | None, Parameter(description="YYYY-MM-DD; default: today")] = None,
) -> Response[Roster]:
    services = services_of(request)
    found = await services.staff_tokens.site_of(staff_of(request), site)
    day = date or services.room.now().date()
    return Response(await services.desk.roster(found, day), headers=NO_STORE)


@post(
    "/attendances",
    dto=Strict[Seen],
    return_dto=None,
    before_request=is_staff,
    status_code=200,
    responses={
        **PROBLEMS,
        202: ResponseSpec(Attended, generate_examples=False, description="kept for the operator: no such appointment"),
    },
    security=STAFF,
    summary="The resident was here; 2xx only once it is on disk",
)
async def attend(request: AnyRequest, data: Annotated[Seen, Body()]) -> Response[Attended]:
    if not is_registration_no(data.registration_no):
        raise Invalid(("registration_no", "checksum"))
    seen = await services_of(request).desk.attend(staff_of(request), data.registration_no, data.date, data.holder)
    return Response(seen, status_code=202 if seen.state == "unmatched" else 200, headers=NO_STORE)


@post(
    "/sites/{site:str}/closures",
    dto=Strict[Closing],
    return_dto=None,
    before_request=_is_manager,
    status_code=200,
    responses=PROBLEMS,
    security=STAFF,
    summary="The site is closed: everyone on it is allotted anew, with priority and without a no-show",
)
async def close(request: AnyRequest, site: SiteCode, data: Annotated[Closing, Body()]) -> Response[Closed]:
    services, staff = services_of(request), staff_of(request)
    found = await services.staff_tokens.site_of(staff, site)
    closed = await services.appointments.close(staff, found, data.date, data.period, data.reason)
    return Response(closed, status_code=200, headers=NO_STORE)
