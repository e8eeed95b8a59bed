"""Close the page, we call you: asked for on the waiting page, and more time where the call has come."""

from pathlib import Path

from playwright.sync_api import expect

from tests.support.browser import Visits, look
from tests.support.serving import TIANHE, quick_city, until, up
from tests.support.steps import adjust, demo, fill_papers


def test_who_waits_asks_for_an_sms_and_who_is_called_gets_more_time_once(tmp_path: Path, visit: Visits) -> None:
    city = quick_city(tmp_path, poll_floor_seconds=1, poll_ceiling_seconds=2)
    clock = ("--clock", "2021-06-19T08:00:30+08:00")
    with up(tmp_path / "data", "--city", str(city), *clock, "--workers", "1") as server:
        adjust(server, rate_per_second=0.001)
        for i in (1, 2):
            server.join(demo(i))
        page = visit(server).open(f"/#{TIANHE}")
        fill_papers(page, demo(0))
        page.click("#go")
        page.click("#alerts button >> text=到时短信叫我")
        expect(page.locator("#alerts")).to_contain_text("大约提前 10 分钟")
        look(page, "alerts-1-on")
        page.click("#alerts button >> text=不用发短信了")
        page.click("#alerts button >> text=到时短信叫我")
        expect(page.locator("#alerts")).to_contain_text("已为您设好短信")
        adjust(server, rate_per_second=100.0)
        file = tmp_path / "data" / "sms.jsonl"
        until(lambda: file.exists() and "轮到您了（3号）" in file.read_text("utf-8"), "the SMS")
        expect(page.locator("#more-time button")).to_have_text("我需要更多时间")
        look(page, "alerts-2-called")
        before = page.locator("#ready-until").inner_text()
        page.click("#more-time button")
        expect(page.locator("#ready-until")).to_contain_text("已延长到")
        expect(page.locator("#more-time button")).to_have_count(0)
        assert page.locator("#ready-until").inner_text() != before
        look(page, "alerts-3-more-time")
        page.click("#claim")
        expect(page.locator("#register")).to_be_visible()
