"""What a waiting resident needs to wait by themselves: the same for everyone, so that a cache in front can carry them.

After the draw a number follows from the draw's public seed and from one's own entry. With what stands here and how far
the calls have come, its holder knows how long it takes at least, when to look again, and what to expect.
"""

from datetime import datetime

import msgspec

from server.core.clock import from_ms
from server.waiting_room.looks import SHARE_OF_WAIT
from server.waiting_room.opening import Opening

# Given-up numbers are told by parts, each twice as long as the one before it: so the error of any wait is a share of
# that wait, and the answer stays small.
_PARTS = 12
_SHORTEST_PART = 64
# What is expected bends a little with those who give up: so far apart that nobody would notice.
_TURNS = 7


class LookView(msgspec.Struct):
    """When to look again: after `share` of the shortest wait that is possible, from `floor_seconds` to
    `ceiling_seconds`, all of it times `stretch`, and never past the turn. At the draw's end so many entries a second
    look for the first time, in their order."""

    floor_seconds: int
    ceiling_seconds: int
    share: float
    stretch: float
    per_second: int


class WaitView(msgspec.Struct):
    """What else is public of an opening that is on.

    `pace_per_second`: calls a second as they will be felt, 0 where nobody is called now; `free`: so many are called at
    the full rate before the cap slows the calls to that pace; `given_up`: [number, how many of the numbers after
    `serving` up to it are given up], ascending up to the last number, empty where there are none; `hold_until`:
    nobody's time to claim starts before that, null once it is past; `turns`: [number, from, to], ascending: nine times
    in ten it is called between so many seconds after `now`, and a number between two of these in proportion; empty
    where nobody is called, or nobody waits.
    """

    pace_per_second: float
    free: int
    given_up: list[tuple[int, int]]
    hold_until: datetime | None
    claim_seconds: int
    look: LookView
    turns: list[tuple[int, float, float]]


def wait_view(it: Opening, now_ms: int) -> WaitView | None:
    """What is public of the wait; None where the opening is not on, or not in the store yet."""
    if not it.prepared or not it.opens_ms <= now_ms < it.closes_ms:
        return None
    policy = it.policy
    return WaitView(
        pace_per_second=float(f"{it.pace:.4g}"),
        free=max(0, it.max_active - it.active),
        given_up=_given_up(it),
        hold_until=from_ms(it.hold_ms, it.tz) if it.hold_ms > now_ms else None,
        claim_seconds=policy.claim_seconds,
        look=LookView(
            policy.poll_floor_seconds,
            policy.poll_ceiling_seconds,
            SHARE_OF_WAIT,
            round(it.look_stretch, 3),
            policy.look_budget_per_second,
        ),
        turns=_turns(it, now_ms // 1000 * 1000),  # as `now` is told
    )


def _given_up(it: Opening) -> list[tuple[int, int]]:
    first, last = it.serving, it.issued
    if not it.left.any or it.drawing.numbers is None or not it.left.between(first, last + 1):
        return []
    ends = [last]
    while ends[-1] - first > _SHORTEST_PART and len(ends) < _PARTS:
        ends.append(first + (ends[-1] - first) // 2)
    return [(end, it.left.between(first, end + 1)) for end in reversed(ends)]


def _turns(it: Opening, now_ms: int) -> list[tuple[int, float, float]]:
    first, last = it.serving + 1, it.issued
    if last < first or it.drawing.numbers is None:
        return []
    numbers = [last]
    while numbers[-1] > first and len(numbers) < _TURNS:
        numbers.append(first + (numbers[-1] - first) // 2)
    turns = []
    for number in sorted({first, *numbers}):
        told = it.outlook(it.ahead(number, it.serving), now_ms)
        if told.low_seconds is None or told.high_seconds is None:
            return []
        turns.append((number, told.low_seconds, told.high_seconds))
    return turns
