"""A registration: what has become of it, cancelling it, and what of it goes elsewhere."""

import msgspec
from litestar import Response, get, post

from server.appointments.sites import Site
from server.core.errors import Refusal
from server.registrations.calendar_file import invitation
from server.registrations.views import RegistrationView
from server.web.plain import night
from server.web.plain.pages import HEADERS, go_to, page, trouble_of
from server.web.plain.visit import REGISTRATION, PlainVisit
from server.web.routes.common import AnyRequest


async def _site_names(visit: PlainVisit, found: RegistrationView) -> dict[str, Site]:
    return await visit.services.sites.of(found.district, removed=True)


def _record_short(visit: PlainVisit, found: RegistrationView) -> str:
    """How far the public record was, as a receipt has it in print."""
    digits = found.log.root[:16]
    root = "\N{NO-BREAK SPACE}".join(digits[at : at + 4] for at in range(0, len(digits), 4))
    return visit.t("receipt.record-short", f"{found.log.size:,}", root)


@get("/registration")
async def registration(request: AnyRequest) -> Response[str]:
    """The registration that was opened last."""
    visit = PlainVisit(request)
    receipt = visit.receipt()
    try:
        found = await visit.services.registrations.find(receipt.no, receipt.token)
    except Refusal as refusal:
        if refusal.code != "maintenance":
            raise
        # Whoever has just registered in the grace after closing time must see that it is done.
        trouble = trouble_of(visit, refusal)
        return page(visit, "registration", trouble=trouble, no=receipt.no, found=None, sites={}, can_cancel=False)
    now = visit.services.room.now()
    in_time = found.cancel_before is None or now < found.cancel_before
    happened = [event for event in found.history if event.state not in ("amended", "corrected", "renumbered", "helped")]
    last = happened[-1]
    return page(
        visit,
        "registration",
        no=receipt.no,
        found=found,
        sites=await _site_names(visit, found),
        can_cancel=found.state in ("proposed", "booked") and in_time,
        # As the last thing that happened says: a closure of the site, or a missed appointment that does not count.
        reopened=found.state == "proposed" and last.state == "proposed" and len(happened) > 1,
        excused=last.state == "excused",
        why_not=night.why_not(visit, found),
        suited=night.suited(visit, found),
        pace=night.pace(visit, found),
        advice=night.advice(visit, found),
        gave=night.gave(visit, found),
        rank=night.rank(visit, found),
        record_short=_record_short(visit, found),
        message=night.message_of(found),
        message_words=lambda it: night.message_words(visit, it),
        lost=night.LOST,
    )


@post("/registration")
async def open_registration(request: AnyRequest) -> Response[str]:
    """Another of the registrations that this browser holds."""
    visit = PlainVisit(request)
    receipt = visit.receipt((await visit.form()).get("no", ""))
    return go_to(REGISTRATION, visit.keep_receipt(*receipt))


@get("/cancel")
async def ask_cancel(request: AnyRequest) -> Response[str]:
    """Really?"""
    visit = PlainVisit(request)
    receipt = visit.receipt()
    found = await visit.services.registrations.find(receipt.no, receipt.token)
    return page(visit, "cancel", no=receipt.no, found=found, sites=await _site_names(visit, found))


@post("/cancel")
async def cancel(request: AnyRequest) -> Response[str]:
    """Give the registration up; the answer comes once it is on disk."""
    visit = PlainVisit(request)
    receipt = visit.receipt((await visit.form()).get("no", ""))
    await visit.services.registrations.cancel(receipt.no, receipt.token)
    return go_to(REGISTRATION, visit.keep_receipt(*receipt))


@get("/calendar")
async def after_calendar() -> Response[str]:
    """Somebody reloads, or comes back to, what only a form may ask for."""
    return go_to(REGISTRATION)


@post("/calendar", media_type="text/calendar")
async def calendar(request: AnyRequest) -> Response[bytes]:
    """The appointment for a calendar."""
    visit = PlainVisit(request)
    services = visit.services
    receipt = visit.receipt((await visit.form()).get("no", ""))
    found = await services.registrations.find(receipt.no, receipt.token)
    if found.appointment is None or found.state != "booked":
        raise Refusal("not-found", reason="no-appointment")
    site = (await _site_names(visit, found)).get(found.appointment.site)
    content = invitation(found, site, services.room.now(), visit.lang)
    headers = {
        **HEADERS,
        "content-type": "text/calendar; charset=utf-8",
        "content-disposition": f'attachment; filename="{receipt.no}.ics"',
    }
    return Response(content, status_code=200, headers=headers)


@get("/proof")
async def after_proof() -> Response[str]:
    """As after the calendar."""
    return go_to(REGISTRATION)


@post("/proof")
async def proof(request: AnyRequest) -> Response[bytes]:
    """The registration with the proof of its line, as `jiaohao verify inclusion` reads it."""
    visit = PlainVisit(request)
    receipt = visit.receipt((await visit.form()).get("no", ""))
    found = await visit.services.registrations.find(receipt.no, receipt.token)
    if found.night is None or found.night.proof is None:
        raise Refusal("not-found")
    name = f"{receipt.no}-{found.night.date.isoformat()}.json"
    headers = {
        **HEADERS,
        "content-type": "application/json",
        "content-disposition": f'attachment; filename="{name}"',
    }
    return Response(msgspec.json.encode(found), status_code=200, headers=headers)


HANDLERS = [registration, open_registration, ask_cancel, cancel, after_calendar, calendar, after_proof, proof]
