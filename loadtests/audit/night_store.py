"""A night as the store has it, read by the documented keys (`lua/README.md`), and the messages that were sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.audit.truth import registration_tags
from loadtests.client.answers import BeaconRound
from loadtests.client.draw import bound_key

Slot = tuple[str, str, str, str]
"""Date (YYYY-MM-DD), site, am or pm, product."""


class Message(NamedTuple):
    """An SMS as it was sent."""

    phone: str
    text: str


@dataclass(frozen=True)
class NightRegistration:
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
        key: that decides among equals.
        frozen_ms, beacon: when the list was frozen, and the round that follows it; None where no beacon is named.
        capacity, taken: of each slot, of all days.
        rosters: (registration number, slot) of each line of each day.
        people: every registration of the district, the latest of each resident.
    """

    district: str
    date: str
    rules: dict[str, Any]
    offered: dict[Slot, int]
    key: bytes
    frozen_ms: int = 0
    beacon: BeaconRound | None = None
    capacity: dict[Slot, int] = field(default_factory=dict)
    taken: dict[Slot, int] = field(default_factory=dict)
    rosters: list[tuple[str, Slot]] = field(default_factory=list)
    people: list[NightRegistration] = field(default_factory=list)


def read_night(client: Any, district: str, day: str) -> NightTruth | None:
    """Return the night of a day by the documented keys (`lua/README.md`); None where none has come to its end."""
    fields = {k.decode(): v.decode() for k, v in client.hgetall(f"night:{{{district}:{day}}}").items()}
    if "told_ms" not in fields:
        return None
    offered = {(d, s, p, product): free for (d, s, p, product), free in json.loads(fields["offered"])}
    night = NightTruth(district, day, json.loads(fields["rules"]), offered, _key(district, day, fields))
    night.frozen_ms = int(fields.get("frozen_ms", 0))
    if "beacon" in fields:
        signature, missing = fields.get("signature"), fields.get("no_beacon")
        night.beacon = BeaconRound(fields["beacon"], int(fields["round"]), signature, missing=missing)
    for kind, into in (("slots", night.capacity), ("taken", night.taken)):
        for of_day, name, count in _of_days(client, kind, district):
            site, period, product = name.decode().split("|")
            into[of_day, site, period, product] = int(count)
    for of_day, no, line in _of_days(client, "roster", district):
        site, period, product = line[16:].decode().split("|")
        night.rosters.append((no.decode(), (of_day, site, period, product)))
    night.people = list(_people(client, district))
    return night


def _key(district: str, day: str, fields: dict[str, str]) -> bytes:
    """Return what the tie-breaks are made with: the seed, or from the second version on what binds the list too."""
    seed = bytes.fromhex(fields["seed"])
    if fields.get("version", "1") == "1":
        return seed
    return bound_key("night", seed, f"{district}:{day}", fields["list_root"], fields.get("signature", ""))


def _of_days(client: Any, kind: str, district: str) -> Iterator[tuple[str, bytes, bytes]]:
    for key in client.scan_iter(match=f"{kind}:{{{district}:*}}", count=5000):
        of_day = key.decode().rpartition(":")[2].rstrip("}")
        for name, value in client.hscan_iter(key, count=5000):
            yield of_day, name, value


_NAMES = (
    "district", "no", "state", "first_dose", "product", "preferences", "accept_any_site", "not_before", "priority",
    "night", "day", "site", "period",
)  # fmt: skip


def _people(client: Any, district: str) -> Iterator[NightRegistration]:
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
            yield NightRegistration(
                no, state, dose, product, wished, any_site == "1", not_before, priority == "1", night,
                (day, site, period, product) if state == "booked" else None, events,
            )  # fmt: skip


def sent_messages(file: Path) -> list[Message]:
    """Return every message of a file that the server wrote in place of sending."""
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.endswith("}")]
    return [Message(line["phone"], line["text"]) for line in lines]
