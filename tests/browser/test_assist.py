"""The helpers' page in a real browser: many residents side by side, typed and scanned; nothing of them stays behind."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import DESKTOP, Visits, look, picture
from tests.support.serving import API, TIANHE, Up, operator_token, quick_city, run_cli, up
from tests.support.steps import demo, stored


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A server just after 08:00, whose lane lets a helper join fast."""
    folder = tmp_path_factory.mktemp("lane")
    city = quick_city(folder, poll_floor_seconds=1)
    with up(folder / "data", "--city", str(city), "--clock", "2021-06-19T08:00:05+08:00", "--workers", "1") as server:
        yield server


def helper_token(server: Up, organisation: str = "shamian") -> str:
    """As the command line gives it."""
    done = run_cli("token", "assist", organisation, "--no-link", "--data-dir", str(server.data_dir))
    assert done.returncode == 0, done.stderr
    assert f"audit name: assist/{organisation}/" in done.stderr
    return done.stdout.strip()


def sign_in(page: Page, server: Up, token: str) -> None:
    page.goto(f"{server.url}/assist#token={token}")
    expect(page.locator("#lane")).to_be_visible()
    assert "token" not in page.url, "a token in the address would be in the history and over shoulders"
    page.select_option("#district", TIANHE)


def test_a_helper_brings_several_by_scanner_and_keyboard_and_prints_their_slips(lane: Up, visit: Visits) -> None:
    token, first, second = helper_token(lane), demo(0), demo(1)
    here = visit(lane, viewport=DESKTOP)
    page = here.open()
    sign_in(page, lane, token)
    look(page, "assist-1-empty")

    page.locator("#id_number").focus()
    page.keyboard.insert_text(f"{first.name},{first.id_number},{first.phone}")  # one line of a scanner
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_value(first.name)
    expect(page.locator("#phone")).to_have_value(first.phone)
    expect(page.locator("#consent-error")).to_be_visible()  # all is there, but nobody has agreed
    expect(page.locator("[name=consent][value=self]")).to_be_focused()
    look(page, "assist-2-who-agreed")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("li.person")).to_have_count(1)
    expect(page.locator("#id_number")).to_be_focused()
    expect(page.locator("#id_number")).to_have_value("")

    page.keyboard.insert_text(second.id_number)
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_be_focused()
    page.keyboard.insert_text("别人")
    page.keyboard.press("Enter")
    page.keyboard.insert_text(second.phone)
    page.check("[name=consent][value=phone]")
    page.press("#phone", "Enter")
    expect(page.locator("#add-error")).to_contain_text("不一致")
    look(page, "assist-3-other-name")
    page.fill("#name", second.name)
    page.press("#phone", "Enter")
    expect(page.locator("li.person.done")).to_have_count(2)
    expect(page.locator("#counts")).to_contain_text("2")
    look(page, "assist-4-registered")
    kept = stored(page)
    assert not [it for who in (first, second) for it in (who.name, who.id_number, who.phone) if it in kept]
    page.reload()
    expect(page.locator("li.person.done")).to_have_count(2)
    expect(page.locator("li.person").first.locator("h3")).to_contain_text(f"{second.name[0]}*")

    page.evaluate("window.print = () => {}")
    page.locator("li.person.done button").first.click()
    page.emulate_media(media="print")
    expect(page.locator("#slip .number")).to_be_visible()
    expect(page.locator("#lane")).to_be_hidden()
    assert page.evaluate("parseFloat(getComputedStyle(document.getElementById('slip')).fontSize)") >= 28, "22 pt"
    expect(page.locator("#slip img")).to_be_visible()
    picture(page, "assist-slip")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")

    found = lane.call("GET", f"{API}/operations/acts?district={TIANHE}", bearer=operator_token(lane.data_dir)).json()
    done = [it for it in found["acts"] if it["act"] == "register"]
    assert len(done) == 2 and {it["actor"].rpartition("/")[0] for it in done} == {"assist/shamian"}
    assert {it["consent"] for it in found["acts"] if it["act"] == "join" and not it["why"]} == {"self", "phone"}

    page.click("#signout")
    expect(page.locator("#signin")).to_be_visible()
    expect(page.locator("#signin-note")).to_contain_text("没有留下")
    assert token not in stored(page) and "jiaohao-assist" not in stored(page)


def test_before_the_opening_they_wait_on_the_page_and_a_place_can_be_given_up(lane: Up, visit: Visits) -> None:
    """Haizhu opens at noon: papers are looked at at once, and the join waits."""
    here = visit(lane, locale="en-GB", color_scheme="dark")
    page = here.open()
    sign_in(page, lane, helper_token(lane, "hotline-12345"))
    page.select_option("#district", "440105")
    who = demo(2, "440105")
    for wrong in (True, False):
        page.fill("#id_number", who.id_number)
        page.fill("#name", "Somebody Else" if wrong else who.name)
        page.fill("#phone", who.phone)
        page.check("[name=consent][value=family]")
        page.click("#add")
        if wrong:
            expect(page.locator("#add-error")).to_be_visible()
    expect(page.locator("li.person.queued")).to_contain_text("12:00")
    look(page, "assist-en-1-before-the-opening")
    page.locator("li.person button").click()
    expect(page.locator("#sure")).to_be_visible()
    look(page, "assist-en-2-sure")
    page.click("#sure-go")
    expect(page.locator("li.person")).to_have_count(0)
    page.click("#large")
    for it in page.locator("#lane button:visible, #lane select:visible").all():
        box = it.bounding_box()
        assert box is not None and box["height"] >= 60, it.evaluate("it => it.outerHTML")
    look(page, "assist-large")
