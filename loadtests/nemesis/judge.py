"""What must hold of a storm, by what was acknowledged in it; and the night after it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from loadtests.history.record import Kind
from loadtests.nemesis.papers import DAY, DRAW_SECONDS, MAX_ACTIVE, RATE_PER_SECOND, code
from loadtests.nemesis.recorded import unexplained
from loadtests.nemesis.seen import Seen
from loadtests.nemesis.storm import Outcome
from loadtests.nemesis.world import World

_EVENING = f"{DAY}T20:30:00+08:00"


class Broken(NamedTuple):
    """A promise that was broken: the check that found it, and in words."""

    check: str
    what: str


def broken(outcome: Outcome) -> Iterator[Broken]:
    """Each promise that a storm has broken."""
    for seen in outcome.seen:
        yield from (Broken("kept", f"resident {seen.who}: {wrong}") for wrong in seen.wrong)
    yield from _shared("entry", ((seen.who, entry) for seen in outcome.seen for entry in seen.places))
    yield from _shared("number", ((seen.who, seen.number) for seen in outcome.seen if seen.number is not None))
    yield from _shared("registration", ((seen.who, seen.no) for seen in outcome.seen if seen.no))
    alive = most_alive(outcome.seen)
    if alive > MAX_ACTIVE:
        yield Broken("passes capped", f"{alive} passes were alive at once, of {MAX_ACTIVE}")
    for came, number in sorted(called for seen in outcome.seen for called in seen.called):
        if number > (allowed := _calls_allowed(came - outcome.opened_at - DRAW_SECONDS)):
            yield Broken("rate kept", f"number {number} was called when {allowed:.0f} could be at most")
    for check, what in unexplained(outcome.history, len(outcome.seen), outcome.gaps):
        yield Broken(check, what)


def _calls_allowed(seconds: float) -> float:
    """Say how many may have been called so long after the draw; a second's worth may be kept for later."""
    return RATE_PER_SECOND * (seconds + 1.0) + 1


def _shared(what: str, held: Iterable[tuple[int, object]]) -> Iterator[Broken]:
    by_value: defaultdict[object, set[int]] = defaultdict(set)
    for who, value in held:
        by_value[value].add(who)
    for value, holders in by_value.items():
        if len(holders) > 1:
            yield Broken("one holder", f"{what} {value} was told to residents {sorted(holders)}")


def most_alive(seen: Sequence[Seen]) -> int:
    """Say how many passes were alive at one moment at least: told of, and neither used nor over."""
    moments: list[tuple[float, int]] = []
    for each in seen:
        came = next((told.came for told in reversed(each.told) if told.call == Kind.CLAIM), None)
        if came is not None:
            ends = min(each.pass_until, each.registering_since or each.pass_until)
            moments += [(came, 1), (max(came, ends), -1)]
    alive = most = 0
    for _, change in sorted(moments):
        alive += change
        most = max(most, alive)
    return most


def hold_night(world: World, outcomes: Sequence[Outcome]) -> dict[int, list[Broken]]:
    """Hold the night of all districts; by district the acknowledged registrations that it has not seen.

    Raises:
        WorldError: it could not be held.
    """
    evening = datetime.fromisoformat(_EVENING).timestamp()
    with world.cluster.asking(world.cluster.primary_of("clock:{clock}")) as client:
        seconds, _ = client.time()
        client.set("clock:{clock}", round((evening - seconds) * 1000))
        client.wait(2, 2000)
    results = world.folder / "results"
    world.run("night", "--date", DAY, "--results", str(results))
    unseen = {}
    for outcome in outcomes:
        known = _listed(results / DAY / f"{code(outcome.district)}.jsonl")
        owed = {seen.no for seen in outcome.seen if seen.no and not seen.cancel_asked}
        unseen[outcome.district] = [Broken("night", f"the night has not seen {no}") for no in sorted(owed - known)]
    return unseen


def _listed(file: Path) -> set[str]:
    """Return every text of fifteen digits in a result file: the registrations in its list, whatever became of them."""
    found: set[str] = set()
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            _texts(json.loads(line), found)
    return found


def _texts(value: object, found: set[str]) -> None:
    if isinstance(value, str):
        if len(value) == 15 and value.isdigit():
            found.add(value)
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _texts(each, found)
