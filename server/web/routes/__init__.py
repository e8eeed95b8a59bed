"""The contract's calls as Litestar routes, by who calls them."""

from litestar.handlers import HTTPRouteHandler
from litestar.types import ControllerRouterHandler

from server.web.routes import anyone, assist, desk, draw, operator, passes, public_log, resident, staff
from server.web.routes.common import options_of

_CALLS: list[HTTPRouteHandler] = [
    *(anyone.city, anyone.opening, anyone.sites, anyone.allotment, anyone.allotment_file),
    *(draw.leaves, draw.proof),
    *(public_log.head, public_log.key, public_log.entries, public_log.growth, public_log.inclusion),
    *(resident.eligibility, resident.join, resident.poll, resident.leave, resident.claim),
    passes.token,
    *(resident.ask_alerts, resident.more_time),
    *(resident.register, resident.registration, resident.amend, resident.cancel),
    *(resident.registration_qr, resident.registration_ics, resident.access_code, resident.access_token),
    *(staff.who, staff.roster, staff.attend, staff.close),
    *(desk.roster_file, desk.look_up, desk.search, desk.undo, desk.acts),
    *(assist.helper, assist.assist_join, assist.assist_claim, assist.assist_register, assist.assist_leave),
    *(operator.adjust, operator.lift_bar, operator.operations, operator.calls, operator.called, operator.bars),
    *(operator.dead, operator.resend, operator.capacity),
    *(operator.attendances, operator.accept_attendance, operator.settle_attendance),
]
API: list[ControllerRouterHandler] = [*options_of(_CALLS), *_CALLS]  # OPTIONS before a path's other methods
PLAIN = [passes.keys, anyone.healthz, anyone.readyz, anyone.metrics, anyone.problem]
