"""The audit can fail: an honest opening is all green, and each broken promise turns its own check red."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from loadtests.audit.changes import (
    cancellations_kept,
    one_open_registration,
    registrations_add_up,
    wishes_kept,
)
from loadtests.audit.evidence import GrowingValue
from loadtests.audit.promises import audit
from loadtests.audit.truth import RegistrationTruth
from loadtests.client.answers import Call
from loadtests.client.draw import bound_key
from loadtests.crowd.behaviour import Behaviour
from loadtests.crowd.crowd import Wishes
from loadtests.resident.facts import Fact
from tests.support import SUPPORT
from tests.support.honest_opening import DAY, END_S, World


def test_an_honest_opening_is_all_green() -> None:
    checks = audit(World().evidence)
    assert [check for check in checks if not check.ok] == []
    assert len(checks) == 25
    details = {check.name: check.detail for check in checks}
    assert details["registrations add up"] == ("12 = 8 proposed + 0 booked + 0 fulfilled + 4 cancelled + 0 noshow")
    assert details["cancellations kept"].startswith("4 acknowledged, open nowhere; 2 joined again, 0 registered")
    assert details["wishes kept"] == "10 as told, 2 of them changed"


# What a broken server would do, and the checks that must tell.


def _place_twice(w: World) -> None:
    w.truth.places[b"x" * 16] = w.observations.entry[w.first.who(12)]


def _place_lost(w: World) -> None:
    del w.truth.places[w.first.key(w.first.who(12))]


def _place_nobody_asked_for(w: World) -> None:
    w.truth.places[b"x" * 16] = w.first.issued
    w.truth.fields["issued"] = str(w.first.issued + 1)


def _replaced_place_still_held(w: World) -> None:
    w.truth.places[b"x" * 16] = w.observations.spent[0].entry


def _place_shared(w: World) -> None:
    one, other = w.first.who(12), w.first.who(13)
    w.observations.entry[other] = w.observations.entry[one]


def _place_moved(w: World) -> None:
    i = w.first.who(12)
    w.observations.place(i, w.first.issued, 20_000)  # while waiting: not yet called
    w.observations.number[i] = w.first.issued + 1
    w.truth.places[w.first.key(i)] = w.first.issued
    w.truth.fields["issued"] = str(w.first.issued + 1)


def _moved_before_its_claim_time_ran_out(w: World) -> None:
    w.observations.spent[0] = replace(w.observations.spent[0], at_ms=w.first.called_ms(3) + 4000)


def _number_changed(w: World) -> None:
    i = w.first.who(12)
    w.observations.numbered(i, 14)
    w.observations.numbered(i, 12)


def _number_not_the_seeds(w: World) -> None:
    a, b = w.first.who(12), w.first.who(13)
    w.observations.number[a], w.observations.number[b] = 13, 12


def _another_seed(w: World) -> None:
    looks = w.looks
    looks[:] = [replace(look, seed="00" * 32 if look.seed else None) for look in looks]


def _seed_shown_early(w: World) -> None:
    w.looks[3] = replace(w.looks[3], seed=w.first.seed.hex())


def _key_of_ones_own(w: World) -> None:
    """The numbers fit the key, and the key fits nothing that was public."""
    w.looks[:] = [replace(look, key=look.seed, root="ab" * 32) if look.seed is not None else look for look in w.looks]


def _root_changed(w: World) -> None:
    w.looks[12], w.looks[13] = (replace(w.looks[n], root=it * 32) for n, it in ((12, "ab"), (13, "cd")))


def _called_out_of_turn(w: World) -> None:
    i = w.first.who(20)
    w.observations.note(i, Fact.READY)
    w.observations.ready_ms[i], w.observations.claim_before_ms[i] = 12_000, 20_000


def _let_in_out_of_turn(w: World) -> None:
    i = w.first.who(8)
    w.observations.claimed_ms[i] = w.observations.ready_ms[i] = 11_000


def _calls_went_back(w: World) -> None:
    w.counters[20] = replace(w.counters[20], fields=w.counters[20].fields | {"serving": "3"})


def _called_too_fast(w: World) -> None:
    for k in range(11, END_S):
        fields = w.counters[k].fields
        more = str(int(fields["called"]) + 6)
        w.counters[k] = replace(w.counters[k], fields=fields | {"called": more, "issued": "50"})


def _too_many_passes(w: World) -> None:
    for k in range(END_S):
        w.counters[k] = replace(w.counters[k], fields=w.counters[k].fields | {"max_active": "2"})
    w.counters[30] = replace(w.counters[30], passes_alive=3)


def _too_many_passes_by_their_holders(w: World) -> None:
    for k in range(END_S):
        w.counters[k] = replace(w.counters[k], fields=w.counters[k].fields | {"max_active": "2"})


def _registration_lost(w: World) -> None:
    w.registrations.pop(0)


def _registration_of_another(w: World) -> None:
    w.registrations[0] = replace(w.registrations[0], resident=b"y" * 16)


def _registration_twice(w: World) -> None:
    w.registrations.append(replace(w.registrations[0], no=1, entry=9999))


def _registration_nobody_asked_for(w: World) -> None:
    nothing = Wishes((), accept_any_site=True)
    w.registrations.append(RegistrationTruth(b"z" * 16, 5, "proposed", w.first.opening.district, DAY, 7777, nothing))
    w.stops[b"z" * 16] = "open 000000000000005"


def _registration_closed_by_nobody(w: World) -> None:
    del w.stops[w.registration_of(1, state="cancelled").resident]


def _cancelled_and_still_open(w: World) -> None:
    r = w.registration_of(6, state="proposed")
    w.stops[r.resident] = f"open {r.no:015d}"


def _cancelled_and_still_in_the_way(w: World) -> None:
    r = w.registration_of(6)
    w.stops[r.resident] = f"open {r.no:015d}"


def _change_lost(w: World) -> None:
    i = w.first.who(5)
    w.registration_of(5, wishes=w.crowd.wishes(i, w.first.opening.sites))


def _wishes_of_another(w: World) -> None:
    w.registration_of(1, wishes=Wishes((("elsewhere", "am"),), accept_any_site=False))


def _nothing_stops_a_second_registration(w: World) -> None:
    del w.stops[w.registration_of(1).resident]


def _stopped_by_another_registration(w: World) -> None:
    w.stops[w.first.key(w.first.who(9))] = "open 000000000000005"


def _opened_again(w: World) -> None:
    no = w.registration_of(1).no
    w.registration_of(1, history=((no, "cancelled"), (no, "proposed")))


def _in_no_known_state(w: World) -> None:
    w.registration_of(1, state="limbo")


def _pass_used_and_no_registration(w: World) -> None:
    entry = w.observations.entry[w.first.who(9)]
    w.truth.claims[entry] = (w.truth.claims[entry][0], 0)


def _claim_count_wrong(w: World) -> None:
    w.truth.fields["claimed"] = "6"


def _negative_count(w: World) -> None:
    w.counters[40] = replace(w.counters[40], fields=w.counters[40].fields | {"missed": "9"})


def _missed_miscounted(w: World) -> None:
    w.truth.fields["missed"] = "2"


def _left_miscounted(w: World) -> None:
    w.truth.fields["left"] = "0"


def _calls_miscounted(w: World) -> None:
    w.truth.fields["called"] = "9"


def _receipt_opens_nothing(w: World) -> None:
    w.evidence.meters.counts["receipts opened"].clear()


def _receipt_not_found(w: World) -> None:
    observations = w.observations
    no = w.first.registrations[0].no
    observations.not_found.add(next(i for i in range(observations.residents) if observations.registration_no[i] == no))
    w.evidence.meters.counts["receipts opened"][60] -= 1


def _registration_lost_with_its_receipt(w: World) -> None:
    _receipt_not_found(w)
    _registration_lost(w)


def _contradiction(kind: str) -> Callable[[World], None]:
    def breaks(w: World) -> None:
        w.observations.contradict(kind, 1, "once this, then that")

    return breaks


def _an_error(w: World) -> None:
    w.evidence.meters.error("JOIN: 500", 5_000_000)


def _requests_lost(w: World) -> None:
    for k in range(6):
        w.evidence.meters.count("reconnects", k * 1_000_000)


def _nobody_came(w: World) -> None:
    w.evidence.meters.counts["arrivals"].clear()


def _backlog(w: World) -> None:
    w.evidence.unserved = 500


def _late_generator(w: World) -> None:
    for k in range(20):
        w.evidence.meters.late(900_000, k * 1_000_000)


def _busy_generator(w: World) -> None:
    w.evidence.seen.cpu["generator"] = {second: 99.0 for second in range(END_S)}


@pytest.mark.parametrize(
    ("breaks", "red"),
    [
        (_place_twice, {"places dense"}),
        (_place_lost, {"places dense", "places as told"}),
        (_place_nobody_asked_for, {"places as told"}),
        (_replaced_place_still_held, {"places dense", "places as told"}),
        (_place_shared, {"places as told", "draw order"}),
        (_place_moved, {"one place each"}),
        (_moved_before_its_claim_time_ran_out, {"one place each"}),
        (_number_changed, {"one place each"}),
        (_number_not_the_seeds, {"draw order"}),
        (_another_seed, {"draw committed", "draw order", "called in turn", "counts add up"}),
        (_seed_shown_early, {"draw committed"}),
        (_key_of_ones_own, {"draw committed"}),
        (_root_changed, {"draw committed"}),
        (_called_out_of_turn, {"called in turn"}),
        (_let_in_out_of_turn, {"called in turn"}),
        (_calls_went_back, {"called in turn"}),
        (_called_too_fast, {"rate kept"}),
        (_too_many_passes, {"passes capped"}),
        (_too_many_passes_by_their_holders, {"passes capped"}),
        (_registration_lost, {"registrations kept", "one open registration"}),
        (_registration_lost_with_its_receipt, {"registrations kept", "one open registration"}),
        (_receipt_not_found, {"receipts"}),
        (_registration_of_another, {"registrations kept", "one open registration"}),
        (_registration_twice, {"registrations single", "one open registration"}),
        (_registration_nobody_asked_for, {"registrations single"}),
        (_registration_closed_by_nobody, {"registrations kept"}),
        (_cancelled_and_still_open, {"cancellations kept"}),
        (_cancelled_and_still_in_the_way, {"cancellations kept"}),
        (_change_lost, {"wishes kept"}),
        (_wishes_of_another, {"wishes kept"}),
        (_nothing_stops_a_second_registration, {"one open registration"}),
        (_stopped_by_another_registration, {"one open registration"}),
        (_opened_again, {"one open registration"}),
        (_in_no_known_state, {"registrations add up"}),
        (_pass_used_and_no_registration, {"registrations add up"}),
        (_claim_count_wrong, {"counts add up"}),
        (_negative_count, {"counts add up"}),
        (_missed_miscounted, {"counts add up"}),
        (_left_miscounted, {"counts add up"}),
        (_calls_miscounted, {"counts add up"}),
        (_receipt_opens_nothing, {"receipts"}),
        (_contradiction("place changed"), {"one place each"}),
        (_contradiction("no new place"), {"one place each"}),
        (_contradiction("called, then not"), {"called in turn"}),
        (_contradiction("missed before its time"), {"calls kept"}),
        (_contradiction("claimed after its time"), {"calls kept"}),
        (_contradiction("pass changed"), {"same answer again"}),
        (_contradiction("registration changed"), {"same answer again"}),
        (_contradiction("wrongly let in"), {"eligibility"}),
        (_contradiction("wrongly refused"), {"eligibility"}),
        (_contradiction("receipt opens another registration"), {"receipts"}),
        (_contradiction("registration not as told"), {"receipts"}),
        (_contradiction("code opens another registration"), {"receipts"}),
        (_contradiction("appointment before the night"), {"receipts"}),
        (_contradiction("eligibility of another"), {"eligibility"}),
        (_contradiction("code answered another way"), {"codes alike"}),
        (_contradiction("no Retry-After"), {"no errors"}),
        (_an_error, {"no errors"}),
        (_requests_lost, {"no errors"}),
        (_nobody_came, {"everyone served"}),
        (_backlog, {"everyone served"}),
        (_late_generator, {"generator"}),
        (_busy_generator, {"generator"}),
    ],
)
def test_a_broken_promise_turns_its_own_check_red(breaks: Callable[[World], None], red: set[str]) -> None:
    world = World()
    breaks(world)
    assert world.red() == red


def test_every_contradiction_a_resident_can_note_is_judged() -> None:
    import re
    from pathlib import Path

    import loadtests

    folder = Path(loadtests.__file__).parent / "resident"
    source = "".join(file.read_text() for file in folder.glob("*.py") if file.name != "bots.py")
    kinds = set(re.findall(r'contradict\(\s*"([^"]+)"', source))
    assert len(kinds) > 20
    for kind in kinds:
        world = World()
        world.observations.contradict(kind, 1, "once this, then that")
        assert world.red(), f"{kind!r} would go unnoticed"


def test_an_unheard_answer_is_no_lost_place() -> None:
    """Who asked again and never heard may have been moved back: the store's word counts, not a guess."""
    world = World()
    i = world.first.who(12)
    world.observations.note(i, Fact.JOIN_OPEN)
    world.truth.places[world.first.key(i)] = world.first.issued
    world.truth.fields["issued"] = str(world.first.issued + 1)
    assert world.red() == set()


def test_who_leaves_after_missing_the_call_was_told_so_and_keeps_the_place_in_the_store() -> None:
    """204 as for everyone who leaves, but there was nothing to give up any more: the place is one of the missed."""
    world = World()
    i = world.first.who(12)
    world.observations.note(i, Fact.LEAVE_SENT | Fact.LEFT)
    assert "places as told" in world.red()  # not called yet: it had to go
    world.truth.fields["serving"] = "12"
    assert not world.red() & {"places as told", "places dense"}
    # and then starts again at the back, which takes the missed place out of the store
    world.truth.places[world.first.key(i)] = world.first.issued
    world.observations.place(i, world.first.issued, 90_000)
    world.truth.fields["issued"] = str(world.first.issued + 1)
    assert not world.red() & {"places as told", "places dense"}


def test_an_unheard_registration_is_not_one_too_many() -> None:
    world = World()
    i = world.first.who(9)
    world.observations.note(i, Fact.REGISTER_SENT)
    district = world.first.opening.district
    wishes, key = world.crowd.wishes(i, world.first.opening.sites), world.first.key(i)
    world.registrations.append(
        RegistrationTruth(key, 5, "proposed", district, DAY, world.observations.entry[i], wishes)
    )
    world.stops[key] = "open 000000000000005"
    assert world.red() == set()


def test_an_unheard_change_or_cancellation_may_have_been_made_or_not() -> None:
    world = World()
    i = world.first.who(1)
    world.observations.note(i, Fact.CHANGE_SENT | Fact.CANCEL_SENT)
    assert world.red() == set()
    world.registration_of(1, wishes=world.crowd.wishes(i, world.first.opening.sites, 1))
    assert world.red() == set()
    r = world.registration_of(1, state="cancelled")
    del world.stops[r.resident]
    assert world.red() == set()


class Returned(World):
    """Whoever cancelled and joined again has registered again too."""

    def __init__(self) -> None:
        super().__init__()
        observations, opening = self.observations, self.first
        ((self.i, self.earlier),) = [item for item in observations.closed.items() if item[0] in opening.people]
        self.no = self.earlier.no // 10**8 * 10**8 + observations.entry[self.i]
        observations.note(self.i, Fact.CLAIMED | Fact.REGISTER_SENT | Fact.REGISTERED)
        observations.registration_no[self.i] = self.no
        self.key = opening.key(self.i)
        self.truth.claims[observations.entry[self.i]] = (self.key, 0)
        self.at = next(k for k, r in enumerate(self.registrations) if r.resident == self.key)
        self.changed(
            no=self.no, state="proposed", entry=observations.entry[self.i], past=(self.earlier.no,),
            wishes=self.crowd.wishes(self.i, opening.opening.sites, 2),
        )  # fmt: skip
        self.stops[self.key] = f"open {self.no:015d}"

    def changed(self, **changes: Any) -> None:
        self.registrations[self.at] = replace(self.registrations[self.at], **changes)

    def red(self) -> set[str]:
        """Of the checks of registrations: nobody at the back has been called in this world."""
        checks = (cancellations_kept, wishes_kept, one_open_registration, registrations_add_up)
        return {verdict.name for verdict in (check(self.evidence) for check in checks) if not verdict.ok}


def test_who_registers_again_has_one_open_registration_and_one_cancelled() -> None:
    world = Returned()
    assert world.red() == set()
    assert registrations_add_up(world.evidence).detail.startswith("13 = 9 proposed + 0 booked + 0 fulfilled + 4 canc")


@pytest.mark.parametrize(
    ("changes", "red"),
    [
        ({"past": ()}, {"cancellations kept", "registrations add up"}),
        ({"history": ()}, {"cancellations kept", "registrations add up"}),
        ({"wishes": Wishes((), accept_any_site=True)}, {"wishes kept"}),
    ],
)
def test_an_earlier_registration_is_neither_lost_nor_open(changes: dict[str, Any], red: set[str]) -> None:
    world = Returned()
    world.changed(**changes)
    assert world.red() == red


def test_nobody_registers_under_two_keys() -> None:
    world = Returned()
    world.truth.claims[world.earlier.entry] = (b"k" * 16, 0)
    assert world.red() == {"one open registration"}


def test_without_the_store_nothing_is_claimed_about_it() -> None:
    world = World()
    world.evidence.truth = None
    unjudged = {check.name for check in audit(world.evidence) if check.ok is None}
    assert unjudged == {
        "places dense", "rate kept", "passes capped", "registrations kept", "registrations single", "counts add up",
        "cancellations kept", "wishes kept", "one open registration", "registrations add up",
    }  # fmt: skip
    assert world.red() == unjudged


def test_keys_are_bound_as_the_contracts_vectors_have_it() -> None:
    cases = json.loads((SUPPORT / "draw_vectors_2.json").read_text("utf-8"))["cases"]
    plain = [case for case in cases if not case["beacon"]]
    assert len(plain) >= 3
    for case in plain:
        seed = bytes.fromhex(case["seed"])
        for what, key in (("draw", case["key"]), ("night", case["night_key"])):
            assert bound_key(what, seed, case["tag"], case["root"]).hex() == key


def test_a_run_that_ends_in_the_draw_judges_no_order() -> None:
    world = World()
    for looks in world.evidence.seen.openings.values():
        del looks[10:]
    for i in range(90):
        world.observations.number[i] = 0
        world.observations.ready_ms[i] = world.observations.claimed_ms[i] = -(1 << 31)
    world.observations.spent.clear()
    verdicts = {check.name: check.ok for check in audit(world.evidence)}
    assert verdicts["draw committed"] is None
    assert verdicts["draw order"] is None


def test_errors_around_a_fault_are_forgiven_and_later_ones_are_not() -> None:
    world = World()
    world.evidence.fault, world.evidence.fault_second = "kill-store", 20
    world.evidence.meters.error("JOIN: 503 store-unavailable", 21_000_000)
    world.evidence.meters.answered(Call.POLL, 25_000_000, 25_000_000, 27_000_000)  # slow, and forgiven
    assert world.red() == set()
    world.evidence.meters.error("JOIN: 503 store-unavailable", 55_000_000)
    assert world.red() == {"no errors", "recovered"}


def test_a_fault_that_was_not_injected_is_not_survived() -> None:
    world = World()
    world.evidence.fault = "kill-worker"
    assert "recovered" in world.red()


def test_steps_bound_a_growing_value_from_both_sides() -> None:
    steps = GrowingValue([(0, 5, 0), (1000, 1005, 10), (2000, 2005, 30)])
    assert steps.at_most_at(900) == 10
    assert steps.at_most_at(2500) is None
    assert steps.not_before(20) == 1000
    assert steps.not_before(0) is None
    assert steps.backward() == 0
    assert GrowingValue([(0, 1, 5), (2, 3, 4)]).backward() == 1


def test_behaviours_of_the_test_crowd_include_the_ineligible() -> None:
    crowd = World().crowd
    assert any(crowd.behaviour(i) is Behaviour.TOO_SOON for i in range(90))
