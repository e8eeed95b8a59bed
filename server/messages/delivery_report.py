"""What `jiaohao doctor` says of messages that were sent: who could not be told, and what their receipts are like."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from server.core.city import City
from server.messages.delivery_failures import failed
from server.messages.delivery_receipts import HOUR_MS
from server.messages.receipt_store import ReceiptStore
from server.messages.store import OutboxStore
from server.records.registration import registration_of
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

_BATCH: Final = 500
_HOURS: Final = 24
# From how many and from what share on it is no single slip any more.
_FEWEST, _SHARE = 10, 0.05


class Reported(NamedTuple):
    """One thing looked at, as a finding of `doctor` has it."""

    level: Literal["ok", "note", "bad"]
    what: str
    cure: str = ""


async def delivery_report(city: City, connection: Connection, now_ms: int) -> list[Reported]:
    """Look at the list of calls and at the receipts of the last hours.

    Args:
        city: its districts.
        connection: connected.
        now_ms: of the city.
    """
    hour = now_ms // HOUR_MS
    hours = await ReceiptStore(connection).receipt_counts(range(hour - _HOURS + 1, hour + 1))
    found = [await _untold(city, connection), *_receipts(hours)]
    if many := await ReceiptStore(connection).count_opted_out():
        found.append(
            Reported(
                "note", f"messages: {many} phones have asked for none", "who is not told by SMS is on the list of calls"
            )
        )
    return found


async def _untold(city: City, connection: Connection) -> Reported:
    why: Counter[str] = Counter()
    people = 0
    for calls in await OutboxStore(connection).to_call([district.code for district in city.districts]):
        listed = list(calls.items())
        people += len(listed)
        for start in range(0, len(listed), _BATCH):
            batch = listed[start : start + _BATCH]
            kept = await RegistrationReader(connection).registrations([resident for _, resident in batch])
            for (no, _), read in zip(batch, kept, strict=True):
                missed = failed(registration_of(read, no))
                why.update({f"{it.outcome} ({it.why})" if it.why else it.outcome for it in missed})
    if not people:
        return Reported("ok", "outbox: everybody could be told")
    reasons = ", ".join(f"{many} {what}" for what, many in why.most_common())
    what = f"outbox: {people} residents to call, as no SMS could tell them" + (f": {reasons}" if reasons else "")
    return Reported("note", what, "jiaohao outbox calls says whom")


def _receipts(hours: Sequence[Counter[str]]) -> list[Reported]:
    day = sum(hours, Counter[str]())
    total = day["matched"] + day["unmatched"]
    if not total:
        return []
    found = []
    if day["unmatched"]:
        last = hours[-1]
        is_bad = any(_are_many(each["unmatched"], each["matched"]) for each in (last, day))
        reasons = ", ".join(f"{day[why]} {why}" for why in ("unknown", "other-phone", "ambiguous") if day[why])
        what = (
            f"receipts: {day['unmatched']} of {total} in the last day match no message ({reasons}), "
            f"{last['unmatched']} of {last['matched'] + last['unmatched']} in this hour"
        )
        cure = "does the provider spell ids otherwise (receipt_ids in JIAOHAO_SMPP_URL), or does another system use it?"
        found.append(Reported("bad" if is_bad else "note", what, cure))
    else:
        found.append(Reported("ok", f"receipts: {total} in the last day, each of a message that was sent"))
    if day["not-known"]:
        is_bad = _are_many(day["not-known"], day["matched"] - day["not-known"])
        what = f"receipts: {day['not-known']} of {total} in the last day do not say what became of the message"
        found.append(
            Reported("bad" if is_bad else "note", what, "ask the provider for its words; taken as not delivered")
        )
    return found


def _are_many(some: int, others: int) -> bool:
    return some >= _FEWEST and some >= _SHARE * (some + others)
