"""The operator's calls."""

from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.dto import AbstractDTO
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import Body, Parameter

from server.appointments.unmatched import UnmatchedAttendance
from server.operations.importing.upload import CapacityImported
from server.operations.interventions import Bar, Call, DeadMessage
from server.operations.overview_views import OperationsView
from server.web.bodies import Strict
from server.web.public_opening import OpeningView, opening_fields
from server.web.routes.common import (
    NO_STORE,
    PROBLEMS,
    AnyRequest,
    DistrictCode,
    No,
    is_operator,
    is_operator_with_body,
    services_of,
)

LARGEST_FILE = 2 * 1024 * 1024
Day = Annotated[date, Parameter(description="Date of the dose, YYYY-MM-DD")]
# What the calls of an operator have in common: those that look, and those that take a body and change something.
_LOOKS: dict[str, Any] = {"before_request": is_operator, "responses": PROBLEMS, "security": [{"operator": []}]}
_CHANGES: dict[str, Any] = _LOOKS | {"before_request": is_operator_with_body, "return_dto": None}


class OperatorOpeningView(OpeningView):
    """An opening as the operator sees it after a change."""

    max_active: int
    passes_alive: int
    pending: int
    paused: bool


class Adjustment(msgspec.Struct, forbid_unknown_fields=True):
    """`PATCH /openings/{district}`; what is absent stays as it is."""

    # No unions: of those Litestar's schema loses a bound of 0.
    rate_per_second: Annotated[float, msgspec.Meta(ge=0, le=100_000)] = msgspec.UNSET  # type: ignore[assignment]
    max_active: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] = msgspec.UNSET  # type: ignore[assignment]
    paused: bool | msgspec.UnsetType = msgspec.UNSET
    message: Annotated[str, msgspec.Meta(max_length=500)] | msgspec.UnsetType | None = msgspec.UNSET


_STORED = {"rate_per_second": "rate"}


class Reason(msgspec.Struct, forbid_unknown_fields=True):
    """`DELETE /bars/{registration_no}` and `DELETE /operations/calls/{registration_no}`."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


@patch(
    "/openings/{district:str}",
    dto=Strict[Adjustment],
    **_CHANGES,
    summary="Operator: change an opening",
)
async def adjust(
    request: AnyRequest, district: DistrictCode, data: Annotated[Adjustment, Body()]
) -> Response[OperatorOpeningView]:
    services = services_of(request)
    given = msgspec.structs.asdict(data)
    changes = {_STORED.get(k, k): v for k, v in given.items() if v is not msgspec.UNSET}
    if "message" in changes:
        changes["message"] = changes["message"] or ""
    it = await services.room.adjust(district, "operator", changes) if changes else services.room.opening(district)
    view = OperatorOpeningView(
        **opening_fields(services, it),
        max_active=it.max_active,
        passes_alive=it.passes_alive,
        pending=it.pending,
        paused=it.paused,
    )
    return Response(view, headers=NO_STORE)


@delete(
    "/bars/{no:str}",
    dto=Strict[Reason],
    **_CHANGES,
    summary="Operator: let a barred resident use this channel again",
)
async def lift_bar(request: AnyRequest, no: No, data: Annotated[Reason, Body()]) -> None:
    await services_of(request).appointments.lift_bar(no, data.reason)


class CallsView(msgspec.Struct):
    """`GET /operations/calls`."""

    calls: list[Call]


class BarsView(msgspec.Struct):
    """`GET /operations/bars`."""

    bars: list[Bar]


class DeadView(msgspec.Struct):
    """`GET /operations/dead`."""

    dead: list[DeadMessage]


class AttendancesView(msgspec.Struct):
    """`GET /operations/attendances`."""

    attendances: list[UnmatchedAttendance]


class CsvBody(AbstractDTO[bytes]):
    """A body that is a file, taken as it is."""

    def decode_bytes(self, value: bytes) -> Any:
        """The file."""
        return value

    @classmethod
    def create_for_field_definition(cls, *args: Any, **kwargs: Any) -> None:
        """Nothing to prepare."""

    @classmethod
    def create_openapi_schema(cls, *args: Any, **kwargs: Any) -> Schema:
        """Any text; what is in it the contract says."""
        words = "site,date,period,product,capacity (contract, files)"
        return Schema(type=OpenAPIType.STRING, min_length=1, description=words)


@get(
    "/operations",
    **_LOOKS,
    summary="Operator: how all stands",
)
async def operations(
    request: AnyRequest,
    slots: Annotated[
        str | None,
        Parameter(max_length=2000, description="Districts whose slots to list, codes joined by commas; default: all"),
    ] = None,
) -> Response[OperationsView]:
    wanted = None if slots is None else frozenset(slots.split(","))
    return Response(await services_of(request).overview.view(wanted), headers=NO_STORE)


@get(
    "/operations/calls",
    **_LOOKS,
    summary="Operator: whom no SMS has reached",
)
async def calls(request: AnyRequest) -> Response[CallsView]:
    return Response(CallsView(await services_of(request).operations.calls()), headers=NO_STORE)


@delete(
    "/operations/calls/{no:str}",
    dto=Strict[Reason],
    **_CHANGES,
    summary="Operator: they have been reached by phone",
)
async def called(request: AnyRequest, no: No, data: Annotated[Reason, Body()]) -> None:
    await services_of(request).operations.called(no, data.reason)


@get(
    "/operations/attendances",
    **_LOOKS,
    summary="Operator: doses that met no appointment",
)
async def attendances(request: AnyRequest) -> Response[AttendancesView]:
    return Response(AttendancesView(await services_of(request).unmatched.listed()), headers=NO_STORE)


@post(
    "/operations/attendances/{no:str}/{date:date}/acceptance",
    dto=Strict[Reason],
    **_CHANGES,
    status_code=200,
    summary="Operator: the dose was given; the resident's registration is fulfilled by it",
)
async def accept_attendance(
    request: AnyRequest, no: No, date: Day, data: Annotated[Reason, Body()]
) -> Response[UnmatchedAttendance]:
    accepted = await services_of(request).unmatched.accept(no, date, data.reason)
    return Response(accepted, status_code=200, headers=NO_STORE)


@delete(
    "/operations/attendances/{no:str}/{date:date}",
    dto=Strict[Reason],
    **_CHANGES,
    summary="Operator: this attendance has been looked at",
)
async def settle_attendance(request: AnyRequest, no: No, date: Day, data: Annotated[Reason, Body()]) -> None:
    await services_of(request).unmatched.settle(no, date, data.reason)


@get(
    "/operations/bars",
    **_LOOKS,
    summary="Operator: who is barred",
)
async def bars(request: AnyRequest) -> Response[BarsView]:
    return Response(BarsView(await services_of(request).operations.bars()), headers=NO_STORE)


@get(
    "/operations/dead",
    **_LOOKS,
    summary="Operator: messages that were given up",
)
async def dead(request: AnyRequest) -> Response[DeadView]:
    return Response(DeadView(await services_of(request).operations.dead()), headers=NO_STORE)


@post(
    "/operations/dead/{pointer:str}/resend",
    **_LOOKS,
    status_code=204,
    summary="Operator: send a message that was given up after all",
)
async def resend(
    request: AnyRequest, pointer: Annotated[str, Parameter(max_length=64, description="Name of the dead letter")]
) -> None:
    await services_of(request).operations.resend(pointer)


@post(
    "/capacity",
    dto=CsvBody,
    **_CHANGES,
    status_code=200,
    request_max_body_size=LARGEST_FILE,
    summary="Operator: capacity from a CSV file, all of it or nothing",
)
async def capacity(
    request: AnyRequest,
    data: Annotated[bytes, Body(media_type="text/csv")],
    confirmed: Annotated[
        bool, Parameter(description="The file is right, though it differs much from the last")
    ] = False,
) -> Response[CapacityImported]:
    kept = await services_of(request).capacity_upload.keep(data, confirmed=confirmed)
    return Response(kept, status_code=200, headers=NO_STORE)
