"""Checking what the system published, from the file alone: an opening's draw, a night's allotment, one's own line."""

import datetime as dt
from array import array
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, NamedTuple, TypeVar

import msgspec

from server.core.keys import is_registration_no
from server.fairness.allotment import Allotment, Candidates, Order, allot, refuse_twice, tie_break
from server.fairness.draw import Draw, commitment
from server.fairness.merkle import Frontier, Proof, check
from server.fairness.result_file import Foot, Head, Line, encode, foot, line_of, list_root

_FIELD_CHARS: Final = 120

T = TypeVar("T")
Told = Callable[[int], Any]

_head, _line, _foot = msgspec.json.Decoder(Head), msgspec.json.Decoder(Line), msgspec.json.Decoder(Foot)


class Wrong(Exception):
    """A file that does not hold; the message says where and why. `line` counts from 1, 0 is the file as a whole."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}" if line else why)
        self.line = line


class Published(NamedTuple):
    """What was made public elsewhere, to compare the file with; None is not compared."""

    commitment: str | None = None
    list_root: str | None = None
    root: str | None = None


class Held(NamedTuple):
    """A result file that holds."""

    head: Head
    foot: Foot


# The night's allotment


def verify_allotment(path: Path, published: Published | None = None, told: Told = lambda _: None) -> Held:
    """Replay a result file.

    It is read twice: first what went in (the list, its order, the tie-breaks), then, with the night allotted anew,
    what came out, line by line.

    Args:
        path: the file.
        published: what was public before the night.
        told: told how many bytes have been read; twice the size of the file in the end.

    Raises:
        Wrong: the first thing that is wrong.
        OSError: the file cannot be read.
    """
    with path.open("rb") as f:
        size = f.seek(0, 2)
        f.seek(0)
        head, candidates, order, last = _read(_lines(f, told))
        found = list_root(head.rules, candidates)
        if found != head.list_root:
            raise Wrong(1, f"list_root: it says {head.list_root}, the registrations below give {found}")
        seed = bytes.fromhex(head.seed)
        night = allot(head.rules, head.offered(), candidates, seed, order)
        f.seek(0)
        ending = _compare(_lines(f, lambda n: told(size + n)), night, last)
    public = published or Published()
    for line, name, said, in_file in (
        (1, "commitment", public.commitment, head.commitment),
        (1, "list_root", public.list_root, head.list_root),
        (last, "root", public.root, ending.root),
    ):
        if said is not None and said != in_file:
            raise Wrong(line, f"{name}: published was {said}, the file has {in_file}")
    return Held(head, ending)


def _lines(f: BinaryIO, told: Told) -> Iterator[tuple[int, bytes, bool]]:
    """(line from 1, its octets without the newline, whether it is the last)."""
    at, number, before = 0, 0, b""
    for raw in f:
        if number:
            yield number, _without_newline(number, before), False
        at += len(raw)
        number, before = number + 1, raw
        if number % 1000 == 0:
            told(at)
    if not number:
        raise Wrong(0, "the file is empty")
    told(at)
    yield number, _without_newline(number, before), True


def _without_newline(number: int, raw: bytes) -> bytes:
    if not raw.endswith(b"\n"):
        raise Wrong(number, "cut off: it has no end")
    return raw[:-1]


def _read(lines: Iterator[tuple[int, bytes, bool]]) -> tuple[Head, Candidates, Order, int]:
    """What went in: the head, the list and its order, and which line is the last; ties are those of the seed."""
    number, raw, is_last = next(lines)
    head = _decode(number, raw, _head)
    _check_head(head)
    if is_last:
        raise Wrong(number, "cut off: there is nothing but the first line")
    seed, rules = bytes.fromhex(head.seed), head.rules
    candidates, cohorts, ties = Candidates(), array("B"), bytearray()
    before: tuple[int, date, bytes] | None = None
    district = ""
    for number, raw, is_last in lines:
        if is_last:
            _decode(number, raw, _foot)
            break
        line = _decode(number, raw, _line)
        if not is_registration_no(line.no):
            raise Wrong(number, f"no: {line.no} is no registration number")
        district = district or line.no[5:7]
        if line.no[5:7] != district:
            raise Wrong(number, f"no: {line.no} is another district's than the ones before it")
        if line.cohort != rules.cohort(line.first_dose, sent_back=line.cohort == 0):
            raise Wrong(number, f"cohort: {line.cohort} is not that of a first dose of {line.first_dose}")
        tie = tie_break(seed, int(line.no))
        here = (line.cohort, line.first_dose or date.max, tie)
        if before is not None and here <= before:
            raise Wrong(number, "order: it ranks before the line above it (cohort, first dose, tie-break)")
        before = here
        try:
            candidates.add(line.candidate())
        except ValueError as error:
            raise Wrong(number, str(error)) from None
        cohorts.append(line.cohort)
        ties += tie
    if len(candidates) != head.registrations:
        raise Wrong(1, f"registrations: {head.registrations}, and the file has {len(candidates)} of them")
    try:
        refuse_twice(candidates)
    except ValueError as error:
        raise Wrong(0, str(error)) from None
    return head, candidates, Order(array("I", range(len(candidates))), cohorts, bytes(ties)), number


def _check_head(head: Head) -> None:
    expected = commitment(bytes.fromhex(head.seed))
    if expected != head.commitment:
        raise Wrong(1, f"commitment: that of the seed is {expected}")
    offered = head.offered()
    try:
        ordered = head.rules.offered(offered)
    except (ValueError, OverflowError) as error:  # overflow: a date beyond the year 9999
        raise Wrong(1, f"slots: {error}") from None
    if ordered != offered:
        raise Wrong(1, "slots: some are outside the rules' dates or products, or they are not in order")


def _compare(lines: Iterator[tuple[int, bytes, bool]], night: Allotment, last: int) -> Foot:
    """What came out, line by line."""
    frontier = Frontier()
    for number, raw, is_last in lines:
        if is_last:
            break
        if number > 1:
            expected = line_of(night, number - 2)
            if raw != expected:
                raise Wrong(number, _difference(raw, expected, Line))
        frontier.append(raw)
    ending = foot(night, frontier.root())
    if raw != ending:
        _decode(last, raw, _foot)
        raise Wrong(last, _difference(raw, ending, Foot))
    return msgspec.json.decode(ending, type=Foot)


def _decode(number: int, raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """A line, written as a result file is."""
    found = _parse(number, raw, decoder)
    if encode(found) != raw:
        raise Wrong(number, "it says something that can be read, but is not written as a result file is")
    return found


def _parse(number: int, raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Wrong(number, f"it cannot be read: {error}") from None


def _difference(raw: bytes, expected: bytes, kind: Any) -> str:
    ours, theirs = msgspec.json.decode(expected, type=kind), msgspec.json.decode(raw, type=kind)
    for name in kind.__struct_fields__:
        a, b = (encode(getattr(line, name)).decode() for line in (theirs, ours))
        if a != b:
            return f"{name}: it says {a[:_FIELD_CHARS]}, the replay gives {b[:_FIELD_CHARS]}"
    raise AssertionError("two lines that differ and say the same")


# One's own line


class _Priority(msgspec.Struct):
    first_dose_date: date | None


class _Appointment(msgspec.Struct):
    site: str
    date: dt.date
    period: str


class _Night(msgspec.Struct):
    date: dt.date
    reason: str | None
    reached: dt.date | None
    line: str | None
    leaf: int | None
    root: str | None
    proof: Proof | None
    commitment: str | None
    seed: str | None


class _Status(msgspec.Struct):
    """A saved answer of `GET /registrations/{no}`."""

    registration_no: str
    state: str
    district: str
    priority: _Priority
    appointment: _Appointment | None
    night: _Night | None


_status = msgspec.json.Decoder(_Status)


class Included(NamedTuple):
    """A line that is under a root: the line, its number in the file from 1, of how many registrations; and of which
    district's night the holder was told that this is the root."""

    line: Line
    number: int
    registrations: int
    root: str
    district: str
    date: date


def verify_inclusion(path: Path, published: str | None = None) -> Included:
    """Check that a registration's line is in the night's result, and that the registration says what its line says.

    Args:
        path: JSON, a saved answer of `GET /registrations/{no}`.
        published: the root that was made public.

    Raises:
        Wrong: the first thing that is wrong.
        OSError: the file cannot be read.
    """
    said = _parse(0, path.read_bytes(), _status)
    night = said.night
    if night is None:
        raise Wrong(0, "night: the registration has been in none yet")
    if night.root is None:
        raise Wrong(0, "root: the night's result was not public yet; save the answer again later")
    if night.line is None or night.proof is None:
        raise Wrong(0, "proof: the server had none at hand; save the answer again later")
    if published is not None and published != night.root:
        raise Wrong(0, f"root: published was {published}, the file has {night.root}")
    raw = night.line.encode()
    if not check(night.root, raw, night.proof):
        raise Wrong(0, "proof: the line is not under the root at the place that the proof says")
    if night.leaf != night.proof.index:
        raise Wrong(0, f"leaf: it says {night.leaf}, the proof is of {night.proof.index}")
    line = _decode(0, raw, _line)
    if line.no != said.registration_no:
        raise Wrong(0, f"registration_no: it says {said.registration_no}, the line is of {line.no}")
    _check_seed(night, line)
    _check_outcome(said, night, line)
    return Included(line, night.leaf + 1, night.proof.leaves - 1, night.root, said.district, night.date)


def _check_seed(night: _Night, line: Line) -> None:
    try:
        seed = bytes.fromhex(night.seed or "")
    except ValueError:
        raise Wrong(0, f"seed: {night.seed} is not hexadecimal") from None
    if commitment(seed) != night.commitment:
        raise Wrong(0, f"commitment: it says {night.commitment}, that of the seed is {commitment(seed)}")
    expected = tie_break(seed, int(line.no)).hex()
    if line.tie != expected:
        raise Wrong(0, f"tie: the line says {line.tie}, the seed gives {expected}")


def _check_outcome(said: _Status, night: _Night, line: Line) -> None:
    """What the holder is told is what stands in the line."""
    if line.first_dose != said.priority.first_dose_date:
        raise Wrong(0, f"first_dose_date: it says {said.priority.first_dose_date}, the line {line.first_dose}")
    slot = line.slot[:3] if line.slot else None
    # What was given may have been withdrawn, cancelled or missed since; what was not given cannot be booked.
    if said.state == "booked" and said.appointment is not None:
        held = (said.appointment.date, said.appointment.site, said.appointment.period)
        if held != slot:
            raise Wrong(0, f"appointment: it says {_words(held)}, the line {_words(slot)}")
    if night.reason != line.reason and (night.reason, line.reason) != ("withdrawn", None):
        raise Wrong(0, f"reason: it says {night.reason}, the line {line.reason or _words(slot)}")
    if night.reached != line.reached:
        raise Wrong(0, f"reached: it says {night.reached}, the line {line.reached}")


def _words(slot: tuple[date, str, str] | None) -> str:
    return " ".join(str(part) for part in slot) if slot else "no slot"


# An opening's draw


class _Opening(msgspec.Struct):
    """The draw of a saved answer of `GET /openings/{district}`."""

    commitment: str
    seed: str | None = None
    entries: int | None = None


class _DrawFile(msgspec.Struct):
    """A draw by itself, with the numbers that some entries were told, or such an answer."""

    draw: _Opening | None = None
    commitment: str | None = None
    seed: str | None = None
    entries: int | None = None
    numbers: dict[str, Annotated[int, msgspec.Meta(ge=1)]] = {}


_draw_file = msgspec.json.Decoder(_DrawFile)


class Drawn(NamedTuple):
    """A draw that holds, and how many numbers were compared."""

    draw: Draw
    compared: int


def verify_draw(path: Path, published: str | None = None) -> Drawn:
    """Check a draw: the seed is the one committed to, and every number in the file is the one it gives.

    Args:
        path: JSON `{seed, commitment, entries, numbers?: {entry: number}}`, or a saved `GET /openings/{district}`.
        published: the commitment that was public before the opening.

    Raises:
        Wrong: the first thing that is wrong.
        OSError: the file cannot be read.
    """
    file = _parse(0, path.read_bytes(), _draw_file)
    said = file.draw or _Opening(file.commitment or "", file.seed, file.entries)
    if not said.commitment:
        raise Wrong(0, "commitment: there is none")
    if said.seed is None or said.entries is None:
        raise Wrong(0, "seed: it is not revealed yet; save the answer again when the draw is done")
    try:
        seed = bytes.fromhex(said.seed)
        draw = Draw(seed, said.entries)
    except ValueError as error:
        raise Wrong(0, f"seed: {error}") from None
    if commitment(seed) != said.commitment:
        raise Wrong(0, f"commitment: that of the seed is {commitment(seed)}, the file says {said.commitment}")
    if published is not None and published != said.commitment:
        raise Wrong(0, f"commitment: published was {published}, the file has {said.commitment}")
    for entry, number in file.numbers.items():
        if not entry.isascii() or not entry.isdigit():
            raise Wrong(0, f"numbers: {entry!r} is no entry")
        expected = draw.number(int(entry))
        if number != expected:
            raise Wrong(0, f"numbers: entry {entry} has number {expected}, the file says {number}")
    return Drawn(draw, len(file.numbers))
