"""The interval that residents were told for their turn, against when their number was called."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from loadtests.audit.evidence import Evidence
from loadtests.resident.facts import NEVER, Fact

LONG_MS = 20_000
"""Of shorter waits half a second is a large share: the width of the interval is judged of longer ones."""
_GAVE_UP = int(Fact.LEFT | Fact.LEAVE_SENT)


class ToldTurn(NamedTuple):
    """An interval that a resident was told, and when their number was called, in ms from the run's opening."""

    resident: int
    told_ms: int
    from_ms: int
    to_ms: int
    called_ms: int

    @property
    def is_kept(self) -> bool:
        """Whether the number was called when that was promised."""
        return self.from_ms <= self.called_ms <= self.to_ms

    @property
    def wait_ms(self) -> int:
        """How long it took from being told."""
        return max(self.called_ms - self.told_ms, 0)

    @property
    def width_ms(self) -> int:
        """How far its ends are apart."""
        return self.to_ms - self.from_ms


@lru_cache(maxsize=2)
def told_turns(e: Evidence, *, first: bool = False) -> list[ToldTurn]:
    """Return what everyone who was called was told: the first after the operator's last change of rate or pause.

    Whoever was called before they could hear of a change was promised nothing under it, and is left out.

    Args:
        first: what each was told first of all, whatever the operator changed later.
    """
    return list(_told_turns(e, first))


def _told_turns(e: Evidence, first: bool) -> Iterator[ToldTurn]:
    observations, it = e.observations, e.observations.told_turns
    told, begins, ends = (
        (it.first_told_ms, it.first_from_ms, it.first_to_ms) if first
        else (it.turn_told_ms, it.turn_from_ms, it.turn_to_ms)
    )  # fmt: skip
    fault, over = e.fault_second, e.fault_over_second
    for i, told_ms in enumerate(told):
        number = observations.number[i] or observations.own_number[i]
        if told_ms == NEVER or not number or observations.facts[i] & _GAVE_UP:
            continue
        home = e.crowd.home(i)
        called_ms = observations.turns_seen.called_ms(home, number)
        if called_ms == NEVER or called_ms < told_ms:
            continue
        if not first and observations.turns_seen.is_overtaken(home, told_ms, called_ms):
            continue
        if fault is not None and over is not None and told_ms < over * 1000 and called_ms > fault * 1000 and e.forgiven:
            continue
        yield ToldTurn(i, told_ms, begins[i], ends[i], called_ms)
