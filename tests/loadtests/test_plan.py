"""The capacity model by hand-computed cities: queues, machines, limits, what is measured; and `jiaohao plan`."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.capacity.calibration import MeasuredRamp, RampError, check, correction, each_resident, load_ramp, predict
from loadtests.capacity.costs import Background, CallCost, Costs, CostsError, Spread, load_costs
from loadtests.capacity.demand import Arrivals, PlannedDistrict, Timetable, percentile, queue
from loadtests.capacity.known import Known, KnownError, Sizes, load_known
from loadtests.capacity.plan import Plan, make
from loadtests.capacity.plan_request import PlanError, PlanRequest
from loadtests.capacity.words import foretold
from tests.support.serving import REPO, Jiaohao, environment

EIGHT, NOON = 8 * 3600, 12 * 3600
TIANHE = PlannedDistrict("440106", "Tianhe", 1, EIGHT, NOON, 100.0, 30_000)
GUANGZHOU = Timetable(
    name="Guangzhou", districts=(TIANHE,), draw_seconds=120, claim_seconds=300, pass_seconds=600,
    poll_floor_seconds=5, poll_ceiling_seconds=600, poll_budget_per_second=1500, look_budget_per_second=4000,
    sms_per_second=1000, sms_begins_s=EIGHT, sms_ends_s=21 * 3600, night_seconds=42_600,
)  # fmt: skip
AT_THE_DOOR = Arrivals(door=1.0, minutes=240.0)
ALL_CALLS = ("join", "poll", "ready", "claim", "register", "look_up", "qr", "opening", "city")
JOINS_EACH = 1 + 0.08 + 0.04 + 0.02 * 0.7 + 0.04 * 0.25
"""The shipped crowd: refreshes, second device, never claims × rejoins, gives up × regrets (crowds/guangzhou.toml)."""
ACTIVE_S = 13 / 2 + 105 / 2 + 0.02 * 300 + 0.015 * 600
"""The shipped crowd: thinks 1-12 s, fills the form in 15-90 s, 2 % never claim, 1.5 % leave the form."""


def spread(value: float) -> dict[Any, Spread]:
    return {level: Spread(value, value, value) for level in ("low", "high")}


def costs(worker_us: float = 100, store_us: float = 20, opening_us: float = 0, idle_us: float = 0) -> Costs:
    call = CallCost(
        spread(worker_us), spread(store_us), {"low": opening_us, "high": opening_us}, spread(5000), 100, 400
    )  # fmt: skip
    return Costs(
        1, "2026-11-23T00:00:00+00:00", "by hand", {"cpu": "none"}, 1, {"low": 8, "high": 256},
        Background(2, idle_us, idle_us), dict.fromkeys(ALL_CALLS, call),
    )  # fmt: skip


SIZES = msgspec.convert(
    {
        "store_bytes": {"place": 60, "after_night": 1500},
        "night": {"registrations": 1_000_000, "seconds": 300},
        "polls": {"of_budget": 1.0},
        "largest": {"residents": 600_000},
        "connections": {"bytes_each": 10_000, "kept_seconds": 5, "tls_us": 500, "new_per_second": 1000},
    },
    Sizes,
)


def ramp_file(
    workers: int = 1,
    holds: float | None = 800.0,
    breaks: float | None = 900.0,
    cpu: tuple[float, float, float] = (0.001, 0.0002, 0.0005),
    cores: int = 4,
    **changes: Any,
) -> bytes:
    """A ramp's --json in the shape that the rehearsal writes; CPU seconds a resident of workers, store, generator."""
    steps = [
        {
            "rate": rate, "from_second": 20 + 40 * i, "to_second": 50 + 40 * i, "held": rate <= (holds or 0), "why": "",
            "requests": {"join": rate * 30, "poll": rate * 45, "claim": rate * 30, "register": rate * 30},
            "cpu_seconds": {"workers": rate * 30 * cpu[0], "store": rate * 30 * cpu[1], "generator": rate * 30 * cpu[2],
                            "others": 0.0},
            "p99_ms": {"join": 12.0},
        }
        for i, rate in enumerate((400.0, 800.0, 900.0))
    ]  # fmt: skip
    run = {
        "format": 1,
        "options": {"workers": workers, "residents": 1},
        "host": [["Machine", "any"], ["CPU", f"some, {cores} cores shared by generator, workers and store"]],
        "samples": [],
        "ramp": {"steps": steps, "holds": holds, "breaks": breaks, "limit": "workers"},
    }
    return json.dumps(run | changes).encode()


def ramp(**changes: Any) -> MeasuredRamp:
    return load_ramp(ramp_file(**changes), "ramp.json")


def known(ramps: tuple[MeasuredRamp, ...] = (), **changes: float) -> Known:
    return Known(costs(**changes), ramps, SIZES)


def plan(
    asked: PlanRequest, timetable: Timetable = GUANGZHOU, ramps: tuple[MeasuredRamp, ...] = (), **changes: float
) -> Plan:
    return make(timetable, asked, known(ramps, **changes))


# The queue


def test_everyone_at_the_door() -> None:
    it = queue(TIANHE, 12_000, AT_THE_DOOR, 120, 70)
    assert it.joins_per_second == pytest.approx(100)
    assert it.later == 0
    assert it.longest_queue == pytest.approx(12_000)
    assert it.called == pytest.approx(12_000)
    assert it.last_called_s == pytest.approx(240, abs=8)
    # 120 − join + number ÷ 100: the sum of two uniform times of 0 to 120 s
    assert it.waits_s is not None
    median, p90, longest = it.waits_s
    assert median == pytest.approx(120, abs=2)
    assert p90 == pytest.approx(240 - math.sqrt(2 * 0.1) * 120, abs=3)
    assert 230 < longest <= 240


def test_who_comes_in_a_trickle_does_not_wait() -> None:
    it = queue(TIANHE, 12_000, Arrivals(door=0.0, minutes=240), 120, 70)
    # 12,000 × 3 ÷ 14,400 s ÷ (1 − e⁻³) = 2.63 a second at first: a queue of two minutes' arrivals, soon gone
    assert it.joins_per_second == pytest.approx(2.631, abs=0.001)
    assert it.waits_s is not None and it.waits_s[0] == pytest.approx(0, abs=0.5)
    assert it.calls_at_close < 1


def test_a_rate_too_low_leaves_people_behind() -> None:
    it = queue(TIANHE, 2_000_000, AT_THE_DOOR, 120, 70)
    assert it.called == pytest.approx(14_280 * 100)
    assert it.needed_rate == pytest.approx(2_000_000 / 14_280)
    enough = queue(replace(TIANHE, rate_per_second=it.needed_rate), 2_000_000, AT_THE_DOOR, 120, 70)
    assert enough.called == pytest.approx(2_000_000)


def test_max_active_holds_the_calls_back() -> None:
    it = queue(replace(TIANHE, max_active=700), 12_000, AT_THE_DOOR, 120, 70)
    assert it.held_back
    assert it.calls_per_second == pytest.approx(10)


def test_nobody_is_called_where_there_is_no_time() -> None:
    short = replace(TIANHE, closes_s=EIGHT + 121)
    it = queue(short, 1000, Arrivals(1.0, 2), 120, 70)
    assert it.called == pytest.approx(100)


def test_percentiles_of_weighted_samples() -> None:
    samples = [(1.0, 5.0), (2.0, 4.0), (9.0, 1.0)]
    assert [percentile(samples, share) for share in (0.5, 0.9, 1.0)] == [1.0, 2.0, 9.0]


# The machines


def test_a_city_by_hand() -> None:
    it = plan(PlanRequest(1_200_000, door=1.0))
    # 10,000 residents a second come, 5 % of them look at city and opening past the cache
    assert it.figure("joins/s").value == pytest.approx(10_000 * JOINS_EACH)
    calls = 10_000 * JOINS_EACH + 2 * 500
    assert it.figure("worker cores, busy").value == pytest.approx(calls * 100e-6)
    assert it.figure("workers").value == math.ceil(calls * 100e-6 / 0.6) == 3
    assert it.figure("store cores, busy").value == pytest.approx(calls * 20e-6)
    assert it.figure("store shards").value == 1
    assert it.figure("claims/s").value == 100
    # 1.2 million wait: all could look every 5 s, and the budgets stretch it; 3 % are old clients, who poll
    assert it.figure("public looks/s").value == pytest.approx(0.97 * 4000)
    assert it.figure("looks at workers/s").value == pytest.approx(0.97 * 4000)  # after the draw nobody comes any more
    assert it.figure("polls/s").value == pytest.approx(0.03 * 1500)
    # a browser's request is 800 bytes, an answer 400 here; each with 80 of TCP/IP
    assert it.figure("network in, Mbit/s").value == pytest.approx(calls * 880 * 8 / 1e6)
    assert it.figure("network out, Mbit/s").value == pytest.approx(calls * 480 * 8 / 1e6)
    assert it.figure("store memory, GB").value == pytest.approx(1.2 * 1.56)
    assert it.figure("night, minutes").value == pytest.approx(1.2 * 300 / 60)
    assert it.figure("SMS of the night, minutes").value == pytest.approx(1_200_000 * 0.3 / 1000 / 60)
    # 14,280 s × 100 calls a second
    assert it.limits[0].name == "calls (rate_per_second of Tianhe)"
    assert it.limits[0].factor == pytest.approx(14_280 * 100 / 1_200_000)


def test_through_a_cache_no_more_than_two_looks_a_second_of_a_district_reach_a_worker() -> None:
    without, behind = plan(PlanRequest(1_200_000, door=1.0)), plan(PlanRequest(1_200_000, door=1.0, cache=True))
    assert behind.figure("public looks/s").value == without.figure("public looks/s").value
    assert behind.figure("looks at workers/s").value == 2
    assert behind.figure("worker cores, busy").value < without.figure("worker cores, busy").value


def test_connections_follow_who_comes_looks_and_is_called_and_not_who_waits() -> None:
    it = plan(PlanRequest(1_200_000, door=1.0))
    # at the door 10,000 a second, each on one of their own; once the draw is over 97 % of 4,000 look
    assert it.figure("new connections/s").value == pytest.approx(10_000 * JOINS_EACH)
    assert it.figure("connections held").value == pytest.approx(10_000 * JOINS_EACH * 5)
    assert it.figure("TLS, cores of a proxy").value == pytest.approx(10_000 * JOINS_EACH * 500e-6)
    assert it.figure("new connections/s").mark == "extrapolated"
    later = plan(PlanRequest(1_200_000, door=0.0)).moments
    assert max(at.connections_per_second for at in later) < 10_000
    few = plan(PlanRequest(1_200, door=1.0)).figure("new connections/s")
    assert few.mark == "measured" and few.value > 10 * JOINS_EACH


def test_a_ticket_is_asked_for_by_who_is_called_and_by_old_clients() -> None:
    it = plan(PlanRequest(12_000, door=1.0))
    # All are called, half of them after 120 s or more: 60 s of the draw and 60 s of calls. An old client looks
    # when it has joined, then after 0.6 of the rest each time until 8.3 s are left, and every five seconds from there.
    wait_s = it.figure("wait, median").value
    looks = 1 + math.log(wait_s / (5 / 0.6)) / -math.log(0.4) + 1 / 0.6
    assert it.figure("tickets a place").value == pytest.approx(1.2 + 0.03 * looks, rel=0.02)


def test_what_was_measured_is_told_from_what_was_not() -> None:
    small, large = plan(PlanRequest(100_000, door=0.5)), plan(PlanRequest(1_200_000, door=1.0))
    # one worker answered 5,000 of each call a second; 1 M registrations and openings of 600,000 were measured
    for name in ("joins/s", "workers", "store shards", "store memory, GB", "wait, median", "night, minutes"):
        assert small.figure(name).mark == "measured"
    for name in ("joins/s", "workers", "store memory, GB", "wait, median", "night, minutes", "SMS/s by day"):
        assert large.figure(name).mark == "extrapolated"
    assert large.figure("polls/s").mark == "measured"
    assert all(figure.how for figure in large.figures)


def test_workers_follow_the_law_of_the_ramps() -> None:
    # 1 holds 1000, 2 hold 1600: 2 ÷ (1 + σ) = 1.6, σ = 0.25. Their CPU is as the costs say, so nothing is corrected.
    each = 4.5 * 100e-6, 4.5 * 20e-6, 0.0
    ramps = (ramp(workers=1, holds=1000.0, breaks=None, cpu=each), ramp(workers=2, holds=1600.0, breaks=None, cpu=each))
    it = plan(PlanRequest(1_200_000, door=1.0), ramps=ramps)
    needed = (10_000 * JOINS_EACH + 1000) * 100e-6
    assert 3 * 0.6 / 1.5 < needed < 4 * 0.6 / 1.75
    assert it.figure("workers").value == 4
    assert it.figure("workers").mark == "extrapolated"
    assert "κ = 0 is assumed" in " ".join(it.notes)


def test_no_number_of_workers_may_be_enough() -> None:
    def at(workers: int) -> float:
        return 1000 * workers / (1 + 0.3 * (workers - 1) + 0.05 * workers * (workers - 1))

    ramps = tuple(ramp(workers=n, holds=at(n), breaks=None) for n in (1, 2, 4, 8))
    # most at √(0.7 ÷ 0.05) = 3.74 workers, worth 3.74 ÷ (1 + 0.3 × 2.74 + 0.05 × 3.74 × 2.74) = 1.60 of one
    with pytest.raises(PlanError, match=r"no number of workers .* worth 1\.6"):
        plan(PlanRequest(12_000_000, door=1.0), ramps=ramps)


def test_a_ramp_that_something_else_limited_says_nothing_of_the_workers() -> None:
    one, two = ramp(workers=1, holds=800.0), ramp(workers=2, holds=800.0)
    limited = msgspec.structs.replace(two, ramp=msgspec.structs.replace(two.ramp, limit="machine"))
    it = plan(PlanRequest(100_000), ramps=(one, limited))
    assert any("2 workers was limited by the machine" in note for note in it.notes)
    assert any("linear" in note for note in it.notes)
    both = known((one, two)).law
    assert both is not None and both.law.contention == pytest.approx(1.0)
    assert known((limited,)).law is None


def test_an_opening_does_not_grow_with_the_shards() -> None:
    # all of a join is done in the opening: 11,440 × 100 µs is more than a core
    it = plan(PlanRequest(1_200_000, door=1.0), opening_us=100, store_us=100)
    assert it.shard.least == pytest.approx(10_000 * JOINS_EACH * 100e-6)
    assert it.shard.most_joins == pytest.approx(0.6 / 100e-6)
    assert any("bound to one shard" in note and "6,000 joins" in note for note in it.notes)
    shard = next(limit for limit in it.limits if limit.name.startswith("store shard"))
    assert shard.factor == pytest.approx(0.6 / it.shard.least)


def test_each_worker_looks_at_each_opening() -> None:
    # idle 40,000 µs a second for two openings: 0.02 of the store's core a worker, so 30 of them fill 60 %
    crowd = PlanRequest(24_000_000, door=1.0)
    assert plan(crowd).shard.most_joins > 0
    it = plan(crowd, idle_us=40_000)
    assert it.figure("workers").value >= 30
    assert it.shard.most_joins == 0
    assert any("several cities" in note for note in it.notes)
    split = plan(replace(crowd, cities=10), idle_us=40_000)
    assert split.residents == pytest.approx(24_000_000)
    assert split.figure("joins/s").value == pytest.approx(it.figure("joins/s").value)
    assert split.shard.most_joins > 0


def test_windows_that_open_together_add_up_and_others_do_not() -> None:
    afternoon = replace(TIANHE, code="440105", name="Haizhu", opens_s=NOON, closes_s=16 * 3600)
    together = replace(TIANHE, code="440111", name="Baiyun")
    apart = plan(PlanRequest(240_000, door=1.0), replace(GUANGZHOU, districts=(TIANHE, afternoon)))
    both = plan(PlanRequest(240_000, door=1.0), replace(GUANGZHOU, districts=(TIANHE, together)))
    assert apart.figure("joins/s").value == pytest.approx(1000 * JOINS_EACH)
    assert both.figure("joins/s").value == pytest.approx(2000 * JOINS_EACH)
    assert both.figure("claims/s").value == 200


def test_a_peak_is_asked_for_in_place_of_residents() -> None:
    it = plan(PlanRequest(None, joins_per_second=10_000 * JOINS_EACH, door=1.0))
    assert it.residents == pytest.approx(1_200_000)


def test_enough_calls_for_everyone() -> None:
    it = plan(PlanRequest(2_000_000, door=1.0, rate_per_second="enough"))
    assert it.queues[0].calls_per_second == pytest.approx(2_000_000 / 14_280)
    assert it.queues[0].district.max_active == math.ceil(2_000_000 / 14_280 * ACTIVE_S) + 1
    assert it.figure("not called that day").value == 0


def test_residents_are_shared_by_population() -> None:
    other = replace(TIANHE, code="440111", name="Baiyun", population=3)
    it = plan(PlanRequest(400_000), replace(GUANGZHOU, districts=(TIANHE, other)))
    assert [each.residents for each in it.queues] == [100_000, 300_000]
    nobody = tuple(replace(each, population=0) for each in (TIANHE, other))
    it = plan(PlanRequest(400_000), replace(GUANGZHOU, districts=nobody))
    assert [each.residents for each in it.queues] == [200_000, 200_000]


# Ramps


def test_the_costs_against_a_ramp() -> None:
    it = ramp(cpu=(0.00054, 0.00009, 0))
    steps = check(costs(), it)
    # a resident: 4.5 calls × 100 µs = 450 µs said, 540 measured; of the store 90 said, 90 measured
    assert [(one.rate, one.part) for one in steps] == [
        (400, "workers"), (400, "store"), (800, "workers"), (800, "store"),
    ]  # fmt: skip
    assert steps[0].predicted == pytest.approx(400 * 30 * 450e-6)
    assert steps[0].error == pytest.approx(450 / 540 - 1)
    assert steps[1].error == pytest.approx(0)
    assert correction(costs(), [it], "workers") == pytest.approx(540 / 450)
    assert correction(costs(), [], "workers") is None
    corrected = plan(PlanRequest(1_200_000, door=1.0), ramps=(it,))
    plain = plan(PlanRequest(1_200_000, door=1.0))
    assert corrected.figure("worker cores, busy").value == pytest.approx(
        plain.figure("worker cores, busy").value * 540 / 450
    )


def test_a_ready_poll_is_the_one_that_asks_the_store() -> None:
    dear = costs()
    dear = msgspec.structs.replace(
        dear, calls=dear.calls | {"ready": msgspec.structs.replace(dear.calls["ready"], worker_us=spread(300))}
    )
    # of 1.5 polls one is before the claim: 3 × 100 + 0.5 × 100 + 300
    assert check(dear, ramp())[0].predicted == pytest.approx(400 * 30 * 650e-6)


def test_a_resident_is_counted_where_they_are_cheapest() -> None:
    it = ramp(cpu=(0.001, 0.0002, 0.0005))
    assert each_resident(it, "workers") == pytest.approx(0.001)
    steps = [
        msgspec.structs.replace(step, cpu_seconds={"workers": 30 * (0.4 + 0.0005 * step.rate), "store": 0.0})
        for step in it.ramp.steps
    ]
    it = msgspec.structs.replace(it, ramp=msgspec.structs.replace(it.ramp, steps=steps))
    assert each_resident(it, "workers") == pytest.approx(0.001)  # at 800/s, the highest that held: 0.8 cores
    assert each_resident(it, "others") == 0


def test_two_workers_said_from_one() -> None:
    # 800/s keep the worker busy to 0.8: two would hold 1600, the store 0.8 ÷ 0.0002 = 4000, of four cores
    # 4 × 0.8 ÷ 0.0017 = 1882
    said = predict(ramp(), 2)
    assert said.limit == "workers" and said.rate == pytest.approx(1600)
    assert said.bounds["store"] == pytest.approx(4000)
    assert said.bounds["machine"] == pytest.approx(3.2 / 0.0017)
    # of two cores 1.6 ÷ 0.0017 = 941: the generator has its share
    said = predict(ramp(cores=2), 2)
    assert said.limit == "machine" and said.rate == pytest.approx(1.6 / 0.0017)
    unknown = predict(msgspec.structs.replace(ramp(), host=None), 2)
    assert "machine" not in unknown.bounds


def test_the_error_is_told() -> None:
    later = ramp(workers=2, holds=800.0, breaks=1000.0, cpu=(0.00125, 0.0002, 0.0005))
    lines = list(foretold(ramp(), later))
    assert lines[0].startswith("said from 1: 2 workers hold 1,600/s, limit workers")
    assert lines[1] == "measured: held 800, broke at 1,000, limit workers"
    assert lines[2] == "error: +100.0% against the rate that held, +60.0% against the one that broke"
    assert lines[3] == "CPU of workers a thousand residents: said 1.000 s, measured 1.250 s, error -20.0%"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"{", "not the --json of a ramp"),
        (b"{}", "not the --json of a ramp"),
        (ramp_file(holds=None), "ramp.holds: no rate held"),
        (ramp_file(breaks=700.0), "ramp.breaks: expected more than ramp.holds"),
        (ramp_file(options={}), "options.workers"),
        (ramp_file(ramp={"steps": [], "holds": 800.0}), "no rate held"),
        (
            ramp_file(
                ramp={
                    "holds": 1.0,
                    "steps": [{"rate": 1, "from_second": 5, "to_second": 5, "held": True, "requests": {},
                               "cpu_seconds": {"workers": 1, "store": 1}}],
                }
            ),
            r"ramp.steps\[0\]: expected a rate above 0 and a to_second after",
        ),
        (
            ramp_file(
                ramp={
                    "holds": 1.0,
                    "steps": [{"rate": 1, "from_second": 5, "to_second": 6, "held": True, "requests": {},
                               "cpu_seconds": {"workers": 1}}],
                }
            ),
            r"ramp.steps\[0\].cpu_seconds: expected workers and store",
        ),
    ],
)  # fmt: skip
def test_a_ramp_that_cannot_be_used_is_one_line(data: bytes, what: str) -> None:
    with pytest.raises(RampError, match=what) as caught:
        load_ramp(data, "ramp.json")
    assert str(caught.value).startswith("ramp.json: ") and "\n" not in str(caught.value)


def test_costs_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    good = msgspec.json.encode(costs())
    assert load_costs(good, "c.json") == costs()
    few = msgspec.structs.replace(costs(), calls={"join": costs().calls["join"]})
    for data, what in (
        (b"[]", "not the --json of"),
        (msgspec.json.encode(msgspec.structs.replace(costs(), format=2)), "format 2, expected 1"),
        (msgspec.json.encode(few), "calls: expected poll, ready"),
    ):
        with pytest.raises(CostsError, match=what):
            load_costs(data, "c.json")
    one, two = tmp_path / "a.json", tmp_path / "b.json"
    one.write_bytes(good)
    two.write_bytes(good)
    with pytest.raises(KnownError, match="expected one file of costs"):
        load_known([one, two])
    two.write_bytes(b'{"neither": 1}')
    with pytest.raises(KnownError, match=r"b.json: expected the --json of a ramp or of"):
        load_known([one, two])
    with pytest.raises(KnownError, match=r"none.json: cannot be read"):
        load_known([tmp_path / "none.json"])


def test_ones_own_figures_take_the_place_of_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_bytes(msgspec.json.encode(costs()))
    (tmp_path / "ramp.json").write_bytes(ramp_file(workers=2))
    it = load_known([tmp_path / "costs.json", tmp_path / "ramp.json"])
    assert it.costs == costs()
    assert [each.workers for each in it.ramps] == [2]
    assert load_known([tmp_path / "costs.json"]).ramps == ()  # those are of another machine


# The command


def test_the_readmes_table_is_what_the_command_prints(jiaohao: Jiaohao) -> None:
    code, out, _ = jiaohao("plan", "--table")
    assert code == 0
    assert out.strip() in (REPO / "loadtests" / "README.md").read_text("utf-8")
    for name in ("Guangzhou", "Shanghai", "the planet"):
        assert name in out.splitlines()[0]


def test_the_commands_of_the_table_give_its_figures(jiaohao: Jiaohao) -> None:
    shanghai = str(REPO / "loadtests" / "cities" / "shanghai.toml")
    table = jiaohao("plan", "--table")[1].splitlines()
    row = next(line for line in table if line.startswith("| worker cores, busy")).split("|")[2:5]
    for arguments, cell in zip(
        (
            ("--residents", "4836000"),
            ("--residents", "25000000", "--city", shanghai),
            ("--joins-per-second", "1000000", "--cities", "100", "--openings", "4", "--rate", "enough"),
        ),
        row,
        strict=True,
    ):
        code, out, _ = jiaohao("plan", *arguments, "--cache", "--json")
        figures = {it["name"]: it["words"] for it in json.loads(out)["figures"]}
        assert (code, figures["worker cores, busy"]) == (0, cell.strip().rstrip("†"))


def test_what_cannot_be_done_leaves_the_other_columns(jiaohao: Jiaohao, tmp_path: Path) -> None:
    one, two = tmp_path / "ramp-1.json", tmp_path / "ramp-2.json"
    one.write_bytes(ramp_file())
    two.write_bytes(ramp_file(workers=2, holds=1200.0, breaks=1300.0))
    code, out, _ = jiaohao("plan", "--table", "--measured", str(one), "--measured", str(two))
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("| workers |")).split("|")[2:5]
    # 1.25 ÷ 0.85 gives σ = 0.36: all workers together are worth 2.8, too few for Shanghai
    assert row[0].strip() != "-" and row[1].strip() == "-"
    assert "Shanghai: no number of workers on one store carries it" in out


def test_a_plan_for_one_district(jiaohao: Jiaohao) -> None:
    code, out, _ = jiaohao("plan", "--residents", "970000", "--district", "440111")
    assert code == 0
    assert "Baiyun" in out and "Tianhe" not in out
    assert "measured" in out and "extrapolated" in out and "gives way first" in out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "expected --residents or --joins-per-second"),
        (("--residents", "5", "--joins-per-second", "5"), "expected --residents or --joins-per-second"),
        (("--residents", "0"), "--residents: expected at least 1"),
        (("--residents", "nan"), "--residents: expected at least 1"),
        (("--joins-per-second", "-1"), "--joins-per-second: expected more than 0"),
        (("--residents", "10", "--door", "1.5"), "--door: expected a share"),
        (("--residents", "10", "--minutes", "0"), "--minutes: expected more than 0"),
        (("--residents", "10", "--utilisation", "1"), "--utilisation: expected a share"),
        (("--residents", "10", "--openings", "0"), "--openings: expected 1 to 10,000"),
        (("--residents", "10", "--cities", "0"), "--cities: expected at least 1"),
        (("--residents", "10", "--rate", "0"), "--rate: expected calls a second"),
        (("--residents", "10", "--district", "999"), "--district 999: no such district"),
        (("--residents", "10", "--district", "440112"), "--district 440112: has no window"),
        (("--predict", __file__), "--predict and --against: expected both"),
        (("--residents", "10", "--measured", __file__), "not JSON of a ramp or of costs"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_line(
    jiaohao: Jiaohao, arguments: tuple[str, ...], what: str
) -> None:
    code, out, err = jiaohao("plan", *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("jiaohao: ") and what in line


def test_a_prediction_is_told(jiaohao: Jiaohao, tmp_path: Path) -> None:
    one, two = tmp_path / "ramp-1.json", tmp_path / "ramp-2.json"
    one.write_bytes(ramp_file())
    two.write_bytes(ramp_file(workers=2, holds=800.0, breaks=900.0))
    code, out, _ = jiaohao("plan", "--predict", str(one), "--against", str(two))
    assert code == 0 and "error: +100.0% against the rate that held" in out
    code, _, err = jiaohao("plan", "--predict", str(one), "--against", __file__)
    assert code == 2 and "not the --json of a ramp" in err


def test_help_teaches(jiaohao: Jiaohao) -> None:
    code, out, _ = jiaohao("plan", "--help")
    assert code == 0
    for word in ("--residents", "--measured", "--predict", "measured or", "python -m loadtests.bench costs"):
        assert word in out


def test_the_bench_writes_what_a_plan_reads(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    few = ("--rounds", "1", "--seconds", "0.2", "--residents", "200", "--low", "2", "--high", "16", "--no-pin")
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench", "costs", *few, "--json", str(file)],
        cwd=REPO, env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-400:]
    found = load_known([file]).costs
    assert set(found.calls) >= set(ALL_CALLS)
    for call in found.calls.values():
        assert call.worker_us["low"].least <= call.worker_us["low"].median <= call.worker_us["low"].most
        assert call.bytes_in > 0 and call.bytes_out > 0 and call.per_second["high"].median > 0
    assert found.calls["poll"].opening_us == {"low": 0, "high": 0}  # a poll of somebody who waits asks no store
