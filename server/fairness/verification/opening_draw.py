"""Checking an opening's draw."""

from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from server.fairness.draw import Draw, commitment
from server.fairness.verification.reading import WrongFile, parse


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
        WrongFile: the first thing that is wrong.
        OSError: the file cannot be read.
    """
    file = parse(0, path.read_bytes(), _draw_file)
    said = file.draw or _Opening(file.commitment or "", file.seed, file.entries)
    if not said.commitment:
        raise WrongFile(0, "commitment: there is none")
    if said.seed is None or said.entries is None:
        raise WrongFile(0, "seed: it is not revealed yet; save the answer again when the draw is done")
    try:
        seed = bytes.fromhex(said.seed)
        draw = Draw(seed, said.entries)
    except ValueError as error:
        raise WrongFile(0, f"seed: {error}") from None
    if commitment(seed) != said.commitment:
        raise WrongFile(0, f"commitment: that of the seed is {commitment(seed)}, the file says {said.commitment}")
    if published is not None and published != said.commitment:
        raise WrongFile(0, f"commitment: published was {published}, the file has {said.commitment}")
    for entry, number in file.numbers.items():
        if not entry.isascii() or not entry.isdigit():
            raise WrongFile(0, f"numbers: {entry!r} is no entry")
        expected = draw.number(int(entry))
        if number != expected:
            raise WrongFile(0, f"numbers: entry {entry} has number {expected}, the file says {number}")
    return Drawn(draw, len(file.numbers))
