"""Checking an opening's draw."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from server.core.keys import opening_tag
from server.fairness.beacon import NotOfTheBeacon, chain_named
from server.fairness.draw import BLIND_BYTES, Draw, commitment, draw_key
from server.fairness.draw_tree import DrawTree
from server.fairness.verification.reading import WrongFile, compare_root, parse

_LEAVES_AT_ONCE = 65_536


class _Beacon(msgspec.Struct):
    chain: str
    round: int
    randomness: str | None = None
    signature: str | None = None
    missing: str | None = None


class _Draw(msgspec.Struct):
    """The draw of a saved answer of `GET /openings/{district}`."""

    commitment: str = ""
    seed: str | None = None
    entries: int | None = None
    version: int = 1
    seconds: int = 0
    root: str | None = None
    beacon: _Beacon | None = None
    key: str | None = None


class _DrawFile(_Draw):
    """A draw by itself, with the numbers that some entries were told, or such an answer."""

    draw: _Draw | None = None
    district: str = ""
    date: dt.date | None = None
    window: int = 1
    opens_at: dt.datetime | None = None
    numbers: dict[str, Annotated[int, msgspec.Meta(ge=1)]] = {}

    @property
    def tag(self) -> str:
        """Which opening it is of."""
        if not self.district or self.date is None:
            raise WrongFile(0, "district, date: the file does not say which opening it is of")
        return opening_tag(self.district, self.date, self.window)


_draw_file = msgspec.json.Decoder(_DrawFile)
_any = msgspec.json.Decoder(dict[str, Any])


class Published(NamedTuple):
    """What is known of a draw from elsewhere: its commitment and its root, the leaves of its entries, the public log's
    entries. What is not given is not compared."""

    commitment: str | None = None
    root: str | None = None
    leaves: Path | None = None
    log: Path | None = None


class Drawn(NamedTuple):
    """A draw that holds.

    Attributes:
        draw: its numbers.
        compared: how many numbers were compared.
        version: 2 where the numbers follow from a key that nobody could know beforehand.
        root: over its entries; "" in the first version.
        bound_to: the beacon's round, in words; "" where it is to none.
        missing: why that round's randomness is not in the key; "" where it is.
    """

    draw: Draw
    compared: int
    version: int = 1
    root: str = ""
    bound_to: str = ""
    missing: str = ""


def verify_draw(path: Path, published: Published = Published()) -> Drawn:  # noqa: B008 - it is immutable
    """Check a draw: the seed is the one committed to, the key follows from it, from the root over all entries and from
    the beacon's round, and every number in the file is the one it gives.

    Args:
        path: a saved `GET /openings/{district}`, or JSON with the fields of its `draw` and `numbers: {entry: number}`.
        published: to compare with.

    Raises:
        WrongFile: the first thing that is wrong.
        BeaconUnverifiable: this Python cannot check the beacon.
        OSError: a file cannot be read.
    """
    file = parse(0, path.read_bytes(), _draw_file)
    said = file.draw or file
    if not said.commitment:
        raise WrongFile(0, "commitment: there is none")
    if said.seed is None or said.entries is None:
        raise WrongFile(0, "seed: it is not revealed yet; save the answer again when the draw is done")
    seed = _bytes_of("seed", said.seed)
    if commitment(seed) != said.commitment:
        raise WrongFile(0, f"commitment: that of the seed is {commitment(seed)}, the file says {said.commitment}")
    if published.commitment is not None and published.commitment != said.commitment:
        raise WrongFile(0, f"commitment: published was {published.commitment}, the file has {said.commitment}")
    if said.version == 1:
        held = Drawn(_numbers(seed, said.entries), len(file.numbers))
    elif said.version == 2:
        held = _bound(file, said, seed, published)
    else:
        raise WrongFile(0, f"version: {said.version} is none that is known here")
    if published.log is not None:
        _compare_with_log(published.log, file, said)
    for entry, number in file.numbers.items():
        if not entry.isascii() or not entry.isdigit():
            raise WrongFile(0, f"numbers: {entry!r} is no entry")
        expected = held.draw.number(int(entry))
        if number != expected:
            raise WrongFile(0, f"numbers: entry {entry} has number {expected}, the file says {number}")
    return held


def _bytes_of(what: str, text: str | None) -> bytes:
    try:
        found = bytes.fromhex(text or "")
    except ValueError:
        raise WrongFile(0, f"{what}: {text} is not hexadecimal") from None
    if len(found) != 32 or found.hex() != text:
        raise WrongFile(0, f"{what}: expected 64 hexadecimal digits in lower case")
    return found


def _numbers(key: bytes, entries: int) -> Draw:
    try:
        return Draw(key, entries)
    except ValueError as error:
        raise WrongFile(0, f"entries: {error}") from None


def _bound(file: _DrawFile, said: _Draw, seed: bytes, published: Published) -> Drawn:
    """A draw of the second version."""
    root = _bytes_of("root", said.root).hex()
    entries = said.entries or 0
    compare_root(published.root, root)
    if published.leaves is not None:
        _check_leaves(published.leaves, entries, root)
    randomness = _randomness(file, said) if said.beacon else b""
    expected = draw_key(seed, file.tag, root, randomness).hex()
    if said.key != expected:
        raise WrongFile(0, f"key: seed, root and beacon give {expected}, the file says {said.key}")
    chain = chain_named(said.beacon.chain) if said.beacon else None
    bound_to = f"{chain.in_words} round {said.beacon.round}" if said.beacon and chain else ""
    missing = (said.beacon.missing or "") if said.beacon else ""
    draw = _numbers(bytes.fromhex(expected), entries)
    return Drawn(draw, len(file.numbers), 2, root, bound_to, missing)


def _check_leaves(leaves: Path, entries: int, root: str) -> None:
    tree = DrawTree()
    with leaves.open("rb") as blinds:
        while chunk := blinds.read(_LEAVES_AT_ONCE * BLIND_BYTES):
            try:
                tree.grow(chunk)
            except ValueError as error:
                raise WrongFile(0, f"{leaves.name}: {error}") from None
    if tree.entries != entries:
        raise WrongFile(0, f"{leaves.name}: it has {tree.entries:,} leaves, the draw {entries:,} entries")
    if tree.root() != root:
        raise WrongFile(0, f"{leaves.name}: the leaves' root is {tree.root()}, the file says {root}")


def _randomness(file: _DrawFile, said: _Draw) -> bytes:
    """What the beacon adds to the key; nothing where it was not to be had, which the file says."""
    beacon = said.beacon
    chain = chain_named(beacon.chain) if beacon else None
    if beacon is None or chain is None:
        raise WrongFile(0, f"beacon: {beacon and beacon.chain} is no chain that is known here")
    if file.opens_at is None or said.seconds <= 0:
        raise WrongFile(0, "opens_at, seconds: without them nobody knows which round the draw is bound to")
    expected = chain.round_for(round(file.opens_at.timestamp() * 1000) + said.seconds * 1000)
    if beacon.round != expected:
        raise WrongFile(0, f"beacon: a draw that ends then is bound to round {expected}, the file says {beacon.round}")
    if beacon.signature is None:
        if not beacon.missing or beacon.randomness is not None:
            raise WrongFile(0, "beacon: there is no signature, and not said why")
        return b""
    try:
        randomness = chain.verify(beacon.round, beacon.signature)
    except NotOfTheBeacon as error:
        raise WrongFile(0, f"beacon: {error}") from None
    if randomness.hex() != beacon.randomness or beacon.missing:
        raise WrongFile(0, f"beacon: the signature's randomness is {randomness.hex()}, the file says otherwise")
    return randomness


def _compare_with_log(log: Path, file: _DrawFile, said: _Draw) -> None:
    """What the public log has of this opening is what the file says."""
    tag, kinds = file.tag, set[str]()
    shown = msgspec.to_builtins(said.beacon) if said.beacon else None
    promised = {name: shown[name] for name in ("chain", "round")} if shown else None
    told: dict[str, dict[str, Any]] = {
        "opening": {"commitment": said.commitment, "beacon": promised},
        "root": {"entries": said.entries, "root": said.root},
        "draw": {"entries": said.entries, "seed": said.seed, "root": said.root, "key": said.key, "beacon": shown},
    }
    promise: dict[str, Any] = {}
    for number, entry in _entries_of(log, tag):
        kind = entry["what"]
        kinds.add(kind)
        if kind == "opening":
            promise = entry  # a timetable that changes before anybody has joined is promised anew: the last one counts
        elif wrong := [name for name, value in told[kind].items() if entry.get(name) != value]:
            raise WrongFile(number, f"{log.name}: its {kind} has another {wrong[0]} than the file")
    if missing := [kind for kind in ("opening", "draw") if kind not in kinds]:
        raise WrongFile(0, f"{log.name}: it has no {missing[0]} of {tag}")
    if wrong := [name for name, value in told["opening"].items() if promise.get(name) != value]:
        raise WrongFile(0, f"{log.name}: what was promised before has another {wrong[0]} than the file")


def _entries_of(log: Path, tag: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, entry) of what the log has of an opening and its draw."""
    for number, line in enumerate(log.read_bytes().splitlines(), 1):
        entry = parse(number, line, _any)
        if entry.get("what") not in ("opening", "root", "draw"):
            continue
        try:
            of = opening_tag(entry["district"], dt.date.fromisoformat(entry["date"]), entry["window"])
        except (KeyError, TypeError, ValueError):
            raise WrongFile(number, f"{log.name}: it does not say which opening it is of") from None
        if of == tag:
            yield number, entry
