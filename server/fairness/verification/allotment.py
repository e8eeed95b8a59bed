"""Checking a night's allotment from its result file alone."""

from array import array
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from server.core.keys import is_registration_no
from server.fairness.allotment import Allotment, Candidates, Order, Rules, tie_break
from server.fairness.beacon import NotOfTheBeacon
from server.fairness.merkle import Frontier
from server.fairness.result_file import WITH_RESERVES, Foot, Head, Line, encode
from server.fairness.verification.reading import WrongFile, decode
from server.fairness.verification.replay import allot_again, foot_of, line_of, list_root_of, refuse_twice

_FIELD_CHARS: Final = 120

ToldOfLines = Callable[[int], Any]

_head, _line, _foot = msgspec.json.Decoder(Head), msgspec.json.Decoder(Line), msgspec.json.Decoder(Foot)


class MadePublic(NamedTuple):
    """What was made public elsewhere, to compare the file with; None is not compared. `round`: 0 = of no beacon."""

    commitment: str | None = None
    list_root: str | None = None
    root: str | None = None
    round: int | None = None


class Held(NamedTuple):
    """A result file that holds, of so many lines."""

    head: Head
    foot: Foot
    lines: int

    def compare(self, public: MadePublic) -> None:
        """Compare it with what was made public elsewhere.

        Raises:
            WrongFile: it is another night's, or somebody's own.
        """
        head, beacon = self.head, self.head.beacon
        for line, name, said, in_file in (
            (1, "commitment", public.commitment, head.commitment),
            (1, "list_root", public.list_root, head.list_root),
            (1, "round", public.round, beacon.round if beacon else 0),
            (self.lines, "root", public.root, self.foot.root),
        ):
            if said is not None and said != in_file:
                raise WrongFile(line, f"{name}: published was {said}, the file has {in_file}")


def verify_allotment(path: Path, published: MadePublic | None = None, progress: ToldOfLines = lambda _: None) -> Held:
    """Replay a result file.

    It is read twice: first what went in (the list, its order, the tie-breaks), then, with the night allotted anew,
    what came out, line by line.

    Args:
        path: the file.
        published: what was public before the night.
        progress: told how many bytes have been read; twice the size of the file in the end.

    Raises:
        WrongFile: the first thing that is wrong.
        BeaconUnverifiable: this Python cannot check the beacon's signature.
        OSError: the file cannot be read.
    """
    with path.open("rb") as f:
        size = f.seek(0, 2)
        f.seek(0)
        head, candidates, order, last = _read(_lines(f, progress))
        found = list_root_of(order.cohorts, candidates)
        if found != head.list_root:
            raise WrongFile(1, f"list_root: it says {head.list_root}, the registrations below give {found}")
        night = allot_again(head.rules, head.offered(), candidates, order)
        f.seek(0)
        ending = _compare(_lines(f, lambda n: progress(size + n)), head.rules, night, last)
    held = Held(head, ending, last)
    held.compare(published or MadePublic())
    return held


def _lines(f: BinaryIO, progress: ToldOfLines) -> Iterator[tuple[int, bytes, bool]]:
    """(line from 1, its octets without the newline, whether it is the last)."""
    at, number, before = 0, 0, b""
    for raw in f:
        if number:
            yield number, _without_newline(number, before), False
        at += len(raw)
        number, before = number + 1, raw
        if number % 1000 == 0:
            progress(at)
    if not number:
        raise WrongFile(0, "the file is empty")
    progress(at)
    yield number, _without_newline(number, before), True


def _without_newline(number: int, raw: bytes) -> bytes:
    if not raw.endswith(b"\n"):
        raise WrongFile(number, "cut off: it has no end")
    return raw[:-1]


def _read(lines: Iterator[tuple[int, bytes, bool]]) -> tuple[Head, Candidates, Order, int]:
    """What went in: the head, the list and its order, and which line is the last; ties are those of the key."""
    number, raw, is_last = next(lines)
    head = decode(number, raw, _head)
    _check_head(head)
    if is_last:
        raise WrongFile(number, "cut off: there is nothing but the first line")
    key, rules = head.lots.key(head.tag, head.list_root), head.rules
    candidates, cohorts, ties = Candidates(periods=head.rules.periods), array("B"), bytearray()
    before: tuple[int, date, bytes] | None = None
    district, letters = "", "".join(reserve.letter for reserve in rules.reserves)
    for number, raw, is_last in lines:
        if is_last:
            decode(number, raw, _foot)
            break
        line = decode(number, raw, _line)
        if not rules.reserves:  # else they are the lines' own numbers
            district = _check_number(number, line.no, district)
        if line.reserves.strip(letters):
            raise WrongFile(number, f"reserves: {line.reserves}, and the rules have only {letters or 'none'}")
        if line.cohort != rules.cohort(line.first_dose, sent_back=line.cohort == 0):
            raise WrongFile(number, f"cohort: {line.cohort} is not that of a first dose of {line.first_dose}")
        tie = tie_break(key, int(line.no))
        here = (line.cohort, line.first_dose or date.max, tie)
        if before is not None and here <= before:
            raise WrongFile(number, "order: it ranks before the line above it (cohort, first dose, tie-break)")
        before = here
        try:
            candidates.add(line.candidate())
        except ValueError as error:
            raise WrongFile(number, str(error)) from None
        cohorts.append(line.cohort)
        ties += tie
    if len(candidates) != head.registrations:
        raise WrongFile(1, f"registrations: {head.registrations}, and the file has {len(candidates)} of them")
    try:
        refuse_twice(candidates)
    except ValueError as error:
        raise WrongFile(0, str(error)) from None
    return head, candidates, Order(array("I", range(len(candidates))), cohorts, bytes(ties)), number


def _check_number(number: int, no: str, district: str) -> str:
    """The two digits of its district, which is the same in all lines."""
    if not is_registration_no(no):
        raise WrongFile(number, f"no: {no} is no registration number")
    if no[5:7] != (district or no[5:7]):
        raise WrongFile(number, f"no: {no} is another district's than the ones before it")
    return no[5:7]


def _check_head(head: Head) -> None:
    lots = head.lots
    if lots.commitment != head.commitment:
        raise WrongFile(1, f"commitment: that of the seed is {lots.commitment}")
    if (head.format == WITH_RESERVES) != bool(head.rules.reserves):
        raise WrongFile(1, "format: the third one is of nights with reserves, and no other is")
    if lots.version == 1 and (head.beacon is not None or head.frozen_ms is not None):
        raise WrongFile(1, "format: there is no beacon in the first version")
    if lots.version > 1 and head.frozen_ms is None:
        raise WrongFile(1, "frozen_ms: there is none")
    if head.beacon is not None:
        try:
            head.beacon.check(head.frozen_ms or 0)
        except NotOfTheBeacon as error:
            raise WrongFile(1, f"beacon: {error}") from None
    offered = head.offered()
    try:
        ordered = head.rules.offered(offered)
    except (ValueError, OverflowError) as error:  # overflow: a date beyond the year 9999
        raise WrongFile(1, f"slots: {error}") from None
    if ordered != offered:
        raise WrongFile(1, "slots: some are outside the rules' dates, products or periods, or they are not in order")


def _compare(lines: Iterator[tuple[int, bytes, bool]], rules: Rules, night: Allotment, last: int) -> Foot:
    """What came out, line by line."""
    frontier = Frontier()
    for number, raw, is_last in lines:
        if is_last:
            break
        if number > 1:
            expected = line_of(night, number - 2)
            if raw != expected:
                raise WrongFile(number, _difference(raw, expected, Line))
        frontier.append(raw)
    ending = foot_of(rules, night, frontier.root())
    if raw != ending:
        decode(last, raw, _foot)
        raise WrongFile(last, _difference(raw, ending, Foot))
    return msgspec.json.decode(ending, type=Foot)


def _difference(raw: bytes, expected: bytes, kind: Any) -> str:
    ours, theirs = msgspec.json.decode(expected, type=kind), msgspec.json.decode(raw, type=kind)
    said, replayed = msgspec.structs.asdict(theirs), msgspec.structs.asdict(ours)
    for name in said:
        a, b = (encode(value).decode() for value in (said[name], replayed[name]))
        if a != b:
            return f"{name}: it says {a[:_FIELD_CHARS]}, the replay gives {b[:_FIELD_CHARS]}"
    raise AssertionError("two lines that differ and say the same")
