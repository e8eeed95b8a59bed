"""Rows about the same thing: those that agree count once, of those that do not all are bad."""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from server.operations.importing.csv_file import RowFault, RowsKept

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Agreed(NamedTuple, Generic[K, V]):
    """One row of each thing, by what it is about, and how many more said the same; and how many rows were good."""

    kept: dict[K, V]
    duplicates: int
    outcome: RowsKept


def agreeing(
    rows: Iterable[tuple[int, V | RowFault]], key: Callable[[V], K], what: str, column: tuple[str, int]
) -> Agreed[K, V]:
    """What the rows of a small file say; it is all held in memory.

    Args:
        rows: each with its line.
        key: what a row is about.
        what: that, in a word.
        column: that a fault is told of: its name and its place in the file.
    """
    outcome = RowsKept()
    about: dict[K, list[tuple[int, V]]] = {}
    for line, row in rows:
        if isinstance(row, RowFault):
            outcome.add([row])
        else:
            about.setdefault(key(row), []).append((line, row))
    kept: dict[K, V] = {}
    duplicates = 0
    for thing, said in about.items():
        first = said[0][1]
        if all(row == first for _, row in said):
            kept[thing] = first
            duplicates += len(said) - 1
            outcome.kept += len(said)
            continue
        for line, row in said:
            other = next(number for number, it in said if it != row)
            why = f"line {other} says otherwise of the same {what}: leave the right one"
            outcome.add([RowFault(line, column[1], column[0], why, twice=True)])
    return Agreed(kept, duplicates, outcome)
