"""The journey in a browser that runs no scripts."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Visits
from tests.support.old_phone import OldPhone
from tests.support.serving import API, BAIYUN, TIANHE, Person, Up, quick_city, until, up
from tests.support.steps import adjust, code_from, demo, fill_papers


def number_of(page: Page) -> str:
    """The registration number on the page."""
    no = page.locator("#no").inner_text().replace(" ", "").replace("\u00a0", "")
    assert len(no) == 15 and no.isdigit(), no
    return no


def test_the_draw_and_the_wait_go_on_by_themselves(tmp_path: Path, visit: Visits) -> None:
    city = quick_city(tmp_path, draw_seconds=8, poll_floor_seconds=1, poll_ceiling_seconds=2)
    clock = ("--clock", "2021-06-19T07:59:58+08:00")
    with up(tmp_path / "data", "--city", str(city), *clock, "--workers", "1") as server:
        adjust(server, rate_per_second=0.02)
        phone = OldPhone(visit, server)
        page = phone.page
        until(lambda: server.call("GET", f"{API}/openings/{TIANHE}").json()["state"] == "draw", "the opening")
        page.goto(f"{server.url}/plain/{TIANHE}")
        expect(page.locator("#stand")).to_have_attribute("data-state", "draw")
        fill_papers(page, demo(0))
        page.click("#go")
        expect(page.locator("#ticket")).to_have_attribute("data-state", "drawing")
        phone.look("plain-wait-1-in-the-draw")
        expect(page.locator("#ticket")).to_have_attribute("data-state", "waiting")  # by the Refresh header
        expect(page.locator("#number")).to_have_text("1")
        phone.look("plain-wait-2-waiting")
        adjust(server, paused=True, message="停电检修，约半小时后恢复。")
        expect(page.locator("#message")).to_have_text("停电检修，约半小时后恢复。")
        phone.look("plain-wait-3-paused")
        adjust(server, paused=False, message="", rate_per_second=100.0)
        expect(page.locator("#ticket")).to_have_attribute("data-state", "ready")
        assert page.title().startswith("叫到您了")
        assert page.url == f"{server.url}/plain/ticket", "nothing personal in the address"


def test_from_the_list_to_the_receipt_and_cancelled_without_scripts(morning: Up, visit: Visits) -> None:
    who = demo(11, BAIYUN)
    phone = OldPhone(visit, morning)
    page = phone.page
    expect(page).to_have_url(f"{morning.url}/plain")  # by itself
    phone.look("plain-1-list")
    page.click(f"#d{BAIYUN}")
    expect(page.locator("#stand")).to_have_attribute("data-state", "open")
    phone.look("plain-2-opening")
    fill_papers(page, who)
    page.click("#go")
    expect(page.locator("#ticket")).to_have_attribute("data-state", "ready")
    phone.look("plain-3-called")
    page.click("#claim")
    expect(page.locator("#wishes")).to_be_visible()
    phone.look("plain-4-wishes")
    page.uncheck("#any_site")
    page.click("#submit")
    expect(page.locator("#preferences-error, #site1-error").first).to_be_visible()
    phone.look("plain-5-no-wishes")
    page.select_option("#site1", index=2)
    page.select_option("#period1", "am")
    page.check("#any_site")
    page.click("#submit")
    expect(page.locator("#title")).to_have_attribute("data-state", "proposed")
    no = number_of(page)
    expect(page.locator("#facts")).to_contain_text("白云区演示接种点2")
    assert page.locator("#qr").evaluate("async (it) => { await it.decode(); return it.naturalWidth > 0; }")
    phone.look("plain-6-registered")
    page.reload()
    assert number_of(page) == no
    page.click("#edit")
    expect(page.locator("#site1")).to_have_value(f"{BAIYUN}-2")
    page.select_option("#site1", index=1)
    page.click("#submit")
    expect(page.locator("#facts")).to_contain_text("白云区演示接种点1")
    page.click("#to-cancel")
    expect(page.locator("#cancel")).to_be_visible()
    phone.look("plain-7-cancel")
    page.locator("form[action='/plain/cancel'] a").click()  # not after all
    expect(page.locator("#title")).to_have_attribute("data-state", "proposed")
    page.click("#to-cancel")
    page.click("#cancel")
    expect(page.locator("#title")).to_have_attribute("data-state", "cancelled")
    assert number_of(page) == no
    phone.look("plain-8-cancelled")
    page.goto(f"{morning.url}/plain")
    expect(page.locator("#mine .no")).to_have_text(f"{no[:5]} {no[5:10]} {no[10:]}")
    kept = page.context.cookies()
    assert kept and all(it["httpOnly"] and it["sameSite"] == "Strict" for it in kept)
    assert not [it for it in (who.id_number, who.phone, who.name) if it in str(kept)]


def test_found_again_by_sms_in_english_and_forgotten(morning: Up, visit: Visits) -> None:
    who = demo(19, BAIYUN)  # has an appointment in two days
    phone = OldPhone(visit, morning, locale="en-GB", color_scheme="dark")
    page = phone.page
    expect(page).to_have_url(f"{morning.url}/plain")
    page.click("#to-find")
    phone.look("plain-en-1-find")
    page.fill("#id_number", who.id_number)
    page.fill("#phone", who.phone)
    page.click("#send-code")
    expect(page.locator("#code-sent")).to_contain_text("5 minutes")
    phone.look("plain-en-2-code")
    code = code_from(morning, who.phone)
    page.fill("#code", f"{(int(code) + 1) % 1_000_000:06}")
    page.click("#open-it")
    expect(page.locator("#code")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#code")).to_be_focused()
    phone.look("plain-en-3-wrong-code")
    page.fill("#code", code)
    page.click("#open-it")
    expect(page.locator("#appointment")).to_contain_text("Baiyun demo site 1")
    expect(page.locator("#appointment")).to_contain_text("08:30")
    phone.look("plain-en-4-appointment")
    with page.expect_download() as download:
        page.click("#ics")
    assert "BEGIN:VEVENT" in download.value.path().read_text(encoding="utf-8")
    page.click("#large")
    expect(page.locator("html")).to_have_class("large")
    phone.look("plain-en-5-large")
    for it in page.locator("button, .button, input:not([type=hidden])").all():
        box = it.bounding_box()
        assert box is not None and box["height"] >= 60, it.evaluate("it => it.outerHTML")
    page.click("[name=lang][value=zh-Hans]")
    expect(page.locator("#appointment")).to_contain_text("6月21日")
    page.click("[name=lang][value=en]")
    page.click("#to-cancel")
    expect(page.locator("main")).to_contain_text("Baiyun demo site 1")
    phone.look("plain-en-6-cancel")
    page.click("#cancel")
    expect(page.locator("#title")).to_have_attribute("data-state", "cancelled")
    page.click("#to-forget")
    phone.look("plain-en-7-forget")
    page.click("#forget")
    expect(page).to_have_url(f"{morning.url}/plain")
    expect(page.locator("#mine")).to_have_count(0)
    assert {it["name"] for it in page.context.cookies()} <= {"lang", "large", "form_key"}  # nothing of a resident
    page.goto(f"{morning.url}/plain/registration")
    expect(page.locator("#trouble")).to_be_visible()
    phone.look("plain-en-8-nothing-here")


WRONG = demo(10, BAIYUN)


@pytest.mark.parametrize(
    ("name", "who", "says"),
    [
        ("digit", Person(WRONG.id_number[:-1] + "A", WRONG.name, WRONG.phone), "证件号码"),
        ("html", Person(WRONG.id_number, "<img src=x onerror=1>", WRONG.phone), "不一致"),
        ("district", demo(10, TIANHE), "天河区"),
    ],
)
def test_wrong_papers_are_told_and_kept_in_the_form(
    morning: Up, visit: Visits, name: str, who: Person, says: str
) -> None:
    phone = OldPhone(visit, morning)
    page = phone.page
    expect(page).to_have_url(f"{morning.url}/plain")
    page.click(f"#d{BAIYUN}")
    fill_papers(page, who)
    page.click("#go")
    expect(page.locator("#trouble")).to_contain_text(says)
    expect(page.locator("#name")).to_have_value(who.name)
    expect(page.locator("#id_number")).to_have_value(who.id_number)
    assert page.locator("main img").count() == 0
    phone.look(f"plain-wrong-{name}")
    page.locator("#trouble a").first.click()
    if name == "district":
        expect(page.locator("h2.place")).to_have_text("天河区")
    elif name == "digit":
        expect(page.locator("#id_number")).to_be_focused()
