"""The resident's calls. What everyone calls is answered in `hot.py`; here it stands for the schema."""

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import Body

from server.access.one_time_codes import Asked, Shown
from server.core.errors import Refusal
from server.core.languages import of_two
from server.core.sms import CODE_MINUTES
from server.night.outlook import Outlook
from server.records.registration import Wishes, WishesAndConsent
from server.registrations.calendar_file import invitation
from server.registrations.receipts import Registered
from server.registrations.views import RegistrationView
from server.registry.registry import Applicant
from server.waiting_room.room import TicketIssued, TicketStatus
from server.web.bodies import Strict
from server.web.hot import PassView
from server.web.routes.common import (
    NO_STORE,
    PROBLEMS,
    AnyRequest,
    DistrictCode,
    No,
    again,
    bearer_of,
    has_a_body,
    language_of,
    services_of,
)

_SHORTEST_KEY = 16  # of an Idempotency-Key: one that nobody guesses


class EligibilityView(msgspec.Struct):
    """`POST /openings/{district}/eligibility`; `date`: the day of the opening it was judged for; `outlook`: what
    registering then would likely bring, null where no night of the week before is published."""

    eligible: bool
    first_dose_date: date | None
    product: str | None
    date: date
    outlook: Outlook | None


class AlertsWished(msgspec.Struct, frozen=True):
    """Body of `POST /ticket/alerts`: whether the holder of the ticket wants to be told of their call by SMS."""

    sms: bool


class AlertsView(msgspec.Struct):
    """`POST /ticket/alerts`; `why` somebody who wants to be told is not: their number is `called` already, as many are
    told as the city pays for (`full`), or this city tells nobody (`off`)."""

    sms: bool
    why: Literal["called", "full", "off"] | None = None


class MoreTimeView(msgspec.Struct):
    """`POST /ticket/more-time`; `extended`: that is later than it was before this call."""

    claim_before: datetime
    extended: bool


class CodeSentView(msgspec.Struct):
    """`POST /access-codes`; `sms_file`: where test messages are written, where there is no provider."""

    expires_in_seconds: int
    retry_after_seconds: int
    sms_file: str | None


@post(
    "/openings/{district:str}/eligibility",
    dto=Strict[Applicant],
    return_dto=None,
    before_request=has_a_body,
    status_code=200,
    responses=PROBLEMS,
    summary="May I register at this opening, or at the next one? Takes no place",
)
async def eligibility(
    request: AnyRequest, district: DistrictCode, data: Annotated[Applicant, Body()]
) -> Response[EligibilityView]:
    services = services_of(request)
    day, record = await services.room.check(district, data)
    dose, product = (record.date, record.product or None) if record else (None, None)
    outlook = await services.outlooks.of(district, day, dose)
    view = EligibilityView(eligible=True, first_dose_date=dose, product=product, date=day, outlook=outlook)
    return Response(view, status_code=200, headers=NO_STORE)


@post(
    "/openings/{district:str}/tickets",
    responses=again(TicketIssued),
    summary="Join: a place in the opening, or the one held",
)
async def join(district: DistrictCode, data: Annotated[Applicant, Body()]) -> TicketIssued:
    raise Refusal("not-found")  # another spelling of the path, as `/ticket/`


@get("/ticket", responses=PROBLEMS, security=[{"ticket": []}], summary="Poll: how my ticket stands")
async def poll() -> TicketStatus:
    raise Refusal("not-found")  # another spelling of the path, as `/ticket/`


@post(
    "/ticket/alerts",
    dto=Strict[AlertsWished],
    return_dto=None,
    before_request=has_a_body,
    status_code=200,
    responses=PROBLEMS,
    security=[{"ticket": []}],
    summary="Have me told of my call by SMS, or not any more",
)
async def ask_alerts(request: AnyRequest, data: Annotated[AlertsWished, Body()]) -> Response[AlertsView]:
    lang = of_two(language_of(request)) if data.sms else ""
    asked = await services_of(request).room.ask_alerts(bearer_of(request), lang)
    why = asked if asked in ("called", "full", "off") and data.sms else None
    return Response(AlertsView(asked == "asked", why), status_code=200, headers=NO_STORE)


@post(
    "/ticket/more-time",
    status_code=200,
    responses=PROBLEMS,
    security=[{"ticket": []}],
    summary="More time to come in for who has been called, once",
)
async def more_time(request: AnyRequest) -> Response[MoreTimeView]:
    claim_before, is_more = await services_of(request).room.more_time(bearer_of(request))
    return Response(MoreTimeView(claim_before, is_more), status_code=200, headers=NO_STORE)


@delete("/ticket", responses=PROBLEMS, security=[{"ticket": []}], summary="Give the place up")
async def leave(request: AnyRequest) -> None:
    await services_of(request).room.leave(bearer_of(request))


@post(
    "/passes", responses=again(PassView), security=[{"ticket": []}], summary="Claim: turn a called ticket into a pass"
)
async def claim() -> PassView:
    raise Refusal("not-found")


@post(
    "/registrations",
    dto=Strict[WishesAndConsent],
    return_dto=None,
    responses=again(Registered),
    security=[{"pass": []}],
    summary="Register; 2xx only once it is on disk",
)
async def register(data: Annotated[WishesAndConsent, Body()]) -> Registered:
    raise Refusal("not-found")


@get("/registrations/{no:str}", responses=PROBLEMS, security=[{"receipt": []}], summary="My registration")
async def registration(request: AnyRequest, no: No) -> Response[RegistrationView]:
    found = await services_of(request).registrations.find(no, bearer_of(request))
    return Response(found, headers=NO_STORE)


@patch(
    "/registrations/{no:str}",
    dto=Strict[Wishes],
    return_dto=None,
    before_request=has_a_body,
    responses=PROBLEMS,
    security=[{"receipt": []}],
    summary="Other wishes, while there is no appointment",
)
async def amend(request: AnyRequest, no: No, data: Annotated[Wishes, Body()]) -> Response[RegistrationView]:
    found = await services_of(request).registrations.amend(no, bearer_of(request), data)
    return Response(found, headers=NO_STORE)


@post(
    "/registrations/{no:str}/cancellation",
    status_code=200,
    responses=PROBLEMS,
    security=[{"receipt": []}],
    summary="Cancel; 2xx only once it is on disk",
)
async def cancel(request: AnyRequest, no: No) -> Response[RegistrationView]:
    found = await services_of(request).registrations.cancel(no, bearer_of(request))
    return Response(found, status_code=200, headers=NO_STORE)


@get(
    "/registrations/{no:str}/appointment.ics",
    responses=PROBLEMS,
    media_type="text/calendar",
    security=[{"receipt": []}],
    summary="The appointment for a calendar",
)
async def registration_ics(request: AnyRequest, no: No) -> Response[bytes]:
    services = services_of(request)
    found = await services.registrations.find(no, bearer_of(request))
    if found.appointment is None or found.state != "booked":
        raise Refusal("not-found", reason="no-appointment")
    site = (await services.sites.of(found.district, removed=True)).get(found.appointment.site)
    content = invitation(found, site, services.room.now(), language_of(request))
    headers = NO_STORE | {"content-disposition": f'attachment; filename="{no}.ics"'}
    return Response(content, media_type="text/calendar", headers=headers)


@post(
    "/access-codes",
    dto=Strict[Asked],
    return_dto=None,
    before_request=has_a_body,
    status_code=202,
    responses=PROBLEMS,
    summary="A one-time code by SMS; the same answer whether or not the person is known",
)
async def access_code(request: AnyRequest, data: Annotated[Asked, Body()]) -> Response[CodeSentView]:
    services = services_of(request)
    await services.access.ask(data, of_two(language_of(request)))
    view = CodeSentView(CODE_MINUTES * 60, 60, services.sms_file)
    return Response(view, status_code=202, headers=NO_STORE)


@post(
    "/access-tokens",
    dto=Strict[Shown],
    return_dto=None,
    before_request=has_a_body,
    responses=PROBLEMS,
    summary="A new receipt for the code",
)
async def access_token(request: AnyRequest, data: Annotated[Shown, Body()]) -> Response[Registered]:
    # A repetition whose first answer was lost has the same key; whoever has another one finds the code spent.
    attempt = request.headers.get("idempotency-key", "").encode("latin-1")
    found = await services_of(request).access.show(data, attempt if _SHORTEST_KEY <= len(attempt) <= 64 else b"")
    return Response(found, status_code=201, headers=NO_STORE)


@get(
    "/registrations/{no:str}/qr.svg", responses=PROBLEMS, media_type="image/svg+xml", summary="The number as a QR code"
)
async def registration_qr(no: No) -> Response[bytes]:
    raise Refusal("not-found")
