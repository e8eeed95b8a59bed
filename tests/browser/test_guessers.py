"""P1 in a browser: whose door a guesser has shut gets in by a code, on the page and on the plain one."""

from collections.abc import Callable

import httpx
from playwright.sync_api import expect

from tests.support.browser import DESKTOP, Visit, look
from tests.support.old_phone import OldPhone
from tests.support.ops_page import sign_in_on_call
from tests.support.serving import API, TIANHE, Person, Up
from tests.support.steps import choose, code_from, demo, fill_papers


def shut(server: Up, who: Person) -> None:
    """A stranger has tried five phones on them."""
    for i in range(5):
        answer = server.call("POST", f"{API}/openings/{TIANHE}/tickets", json=who.papers(phone=f"1380000800{i}"))
        assert answer.status_code == httpx.codes.FORBIDDEN


def test_the_page_offers_a_code_to_whom_a_guesser_has_shut_out(morning: Up, visit: Callable[..., Visit]) -> None:
    who = demo(12)
    shut(morning, who)
    page = visit(morning).open()
    choose(page)
    fill_papers(page, who)
    page.click("#go")
    expect(page.locator("#refused")).to_contain_text("用短信验证码证明是您本人")
    expect(page.locator("#prove-code")).to_be_visible()
    look(page, "door-shut")
    page.click("#refused a")
    expect(page.locator("#prove-send")).to_be_focused()
    page.click("#prove-send")
    expect(page.locator("#prove-sent")).to_contain_text("****")
    expect(page.locator("#prove-code")).to_be_focused()
    expect(page.locator("#prove-send")).to_be_disabled()
    page.fill("#prove-code", "12")
    page.click("#go")
    expect(page.locator("#prove-code-error")).to_be_visible()
    look(page, "door-code-wrong")
    page.fill("#prove-code", code_from(morning, who.phone))
    page.click("#go")
    expect(page.locator("#queue, #ready").locator("visible=true").first).to_be_visible()
    assert who.phone not in str(page.evaluate("JSON.stringify([localStorage, sessionStorage])"))


def test_the_page_offers_the_code_in_english_too(morning: Up, visit: Callable[..., Visit]) -> None:
    who = demo(13)
    shut(morning, who)
    page = visit(morning, locale="en-GB").open()
    choose(page)
    fill_papers(page, who)
    page.click("#go")
    expect(page.locator("#refused")).to_contain_text("prove by a code sent by SMS")
    expect(page.locator("#prove-send")).to_have_text("Send the code")
    look(page, "door-shut-en")


def test_the_plain_page_offers_the_code_without_scripts(morning: Up, visit: Callable[..., Visit]) -> None:
    who = demo(14)
    shut(morning, who)
    phone = OldPhone(visit, morning)
    page = phone.page
    page.goto(f"{morning.url}/plain/{TIANHE}")
    fill_papers(page, who)
    page.click("#go")
    expect(page.locator("#trouble")).to_contain_text("次数太多")
    page.click("#send-code")
    expect(page.locator("#code-sent")).to_be_visible()
    phone.look("door-plain-code")
    page.fill("#code", code_from(morning, who.phone))
    page.press("#code", "Enter")
    expect(page).to_have_url(f"{morning.url}/plain/ticket")


def test_the_operator_sees_the_attack(morning: Up, visit: Callable[..., Visit]) -> None:
    shut(morning, demo(15))
    page = visit(morning, viewport=DESKTOP).open()
    sign_in_on_call(page, morning)
    tile = page.locator("#totals [data-key=tPapers]")
    expect(tile).to_contain_text("证件不符")
    expect(tile).to_contain_text("锁住")
    expect(page.locator("#openings-rows tr").first).to_contain_text("锁住")
    look(page, "door-ops")
