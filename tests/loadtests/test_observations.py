"""What several processes heard and saw of one run is put together as if one had: nothing lost, nothing doubled."""

from dataclasses import asdict, replace

import msgspec
import pytest

from loadtests.audit.promises import audit
from loadtests.client.answers import Call
from loadtests.client.measure import Meters
from loadtests.history.record import History
from loadtests.resident.facts import NEVER, ClosedRegistration, Fact, ObservedPass, SpentPlace
from loadtests.resident.observations import Observations
from tests.support.honest_opening import World

RESIDENTS = 5


def of(part: int) -> Observations:
    """What the residents `part`, `part` + 2, ... were told, each something of their own."""
    observations = Observations(RESIDENTS)
    for i in range(part, RESIDENTS, 2):
        observations.came_ms[i] = 10 * i
        observations.place(i, 100 + i, 1000 + i)
        observations.numbered(i, 200 + i)
        observations.promised(i, 3.0, 2000 + i)
        observations.polled(i)
        observations.exchanged(i, 300 + i, 400)
        observations.registration_no[i] = 440106_00000_0000 + i
        observations.ticket[i], observations.passes[i], observations.receipts[i] = b"ticket", (b"pass", ""), b"receipt"
    observations.contradict("number changed", part, "1, then 2")
    observations.codes_asked[part] += 2
    observations.not_found.add(part)
    return observations


def test_each_resident_is_told_what_their_own_process_heard() -> None:
    whole, one, other = Observations(RESIDENTS), of(0), of(1)
    one.spent.append(SpentPlace(0, 7, 8, "left", 500, 3))
    other.spent_passes.append(ObservedPass(1, 7, 10, 20, NEVER))
    other.closed[3] = ClosedRegistration(3, 7, 440106)
    whole.take_in(one.encoded(0, 2))
    whole.take_in(other.encoded(1, 2))
    assert list(whole.came_ms) == [0, 10, 20, 30, 40]
    assert list(whole.entry) == [100, 101, 102, 103, 104]
    assert list(whole.number) == [200, 201, 202, 203, 204]
    assert list(whole.joined_ms) == [1000, 1001, 1002, 1003, 1004]
    assert list(whole.promised_wait_ms) == [4000] * 5  # a second after joining, three more were promised
    assert list(whole.facts) == [Fact.JOINED] * 5
    assert list(whole.polls) == list(whole.requests) == [1] * 5
    assert list(whole.bytes_up) == [300, 301, 302, 303, 304]
    assert list(whole.bytes_down) == [400] * 5
    assert whole.registration_no[4] == 440106_00000_0004
    assert list(whole.ready_ms) == [NEVER] * 5
    assert whole.spent == [SpentPlace(0, 7, 8, "left", 500, 3)]
    assert whole.spent_passes == [ObservedPass(1, 7, 10, 20, NEVER)]
    assert whole.closed == {3: ClosedRegistration(3, 7, 440106)}
    assert whole.codes_asked == {0: 2, 1: 2}
    assert whole.not_found == {0, 1}
    assert whole.contradictions == {"number changed": 2}
    assert whole.examples == {"number changed": ["resident 0: 1, then 2", "resident 1: 1, then 2"]}


def test_what_opens_doors_does_not_travel() -> None:
    encoded = of(0).encoded(0, 2)
    for secret in (b"ticket", b"pass\x00", b"receipt"):
        assert secret not in encoded


def test_statements_of_another_crowd_are_refused() -> None:
    with pytest.raises(ValueError, match="statements of 5 residents, expected 6"):
        Observations(6).take_in(of(0).encoded(0, 2))
    with pytest.raises(msgspec.DecodeError):
        Observations(RESIDENTS).take_in(b"nonsense")


def test_a_new_place_begins_its_own_promise_and_polls() -> None:
    told = of(0)
    told.note(0, Fact.LEFT)
    told.place(0, 900, 50_000)
    assert (told.promised_wait_ms[0], told.polls[0], told.requests[0]) == (NEVER, 0, 1)
    told.promised(0, 1e9, 50_000)  # a server out of its mind is no end of the run
    assert told.promised_wait_ms[0] == 2**31 - 1


def test_polls_after_the_call_are_no_waiting() -> None:
    told = of(0)
    told.polled(0)
    told.note(0, Fact.READY)
    told.polled(0)
    assert told.polls[0] == 2


def test_a_divided_run_is_audited_like_a_whole_one() -> None:
    whole, divided = World(), World()
    observations = Observations(whole.observations.residents)
    for part in range(3):
        world = World().observations
        world.spent = [spent for spent in world.spent if spent.resident % 3 == part]
        world.spent_passes = [p for p in world.spent_passes if p.resident % 3 == part]
        world.closed = {i: closed for i, closed in world.closed.items() if i % 3 == part}
        calls, world.history = world.history, History()
        for call in calls:
            if call.who % 3 == part:
                world.history.add(*call)
        observations.take_in(world.encoded(part, 3))
    meters = Meters()
    meters.take_in(whole.evidence.meters.encoded())
    divided.evidence = replace(divided.evidence, observations=observations, meters=meters)
    assert whole.observations.spent  # some did come again
    assert [asdict(check) for check in audit(divided.evidence)] == [asdict(check) for check in audit(whole.evidence)]
    assert divided.red() == set()


def seen_by(first_ms: int, times: int) -> Meters:
    """A process that saw a join and a late one each second, `times` of them, from `first_ms` on 10 ms longer each."""
    meters = Meters()
    for k in range(times):
        meters.answered(Call.JOIN, k * 1_000_000, k * 1_000_000, k * 1_000_000 + (first_ms + 10 * k) * 1000)
        meters.late(first_ms * 1000, k * 1_000_000)
        meters.answers[(Call.JOIN, 200, "")] += 1
    meters.error(f"JOIN: {first_ms}", first_ms * 1000)
    meters.bots[("forger", 401, "forged")] += 1
    return meters


def test_meters_add_up() -> None:
    meters = Meters()
    meters.take_in(seen_by(200, 2).encoded())
    meters.take_in(seen_by(100, 3).encoded())
    assert sorted(meters.from_due[Call.JOIN]) == [0, 1, 2]
    assert [meters.from_due[Call.JOIN][second].total for second in range(3)] == [2, 2, 1]
    assert meters.lateness[0].total == 2
    whole, wire = meters.whole(Call.JOIN), meters.on_wire[Call.JOIN]
    # 100, 110, 120, 200, 210 ms; an HDR histogram tells the bucket's upper edge, less than 1 % above
    for histogram in (whole, wire):
        for percent, ms in ((20, 100), (40, 110), (60, 120), (80, 200), (100, 210)):
            assert ms * 1000 <= (histogram.percentile_us(percent) or 0) < ms * 1010
    assert meters.counts["requests"] == {0: 2, 1: 2, 2: 1}
    assert meters.counts["errors"] == {0: 2}
    assert meters.answers == {(Call.JOIN, 200, ""): 5}
    assert meters.bots == {("forger", 401, "forged"): 2}
    assert meters.errors == ["0.1 s: JOIN: 100", "0.2 s: JOIN: 200"]
    meters.answered(Call.JOIN, 0, 0, 1)  # what comes later is counted on
    assert meters.counts["requests"][0] == 3


def test_errors_of_all_processes_are_bounded_and_the_first_are_kept() -> None:
    meters, other = Meters(), Meters()
    for k in range(60):
        meters.error("mine", (2 * k + 11) * 1_000_000)
        other.error("theirs", (2 * k + 10) * 1_000_000)
    meters.take_in(other.encoded())
    assert len(meters.errors) == 50
    assert meters.errors[:3] == ["10.0 s: theirs", "11.0 s: mine", "12.0 s: theirs"]
    assert meters.errors[-1] == "59.0 s: mine"
    assert sum(meters.counts["errors"].values()) == 120
