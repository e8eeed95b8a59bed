"""Each line of the SLO file can be held and can be broken; a generator's second is not the server's."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from loadtests.audit.evidence import Check
from loadtests.audit.slo import SHIPPED_SLO, Slo, SloError, load_slo
from loadtests.cli.checks import problem_of
from loadtests.client.answers import Call
from loadtests.report.experience import out_of_order
from loadtests.report.junit import junit
from loadtests.report.objectives import in_words, judge
from loadtests.report.page import render
from loadtests.resident.facts import NEVER
from loadtests.run.options import Options
from tests.support.honest_opening import END_S, World
from tests.support.judged_opening import STRICT, concluded, lines, promise_turns, slow, world_with_slo


def promised(world: World) -> list[int]:
    return [i for i, wait_ms in enumerate(world.observations.promised_wait_ms) if wait_ms != NEVER]


def broken(world: World) -> set[str]:
    return {line.name for line in lines(world).values() if line.state == "broken"}


def test_every_line_of_an_honest_opening_is_held() -> None:
    found = lines(world_with_slo())
    assert {line.state for line in found.values()} == {"held"}
    assert found["p99 join"].figure == pytest.approx(5, rel=0.01)
    assert found["ETA error, median"].figure == pytest.approx(2, rel=0.01)
    assert found["recovery after a fault"].figure == 0
    assert all(not line.seconds for line in found.values() if line.name != "fairness")
    assert len(found) == len(STRICT.p99_ms) + 12


@pytest.mark.parametrize(
    ("either_way_ms", "late_ms", "red"),
    [(1000, 0, set()), (1000, 1500, {"interval, kept"}), (1000, -1500, {"interval, kept"}), (1800, 0, set()),
     (2000, 0, {"interval, median width"}), (3000, 1500, {"interval, median width"})],
)  # fmt: skip
def test_times_that_are_wrong_and_times_that_are_too_wide_are_each_a_line_of_their_own(
    either_way_ms: int, late_ms: int, red: set[str]
) -> None:
    """By hand: 15 % of 25 s are 3.75 s."""
    world = world_with_slo()
    promise_turns(world, either_way_ms, late_ms)
    assert broken(world) == red


def test_of_few_promises_nothing_is_said() -> None:
    world = world_with_slo()
    world.evidence.slo = load_slo(SHIPPED_SLO)
    found = lines(world)
    assert {found[name].state for name in ("interval, kept", "interval, median width")} == {"not measured"}


@pytest.mark.parametrize(
    ("mb_an_hour", "state", "figure"), [(0, "held", 0), (59, "held", 59), (61, "broken", 61), (-9, "held", -9)]
)
def test_memory_that_grows_is_seen_in_a_run_that_is_long_enough(mb_an_hour: float, state: str, figure: float) -> None:
    world = world_with_slo()
    e = world.evidence
    e.slo, e.fault, e.fault_second, e.end_second = load_slo(SHIPPED_SLO), None, None, 1200
    # a start that takes much, and a spike, are no growth
    e.seen.memory_mb["workers"] = {
        s: 200 + mb_an_hour * s / 3600 - 80 * (s < 100) + 500 * (s == 1000) for s in range(1200)
    }
    line = lines(world)["workers' memory, growth"]
    assert line.state == state
    assert line.figure == pytest.approx(figure, abs=1)
    e.end_second = 1199
    assert lines(world)["workers' memory, growth"].state == "not measured"
    e.end_second, e.fault = 1200, "kill-worker"
    assert lines(world)["workers' memory, growth"].state == "not measured"


def _wrong_answers(w: World) -> None:
    for _ in range(9):
        w.evidence.meters.error("JOIN: 500", 5_000_000)


def _late(w: World) -> None:
    for second in range(3, 5):
        w.evidence.meters.late(240_000, second * 1_000_000)


def _some_promises_wrong(w: World) -> None:
    for i in promised(w)[:4]:
        w.observations.promised_wait_ms[i] += 120_000


def _promises_wrong(w: World) -> None:
    for i in promised(w):
        w.observations.promised_wait_ms[i] -= 30_000


def _claims_backward(w: World) -> None:
    for i in range(w.observations.residents):
        if w.observations.claimed_ms[i] > 0:
            w.observations.claimed_ms[i] = 50_000 - w.observations.number[i] * 100


def _long_trouble(w: World) -> None:
    w.evidence.meters.error("JOIN: 503 store-unavailable", 45_000_000)


def _slow_recovery(w: World) -> None:
    slow(w, Call.POLL, 46)


def _never_recovers(w: World) -> None:
    for second in range(20, END_S):
        for call in (Call.JOIN, Call.POLL):
            w.evidence.meters.from_due[call].pop(second)


def _place_lost(w: World) -> None:
    del w.truth.places[w.first.key(w.first.who(12))]


def _no_truth(w: World) -> None:
    w.evidence.truth = None


@pytest.mark.parametrize(
    ("breaks", "names", "seconds"),
    [
        *((lambda w, call=call: slow(w, call, 7), {f"p99 {call.name.lower()}"}, [7]) for call in Call
          if STRICT.p99_us(call)),
        (_wrong_answers, {"errors"}, [5]),
        (_late, {"generator late, p99"}, [3, 4]),
        (_some_promises_wrong, {"ETA error, p90"}, None),
        (_promises_wrong, {"ETA error, median"}, None),
        (_long_trouble, {"recovery after a fault"}, [45]),
        (_slow_recovery, {"recovery after a fault"}, [46]),
        (_never_recovers, {"recovery after a fault"}, None),
        (_place_lost, {"audit, red"}, []),
    ],
)  # fmt: skip
def test_a_line_is_broken_by_itself_alone(
    breaks: Callable[[World], None], names: set[str], seconds: list[int] | None
) -> None:
    world = world_with_slo()
    breaks(world)
    # of other lines, only the audit's may follow
    assert broken(world) - {"audit, red"} == names - {"audit, red"}
    assert names <= broken(world)
    if seconds is not None:
        assert list(lines(world)[next(iter(names))].seconds) == seconds
    assert not concluded(world).passed


def test_what_could_not_be_judged_is_neither_held_nor_broken() -> None:
    world = world_with_slo()
    _no_truth(world)
    assert broken(world) == set()
    assert {name for name, line in lines(world).items() if line.state == "inconclusive"} == {"audit, not judged"}
    assert not concluded(world).passed


def test_claims_against_the_order_of_numbers_are_unfair() -> None:
    world = world_with_slo()
    _claims_backward(world)
    assert "fairness" in broken(world)
    assert lines(world)["fairness"].figure == 1.0  # exactly backward


def test_the_kendall_distance_is_that_of_a_count_by_hand() -> None:
    world = world_with_slo()
    first, second = (world.evidence.people(opening)[:4] for opening in world.evidence.openings)
    for i in range(world.observations.residents):
        world.observations.claimed_ms[i] = -(1 << 31)
    # 2 claims before 1, and 4 before 1 and 3: three pairs of six; the other opening's two are in order
    for people, claims in ((first, [(2, 1000), (4, 1500), (1, 2000), (3, 2500)]), (second, [(1, 1200), (2, 1300)])):
        for i, (number, claimed_ms) in zip(people, claims, strict=False):
            world.observations.number[i], world.observations.claimed_ms[i] = number, claimed_ms
    assert out_of_order(world.evidence) == {1: (0, 2), 2: (3, 5)}
    assert lines(world)["fairness"].figure == pytest.approx(3 / 7)


def test_what_was_not_there_is_not_measured_and_breaks_nothing() -> None:
    world = World()
    world.evidence.slo = STRICT
    world.evidence.meters.counts["requests"] |= {0: 50}
    found = lines(world)
    for name in ("p99 claim", "ETA error, p90", "recovery after a fault"):
        assert (found[name].state, found[name].figure) == ("not measured", None)
    assert concluded(world).passed


def test_the_warm_up_is_apart() -> None:
    world = world_with_slo()
    slow(world, Call.JOIN, -3)
    slow(world, Call.JOIN, 4)
    assert broken(world) == {"p99 join"}
    world.evidence.warm_up_seconds = 5
    found = lines(world)
    assert broken(world) == set()
    assert found["p99 join"].seconds == []
    summary = concluded(world)
    assert summary.latency_ms["join"]["p99"] < 10 < 2000 < summary.apart_ms["join"]["p99"]


def test_a_second_that_was_the_generators_is_marked_and_not_held_against_the_server() -> None:
    world = world_with_slo()
    slow(world, Call.JOIN, 7, times=50)
    world.evidence.meters.error("JOIN: 500", 7_100_000)
    world.evidence.meters.late(600_000, 7_500_000)
    world.evidence.seen.cpu["generator"] = {second: 99.0 if second == 12 else 40.0 for second in range(END_S)}
    assert list(world.evidence.marked) == [7, 11, 12]  # 12 was looked at once: the look spans the second before
    assert "late by" in world.evidence.marked[7]
    assert "CPU of the generator 99 %" in world.evidence.marked[12]
    found = lines(world)
    assert (found["p99 join"].state, found["p99 join"].seconds) == ("held", [])
    assert found["errors"].state == "held"
    assert found["audit, red"].detail == "no errors"  # a wrong answer stays one: the audit forgives no generator
    summary = concluded(world)
    page = render(world.evidence, summary)
    assert summary.plain()["marked"].keys() == {7, 11, 12}
    assert "The generator was the limit, or the CPU was taken by others, in seconds 7, 11-12 (shaded)" in page
    assert page.count('class="shade"') >= 3 * 8
    assert not summary.limited


def test_a_generator_that_stood_still_is_marked_for_as_long_as_it_did() -> None:
    world = world_with_slo()
    world.evidence.meters.late(2_500_000, 9_200_000)
    assert list(world.evidence.marked) == [7, 8, 9]


def test_a_run_in_which_the_generator_was_the_limit_proves_nothing() -> None:
    world = world_with_slo()
    for second in range(END_S):
        world.evidence.meters.late(900_000, second * 1_000_000)
    found = lines(world)
    assert found["p99 join"].state == "not measured"
    assert found["p99 join"].detail == "none in a second that could be judged"
    summary = concluded(world)
    assert summary.limited
    assert not summary.passed


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("p99_ms = [", "slo.toml: not TOML: "),
        ("[p99_ms]\njoins = 5", "slo.toml: p99_ms.joins: no such call; expected one of access_code, "),
        ("[p99_ms]\njoin = '1s'", "slo.toml: p99_ms.join: expected `float`, got `str`"),
        ("[p99_ms]\njoin = 0", "slo.toml: p99_ms.join: expected `float` > 0.0"),
        ("p99_ms = 5", "slo.toml: p99_ms: expected `object`, got `int`"),
        ("[errors]\nshare = 1.5", "slo.toml: errors.share: expected `float` <= 1.0"),
        ("[errors]", "slo.toml: errors.share: expected a value, got none"),
        ("[fairness]\nkendal = 0.1", "slo.toml: fairness.kendal: unknown key, expected one of kendall"),
        ("[audits]\nred = 0", "slo.toml: audits: unknown key, expected one of p99_ms, errors, "),
        ("[audit]\nred = -1", "slo.toml: audit.red: expected `int` >= 0"),
        ("[recovery]\nseconds = true", "slo.toml: recovery.seconds: expected `float`, got `bool`"),
    ],
)
def test_a_bad_file_is_said_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "slo.toml"
    path.write_text(text)
    with pytest.raises(SloError) as refused:
        load_slo(path)
    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)
    assert problem_of(Options(slo=str(path))) == f"--slo: {refused.value}"


def test_a_file_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SloError, match=r"nowhere\.toml: cannot be read: No such file"):
        load_slo(tmp_path / "nowhere.toml")
    (tmp_path / "slo.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SloError, match="expected UTF-8 text"):
        load_slo(tmp_path / "slo.toml")


def test_an_empty_file_judges_nothing(tmp_path: Path) -> None:
    (tmp_path / "slo.toml").write_text("")
    world = World()
    world.evidence.slo = load_slo(tmp_path / "slo.toml")
    assert world.evidence.slo == Slo()
    assert lines(world) == {}


def test_junit_has_a_testcase_for_every_line_and_check() -> None:
    world = world_with_slo()
    world.evidence.fault = world.evidence.fault_second = None
    world.evidence.truth = None
    slow(world, Call.JOIN, 7)
    world.evidence.meters.error("JOIN: <b>\x00</b>", 1)
    summary = concluded(world)
    root = ElementTree.fromstring(junit(summary))  # noqa: S314  (our own)
    slo, checks = root.findall("testsuite")
    cases = {case.get("name"): case for case in slo.findall("testcase")}
    assert cases.keys() == {line.name for line in summary.objectives}
    failure = cases["p99 join"].find("failure")
    assert failure is not None
    assert "limit 1000" in (failure.get("message") or "")
    assert "over the limit in second 7" in (failure.text or "")
    assert cases["recovery after a fault"].find("skipped") is not None
    assert cases["p99 poll"].find("failure") is None
    audited = {case.get("name"): case.find("failure") is not None for case in checks.findall("testcase")}
    assert audited == {check.name: check.ok is False for check in summary.checks}
    skipped = {case.get("name"): case.find("skipped") is not None for case in checks.findall("testcase")}
    assert skipped == {check.name: check.ok is None for check in summary.checks}
    assert sum(skipped.values()) > 5  # all that needs the store
    for suite in (slo, checks):
        assert int(suite.get("tests") or 0) == len(suite.findall("testcase"))
        assert int(suite.get("failures") or 0) == len(suite.findall("testcase/failure"))
    assert {"CPU", "residents", "slo"} <= {one.get("name") for one in slo.findall("properties/property")}


def test_seconds_in_words() -> None:
    assert in_words([]) == ""
    assert in_words([9, 3, 4, 5]) == "seconds 3-5, 9"
    assert in_words([9]) == "second 9"
    assert in_words([8, 9]) == "seconds 8-9"
    assert in_words(range(0, 60, 2)).endswith(", 22 and 18 more")


def test_the_audit_lines_name_the_checks() -> None:
    world = world_with_slo()
    checks = [Check("one", "", False, ""), Check("two", "", None, ""), Check("three", "", True, "")]
    found = {line.name: line for line in judge(world.evidence, checks)}
    assert (found["audit, red"].figure, found["audit, red"].detail) == (1, "one")
    assert (found["audit, not judged"].figure, found["audit, not judged"].detail) == (1, "two")
