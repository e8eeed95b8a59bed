"""An opening without a store and without time: who joins, gives up, is called and is done, a quarter of a second each.

Written from the contract, apart from the server's own rules: a bucket of one second's calls, a cap on those inside,
numbers called in order, those who have left passed over. A worker's view of it is fed with what `advance` would tell.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from server.core.city import City
from server.core.districts import District
from server.records.opening import Advance, OpeningRecord
from server.records.promise import Calibration
from server.waiting_room.opening import Opening

TICK_S = 0.25
Steps = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Scenario:
    """What happens in an opening; seconds count from the draw's end.

    `rates` and `caps`: (second, value) from when on; `pauses`: (from, to); `joins`: a second, after the draw; `leave`:
    such a share gives up, after `leave_after` seconds; `inside`: how long a call keeps its pass; `restart_at`: another
    worker goes on from what the store has.
    """

    drawn: int
    seconds: int
    rates: Steps = ((0, 60.0),)
    caps: Steps = ((0, 100_000),)
    pauses: tuple[tuple[float, float], ...] = ()
    joins: Callable[[float], float] = lambda second: 0.0
    leave: float = 0.04
    leave_after: tuple[float, float] = (5.0, 400.0)
    inside: tuple[float, float] = (15.0, 60.0)
    restart_at: float | None = None


@dataclass
class Promised:
    """What somebody was told, and what came of it; `is_overtaken`: the operator has changed something meanwhile."""

    number: int
    told_s: float
    low_s: float
    high_s: float
    is_overtaken: bool = False
    called_s: float = -1.0

    @property
    def wait_s(self) -> float:
        """How long it took."""
        return self.called_s - self.told_s

    @property
    def is_kept(self) -> bool:
        """Whether the call came when it was promised."""
        return self.low_s <= self.wait_s <= self.high_s


class SimulatedLine:
    """One opening, played with a seed.

    Attributes:
        told: what each was told first, and first after the operator changed something, of those who were called.
        silent: so often nothing was promised, as nobody was called.
        in_pause: so many promises were made in a pause all the same.
    """

    def __init__(self, city: City, district: District, scenario: Scenario, seed: int) -> None:
        self.told: list[Promised] = []
        self.silent = self.in_pause = 0
        self._new_view: Callable[[], Opening] = lambda: Opening(city, district, city.phases[0].starts)
        self._view = self._new_view()
        self._scenario, self._chance = scenario, random.Random(seed)
        self._draw_s = city.policy.draw_seconds
        self._second = -float(self._draw_s)
        self._issued = self._serving = self._called = 0
        self._rate, self._cap, self._paused = 0.0, 0, False
        self._credit, self._owed = max(scenario.rates[0][1], 1.0), 0.0
        self._leavers: list[tuple[float, int]] = []
        self._left: list[int] = []
        self._gone: set[int] = set()
        self._called_s: dict[int, float] = {}
        self._inside: list[float] = []
        self._kept, self._promise, self._promised_at, self._told_left = Calibration(), "", -1e9, 0

    def play(self) -> "SimulatedLine":
        """Play it to its end."""
        it = self._scenario
        drawing = sorted(-self._chance.uniform(0, self._draw_s) for _ in range(it.drawn))
        restart_at, standing = it.restart_at, dict[int, Promised]()
        while self._second < it.seconds:
            while drawing and drawing[0] <= self._second:
                self._join(drawing.pop(0))
            is_changed = self._set()
            self._give_up()
            self._call()
            if restart_at is not None and self._second >= restart_at:
                self._view, self._told_left, restart_at = self._new_view(), 0, None
            self._look()
            line = range(self._serving + 1, self._issued + 1)
            fresh = [*line] if self._second == 0 or (is_changed and self._second > 0) else []
            if is_changed:  # all look again, and see it
                for number, one in standing.items():
                    one.is_overtaken = number > self._serving
            for one in self._tell([*fresh, *self._come()]):
                standing[one.number] = one
                self.told.append(one)
            self._second += TICK_S
        for one in self.told:
            one.called_s = self._called_s.get(one.number, -1.0)
        self.told = [one for one in self.told if one.called_s >= 0]
        return self

    def _join(self, now: float) -> int:
        self._issued += 1
        if self._chance.random() < self._scenario.leave:
            self._leavers.append((now + self._chance.uniform(*self._scenario.leave_after), self._issued))
        return self._issued

    def _come(self) -> Iterable[int]:
        if self._second < 0:
            return
        self._owed += self._scenario.joins(self._second) * TICK_S
        while self._owed >= 1 or self._chance.random() < self._owed:
            self._owed -= 1
            yield self._join(self._second)

    def _set(self) -> bool:
        """What the operator has set; whether that has changed."""
        before, since = (self._rate, self._cap, self._paused), max(self._second, 0.0)
        self._rate = [rate for begins, rate in self._scenario.rates if begins <= since][-1]
        self._cap = int([cap for begins, cap in self._scenario.caps if begins <= since][-1])
        self._paused = any(begins <= self._second < ends for begins, ends in self._scenario.pauses)
        return before != (self._rate, self._cap, self._paused)

    def _give_up(self) -> None:
        for second, number in self._leavers:
            if second <= self._second and number not in self._called_s:
                self._gone.add(number)
                self._left.append(number - 1)
        self._leavers = [it for it in self._leavers if it[0] > self._second]

    def _call(self) -> None:
        self._inside = [ends for ends in self._inside if ends > self._second]
        if self._paused or self._second < 0:
            return
        if self._second > 0:
            self._credit = min(self._credit + self._rate * TICK_S, max(self._rate, 1.0))
        wanted = min(int(self._credit), self._cap - len(self._inside))
        while wanted > 0 and self._serving < self._issued:
            self._serving += 1
            if self._serving in self._gone:
                continue
            self._called_s[self._serving] = self._second
            self._called, self._credit, wanted = self._called + 1, self._credit - 1, wanted - 1
            self._inside.append(self._second + self._chance.uniform(*self._scenario.inside))

    def _look(self) -> None:
        """The worker looks at the store, and once a second works out what is promised."""
        self._follow()
        if self._issued and self._second - self._promised_at >= 1:
            self._promised_at = self._second
            promise, kept = self._view.promises_anew(self._kept)
            self._promise, self._kept = promise.pack(), Calibration.unpack(kept.pack().encode())
            self._follow()

    def _follow(self) -> None:
        view, now_ms = self._view, self._view.draw_ms + int(self._second * 1000)
        values = {
            "opens_ms": view.opens_ms, "draw_ms": view.draw_ms, "closes_ms": view.closes_ms, "seed": "00" * 32,
            "settled": int(self._second >= 0), "rate": self._rate, "max_active": self._cap, "paused": int(self._paused),
            "message": "", "issued": self._issued, "serving": self._serving, "called": self._called,
            "claimed": self._called, "missed": 0, "left": len(self._left), "left_called": 0, "hold_ms": view.draw_ms,
            "credit": self._credit, "last_ms": now_ms, "promise": self._promise,
        }  # fmt: skip
        if self._second >= 0:
            values["drawn"] = 0
        record = OpeningRecord.unpack({name: str(value) for name, value in values.items()})
        view.follow(Advance(now_ms, len(self._inside), record, self._left[self._told_left :]))
        self._told_left = len(self._left)

    def _tell(self, numbers: Iterable[int]) -> Iterable[Promised]:
        """What these are told at some moment before the next look."""
        view = self._view
        for number in numbers:
            if number <= self._serving or number in self._gone:
                continue
            now_s = self._second + self._chance.uniform(0, TICK_S)
            said = view.outlook(view.ahead(number, view.serving), int(view.draw_ms + now_s * 1000))
            if said.low_seconds is None or said.high_seconds is None:
                self.silent += 1
                continue
            self.in_pause += self._paused
            yield Promised(number, now_s, said.low_seconds, said.high_seconds)
