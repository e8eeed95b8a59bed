"""Checking that one's own entry was in a draw."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from server.fairness.draw import BLIND_BYTES, leaf_of
from server.fairness.merkle import Proof, check
from server.fairness.verification.opening_draw import Published, verify_draw
from server.fairness.verification.reading import WrongFile, compare_root, parse


class _Ticket(msgspec.Struct):
    """A saved answer of `GET /ticket/proof`."""

    entry: int
    blind: str
    path: list[str]
    root: str
    entries: int


class _AnyFile(msgspec.Struct):
    blind: str | None = None


_ticket = msgspec.json.Decoder(_Ticket)
_any_file = msgspec.json.Decoder(_AnyFile)


class EntryIncluded(NamedTuple):
    """An entry that is under a root, of how many, and its number where the draw was given."""

    entry: int
    entries: int
    root: str
    number: int | None


def is_of_a_draw(path: Path) -> bool:
    """Whether a file is what `GET /ticket/proof` gives."""
    return parse(0, path.read_bytes(), _any_file).blind is not None


def verify_entry(path: Path, published: str | None = None, draw: Path | None = None) -> EntryIncluded:
    """Check that an entry was in a draw.

    Args:
        path: JSON, a saved answer of `GET /ticket/proof`.
        published: the root that was made public.
        draw: a saved `GET /openings/{district}`, which is checked as well, and says the number.

    Raises:
        WrongFile: the first thing that is wrong.
        BeaconUnverifiable: this Python cannot check the draw's beacon.
        OSError: a file cannot be read.
    """
    said = parse(0, path.read_bytes(), _ticket)
    compare_root(published, said.root)
    try:
        blind = bytes.fromhex(said.blind)
    except ValueError:
        blind = b""
    if len(blind) != BLIND_BYTES or not 0 <= said.entry < said.entries:
        raise WrongFile(0, "entry, blind: they are none that a draw has")
    if not check(said.root, leaf_of(said.entry, blind), Proof(said.entry, said.entries, said.path)):
        raise WrongFile(0, "path: the entry is not under the root at the place that the path says")
    number = None
    if draw is not None:
        held = verify_draw(draw, Published(root=said.root))
        if held.draw.entries != said.entries:
            raise WrongFile(0, f"entries: the proof is of {said.entries}, the draw has {held.draw.entries}")
        number = held.draw.number(said.entry)
    return EntryIncluded(said.entry, said.entries, said.root, number)
