"""Many partitions: small ones are held whole, and what they would have to find is found in what was told."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self

import pytest

from loadtests.client.wire import Answer
from loadtests.faults.namespaces import problem
from loadtests.history.record import History, Kind
from loadtests.nemesis.judge import broken, most_alive
from loadtests.nemesis.papers import DRAW_SECONDS, MAX_ACTIVE, people
from loadtests.nemesis.recorded import Calls, unexplained
from loadtests.nemesis.seen import Seen, Told
from loadtests.nemesis.storm import Outcome
from tests.support.serving import REPO

AT_EIGHT = "2021-06-19T08:00:00+08:00"
NO = "106190100000000"
WISHES: dict[str, Any] = {"preferences": [{"site": "4410001", "period": "am"}], "accept_any_site": True}
NOTHING: Mapping[str, Any] = MappingProxyType({})
READY: dict[str, Any] = {"state": "ready", "serving": 1, "number": 1}
CANCELLED = {"state": "cancelled", "registration_no": NO}
PASS = {"pass": "p", "expires_at": "2021-06-19T08:02:00+08:00"}
STALE = "stale read after write"
SMALL = ("-m", "loadtests.nemesis", "--small", "--node-timeout-ms", "700")


def begun(*options: str, fault: str = "none") -> subprocess.Popen[str]:
    """Storms, with a broken server where BROKEN says so."""
    return subprocess.Popen(
        [sys.executable, *SMALL, *options], cwd=REPO, env=os.environ | {"BROKEN": fault}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.long
def test_in_ten_small_storms_nothing_acknowledged_is_lost_and_a_stale_answer_beside_them_is_seen() -> None:
    whole, planted = begun("--seeds", "10"), begun("--seeds", "1", "--server", "tests.broken", fault=STALE)
    (said, _), (of_planted, _) = whole.communicate(), planted.communicate()
    assert whole.returncode == 0, said[-3000:]
    found = re.search(r"10 seeds, 10 faults, (\d+) calls, (\d+) registrations acknowledged: 0 seeds broke", said)
    assert found is not None
    assert int(found[1]) > 600, said
    assert int(found[2]) > 80, said
    assert planted.returncode == 1, of_planted[-3000:]
    assert "1 seeds broke a promise (linearizable: 1)" in of_planted, of_planted[-3000:]


@pytest.mark.long
def test_the_same_between_network_namespaces_where_there_is_root() -> None:
    if (why_not := problem()) is not None:
        pytest.skip(why_not)
    storms = begun("--namespaces", "--seeds", "2")
    said, _ = storms.communicate()
    assert storms.returncode == 0, said[-3000:]
    assert re.search(r"2 seeds, 2 faults, \d+ calls, 20 registrations acknowledged: 0 seeds broke a promise", said)


def told(*residents: Seen) -> list[str]:
    return [found.what for found in broken(Outcome(seed=1, district=0, seen=list(residents)))]


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
        return Seen(who, told=[Told(Kind.CLAIM, came - 0.1, came, "201")], pass_until=came + 40, registering_since=used)

    one_after_another = [with_a_pass(i, i, i + 0.5) for i in range(3 * MAX_ACTIVE)]
    assert most_alive(one_after_another) == 1
    assert told(*one_after_another) == []
    unused = [with_a_pass(i, i, None) for i in range(MAX_ACTIVE + 1)]
    assert most_alive(unused) == MAX_ACTIVE + 1
    assert told(*unused) == [f"{MAX_ACTIVE + 1} passes were alive at once, of {MAX_ACTIVE}"]


def test_who_is_called_before_the_rate_allows_it_is_found() -> None:
    def called(*times: tuple[float, int]) -> list[str]:
        seen = [Seen(number, called=[(1000 + DRAW_SECONDS + seconds, number)]) for seconds, number in times]
        return [found.what for found in broken(Outcome(seed=1, district=0, seen=seen, opened_at=1000))]

    assert called((0.2, 3), (1, 12), (3, 35)) == []
    assert called((0.2, 3), (1, 22), (3, 35)) == ["number 22 was called when 21 could be at most"]


def test_nobody_in_any_district_has_the_papers_of_another() -> None:
    numbers = [who.id_number for district in (0, 1, 89, 90) for who in people(district, 1600)]
    assert len(set(numbers)) == len(numbers)


# Every call of a storm is written down, and explained


class Noted:
    """Calls of a storm, a second apart; city time begins with them."""

    def __init__(self) -> None:
        self.history = History()
        self._calls = Calls(self.history, lambda at: at.timestamp())
        self._now = datetime.fromisoformat(AT_EIGHT).timestamp()

    def note(
        self,
        kind: Kind,
        status: int,
        body: Mapping[str, Any] = MappingProxyType({}),
        who: int = 0,
        about: int | None = 0,
    ) -> Self:
        """A call and its answer; status 0: none came."""
        self._now += 1
        answer = Answer(status, b"", json.dumps(dict(body)).encode()) if status else None
        sent = f"POST / HTTP/1.1\r\n\r\n{json.dumps(WISHES)}".encode()
        self._calls.note(who, kind, about, self._now, self._now + 0.1, sent, answer)
        return self

    def joins(self, who: int, entry: int) -> Self:
        return self.note(Kind.JOIN, 201, {"state": "drawing", "serving": 0, "ticket": "t", "entry": entry}, who, None)

    def claims(self, status: int = 201) -> Self:
        self.note(Kind.POLL, 200, READY | {"claim_before": "2021-06-19T08:01:00+08:00"})
        return self.note(Kind.CLAIM, status, PASS)

    def registers(self) -> Self:
        return self.note(Kind.REGISTER, 201, {"state": "proposed", "registration_no": NO} | WISHES)

    def reads(self, state: str) -> Self:
        return self.note(Kind.READ, 200, {"state": state, "registration_no": NO} | WISHES)

    def red(self, *gaps: int) -> list[str]:
        """The checks that are."""
        return [check for check, _ in unexplained(self.history, 9, gaps)]


def test_a_life_in_order_is_explained() -> None:
    assert (
        Noted()
        .joins(0, 0)
        .claims()
        .note(Kind.POLL, 200, READY | {"state": "claimed"})
        .registers()
        .reads("proposed")
        .note(Kind.CANCEL, 200, CANCELLED)
        .reads("cancelled")
        .red()
        == []
    )


def test_what_was_not_answered_may_have_been_done_or_not() -> None:
    for state in ("proposed", "cancelled"):
        assert Noted().joins(0, 0).claims().registers().note(Kind.CANCEL, 0).reads(state).red() == []
    lost = Noted().joins(0, 0).claims(503)
    assert lost.note(Kind.CLAIM, 200, PASS).red() == []


def test_an_answer_of_before_a_write_is_found() -> None:
    assert Noted().joins(0, 0).claims().note(Kind.POLL, 200, READY).red() == ["linearizable"]
    gone = Noted().joins(0, 0).claims().registers().note(Kind.CANCEL, 200, CANCELLED)
    assert gone.reads("proposed").red() == ["linearizable"]


def test_an_entry_of_two_and_one_of_nobody_are_found_by_the_calls_together() -> None:
    assert Noted().joins(0, 0).joins(1, 0).red() == ["told in turn"]
    assert Noted().joins(0, 0).joins(1, 2).red() == ["told in turn"]
    assert Noted().joins(0, 0).joins(1, 2).red(1) == [], "the store has noted that it is nobody's"
    assert Noted().joins(0, 0).note(Kind.JOIN, 503, who=2, about=None).joins(1, 2).red() == [], "that one may have it"
