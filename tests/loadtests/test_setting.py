"""A run of several openings: everyone comes in their own window, and what does not fit is said before it begins."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from loadtests.client.answers import Requests
from loadtests.client.measure import Meters
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.crowd_file import load_profile
from loadtests.crowd.shares import CrowdShare
from loadtests.resident.acts import SECOND_US
from loadtests.resident.agenda import Agenda
from loadtests.resident.journey import Journey
from loadtests.resident.run_opening import RunOpening
from loadtests.run.clock import RunClock
from loadtests.run.options import CannotRehearse, Options
from loadtests.run.setting import Setting, address_of, curves_of, pace_of

FIRST = datetime(2021, 6, 19, tzinfo=UTC)
EARLY, LATE = "440106", "440105"
RESIDENTS = 3000


def opening(district: str, opens_s: int, closes_s: int, draw_s: float = 20) -> RunOpening:
    opens_at = FIRST + timedelta(seconds=opens_s)
    return RunOpening(
        district, "2021-06-19", opens_at, opens_s * SECOND_US, draw_s, "", (f"{district}001",), closes_s * SECOND_US
    )


GROUNDS = (opening(EARLY, 0, 240), opening(LATE, 240, 7200))


def options(**changes: object) -> Options:
    return msgspec.structs.replace(Options(minutes=8.0, crowd="handover", districts=(EARLY, LATE)), **changes)


def crowd() -> Crowd:
    return Crowd(RESIDENTS, (EARLY, LATE), date(2021, 6, 19), 3, load_profile("handover"))


def arrivals(given: Options, share: CrowdShare = CrowdShare()) -> dict[int, tuple[str, float]]:  # noqa: B008
    """Resident -> (district, second of the run in which they first ask for a place)."""
    people = crowd()
    curves = curves_of(given, people, GROUNDS)
    pace = pace_of(given, people, Setting("http://127.0.0.1:1", GROUNDS, 0.0, RunClock(0)))
    agenda = Agenda()
    journey = Journey(people, GROUNDS, curves, pace, Requests("test:80"), agenda, Meters(), share)
    journey.everyone_arrives(-3600 * SECOND_US + 10**6)
    first: dict[int, tuple[str, float]] = {}
    while (event := agenda.take(10**10)) is not None:
        due_us, i, act = event
        if act == 2:  # JOIN
            first.setdefault(i, (journey.opening(i).district, due_us / SECOND_US))
    return first


def test_everyone_comes_in_their_own_window() -> None:
    found = arrivals(options())
    assert found.keys() == set(range(RESIDENTS))
    seconds = {code: sorted(s for district, s in found.values() if district == code) for code in (EARLY, LATE)}
    # the crowd's file: who presses early does so eight seconds before the opening at most
    assert -8 <= seconds[EARLY][0] < 0
    assert 230 < seconds[EARLY][-1] <= 240
    assert 232 <= seconds[LATE][0] < 240
    assert 460 < seconds[LATE][-1] <= 480  # the run ends before the window does


def test_the_end_of_a_window_may_be_left_to_those_who_wait() -> None:
    seconds = [s for district, s in arrivals(options(come_for=0.5)).values() if district == EARLY]
    assert 110 < max(seconds) <= 120


def test_two_shares_are_the_whole_crowd_at_the_same_moments() -> None:
    whole = arrivals(options())
    parts = [arrivals(options(), CrowdShare(index, 2)) for index in (0, 1)]
    assert not parts[0].keys() & parts[1].keys()
    assert parts[0] | parts[1] == whole


def test_a_run_that_ends_before_a_draw_is_refused() -> None:
    with pytest.raises(CannotRehearse, match=r"--minutes 4: the draw of 440105 ends after 260 s, .* at least 5\.3"):
        curves_of(options(minutes=4.0), crowd(), GROUNDS)


def test_short_windows_are_lived_faster() -> None:
    slow = pace_of(options(), crowd(), Setting("", (opening(EARLY, 0, 7200),), 0.0, RunClock(0)))
    fast = pace_of(options(), crowd(), Setting("", GROUNDS, 0.0, RunClock(0)))
    assert fast.haste == pytest.approx(0.4)  # four minutes of ten
    assert slow.haste == pytest.approx(0.8)  # eight


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "https://", "http://127.0.0.1:port", "http://a/b"]
)
def test_an_address_that_is_none(host: str) -> None:
    with pytest.raises(CannotRehearse, match="expected http://HOST:PORT or https://HOST:PORT"):
        address_of(host)
