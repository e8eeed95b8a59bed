"""How the resident's page behaves towards the server, small screens, full devices and a family in line."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Call, Visit, look
from tests.browser.steps import FILL, come_in, demo, fill_papers, join, number_of, register, sideways
from tests.serving import API, BAIYUN, TIANHE, Up, until

Visits = Callable[..., Visit]
REQUESTS_TO_SEE_THE_LIST = 3
FIRST_VISIT_BYTES = 60 * 1024
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
    assert {urlsplit(url).path for url in ours.values()} == {"/", f"{API}/city", *MODULES}
    assert len(ours) == 2 + len(MODULES), "nothing twice"
    assert set(ours) <= set(bytes_of)
    assert 10_000 < sum(bytes_of[number] for number in ours) <= FIRST_VISIT_BYTES


# Asking as told


class Line:
    """A line that moves as a test wants it, at a time that a test moves: stands in for the server's answers on places.

    Args:
        here: whose browser gets the answers and the clock; before its first page.
        server: serves the pages, and the answers that these are made of.
    """

    STEP_S = 0.5  # as often as the page looks at its clock

    def __init__(self, here: Visit, server: Up) -> None:
        self.here = here
        self.city = server.call("GET", f"{API}/city").json()
        self.opening = server.call("GET", f"{API}/openings/{TIANHE}").json() | {"state": "open", "rate_per_second": 1.0}
        self.start = datetime.fromisoformat("2021-06-19T08:30:00+08:00")
        self.at_s = 0.0
        self.places: dict[str, dict[str, Any]] = {}
        self.joins = 0
        self.polls: list[tuple[float, str]] = []
        self.looks: list[float] = []
        self.busy_s = 0
        here.context.clock.install(time=self.start - timedelta(seconds=10))
        here.context.clock.pause_at(self.start)
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

    def now(self) -> datetime:
        """The time of day."""
        return self.start + timedelta(seconds=self.at_s)

    def go_by(self, seconds: float, step_s: float = STEP_S) -> None:
        """Let time pass; what is asked meanwhile is answered."""
        for _ in range(round(seconds / step_s)):
            self.at_s += step_s
            self.here.context.clock.run_for(round(step_s * 1000))
            until(self._is_idle, "the page is done asking")

    def look(self, page: Page, name: str) -> None:
        """See `look`; the time runs by itself from here on, as axe wants timers."""
        self.here.context.clock.resume()
        look(page, name)

    def _is_idle(self) -> bool:
        idle = "navigator.locks.query().then(({ held, pending }) => held.length + pending.length === 0)"
        return bool(self.here.context.pages[0].evaluate(idle))

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
        route.fulfill(status=status, headers=headers, json=data)
        text, kind = "", "application/json"
        if status < 300:  # what is made up here is what the schema says
            text = json.dumps(data)
            self.here.calls.append(Call(method, path, status, text, kind))


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


SLACK_S = 0.7 + Line.STEP_S  # tabs keep out of step by up to 0.7 s, and look every half second


def test_it_asks_as_told_never_sooner_and_not_twice_with_two_tabs(line: Line) -> None:
    page = in_line(line)
    line.go_by(45)
    alone = line.asked("ticket-0")
    assert len(alone) == 4
    assert all(10 <= gap <= 10 + SLACK_S for gap in gaps([0.0, *alone])), alone
    line.waiting("ticket-0", ahead=450, poll_after_seconds=20)  # told otherwise
    second = line.here.open()
    expect(second.locator("#queue")).to_be_visible()
    second.reload()  # reloading is no way of asking
    expect(second.locator("#queue")).to_be_visible()
    line.go_by(90)
    both = line.asked("ticket-0")[len(alone) - 1 :]
    assert len(both) == 6
    assert gaps(both)[0] >= 10
    assert all(20 <= gap <= 20 + SLACK_S for gap in gaps(both)[1:]), both
    for tab in (page, second):
        expect(tab.locator("#ahead")).to_have_text("450")
    assert len(line.looks) <= 3 + 2 * len(line.polls), "nor is the opening asked about in between"


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
    look(page, f"manners-storage-{trouble}")
    page.goto(f"{morning.url}/#home")
    page.locator(f"#family a[href='#receipt={no}']").click()
    assert number_of(page) == no
