"""The operator's page in a real browser: how the city stands at a glance, and what is put right from there."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, Route, expect

from server.records.message import DeadLetter
from tests.support.browser import DESKTOP, PHONE, Visits, check_schema, look
from tests.support.browser import Call as Traffic
from tests.support.ops_page import sign_in_on_call, spaced
from tests.support.serving import API, TIANHE, Up, operator_token, quick_city, store_client, up
from tests.support.steps import demo

HEADER = "site,date,period,product,capacity"
SEED = "5e" * 32


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A server of our own just after 08:00 on the first day, with demo residents."""
    folder = tmp_path_factory.mktemp("station")
    clock = ("--clock", "2021-06-19T08:00:00+08:00")
    with up(folder / "data", "--city", str(quick_city(folder)), *clock, "--workers", "1") as server:
        yield server


def stored(page: Page) -> str:
    """All that the device keeps of the page, with its address."""
    kept = "JSON.stringify([localStorage, sessionStorage, location.href, document.cookie, history.state])"
    return str(page.evaluate(kept))


def changed(context: Any, url: str, change: Callable[[Any], None]) -> None:
    """From now on `GET /operations` answers with a change that the schema still allows."""

    def answer(route: Route) -> None:
        got = route.fetch()
        data = got.json()
        change(data)
        check_schema(url, Traffic("GET", f"{API}/operations", 200, json.dumps(data), "application/json"))
        route.fulfill(response=got, json=data)

    context.route("**/api/v1/operations?*", answer)


def night(state: str, **fields: Any) -> dict[str, Any]:
    """A district's night as the server tells it."""
    empty = dict.fromkeys(
        (
            "commitment", "closed_at", "missed", "charged", "barred", "freed_at", "freed", "frozen_at", "list_root",
            "registrations", "allotted_at", "given", "withdrawn", "published_at", "root", "seed", "counts", "reached",
            "told_at", "reminded", "by_reserve",
        )
    )  # fmt: skip
    return {"date": "2021-06-18", "state": state, "over": [], **empty, **fields}


def at(time: str) -> str:
    return f"2021-06-18T{time}+08:00"


DONE = night(
    "done", commitment="c0" * 32, closed_at=at("20:11:02"), missed=31, charged=20, barred=2, freed_at=at("20:11:03"),
    freed=0, frozen_at=at("20:11:40"), list_root="1f" * 32, registrations=12_480, allotted_at=at("20:14:09"),
    given=12_480, withdrawn=1, published_at=at("20:14:31"), root="70" * 32, seed=SEED,
    counts={"allotted": 9_300, "full": 3_100, "too-early": 80},
    reached=["2021-04-30", "2021-05-03", "2021-05-20", None], told_at=at("20:15:00"), reminded=812,
)  # fmt: skip
ALLOTTING = DONE | night(
    "frozen", commitment="c1" * 32, closed_at=at("20:11:02"), missed=40, charged=33, barred=0, freed_at=at("20:11:03"),
    freed=2, frozen_at=at("20:12:10"), list_root="2f" * 32, registrations=30_000, given=12_500, withdrawn=0,
    over=[{"date": "2021-06-22", "site": "440106-2", "period": "am", "product": "cho", "capacity": 5, "taken": 7}],
)  # fmt: skip


def half_done(view: Any) -> None:
    """Tianhe is being allotted, the others are done or have not begun."""
    for i, district in enumerate(view["districts"]):
        district["night"] = DONE if i % 2 else night("committed", commitment="c2" * 32)
    view["districts"][0]["night"] = ALLOTTING
    view["holder"] = {"name": "process 41 on night-1", "since": at("20:11:00"), "expires_at": at("20:12:40")}
    view["totals"] |= {"dead": 3, "to_call": 14}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("zh-light", {"viewport": DESKTOP}),
        ("en-dark", {"viewport": DESKTOP, "locale": "en-GB", "color_scheme": "dark"}),
        ("zh-phone-dark", {"viewport": PHONE, "color_scheme": "dark"}),
        ("en-phone", {"viewport": PHONE, "locale": "en-GB"}),
    ],
)
def test_the_night_is_seen_step_by_step(station: Up, visit: Visits, name: str, options: dict[str, Any]) -> None:
    here = visit(station, recorded=False, **options)
    changed(here.context, station.url, half_done)
    page = here.open()
    sign_in_on_call(page, station)
    steps = page.locator("#night-steps li")
    expect(steps).to_have_count(6)
    assert [it.get_attribute("class") for it in steps.all()] == ["is-now", "", "", "", "", ""], "not begun everywhere"
    of = "6/11" if "zh" in name else "6 of 11"
    expect(steps.first).to_contain_text(f"{of} ")
    expect(steps.first).to_contain_text("20:11:02")
    expect(page.locator("#night-who")).to_contain_text("process 41 on night-1")
    row = page.locator(f"#night-rows tr[data-key='{TIANHE}']")
    expect(row).to_contain_text("12,500/30,000")
    expect(row).to_contain_text("20:12:10")
    expect(row.locator(".is-going")).to_contain_text("进行中" if "zh" in name else "going on")
    done = page.locator("#night-rows tr[data-key='440111']")
    expect(done).to_contain_text("9,300")
    expect(done).to_contain_text("3,180")
    expect(page.locator("#night-over")).to_contain_text("440106-2")
    page.locator("#night-proofs summary").click()
    hashes = page.locator("#night-hashes div").first
    expect(hashes).to_contain_text("c1" * 32)
    expect(hashes).to_contain_text("公布前保密" if "zh" in name else "secret until published")
    expect(page.locator("#night-hashes")).to_contain_text(SEED)
    look(page, f"ops-{name}-night")


def test_a_night_that_nobody_runs_is_said_aloud(station: Up, visit: Visits) -> None:
    def stuck(view: Any) -> None:
        half_done(view)
        view["holder"] = None

    here = visit(station, recorded=False, viewport=DESKTOP)
    changed(here.context, station.url, stuck)
    page = here.open()
    sign_in_on_call(page, station)
    expect(page.locator("#night-who.bad")).to_contain_text("jiaohao night")
    look(page, "ops-stuck")


def test_signing_in_and_out_leaves_no_token_anywhere(station: Up, visit: Visits) -> None:
    token = operator_token(station.data_dir)
    here = visit(station)
    page = here.open("/ops")
    expect(page.locator("#signin")).to_be_visible()
    look(page, "ops-sign-in")
    page.click("#signin-go")
    expect(page.locator("#token-error")).to_contain_text("请填写")
    page.fill("#token", token + "x")
    page.press("#token", "Enter")
    expect(page.locator("#token-error")).to_contain_text("口令不对")
    expect(page.locator("#token")).to_be_focused()
    look(page, "ops-wrong-token")
    page.fill("#token", f" {token} ")
    page.press("#token", "Enter")
    expect(page.locator("#board")).to_be_visible()
    expect(page.locator("#night-title")).to_be_focused()
    assert page.url == f"{station.url}/ops"
    assert token not in page.content()
    assert page.evaluate("localStorage.length + document.cookie.length") == 0
    assert not [c for c in here.calls if "token" in c.path]
    page.reload()
    expect(page.locator("#board")).to_be_visible()
    page.click("#signout")
    expect(page.locator("#signin-note")).to_contain_text("已退出")
    assert token not in stored(page) + page.content()
    assert page.locator("tbody tr, #totals a").count() == 0
    page.reload()
    expect(page.locator("#signin")).to_be_visible()
    page.goto(f"{station.url}/ops#token=rubbish")
    expect(page.locator("#signin-note")).to_contain_text("重新登录")
    assert "rubbish" not in stored(page)


def test_an_opening_is_paused_and_its_rate_changed(station: Up, visit: Visits) -> None:
    here = visit(station, viewport=DESKTOP)
    page = here.open()
    sign_in_on_call(page, station)
    row = page.locator("#openings-rows tr[data-key='440105']")
    expect(row).to_contain_text("12:00–16:00")
    expect(page.locator("#openings-rows tr[data-key='440112'] button")).to_have_count(0)  # no window
    row.get_by_role("button").click()
    expect(page.locator("#change")).to_be_visible()
    look(page, "ops-change")
    page.fill("#rate", "-1")
    page.click("#change-go")
    expect(page.locator("#change-error")).to_contain_text("核对")
    page.fill("#rate", "12.5")
    page.fill("#message", "系统检修 <b>稍候</b>")
    page.check("#paused")
    page.click("#change-go")
    expect(page.locator("#change")).to_be_hidden()
    expect(row).to_contain_text("12.5")
    expect(row).to_contain_text("系统检修 <b>稍候</b>")
    sent = [c for c in here.calls if c.method == "PATCH"]
    assert [c.status for c in sent] == [200]
    told = station.call("GET", f"{API}/openings/440105").json()
    assert (told["rate_per_second"], told["message"]) == (12.5, "系统检修 <b>稍候</b>")
    expect(row.get_by_role("button")).to_be_focused()


def test_capacity_is_uploaded_and_what_came_of_it_is_told(station: Up, visit: Visits) -> None:
    here = visit(station, viewport=DESKTOP)
    page = here.open()
    sign_in_on_call(page, station)
    fold = page.locator("#capacity tbody[data-code='440111'] .fold")
    expect(page.locator("#capacity .site")).to_have_count(0)
    fold.focus()
    page.keyboard.press("Enter")
    expect(fold).to_have_attribute("aria-expanded", "true")
    site = page.locator("#capacity tr[data-key='440111-1']")
    expect(site).to_contain_text("白云区演示接种点1")
    expect(site.locator("td").first).to_have_text("2/100")  # the demo's two of today, 50 each half
    expect(fold).to_be_focused()
    tuesday = site.locator("td").nth(3)
    before = int(tuesday.inner_text().removeprefix("0/"))
    look(page, "ops-capacity")

    page.click("#upload-go")
    expect(page.locator("#file-error")).to_contain_text("请先选文件")

    def send(*rows: str) -> None:
        content = "\n".join([HEADER, *rows, ""]).encode()
        page.set_input_files("#file", {"name": "capacity.csv", "mimeType": "text/csv", "buffer": content})
        page.click("#upload-go")

    send("440111-1,2021-06-22,am,adenovirus,9", "440111-1,2021-06-31,am,inactivated,9", "nowhere,2021-06-22,am,cho,1")
    result = page.locator("#upload-result")
    expect(result).to_contain_text("2 行有错")
    expect(result).to_contain_text("第 3 行第 2 栏（date）")
    expect(result).to_contain_text("第 4 行第 1 栏（site）：没有这个接种点")
    expect(result).to_be_focused()
    expect(tuesday).to_have_text(f"0/{before}")
    look(page, "ops-upload-refused")
    send("440111-1,2021-06-22,am,adenovirus,9", "440111-1,2021-06-19,am,inactivated,0")
    expect(result).to_contain_text("收下 2 行，2 个号源")
    expect(result).to_contain_text("2021-06-19 440111-1 上午 灭活：号源 0，已用 1")
    expect(tuesday).to_have_text(f"0/{before + 9}")
    expect(site.locator("td").first).to_have_text("2/50")
    look(page, "ops-upload-lowered")
    page.click("#language")
    expect(result).to_contain_text("Below what has been given")
    expect(site).to_contain_text("Baiyun demo site 1")
    fold.click()
    expect(page.locator("#capacity .site")).to_have_count(0)
    assert [c.status for c in here.calls if c.path == f"{API}/capacity"] == [422, 200]


def put_people(server: Up) -> tuple[str, str]:
    """Somebody barred, somebody to call and a dead letter, as a night and a sender leave them; (to call, barred)."""
    with store_client(server.data_dir) as client:
        lines: Any = client.hgetall(f"roster:{{{TIANHE}:2021-06-19}}")
        (first, line), (second, other) = sorted(lines.items(), key=lambda it: str(it[1][16:]))
        resident, barred = line[:16], other[:16]
        (kept,) = [k for k in client.scan_iter("registration:*", 1000) if client.hget(k, "no") == first]
        at_ms = 1_624_000_000_000
        client.hset(kept, "sms:allotted", f"undelivered {at_ms} {at_ms}")
        client.hset(f"to_call:{{{TIANHE}}}", first, resident)
        (stop,) = [k for k in client.scan_iter("registration:*", 1000) if client.hget(k, "no") == second]
        client.set(stop.replace(b"registration", b"stop"), "barred")
        client.hset(f"bars:{{{TIANHE}}}", second, barred)
        letter = DeadLetter(resident, 99, "reminder", first.decode(), at_ms, 12, "TimeoutError")
        client.hset(f"dead:{{{TIANHE}}}", "440106-7-0", msgspec.msgpack.encode(letter))
    return first.decode(), second.decode()


def test_people_are_called_unbarred_and_their_messages_sent_again(station: Up, visit: Visits) -> None:
    no, barred = put_people(station)
    here = visit(station, viewport=DESKTOP)
    page = here.open()
    sign_in_on_call(page, station)
    expect(page.locator("#to-call-count")).to_have_text("1")
    assert "tel:" not in page.content(), "phones are shown when they are asked for"
    page.locator("#to-call summary").click()
    row = page.locator(f"#to-call-rows tr[data-key='{no}']")
    who = demo(17)  # who has this morning's appointment
    expect(row.locator(".phone a")).to_have_attribute("href", f"tel:{who.phone}")
    expect(row).to_contain_text(f"{who.name[0]}*")
    expect(row).to_contain_text("未送达")
    page.locator("#barred summary").click()
    page.locator("#dead summary").click()
    expect(page.locator("#dead-rows tr")).to_contain_text("TimeoutError")
    look(page, "ops-people")

    page.locator("#dead-rows button").click()
    expect(page.locator("#polite")).to_contain_text(spaced(no))
    expect(page.locator("#dead .none")).to_contain_text("没有未能发出")
    expect(page.locator("#messages-title")).to_be_focused()  # the row is gone

    page.locator("#barred-rows").get_by_role("button", name=f"解除 {spaced(barred)}").click()
    expect(page.locator("#why")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#why-error")).to_contain_text("请填写")
    look(page, "ops-reason")
    page.keyboard.type("住院，有证明")
    page.keyboard.press("Enter")
    expect(page.locator("#reason")).to_be_hidden()
    expect(page.locator("#barred .none")).to_contain_text("没有停用的人")
    with store_client(station.data_dir) as client:
        assert client.hgetall(f"bars:{{{TIANHE}}}") == {}

    row.get_by_role("button").click()
    page.fill("#why", "本人已知道")
    page.click("#reason-go")
    expect(page.locator("#to-call .none")).to_contain_text("没有要打电话的人")
    expect(page.locator("#to-call-count")).to_have_text("0")
    page.locator("#to-call summary").click()
    assert who.phone not in page.content()
    deleted = [(c.method, c.status) for c in here.calls if c.method in ("DELETE", "POST")]
    assert deleted == [("POST", 204), ("DELETE", 204), ("DELETE", 204)]


def test_old_figures_are_said_to_be_old_and_come_right_by_themselves(station: Up, visit: Visits) -> None:
    here = visit(station, viewport=DESKTOP, recorded=False)
    page = here.open()
    page.clock.install()
    away = {"code": "store-unavailable", "status": 503, "title": "x", "detail": "x", "type": "/problems/x"}
    here.context.route("**/api/v1/operations?*", lambda route: route.fulfill(status=503, json=away))
    page.goto(f"{station.url}/ops#token={operator_token(station.data_dir)}")
    expect(page.locator("#signin-note")).to_contain_text("数据库没有回答")
    here.context.unroute("**/api/v1/operations?*")
    page.clock.run_for(11_000)
    expect(page.locator("#board")).to_be_visible()
    expect(page.locator("#net")).to_be_hidden()
    here.context.route("**/api/v1/operations?*", lambda route: route.fulfill(status=503, json=away))
    page.click("#refresh")
    expect(page.locator("#net")).to_contain_text("数据库没有回答")
    expect(page.locator("#net")).to_contain_text("数据停在")
    expect(page.locator("#night-rows tr")).to_have_count(11)
    look(page, "ops-store-away")
    here.context.unroute("**/api/v1/operations?*")
    here.context.route("**/api/v1/operations?*", lambda route: route.abort())
    page.click("#refresh")
    expect(page.locator("#net")).to_contain_text("连不上服务器")
    here.context.unroute("**/api/v1/operations?*")
    page.clock.run_for(11_000)
    expect(page.locator("#net")).to_be_hidden()


def test_eleven_districts_of_a_hundred_sites_stay_usable(station: Up, visit: Visits) -> None:
    def crowd(view: Any) -> None:
        half_done(view)
        for district in view["districts"]:
            dates = [day["date"] for day in district["capacity"]]
            district["capacity"] = [
                {"date": day, "capacity": 24_000, "taken": 1_700 * i} for i, day in enumerate(dates)
            ]
            district["slots"] = [
                {
                    "site": f"{district['code']}-{n}", "date": day, "period": period, "product": product,
                    "capacity": 60, "taken": (n + i) % 61,
                }
                for n in range(1, 101) for i, day in enumerate(dates)
                for period in ("am", "pm") for product in ("inactivated", "cho")
            ]  # fmt: skip

    here = visit(station, viewport=DESKTOP, recorded=False)
    changed(here.context, station.url, crowd)
    page = here.open()
    sign_in_on_call(page, station)
    expect(page.locator("#capacity .site")).to_have_count(0)
    page.locator(f"#capacity tbody[data-code='{TIANHE}'] .fold").click()
    expect(page.locator("#capacity .site")).to_have_count(100)
    assert page.locator("#capacity .site th").nth(9).inner_text().startswith("440106-10"), "in the order of numbers"
    box = page.locator("#capacity .wide").bounding_box()
    assert box is not None and box["height"] <= DESKTOP["height"], "the table scrolls, not the page"
    look(page, "ops-large")
