"""Two honest openings, as residents observed them, as they were seen from outside, and as the store has them."""

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from loadtests.audit.evidence import Evidence
from loadtests.audit.promises import audit
from loadtests.audit.seen import OpeningSeen, Seen, StoreSeen
from loadtests.audit.truth import OpeningTruth, RegistrationTruth, Truth
from loadtests.client.answers import Call
from loadtests.client.draw import Numbers
from loadtests.client.measure import Meters
from loadtests.crowd.behaviour import INELIGIBLE
from loadtests.crowd.crowd import Crowd
from loadtests.history.record import UNTOLD, Kind, Outcome, Told, place_value
from loadtests.resident.facts import Fact
from loadtests.resident.observations import Observations
from loadtests.resident.run_opening import RunOpening

DAY = "2021-06-19"
DRAW_MS, CLAIM_MS, END_S = 10_000, 8_000, 60
RATE = 2.0
SEEDS = {"440106": bytes(range(32)), "440111": bytes(range(32, 64))}


class Opening:
    """One district's honest opening: everyone joins in turn; numbers are called at RATE from the draw's end on."""

    def __init__(self, crowd: Crowd, opening: RunOpening, observations: Observations, people: list[int]) -> None:
        self.opening, self.observations, self.people = opening, observations, people
        self.seed = SEEDS[opening.district]
        self.drawn = len(people) * 2 // 3
        self.numbers = Numbers(self.seed, self.drawn)
        self.issued = len(people)
        self.places: dict[bytes, int] = {}
        self.left: list[int] = []
        self.claims: dict[int, tuple[bytes, int]] = {}
        self.registrations: list[RegistrationTruth] = []
        self.stops: dict[bytes, str] = {}
        self.claimed_ms: list[int] = []
        self.crowd = crowd
        self.done: set[int] = set()
        self.missed: list[int] = []
        for entry, i in enumerate(people):
            observations.note(i, Fact.JOIN_SENT)
            observations.place(i, entry, 100 + entry * (200 if entry < self.drawn else 350))
            observations.numbered(i, self.numbers.number(entry))
            self.places[self.key(i)] = entry
            self.is_told_a_place(i)
        # number 2 gives up while waiting, number 3 is called and never comes, then starts again at the back
        self.leaves(self.who(2))
        self.calls(self.who(3))
        for number in [1, *range(4, 9)]:
            self.registers(self.who(number))
        self.calls(self.who(9))
        self.claims_pass(self.who(9))
        self.rejoins(self.who(3))
        # number 5 changes their wishes, 6 and 7 cancel, and 7 starts again at the back
        self.changes(self.who(5))
        self.cancels(self.who(6))
        self.cancels(self.who(7))
        self.returns(self.who(7))

    def is_told_a_place(self, i: int) -> None:
        """Resident `i` has joined, and was told so."""
        at_ms, number = self.observations.joined_ms[i], self.observations.number[i]
        told, shown = (Told.DRAWING, 0) if at_ms < DRAW_MS else (Told.WAITING, number)
        self.told(i, at_ms, Kind.JOIN, told=told, value=place_value(shown, self.serving(at_ms)))

    def told(
        self, i: int, at_ms: int, kind: Kind, outcome: Outcome = Outcome.FIRST, told: Told = Told.NOTHING, *,
        value: int = 0, extra: int = UNTOLD, wishes: int = 0,
    ) -> None:  # fmt: skip
        """A call of resident `i` was answered at this moment, about the place they hold."""
        self.observations.history.add(
            i, at_ms - 20, at_ms, kind, outcome, told, 0, self.observations.entry[i], value, extra, wishes, wishes
        )

    def serving(self, ms: int) -> int:
        return max(0, min(9, int((ms - DRAW_MS) / 1000 * RATE)))

    def key(self, i: int) -> bytes:
        return hashlib.sha256(b"%d" % i).digest()[:16]

    def who(self, number: int) -> int:
        return next(i for i in self.people if self.observations.number[i] == number)

    def called_ms(self, number: int) -> int:
        return DRAW_MS + int(number * 1000 / RATE)

    def leaves(self, i: int) -> None:
        self.observations.note(i, Fact.LEAVE_SENT | Fact.LEFT)
        del self.places[self.key(i)]
        self.left.append(self.observations.entry[i])
        self.done.add(self.observations.number[i])
        self.told(i, DRAW_MS + 100, Kind.LEAVE, Outcome.DONE)

    def calls(self, i: int) -> None:
        at_ms = self.called_ms(self.observations.number[i])
        self.observations.note(i, Fact.READY)
        self.observations.ready_ms[i], self.observations.claim_before_ms[i] = at_ms + 300, at_ms + CLAIM_MS
        value = place_value(self.observations.number[i], self.serving(at_ms + 300))
        self.told(i, at_ms + 300, Kind.POLL, Outcome.DONE, Told.READY, value=value, extra=at_ms + CLAIM_MS)

    def claims_pass(self, i: int) -> None:
        observations, at_ms = self.observations, self.observations.ready_ms[i] + 1000
        observations.claim_sent_ms[i] = observations.claimed_ms[i] = at_ms
        observations.expires_ms[i] = 1_000_000
        self.claimed_ms.append(at_ms)
        observations.note(i, Fact.CLAIM_SENT | Fact.CLAIMED)
        self.claims[observations.entry[i]] = (self.key(i), 1_000_000)
        self.done.add(observations.number[i])
        self.told(i, at_ms, Kind.CLAIM, extra=1_000_000, wishes=observations.entry[i] + 1)

    def registers(self, i: int) -> None:
        observations = self.observations
        self.calls(i)
        self.claims_pass(i)
        observations.note(i, Fact.REGISTER_SENT | Fact.REGISTERED)
        observations.register_sent_ms[i] = observations.registered_ms[i] = observations.claimed_ms[i] + 2000
        no = int(self.opening.district) * 10**8 + observations.entry[i]
        observations.registration_no[i] = no
        self.claims[observations.entry[i]] = (self.key(i), 0)
        wishes = self.crowd.wishes(i, self.opening.sites)
        self.registrations.append(
            RegistrationTruth(self.key(i), no, "proposed", self.opening.district, DAY, observations.entry[i], wishes)
        )
        self.stops[self.key(i)] = f"open {no:015d}"
        self.told(i, observations.registered_ms[i], Kind.REGISTER, told=Told.PROPOSED, value=no, wishes=1)

    def becomes(self, i: int, **changes: Any) -> RegistrationTruth:
        """The registration that resident `i` holds has been changed in the store."""
        at = next(k for k, r in enumerate(self.registrations) if r.resident == self.key(i))
        self.registrations[at] = replace(self.registrations[at], **changes)
        return self.registrations[at]

    def changes(self, i: int) -> None:
        self.observations.note(i, Fact.CHANGE_SENT | Fact.CHANGED)
        history = ((self.observations.registration_no[i], "proposed"),)
        self.becomes(i, wishes=self.crowd.wishes(i, self.opening.sites, 1), history=history)
        self.told_of_the_registration(i, Kind.AMEND, Told.PROPOSED, wishes=2)

    def cancels(self, i: int) -> None:
        self.observations.note(i, Fact.CANCEL_SENT | Fact.CANCELLED)
        self.becomes(i, state="cancelled", history=((self.observations.registration_no[i], "cancelled"),))
        del self.stops[self.key(i)]
        self.told_of_the_registration(i, Kind.CANCEL, Told.CANCELLED, wishes=1)

    def told_of_the_registration(self, i: int, kind: Kind, told: Told, *, wishes: int) -> None:
        at_ms, no = self.observations.registered_ms[i] + 1500, self.observations.registration_no[i]
        self.told(i, at_ms, kind, Outcome.DONE, told, value=no, wishes=wishes)

    def returns(self, i: int) -> None:
        self.observations.place(i, self.issued, 29_000)
        self.observations.numbered(i, self.issued + 1)
        self.is_told_a_place(i)
        self.places[self.key(i)] = self.issued
        self.issued += 1

    def rejoins(self, i: int) -> None:
        self.missed.append(self.observations.number[i])
        self.observations.note(i, Fact.MISSED)
        self.observations.place(i, self.issued, self.observations.claim_before_ms[i] + 1000)
        self.observations.numbered(i, self.issued + 1)
        self.is_told_a_place(i)
        self.places[self.key(i)] = self.issued
        self.issued += 1

    def fields(self, ms: int) -> dict[str, str]:
        """The opening's counters as they were at a time; nobody else is called after number 9."""
        serving = self.serving(ms)
        missed = len(self.missed) if ms > 30_000 else 0
        claims = [at_ms for at_ms in self.claimed_ms if at_ms <= ms]
        values = {
            "issued": self.issued if ms > 30_000 else len(self.people), "serving": serving, "left_called": 0,
            "called": serving - (1 if serving >= 2 else 0), "claimed": len(claims), "missed": missed,
            "missed_to": 3 if missed else 0, "left": len(self.left), "rate": RATE, "max_active": 20,
            "claim_ms": CLAIM_MS, "settled": int(ms >= DRAW_MS), "drawn": self.drawn, "seed": self.seed.hex(),
        }  # fmt: skip
        return {name: str(value) for name, value in values.items()}

    def truth(self) -> OpeningTruth:
        bits = bytearray(self.issued // 8 + 1)
        for number in self.done:
            bits[number // 8] |= 128 >> number % 8
        alive = {entry: expiry for entry, (_, expiry) in self.claims.items() if expiry}
        return OpeningTruth(
            self.fields(99_999), len(self.claims), len(self.left), len(self.done), bytes(bits), self.places, self.left,
            self.claims, alive,
        )  # fmt: skip

    def looks(self) -> list[OpeningSeen]:
        told = hashlib.sha256(self.seed).hexdigest()
        serving = [int(self.fields(s * 1000)["serving"]) for s in range(END_S)]
        before = [
            OpeningSeen(s * 1000, s * 1000 + 5, "draw", self.issued, serving[s], 0, told, None, None) for s in range(10)
        ]
        after = [
            OpeningSeen(s * 1000, s * 1000 + 5, "open", self.issued, serving[s], 0, told, self.drawn, self.seed.hex())
            for s in range(10, END_S)
        ]
        return before + after

    def counters(self) -> list[StoreSeen]:
        return [StoreSeen(s * 1000, s * 1000 + 3, self.fields(s * 1000), 1) for s in range(END_S)]


class World:
    """Both openings and all that was seen of them."""

    def __init__(self) -> None:
        self.crowd = Crowd(90, tuple(SEEDS), date(2021, 6, 19), seed=3)
        observations = Observations(self.crowd.residents)
        openings = tuple(
            RunOpening(
                code,
                DAY,
                datetime(2021, 6, 19, tzinfo=UTC),
                0,
                DRAW_MS / 1000,
                hashlib.sha256(seed).hexdigest(),
                ("1",),
            )
            for code, seed in SEEDS.items()
        )
        eligible = [i for i in range(90) if self.crowd.behaviour(i) not in INELIGIBLE]
        for i in set(range(90)) - set(eligible):
            observations.note(i, Fact.JOIN_SENT | Fact.REFUSED)
        self.openings = [
            Opening(self.crowd, opening, observations, [i for i in eligible if self.crowd.home(i) == k])
            for k, opening in enumerate(openings)
        ]
        seen = Seen(
            {o.opening.district: o.looks() for o in self.openings},
            {o.opening.district: o.counters() for o in self.openings},
        )
        stops = {key: why for o in self.openings for key, why in o.stops.items()}
        registrations = [r for o in self.openings for r in o.registrations]
        truth = Truth({o.opening.district: o.truth() for o in self.openings}, registrations, stops)
        self.evidence = Evidence(self.crowd, openings, observations, _meters(), seen, truth, END_S)

    @property
    def first(self) -> Opening:
        return self.openings[0]

    @property
    def observations(self) -> Observations:
        return self.evidence.observations

    @property
    def truth(self) -> OpeningTruth:
        assert self.evidence.truth is not None
        return self.evidence.truth.openings[self.first.opening.district]

    @property
    def registrations(self) -> list[RegistrationTruth]:
        assert self.evidence.truth is not None
        return self.evidence.truth.registrations

    @property
    def stops(self) -> dict[bytes, str]:
        assert self.evidence.truth is not None
        return self.evidence.truth.stops

    def registration_of(self, number: int, **changes: Any) -> RegistrationTruth:
        """The store's registration of the first opening's resident with this number, after these changes."""
        key = self.first.key(self.first.who(number))
        at = next(k for k, r in enumerate(self.registrations) if r.resident == key)
        self.registrations[at] = replace(self.registrations[at], **changes)
        return self.registrations[at]

    @property
    def looks(self) -> list[OpeningSeen]:
        return self.evidence.seen.openings[self.first.opening.district]

    @property
    def counters(self) -> list[StoreSeen]:
        return self.evidence.seen.store[self.first.opening.district]

    def red(self) -> set[str]:
        # anew: what was changed since the last audit is looked at again
        return {check.name for check in audit(replace(self.evidence)) if not check.ok}


def _meters() -> Meters:
    meters = Meters()
    for k in range(90):
        meters.count("arrivals", k * 1000)
        meters.answered(Call.JOIN, k * 1000, k * 1000 + 10, k * 1000 + 900)
        meters.answered(Call.POLL, k * 1000, k * 1000 + 10, k * 1000 + 900)
        meters.late(50, k * 1000)
    for _ in range(10):
        meters.count("receipts opened", 60_000_000)
    return meters
