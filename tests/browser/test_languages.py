"""The languages of the page: chosen, kept, read from right to left, and whom the page cannot be shown at all."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visits, look
from tests.support.mirrored import TAG, product_with_it
from tests.support.serving import TIANHE, Up, quick_city, up
from tests.support.steps import choose, come_in, demo, fill_papers, register, sideways


def test_another_language_keeps_what_was_typed_and_stays_chosen(morning: Up, visit: Visits) -> None:
    here = visit(morning, locale="zh-HK")
    page = here.open()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hant")
    choose(page)
    expect(page.locator("label[for=name]")).to_have_text("姓名")
    expect(page.locator("label[for=id_type]")).to_have_text("證件類別")
    look(page, "zh-Hant-opening")
    fill_papers(page, demo(18))
    page.select_option("#language", "en")
    expect(page.locator("label[for=id_type]")).to_have_text("Kind of ID")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#name")).to_have_value(demo(18).name)
    assert re.findall("[\u4e00-\u9fff]+", page.locator("main").inner_text()) == []
    page.reload()
    expect(page.locator("label[for=id_type]")).to_have_text("Kind of ID")
    expect(page.locator("#language")).to_have_value("en")
    page.evaluate("location.hash = ''")
    page.locator("#list .hint a").click()  # the plain pages go on in it
    expect(page.locator("h2").first).to_have_text("Where did you have your first dose?")
    page.goto(f"{morning.url}/plain/{TIANHE}")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_language_that_cannot_be_fetched_leaves_the_page_as_it_is(morning: Up, visit: Visits) -> None:
    page = visit(morning).open()
    expect(page.locator("#districts a").first).to_be_visible()
    page.route("**/words/en*", lambda route: route.abort())
    page.select_option("#language", "en")
    expect(page.locator("#polite")).to_contain_text("网络连不上")
    expect(page.locator("#language")).to_have_value("zh-Hans")
    page.unroute("**/words/en*")
    page.select_option("#language", "en")
    expect(page.locator("#districts a").first).to_contain_text("Open")


def test_who_chose_chinese_before_there_were_two_ways_to_write_it_still_has_it(morning: Up, visit: Visits) -> None:
    here = visit(morning, locale="en-GB")
    here.context.add_init_script("if (location.port) localStorage['jiaohao:language'] = '\"zh\"'")
    page = here.open()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("#districts a").first).to_contain_text("天河区")


LACKS = {
    "what scripts call": "delete Array.prototype.flatMap",
    "modules": "delete HTMLScriptElement.prototype.noModule",
}


@pytest.mark.parametrize("lacks", [*LACKS, "what scripts are written in"])
def test_a_browser_that_is_too_old_is_led_to_the_plain_pages_and_told_why(
    morning: Up, visit: Visits, lacks: str
) -> None:
    here = visit(morning, recorded=False)
    if lacks in LACKS:
        here.context.add_init_script(LACKS[lacks])
    else:
        here.context.route("**/app.js", lambda route: route.fulfill(body="let a = ;", content_type="text/javascript"))
    page = here.open()
    expect(page.locator("#why-here")).to_contain_text("您的浏览器太旧")
    assert page.url == f"{morning.url}/plain?why=browser"
    look(page, "plain-why-browser")
    here.errors.clear()  # the script that it cannot read


def test_a_script_that_does_not_come_is_no_old_browser(morning: Up, visit: Visits) -> None:
    here = visit(morning, recorded=False)
    here.context.route("**/app.js", lambda route: route.abort())
    page = here.open()
    page.wait_for_load_state("load")
    expect(page.locator("#loading a")).to_be_visible()
    assert page.url == f"{morning.url}/"


def test_a_language_read_from_right_to_left_is_a_folder_and_fits_a_phone(tmp_path: Path, visit: Visits) -> None:
    product = product_with_it(tmp_path / "product")
    city = quick_city(tmp_path, poll_floor_seconds=1)
    clock = ("--clock", "2021-06-19T08:00:00+08:00")
    with up(tmp_path / "data", "--city", str(city), *clock, "--workers", "1", root=product) as server:
        here = visit(server, locale="ar-EG")
        page = here.open()
        expect(page.locator("#districts a").first).to_be_visible()
        for attribute, value in (("dir", "rtl"), ("lang", TAG)):
            expect(page.locator("html")).to_have_attribute(attribute, value)
        assert sideways(page) == []
        look(page, "rtl-1-districts")
        name, state = page.locator("#districts a").first.locator(">*").all()
        beside = name.bounding_box(), state.bounding_box()
        assert beside[0] and beside[1] and beside[0]["x"] > beside[1]["x"], "the first is on the right"
        choose(page)
        look(page, "rtl-2-opening")
        assert sideways(page) == []
        fill_papers(page, demo(0))
        page.click("#go")
        expect(page.locator("#ready")).to_be_visible()
        look(page, "rtl-3-called")
        come_in(page)
        look(page, "rtl-4-wishes")
        no = register(page)
        shown = page.locator("#no")
        assert shown.inner_text().replace(" ", "") == no
        assert shown.evaluate("it => getComputedStyle(it).direction") == "ltr", "a number reads as it is"
        look(page, "rtl-5-receipt")
        page.set_viewport_size({"width": 320, "height": 640})
        page.click("#large")
        assert sideways(page) == []
        page.goto(f"{server.url}/plain")
        expect(page.locator("html")).to_have_attribute("dir", "rtl")
        look(page, "rtl-6-plain")
        page.goto(f"{server.url}/plain/{TIANHE}")
        assert sideways(page) == []
        look(page, "rtl-7-plain-opening")
