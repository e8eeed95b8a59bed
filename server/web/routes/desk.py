"""The desk's calls about one person, beside the roster: look up, search, take a mark back; and the roster on paper."""

from datetime import date
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import Body, Parameter

from server.appointments.looking_up import ActView, PersonView
from server.appointments.periods import periods_of
from server.appointments.roster_file import roster_csv
from server.appointments.undoing import Undone
from server.core.errors import Invalid
from server.core.keys import is_registration_no
from server.core.papers import IdType
from server.web.bodies import Strict
from server.web.routes.common import (
    NO_STORE,
    PROBLEMS,
    AnyRequest,
    No,
    is_operator,
    language_of,
    services_of,
)
from server.web.routes.staff import STAFF, SiteCode, is_staff, staff_of

_MOST_ACTS = 1000


class LookUp(msgspec.Struct):
    """`POST /sites/{site}/lookups`: somebody on the roster of a day."""

    registration_no: str
    date: date


class Search(msgspec.Struct):
    """`POST /sites/{site}/searches`: somebody by their papers, which stand in no address."""

    id_type: IdType
    id_number: str


class Mistake(msgspec.Struct):
    """`POST /attendances/{no}/undo`; `date`: of the appointment; `holder`: the roster's, where its line has one."""

    date: date
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    holder: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class ActsView(msgspec.Struct):
    """`GET /operations/acts`."""

    acts: list[ActView]


@get(
    "/sites/{site:str}/roster.csv",
    responses=PROBLEMS,
    security=STAFF,
    media_type="text/csv",
    summary="A site's day as a table, for when there is no power",
)
async def roster_file(
    request: AnyRequest,
    site: SiteCode,
    date: Annotated[date | None, Parameter(description="YYYY-MM-DD; default: today")] = None,
) -> Response[bytes]:
    services = services_of(request)
    found = await services.staff_tokens.site_of(staff_of(request), site)
    day = date or services.room.now().date()
    content = roster_csv(await services.desk.roster(found, day), periods_of(services.city), language_of(request))
    headers = NO_STORE | {"content-disposition": f'attachment; filename="roster-{day.isoformat()}.csv"'}
    return Response(content, media_type="text/csv", headers=headers)


@post(
    "/sites/{site:str}/lookups",
    dto=Strict[LookUp],
    return_dto=None,
    before_request=is_staff,
    status_code=200,
    responses=PROBLEMS,
    security=STAFF,
    summary="One person of the roster: full name and last characters of the ID; noted who looked",
)
async def look_up(request: AnyRequest, site: SiteCode, data: Annotated[LookUp, Body()]) -> Response[PersonView]:
    if not is_registration_no(data.registration_no):
        raise Invalid(("registration_no", "checksum"))
    services, staff = services_of(request), staff_of(request)
    found = await services.staff_tokens.site_of(staff, site)
    person = await services.look_ups.by_number(staff, found, data.registration_no, data.date)
    return Response(person, status_code=200, headers=NO_STORE)


@post(
    "/sites/{site:str}/searches",
    dto=Strict[Search],
    return_dto=None,
    before_request=is_staff,
    status_code=200,
    responses=PROBLEMS,
    security=STAFF,
    summary="One person by exactly these papers, with an appointment here on any day; noted who looked",
)
async def search(request: AnyRequest, site: SiteCode, data: Annotated[Search, Body()]) -> Response[PersonView]:
    services, staff = services_of(request), staff_of(request)
    found = await services.staff_tokens.site_of(staff, site)
    person = await services.look_ups.by_papers(staff, found, data.id_type, data.id_number)
    return Response(person, status_code=200, headers=NO_STORE)


@post(
    "/attendances/{no:str}/undo",
    dto=Strict[Mistake],
    return_dto=None,
    before_request=is_staff,
    status_code=200,
    responses=PROBLEMS,
    security=STAFF,
    summary="It was somebody else: take the mark back within ten minutes, with a reason",
)
async def undo(request: AnyRequest, no: No, data: Annotated[Mistake, Body()]) -> Response[Undone]:
    done = await services_of(request).undoing.undo(staff_of(request), no, data.date, data.reason, data.holder)
    return Response(done, status_code=200, headers=NO_STORE)


@get(
    "/operations/acts",
    before_request=is_operator,
    responses=PROBLEMS,
    security=[{"operator": []}],
    summary="Operator: what desks and helpers did with residents on a day, the latest first",
)
async def acts(
    request: AnyRequest,
    district: Annotated[str, Parameter(description="Code of a district", max_length=12)],
    date: Annotated[date | None, Parameter(description="YYYY-MM-DD; default: today")] = None,
) -> Response[ActsView]:
    services = services_of(request)
    services.room.opening(district)  # not found, where there is none
    found = await services.look_ups.acts(district, date or services.room.now().date(), _MOST_ACTS)
    return Response(ActsView(found), headers=NO_STORE)
