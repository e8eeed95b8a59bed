"""From a pass to the jab: wishes, the registration, changing and cancelling it, and finding it again."""

from typing import Any, NamedTuple

import msgspec
from litestar import Response, get, post

from server.access.one_time_codes import Asked, Shown
from server.appointments.sites import Site
from server.core.clock import from_ms
from server.core.errors import Invalid, Refusal
from server.core.keys import parts_of
from server.core.sms import CODE_MINUTES
from server.registrations.calendar_file import invitation
from server.registrations.registrations import Period, Preference, Registration, Wishes
from server.web.plain import night
from server.web.plain.pages import HEADERS, Trouble, go_to, page, trouble_of
from server.web.plain.queue import id_type_of
from server.web.plain.visit import HOME, Visit, date_of, text_fields
from server.web.routes.common import AnyRequest

REGISTRATION = f"{HOME}/registration"
_CHOICES = (1, 2, 3)
# Refusals after which the same form, corrected or as it is, may be sent again.
_TRY_AGAIN = {"invalid", "overloaded", "store-unavailable"}
_PERIODS: tuple[Period, ...] = ("any", "am", "pm")


# Wishes


class Typed(NamedTuple):
    """The form of wishes as it was filled in: (site, period) of each choice."""

    choices: list[tuple[str, str]]
    any_site: bool
    not_before: str
    together: str


def _typed(form: dict[str, str]) -> Typed:
    choices = [(form.get(f"site{i}", ""), form.get(f"period{i}", "any")) for i in _CHOICES]
    return Typed(choices, "any_site" in form, form.get("not_before", ""), form.get("together", ""))


def _wishes(typed: Typed) -> Wishes:
    """What was typed as wishes.

    Raises:
        Refusal: `malformed`: a period that the form does not offer.
        Invalid: a day that is none, a number that cannot be one.
    """
    if len(typed.together) > 40:
        raise Invalid(("together", "no-registration-number"))
    wanted = []
    for site, chosen in typed.choices:
        period = next((it for it in _PERIODS if it == chosen), None)
        if period is None:
            raise Refusal("malformed")
        if site:
            wanted.append(Preference(site, period))
    return Wishes(wanted, typed.any_site, date_of(typed.not_before), typed.together or None)


def _trouble_with(visit: Visit, refusal: Refusal, typed: Typed) -> Trouble:
    """A refusal of wishes, in the form's own terms.

    A fault of the second wish is one of the third choice where the second was left empty.
    """
    if not isinstance(refusal, Invalid):
        return trouble_of(visit, refusal)
    given = [i for i, (site, _) in zip(_CHOICES, typed.choices, strict=True) if site]
    names = {f"preferences[{n}].site": f"site{i}" for n, i in enumerate(given)}
    trouble = trouble_of(visit, Invalid(*((names.get(field, field), fault) for field, fault in refusal.fields)))
    if ("preferences", "empty") in refusal.fields:
        trouble.errors["preferences"] = visit.t("register.pickSite")
    return trouble


async def _wishes_page(visit: Visit, district: str, typed: Typed, **more: Any) -> Response[str]:
    sites = await visit.services.sites.of(district)
    values: dict[str, Any] = {"no": None, "until": None, "closed": False} | more
    values["relatives"] = _relatives(visit, district, values["no"])
    return page(visit, "wishes", sites=list(sites.values()), typed=typed, periods=_PERIODS, **values)


def _relatives(visit: Visit, district: str, no: str | None) -> list[str]:
    """Numbers of the same district that this browser holds, but for the one that is about to be changed."""
    here = visit.services.city.district(district)
    today = visit.services.room.now().date()
    numbers = [(receipt.no, parts_of(receipt.no, today)) for receipt in visit.receipts if receipt.no != no]
    return [number for number, parts in numbers if parts and here and parts.district_no == here.no]


async def _registering_page(visit: Visit, typed: Typed | None, **more: Any) -> Response[str]:
    """The form of whoever holds a pass."""
    token, opening = visit.services.room.read_pass(visit.allowed())
    now_ms = visit.services.room.now().timestamp() * 1000
    if typed is None and token.expires_s * 1000 <= now_ms:
        raise Refusal("expired", state="missed")
    until = from_ms(token.expires_s * 1000, visit.services.city.tz)
    closed = opening is not None and now_ms >= opening.closes_ms
    empty = Typed([("", "any") for _ in _CHOICES], True, "", "")
    return await _wishes_page(visit, token.district, typed or empty, until=until, closed=closed, **more)


@get("/wishes")
async def ask_wishes(request: AnyRequest) -> Response[str]:
    """Where and when would suit you?"""
    return await _registering_page(Visit(request), None)


@post("/wishes")
async def register(request: AnyRequest) -> Response[str]:
    """Register; the answer comes once it is on disk."""
    visit = Visit(request)
    typed = _typed(await visit.form())
    pass_, _ = visit.services.room.read_pass(visit.allowed())  # a forged one has no form to come back to
    try:
        done, _ = await visit.services.registrations.register(pass_, _wishes(typed), visit.lang)
    except Refusal as refusal:
        if refusal.code not in _TRY_AGAIN:
            raise
        return await _registering_page(visit, typed, trouble=_trouble_with(visit, refusal, typed))
    # The pass stays: a second tap, or a retry after a lost answer, gets the same registration.
    return go_to(REGISTRATION, visit.keep_receipt(done.registration_no, done.receipt), visit.drop("ticket"))


@get("/change")
async def ask_change(request: AnyRequest) -> Response[str]:
    """The wishes there are, to be changed."""
    visit = Visit(request)
    receipt = visit.receipt()
    found = await visit.services.registrations.find(receipt.no, receipt.token)
    if found.state != "proposed":
        raise Refusal("too-late", reason="allotted")
    wanted = [(wish.site, str(wish.period)) for wish in found.preferences][: len(_CHOICES)]
    wanted += [("", "any")] * (len(_CHOICES) - len(wanted))
    not_before = found.not_before.isoformat() if found.not_before else ""
    typed = Typed(wanted, found.accept_any_site, not_before, found.together or "")
    return await _wishes_page(visit, found.district, typed, no=receipt.no)


@post("/change")
async def change(request: AnyRequest) -> Response[str]:
    """Other wishes, while there is no appointment."""
    visit = Visit(request)
    form = await visit.form()
    typed, receipt, registrations = _typed(form), visit.receipt(form.get("no")), visit.services.registrations
    try:
        await registrations.amend(receipt.no, receipt.token, _wishes(typed))
    except Refusal as refusal:
        if not isinstance(refusal, Invalid):
            raise
        found = await registrations.find(receipt.no, receipt.token)
        trouble = _trouble_with(visit, refusal, typed)
        return await _wishes_page(visit, found.district, typed, no=receipt.no, trouble=trouble)
    return go_to(REGISTRATION, visit.keep_receipt(*receipt))


# The registration


async def _site_names(visit: Visit, found: Registration) -> dict[str, Site]:
    return await visit.services.sites.of(found.district, removed=True)


@get("/registration")
async def registration(request: AnyRequest) -> Response[str]:
    """The registration that was opened last."""
    visit = Visit(request)
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
    happened = [event for event in found.history if event.state not in ("amended", "corrected")]
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
        advice=night.advice(visit, found),
        gave=night.gave(visit, found),
        rank=night.rank(visit, found),
        message=night.message_of(found),
        message_words=lambda it: night.message_words(visit, it),
        lost=night.LOST,
    )


@post("/registration")
async def open_registration(request: AnyRequest) -> Response[str]:
    """Another of the registrations that this browser holds."""
    visit = Visit(request)
    receipt = visit.receipt((await visit.form()).get("no", ""))
    return go_to(REGISTRATION, visit.keep_receipt(*receipt))


@get("/cancel")
async def ask_cancel(request: AnyRequest) -> Response[str]:
    """Really?"""
    visit = Visit(request)
    receipt = visit.receipt()
    found = await visit.services.registrations.find(receipt.no, receipt.token)
    return page(visit, "cancel", no=receipt.no, found=found, sites=await _site_names(visit, found))


@post("/cancel")
async def cancel(request: AnyRequest) -> Response[str]:
    """Give the registration up; the answer comes once it is on disk."""
    visit = Visit(request)
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
    visit = Visit(request)
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
    visit = Visit(request)
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


# Finding it again


def _find_page(visit: Visit, form: dict[str, str], **more: Any) -> Response[str]:
    return page(visit, "find", typed=text_fields(form, "id_type", "id_number", "phone"), **more)


def _code_page(visit: Visit, form: dict[str, str], *, sent: bool, **more: Any) -> Response[str]:
    """Where the code is typed. Papers that have just been sent come along unseen; else they are asked for."""
    typed = text_fields(form, "id_type", "id_number", "phone")
    return page(visit, "code", typed=typed, sent=sent, minutes=CODE_MINUTES, sms_file=visit.services.sms_file, **more)


@get("/find")
async def ask_find(request: AnyRequest) -> Response[str]:
    """Who are you?"""
    return _find_page(Visit(request), {})


@post("/find")
async def send_code(request: AnyRequest) -> Response[str]:
    """Send a code; the same answer whether or not the person is known."""
    visit = Visit(request)
    form = await visit.form()
    try:
        fields = text_fields(form, "id_number", "phone")
        await visit.services.access.ask(Asked(id_type=id_type_of(form), **fields), visit.lang)
    except Refusal as refusal:
        trouble = trouble_of(visit, refusal)
        if refusal.code == "too-many-requests":  # a second tap: the code is on its way
            return _code_page(visit, form, sent=True, trouble=trouble)
        return _find_page(visit, form, trouble=trouble)
    return _code_page(visit, form, sent=True, status=202)


@get("/code")
async def ask_code(request: AnyRequest) -> Response[str]:
    """For whoever has a code and has lost the page it belongs to."""
    return _code_page(Visit(request), {}, sent=False)


@post("/code")
async def show_code(request: AnyRequest) -> Response[str]:
    """A new receipt for the code."""
    visit = Visit(request)
    form = await visit.form()
    try:
        fields = text_fields(form, "id_number", "phone", "code")
        found = await visit.services.access.show(Shown(id_type=id_type_of(form), **fields))
    except Refusal as refusal:
        trouble = trouble_of(visit, refusal)
        sent = form.get("sent") == "1" and not trouble.errors.keys() & {"id_type", "id_number", "phone"}
        return _code_page(visit, form, sent=sent, trouble=trouble)
    return go_to(REGISTRATION, visit.keep_receipt(found.registration_no, found.receipt))


# Leaving no trace


@get("/forget")
async def ask_forget(request: AnyRequest) -> Response[str]:
    """Really?"""
    return page(Visit(request), "forget")


@post("/forget")
async def forget(request: AnyRequest) -> Response[str]:
    """Take one registration, or everything, off this browser; all of it stays valid."""
    visit = Visit(request)
    no = (await visit.form()).get("no")
    if no is not None:
        return go_to(HOME, visit.drop_receipt(visit.receipt(no).no))
    return go_to(HOME, *(visit.drop(name) for name in ("ticket", "pass", "receipts")))


HANDLERS = [
    *(ask_wishes, register, ask_change, change),
    *(registration, open_registration, ask_cancel, cancel, after_calendar, calendar, after_proof, proof),
    *(ask_find, send_code, ask_code, show_code, ask_forget, forget),
]
