"""What the last night brought, and what became of the SMS, in a resident's words; as the page with scripts says it."""

from datetime import date

from server.core.wording import knows
from server.core.wording.dates import date_words
from server.night.outlook import Outlook
from server.registrations.views import MessageView, RegistrationView
from server.web.plain.visit import PlainVisit

LOST = ("undelivered", "refused", "unsent")
_WIDER = ("full", "no-such-site", "not-offered")


def why_not(visit: PlainVisit, found: RegistrationView) -> str | None:
    """Why somebody who waits got nothing in the last night; None where there is nothing to explain."""
    night = found.night
    if night is None or night.reason is None or found.state != "proposed":
        return None
    mine: date | None = found.priority["first_dose_date"] and date.fromisoformat(found.priority["first_dose_date"])
    reached = night.reached
    day = _day(visit, night.date)
    if night.reason != "full" or reached is None or mine is None:
        why = f"receipt.why-{night.reason}"
        return visit.t(why if knows(why) else "receipt.why-full", day)
    if mine < reached:
        return visit.t("receipt.why-sites", day, _day(visit, reached))
    if mine == reached:
        return visit.t("receipt.why-lot", day, _day(visit, reached))
    return visit.t("receipt.why-passed", day, _day(visit, reached), _day(visit, mine))


def suited(visit: PlainVisit, found: RegistrationView) -> str | None:
    """How many slots would have suited them, all given to people ahead; None where nothing is said of it."""
    count = found.night and found.night.suited
    if count is None:
        return None
    return visit.t("receipt.night-suited", f"{count:,}") if count else visit.t("receipt.night-suited-none")


def odds(visit: PlainVisit, outlook: Outlook | None) -> list[str]:
    """What the published nights make likely for whoever registers now, a sentence each."""
    if outlook is None:
        return []
    waited, allotted = f"{outlook.registrations:,}", f"{outlook.allotted:,}"
    said = [visit.t("opening.odds-night", _day(visit, outlook.night), waited, allotted)]
    if outlook.reached is not None:
        reached, nights = _day(visit, outlook.reached), outlook.nights
        which = "soon" if nights == 1 else "nights" if nights else "unknown"
        said.append(visit.t(f"opening.odds-{which}", reached, nights))
    return [*said, visit.t("opening.odds-if")]


def pace(visit: PlainVisit, found: RegistrationView) -> str | None:
    """About how many nights more it takes; None where nobody knows."""
    told = found.night and found.night.pace
    return visit.t("receipt.night-pace", _day(visit, told.since), told.nights) if told else None


def advice(visit: PlainVisit, found: RegistrationView) -> str:
    """What may help somebody who waits."""
    reason = found.night.reason if found.night else None
    if reason == "not-before":
        return visit.t("receipt.do-day")
    if reason in _WIDER and not found.accept_any_site:
        return visit.t("receipt.do-sites")
    return visit.t("receipt.do-nothing")


def gave(visit: PlainVisit, found: RegistrationView) -> str | None:
    """Which night gave the appointment, and by what order; None where none did."""
    if found.night is None or found.state not in ("booked", "fulfilled"):
        return None
    return visit.t("receipt.gave", _day(visit, found.night.date))


def rank(visit: PlainVisit, found: RegistrationView) -> str | None:
    """Which place one had in the last night's order."""
    if found.night is None or found.night.proof is None:
        return None
    proof = found.night.proof
    mine, of = f"{proof.index:,}", f"{proof.leaves - 1:,}"
    return visit.t("receipt.rank", mine, of)


def message_of(found: RegistrationView) -> MessageView | None:
    """The SMS that tells of what is now."""
    told = [it for it in found.messages if found.state != "booked" or it.kind == "allotted"]
    return told[-1] if told else None


def message_words(visit: PlainVisit, message: MessageView) -> str:
    """What became of an SMS."""
    kind = _known(visit, "message.sms-", message.kind)
    said = _known(visit, "message.sms-is-", message.state)
    why = f"message.sms-why-{message.why}"
    if knows(why):
        said = visit.t("message.sms-why", said, visit.t(why))
    return visit.t("receipt.smsOf", kind, said)


def _known(visit: PlainVisit, table: str, name: str) -> str:
    """The words of a name that a script has given, or the name itself where there are none."""
    return visit.t(table + name) if knows(table + name) else name


def _day(visit: PlainVisit, it: date) -> str:
    return date_words(it, visit.lang)
