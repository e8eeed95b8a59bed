"""What the last night brought, and what became of the SMS, in a resident's words; as the page with scripts says it."""

from datetime import date

from server.registrations.registrations import MessageView, Registration
from server.web.plain import words
from server.web.plain.visit import Visit

_WHY = {
    "full": (
        "%s夜里没有轮到您：名额都给了排在前面的人。",
        "You were not reached in the night of %s: all slots went to people ahead of you.",
    ),
    "no-such-site": (
        "%s夜里没有安排上：您选的接种点最近都没有名额。",
        "Nothing in the night of %s: none of the sites you chose has any slot in the coming days.",
    ),
    "not-offered": (
        "%s夜里没有安排上：您选的接种点最近没有您要接种的疫苗。",
        "Nothing in the night of %s: the sites you chose have slots, but none of your vaccine.",
    ),
    "too-early": (
        "%s夜里没有安排上：离您的第一剂还太近，眼下能安排的日期都没到规定的间隔。",
        "Nothing in the night of %s: it is too soon after your first dose for any date that can be given now.",
    ),
    "not-before": (
        "%s夜里没有安排上：眼下能安排的日期都早于您要求的最早日期。",
        "Nothing in the night of %s: all dates that can be given now come before the earliest day you asked for.",
    ),
    "withdrawn": (
        "%s夜里给您的名额，接种点临时收回了。下一次您排在最前面。",
        "The slot that the night of %s had for you was withdrawn by the site. Next time you come first.",
    ),
}
_PASSED = (
    "%s夜里没有轮到您：名额给到了第一剂日期为 %s 的人，您的是 %s。",
    "You were not reached in the night of %s: slots ended at first doses of %s; yours was on %s.",
)
_LOT = (
    "%s夜里没有轮到您：名额给到了第一剂日期为 %s 的人，和您同一天；同一天的先后由公开抽签决定。",
    "You were not reached in the night of %s: slots ended at first doses of %s, your own date; within a date a public "
    "draw decides.",
)
_SITES = (
    "%s夜里轮到您时，您选的接种点和时段已经满了；本区其他地方还给到了第一剂日期为 %s 的人。",
    "When it was your turn in the night of %s, the sites and times you chose were full; elsewhere in the district "
    "slots went on to first doses of %s.",
)
_KINDS = {
    "registered": ("登记成功", "registered"),
    "allotted": ("接种时间", "appointment"),
    "waiting": ("仍在等待", "still waiting"),
    "reminder": ("接种提醒", "reminder"),
    "corrected": ("第一剂更正", "first dose put right"),
    "cancelled": ("已取消", "cancelled"),
    "closed": ("原安排收回", "appointment withdrawn"),
    "barred": ("渠道停用", "channel closed"),
}
_STATES = {
    "accepted": ("已发出", "sent"),
    "delivered": ("已送达", "arrived"),
    "undelivered": ("没有送到", "did not arrive"),
    "refused": ("发不到这个手机号", "could not go to this number"),
    "unsent": ("没有发出", "could not be sent"),
}
_REASONS = {
    "too-late": ("来不及了", "it would have come too late"),
    "opted-out": ("此手机已回复拒收", "this phone has asked for none"),
    "too-many": ("当天发往此手机的短信太多", "too many to this phone that day"),
    "unknown": ("运营商不知道是否送到", "the operator does not know whether it arrived"),
}
LOST = ("undelivered", "refused", "unsent")
_WIDER = ("full", "no-such-site", "not-offered")


def why_not(visit: Visit, found: Registration) -> str | None:
    """Why somebody who waits got nothing in the last night; None where there is nothing to explain."""
    night = found.night
    if night is None or night.reason is None or found.state != "proposed":
        return None
    mine: date | None = found.priority["first_dose_date"] and date.fromisoformat(found.priority["first_dose_date"])
    reached = night.reached
    day = _day(visit, night.date)
    if night.reason != "full" or reached is None or mine is None:
        return visit.word(*_WHY.get(night.reason, _WHY["full"])) % day
    if mine < reached:
        return visit.word(*_SITES) % (day, _day(visit, reached))
    if mine == reached:
        return visit.word(*_LOT) % (day, _day(visit, reached))
    return visit.word(*_PASSED) % (day, _day(visit, reached), _day(visit, mine))


def advice(visit: Visit, found: Registration) -> str:
    """What may help somebody who waits."""
    reason = found.night.reason if found.night else None
    if reason == "not-before":
        return visit.word("日期可以更早的，请修改。", "If an earlier day is possible, please change it.")
    if reason in _WIDER and not found.accept_any_site:
        return visit.word(
            "多选几个接种点，或勾选“其他接种点也可以”，更容易排上。",
            "More sites, or “any other site”, make it likelier.",
        )
    return visit.word("您不用做什么，到时会自动安排。", "There is nothing to do; it goes on by itself.")


def gave(visit: Visit, found: Registration) -> str | None:
    """Which night gave the appointment, and by what order; None where none did."""
    if found.night is None or found.state not in ("booked", "arrived", "fulfilled"):
        return None
    return visit.word(
        "这个时间是%s夜里统一安排的：先按规定的类别，再按第一剂日期，同一天的由公开抽签决定先后。",
        "This appointment was given in the night of %s: first by the rule's groups, then by date of the first dose, "
        "and within a date by a public draw.",
    ) % _day(visit, found.night.date)


def rank(visit: Visit, found: Registration) -> str | None:
    """Which place one had in the last night's order."""
    if found.night is None or found.night.proof is None:
        return None
    proof = found.night.proof
    mine, of = f"{proof.index:,}", f"{proof.leaves - 1:,}"
    return visit.word(f"您在 {of} 人中排第 {mine} 位。", f"You were number {mine} of {of}.")


def message_of(found: Registration) -> MessageView | None:
    """The SMS that tells of what is now."""
    told = [it for it in found.messages if found.state != "booked" or it.kind == "allotted"]
    return told[-1] if told else None


def message_words(visit: Visit, message: MessageView) -> str:
    """What became of an SMS."""
    kind = visit.word(*_KINDS.get(message.kind, (message.kind, message.kind)))
    state = visit.word(*_STATES.get(message.state, (message.state, message.state)))
    why = visit.word(*_REASONS[message.why]) if message.why in _REASONS else ""
    return visit.word(
        f"{kind}：{state}" + (f"，{why}" if why else ""), f"{kind}: {state}" + (f", {why}" if why else "")
    )


def _day(visit: Visit, it: date) -> str:
    return words.date_alone(it, visit.lang)
