"""How the resident's page behaves towards the server, small screens, full devices and a family in line."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from server.web.assets import PAGES
from tests.support.browser import Call, Visit, Visits, look
from tests.support.moved_clock import STEP_S, MovedClock
from tests.support.serving import API, BAIYUN, TIANHE, Up, until
from tests.support.steps import FILL, agree, come_in, demo, fill_papers, join, number_of, register, sideways

REQUESTS_TO_SEE_THE_LIST = 3
FIRST_VISIT_BYTES = 60 * 1024
WORDS = "/words/zh-Hans.json"
MODULES = {f"/{name}.js" for name in ("app", "find", "opening", "papers", "queue", "receipt", "register")}

# The first visit


def test_a_first_visit_is_three_requests_and_60_kilobytes_from_one_host(morning: Up, visit: Visits) -> None:
    slow = visit(morning, recorded=False)
    let_through: list[str] = []

    def three(route: Route) -> None:  # the others are neither answered nor refused
        if len(let_through) < REQUESTS_TO_SEE_THE_LIST:
            let_through.append(route.request.url)
            route.continue_()

    slow.context.route("**/*", three)
    page = slow.open()
    expect(page.locator("#districts a")).to_have_count(11)
    look(page, "manners-first-visit")

    page = visit(morning, recorded=False).context.new_page()
    asked: dict[str, str] = {}
    bytes_of: dict[str, int] = {}
    network = page.context.new_cdp_session(page)
    network.on("Network.requestWillBeSent", lambda it: asked.update({it["requestId"]: it["request"]["url"]}))
    network.on("Network.loadingFinished", lambda it: bytes_of.update({it["requestId"]: it["encodedDataLength"]}))
    network.send("Network.enable")
    page.goto(morning.url)
    fetched = "performance.getEntriesByType('resource').some((it) => it.name.endsWith('/find.js'))"
    until(lambda: page.evaluate(fetched), "the rest is fetched")
    page.wait_for_load_state("networkidle")
    ours = {number: url for number, url in asked.items() if not url.startswith(("data:", "blob:"))}
    assert {urlsplit(url).netloc for url in ours.values()} == {urlsplit(morning.url).netloc}
    assert {urlsplit(url).path for url in ours.values()} == {"/", f"{API}/city", WORDS, *MODULES}
    assert len(ours) == 3 + len(MODULES), "nothing twice"
    assert set(ours) <= set(bytes_of)
    assert 10_000 < sum(bytes_of[number] for number in ours) <= FIRST_VISIT_BYTES


# Asking as told


class Line(MovedClock):
    """A line that moves as a test wants it, at a time that a test moves: stands in for the server's answers on places.

    Args:
        here: whose browser gets the answers and the clock; before its first page.
        server: serves the pages, and the answers that these are made of.
    """

    def __init__(self, here: Visit, server: Up) -> None:
        super().__init__(here, datetime.fromisoformat("2021-06-19T08:30:00+08:00"))
        self.city = server.call("GET", f"{API}/city").json()
        self.opening = server.call("GET", f"{API}/openings/{TIANHE}").json() | {"state": "open", "rate_per_second": 1.0}
        del self.opening["wait"]  # as a server of before: what becomes of a place only a worker tells
        self.places: dict[str, dict[str, Any]] = {}
        self.joins = 0
        self.polls: list[tuple[float, str]] = []
        self.looks: list[float] = []
        self.busy_s = 0
        self.refusal: tuple[int, dict[str, str], str] | None = None  # instead of any answer on a place
        here.context.route("**/api/v1/**", self._answer)

    def waiting(self, ticket: str, ahead: int = 900, eta_seconds: int = 900, **changes: Any) -> None:
        """What is answered about a place from now on."""
        place = {"state": "waiting", "number": 1000, "serving": 1000 - ahead, "ahead": ahead}
        more = {"eta_seconds": eta_seconds, "poll_after_seconds": 10, "claim_before": None}
        self.places[ticket] = place | more | changes

    def call(self, ticket: str) -> None:
        """Its turn has come."""
        until_then = (self.now() + timedelta(minutes=5)).isoformat()
        self.waiting(ticket, 0, 0, state="ready", claim_before=until_then)

    def look(self, page: Page, name: str) -> None:
        """See `look`; the time runs by itself from here on, as axe wants timers."""
        self.here.context.clock.resume()
        look(page, name)

    def asked(self, ticket: str) -> list[float]:
        """When a place was asked about, in seconds from the start."""
        return [at_s for at_s, of in self.polls if of == ticket]

    def _answer(self, route: Route) -> None:
        method, path = route.request.method, urlsplit(route.request.url).path
        ticket = route.request.headers.get("authorization", "").removeprefix("Bearer ")
        status, headers = 200, dict[str, str]()
        data: dict[str, Any] = {"now": self.now().isoformat()}
        if path == f"{API}/city":
            data = self.city | data
        elif path == f"{API}/openings/{TIANHE}":
            self.looks.append(self.at_s)
            data = self.opening | data
        elif (method, path) == ("POST", f"{API}/openings/{TIANHE}/tickets"):
            ticket = f"ticket-{self.joins}"
            self.joins += 1
            place = {name: it for name, it in self.places[ticket].items() if name != "claim_before"}
            status, data = 201, place | {"ticket": ticket, "entry": self.joins}
        else:
            assert (method, path) == ("GET", f"{API}/ticket"), "nothing else is asked"
            self.polls.append((self.at_s, ticket))
            data = self.places[ticket]
            if self.busy_s:
                status, headers = 503, {"retry-after": str(self.busy_s)}
                data = {"code": "overloaded", "status": 503, "title": "忙", "detail": "现在人很多。"}
                data["type"] = "/problems/overloaded"
            if self.refusal:
                status, headers, body = self.refusal
                return route.fulfill(status=status, headers=headers, body=body)
        route.fulfill(status=status, headers=headers, json=data)
        text, kind = "", "application/json"
        if status < 300:  # what is made up here is what the schema says
            text = json.dumps(data | ({"wait": None} if "draw" in data else {}))
            self.here.calls.append(Call(method, path, status, text, kind))
        return None


@pytest.fixture
def line(morning: Up, visit: Visits) -> Line:
    """Somebody's browser, and a line for it."""
    return Line(visit(morning, recorded=False), morning)


def gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def hide(page: Page, hidden: bool) -> None:
    """As when the phone goes into a pocket, and out of it."""
    page.evaluate(
        """(hidden) => {
            const is = (name, value) => Object.defineProperty(document, name, { configurable: true, get: () => value });
            is("hidden", hidden);
            is("visibilityState", hidden ? "hidden" : "visible");
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def in_line(line: Line, **place: Any) -> Page:
    """Somebody with a place."""
    line.waiting("ticket-0", **place)
    page = line.here.open()
    join(page, demo(0))
    expect(page.locator("#queue")).to_be_visible()
    return page


SLACK_S = 0.7 + STEP_S  # tabs keep out of step by up to 0.7 s, and look every half second


def test_it_asks_as_told_never_sooner_and_not_twice_with_two_tabs(line: Line) -> None:
    page = in_line(line)
    line.go_by(45)
    alone = line.asked("ticket-0")
    assert len(alone) in (3, 4)  # the page looks at its clock once a second, so a gap may be one longer
    assert all(10 <= gap <= 10 + SLACK_S for gap in gaps([0.0, *alone])), alone
    line.waiting("ticket-0", ahead=450, poll_after_seconds=20)  # told otherwise
    second = line.here.open()
    expect(second.locator("#queue")).to_be_visible()
    second.reload()  # reloading is no way of asking
    expect(second.locator("#queue")).to_be_visible()
    line.go_by(90)
    both = line.asked("ticket-0")[len(alone) - 1 :]
    assert len(both) in (5, 6, 7)
    assert all(20 <= gap <= 20 + SLACK_S for gap in gaps(both)[1:]), both
    for tab in (page, second):
        expect(tab.locator("#ahead")).to_have_text("450")
    # To join, with each time a page is opened, and by one tab with each answer that brings nothing new.
    assert len(line.looks) <= 4 + len(line.polls), "nor is the opening asked about in between"


def test_a_busy_server_is_given_the_time_it_asks_for(line: Line) -> None:
    page = in_line(line)
    line.busy_s = 30
    line.go_by(12)
    expect(page.locator("#trouble")).to_contain_text("现在人很多")
    line.go_by(100)
    told = line.asked("ticket-0")
    assert len(told) >= 3
    assert all(30 <= gap <= 45 + SLACK_S for gap in gaps(told)), told  # and up to half as much again, not in step
    line.busy_s = 0
    line.go_by(60)
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.locator("#ahead")).to_have_text("900")
    line.busy_s = 30
    line.go_by(12)
    line.look(page, "manners-busy")


HTML = "<html><body>busy</body></html>"  # as of a proxy in between
SAYS_30_S = {
    "in seconds, in somebody's HTML": ({"retry-after": "30", "content-type": "text/html"}, 30),
    "as a date": ({"retry-after": "Sat, 19 Jun 2021 00:40:30 GMT", "date": "Sat, 19 Jun 2021 00:40:00 GMT"}, 30),
    "not at all": ({"retry-after": "soon"}, 2),
}


@pytest.mark.parametrize("way", SAYS_30_S)
def test_however_a_busy_server_says_it_it_is_given_time(line: Line, way: str) -> None:
    headers, least_s = SAYS_30_S[way]
    page = in_line(line)
    line.refusal = (503, headers, HTML)
    line.go_by(60, step_s=1)
    expect(page.locator("#trouble")).to_contain_text("现在人很多")
    told = line.asked("ticket-0")
    assert len(told) >= 2
    assert all(gap >= least_s for gap in gaps(told)), told


def test_somebody_elses_refusal_does_not_end_a_place(line: Line) -> None:
    page = in_line(line)
    line.refusal = (403, {"content-type": "text/html"}, HTML)
    line.go_by(15)
    assert len(line.asked("ticket-0")) >= 1
    expect(page.locator("#queue")).to_be_visible()
    expect(page.locator("#trouble")).to_contain_text("位置会保留")


def test_a_clock_set_back_while_waiting_does_not_hold_up_the_next_try(line: Line) -> None:
    page = in_line(line)
    asked: list[float] = []

    def busy(route: Route) -> None:
        asked.append(line.at_s)
        route.fulfill(status=503, headers={"retry-after": "5"}, body=HTML)

    line.here.context.route(f"**/openings/{TIANHE}", busy)
    page.click("#queue .add")
    until(lambda: page.evaluate("1") and asked, "it is asked")
    line.here.context.clock.set_system_time(line.now() - timedelta(hours=3))
    line.go_by(10)
    assert len(asked) >= 2
    assert gaps(asked)[0] >= 5


def test_a_slow_network_gets_more_time_with_every_try(line: Line) -> None:
    page = line.here.open()
    expect(page.locator("#districts a").first).to_be_visible()
    asked: list[float] = []
    line.here.context.route(f"**/openings/{TIANHE}", lambda _: asked.append(line.at_s))  # never answered
    page.click(f"#districts a[href='#{TIANHE}']")
    until(lambda: page.evaluate("1") and asked, "it is asked")
    line.go_by(120, step_s=1)
    first, second = gaps(asked)[:2]
    assert 20 + 2 <= first <= 20 + 3 + 2
    assert 40 + 4 <= second <= 40 + 6 + 2


def test_a_hidden_page_far_from_its_turn_asks_nothing_until_it_is_near(line: Line) -> None:
    page = in_line(line, ahead=3600, eta_seconds=3600)
    line.go_by(12)
    (first,) = line.asked("ticket-0")
    hide(page, True)
    line.go_by(20 * 60, step_s=30)
    assert line.asked("ticket-0") == [first]
    line.waiting("ticket-0", ahead=2400, eta_seconds=2400)
    hide(page, False)  # and looks again at once
    line.go_by(2)
    assert len(line.asked("ticket-0")) == 2
    expect(page.locator("#ahead")).to_have_text("2,400")
    hide(page, True)
    line.go_by(2400 - 300 - 30, step_s=30)
    assert len(line.asked("ticket-0")) == 2
    line.waiting("ticket-0", ahead=200, eta_seconds=200)  # near: asks as told, hidden or not
    line.go_by(90)
    assert len(line.asked("ticket-0")) >= 5
    assert min(gaps(line.asked("ticket-0"))) >= 10
    line.call("ticket-0")
    line.go_by(12)
    assert page.title().startswith("叫到您了")
    expect(page.locator("#ready")).to_be_visible()


def test_a_called_relative_is_announced_while_another_place_is_open(line: Line) -> None:
    page = in_line(line)
    line.waiting("ticket-1", ahead=2, eta_seconds=15)
    page.click("#queue .add")
    fill_papers(page, demo(1))
    page.click("#go")
    expect(page.locator("#queue .whose")).to_contain_text("李*")
    expect(page.locator("#family li")).to_have_count(1)
    page.locator("#family a").click()  # back to the first
    expect(page.locator("#queue .whose")).to_contain_text("王*")
    line.call("ticket-1")
    line.go_by(12)
    assert page.title().startswith("叫到 李* 了")
    expect(page.locator("#polite")).to_contain_text("叫到 李* 了")
    assert page.locator("#polite").get_attribute("role") == "status"
    expect(page.locator("#queue")).to_be_visible()  # nobody is taken away from what they read
    expect(page.locator("#calls a")).to_contain_text("李*")
    line.look(page, "manners-relative-1-called")
    page.locator("#calls a").click()
    expect(page.locator("#ready-title")).to_contain_text("李*")
    expect(page.locator("#ready-clock")).to_contain_text("04:")
    look(page, "manners-relative-2-their-turn")


# A device that slept, or whose clock was set


@pytest.mark.parametrize(("slept", "shows"), [(True, "03:"), (False, "04:")])
def test_after_a_sleep_the_servers_clock_is_right_again(line: Line, slept: bool, shows: str) -> None:
    page = in_line(line)
    line.call("ticket-0")
    line.go_by(12)
    expect(page.locator("#ready-clock")).to_contain_text("04:")
    line.here.context.clock.set_system_time(line.now() + timedelta(seconds=90))
    line.at_s += 90 if slept else 0  # else somebody has set the clock
    line.go_by(5)
    expect(page.locator("#ready-clock")).to_contain_text(shows)


def test_a_clock_set_to_tomorrow_takes_no_place_away(line: Line) -> None:
    page = in_line(line)
    line.here.context.clock.set_system_time(line.now() + timedelta(days=1))
    line.go_by(15)
    expect(page.locator("#queue")).to_be_visible()
    assert "jiaohao:place:" in page.evaluate("Object.keys(localStorage).join()")


def test_after_a_sleep_the_opening_is_looked_at(line: Line) -> None:
    page = line.here.open(f"/#{TIANHE}")
    expect(page.locator("#opening")).to_be_visible()
    line.go_by(10)
    assert len(line.looks) == 1
    line.here.context.clock.set_system_time(line.now() + timedelta(seconds=600))
    line.at_s += 600
    for _ in range(40):  # within three seconds of its clock, and when the browser gets round to asking
        if page.evaluate("1") and len(line.looks) == 1:
            line.go_by(0.5)
    until(lambda: page.evaluate("1") and len(line.looks) > 1, "it has looked again")
    assert len(line.looks) == 2


def test_time_that_runs_out_is_told_at_two_minutes_and_at_thirty_seconds_once_each(line: Line) -> None:
    page = in_line(line)
    line.call("ticket-0")
    line.go_by(12)

    def told() -> str:
        text = page.locator("#polite").inner_text()
        page.evaluate("document.getElementById('polite').textContent = ''")
        return text

    assert "还剩" not in told()
    line.go_by(170, step_s=10)
    assert "还剩 约 2 分钟" in told()
    line.go_by(60, step_s=10)
    assert told() == ""
    line.go_by(31, step_s=1)
    assert "还剩 30 秒" in told()
    line.go_by(10, step_s=1)
    assert told() == ""


# Nothing is done to the wrong person, nothing is lost


def registration(no: str, state: str, **changes: Any) -> dict[str, Any]:
    """What the server says of a registration."""
    appointment = {"site": "S1", "date": "2021-06-21", "period": "am"}
    hours = {"starts_at": "2021-06-21T08:00:00+08:00", "ends_at": "2021-06-21T12:00:00+08:00"}
    it: dict[str, Any] = {
        "registration_no": no,
        "state": state,
        "district": BAIYUN,
        "registered_at": "2021-06-19T08:10:00+08:00",
    }
    it |= {"priority": {"first_dose_date": "2021-05-20", "product": "inactivated"}, "preferences": []}
    it |= {"accept_any_site": True, "not_before": None, "cancel_before": None, "history": [], "no_shows": 0}
    return it | {"appointment": appointment | hours} | changes


def holding(here: Visit, **registrations: dict[str, Any]) -> list[str]:
    """Somebody who has these receipts, by the name on each; the list fills with the numbers that are cancelled."""
    texts = {}
    for since, (name, it) in enumerate(registrations.items()):
        receipt = {"no": it["registration_no"], "label": name, "token": "receipt", "district": BAIYUN, "since": since}
        texts[f"jiaohao:receipt:{receipt['no']}"] = json.dumps(receipt | {"state": it["state"]})
    here.context.add_init_script(f"if (origin !== 'null') Object.assign(localStorage, {json.dumps(texts)})")
    by_no = {it["registration_no"]: it for it in registrations.values()}
    cancelled: list[str] = []

    def answer(route: Route) -> None:
        _, _, no, *what = urlsplit(route.request.url).path.removeprefix(API).split("/")
        if what == ["cancellation"]:
            cancelled.append(no)
        route.fulfill(json=by_no[no] | ({"state": "cancelled"} if no in cancelled else {}))

    here.context.route("**/api/v1/registrations/**", answer)
    return cancelled


def test_back_under_a_question_takes_the_question_away(morning: Up, visit: Visits) -> None:
    here = visit(morning, recorded=False)
    mine, hers = "210619000000011", "210619000000022"
    cancelled = holding(here, 王=registration(mine, "proposed"), 李=registration(hers, "proposed"))
    page = here.open(f"/#receipt={mine}")
    expect(page.locator("#cancel")).to_be_visible()
    page.evaluate("no => { location.hash = `receipt=${no}` }", hers)
    expect(page.locator("#receipt .whose")).to_contain_text("李")
    for button in ("#cancel", "#forget"):
        expect(page.locator(button)).to_be_visible()
        page.click(button)
        expect(page.locator("#ask")).to_contain_text("李")
        expect(page.locator("#ask")).to_contain_text("21061 90000 00022")
        page.evaluate("history.back()")
        expect(page.locator("#receipt .whose")).to_contain_text("王")
        expect(page.locator("#ask")).to_be_hidden()
        page.evaluate("history.forward()")
        expect(page.locator("#receipt .whose")).to_contain_text("李")
    assert cancelled == []
    page.click("#cancel")
    agree(page)
    expect(page.locator("#receipt-title")).to_contain_text("已取消")
    assert cancelled == [hers]


def test_giving_up_a_place_names_it_and_back_takes_the_question_away(line: Line) -> None:
    page = in_line(line)
    page.click("#queue .add")
    expect(page.locator("#opening")).to_be_visible()
    page.locator("#family a").click()
    page.click("#queue .leave")
    expect(page.locator("#ask")).to_contain_text("王*")
    expect(page.locator("#ask")).to_contain_text("1,000 号")
    page.evaluate("history.back()")
    expect(page.locator("#opening")).to_be_visible()
    expect(page.locator("#ask")).to_be_hidden()


def test_a_date_that_does_not_stand_is_not_shown(morning: Up, visit: Visits) -> None:
    here = visit(morning, recorded=False)
    gone, barred, stands = "210619000000033", "210619000000044", "210619000000055"
    holding(
        here,
        王=registration(gone, "cancelled"),
        李=registration(barred, "noshow", barred=True, no_shows=3),
        张=registration(stands, "booked", cancel_before="2021-06-20T20:00:00+08:00"),
    )
    page = here.open(f"/#receipt={stands}")
    expect(page.locator("#appointment")).to_contain_text("6月21日")
    page.goto(f"{morning.url}/#receipt={gone}")
    expect(page.locator("#facts")).to_contain_text("已取消")
    expect(page.locator("#appointment")).to_be_hidden()
    page.goto(f"{morning.url}/#receipt={barred}")
    expect(page.locator("#receipt-next")).to_contain_text("本渠道已停用，请联系接种点工作人员")
    expect(page.locator("#appointment")).to_be_hidden()
    expect(page.locator("#another")).to_have_attribute("href", "#home")
    look(page, "manners-barred")
    page.click("#another")
    expect(page.locator("#family li").nth(2)).to_contain_text("6月21日")
    assert page.locator("#family").inner_text().count("6月21日") == 1


def test_yesterdays_number_is_over_whatever_the_browsers_dates_look_like(morning: Up, visit: Visits) -> None:
    here = visit(morning, recorded=False)
    key = f"{TIANHE}:2021-06-18:899"
    place = {"key": key, "label": "王*", "district": TIANHE, "date": "2021-06-18", "since": 1, "ticket": "x"}
    place |= {"state": "waiting", "number": 900, "ahead": 898, "serving": 1, "eta_seconds": 900, "due": 1, "wait_ms": 1}
    here.context.add_init_script(
        """const of = Date.prototype.toLocaleDateString;  // as newer browsers have it
        Date.prototype.toLocaleDateString = function (locale, options) {
            return of.call(this, locale === "en-CA" ? "en-US" : locale, options);
        };"""
    )
    page = here.open()
    expect(page.locator("#districts a").first).to_be_visible()
    page.evaluate("([key, text]) => { localStorage[`jiaohao:place:${key}`] = text }", [key, json.dumps(place)])
    for _ in range(2):  # also where it is forgotten already
        page.goto(f"{morning.url}/#place={key}")
        expect(page.locator("#over")).to_contain_text("6月18日")
        assert "900" not in page.locator("main").inner_text()
        page.click("#over a[href='#home']")
        expect(page.locator("#list")).to_be_visible()
        assert "place" not in page.evaluate("Object.keys(localStorage).join()")
    join(page, demo(4, BAIYUN), BAIYUN)  # and today's is today's
    expect(page.locator("#ready")).to_be_visible()


def test_a_place_given_to_somebody_who_went_back_is_kept(morning: Up, visit: Visits) -> None:
    here = visit(morning, recorded=False)
    held: list[Route] = []
    here.context.route("**/tickets", lambda route: held.append(route))
    page = here.open()
    join(page, demo(5, BAIYUN), BAIYUN)
    until(lambda: page.evaluate("1") and held, "the join is on its way")
    expect(page.locator("#stop")).to_be_hidden()
    page.evaluate("location.hash = 'home'")
    expect(page.locator("#list")).to_be_visible()
    held[0].continue_()
    expect(page.locator("#calls a")).to_be_visible()  # asked about, and called
    expect(page.locator("#list")).to_be_visible()


def test_a_called_relative_is_heard_of_though_a_script_did_not_come_at_first(line: Line) -> None:
    page = in_line(line)
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        return route.abort() if len(lost) <= 2 else route.continue_()

    line.here.context.route("**/queue.js*", lose)
    page.goto(f"{line.here.url}/#home")
    page.reload()
    expect(page.locator("#list")).to_be_visible()
    line.call("ticket-0")
    line.go_by(30)
    assert len(lost) >= 3
    expect(page.locator("#calls a")).to_be_visible()


def test_a_code_can_be_entered_whatever_became_of_the_answers(morning: Up, visit: Visits) -> None:
    here = visit(morning, recorded=False)
    here.context.clock.install()
    keys: list[str] = []
    who = demo(6, BAIYUN)
    no = "210619000000066"

    def too_many(route: Route) -> None:
        problem = {"code": "too-many-requests", "status": 429, "title": "太频繁", "detail": "请稍后再发。"}
        route.fulfill(status=429, headers={"retry-after": "60"}, json=problem)

    def tokens(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key", ""))
        if "111111" in (route.request.post_data or ""):
            problem = {"code": "invalid", "status": 422, "title": "", "detail": ""}
            return route.fulfill(status=422, json=problem | {"errors": [{"field": "code", "message": "不对"}]})
        if len(keys) < 3:
            return route.abort()  # the server has heard it
        more = {"receipt": "token", "receipt_qr_svg_url": ""}
        return route.fulfill(status=201, json=registration(no, "proposed") | more)

    here.context.route("**/access-codes", too_many)
    here.context.route("**/access-tokens", tokens)
    page = here.open("/#find")
    expect(page.locator("#have-code")).to_be_visible()
    page.click("#have-code")
    expect(page.locator("#find-id_number")).to_have_attribute("aria-invalid", "true")
    page.fill("#find-id_number", who.id_number)
    page.fill("#find-phone", who.phone)
    page.click("#have-code")
    expect(page.locator("#code")).to_be_focused()
    look(page, "manners-have-code")
    page.reload()
    page.fill("#find-id_number", who.id_number)
    page.fill("#find-phone", who.phone)
    page.click("#send-code")
    expect(page.locator("#find .bad")).to_contain_text("请稍后再发")
    page.fill("#code", "111111")
    page.click("#open-it")
    expect(page.locator("#code-error")).to_have_text("不对")
    page.fill("#code", "222222")
    page.click("#open-it")
    expect(page.locator("#trouble")).to_be_visible()
    here.context.clock.run_for(4000)
    expect(page.locator("#receipt .number")).to_contain_text("00066")
    wrong, *same = keys
    assert len(same) == 2
    assert same[0] == same[1] != wrong
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


# Old browsers

NEWER_THAN_2020 = r"\?\?=|\|\|=|&&=|\.at\(|replaceAll|hasOwn|structuredClone|randomUUID|findLast|Promise\.any|this\.#"


def test_nothing_is_newer_than_a_phone_of_2020() -> None:
    files = [*(PAGES / name[1:] for name in MODULES), *(PAGES / "common").glob("*.js")]
    found = {file.name: re.findall(NEWER_THAN_2020, file.read_text(encoding="utf-8")) for file in files}
    assert {name: its for name, its in found.items() if its} == {}


def test_where_the_script_does_not_come_the_plain_pages_are_offered_in_large(morning: Up, visit: Visits) -> None:
    here = visit(morning, recorded=False)
    here.context.route("**/app.js", lambda route: route.abort())
    page = here.open()
    link = page.locator("#loading a").first
    assert link.evaluate("it => it.getAnimations().map((one) => one.effect.getTiming().delay)") == [6000]
    page.evaluate("document.getAnimations().forEach((it) => it.finish())")
    assert link.evaluate("it => parseFloat(getComputedStyle(it).fontSize)") >= 24
    assert link.get_attribute("href") == "/plain"
    look(page, "manners-no-script")


# Small screens, big letters


WAYS = {
    "320 px": ({"width": 320, "height": 568}, ""),
    "320 px, large type": ({"width": 320, "height": 568}, "large"),
    "1280 px at 200 %": ({"width": 640, "height": 400}, ""),
    "letters at 200 %": ({"width": 640, "height": 800}, "200%"),
}


@contextmanager
def seen(page: Page, way: str) -> Iterator[None]:
    """The page as somebody sees it who needs it this way."""
    size, letters = WAYS[way]
    before = page.viewport_size
    assert before is not None
    page.set_viewport_size(size)  # type: ignore[arg-type]
    if letters == "large":
        page.click("#large")
    elif letters:
        page.evaluate("size => { document.documentElement.style.fontSize = size; }", letters)
    yield
    if letters == "large":
        page.click("#large")
    page.evaluate("document.documentElement.style.fontSize = ''")
    page.set_viewport_size(before)


@pytest.mark.parametrize(("locale", "resident"), [("zh-CN", 0), ("en-GB", 1)])
def test_nothing_scrolls_sideways_at_320_pixels_or_at_twice_the_size(
    morning: Up, visit: Visits, locale: str, resident: int
) -> None:
    page = visit(morning, locale=locale).open()

    def reflows(name: str) -> None:
        for way in WAYS:
            with seen(page, way):
                assert sideways(page) == [], (name, way)

    expect(page.locator("#districts a").first).to_be_visible()
    reflows("list")
    page.goto(f"{morning.url}/#{BAIYUN}")
    expect(page.locator("#join")).to_be_visible()
    page.click("#go")
    expect(page.locator("#id_number")).to_have_attribute("aria-invalid", "true")
    reflows("opening")
    fill_papers(page, demo(resident, BAIYUN))
    page.click("#go")
    expect(page.locator("#ready")).to_be_visible()
    reflows("called")
    come_in(page)
    reflows("wishes")
    register(page)
    reflows("receipt")
    page.goto(f"{morning.url}/#find")
    expect(page.locator("#lookup")).to_be_visible()
    reflows("find")


def test_nothing_scrolls_sideways_in_line(line: Line) -> None:
    page = in_line(line, ahead=1_234_567, number=1_234_568, eta_seconds=12_345)
    for way in WAYS:
        with seen(page, way):
            assert sideways(page) == [], way


# Devices that keep nothing

BLOCKED = """Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("blocked", "SecurityError"); },
});"""


@pytest.mark.parametrize(("trouble", "resident"), [("blocked", 2), ("full", 3)])
def test_a_device_that_keeps_nothing_still_registers(morning: Up, visit: Visits, trouble: str, resident: int) -> None:
    here = visit(morning)
    if trouble == "blocked":
        here.context.add_init_script(BLOCKED)
    page = here.open()
    expect(page.locator("#districts a").first).to_be_visible()
    if trouble == "full":
        page.evaluate(FILL)
        page.reload()
    join(page, demo(resident, BAIYUN), BAIYUN)
    expect(page.locator("#ready")).to_be_visible()
    page.click("#large")
    expect(page.locator("#large")).to_have_attribute("aria-pressed", "true")
    page.click("#large")
    come_in(page)
    page.locator("#choices select").first.select_option(index=1)
    page.check("[name=accept_any_site]")
    page.click("#submit")
    no = number_of(page)
    expect(page.locator("#kept-here")).to_contain_text("不能保存")
    look(page, f"manners-storage-{trouble}")
    page.goto(f"{morning.url}/#home")
    page.locator(f"#family a[href='#receipt={no}']").click()
    assert number_of(page) == no


def test_a_device_that_keeps_nothing_says_so(line: Line) -> None:
    line.here.context.add_init_script("Object.defineProperty(window, 'localStorage', { get: () => null })")
    page = in_line(line)
    expect(page.locator("#keep")).to_contain_text("请不要关闭")
    assert "可以关闭" not in page.locator("#queue").inner_text()
