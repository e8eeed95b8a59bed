"""What the page says at the hours and in the troubles of an opening, and that nothing is lost in them."""

from pathlib import Path

from playwright.sync_api import expect

from tests.support.browser import Visits, look
from tests.support.serving import HAIZHU, TIANHE, quick_city, up
from tests.support.steps import adjust, choose, come_in, demo, fill_papers, number_of


def test_the_draw_the_wait_a_pause_and_no_network(tmp_path: Path, visit: Visits) -> None:
    city = quick_city(tmp_path, draw_seconds=12, poll_floor_seconds=1)
    clock = ("--clock", "2021-06-19T07:59:57+08:00")
    with up(tmp_path / "data", "--city", str(city), *clock, "--workers", "1") as server:
        adjust(server, rate_per_second=0.02)
        here = visit(server, recorded=False)
        page = here.open(f"/#{TIANHE}")
        expect(page.locator("#go")).to_be_enabled()  # by itself, when the hour strikes
        expect(page.locator("#opening")).to_contain_text("抽签")
        look(page, "draw-1-opening")
        fill_papers(page, demo(0))
        page.click("#go")
        expect(page.locator("#sending, #queue").locator("visible=true")).to_be_visible()
        expect(page.locator("#queue")).to_be_visible()
        look(page, "draw-2-in-the-draw")
        page.close()  # "you may close this page"
        page = here.open()
        expect(page.locator("#number")).to_have_text("1")
        expect(page.locator("#line")).to_be_visible()
        look(page, "waiting")

        adjust(server, paused=True, message="停电检修，约半小时后恢复。")
        expect(page.locator("#queue .message")).to_contain_text("停电检修")
        look(page, "paused-1-waiting")
        other = visit(server).open(f"/#{TIANHE}")
        expect(other.locator("#opening .message")).to_contain_text("停电检修")
        expect(other.locator("#stand")).to_contain_text("暂停")
        look(other, "paused-2-opening")

        here.context.set_offline(True)
        expect(page.locator("#trouble")).to_be_visible()
        expect(page.locator("#trouble")).to_contain_text("位置")  # your place is kept
        look(page, "offline")
        adjust(server, paused=False, message="", rate_per_second=100.0)
        here.context.set_offline(False)
        come_in(page)  # it goes on by itself
        here.context.set_offline(True)
        page.check("[name=accept_any_site]")
        page.click("#submit")
        expect(page.locator("#trouble")).to_be_visible()
        here.context.set_offline(False)
        number_of(page)  # sent again, registered once


def test_a_window_that_closes_under_a_half_filled_form(tmp_path: Path, visit: Visits) -> None:
    city = quick_city(tmp_path, grace_seconds=6, poll_floor_seconds=1)
    clock = ("--clock", "2021-06-19T11:59:30+08:00")
    with up(tmp_path / "data", "--city", str(city), *clock, "--workers", "1") as server:
        page = visit(server).open(f"/#{TIANHE}")
        fill_papers(page, demo(0))
        page.click("#go")
        come_in(page)
        page.locator("#choices select").first.select_option(index=2)
        chosen = page.locator("#choices select").first.input_value()
        expect(page.locator("#grace")).to_be_visible()
        look(page, "grace")
        expect(page.locator("#over")).to_be_visible()
        expect(page.locator("#over")).to_contain_text("6/20")  # the next window
        look(page, "grace-over")
        assert chosen in page.evaluate("JSON.stringify(localStorage)"), "the draft is kept"
        page.goto(f"{server.url}/#{TIANHE}")
        page.reload()
        expect(page.locator("#opening, #over").locator("visible=true")).to_be_visible()
        look(page, "ended")


def test_before_the_opening_one_can_ask_whether_one_may(tmp_path: Path, visit: Visits) -> None:
    clock = ("--clock", "2021-06-19T11:30:00+08:00")
    with up(tmp_path / "data", "--city", str(quick_city(tmp_path)), *clock, "--workers", "1") as server:
        here = visit(server)
        page = here.open(f"/#{HAIZHU}")
        expect(page.locator("#stand-clock")).to_contain_text(":")  # counts down by the server's clock
        expect(page.locator("#go")).to_be_disabled()
        look(page, "before-1-opening")
        fill_papers(page, demo(0, HAIZHU))
        page.click("#check")
        expect(page.locator("#eligible")).to_be_visible()
        look(page, "before-2-may")
        page.fill("#id_number", demo(0).id_number)
        page.fill("#phone", demo(0).phone)
        page.click("#check")
        expect(page.locator("#refused")).to_contain_text("天河区")
        look(page, "before-3-may-not")
        assert not [c for c in here.calls if c.path.endswith("/tickets")], "asking takes no place"


def test_at_night_the_system_rests_and_says_until_when(tmp_path: Path, visit: Visits) -> None:
    clock = ("--clock", "2021-06-19T21:00:00+08:00")
    with up(tmp_path / "data", "--city", str(quick_city(tmp_path)), *clock, "--workers", "1") as server:
        page = visit(server).open()
        expect(page.locator("#rest")).to_be_visible()
        expect(page.locator("#rest")).to_contain_text("08:00")
        look(page, "night-1-list")
        choose(page)
        expect(page.locator("#join")).to_be_hidden()
        look(page, "night-2-opening")
        page.goto(f"{server.url}/#find")
        page.fill("#find-id_number", demo(0).id_number)
        page.fill("#find-phone", demo(0).phone)
        page.click("#send-code")
        expect(page.locator("#find .bad")).to_contain_text("08:00")
        look(page, "night-3-find")
