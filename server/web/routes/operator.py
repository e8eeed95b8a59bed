"""The operator's calls."""

from typing import Annotated

import msgspec
from litestar import Response, delete, patch
from litestar.params import Body

from server.web.bodies import Strict
from server.web.routes.anyone import OpeningView, opening_fields
from server.web.routes.common import NO_STORE, PROBLEMS, AnyRequest, Code, No, is_operator, services_of


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
    """`DELETE /bars/{registration_no}`."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


@patch(
    "/openings/{district:str}",
    dto=Strict[Adjustment],
    return_dto=None,
    before_request=is_operator,
    responses=PROBLEMS,
    security=[{"operator": []}],
    summary="Operator: change an opening",
)
async def adjust(
    request: AnyRequest, district: Code, data: Annotated[Adjustment, Body()]
) -> Response[OperatorOpeningView]:
    services = services_of(request)
    given = {name: getattr(data, name) for name in data.__struct_fields__}
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
    return_dto=None,
    before_request=is_operator,
    responses=PROBLEMS,
    security=[{"operator": []}],
    summary="Operator: let a barred resident use this channel again",
)
async def lift_bar(request: AnyRequest, no: No, data: Annotated[Reason, Body()]) -> None:
    await services_of(request).appointments.lift_bar(no, data.reason)
