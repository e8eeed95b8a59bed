"""The reserves of a night: seats of every slot that go to the members of a group first.

A slot gives its seats in this order:

1. Each reserve, in the order of the city file, gives its seats to its members among those who ask: by the reserve's own
   order. Who has got one is counted there, also who would have had an open seat.
2. All that is left, open seats and reserved ones that no member asked for, goes to everybody else by the night's order.

So a reserve is a promise of *at least* so many (Hafalir, Yenmez and Yildirim, 2013: minority reserves). The other way
round, open seats first, would give its members their share on top of what they get anyway (Dur, Kominers, Pathak and
Sonmez, 2018; Pathak, Sonmez, Unver and Yenmez, "Fair allocation of vaccines"): more of the others would be passed
over, and what a city says, "a fifth of the doses for those of 60 and over", would not be what happens. Of all ways to
keep that promise this one leaves the night's order the least.

What such a slot takes of many it takes of fewer as well, and of more people it never takes fewer. Under these two
conditions (Hatfield and Milgrom, 2005; with seats that pass to others, Aygun and Turhan, 2020) deferred acceptance is
stable, gives everybody the best slot that a stable result could, and nobody gains by other wishes than their true
ones, nor by keeping a group to themselves.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

ReserveOrder = Literal["first-dose", "lot"]
Letter = Annotated[str, msgspec.Meta(pattern=r"\A[A-H]\Z")]
Letters = Annotated[str, msgspec.Meta(pattern=r"\AA?B?C?D?E?F?G?H?\Z")]

LETTERS: Final = "ABCDEFGH"
ALL_PERCENT: Final = 100


class ReserveRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A reserve as a night's rules have it: so many percent of each site's doses of a product.

    Result files call the reserves by letters, in the order of the city file. ``order``: among its members, the night's
    (`first-dose`); or by `lot` alone, after those whom a closed site sent back.
    """

    letter: Letter
    percent: Annotated[int, msgspec.Meta(ge=1, le=ALL_PERCENT)]
    order: ReserveOrder = "first-dose"


def check_reserves(reserves: Sequence[ReserveRule]) -> None:
    """Raises ValueError: letters out of turn, or more than everything is reserved."""
    if "".join(reserve.letter for reserve in reserves) != LETTERS[: len(reserves)]:
        raise ValueError("expected the reserves to be A, B, C and so on, in this order")
    if sum(reserve.percent for reserve in reserves) > ALL_PERCENT:
        raise ValueError("expected reserves of 100 percent together at most")


def letters_of(bits: int) -> str:
    """The reserves of which somebody is a member: bit 0 is A."""
    return "".join(letter for bit, letter in enumerate(LETTERS) if bits >> bit & 1)


def bits_of(letters: str) -> int:
    """The other way round."""
    return sum(1 << LETTERS.index(letter) for letter in letters)


def letter_of(number: int) -> str:
    """Of the reserve with this number, counted from 1; empty for 0, which is none."""
    return LETTERS[number - 1] if number else ""


def seats_of(reserves: Sequence[ReserveRule], rows: Sequence[tuple[str, str]], free: Sequence[int]) -> list[list[int]]:
    """Reserve -> row -> how many seats are its own.

    Small slots would round every share away: so it is counted through, over the rows of a site and product in the
    order of the table, and what a row cannot give whole the next one does.

    Args:
        reserves: of the night.
        rows: site and product of each.
        free: how many each can give.
    """
    found: list[list[int]] = [[] for _ in reserves]
    offered: Counter[tuple[str, str]] = Counter()
    reserved: Counter[tuple[tuple[str, str], int]] = Counter()
    for where, count in zip(rows, free, strict=True):
        offered[where] += count
        left = count
        for n, (reserve, seats) in enumerate(zip(reserves, found, strict=True)):
            owed = offered[where] * reserve.percent // ALL_PERCENT - reserved[where, n]
            seats.append(min(owed, left))
            reserved[where, n] += seats[-1]
            left -= seats[-1]
    return found
