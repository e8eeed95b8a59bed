"""A page that waits by the public answer: what it asks a worker, what it works out itself, and what it finds odd."""

import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from server.fairness.draw import Draw, commitment
from tests.support import SUPPORT
from tests.support.browser import Call, Visit, Visits, picture
from tests.support.public_wait import ahead_of, eta_s, look_after_s
from tests.support.serving import API, TIANHE, Up, quick_city, until, up
from tests.support.steps import adjust, come_in, demo, fill_papers, join

VECTORS = json.loads((SUPPORT / "draw_vectors.json").read_text(encoding="utf-8"))
SEED = bytes.fromhex(VECTORS["seed"])
DAY = "2021-06-19"
STEP_S = 0.5


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


def wait(**changes: Any) -> dict[str, Any]:
    """`wait` of a public answer."""
    look = {"floor_seconds": 5, "ceiling_seconds": 600, "share": 0.6, "stretch": 1.0, "per_second": 100}
    names = {"pace": "pace_per_second"}
    it = {"pace_per_second": 2.0, "free": 1000, "given_up": [], "hold_until": None, "claim_seconds": 300}
    return it | {"look": look} | {names.get(name, name): value for name, value in changes.items()}


# A server whose draw and calls a test moves


class Morning:
    """An opening of 08:00 with a draw of two minutes, as its public answer tells it; and what is asked, and when.

    Args:
        here: whose browser gets the answers and the clock; before its first page.
        server: serves the pages, and the answers that these are made of.
        at_s: seconds after 08:00 at first.
    """

    ENTRIES, DRAW_S, RATE = 1000, 120.0, 2.0

    def __init__(self, here: Visit, server: Up, at_s: float = 30.0) -> None:
        self.here, self.at_s = here, at_s
        self.start = datetime.fromisoformat(f"{DAY}T08:00:00+08:00")
        self.city = server.call("GET", f"{API}/city").json()
        self.opening: dict[str, Any] = server.call("GET", f"{API}/openings/{TIANHE}").json() | {
            "date": DAY,
            "window": 1,
        }
        self.seed, self.committed = SEED, commitment(SEED)
        self.changes: dict[str, Any] = {}  # of the public answer
        self.age_s = 0.0  # how old it is
        self.entries: list[int] = []  # of those who join, in order
        self.stays_at: int | None = None  # nobody is called beyond it
        self.status = 200
        self.asked: list[tuple[float, str]] = []
        here.context.clock.install(time=self.now() - timedelta(seconds=10))
        here.context.clock.pause_at(self.now())
        here.context.route("**/api/v1/**", self._answer)
        self.scripts: set[str] = set()
        here.context.on("requestfinished", lambda it: self.scripts.add(urlsplit(it.url).path))

    def now(self) -> datetime:
        """The time of day."""
        return self.start + timedelta(seconds=self.at_s)

    def go_by(self, seconds: float, step_s: float = STEP_S) -> None:
        """Let time pass; what is asked meanwhile is answered."""
        for _ in range(round(seconds / step_s)):
            self.at_s += step_s
            self.here.context.clock.run_for(round(step_s * 1000))
            until(self._is_idle, "the page is done asking")

    def _is_idle(self) -> bool:
        pages = self.here.context.pages
        idle = "navigator.locks.query().then(({ held, pending }) => held.length + pending.length === 0)"
        kept = "JSON.stringify(Object.entries(localStorage).sort())"
        return bool(pages[0].evaluate(idle)) and len({page.evaluate(kept) for page in pages}) == 1

    def number(self, entry: int) -> int:
        """Of an entry, by the contract's draw."""
        return Draw(SEED, self.ENTRIES).number(entry)

    def serving(self, at_s: float) -> int:
        """Calls begin when the draw is over."""
        if self.stays_at is not None:
            return self.stays_at
        return max(0, min(self.ENTRIES + 50, int((at_s - self.DRAW_S) * self.RATE)))

    def times(self, what: str, since_s: float = 0.0) -> list[float]:
        """When something was asked."""
        return [at_s for at_s, asked in self.asked if asked == what and at_s >= since_s]

    def public(self) -> dict[str, Any]:
        """The public answer, as old as it is."""
        at_s = self.at_s - self.age_s
        drawn = at_s >= self.DRAW_S
        draw: dict[str, Any] = {"seconds": int(self.DRAW_S), "commitment": self.committed}
        draw |= {"entries": self.ENTRIES if drawn else None, "seed": self.seed.hex() if drawn else None}
        # of the first version, as an opening that was prepared by the version before
        draw |= {"version": 1, "root": None, "root_at": None, "beacon": None, "key": None, "numbers_at": None}
        told: dict[str, Any] = {
            "now": (self.start + timedelta(seconds=int(at_s))).isoformat(),
            "state": "open" if drawn else "draw",
        }
        told |= {"opens_at": f"{DAY}T08:00:00+08:00", "closes_at": f"{DAY}T12:00:00+08:00", "issued": self.ENTRIES + 50}
        told |= {"serving": self.serving(at_s), "waiting": self.ENTRIES, "rate_per_second": self.RATE, "message": None}
        return self.opening | told | {"draw": draw, "wait": wait()} | self.changes

    def poll(self, ticket: str) -> dict[str, Any]:
        """What a worker says of a place."""
        entry = int(ticket.removeprefix("ticket-"))
        number, serving = self.number(entry) if entry < self.ENTRIES else entry + 1, self.serving(self.at_s)
        it: dict[str, Any] = {"state": "waiting", "number": number, "serving": serving, "ahead": number - serving - 1}
        it |= {"eta_seconds": 100, "poll_after_seconds": 60, "claim_before": None}
        if number <= serving:
            deadline = self.start + timedelta(seconds=int(self.DRAW_S + number / self.RATE) + 300)
            it |= {"state": "ready", "ahead": 0, "eta_seconds": 0, "claim_before": deadline.isoformat()}
            it["poll_after_seconds"] = 5
        return it

    def _answer(self, route: Route) -> None:
        method, path = route.request.method, urlsplit(route.request.url).path.removeprefix(API)
        ticket = route.request.headers.get("authorization", "").removeprefix("Bearer ")
        self.asked.append((self.at_s, f"{method} {path}"))
        status, data = 200, dict[str, Any]()
        if path == "/city":
            data = self.city | {"now": self.now().isoformat(), "draw_seconds": int(self.DRAW_S)}
        elif (method, path) == ("GET", f"/openings/{TIANHE}"):
            status, data = self.status, self.public()
        elif (method, path) == ("POST", f"/openings/{TIANHE}/tickets"):
            entry = self.entries.pop(0)
            status = 201
            data = {"ticket": f"ticket-{entry}", "entry": entry, "number": None, "serving": 0, "ahead": None}
            data |= {"eta_seconds": None, "poll_after_seconds": self.DRAW_S - self.at_s + 60, "state": "drawing"}
            if self.at_s >= self.DRAW_S:
                data |= {k: it for k, it in self.poll(f"ticket-{entry}").items() if k != "claim_before"}
        else:
            assert (method, path) == ("GET", "/ticket"), f"nothing else is asked: {method} {path}"
            data = self.poll(ticket)
        if status >= 500:
            problem = {
                "type": "/problems/store-unavailable",
                "title": "忙",
                "status": status,
                "code": "store-unavailable",
            }
            return route.fulfill(
                status=status, headers={"retry-after": "20"}, json=problem | {"detail": "现在人很多。"}
            )
        self.here.calls.append(Call(method, f"{API}{path}", status, json.dumps(data), "application/json"))
        return route.fulfill(status=status, json=data)


@pytest.fixture
def it(morning: Up, visit: Visits) -> Morning:
    """Somebody's browser, 30 seconds into the draw."""
    return Morning(visit(morning, recorded=False), morning)


def drawn(it: Morning, entry: int) -> Page:
    """Somebody who has joined in the draw, and sees their place."""
    it.entries.append(entry)
    page = it.here.open()
    join(page, demo(0))
    it.go_by(21, 1)  # the page spreads joins
    expect(page.locator("#queue")).to_be_visible()
    it.go_by(1)  # it asks for its rules when it looks at its clock, which stands still when nobody moves it
    until(lambda: page.evaluate("1") and "/wait.js" in it.scripts, "its rules are there")
    return page


def entry_of(it: Morning, number: int) -> int:
    """Who got a number in the draw."""
    return next(entry for entry in range(it.ENTRIES) if it.number(entry) == number)


LOOK, POLL = f"GET /openings/{TIANHE}", "GET /ticket"


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
