"""Issue 11's T1, T2, T3, T7 and T8 on the pages with scripts, at a time that a test moves.

What is right at which second comes from the announcement (A6, A7: windows 08-12, 12-16, 16-20, shut from 20:00 to
08:00) and from a draw of 120 seconds; the server's answers are those of before, or none.
"""

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from server.web.assets import PAGES
from tests.support import SUPPORT
from tests.support.browser import Visit, Visits, picture
from tests.support.serving import API, HAIZHU, TIANHE, Up, operator_token, until
from tests.support.steps import demo, fill_papers

DAY = "2021-06-19"
LANGUAGES = json.loads((SUPPORT / "languages.json").read_text(encoding="utf-8"))
DRAW_SECONDS = 120
SITES = [{"site": "S1", "name_zh": "一号点", "name_en": "Site one", "district": TIANHE, "address": "一路 1 号"}]
SITES += [{"site": "S2", "name_zh": "二号点", "name_en": "Site two", "district": TIANHE, "address": "二路 2 号"}]
REGISTRATION = {
    "registration_no": "210619000000011",
    "state": "booked",
    "district": TIANHE,
    "registered_at": f"{DAY}T08:10:00+08:00",
    "priority": {"first_dose_date": "2021-05-01", "product": "inactivated"},
    "preferences": [],
    "accept_any_site": True,
    "not_before": None,
    "appointment": {"site": "S1", "date": "2021-06-20", "period": "am"},
    "cancel_before": f"{DAY}T20:00:00+08:00",
    "history": [],
    "no_shows": 0,
}


class Device:
    """Somebody's browser, whose clock a test moves, on a network whose answers a test makes.

    Args:
        here: whose browser; before its first page.
        server: serves the pages.
        at: time of day in the city at first, e.g. "07:59:50".
        wrong_s: by how much the device's own clock is wrong.
        lang: of the server's answers.
    """

    def __init__(self, here: Visit, server: Up, at: str, wrong_s: float = 0, lang: str = "zh") -> None:
        self.here, self.wrong_s = here, wrong_s
        self.now = datetime.fromisoformat(f"{DAY}T{at}+08:00")
        city = httpx.get(f"{server.url}{API}/city", headers={"accept-language": lang}, trust_env=False)
        self.city = city.json() | {"draw_seconds": DRAW_SECONDS}
        self.opening = server.call("GET", f"{API}/openings/{TIANHE}").json()
        self.opening["draw"]["seconds"] = DRAW_SECONDS
        del self.opening["wait"]  # as a server of before: what becomes of a place only a worker tells
        self.offline = False
        self.headers: dict[str, str] = {}
        self.late_s = 0.0  # how old the answers are that come out of a cache
        self.answers: dict[tuple[str, str], Any] = {}  # by method and path below the base: JSON, or (status, JSON)
        self.asked: list[tuple[str, str]] = []
        device = self.now + timedelta(seconds=wrong_s)
        here.context.clock.install(time=device - timedelta(seconds=10))
        here.context.clock.pause_at(device)
        here.context.route("**/api/v1/**", self._answer)
        self.scripts: set[str] = set()
        here.context.on("requestfinished", lambda it: self.scripts.add(urlsplit(it.url).path))

    def go_to(self, at: str, day: str = DAY) -> None:
        """Let the time come, in small steps near the end, as a page's timers see it."""
        left_s = (datetime.fromisoformat(f"{day}T{at}+08:00") - self.now).total_seconds()
        assert left_s > 0
        if left_s > 5:
            self._pass(left_s - 3, self.here.context.clock.fast_forward)
            left_s = 3
        for _ in range(round(left_s * 10)):  # so that an answer on the way tells the time of when it is asked for
            self._pass(0.1, self.here.context.clock.run_for)

    def _pass(self, seconds: float, how: Any) -> None:
        self.now += timedelta(seconds=seconds)
        how(round(seconds * 1000))

    def sleep(self, seconds: float) -> None:
        """The device sleeps: its running clock stands still, the other one does not."""
        self.now += timedelta(seconds=seconds)
        self.here.context.clock.set_system_time(self.now + timedelta(seconds=self.wrong_s))

    def known(self, key: str, value: dict[str, Any]) -> None:
        """What the device has kept of an earlier visit."""
        text = json.dumps({f"jiaohao:{key}": json.dumps(value)})
        self.here.context.add_init_script(f"if (origin !== 'null') Object.assign(localStorage, {text})")

    def _timetable(self, window: dict[str, str] | None) -> dict[str, Any]:
        """How the server tells it: by the clock of when it is asked, and no later."""
        now = self.now - timedelta(seconds=self.late_s)
        today = f"{now:%Y-%m-%d}"
        if window is None:
            return {"state": "unassigned", "opens_at": None, "closes_at": None}
        opens, closes = (datetime.fromisoformat(f"{today}T{window[it]}:00+08:00") for it in ("opens", "closes"))
        if opens <= now < closes:
            state = "draw" if (now - opens).total_seconds() < DRAW_SECONDS else "open"
        elif not 8 <= now.hour < 20:
            state = "maintenance"
        else:
            state = "closed" if now < opens else "ended"
        over = timedelta(days=int(now >= closes))
        return {"state": state, "opens_at": (opens + over).isoformat(), "closes_at": (closes + over).isoformat()}

    def _answer(self, route: Route) -> None:
        method, path = route.request.method, urlsplit(route.request.url).path.removeprefix(API)
        self.asked.append((method, path))
        if self.offline:
            return route.abort()
        told = (self.now - timedelta(seconds=self.late_s)).replace(microsecond=0).isoformat()
        if (method, path) in self.answers:
            found = self.answers[method, path]
            status, data = found if isinstance(found, tuple) else (200, found)
        elif path == "/city":
            districts = [it | self._timetable(it["window"]) for it in self.city["districts"]]
            status, data = 200, self.city | {"now": told, "districts": districts}
        elif path.startswith("/openings/"):
            code = path.split("/")[2]
            window = next(it["window"] for it in self.city["districts"] if it["code"] == code)
            status, data = 200, self.opening | {"now": told, "district": code} | self._timetable(window)
        elif path.startswith("/sites"):
            status, data = 200, {"sites": SITES}
        else:
            raise AssertionError(f"nothing else is asked: {method} {path}")
        return route.fulfill(status=status, json=data, headers=self.headers)


def state_of(page: Page, district: str = TIANHE) -> str:
    return page.locator(f"#districts a[href='#{district}'] > span:last-child").inner_text()


def resting(page: Page) -> bool:
    return page.locator("#rest").is_visible()


def at_home(device: Device, path: str = "/") -> Page:
    page = device.here.open(path)
    expect(page.locator("#districts a").first).to_be_visible()
    words = f"/words/{page.locator('html').get_attribute('data-language')}.json"
    until(lambda: page.evaluate("1") and {"/find.js", words} <= device.scripts, "the rest of the page is there")
    return page


# T1: what the timetable says, to the second


@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
def test_home_left_open_since_0759_opens_at_0800_without_any_answer(morning: Up, visit: Visits, locale: str) -> None:
    device = Device(visit(morning, recorded=False, locale=locale), morning, "07:59:50.500", lang=locale[:2])
    page = at_home(device)
    device.offline = True
    resting_words, drawing = {"zh-CN": ("休息中", "抽签中"), "en-GB": ("Resting", "Draw on")}[locale]
    shown = {}
    for at in ("07:59:58.500", "07:59:59.500", "07:59:59.900", "08:00:00.100", "08:00:01.500", "08:00:05.500"):
        device.go_to(at)
        shown[at] = (resting(page), state_of(page), state_of(page, HAIZHU))
        picture(page, f"time-home-{locale[:2]}-{at.replace(':', '').replace('.', '-')}")
    shut = (True, resting_words, resting_words)
    noon = {"zh-CN": "12:00 开放", "en-GB": "Opens 12:00"}[locale]
    open_ = (False, drawing, noon)
    assert list(shown.values()) == [shut, shut, shut, open_, open_, open_], shown


# Of the city's eleven: one of each window, and the one that has none.
TABLE = [
    ("07:59:59.900", True, "休息中", "休息中", "休息中", "暂未安排"),
    ("08:00:00.100", False, "抽签中", "12:00 开放", "16:00 开放", "暂未安排"),
    ("08:01:59.900", False, "抽签中", "12:00 开放", "16:00 开放", "暂未安排"),
    ("08:02:00.100", False, "开放中", "12:00 开放", "16:00 开放", "暂未安排"),
    ("11:59:59.900", False, "开放中", "12:00 开放", "16:00 开放", "暂未安排"),
    ("12:00:00.100", False, "今天已结束", "抽签中", "16:00 开放", "暂未安排"),
    ("12:02:00.100", False, "今天已结束", "开放中", "16:00 开放", "暂未安排"),
    ("16:00:00.100", False, "今天已结束", "今天已结束", "抽签中", "暂未安排"),
    ("19:59:59.900", False, "今天已结束", "今天已结束", "开放中", "暂未安排"),
    ("20:00:00.100", True, "休息中", "休息中", "休息中", "暂未安排"),
]


@pytest.mark.parametrize(("wrong_s", "zone"), [(0, "Asia/Shanghai"), (5 * 3600 + 17, "America/Los_Angeles")])
def test_home_goes_through_the_whole_day_without_any_answer(
    morning: Up, visit: Visits, wrong_s: int, zone: str
) -> None:
    here = visit(morning, recorded=False, timezone_id=zone)
    device = Device(here, morning, "07:59:50.500", wrong_s)
    following = {"name": "phase 2", "rule": "22日起的规定", "starts": "2021-06-22", "ends": "2021-06-22"}
    device.city["next_phase"] = following
    page = at_home(device)
    device.offline = True
    for at, *wanted in TABLE:
        device.go_to(at)
        found = [resting(page), *(state_of(page, code) for code in (TIANHE, HAIZHU, "440104", "440112"))]
        assert found == wanted, at
    assert "08:00" in page.locator("#rest-next").inner_text(), "tomorrow's"
    rule = page.locator("#list .rule")
    assert "35天" in rule.inner_text()
    device.go_to("19:59:59.900", "2021-06-21")
    assert "35天" in rule.inner_text(), "the rule of 19 to 21 June"
    device.go_to("20:00:00.100", "2021-06-21")
    assert rule.inner_text() == "22日起的规定", "that of the opening that comes"
    device.go_to("19:59:59.900", "2021-06-22")
    assert rule.inner_text() == "22日起的规定"
    device.go_to("20:00:00.100", "2021-06-22")
    assert rule.inner_text() == "", "another one comes, which is not known here"


def test_an_opening_that_is_over_shows_the_rule_of_the_next_one(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "11:59:50.500")
    device.city["phase"]["ends"] = DAY
    device.city["next_phase"] = {"name": "2", "rule": "20日起的规定", "starts": "2021-06-20", "ends": None}
    page = at_home(device)
    page.click(f"#districts a[href='#{TIANHE}']")
    rule = page.locator("#opening .rule")
    expect(rule).to_contain_text("35天")
    device.go_to("12:00:00.600")
    expect(rule).to_have_text("20日起的规定")


def test_who_asks_before_the_opening_reads_what_the_nights_make_likely(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "09:00:00")
    outlook = {"night": "2021-06-18", "registrations": 1200, "allotted": 800, "reached": "2021-05-12", "nights": 3}
    told = {"eligible": True, "date": DAY, "first_dose_date": "2021-05-20", "product": "inactivated"}
    device.answers["POST", f"/openings/{HAIZHU}/eligibility"] = told | {"outlook": outlook | {"since": "2021-06-14"}}
    page = at_home(device)
    page.click(f"#districts a[href='#{HAIZHU}']")
    fill_papers(page, demo(0, HAIZHU))
    page.click("#check")
    expect(page.locator("#eligible")).to_contain_text("6月18日夜里有 1,200 人在等，排上了 800 人。")
    expect(page.locator("#eligible")).to_contain_text(
        "名额给到了第一剂日期为 5月12日 的人；照最近几夜的进度，您大约要等 3 夜。"
    )
    expect(page.locator("#eligible")).to_contain_text("不是保证")
    expect(page.locator("#check")).not_to_be_empty()
    picture(page, "before-likely")


def test_another_district_after_0800_is_not_told_that_the_system_rests(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "07:59:50.500")
    page = at_home(device)
    page.click(f"#districts a[href='#{HAIZHU}']")
    expect(page.locator("#stand")).to_contain_text("系统休息中")
    device.offline = True
    device.go_to("08:00:00.100")
    assert "今天已结束" not in page.locator("#opening").inner_text()
    assert "系统休息中" not in page.locator("#opening").inner_text()
    assert "12:00" in page.locator("#opening").inner_text()
    device.go_to("08:00:04")
    page.click("#opening a[href='#home']")
    expect(page.locator("#list")).to_be_visible()
    assert (resting(page), state_of(page)) == (False, "抽签中")


def test_an_answer_out_of_a_cache_says_its_age_and_the_page_is_still_right(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "07:59:55.500")
    device.late_s, device.headers = 11, {"age": "11"}
    page = at_home(device)
    device.offline = True
    device.go_to("07:59:58.900")
    assert resting(page)
    device.go_to("08:00:01.100")  # an age is told in whole seconds
    assert (resting(page), state_of(page)) == (False, "抽签中")


def test_a_stale_answer_does_not_put_the_clock_back(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "07:59:50.500")
    page = at_home(device)
    device.go_to("08:00:00.100")
    assert not resting(page)
    device.late_s = 11  # out of a cache that does not say so
    device.go_to("08:00:16")
    until(lambda: page.evaluate("1") and device.asked.count(("GET", "/city")) > 1, "it has asked again")
    device.go_to("08:00:17")
    assert (resting(page), state_of(page)) == (False, "抽签中")


def test_a_device_that_slept_over_the_opening_wakes_up_right(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "07:50:00.500")
    page = at_home(device)
    device.offline = True
    device.sleep(11 * 60)
    device.go_to("08:01:02")
    assert (resting(page), state_of(page)) == (False, "抽签中")


def in_line(device: Device, **place: Any) -> None:
    """The device holds a place, and is told nothing new for ten minutes."""
    key = f"{TIANHE}:{DAY}:899"
    told = {"state": "waiting", "number": 900, "serving": 100, "ahead": 799, "eta_seconds": 5000, "claim_before": None}
    told |= {"poll_after_seconds": 600} | place
    due_ms = device.now.timestamp() * 1000
    kept = {"key": key, "label": "王*", "district": TIANHE, "date": DAY, "since": 1, "ticket": "t", "seen": due_ms}
    device.known(f"place:{key}", kept | told | {"due": due_ms, "wait_ms": 1000})
    device.answers["GET", "/ticket"] = told


def test_who_waits_when_the_window_closes_is_not_shown_as_waiting(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "11:59:50.500")
    in_line(device)
    page = device.here.open()
    expect(page.locator("#ahead")).to_have_text("799")
    device.go_to("11:59:53")
    until(lambda: page.evaluate("1") and ("GET", "/ticket") in device.asked, "it has asked")
    device.go_to("11:59:59.400")  # how near the second is known depends on when it asked
    expect(page.locator("#line")).to_be_visible()
    device.answers["GET", "/ticket"] |= {"state": "ended", "ahead": None}
    device.go_to("12:00:00.600")
    assert page.locator("#number-label").inner_text().startswith("今天的开放时间已结束")
    assert not page.locator("#line").is_visible()
    assert "799" not in page.locator("main").inner_text()
    asked = device.asked.count(("GET", "/ticket"))
    device.go_to("12:01:05")  # not all at once, and long before it was told
    until(lambda: page.evaluate("1") and device.asked.count(("GET", "/ticket")) == asked + 1, "it has asked once more")
    expect(page.locator("#over")).to_contain_text("这一场没有轮到您")


def test_a_call_that_has_run_out_offers_nothing_any_more(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "09:00:00.500")
    in_line(device, state="ready", claim_before=f"{DAY}T09:00:10+08:00", ahead=0, eta_seconds=0)
    page = device.here.open()
    expect(page.locator("#claim")).to_be_visible()
    device.offline = True
    device.go_to("09:00:09")
    assert page.locator("#claim").is_visible()
    device.go_to("09:00:10.600")
    assert not page.locator("#claim").is_visible()
    assert page.locator("#ready-title").inner_text() == "时间到了，正在核对……"


def test_cancelling_is_not_offered_after_its_last_second(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "19:59:50.500")
    no = REGISTRATION["registration_no"]
    receipt = {"no": no, "label": "王*", "token": "r", "district": TIANHE, "since": 1, "state": "booked"}
    device.known(f"receipt:{no}", receipt)
    device.answers["GET", f"/registrations/{no}"] = REGISTRATION
    page = device.here.open(f"/#receipt={no}")
    expect(page.locator("#cancel")).to_be_visible()
    device.go_to("19:59:59.900")
    assert page.locator("#cancel").is_visible()
    device.go_to("20:00:00.100")
    assert not page.locator("#cancel").is_visible()
    assert "取消的时间已过" in page.locator("#receipt-next").inner_text()


def of_the_desk(role: str, at: str) -> dict[str, Any]:
    """What the server says of a staff token."""
    half = {"opens": "08:30", "closes": "12:00", "name_zh": "上午", "name_en": "Morning"}
    me = {"site": "S1", "name_zh": "一号点", "name_en": "Site one", "district": TIANHE, "role": role}
    hours = {"now": f"{DAY}T{at}+08:00", "periods": {"am": half, "pm": half}}
    return me | {"expires_at": "2021-07-19T00:00:00+08:00"} | hours


def test_the_desk_turns_to_the_new_day_at_midnight(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "23:59:50.500")
    me = of_the_desk("desk", "23:59:50")
    entry = {"registration_no": REGISTRATION["registration_no"], "name": "王*", "phone": "138****0000", "period": "am"}
    entry |= {"product": "inactivated", "dose": 2, "state": "booked"}
    roster = {"site": "S1", "name_zh": "", "name_en": "", "district": TIANHE, "closures": []}
    device.answers = {("GET", "/staff"): me, ("GET", "/sites/S1/roster"): roster | {"date": DAY, "entries": [entry]}}
    page = device.here.open("/staff#token=x")
    expect(page.locator("#groups li")).to_have_count(1)
    device.go_to("23:59:59.900")
    expect(page.locator("#groups li")).to_have_count(1)
    device.answers["GET", "/sites/S1/roster"] = roster | {"date": "2021-06-20", "entries": []}
    before = len(device.asked)
    device.go_to("00:00:00.100", "2021-06-20")
    expect(page.locator("#groups li")).to_have_count(0)
    device.go_to("00:00:02", "2021-06-20")
    until(lambda: page.evaluate("1") and len(device.asked) > before, "today's roster is asked for")
    expect(page.locator("#empty")).to_have_text("这一天本点没有预约。")


def test_the_operators_page_asks_when_the_hour_strikes(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "11:59:55")
    view = morning.call("GET", f"{API}/operations", bearer=operator_token(morning.data_dir)).json()
    device.answers["GET", "/operations"] = view | {"now": f"{DAY}T11:59:55+08:00"}
    page = device.here.open("/ops#token=x")
    expect(page.locator("#openings-rows tr").first).to_be_visible()
    asked = device.asked.count(("GET", "/operations"))
    device.go_to("11:59:59")
    assert device.asked.count(("GET", "/operations")) == asked
    device.go_to("12:00:01")
    until(lambda: page.evaluate("1") and device.asked.count(("GET", "/operations")) == asked + 1, "it asks at 12:00")


# The same timetable where the clocks change, and where a district opens twice a day. The oracle is Python's zoneinfo.
SEVERAL = [
    ("America/Vancouver", "2021-11-07T07:59:59", "maintenance", "2021-11-07T08:00"),  # the clocks went back at 02:00
    ("America/Vancouver", "2021-11-06T19:30:00", "ended", "2021-11-07T08:00"),
    ("America/Vancouver", "2021-03-14T08:00:00", "draw", "2021-03-14T14:00"),  # forward at 02:00
    ("America/Vancouver", "2021-03-13T20:00:00", "maintenance", "2021-03-14T08:00"),
    ("Asia/Shanghai", "2021-06-19T11:59:59", "open", "2021-06-19T14:00"),
    ("Asia/Shanghai", "2021-06-19T12:00:00", "closed", "2021-06-19T14:00"),  # again today
    ("Asia/Shanghai", "2021-06-19T14:00:00", "draw", "2021-06-20T08:00"),
    ("Asia/Shanghai", "2021-06-19T14:02:00", "open", "2021-06-20T08:00"),
    ("Asia/Shanghai", "2021-06-19T18:00:00", "ended", "2021-06-20T08:00"),
    ("Asia/Shanghai", "2021-06-19T20:00:00", "maintenance", "2021-06-20T08:00"),
]


def test_the_timetable_is_right_where_clocks_change_and_with_two_windows_a_day(morning: Up, visit: Visits) -> None:
    source = (PAGES / "common" / "timetable.js").read_text(encoding="utf-8").replace("export ", "")
    page = visit(morning, recorded=False).context.new_page()
    hours = {"open_hours": {"opens": "08:00", "closes": "20:00"}, "draw_seconds": DRAW_SECONDS}
    windows = [{"opens": "08:00", "closes": "12:00"}, {"opens": "14:00", "closes": "18:00"}]

    def ms(local: str, zone: str) -> float:
        return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000

    asked = [[hours | {"timezone": zone}, {"windows": windows}, ms(now, zone)] for zone, now, _, _ in SEVERAL]
    rule = (
        f"(all) => {{ {source}; return all.map((it) => timetable(...it)).map(({{ state, next }}) => [state, next]); }}"
    )
    assert page.evaluate(rule, asked) == [[state, ms(next_, zone)] for zone, _, state, next_ in SEVERAL]


# T2: an error goes once its field is mended, and never hides anything


def wishing(device: Device) -> Page:
    """Somebody who has been let in, at the form of wishes."""
    in_line(device, state="ready", claim_before=f"{DAY}T09:30:00+08:00", ahead=0, eta_seconds=0)
    device.answers["POST", "/passes"] = (201, {"pass": "p", "expires_at": f"{DAY}T09:40:00+08:00"})
    page = device.here.open()
    page.click("#claim")
    expect(page.locator("#wishes")).to_be_visible()
    return page


@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
def test_a_site_chosen_after_the_mistake_takes_the_mistake_away_and_shows_its_address(
    morning: Up, visit: Visits, locale: str
) -> None:
    device = Device(visit(morning, recorded=False, locale=locale), morning, "09:00:00", lang=locale[:2])
    page = wishing(device)
    first, error = page.locator("#choices select").first, page.locator("#choices .error")
    page.select_option("[id='preferences[0].period']", "am")
    page.click("#submit")
    expect(first).to_be_focused()
    expect(first).to_have_attribute("aria-invalid", "true")
    expect(page.locator("[id='preferences[0].period']")).to_have_value("am")  # what was chosen stays
    described = (first.get_attribute("aria-describedby") or "").split()
    assert described == ["preferences[0].site-error", "address-0"]
    picture(page, f"time-form-{locale[:2]}-1-after-a-mistake")
    first.select_option("S2")
    expect(error).to_have_count(0)
    assert first.get_attribute("aria-invalid") is None
    assert first.get_attribute("aria-describedby") == "address-0"
    expect(page.locator("#address-0")).to_have_text("二路 2 号")
    picture(page, f"time-form-{locale[:2]}-2-mended")
    first.select_option("")
    page.click("#submit")
    expect(error).to_have_count(1)
    page.check("[name=accept_any_site]")
    expect(error).to_have_count(0)


def test_what_the_server_finds_wrong_with_the_wishes_goes_once_it_is_changed(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "09:00:00")
    page = wishing(device)
    errors = [{"field": it, "message": f"{it} 不对"} for it in ("not_before", "together")]
    problem = {"code": "invalid", "status": 422, "title": "填写有误", "detail": "请改正。", "errors": errors}
    device.answers["POST", "/registrations"] = (422, problem)
    page.check("[name=accept_any_site]")
    page.fill("#not_before", "2021-06-25")
    page.fill("#together", "210619000000022")
    page.click("#submit")
    expect(page.locator("#not_before")).to_be_focused()
    for field, value, hint in (("not_before", "2021-06-26", None), ("together", "210619000000033", "together-hint")):
        expect(page.locator(f"#{field}-error")).to_be_visible()
        page.fill(f"#{field}", value)
        expect(page.locator(f"#{field}-error")).to_have_count(0)
        assert page.locator(f"#{field}").get_attribute("aria-invalid") is None
        assert page.locator(f"#{field}").get_attribute("aria-describedby") == hint


def test_papers_and_a_code_are_right_as_soon_as_they_are(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "09:00:00")
    page = at_home(device)
    page.click(f"#districts a[href='#{TIANHE}']")
    page.click("#go")
    expect(page.locator("#id_number")).to_be_focused()
    expect(page.locator("#join .error")).to_have_count(3)
    fill_papers(page, demo(16))
    expect(page.locator("#join .error")).to_have_count(0)
    assert page.locator("#join [aria-invalid]").count() == 0
    page.goto(f"{morning.url}/#find")
    page.fill("#find-id_number", demo(16).id_number)
    page.fill("#find-phone", demo(16).phone)
    page.click("#have-code")
    page.fill("#code", "12")
    page.click("#open-it")
    expect(page.locator("#code-error")).to_be_visible()
    page.fill("#code", "12345")
    expect(page.locator("#code-error")).to_be_visible()
    page.fill("#code", "123456")
    expect(page.locator("#code-error")).to_have_count(0)
    page.fill("#code", "")
    page.click("#open-it")
    page.select_option("#language", "en")
    expect(page.locator("#enter .error")).to_have_count(0)  # no Chinese stays on an English page


def test_the_desks_and_the_operators_forms_forget_what_is_mended(morning: Up, visit: Visits) -> None:
    device = Device(visit(morning, recorded=False), morning, "09:00:00")
    me = of_the_desk("manager", "09:00:00")
    roster = {
        "site": "S1",
        "name_zh": "",
        "name_en": "",
        "district": TIANHE,
        "closures": [],
        "date": DAY,
        "entries": [],
    }
    device.answers = {("GET", "/staff"): me, ("GET", "/sites/S1/roster"): roster}
    page = device.here.open("/staff")
    for where in ("/staff", "/ops"):
        page.goto(f"{morning.url}{where}")
        page.click("#signin-go")
        expect(page.locator("#token-error")).to_be_visible()
        page.fill("#token", "x")
        expect(page.locator("#token-error")).to_be_hidden()
        assert page.locator("#token").get_attribute("aria-invalid") is None
    page.goto(f"{morning.url}/staff#token=x")
    expect(page.locator("#desk")).to_be_visible()
    page.click("#to-closing")
    page.click("#closing-next")
    expect(page.locator("#closing-reason")).to_have_attribute("aria-describedby", "closing-error")
    page.fill("#closing-reason", "停电")
    expect(page.locator("#closing-error")).to_be_hidden()
    assert page.locator("#closing-form [aria-invalid], #closing-form [aria-describedby]").count() == 0

    view = morning.call("GET", f"{API}/operations", bearer=operator_token(morning.data_dir)).json()
    device.answers["GET", "/operations"] = view
    page.goto(f"{morning.url}/ops#token=x")
    page.locator("#openings-rows button").first.click()
    page.fill("#most", "-1")
    page.click("#change-go")
    expect(page.locator("#change-error")).to_be_visible()
    expect(page.locator("#most")).to_be_focused()
    expect(page.locator("#most")).to_have_attribute("aria-invalid", "true")
    page.fill("#most", "5")
    expect(page.locator("#change-error")).to_be_hidden()
    assert page.locator("#change-form [aria-invalid]").count() == 0
    page.click("#change .back")
    page.click("#upload-go")
    expect(page.locator("#file-error")).to_be_visible()
    rows = [{"field": "line 2", "message": "这一行读不出五栏。"}]
    device.answers["POST", "/capacity"] = (422, {"code": "invalid", "errors": rows, "bad_rows": 1})
    page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"x"})
    expect(page.locator("#file-error")).to_be_hidden()
    page.click("#upload-go")
    expect(page.locator("#upload-result")).to_contain_text("第 2 行")
    page.set_input_files("#file", {"name": "b.csv", "mimeType": "text/csv", "buffer": b"y"})
    expect(page.locator("#upload-result")).to_be_hidden()  # it was about the other file


# T3 and T8


@pytest.mark.parametrize(
    ("entries", "number", "says", "not_"),
    [
        (1000, 900, "您的号码由抽签决定", "取号先后"),
        (500, 900, "按取号先后排在后面", "由抽签决定"),
        (None, 900, "按号码顺序叫号", "抽签"),
    ],
)
def test_a_number_is_said_to_come_from_where_it_came_from(
    morning: Up, visit: Visits, entries: int | None, number: int, says: str, not_: str
) -> None:
    device = Device(visit(morning, recorded=False), morning, "09:00:00")
    device.opening["draw"] = device.opening["draw"] | {"entries": entries}
    in_line(device, number=number)
    page = device.here.open()
    expect(page.locator("#why")).to_contain_text(says)
    assert not_ not in page.locator("#why").inner_text()
    page.click("#queue .leave")
    expect(page.locator("#ask-text")).to_contain_text("排到队尾")
    assert "从头" not in page.locator("#ask").inner_text()
    # Staying is the button that stands out.
    filled = "it => getComputedStyle(it).backgroundColor !== 'rgba(0, 0, 0, 0)'"
    assert page.locator("#ask-no").evaluate(filled) and not page.locator("#ask-yes").evaluate(filled)


# T7: one table for the server and the pages


def test_the_pages_follow_the_same_rule_as_the_server(morning: Up, visit: Visits) -> None:
    source = (PAGES / "common" / "language.js").read_text(encoding="utf-8").replace("export ", "")
    page = visit(morning, recorded=False).context.new_page()
    of_two = [it[2].partition("-")[0] for it in LANGUAGES]  # such a page has one way to write Chinese
    wanted = {default: [it.replace("default", default) for it in of_two] for default in ("zh", "en")}
    ranges = [it[1] for it in LANGUAGES]
    rule = f"(all) => {{ {source}; return ['zh', 'en'].map((own) => all.map((ranges) => languageOf(ranges, own))); }}"
    assert dict(zip(("zh", "en"), page.evaluate(rule, ranges), strict=True)) == wanted


@pytest.mark.parametrize(
    ("locale", "lang"), [("yue-HK", "zh-Hant"), ("yue", "zh-CN"), ("ug", "zh-CN"), ("mn", "zh-CN"), ("en-AU", "en")]
)
def test_every_page_speaks_the_same_language(morning: Up, visit: Visits, locale: str, lang: str) -> None:
    here = visit(morning, recorded=False, locale=locale)
    page = here.open("/plain")
    of_two = "en" if lang == "en" else "zh-CN"  # the desk and the operators have one way to write Chinese
    for path, wanted in {"/plain": lang, "/": lang, "/staff": of_two, "/ops": of_two}.items():
        page.goto(morning.url + path)
        expect(page.locator("html")).to_have_attribute("lang", wanted)
