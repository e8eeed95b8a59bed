"""The residents that one generator plays: where they stand, what they were told, and what is filed for them.

Times are microseconds from the opening.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from loadtests.client.measure import Meters
from loadtests.crowd.arrivals import Arrival, Curve
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.network import Networks
from loadtests.crowd.shares import EVERYONE, CrowdShare
from loadtests.resident.acts import LOOK_US, SECOND_US, Act
from loadtests.resident.agenda import Agenda
from loadtests.resident.facts import Fact
from loadtests.resident.observations import Observations
from loadtests.resident.pace import Pace
from loadtests.resident.run_opening import RunOpening

_UNKNOWN = 255  # a crowd's districts are indices below it


class Residents:
    """The residents of one share of the crowd: their clock, agenda and observations in one place.

    Args:
        openings: in the order of `crowd.districts`.
        curves: when the residents of each come, from its opening.
        share: whose steps: the others are played by other generators.
    """

    def __init__(
        self,
        crowd: Crowd,
        openings: tuple[RunOpening, ...],
        curves: Sequence[Curve],
        pace: Pace,
        agenda: Agenda,
        meters: Meters,
        share: CrowdShare = EVERYONE,
    ) -> None:
        self.crowd, self.openings, self.curves, self.pace, self.share = crowd, openings, curves, pace, share
        self.agenda, self.meters, self.observations = agenda, meters, Observations(crowd.residents)
        self._home = bytearray([_UNKNOWN]) * crowd.residents
        self.random = random.Random(crowd.seed + share.index)
        self.reactions, self.networks = crowd.profile.reactions, Networks(crowd)

    def arrives(self, i: int, due_us: int) -> None:
        """File the arrival of one resident."""
        self.observations.came_ms[i] = due_us // 1000
        if (self.crowd.stir(i, 4) & 0xFFFF) / 0x10000 < self.reactions.looks:
            self.file(due_us - LOOK_US, i, Act.LOOK)
        self.file(due_us, i, Act.JOIN)

    def arrival(self, i: int) -> Arrival:
        """Say when resident `i` comes; of a family one after the other, as they share a phone, but in the run's
        time."""
        head, curve = self.crowd.head(i), self.curves[self.home(i)]
        arrival = curve.arrival(self.crowd.stir(head, 3))
        if head == i:
            return arrival
        after_seconds = (i - head) * self.crowd.profile.families.seconds_apart * self.pace.haste
        latest_seconds = max(arrival.at_seconds, curve.seconds - 1)
        return replace(arrival, at_seconds=min(arrival.at_seconds + after_seconds, latest_seconds))

    def home(self, i: int) -> int:
        """Return the index of the opening of resident `i`: worked out once, as it is asked for at every step."""
        known = self._home[i]
        if known == _UNKNOWN:
            known = self._home[i] = self.crowd.home(i)
        return known

    def opening(self, i: int) -> RunOpening:
        """Return the opening of resident `i`."""
        return self.openings[self.home(i)]

    def file(self, due_us: int, i: int, act: Act) -> None:
        """File what resident `i` does at `due_us`: for when its request reaches the server."""
        self.agenda.file(due_us + self.networks.delay_us(i, act, due_us), i, act)

    def later(self, i: int, act: Act, now_us: int, seconds: tuple[float, float]) -> None:
        """File an event some seconds from now."""
        self.file(now_us + int(self.random.uniform(*seconds) * SECOND_US), i, act)

    def missed(self, i: int, now_us: int) -> None:
        """Resident `i` is told that the call was missed; most join again at the back."""
        observations = self.observations
        if observations.has(i, Fact.READY) and now_us // 1000 < observations.claim_before_ms[i] - 1500:
            observations.contradict(
                "missed before its time", i, f"could claim until {observations.claim_before_ms[i]} ms"
            )
        observations.note(i, Fact.MISSED)
        if self.random.random() < self.reactions.rejoins:
            self.later(i, Act.JOIN, now_us, self.pace.think)
