"""One person at the desk's page: by card, by full name, taken back when mistaken; and the day on paper."""

from typing import Any

from playwright.sync_api import expect

from tests.support.browser import DESKTOP, Visits, look, picture
from tests.support.desk_page import confirm, sign_in_at_the_desk, type_number
from tests.support.serving import Up
from tests.support.steps import demo, roster, staff_token, stored

SITE, DISTRICT, AFTERNOON = "440115-1", "440115", 18


def test_somebody_is_found_by_card_marked_by_mistake_and_taken_back(morning: Up, visit: Visits) -> None:
    token = staff_token(morning, SITE, "desk")
    number, who = roster(morning, SITE, token)["pm"]["registration_no"], demo(AFTERNOON, DISTRICT)
    here = visit(morning, viewport=DESKTOP)
    page = here.open()
    sign_in_at_the_desk(page, morning, token)
    assert who.name not in page.content(), "a list has no full names"

    page.locator(f"#e{number} .check-in").click()
    expect(page.locator("#confirm-name")).to_have_text(f"{who.name[0]}*")
    page.click("#reveal")
    expect(page.locator("#confirm-name")).to_have_text(who.name)
    expect(page.locator("#confirm-facts")).to_contain_text(who.id_number[-4:])
    expect(page.locator("#reveal")).to_be_hidden()
    look(page, "desk-person-1-full-name")
    page.click("#confirm-close")

    type_number(page, who.id_number)  # a reader of cards types where the hand scanner does
    expect(page.locator("#confirm-name")).to_have_text(who.name)
    expect(page.locator("#regno")).to_have_value("")
    confirm(page)
    expect(page.locator(f"#e{number} .badge.fulfilled")).to_be_visible()
    expect(page.locator("#undo-last")).to_be_visible()
    look(page, "desk-person-2-marked")

    page.click("#undo-last")
    expect(page.locator("#undo")).to_be_visible()
    expect(page.locator("#attended")).to_be_hidden()
    page.press("#undo-why", "Enter")
    expect(page.locator("#undo-why")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#undo-why")).to_be_focused()
    look(page, "desk-person-3-why")
    page.fill("#undo-why", "点错了 2 次")
    page.press("#undo-why", "Enter")
    expect(page.locator(f"#e{number} .check-in")).to_be_visible()
    expect(page.locator("#undo-last")).to_be_hidden()
    assert roster(morning, SITE, token)["pm"]["state"] == "booked"

    page.locator("#by-card summary").click()
    page.select_option("#card-type", "passport")
    page.fill("#card-number", "X1234567")
    page.press("#card-number", "Enter")
    expect(page.locator("#card-number-error")).to_contain_text("没有用这个证件的预约")
    look(page, "desk-person-4-nobody")
    kept = stored(page)
    assert not [it for it in (who.name, who.id_number, who.phone, "X1234567") if it in kept], "nothing stays behind"
    for call in here.calls:
        assert who.id_number not in call.path and "X1234567" not in call.path


def test_the_day_is_printed_and_saved_for_a_power_cut(morning: Up, visit: Visits) -> None:
    token = staff_token(morning, SITE, "desk")
    here = visit(morning, viewport=DESKTOP, locale="en-GB")
    page = here.open()
    sign_in_at_the_desk(page, morning, token)
    with page.expect_download() as saved:
        page.click("#csv")
    assert saved.value.suggested_filename == f"roster-{SITE}-2021-06-19.csv"
    rows = saved.value.path().read_bytes().decode("utf-8-sig").splitlines()
    assert rows[0].startswith("Time of day,Number,Name,") and len(rows) == 3
    page.evaluate("window.print = () => dispatchEvent(new Event('beforeprint'))")
    page.click("#print")
    page.emulate_media(media="print")
    expect(page.locator("#paper-table tbody tr")).to_have_count(2)
    expect(page.locator(".roster")).to_be_hidden()
    cells: Any = page.locator("#paper-table tbody tr").first.locator("td").all_inner_texts()
    assert cells[1].count(" ") == 2 and cells[2].endswith("*") and cells[-1] == ""
    picture(page, "desk-paper")
