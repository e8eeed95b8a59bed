"""The waiting room in plain Python: people standing in a list, written from the contract and lua/README.md.

Slow, obvious and without counters: whatever the scripts count, this finds by looking at each place. Times are
milliseconds, rates exact fractions.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise


def permutation(seed: bytes, n: int) -> Callable[[int], int]:
    """The contract's `p` on 0..n-1: Feistel with eight rounds and cycle walking, letter by letter."""
    w = 1
    while 2 ** (2 * w) < n:
        w += 1
    size = 1 << w

    def f(r: int, v: int) -> int:
        digest = hmac.new(seed, bytes([r]) + v.to_bytes(8, "big"), hashlib.sha256).digest()
        return int.from_bytes(digest[:8], "big") % size

    def p(x: int) -> int:
        while True:
            left, right = x >> w, x % size
            for r in range(8):
                left, right = right, left ^ f(r, right)
            x = left << w | right
            if x < n:
                return x

    return p


@dataclass
class Place:
    """One place; `state`: waiting | called | claimed | used | missed | left."""

    resident: bytes
    entry: int
    state: str = "waiting"
    number: int | None = None
    called_ms: int = 0
    expires_ms: int = 0


@dataclass
class WaitingRoom:
    """One opening and everybody in it; each method is one script and returns what its Store method returns."""

    opens_ms: int
    draw_ms: int
    closes_ms: int
    claim_ms: int
    pass_ms: int
    grace_ms: int
    poll_budget: Fraction
    rate: Fraction
    max_active: int
    seed: bytes
    version: int = 1
    places: list[Place] = field(default_factory=list)
    holds: dict[bytes, Place] = field(default_factory=dict)
    given_up: list[int] = field(default_factory=list)
    drawn: int | None = None
    settled: bool = False
    root: str | None = None
    fixed: bool = False
    numbered: int = 0
    paused: bool = False
    adjusted: bool = False
    serving: int = 0
    credit: Fraction = Fraction(0)
    last_ms: int = 0
    hold_ms: int = 0
    calls: list[tuple[int, int]] = field(default_factory=list)  # (when, how many)
    rates: list[tuple[int, Fraction]] = field(default_factory=list)  # from when, what may be earned

    def __post_init__(self) -> None:
        self.planned = self.rate, self.max_active
        self.last_ms = self.draw_ms
        self.rates.append((self.draw_ms, self.rate))

    # What the scripts do

    def prepare(self) -> bool:
        """The city file's plan again: it holds only while nobody has come."""
        if self.places or self.drawn is not None:
            return False
        self.last_ms = self.draw_ms
        if not self.adjusted:
            self.rate, self.max_active = self.planned
        return True

    def join(self, now: int, residents: Sequence[bytes]) -> list[tuple[str, int | None, int | None, bool, int]]:
        """(status, drawn, entry, fresh, serving) of each."""
        self._look(now)
        status = "paused" if self.paused else "ok"
        if now < self.opens_ms:
            status = "early"
        if now >= self.closes_ms:
            status = "ended"
        answers = []
        for resident in residents:
            fresh = resident not in self.holds and status == "ok"
            if fresh:
                self._new_place(resident)
            held = self.holds.get(resident)
            answers.append((status, self.drawn, held.entry if held else None, fresh, self.serving))
        return answers

    def rejoin(self, now: int, place: Place, number: int) -> tuple[str, int]:
        """A place at the back for who has missed their turn or let their pass lapse; number as for `leave`."""
        self._look(now)
        if now < self.opens_ms:
            return "early", -1
        if now >= self.closes_ms:
            return "ended", -1
        held = self.holds.get(place.resident)
        if held and (held is not place or not number or self.standing(now, held)[0] in ("waiting", "ready", "claimed")):
            return "kept", held.entry
        if self.paused:
            return "paused", -1
        return "rejoined", self._new_place(place.resident).entry

    def bind_draw(self, now: int, drawn: int, root: str) -> tuple[str, str]:
        """(status, the root that holds)."""
        self._look(now)
        if self.drawn != drawn:
            return "early", ""
        status = "bound" if self.root is None else "kept"
        self.root = self.root or root
        return status, self.root

    def fix_draw(self, root: str, key: bytes) -> str:
        """The key is this one, from now on."""
        if self.root != root:
            return "unbound"
        if self.fixed:
            return "kept"
        self.fixed, self.settled = True, not self.given_up
        self._number(key)
        return "fixed"

    def close_draw(self, now: int, numbers: Sequence[int], after: int) -> tuple[str, int, int, list[int]]:
        """(status, N, after how many, entries whose numbers are asked for)."""
        self._look(now)
        if self.drawn is None:
            return "early", -1, 0, []
        if not self.settled and self.version > 1 and not self.fixed:
            return "unfixed", self.drawn, 0, []
        if not self.settled:
            if after == self.numbered:
                self.numbered += len(numbers)
            if self.numbered < len(self.given_up):
                return "unsettled", self.drawn, self.numbered, self.given_up[self.numbered :]
        self.settled = True
        return "settled", self.drawn, 0, []

    def leave(self, now: int, place: Place, number: int) -> str:
        """Give the place up; its number is 0 where the caller does not know it."""
        self._look(now)
        if self.holds.get(place.resident) is not place:
            return "gone"
        if self.drawn is not None and (self.settled or self.version == 1):
            if not self.settled:
                return "unsettled"
            if not number:
                return "unnumbered"
            standing = self.standing(now, place)[0]
            if standing == "missed":
                return "gone"
            if standing not in ("waiting", "ready"):
                return "used"
        place.state = "left"
        del self.holds[place.resident]
        self.given_up.append(place.entry)
        return "left"

    def advance(self, now: int) -> int:
        """Expire what is over, call who may be called; the passes alive."""
        self._look(now)
        for place in self.places:
            if place.state == "called" and self._is_over(place, now):
                place.state = "missed"
        alive = self.alive(now)
        if self.settled and now < self.last_ms - 1000:
            self.last_ms = max(now, self.draw_ms)
        if self.settled and not self.paused and self.last_ms < now < self.closes_ms and self.serving < self.issued:
            credit = min(self.credit + Fraction(now - self.last_ms, 1000) * self.rate, self._burst(self.rate))
            wanted = min(math.floor(credit), self.max_active - self.count("called") - alive)
            if wanted >= 1:
                live = self._call_next(now, wanted)
                self.credit, self.last_ms = credit - live, now
        return alive

    def standing(self, now: int, place: Place) -> tuple[str, int]:
        """(standing, until when)."""
        found = self._stands(now, place)
        held = self.holds.get(place.resident)
        if held is place or found[0] == "left" or place.state in ("claimed", "used"):
            return found
        return ("missed", 0) if held else ("left", 0)  # they have had another one since, or gave this one up

    def _stands(self, now: int, place: Place) -> tuple[str, int]:
        """The same, whoever has it."""
        if place.state == "claimed":
            return ("claimed" if place.expires_ms > now else "lapsed"), place.expires_ms
        if place.state == "called":
            return ("missed", 0) if self._is_over(place, now) else ("ready", self._deadline(place))
        if place.state == "left" and not self.settled and place.entry not in self.given_up[: self.numbered]:
            return "waiting", 0  # in the draw nobody knows their number, so the store has not heard whose it is
        return place.state, 0

    def claim(self, now: int, places: Sequence[Place]) -> list[tuple[str, int]]:
        """(outcome, until when) of each."""
        answers = []
        for place in places:
            outcome, until_ms = self.standing(now, place)
            if outcome == "waiting" and now >= self.closes_ms:
                outcome = "ended"
            elif outcome == "ready" and self.alive(now) < self.max_active:
                place.state = "claimed"
                place.expires_ms = min(now + self.pass_ms, self.closes_ms + self.grace_ms)
                outcome, until_ms = "fresh", place.expires_ms
                assert self.alive(now) <= self.max_active
            answers.append((outcome, until_ms))
        return answers

    def release(self, places: Sequence[Place]) -> list[str]:
        """They have registered, each with a pass of their place."""
        answers = []
        for place in places:
            answers.append("released" if place.state == "claimed" else "again")
            place.state = "used"
        return answers

    def adjust(
        self,
        now: int,
        hold_ms: int,
        *,
        rate: Fraction | None = None,
        max_active: int | None = None,
        paused: bool | None = None,
    ) -> bool:
        """The operator's change."""
        new_rate = self.rate if rate is None else rate
        if now > self.last_ms:
            earned = 0 if self.paused else Fraction(now - self.last_ms, 1000) * self.rate
            self.credit = min(self.credit + earned, self._burst(min(self.rate, new_rate)))
            self.last_ms = now
        if self.paused and paused is False:
            self.hold_ms = max(self.hold_ms, now)
        if max_active is not None and max_active < min(self.max_active, self.count("called") + self.alive(now)):
            self.hold_ms = max(self.hold_ms, now + self.pass_ms)
        if new_rate > self.rate:
            self.hold_ms = max(self.hold_ms, now + hold_ms)
        self.rate = new_rate
        self.max_active = self.max_active if max_active is None else max_active
        self.paused = self.paused if paused is None else paused
        self.adjusted = True
        self.rates.append((now, Fraction(0) if self.paused else self.rate))
        return True

    # What anybody can see

    @property
    def issued(self) -> int:
        """Places given."""
        return len(self.places)

    def count(self, *states: str) -> int:
        """Places in these states."""
        return sum(place.state in states for place in self.places)

    def alive(self, now: int) -> int:
        """Passes alive."""
        return sum(place.state == "claimed" and place.expires_ms > now for place in self.places)

    def number(self, place: Place) -> int:
        """Its number, 0 before the draw is done."""
        return place.number or 0

    @property
    def knows_numbers(self) -> bool:
        """Whether they follow from anything yet."""
        return self.drawn is not None and (self.fixed or self.version == 1)

    def check_guarantees(self) -> None:
        """The contract's guarantees 2 and 8, at this moment."""
        parts = [self.count(s) for s in ("waiting", "called", "missed", "left")] + [self.count("claimed", "used")]
        assert sum(parts) == self.issued
        if self.drawn is None or not self.knows_numbers:
            assert self.serving == 0
            return
        in_line = sorted(self.places, key=self.number)
        assert [p.number for p in in_line] == list(range(1, self.issued + 1)), "numbers are not dense"
        assert [p.entry for p in self.places[self.drawn :]] == [self.number(p) - 1 for p in self.places[self.drawn :]]
        for place in in_line:
            called = place.state in ("called", "claimed", "used", "missed")
            assert called == (self.number(place) <= self.serving) or place.state == "left", "called out of turn"

    def check_one_place_each(self, now: int) -> None:
        """Guarantee 1. A clock that steps back revives a pass that had lapsed, beside the place that came after it."""
        let_in = [p.resident for p in self.places if self._may_enter(p, now)]
        assert len(set(let_in)) == len(let_in), "a resident may enter twice"

    def check_rate(self) -> None:
        """Guarantee 3: in no interval more calls than its rates allow, beyond one second's burst."""
        for i, (since, _) in enumerate(self.calls):
            for j in range(i, len(self.calls)):
                until = self.calls[j][0]
                called = sum(count for _, count in self.calls[i : j + 1])
                ruling = [rate for (_, rate), (end, _) in pairwise([*self.rates, (until, Fraction(0))]) if end >= since]
                assert called <= self._allowed(since, until) + self._burst(max(ruling)), (since, until, called)

    # How

    def _look(self, now: int) -> None:
        """The first look after the draw's time fixes N; whoever left in the draw has a number all the same."""
        if self.drawn is not None or now < self.draw_ms:
            return
        self.drawn = self.issued
        self.settled = not self.given_up and self.version == 1
        oldest_ms = 11_000 if self.drawn else 0  # as old as the answer may be by which they look
        self.hold_ms = self.draw_ms + oldest_ms + math.ceil(self.drawn * 1000 / self.poll_budget)
        if self.version == 1:
            self._number(self.seed)

    def _number(self, key: bytes) -> None:
        assert self.drawn is not None
        p = permutation(key, self.drawn)
        for place in self.places[: self.drawn]:
            place.number = 1 + p(place.entry)

    def _new_place(self, resident: bytes) -> Place:
        place = Place(resident, self.issued)
        if self.drawn is not None:
            place.number = place.entry + 1
        self.places.append(place)
        self.holds[resident] = place
        return place

    def _call_next(self, now: int, wanted: int) -> int:
        by_number = {place.number: place for place in self.places}
        live = 0
        while live < wanted and self.serving < self.issued:
            self.serving += 1
            place = by_number[self.serving]
            if place.state == "waiting":
                place.state, place.called_ms = "called", now
                live += 1
        assert self.count("called") + self.alive(now) <= self.max_active
        self.calls.append((now, live))
        return live

    def _may_enter(self, place: Place, now: int) -> bool:
        standing = self.standing(now, place)[0]
        return standing == "claimed" or (standing in ("waiting", "ready") and self.holds.get(place.resident) is place)

    def _deadline(self, place: Place) -> int:
        return min(max(place.called_ms, self.hold_ms) + self.claim_ms, self.closes_ms)

    def _is_over(self, place: Place, now: int) -> bool:
        return self._deadline(place) <= now and (not self.paused or now >= self.closes_ms)

    @staticmethod
    def _burst(rate: Fraction) -> Fraction:
        return max(rate, Fraction(1)) if rate > 0 else Fraction(0)

    def _allowed(self, since: int, until: int) -> Fraction:
        spans = [*self.rates, (max(until, self.rates[-1][0]), Fraction(0))]
        total = Fraction(0)
        for (start, rate), (end, _) in pairwise(spans):
            total += rate * max(0, min(end, until) - max(start, since)) / 1000
        return total
