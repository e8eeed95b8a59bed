"""Many partitions: small ones are held whole, and what they would have to find is found in what was told."""

import re
import subprocess
import sys

import pytest

from loadtests.faults.namespaces import problem
from loadtests.nemesis.judge import broken, most_alive
from loadtests.nemesis.papers import DRAW_SECONDS, MAX_ACTIVE, people
from loadtests.nemesis.seen import Seen, Told
from loadtests.nemesis.storm import Outcome
from tests.support.serving import REPO


@pytest.mark.long
def test_in_ten_small_storms_nothing_acknowledged_is_lost_and_the_night_sees_it_all() -> None:
    command = ["-m", "loadtests.nemesis", "--small", "--seeds", "10", "--node-timeout-ms", "700"]
    done = subprocess.run([sys.executable, *command], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    found = re.search(r"10 seeds, 10 faults, (\d+) registrations acknowledged: 0 seeds broke a promise", done.stdout)
    assert found is not None
    assert int(found[1]) > 80, done.stdout


@pytest.mark.long
def test_the_same_between_network_namespaces_where_there_is_root() -> None:
    if (why_not := problem()) is not None:
        pytest.skip(why_not)
    command = ["-m", "loadtests.nemesis", "--namespaces", "--small", "--seeds", "2", "--node-timeout-ms", "700"]
    done = subprocess.run([sys.executable, *command], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "2 seeds, 2 faults, 20 registrations acknowledged: 0 seeds broke a promise" in done.stdout


def told(*residents: Seen) -> list[str]:
    return list(broken(Outcome(seed=1, district=0, seen=list(residents))))


def placed(who: int, entry: int, number: int | None = None, no: str = "") -> Seen:
    seen = Seen(who, number=number, no=no)
    seen.placed(entry, fresh=True)
    return seen


def test_each_for_themselves_breaks_nothing() -> None:
    assert told(placed(1, 0, 5, "106190100000050"), placed(2, 1, 4, "106190100000040")) == []


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (placed(2, 0), "entry 0"),
        (placed(2, 1, 5), "number 5"),
        (placed(2, 1, 4, "106190100000050"), "registration 106190100000050"),
    ],
)
def test_what_two_were_told_is_theirs_is_found(other: Seen, what: str) -> None:
    assert told(placed(1, 0, 5, "106190100000050"), other) == [f"{what} was told to residents [1, 2]"]


def test_another_place_without_a_new_one_is_found() -> None:
    seen = placed(1, 3)
    seen.placed(3, fresh=False)
    assert told(seen) == []
    seen.placed(7, fresh=False)
    assert len(told(seen)) == 1


def test_more_passes_alive_at_once_than_there_may_be_are_found() -> None:
    def with_a_pass(who: int, came: float, used: float | None) -> Seen:
        return Seen(who, told=[Told("claim", came - 0.1, came, "201")], pass_until=came + 40, registering_since=used)

    one_after_another = [with_a_pass(i, i, i + 0.5) for i in range(3 * MAX_ACTIVE)]
    assert most_alive(one_after_another) == 1
    assert told(*one_after_another) == []
    unused = [with_a_pass(i, i, None) for i in range(MAX_ACTIVE + 1)]
    assert most_alive(unused) == MAX_ACTIVE + 1
    assert told(*unused) == [f"{MAX_ACTIVE + 1} passes were alive at once, of {MAX_ACTIVE}"]


def test_who_is_called_before_the_rate_allows_it_is_found() -> None:
    def called(*times: tuple[float, int]) -> list[str]:
        seen = [Seen(number, called=[(1000 + DRAW_SECONDS + seconds, number)]) for seconds, number in times]
        return list(broken(Outcome(seed=1, district=0, seen=seen, opened_at=1000)))

    assert called((0.2, 3), (1, 12), (3, 35)) == []
    assert called((0.2, 3), (1, 22), (3, 35)) == ["number 22 was called when 21 could be at most"]


def test_nobody_in_any_district_has_the_papers_of_another() -> None:
    numbers = [who.id_number for district in (0, 1, 89, 90) for who in people(district, 1600)]
    assert len(set(numbers)) == len(numbers)
