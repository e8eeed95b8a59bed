"""The contract's calls as Litestar routes, by who calls them."""

from litestar import Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.types import ControllerRouterHandler

from server.web.routes import anyone, operator, resident, staff


def _options(path: str, allow: str) -> HTTPRouteHandler:
    """OPTIONS of a path with several methods: Litestar's own answer names the first of them only."""

    @route(path, http_method="OPTIONS", status_code=204, include_in_schema=False)
    async def options() -> Response[None]:
        return Response(None, status_code=204, headers={"allow": allow})

    return options


API: list[ControllerRouterHandler] = [
    _options("/ticket", "GET, DELETE, OPTIONS"),  # before the path's other methods
    _options("/openings/{district:str}", "GET, PATCH, OPTIONS"),
    _options("/registrations/{no:str}", "GET, PATCH, OPTIONS"),
    *(anyone.city, anyone.opening, anyone.sites, anyone.allotment, anyone.allotment_file),
    *(resident.eligibility, resident.join, resident.poll, resident.leave, resident.claim),
    *(resident.register, resident.registration, resident.amend, resident.cancel),
    *(resident.registration_qr, resident.registration_ics, resident.access_code, resident.access_token),
    *(staff.who, staff.roster, staff.attend, staff.close),
    *(operator.adjust, operator.lift_bar, operator.operations, operator.calls, operator.called, operator.bars),
    *(operator.dead, operator.resend, operator.capacity),
]
PLAIN = [anyone.healthz, anyone.readyz, anyone.metrics, anyone.problem]
