"""From a pass to a registration: the wishes, registering, and changing them while nothing is allotted."""

from typing import Any, NamedTuple

import msgspec
from litestar import Response, get, post

from server.core.clock import from_ms
from server.core.errors import Invalid, Refusal
from server.core.keys import parts_of
from server.core.languages import of_two
from server.core.periods import ANY
from server.records.registration import Preference, Wishes, WishesAndConsent
from server.web.plain.pages import Trouble, go_to, page, trouble_of
from server.web.plain.visit import REGISTRATION, PlainVisit, date_of
from server.web.routes.common import AnyRequest

_CHOICES = (1, 2, 3)
# Refusals after which the same form, corrected or as it is, may be sent again.
_TRY_AGAIN = {"invalid", "overloaded", "store-unavailable"}


class Typed(NamedTuple):
    """The form of wishes as it was filled in: (site, period) of each choice."""

    choices: list[tuple[str, str]]
    any_site: bool
    not_before: str
    together: str


def _typed(form: dict[str, str]) -> Typed:
    choices = [(form.get(f"site{i}", ""), form.get(f"period{i}", "any")) for i in _CHOICES]
    return Typed(choices, "any_site" in form, form.get("not_before", ""), form.get("together", ""))


def _offered(visit: PlainVisit) -> list[str]:
    """The periods that one may wish for."""
    return [ANY, *visit.services.city.periods]


def _wishes(visit: PlainVisit, typed: Typed) -> Wishes:
    """What was typed as wishes.

    Raises:
        Refusal: `malformed`: a period that the form does not offer.
        Invalid: a day that is none, a number that cannot be one.
    """
    if len(typed.together) > 40:
        raise Invalid(("together", "no-registration-number"))
    wanted = []
    for site, chosen in typed.choices:
        period = next((it for it in _offered(visit) if it == chosen), None)
        if period is None:
            raise Refusal("malformed")
        if site:
            wanted.append(Preference(site, period))
    return Wishes(wanted, typed.any_site, date_of(typed.not_before), typed.together or None)


def _trouble_with(visit: PlainVisit, refusal: Refusal, typed: Typed) -> Trouble:
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


async def _wishes_page(visit: PlainVisit, district: str, typed: Typed, **more: Any) -> Response[str]:
    sites = await visit.services.sites.of(district)
    values: dict[str, Any] = {"no": None, "until": None, "closed": False} | more
    values["relatives"] = _relatives(visit, district, values["no"])
    return page(
        visit,
        "wishes",
        sites=list(sites.values()),
        typed=typed,
        periods=_offered(visit),
        **values,
    )


def _relatives(visit: PlainVisit, district: str, no: str | None) -> list[str]:
    """Numbers of the same district that this browser holds, but for the one that is about to be changed."""
    here = visit.services.city.district(district)
    today = visit.services.room.now().date()
    numbers = [(receipt.no, parts_of(receipt.no, today)) for receipt in visit.receipts if receipt.no != no]
    return [number for number, parts in numbers if parts and here and parts.district_no == here.no]


async def _registering_page(visit: PlainVisit, typed: Typed | None, **more: Any) -> Response[str]:
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
    return await _registering_page(PlainVisit(request), None)


@post("/wishes")
async def register(request: AnyRequest) -> Response[str]:
    """Register; the answer comes once it is on disk."""
    visit = PlainVisit(request)
    form = await visit.form()
    typed = _typed(form)
    pass_, _ = visit.services.room.read_pass(visit.allowed())  # a forged one has no form to come back to
    try:
        wishes = msgspec.structs.asdict(_wishes(visit, typed))
        asked = WishesAndConsent(**wishes, consent=form.get("consent"))
        done, _ = await visit.services.registrations.register(pass_, asked, of_two(visit.lang))
    except Refusal as refusal:
        if refusal.code not in _TRY_AGAIN:
            raise
        return await _registering_page(visit, typed, trouble=_trouble_with(visit, refusal, typed))
    # The pass stays: a second tap, or a retry after a lost answer, gets the same registration.
    return go_to(REGISTRATION, visit.keep_receipt(done.registration_no, done.receipt), visit.drop("ticket"))


@get("/change")
async def ask_change(request: AnyRequest) -> Response[str]:
    """The wishes there are, to be changed."""
    visit = PlainVisit(request)
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
    visit = PlainVisit(request)
    form = await visit.form()
    typed, receipt, registrations = _typed(form), visit.receipt(form.get("no")), visit.services.registrations
    try:
        await registrations.amend(receipt.no, receipt.token, _wishes(visit, typed))
    except Refusal as refusal:
        if not isinstance(refusal, Invalid):
            raise
        found = await registrations.find(receipt.no, receipt.token)
        trouble = _trouble_with(visit, refusal, typed)
        return await _wishes_page(visit, found.district, typed, no=receipt.no, trouble=trouble)
    return go_to(REGISTRATION, visit.keep_receipt(*receipt))


HANDLERS = [ask_wishes, register, ask_change, change]
