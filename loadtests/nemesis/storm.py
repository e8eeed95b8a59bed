"""One storm: a seed's people come to a district, while the seed's faults befall what serves them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from time import monotonic

import gevent
from redis.exceptions import RedisError

from loadtests.faults.catalogue import CLUSTER_FAULTS
from loadtests.faults.fault import FaultError
from loadtests.history.record import History
from loadtests.nemesis.papers import code, people, site
from loadtests.nemesis.recorded import Calls
from loadtests.nemesis.resident import Resident
from loadtests.nemesis.seen import Seen
from loadtests.nemesis.world import World

FAULTS = (
    "partition", "partition", "partition", "partition-replica", "partition-worker", "dark-host", "one-way",
    "one-way-in", "lagging-replica", "lossy", "kill-primary", "kill-primary", "failover", "reshard", "reshard-classic",
)  # fmt: skip
"""Which befall, by how likely each is."""
_AGAIN_SECONDS = 12.0


@dataclass(frozen=True)
class Size:
    """How much of a storm it is.

    Attributes:
        residents: who come.
        come_seconds: after the opening, evenly.
        faults: one after the other.
        last_seconds: each at most, a second at least.
        cadence_seconds: from one storm to the next.
    """

    residents: int
    come_seconds: float
    faults: int
    last_seconds: float
    cadence_seconds: float


WHOLE = Size(30, 6.0, 3, 4.0, 19.0)
SMALL = Size(10, 2.5, 1, 1.8, 4.0)


@dataclass
class Outcome:
    """What came of a seed.

    Attributes:
        befell: what was done, and when, in seconds from the opening.
        seen: of each resident.
        problem: why it could not be held; "" where it could.
        opened_at: by the monotonic clock.
        history: every call, and what it was told.
        gaps: entries that the store has noted as nobody's.
    """

    seed: int
    district: int
    befell: list[tuple[float, str]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    problem: str = ""
    opened_at: float = 0.0
    history: History = field(default_factory=History)
    gaps: set[int] = field(default_factory=set)

    @property
    def faults(self) -> int:
        """Say how many faults there were."""
        return len(self.befell)


class Storm:
    """Plays one seed in one district of the world; same seed, same people, faults and times to try them at."""

    def __init__(self, world: World, seed: int, district: int, size: Size = WHOLE) -> None:
        self._world, self._random, self._size = world, random.Random(seed), size
        self.outcome = Outcome(seed, district)
        self._begins_at = 0.0

    def play(self) -> Outcome:
        """Wait for the opening, let all of it happen, and look again when all is well."""
        world, outcome = self._world, self.outcome
        world.harm(outcome.district)
        gevent.sleep(max(0.0, world.seconds_until(outcome.district) - 0.5))
        self.outcome.opened_at = monotonic() + world.seconds_until(outcome.district)
        self._begins_at = max(monotonic(), self.outcome.opened_at)
        residents = self._residents(self._begins_at + max(world.cadence_seconds, 14.0) + 4.0)
        lives = [gevent.spawn_later(seconds, resident.live) for seconds, resident in residents]
        try:
            for n in range(self._size.faults):
                self._befall(self._begins_at + 0.5 + n * 3.0 + self._random.random())
            gevent.joinall(lives)
            world.cluster.await_whole()
            again = [gevent.spawn(resident.look_again, monotonic() + _AGAIN_SECONDS) for _, resident in residents]
            gevent.joinall(again)
            outcome.gaps = self._gaps()
        except (RedisError, FaultError, TimeoutError, LookupError, OSError) as error:
            outcome.problem = f"{type(error).__name__}: {error}"
        finally:
            gevent.killall(lives)
            world.network.heal()
            world.cluster.restart_dead()
            for _, resident in residents:
                resident.close()
        return outcome

    def _residents(self, until: float) -> list[tuple[float, Resident]]:
        world, district, chance = self._world, self.outcome.district, self._random
        place: tuple[str, str] = code(district), site(district)
        made: list[tuple[float, Resident]] = []
        calls = Calls(self.outcome.history, world.monotonic_at)
        for i, who in enumerate(people(district, self._size.residents)):
            seen = Seen(i)
            self.outcome.seen.append(seen)
            hosts = world.hosts if chance.random() < 0.5 else world.hosts[::-1]
            resident = Resident(seen, who, place, hosts, until, chance.random(), world.monotonic_at, calls)
            comes = self._begins_at - monotonic() + chance.random() * self._size.come_seconds
            made.append((max(0.0, comes), resident))
        return made

    def _gaps(self) -> set[int]:
        """Return the entries that were given, and forgotten by a node that took over."""
        cluster, where = self._world.cluster, self._world.opening_key
        with cluster.asking(cluster.primary_of(where)) as client:
            noted = (client.hget(where, "gaps") or b"").decode().split()
        ranges = [gap.split("-") for gap in noted]
        return {entry for first, last in ranges for entry in range(int(first), int(last) + 1)}

    def _befall(self, at: float) -> None:
        world, chance = self._world, self._random
        fault, lasts = CLUSTER_FAULTS[chance.choice(FAULTS)](), 1.0 + chance.random() * (self._size.last_seconds - 1.0)
        gevent.sleep(max(0.0, at - monotonic()))
        try:
            done = fault.inject(world)
        except (RedisError, FaultError, LookupError, OSError) as error:
            done = f"could not: {error}"
        self.outcome.befell.append((round(monotonic() - self._begins_at, 1), f"{fault.name}: {done}"))
        gevent.sleep(lasts)
        while not fault.over(world, fault.lasts_seconds):
            gevent.sleep(0.05)
        fault.heal(world)
        world.cluster.await_whole()
