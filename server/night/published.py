"""Result files of the nights: `FOLDER/DATE/DISTRICT.jsonl`, and beside each what proves that a line is in it.

`DISTRICT.proof` is the Merkle tree over the lines (`merkle.Tree.save`), then where each line begins, the last one
too, 8 bytes each. Both are written to the side and put in place whole, so that whoever finds the one finds the other.
"""

import os
import struct
import sys
from array import array
from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from server.fairness.allotment import Allotment, OfferedSlot, Rules
from server.fairness.line_numbers import LineNumbers
from server.fairness.lots import Lots
from server.fairness.merkle import Proof, Tree, check, prove_from
from server.fairness.result_file import Head
from server.fairness.suiting import NightSlots

_OFFSET_BYTES = 8
_offsets = struct.Struct(">QQ")
_BUFFER_BYTES = 1 << 20
_KEPT_NIGHTS = 24  # of which the slots are at hand: of a large city's districts, the last night and the one before
_head = msgspec.json.Decoder(Head)


class ProvedLine(NamedTuple):
    """A line of a result file, without its newline, and the proof that it is in it."""

    line: bytes
    proof: Proof


class Published:
    """Writes result files and finds lines in them.

    Args:
        folder: of the results; None where this machine has none, and nothing is found.
        numbers: by which lines of nights with reserves are called.
    """

    def __init__(self, folder: Path | None, numbers: LineNumbers) -> None:
        self._folder = folder
        self.numbers = numbers
        self._slots: dict[str, NightSlots] = {}

    @property
    def has_folder(self) -> bool:
        """Whether results can be written and found."""
        return self._folder is not None

    def path(self, day: date, district: str) -> Path | None:
        """The result file of a district's night; None where it is not here."""
        if self._folder is None:
            return None
        file = self._file(self._folder, day, district)
        return file if file.is_file() else None

    def entry(self, day: date, district: str, leaf: int) -> ProvedLine | None:
        """A line, counted from 0 with the head; None where it is not here.

        Costs a few dozen reads of some bytes.
        """
        file = self.path(day, district)
        if file is None:
            return None
        try:
            with file.with_suffix(".proof").open("rb", 0) as saved, file.open("rb", 0) as lines:
                proof = prove_from(saved, leaf)
                saved.seek(-(proof.leaves + 1 - leaf) * _OFFSET_BYTES, os.SEEK_END)
                begins, following = _offsets.unpack(saved.read(_offsets.size))
                lines.seek(begins)
                return ProvedLine(lines.read(following - begins - 1), proof)
        except (FileNotFoundError, IndexError):
            return None

    def slots(self, day: date, district: str, root: str) -> NightSlots | None:
        """What a night had to give, by the first line of its result; None where that is not here under this root."""
        found = self._slots.get(root)
        if found is None:
            head = self.entry(day, district, 0)
            if head is None or not check(root, head.line, head.proof):
                return None
            read = _head.decode(head.line)
            if len(self._slots) >= _KEPT_NIGHTS:
                del self._slots[next(iter(self._slots))]
            found = self._slots[root] = NightSlots(read.rules, read.slots)
        return found

    def write(
        self,
        rules: Rules,
        lots: Lots,
        offered: Iterable[tuple[OfferedSlot, int]],
        night: Allotment,
        listed: str | None = None,
    ) -> str:
        """Write the result of a district's night; its root, hex. The arguments are those of `result_lines.write`.

        Raises:
            OSError: a full disk, say; no result has been put in place.
            ValueError: this machine has no folder for results.
        """
        from server.fairness.result_lines import write  # with numpy: whoever only reads results does without

        if self._folder is None:
            raise ValueError("no folder for results")
        file = self._file(self._folder, rules.date, rules.district)
        file.parent.mkdir(parents=True, exist_ok=True)
        proof, aside, proof_aside = file.with_suffix(".proof"), file.with_suffix(".new"), file.with_suffix(".proof-new")
        with aside.open("wb", _BUFFER_BYTES) as out:
            written = write(out, rules, lots, offered, night, listed)
            _sync(out)
        with proof_aside.open("wb", _BUFFER_BYTES) as out:
            _save(*written, out)
            _sync(out)
        proof_aside.replace(proof)
        aside.replace(file)
        _sync_folder(file.parent)
        return written.tree.root()

    def _file(self, folder: Path, day: date, district: str) -> Path:
        return folder / day.isoformat() / f"{district}.jsonl"


def _save(tree: Tree, begins: "array[int]", out: BinaryIO) -> None:
    tree.save(out)
    if begins.itemsize != _OFFSET_BYTES:
        raise AssertionError("an unsigned long long of another size")
    if sys.byteorder == "little":
        begins.byteswap()
    out.write(begins.tobytes())


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems have no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
