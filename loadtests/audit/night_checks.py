"""After the opening: its night is held and its messages sent, and both are audited from outside (guarantees 5, 6, 7).

By itself, against the store of a city in which a night was held:

    python -m loadtests.audit.night_checks --redis-url URL --district 440106 --date 2021-06-19 [--sms FILE]
"""

from __future__ import annotations

import argparse
import csv
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.audit.evidence import Check, verdict
from loadtests.audit.truth import connect, registration_tags
from loadtests.resident.acts import Ground

Slot = tuple[str, str, str, str]
"""Date (YYYY-MM-DD), site, am or pm, product."""

_NUMBER = re.compile(r"(?<!\d)\d{15}(?!\d)")
_CAPACITY_COLUMNS = ("site", "date", "period", "product", "capacity")
_NIGHT_AT = "20:30:00"
_MESSAGES_SECONDS = 30.0
_OPEN = ("proposed", "booked")
_NO_DATE = "9999-12-31"


class NoNight(Exception):
    """The night could not be held; the message is its last words."""


class Message(NamedTuple):
    """An SMS as it was sent."""

    phone: str
    text: str


@dataclass(frozen=True)
class Held:
    """A registration as a night has left it.

    Attributes:
        slot: the appointment, where `state` is booked.
        wishes: (site, period) in order; "any" is both halves of the day.
        night: the last one that it was in, "" for none.
        events: what became of it, in order.
    """

    no: str
    state: str
    first_dose: str
    product: str
    wishes: tuple[tuple[str, str], ...]
    any_site: bool
    not_before: str
    sent_back: bool
    night: str
    slot: Slot | None
    events: tuple[str, ...] = ()


@dataclass
class NightTruth:
    """A district's night as the store has it.

    Attributes:
        rules: as it was frozen: `priority_first_dose_before`, `products` (days to the second dose), ...
        offered: slots of the night, and how many of each were free when it began.
        seed: that decides among equals.
        capacity, taken: of each slot, of all days.
        rosters: (registration number, slot) of each line of each day.
        people: every registration of the district, the latest of each resident.
    """

    district: str
    date: str
    rules: dict[str, Any]
    offered: dict[Slot, int]
    seed: bytes
    capacity: dict[Slot, int] = field(default_factory=dict)
    taken: dict[Slot, int] = field(default_factory=dict)
    rosters: list[tuple[str, Slot]] = field(default_factory=list)
    people: list[Held] = field(default_factory=list)


def read_night(client: Any, district: str, day: str) -> NightTruth | None:
    """The night of a day by the documented keys (`lua/README.md`); None where none has come to its end."""
    fields = {k.decode(): v.decode() for k, v in client.hgetall(f"night:{{{district}:{day}}}").items()}
    if "told_ms" not in fields:
        return None
    offered = {(d, s, p, product): free for (d, s, p, product), free in json.loads(fields["offered"])}
    night = NightTruth(district, day, json.loads(fields["rules"]), offered, bytes.fromhex(fields["seed"]))
    for kind, into in (("slots", night.capacity), ("taken", night.taken)):
        for of_day, name, count in _of_days(client, kind, district):
            site, period, product = name.decode().split("|")
            into[of_day, site, period, product] = int(count)
    for of_day, no, line in _of_days(client, "roster", district):
        site, period, product = line[16:].decode().split("|")
        night.rosters.append((no.decode(), (of_day, site, period, product)))
    night.people = list(_people(client, district))
    return night


def _of_days(client: Any, kind: str, district: str) -> Iterator[tuple[str, bytes, bytes]]:
    for key in client.scan_iter(match=f"{kind}:{{{district}:*}}", count=5000):
        of_day = key.decode().rpartition(":")[2].rstrip("}")
        for name, value in client.hscan_iter(key, count=5000):
            yield of_day, name, value


_NAMES = (
    "district", "no", "state", "first_dose", "product", "preferences", "accept_any_site", "not_before", "priority",
    "night", "day", "site", "period",
)  # fmt: skip


def _people(client: Any, district: str) -> Iterator[Held]:
    for tags in registration_tags(client):
        with client.pipeline(transaction=False) as pipe:
            for tag in tags:
                pipe.hmget(f"registration:{{{tag}}}", *_NAMES)
                pipe.lrange(f"history:{{{tag}}}", 0, -1)
            answers = iter(pipe.execute())
        for values, history in zip(answers, answers, strict=True):
            here, no, state, dose, product, wishes, any_site, not_before, priority, night, day, site, period = (
                v.decode() if v is not None else "" for v in values
            )
            if here != district:
                continue
            wished = tuple((wish["site"], wish["period"]) for wish in json.loads(wishes or "[]"))
            events = tuple(event[2] for event in map(json.loads, history) if event[1] == no)
            yield Held(
                no, state, dose, product, wished, any_site == "1", not_before, priority == "1", night,
                (day, site, period, product) if state == "booked" else None, events,
            )  # fmt: skip


# The checks


def audit_night(night: NightTruth, messages: Sequence[Message] | None = None) -> list[Check]:
    """Judge a night.

    Args:
        messages: all that have been sent; None where they cannot be read.
    """
    checks = [slots(night), ranks(night)]
    return [*checks, messages_single(night, messages)] if messages is not None else checks


def slots(night: NightTruth) -> Check:
    """No slot beyond its capacity, nobody with two; rosters, counts and appointments say the same."""
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
    """Everyone allotted ranks before everyone not allotted who would have taken that slot; none is left free."""
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
    return verdict(
        f"ranks {night.district}",
        "6: everyone allotted ranks before everyone not allotted who would have taken that slot",
        faults,
        detail,
    )


def messages_single(night: NightTruth, messages: Sequence[Message]) -> Check:
    """One message for each event: who registered, was booked or cancelled was told so, and told once.

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


def rank(night: NightTruth, person: Held) -> tuple[int, str, bytes]:
    """Where somebody stands: cohort, first dose, lot; the smaller goes first (contract, "The draw"; A3, A4)."""
    before = night.rules["priority_first_dose_before"]
    if person.sent_back:
        cohort = 0
    elif not person.first_dose:
        cohort = 3
    else:
        cohort = 1 if before is not None and person.first_dose < before else 2
    lot = hmac.digest(night.seed, person.no.encode(), "sha256")
    return cohort, person.first_dose or _NO_DATE, lot


def _would_take(night: NightTruth, person: Held, theirs: dict[tuple[str, str], list[Slot]]) -> Iterator[Slot]:
    """Slots that somebody could have, and has wished for."""
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


# Holding one


def hold_night(data_dir: Path, grounds: Iterable[Ground], city: Path | None = None, per_slot: int = 2) -> list[Check]:
    """Import a capacity, hold the night of the openings' day, wait for its messages, and audit all three.

    For a server of our own, when the crowd is gone: the store's clock, which the night goes by, is put forward to the
    evening, while the server's own stays where it is.

    Args:
        data_dir: of the running `jiaohao up`.
        grounds: the openings of the run.
        city: the city file in force.
        per_slot: doses of each product at each site in each half of a day, of one day: fewer than are asked for, so
            that the order of the night decides.

    Raises:
        NoNight: a command failed.
    """
    grounds = list(grounds)
    common = ["--data-dir", str(data_dir), *(["--city", str(city)] if city is not None else [])]
    rows = [row for ground in grounds for row in _capacity_rows(ground, per_slot)]
    file = data_dir / "capacity.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([_CAPACITY_COLUMNS, *rows])
    _run("import", "capacity", str(file), *common)
    client, day = connect((data_dir / "store.url").read_text().strip()), grounds[0].date
    evening = datetime.fromisoformat(f"{day}T{_NIGHT_AT}").replace(tzinfo=grounds[0].opens_at.tzinfo)
    client.set("clock:{clock}", round((evening.timestamp() - time.time()) * 1000))
    _run("night", "--date", day, "--results", str(data_dir / "results"), *common)
    nights = [night for ground in grounds if (night := read_night(client, ground.district, day)) is not None]
    if len(nights) < len(grounds):
        raise NoNight("the night has not come to its end")
    messages = _sent(data_dir / "sms.jsonl")
    deadline = time.monotonic() + _MESSAGES_SECONDS
    while time.monotonic() < deadline and any(not check.ok for check in _of_messages(nights, messages)):
        time.sleep(1)
        messages = _sent(data_dir / "sms.jsonl")
    return [check for night in nights for check in audit_night(night, messages)]


def _of_messages(nights: list[NightTruth], messages: Sequence[Message]) -> list[Check]:
    return [messages_single(night, messages) for night in nights]


def _capacity_rows(ground: Ground, per_slot: int) -> Iterator[tuple[str, ...]]:
    day = (date.fromisoformat(ground.date) + timedelta(days=3)).isoformat()
    for site in ground.sites:
        for period in ("am", "pm"):
            for product in ("inactivated", "cho"):
                yield site, day, period, product, str(per_slot)


def _sent(file: Path) -> list[Message]:
    """Every message of a file that the server wrote in place of sending."""
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.endswith("}")]
    return [Message(line["phone"], line["text"]) for line in lines]


def _run(*command: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("JIAOHAO_")}
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", *command], env=env, cwd=Path(__file__).resolve().parents[2],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    if done.returncode:
        words = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
        raise NoNight(f"jiaohao {' '.join(command[:2])} failed: {words}")


def main() -> int:
    """Entry of `python -m loadtests.audit.night_checks`."""
    parser = argparse.ArgumentParser(description="Audit a night that was held: slots, ranks, messages.")
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--district", action="append", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--sms", type=Path, help="messages that were written to a file (sms.jsonl)")
    asked = parser.parse_args()
    client, messages = connect(asked.redis_url), _sent(asked.sms) if asked.sms else None
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
