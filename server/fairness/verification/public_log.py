"""Checking a city's public log: that a head is signed, that the entries are its, and that it has only grown."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from server.fairness.checkpoint import Checkpoint, NotSigned, Verifier
from server.fairness.merkle import Frontier, check_growth
from server.fairness.verification.allotment import MadePublic
from server.fairness.verification.reading import WrongFile, parse


class _Growth(msgspec.Struct):
    """A saved answer of `GET /log/growth`."""

    first: int
    second: int
    hashes: list[str]


_growth = msgspec.json.Decoder(_Growth)


class LogFiles(NamedTuple):
    """What was saved of a log: a head, an earlier one of it, all entries up to the later head, and the proof of growth
    between the two."""

    head: Path
    earlier: Path | None = None
    entries: Path | None = None
    growth: Path | None = None


class Printed(NamedTuple):
    """A head as a receipt has it in print: how many entries, and the first digits of their root (hex)."""

    size: int
    root: str


class VerifiedLog(NamedTuple):
    """The head, the earlier one, and what the entries are, by kind; empty where none were given."""

    head: Checkpoint
    earlier: Checkpoint | None
    kinds: dict[str, int]


def verify_log(files: LogFiles, key: str, printed: Printed | None = None) -> VerifiedLog:
    """Check what was saved of a log.

    Args:
        files: entries or the proof of growth must be among them where there is an earlier head.
        key: the log's, from somewhere else than the files.
        printed: what a receipt says; the entries must be among the files.

    Raises:
        WrongFile: the first thing that is wrong.
        ValueError: that is no key, or there is nothing to compare the earlier head or the printed one by.
        OSError: a file cannot be read.
    """
    if files.earlier is not None and files.entries is None and files.growth is None:
        raise ValueError("an earlier head is compared by the entries or by the proof of growth: give one of them")
    if printed is not None and files.entries is None:
        raise ValueError("what a receipt says is compared by the entries: give them")
    verifier = Verifier(key)
    head = _head(files.head, verifier)
    earlier = _head(files.earlier, verifier) if files.earlier is not None else None
    if earlier is not None and earlier.origin != head.origin:
        raise WrongFile(0, f"the earlier head is of another log, {earlier.origin}")
    if earlier is not None and earlier.size > head.size:
        raise WrongFile(0, f"the earlier head has {earlier.size} entries, the later one only {head.size}")
    lines = _lines(files.entries) if files.entries is not None else []
    if files.entries is not None:
        _compare(lines, head, "head")
        if earlier is not None:
            _compare(lines, earlier, "earlier head")
        if printed is not None:
            _compare(lines, printed, "receipt")
    if files.growth is not None and earlier is not None:
        _check_growth(files.growth, earlier, head)
    return VerifiedLog(head, earlier, _kinds(lines[: head.size]))


class _Round(msgspec.Struct):
    round: int


class _NightEntry(msgspec.Struct):
    """An entry of a night: its promise, its frozen list, or its result."""

    what: str
    district: str = ""
    date: str = ""
    commitment: str | None = None
    list_root: str | None = None
    root: str | None = None
    beacon: _Round | None = None


_of_night = msgspec.json.Decoder(_NightEntry)


def night_in_log(entries: Path, district: str, date: str) -> MadePublic:
    """What a log says of a district's night: the commitment, the frozen list's root and the round, the result's root.

    Args:
        entries: of the log, themselves checked by `verify_log`.
        district, date: of the night.

    Raises:
        WrongFile: it does not say all of it, or twice.
        OSError: the file cannot be read.
    """
    found: dict[str, _NightEntry] = {}
    for number, line in enumerate(_lines(entries), 1):
        if parse(number, line, _entry).what in ("night", "frozen", "result"):
            it = parse(number, line, _of_night)
            if (it.district, it.date) != (district, date):
                continue
            if it.what in found:
                raise WrongFile(number, f"{entries.name} has the entry {it.what} of this night twice")
            found[it.what] = it
    for what in ("night", "frozen", "result"):
        if what not in found:
            raise WrongFile(0, f"{entries.name} has no entry {what} of this night")
    night, frozen, result = (found[what] for what in ("night", "frozen", "result"))
    return MadePublic(night.commitment, frozen.list_root, result.root, frozen.beacon.round if frozen.beacon else 0)


def _head(file: Path, verifier: Verifier) -> Checkpoint:
    try:
        return verifier.read(file.read_text())
    except (NotSigned, UnicodeDecodeError) as error:
        raise WrongFile(0, f"{file.name}: {error}") from None


def _lines(file: Path) -> list[bytes]:
    text = file.read_bytes()
    if text and not text.endswith(b"\n"):
        raise WrongFile(0, "the last entry is cut off")
    return text.split(b"\n")[:-1]


def _compare(lines: Sequence[bytes], head: Checkpoint | Printed, which: str) -> None:
    """Entries that came after a head are none of its business."""
    if len(lines) < head.size:
        raise WrongFile(len(lines), f"there are {len(lines)} entries, the {which} is of {head.size}")
    frontier = Frontier()
    for line in lines[: head.size]:
        frontier.append(line)
    if not frontier.root().startswith(head.root):  # of a receipt, its first digits
        raise WrongFile(0, f"root: the {which} says {head.root}, the entries give {frontier.root()}")


def _check_growth(file: Path, earlier: Checkpoint, head: Checkpoint) -> None:
    proof = parse(0, file.read_bytes(), _growth)
    if (proof.first, proof.second) != (earlier.size, head.size):
        raise WrongFile(
            0, f"the proof is from {proof.first} to {proof.second} entries, the heads {earlier.size}, {head.size}"
        )
    if not check_growth(earlier.size, earlier.root, head.size, head.root, proof.hashes):
        raise WrongFile(0, "growth: the later log does not begin with the earlier one")


def _kinds(lines: Sequence[bytes]) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        what = parse(number, line, _entry).what
        kinds[what] = kinds.get(what, 0) + 1
    return kinds


class _Entry(msgspec.Struct):
    what: str


_entry = msgspec.json.Decoder(_Entry)
