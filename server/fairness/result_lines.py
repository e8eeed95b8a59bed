"""The lines of a result file, thousands at a time, and the Merkle roots over them.

A line is put together of parts that many lines share: each is encoded once, so that it is written as `result_file`
says, and looked up afterwards. Imported by what holds a night alone: numpy takes 16 MB that no worker of the web needs.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from operator import add
from typing import Any, BinaryIO, Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from server.fairness.allotment import REASONS, Allotment, Candidates, OfferedSlot, Rules, cohorts_of
from server.fairness.allotment.candidates import ANY_SITE, day_of
from server.fairness.allotment.order import TIE_BYTES
from server.fairness.allotment.reserves import letter_of, letters_of
from server.fairness.allotment.serial import COHORTS, FULL
from server.fairness.lots import Lots
from server.fairness.merkle import Tree, root_of
from server.fairness.result_file import Foot, GivenByReserve, Head, encode, format_of

_BLOCK: Final = 1024
_NO_DIGITS: Final = 15
_LEAF_MARK: Final = b"\0"

Column = np.ndarray[Any, Any]
Key = TypeVar("Key")


class Written(NamedTuple):
    """A result file that was written.

    Attributes:
        tree: over all lines but the last: the proof of line n (from 1) is `tree.prove(n - 1)`.
        begins: where each line begins, the last one too.
    """

    tree: Tree
    begins: "array[int]"


def list_root(rules: Rules, candidates: Candidates) -> str:
    """The Merkle root of a list of registrations, by number: published when it is frozen, before the seed is."""
    entries = _Entries(candidates, cohorts_of(rules, candidates))
    hashes = bytearray()
    for these in _blocks(np.argsort(np.asarray(candidates.no), kind="stable")):
        hashes += _hashes("\n".join([f"{entry}}}" for entry in entries(these)]).encode().split(b"\n"))
    return root_of(hashes)


def write(
    out: BinaryIO,
    rules: Rules,
    lots: Lots,
    offered: Iterable[tuple[OfferedSlot, int]],
    night: Allotment,
    listed: str | None = None,
) -> Written:
    """Write the result file of a night.

    Args:
        out: where to; nothing is read back or sought.
        rules, offered: what `allot` was given.
        lots: what its key was made of.
        night: what it gave back.
        listed: the list's root, where it is known.
    """
    hashes, lengths = bytearray(), array("I")
    for leaves in _leaves(rules, lots, offered, night, listed):
        hashes += _hashes(each := leaves.split(b"\n"))
        lengths.extend(map(len, each))  # with its mark, or its newline instead
        out.write(leaves.replace(_LEAF_MARK, b"") + b"\n")
    tree = Tree(hashes)
    out.write(encode(Foot(night.counts(), night.reached, tree.root(), _by_reserve(night))) + b"\n")
    begins = array("Q", [0])
    begins.frombytes(np.cumsum(np.asarray(lengths), dtype=np.uint64).tobytes())
    return Written(tree, begins)


def _by_reserve(night: Allotment) -> dict[str, GivenByReserve]:
    given = zip(night.counts_by_reserve().items(), night.reached_by, strict=True)
    return {letter: GivenByReserve(count, reached) for (letter, count), reached in given}


def _leaves(
    rules: Rules, lots: Lots, offered: Iterable[tuple[OfferedSlot, int]], night: Allotment, listed: str | None
) -> Iterator[bytes]:
    """The file's lines but for the last, some at a time, each with the mark of a leaf before it."""
    root = listed or list_root(rules, night.candidates)
    slots = [(*slot, free) for slot, free in offered]
    head = Head(
        format_of(rules, lots), rules, lots.commitment, lots.seed.hex(), len(night.candidates), root, slots,
        lots.frozen_ms, lots.beacon,
    )  # fmt: skip
    yield _LEAF_MARK + encode(head)
    entries, outcomes = _Entries(night.candidates, night.order.cohorts), _Outcomes(night)
    ties = np.frombuffer(night.order.ties, np.uint8).reshape(-1, TIE_BYTES)
    width = 2 * TIE_BYTES
    for these in _blocks(np.asarray(night.order.indices)):
        tied = ties[these].tobytes().hex()
        parts = zip(entries(these), range(0, len(tied), width), outcomes(these), strict=True)
        yield "\n".join(
            [f'{entry},"tie":"{tied[at : at + width]}"{outcome}}}' for entry, at, outcome in parts]
        ).encode()


class _Known(dict[Key, str]):
    """Parts of lines by what they say, each made when it is first asked for."""

    def __init__(self, make: Callable[[Key], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Key) -> str:
        made = self[key] = self._make(key)
        return made


class _Entries:
    """The lines of candidates as far as the seed and the slots have no part in them, without the closing brace.

    Before each stands the mark of a leaf, to be hashed as it is; JSON has neither this octet nor a newline in it.
    """

    def __init__(self, candidates: Candidates, cohorts: "array[int]") -> None:
        self._products, self._together = candidates.products, candidates.together
        self._no, self._first_dose = np.asarray(candidates.no), np.asarray(candidates.first_dose)
        self._product, self._cohorts = np.asarray(candidates.product), np.asarray(cohorts)
        self._not_before, self._flags = np.asarray(candidates.not_before), np.asarray(candidates.flags)
        self._wish, self._start = candidates.wish, np.asarray(candidates.start)
        self._wishes = [_text([site, period]) for site, period in candidates.each_wish()]
        self._dose, self._limits = _Known(self._write_dose), _Known(self._write_limits)
        self._reserves, self._groups = np.asarray(candidates.reserves), _Known(_write_groups)
        self._has_members = bool(self._reserves.any())

    def __call__(self, these: Column) -> Iterator[str]:
        numbers = "%015d" * len(these) % tuple(self._no[these].tolist())
        first_dose, not_before = self._first_dose[these].astype(np.int64), self._not_before[these].astype(np.int64)
        doses = (self._cohorts[these].astype(np.int64) << 32 | first_dose) << 8 | self._product[these]
        limits: Iterable[str] = map(
            self._limits.__getitem__, (not_before << 8 | self._flags[these] & ANY_SITE).tolist()
        )
        if self._together:
            limits = map(self._with_relative, these.tolist(), limits)
        if self._has_members:
            limits = map(add, limits, map(self._groups.__getitem__, self._reserves[these].tolist()))
        wish, text = self._wish, self._wishes.__getitem__
        spans = zip(self._start[these].tolist(), self._start[these + 1].tolist(), strict=True)
        parts = zip(
            range(0, len(numbers), _NO_DIGITS), map(self._dose.__getitem__, doses.tolist()), spans, limits, strict=True
        )
        for at, dose, (begins, ends), limit in parts:
            wishes = f',"wishes":[{",".join(map(text, wish[begins:ends]))}]' if begins < ends else ""
            yield f'\0{{"no":"{numbers[at : at + _NO_DIGITS]}"{dose}{wishes}{limit}'

    def _write_dose(self, key: int) -> str:
        cohort, first_dose, product = key >> 40, key >> 8 & 0xFFFFFFFF, self._products[key & 0xFF]
        dose = f',"first_dose":{_text(day_of(first_dose))},"product":{_text(product)}' if first_dose else ""
        return f',"cohort":{cohort}{dose}'

    def _write_limits(self, key: int) -> str:
        any_site = ',"any_site":true' if key & ANY_SITE else ""
        return any_site + (f',"not_before":{_text(day_of(key >> 8))}' if key >> 8 else "")

    def _with_relative(self, i: int, limits: str) -> str:
        relative = self._together.get(i)
        return limits if relative is None else f'{limits},"together":"{relative:015d}"'


def _write_groups(bits: int) -> str:
    return f',"reserves":"{letters_of(bits)}"' if bits else ""


class _Outcomes:
    """What each got, or why not, as the end of their line says it."""

    def __init__(self, night: Allotment) -> None:
        self._got, self._cohorts = np.asarray(night.got), np.asarray(night.order.cohorts)
        self._slots, self._reached, self._moved = night.table.slots, night.reached_for, night.moved
        self._by, self._reserves = np.asarray(night.by), np.asarray(night.candidates.reserves)
        self._known = _Known(self._write)

    def __call__(self, these: Column) -> Iterator[str]:
        got = self._got[these].astype(np.int64)
        # A row of the table with its reserve, or below zero the reason with cohort and groups.
        why = (got * COHORTS + self._cohorts[these]) << 8 | self._reserves[these]
        keys = np.where(got >= 0, got << 8 | self._by[these], why)
        found = map(self._known.__getitem__, keys.tolist())
        if not self._moved:
            return found
        return (
            f'{text},"moved":true' if i in self._moved else text for i, text in zip(these.tolist(), found, strict=True)
        )

    def _write(self, key: int) -> str:
        key, reserves = key >> 8, key & 0xFF
        if key >= 0:
            by = f',"by":"{letter_of(reserves)}"' if reserves else ""
            return f',"slot":{_text(self._slots[key])}{by}'
        code, cohort = divmod(key, COHORTS)
        reached = self._reached(cohort, reserves) if code == FULL else None
        reason = f',"reason":{_text(REASONS[-1 - code])}'
        return reason + (f',"reached":{_text(reached)}' if reached else "")


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _hashes(leaves: Sequence[bytes]) -> bytes:
    return b"".join([sha256(leaf).digest() for leaf in leaves])


def _blocks(indices: Column) -> Iterator[Column]:
    for at in range(0, len(indices), _BLOCK):
        yield indices[at : at + _BLOCK].astype(np.int64)
