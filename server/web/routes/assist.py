"""The helpers' calls: what they do for residents who cannot do it alone."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import Body

from server.access.helpers import Helper
from server.access.lane import Helped, HelpedWishes
from server.core.clock import from_ms
from server.registrations.receipts import Registered
from server.waiting_room.room import TicketIssued
from server.web.bodies import Strict
from server.web.hot import PassView
from server.web.routes.common import (
    NO_STORE,
    PROBLEMS,
    AnyRequest,
    DistrictCode,
    again,
    bearer_of,
    has_a_body,
    services_of,
)

_HELPER: list[dict[str, list[str]]] = [{"helper": []}]


class HelperView(msgspec.Struct):
    """`GET /assist`: whose token this is, the city's time, and what one token may bring."""

    organisation: str
    name: str
    expires_at: datetime
    now: datetime
    places: int
    joins_per_minute: int


class HelpedTicket(msgspec.Struct):
    """`POST /assist/passes`, `POST /assist/leavings`: whose place."""

    ticket: Annotated[str, msgspec.Meta(max_length=400)]


def _helper(request: AnyRequest) -> Helper:
    return services_of(request).helper_tokens.read(bearer_of(request))


async def _is_helper(request: AnyRequest) -> None:
    """Before the body is looked at."""
    _helper(request)
    await has_a_body(request)


@get("/assist", responses=PROBLEMS, security=_HELPER, summary="Whose helper's token is this")
async def helper(request: AnyRequest) -> Response[HelperView]:
    services, who = services_of(request), _helper(request)
    expires_at = from_ms(who.expires_s * 1000, services.city.tz)
    limits = services.city.assist
    view = HelperView(
        who.organisation, who.actor, expires_at, services.room.now(), limits.places_per_helper, limits.joins_per_minute
    )
    return Response(view, headers=NO_STORE)


@post(
    "/assist/openings/{district:str}/tickets",
    dto=Strict[Helped],
    return_dto=None,
    before_request=_is_helper,
    responses=again(TicketIssued),
    security=_HELPER,
    summary="Join for a resident who agreed: a place like anyone's, in the same draw and line",
)
async def assist_join(
    request: AnyRequest, district: DistrictCode, data: Annotated[Helped, Body()]
) -> Response[TicketIssued]:
    place, fresh = await services_of(request).lane.join(_helper(request), district, data)
    return Response(place, status_code=201 if fresh else 200, headers=NO_STORE)


@post(
    "/assist/passes",
    dto=Strict[HelpedTicket],
    return_dto=None,
    before_request=_is_helper,
    responses=again(PassView),
    security=_HELPER,
    summary="Claim for a resident whose turn it is",
)
async def assist_claim(request: AnyRequest, data: Annotated[HelpedTicket, Body()]) -> Response[PassView]:
    text, expires_at, fresh = await services_of(request).lane.claim(_helper(request), data.ticket)
    return Response(PassView(text, expires_at), status_code=201 if fresh else 200, headers=NO_STORE)


@post(
    "/assist/registrations",
    dto=Strict[HelpedWishes],
    return_dto=None,
    before_request=_is_helper,
    responses=again(Registered),
    security=_HELPER,
    summary="Register a resident; 2xx only once it is on disk",
)
async def assist_register(request: AnyRequest, data: Annotated[HelpedWishes, Body()]) -> Response[Registered]:
    told, fresh = await services_of(request).lane.register(_helper(request), data)
    return Response(told, status_code=201 if fresh else 200, headers=NO_STORE)


@post(
    "/assist/leavings",
    dto=Strict[HelpedTicket],
    return_dto=None,
    before_request=_is_helper,
    status_code=204,
    responses=PROBLEMS,
    security=_HELPER,
    summary="Give a resident's place up, as they wish",
)
async def assist_leave(request: AnyRequest, data: Annotated[HelpedTicket, Body()]) -> None:
    await services_of(request).lane.leave(_helper(request), data.ticket)
