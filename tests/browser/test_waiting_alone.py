"""A page that waits by the public answer: what it asks a worker, what it works out itself, and what it finds odd."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import expect

from server.fairness.draw import commitment
from tests.support import SUPPORT
from tests.support.browser import Visits, picture
from tests.support.moved_clock import STEP_S
from tests.support.moved_morning import DAY, LOOK, POLL, Morning, drawn, entry_of, wait
from tests.support.public_wait import ahead_of, eta_s, look_after_s
from tests.support.serving import API, TIANHE, Up, quick_city, up
from tests.support.steps import adjust, come_in, demo, fill_papers

VECTORS = json.loads((SUPPORT / "draw_vectors.json").read_text(encoding="utf-8"))


# The draw in the browser


def test_the_browser_finds_the_numbers_of_the_contracts_vectors(morning: Up, visit: Visits) -> None:
    """Also where there is no crypto.subtle: it is written out."""
    page = visit(morning, recorded=False).open()
    found = page.evaluate(
        """async ({ seed, commitment, cases }) => {
            const { fits, numberOf } = await import("/wait.js");
            const of = (it, entries) => it.map(([entry]) => numberOf(seed, entries, Number(entry)));
            return {
                fits: [fits(seed, commitment), fits(seed.replace("0", "1"), commitment), fits("", commitment)],
                numbers: cases.map(([entries, its]) => of(its, entries)),
            };
        }""",
        {"seed": VECTORS["seed"], "commitment": VECTORS["commitment"], "cases": _cases()},
    )
    assert found["fits"] == [True, False, False]
    assert found["numbers"] == [[number for _, number in its] for _, its in _cases()]
    assert sum(len(numbers) for numbers in found["numbers"]) >= 48


def _cases() -> list[tuple[int, list[tuple[str, int]]]]:
    cases = []
    for case in VECTORS["cases"]:
        listed = {str(entry): number for entry, number in enumerate(case.get("number_of_entry", []))}
        cases.append((case["entries"], list((listed | case.get("some", {})).items())))
    return [*cases, (10, [("10", 11), ("99", 100)])]  # who came after the draw keeps their place


@pytest.mark.parametrize("given_up", [[], [[260, 30], [420, 80], [1000, 300]]])
@pytest.mark.parametrize(("rate", "pace", "free"), [(2.0, 2.0, 50), (2.0, 0.5, 40), (2.0, 0, 0), (0, 0, 10)])
def test_the_page_paces_itself_as_the_rules_say(
    morning: Up, visit: Visits, given_up: list[list[int]], rate: float, pace: float, free: int
) -> None:
    opening = {"serving": 100, "rate_per_second": rate, "wait": wait(pace=pace, free=free, given_up=given_up)}
    page = visit(morning, recorded=False).open()
    numbers = [101, 102, 150, 260, 261, 419, 420, 421, 700, 1000]
    found = page.evaluate(
        """async ([numbers, opening]) => {
            const { outlook } = await import("/wait.js");
            return numbers.map((it) => [0, 1].map((chance) => outlook(it, opening, chance)));
        }""",
        [numbers, opening],
    )
    for number, both in zip(numbers, found, strict=True):
        for chance, told in enumerate(both):
            assert told["after_s"] == pytest.approx(look_after_s(opening, number, chance)), number
            assert (told["ahead"], told["eta_seconds"]) == (
                pytest.approx(ahead_of(opening, number), abs=1),  # a half is rounded up here, to even there
                pytest.approx(eta_s(opening, number), abs=2) if pace else None,
            ), number


@pytest.fixture
def it(morning: Up, visit: Visits) -> Morning:
    """Somebody's browser, 30 seconds into the draw."""
    return Morning(visit(morning, recorded=False), morning)


def test_from_the_draw_to_the_call_a_worker_is_asked_once(it: Morning) -> None:
    entry = entry_of(it, 300)
    page = drawn(it, entry)
    it.go_by(it.DRAW_S - it.at_s)
    before = len(it.times(LOOK))
    # Entries look one after another when the draw is over, so many a second: by hand, entry / 100, and up to a second.
    due_s = it.DRAW_S + entry / 100
    it.go_by(due_s - it.at_s + 4)
    (first,) = it.times(LOOK)[before:]
    assert due_s - 1 <= first <= due_s + 1 + 0.7 + 1 + 2 * STEP_S  # the server's clock is told in whole seconds
    expect(page.locator("#number")).to_have_text("300")
    ahead = 299 - it.serving(first)
    expect(page.locator("#ahead")).to_have_text(str(ahead))
    expect(page.locator("#serving")).to_have_text(f"{it.serving(first)} 号")
    assert it.times(POLL) == []
    called_s = it.DRAW_S + 300 / it.RATE
    it.go_by(called_s - it.at_s - 2, 1)
    assert it.times(POLL) == []
    looks = it.times(LOOK)[before:]
    assert len(looks) <= 12, "each look uses up half of the wait at least"
    it.go_by(12)
    expect(page.locator("#ready")).to_be_visible()
    (poll,) = it.times(POLL)
    assert called_s <= poll <= called_s + 5 + 3  # the floor, and the page's clocks
    it.go_by(40, 1)
    assert len(it.times(POLL)) == 1, "somebody who is called knows until when"


def test_one_look_serves_a_family_and_two_tabs(it: Morning) -> None:
    page = drawn(it, entry_of(it, 700))
    it.entries.append(entry_of(it, 900))
    page.click("#queue .add")
    fill_papers(page, demo(1))
    page.click("#go")
    it.go_by(21, 1)
    expect(page.locator("#family li")).to_have_count(1)
    second = it.here.open()
    expect(second.locator("#family li").first).to_be_visible()
    it.go_by(it.DRAW_S + 12 - it.at_s, 1)
    start_s = it.at_s
    it.go_by(240, 2)
    looks, alone = it.times(LOOK, start_s), 0.0
    # By the rules the first, who is nearer, looks so often at the least; the other one adds nothing.
    at_s = start_s
    while at_s < start_s + 240:
        at_s += look_after_s({**it.public(), "serving": it.serving(at_s)}, 700, 0)
        alone += 1
    assert 1 <= len(looks) <= alone + 1
    assert it.times(POLL) == []
    for tab in (page, second):
        expect(tab.locator("body")).to_contain_text("700")
        expect(tab.locator("body")).to_contain_text("900")


def test_an_answer_out_of_a_cache_that_still_has_the_draw_is_looked_at_again(it: Morning) -> None:
    page = drawn(it, 300)
    it.age_s = 11
    it.go_by(it.DRAW_S + 10.5 - it.at_s)
    assert it.times(LOOK, it.DRAW_S), "it has looked, and the answer was of before the draw's end"
    expect(page.locator("#number")).to_have_text("")
    it.go_by(14)
    expect(page.locator("#number")).to_have_text(str(it.number(300)))
    assert it.times(POLL) == []


def test_a_called_resident_has_time_to_claim_though_answers_are_eleven_seconds_old(it: Morning) -> None:
    page = drawn(it, entry_of(it, 300))
    it.age_s = 11
    it.go_by(it.DRAW_S + 300 / it.RATE + 11 + 9 - it.at_s, 1)
    expect(page.locator("#ready")).to_be_visible()
    expect(page.locator("#ready-clock")).to_contain_text("04:")


@pytest.mark.parametrize("odd", ["the seed does not fit", "another commitment", "no such entry yet"])
def test_where_something_is_odd_a_worker_is_asked(it: Morning, odd: str) -> None:
    page = drawn(it, entry_of(it, 500))
    if odd == "the seed does not fit":
        it.seed = bytes(32)
    elif odd == "another commitment":
        it.seed, it.committed = bytes(32), commitment(bytes(32))
    else:
        it.changes = {"issued": 3}
    it.go_by(it.DRAW_S + 14 - it.at_s)
    expect(page.locator("#number")).to_have_text("500")  # the worker's word
    assert len(it.times(POLL)) == 1
    it.changes = {}
    looks = len(it.times(LOOK))
    it.go_by(130, 2)
    if odd == "no such entry yet":  # a cache may be older than the place: then the public answer is good again
        assert len(it.times(LOOK)) > looks
        assert len(it.times(POLL)) == 1
    else:
        assert len(it.times(POLL)) >= 2
    expect(page.locator("#number")).to_have_text("500")


def test_a_pause_and_the_operators_words_are_seen_in_the_public_answer(it: Morning) -> None:
    page = drawn(it, entry_of(it, 500))
    it.go_by(it.DRAW_S + 12 - it.at_s, 1)
    it.changes = {"state": "paused", "message": "停电检修", "wait": wait(pace=0)}
    it.go_by(150, 2)  # by the rules it looks after 0.6 of the 242 s that its wait is at least
    expect(page.locator("#queue .message")).to_contain_text("停电检修")
    expect(page.locator("#eta")).to_have_text("–")
    picture(page, "alone-paused")
    assert it.times(POLL) == []


def test_an_answer_that_does_not_come_is_asked_for_again_as_told(it: Morning) -> None:
    page = drawn(it, entry_of(it, 500))
    it.status = 503
    it.go_by(it.DRAW_S + 70 - it.at_s, 1)
    looks = it.times(LOOK, it.DRAW_S)
    assert len(looks) in (2, 3, 4)
    assert all(after - before >= 20 for before, after in pairwise(looks))
    expect(page.locator("#trouble")).to_contain_text("现在人很多")
    assert it.times(POLL) == [], "nobody turns to a worker instead"
    it.status = 200
    it.go_by(40, 1)
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.locator("#number")).to_have_text("500")


def test_when_the_window_closes_nobody_asks_a_worker_who_was_not_called(morning: Up, visit: Visits) -> None:
    close_s = 4 * 3600.0
    it = Morning(visit(morning, recorded=False), morning, close_s - 60)
    it.stays_at = 100
    page = drawn(it, entry_of(it, 990))
    it.go_by(close_s - 5 - it.at_s)
    expect(page.locator("#number")).to_have_text("990")
    it.go_by(4.5)
    before = len(it.times(LOOK))
    it.changes |= {"state": "ended", "wait": None}
    it.go_by(64, 2)  # not all at once
    expect(page.locator("#over")).to_contain_text("这一场没有轮到您")
    assert len(it.times(LOOK)) - before <= 2
    assert it.times(POLL) == []


# A real server


def test_a_real_opening_takes_one_poll_a_place(tmp_path: Path, visit: Visits) -> None:
    """What reaches a worker of a resident who joins in the draw, waits, is called and registers."""
    city = quick_city(tmp_path, draw_seconds=10, poll_floor_seconds=1)
    with up(tmp_path / "data", "--city", str(city), "--clock", f"{DAY}T07:59:58+08:00", "--workers", "1") as server:
        adjust(server, rate_per_second=0.1)
        here = visit(server)
        page = here.open(f"/#{TIANHE}")
        expect(page.locator("#go")).to_be_enabled()
        fill_papers(page, demo(0))
        page.click("#go")
        expect(page.locator("#number")).to_have_text("1")
        come_in(page)
        polls = [call for call in here.calls if call.path == f"{API}/ticket"]
        assert [call.data["state"] for call in polls] == ["ready"]
        assert len([call for call in here.calls if call.path == f"{API}/openings/{TIANHE}"]) >= 3


def test_the_turn_is_told_as_two_times_and_said_again_only_where_it_is_another(it: Morning) -> None:
    page = drawn(it, entry_of(it, 500))
    it.changes = {"wait": wait(turns=[[1, 0, 1], [1000, 900, 1200]])}
    it.go_by(it.DRAW_S + 20 - it.at_s, 1)
    # By hand, of number 500: between 450 and 600 s after an answer that was given 2 to 3 minutes after 08:00.
    expect(page.locator("#eta")).to_have_text(re.compile("^08:(09|10) 至 08:1[23] 之间$"))
    expect(page.locator("#polite")).to_contain_text("十次有九次")
    picture(page, "alone-turn")
    page.evaluate("document.getElementById('polite').textContent = ''")
    it.changes = {"wait": wait(turns=[[1, 0, 1], [1000, 800, 1100]]), "serving": 40}
    it.go_by(160, 2)
    expect(page.locator("#eta")).to_have_text(re.compile("之间$"))
    assert page.locator("#polite").inner_text() == "", "about as before"
    it.changes = {"wait": wait(turns=[[1, 0, 1], [1000, 3800, 4100]]), "serving": 40}
    it.go_by(160, 2)
    expect(page.locator("#polite")).to_contain_text("之间叫到您")
