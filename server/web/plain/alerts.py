"""What somebody in line may wish for their call: to be told of it by SMS, and more time when it has come."""

from litestar import Response, get, post

from server.core.languages import of_two
from server.web.plain.pages import go_to
from server.web.plain.queue import TICKET
from server.web.plain.visit import PlainVisit
from server.web.routes.common import AnyRequest


@post("/alerts")
async def ask_alerts(request: AnyRequest) -> Response[str]:
    """To be told of the call by SMS, or not any more; the browser keeps what came of it, so that no page asks."""
    visit = PlainVisit(request)
    form = await visit.form()
    wished = form.get("sms") == "1"
    asked = await visit.services.room.ask_alerts(visit.held().token, of_two(visit.lang) if wished else "")
    return go_to(TICKET, visit.keep("alerts", asked) if wished else visit.drop("alerts"))


@post("/more-time")
async def more_time(request: AnyRequest) -> Response[str]:
    """More time to come in, once; the page says until when."""
    visit = PlainVisit(request)
    await visit.form()
    await visit.services.room.more_time(visit.held().token)
    return go_to(TICKET, visit.keep("more", "1"))


@get(["/alerts", "/more-time", "/claim"])
async def after_a_form() -> Response[str]:
    """Somebody reloads, or comes back to, what only a form may ask for."""
    return go_to(TICKET)


HANDLERS = [ask_alerts, more_time, after_a_form]
