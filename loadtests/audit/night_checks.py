"""A night that was held, audited from outside: slots, ranks and messages (guarantees 5, 6, 7).

By itself, against the store of a city in which a night was held:

    python -m loadtests.audit.night_checks --redis-url URL --district 440106 --date 2021-06-19 [--sms FILE]
"""

from __future__ import annotations

import argparse
import hmac
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

from loadtests.audit.beacons import night_bound
from loadtests.audit.evidence import Check, verdict
from loadtests.audit.night_store import Message, NightRegistration, NightTruth, Slot, read_night, sent_messages
from loadtests.audit.truth import connect

_NUMBER = re.compile(r"(?<!\d)\d{15}(?!\d)")
_OPEN = ("proposed", "booked")
_NO_DATE = "9999-12-31"


def audit_night(night: NightTruth, messages: Sequence[Message] | None = None, beacon: str | None = None) -> list[Check]:
    """Judge a night.

    Args:
        messages: all that have been sent; None where they cannot be read.
        beacon: what is known of the relays (`Options.beacon`).
    """
    checks = [slots(night), ranks(night)]
    if night.beacon is not None:
        checks.append(night_bound(night.district, night.frozen_ms, night.beacon, beacon))
    return [*checks, messages_single(night, messages)] if messages is not None else checks


def slots(night: NightTruth) -> Check:
    """No slot is given beyond its capacity, nobody has two; rosters, counts and appointments say the same."""
    faults = []
    given = Counter(slot for _, slot in night.rosters)
    beyond = [slot for slot, n in given.items() if n > night.capacity.get(slot, 0)]
    if beyond:
        worst = max(beyond, key=lambda slot: given[slot] - night.capacity.get(slot, 0))
        faults.append(
            f"{len(beyond)} slots beyond their capacity, e.g. {' '.join(worst)}: {given[worst]} given of "
            f"{night.capacity.get(worst, 0)}"
        )
    lines = Counter(no for no, _ in night.rosters)
    if twice := [no for no, n in lines.items() if n > 1]:
        faults.append(f"{len(twice)} registrations with two slots, e.g. {twice[0]}")
    booked = {person.no: person.slot for person in night.people if person.slot is not None}
    held = dict(night.rosters)
    if astray := [no for no, slot in booked.items() if no not in held or (held[no] != slot and no not in twice)]:
        faults.append(f"{len(astray)} appointments that no roster has, e.g. {astray[0]}")
    # who came, or did not, stays on the roster
    closed = {person.no for person in night.people if person.state in ("fulfilled", "noshow")}
    if idle := [no for no in held if no not in booked and no not in closed]:
        faults.append(f"{len(idle)} on a roster without an appointment, e.g. {idle[0]}")
    if wrong := [slot for slot in night.taken.keys() | given.keys() if night.taken.get(slot, 0) != given[slot]]:
        faults.append(f"{len(wrong)} slots whose count is not that of their roster, e.g. {' '.join(sorted(wrong)[0])}")
    detail = f"{sum(given.values())} given of {sum(night.capacity.values())}, each to one"
    return verdict(f"slots {night.district}", "5: no slot beyond its capacity, nobody gets two", faults, detail)


def ranks(night: NightTruth) -> Check:
    """Everyone allotted ranks before everyone not allotted who would have taken that slot; none is left free.

    In a night with reserves that holds within each of them, and who is a member is not read here: `jiaohao verify
    allotment` judges it.
    """
    name = f"ranks {night.district}"
    promise = "6: everyone allotted ranks before everyone not allotted who would have taken that slot"
    if night.rules.get("reserves"):
        return Check(name, promise, None, "a night with reserves: judged by `jiaohao verify allotment`")
    last: dict[Slot, tuple[int, str, bytes]] = {}
    given: Counter[Slot] = Counter()
    for person in night.people:
        if person.slot is not None and person.night == night.date:
            last[person.slot] = max(last.get(person.slot, (-1, "", b"")), rank(night, person))
            given[person.slot] += 1
    theirs: defaultdict[tuple[str, str], list[Slot]] = defaultdict(list)
    for slot in night.offered:
        theirs[slot[1], slot[2]].append(slot)
    overtaken, left = [], []
    passed_over = [p for p in night.people if p.state == "proposed" and p.night == night.date]
    for person in passed_over:
        own = rank(night, person)
        for slot in _would_take(night, person, theirs):
            if slot in last and last[slot] > own:
                overtaken.append(person.no)
                break
            if given[slot] < night.offered[slot]:
                left.append(person.no)
                break
    forgotten = [p.no for p in night.people if p.state in _OPEN and not p.night]
    faults = [
        f"{len(numbers)} {what}, e.g. {numbers[0]}"
        for numbers, what in (
            (overtaken, "have nothing, and somebody behind them has what they would have taken"),
            (left, "have nothing, and what they would have taken is free"),
            (forgotten, "wait, and were in no night"),
        )
        if numbers
    ]
    detail = f"{sum(given.values())} allotted before {len(passed_over)} who were not"
    return verdict(name, promise, faults, detail)


def messages_single(night: NightTruth, messages: Sequence[Message]) -> Check:
    """Each event has one message: who registered, was booked or cancelled was told so, and told once.

    What an appointment says need not name the registration: whose it is, the phone says.
    """
    told = Counter(messages)
    phones: dict[str, str] = {}  # registration number -> phone
    for phone, text in messages:
        for no in _NUMBER.findall(text):
            phones[no] = phone
    appointments = Counter(phones.get(p.no, "") for p in night.people if "booked" in p.events)
    unnumbered = Counter(phone for phone, text in messages if not _NUMBER.search(text))
    faults = []
    # relatives with one phone and one appointment may be told in the same words
    twice = {m: n for m, n in told.items() if n > max(1, 0 if _NUMBER.search(m.text) else appointments[m.phone])}
    if twice:
        faults.append(f"{len(twice)} messages sent more than once, {sum(twice.values()) - len(twice)} too many")
    unheard = [p.no for p in night.people if p.no not in phones]
    if unheard:
        faults.append(f"{len(unheard)} were never told of their registration, e.g. {unheard[0]}")
    if missing := sum(max(0, n - unnumbered[phone]) for phone, n in appointments.items() if phone):
        faults.append(f"{missing} were not told of their appointment")
    return verdict(
        f"messages {night.district}", "7: one SMS per event", faults, f"{len(messages)} messages, none twice"
    )


def rank(night: NightTruth, person: NightRegistration) -> tuple[int, str, bytes]:
    """Say where somebody stands: cohort, first dose, lot; the smaller goes first (contract, "The draw"; A3, A4)."""
    before = night.rules["priority_first_dose_before"]
    if person.sent_back:
        cohort = 0
    elif not person.first_dose:
        cohort = 3
    else:
        cohort = 1 if before is not None and person.first_dose < before else 2
    lot = hmac.digest(night.key, person.no.encode(), "sha256")
    return cohort, person.first_dose or _NO_DATE, lot


def _would_take(
    night: NightTruth, person: NightRegistration, theirs: dict[tuple[str, str], list[Slot]]
) -> Iterator[Slot]:
    """Return the slots that somebody could have, and has wished for."""
    if person.any_site:
        places = list(theirs)
    else:
        places = [
            (site, half) for site, period in person.wishes for half in (("am", "pm") if period == "any" else (period,))
        ]
    from_day = person.not_before
    if person.first_dose:
        interval = night.rules["products"].get(person.product) or 0
        from_day = max(from_day, (date.fromisoformat(person.first_dose) + timedelta(days=interval)).isoformat())
    for place in places:
        for slot in theirs.get(place, ()):
            if slot[0] >= from_day and (not person.first_dose or slot[3] == person.product):
                yield slot


def main() -> int:
    """Entry of `python -m loadtests.audit.night_checks`."""
    parser = argparse.ArgumentParser(description="Audit a night that was held: slots, ranks, messages.")
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--district", action="append", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--sms", type=Path, help="messages that were written to a file (sms.jsonl)")
    asked = parser.parse_args()
    client, messages = connect(asked.redis_url), sent_messages(asked.sms) if asked.sms else None
    ok = True
    for district in asked.district:
        night = read_night(client, district, asked.date)
        if night is None:
            print(f"{district}: no night of {asked.date} has come to its end")
            ok = False
            continue
        for check in audit_night(night, messages):
            ok = ok and bool(check.ok)
            print(f"{'green' if check.ok else 'RED  '} {check.name}: {check.detail}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
