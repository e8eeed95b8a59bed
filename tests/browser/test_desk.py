"""The desk's page in a real browser: who comes is checked in once, also without a network; nothing stays behind."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Route, expect

from server.core.keys import key, resident_tag
from tests.support.browser import DESKTOP, Visits, look
from tests.support.desk_page import confirm, sign_in_at_the_desk, type_number
from tests.support.serving import API, Up, operator_token, store_client, until
from tests.support.steps import FILL, demo, roster, staff_token, stored

MORNING, AFTERNOON = 17, 18  # whom the demo gives today's appointments at the first site of each district
NOWHERE = "106190100000008"  # well formed, the check digit is stdnum's; nobody has it


def changed(number: str) -> str:
    """The number with another check digit."""
    return number[:-1] + str((int(number[-1]) + 1) % 10)


def test_a_typed_number_is_confirmed_and_attended_once(morning: Up, visit: Visits) -> None:
    site = "440106-1"
    token = staff_token(morning, site)
    entry = roster(morning, site, token)["am"]
    number = entry["registration_no"]
    here = visit(morning, viewport=DESKTOP)
    page = here.open(f"/staff#token={token}")
    assert "token" not in page.url, "a token in the address would be in the history and over shoulders"
    expect(page.locator("#site")).to_have_text("天河区演示接种点1")
    expect(page.locator("li.entry")).to_have_count(2)
    expect(page.locator("#expected")).to_have_text("2")
    who = demo(MORNING)
    text = page.locator("#desk").inner_text()
    assert f"{who.name[0]}*" in text and f"{who.phone[:3]}****{who.phone[-4:]}" in text
    assert not [it for it in (who.name, who.phone, who.id_number) if it in page.content() + stored(page)]
    look(page, "desk-1-roster")

    type_number(page, changed(number))
    expect(page.locator("#regno")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#regno-note")).to_contain_text("核对")
    look(page, "desk-2-wrong-digit")
    type_number(page, NOWHERE)
    expect(page.locator("#confirm.cannot")).to_be_visible()
    expect(page.locator("#confirm-title")).to_contain_text("不在本点名单上")
    expect(page.locator("#attended")).to_be_hidden()
    look(page, "desk-3-unknown")
    page.click("#confirm-close")

    type_number(page, f"{number[:5]} {number[5:10]} {number[10:]}")
    expect(page.locator("#confirm-name")).to_have_text(f"{who.name[0]}*")
    look(page, "desk-4-confirm")
    confirm(page)
    expect(page.locator("#last.good")).to_be_visible()
    expect(page.locator(f"#e{number} .badge.fulfilled")).to_be_visible()
    expect(page.locator("#here")).to_have_text("1")
    look(page, "desk-5-attended")
    now = roster(morning, site, token)
    assert (now["am"]["state"], now["pm"]["state"]) == ("fulfilled", "booked")

    type_number(page, number)  # again
    expect(page.locator("#confirm-title")).to_have_text("已经签到过了")
    expect(page.locator("#attended")).to_be_hidden()
    look(page, "desk-6-already")
    page.click("#confirm-close")
    assert [c.status for c in here.calls if c.path.endswith("/attendances")] == [200]
    page.reload()
    expect(page.locator(f"#e{number} .badge.fulfilled")).to_be_visible()
    page.locator("label", has=page.locator("[name=show][value=coming]")).click()
    expect(page.locator("li.entry")).to_have_count(1)
    expect(page.locator(f"#e{now['pm']['registration_no']}")).to_be_visible()
    look(page, "desk-7-to-come")


def test_a_desk_signs_in_by_pasting_cannot_close_and_leaves_nothing(morning: Up, visit: Visits) -> None:
    site = "440111-1"
    token = staff_token(morning, site, "desk")
    here = visit(morning, locale="en-GB", color_scheme="dark")
    page = here.open("/staff")
    expect(page.locator("#signin")).to_be_visible()
    look(page, "desk-en-1-sign-in")
    page.fill("#token", token[:-3] + "abc")
    page.click("#signin-go")
    expect(page.locator("#token-error")).to_contain_text("not valid")
    expect(page.locator("#token")).to_be_focused()
    look(page, "desk-en-2-wrong-token")
    page.fill("#token", f"  {morning.url}/staff#token={token}\n")  # the whole link, as it was sent
    page.click("#signin-go")
    expect(page.locator("#site")).to_have_text("Baiyun demo site 1")
    expect(page.locator("li.entry")).to_have_count(2)
    expect(page.locator("#to-closing")).to_be_hidden()
    page.goto(f"{morning.url}/staff#closing")
    expect(page.locator("#desk")).to_be_visible()
    expect(page.locator("#closing")).to_be_hidden()
    answer = morning.call(
        "POST", f"{API}/sites/{site}/closures", bearer=token, json={"date": "2021-06-19", "period": "am", "reason": "x"}
    )
    assert answer.status_code == 401, "nor by other ways"
    look(page, "desk-en-3-roster")
    page.click("#large")
    page.reload()
    expect(page.locator("#large")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("li.entry")).to_have_count(2)
    assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 24
    for it in page.locator("#desk button:visible, #desk .button:visible, #desk input:visible").all():
        box = it.bounding_box()
        assert box is not None and box["height"] >= 60, it.evaluate("it => it.outerHTML")
    look(page, "desk-large-1-roster")
    entry = roster(morning, site, token)["pm"]
    page.locator(f"#e{entry['registration_no']} .check-in").click()
    expect(page.locator("#confirm-warn")).to_contain_text("afternoon")  # it is morning
    look(page, "desk-large-2-confirm")
    page.click("#confirm-close")

    page.click("#signout")
    expect(page.locator("#signin")).to_be_visible()
    look(page, "desk-large-3-signed-out")
    kept = stored(page) + page.content()
    assert not [it for it in (token, entry["registration_no"], entry["name"], entry["phone"], site) if it in kept]
    page.reload()
    expect(page.locator("#signin")).to_be_visible()


def test_an_attendance_without_a_network_is_kept_and_sent_once(morning: Up, visit: Visits) -> None:
    site = "440105-1"
    token = staff_token(morning, site, "desk")
    entries = roster(morning, site, token)
    number = entries["am"]["registration_no"]
    here = visit(morning, recorded=False)  # what is recorded goes past set_offline
    page = here.open()
    answers: list[int] = []
    page.on("response", lambda it: answers.append(it.status) if it.url.endswith("/attendances") else None)
    sign_in_at_the_desk(page, morning, token)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")  # the page itself is kept, too
    here.context.set_offline(True)
    type_number(page, number)
    confirm(page)
    expect(page.locator(f"#e{number} .badge.queued")).to_be_visible()
    expect(page.locator("#outbox-title")).to_contain_text("1")
    expect(page.locator("#here")).to_have_text("1")
    look(page, "desk-offline-1-queued")
    page.reload()
    expect(page.locator(f"#e{number} .badge.queued")).to_be_visible()
    expect(page.locator("#net")).to_be_visible()
    look(page, "desk-offline-2-reloaded")
    type_number(page, number)
    expect(page.locator("#confirm-title")).to_have_text("已经签到过了")
    page.click("#confirm-close")
    type_number(page, NOWHERE)
    expect(page.locator("#confirm-text")).to_contain_text("无法核对")  # nobody is sent away for the network's sake
    look(page, "desk-offline-3-unknown")
    page.click("#confirm-close")
    assert roster(morning, site, token)["am"]["state"] == "booked"
    here.context.set_offline(False)
    expect(page.locator("#outbox")).to_be_hidden()  # by itself
    expect(page.locator(f"#e{number} .badge.fulfilled")).to_be_visible()
    expect(page.locator("#net")).to_be_hidden()
    assert roster(morning, site, token)["am"]["state"] == "fulfilled"
    assert answers == [200]


def test_a_full_device_says_that_the_page_must_stay_open(morning: Up, visit: Visits) -> None:
    site = "440118-1"
    token = staff_token(morning, site)
    number = roster(morning, site, token)["pm"]["registration_no"]
    here = visit(morning, recorded=False)
    page = here.open()
    sign_in_at_the_desk(page, morning, token)
    page.evaluate(FILL)
    here.context.set_offline(True)
    page.locator(f"#e{number} .check-in").click()
    confirm(page)
    expect(page.locator("#outbox-note")).to_contain_text("不要关闭页面")
    look(page, "desk-full")
    here.context.set_offline(False)
    expect(page.locator(f"#e{number} .badge.fulfilled")).to_be_visible()
    assert roster(morning, site, token)["pm"]["state"] == "fulfilled"


def test_signing_out_keeps_what_was_not_sent_without_names(morning: Up, visit: Visits) -> None:
    site = "440117-1"
    token = staff_token(morning, site)
    number = roster(morning, site, token)["am"]["registration_no"]
    here = visit(morning, recorded=False)
    page = here.open()
    sign_in_at_the_desk(page, morning, token)
    here.context.set_offline(True)
    type_number(page, number)
    confirm(page)
    expect(page.locator(f"#e{number} .badge.queued")).to_be_visible()
    page.click("#signout")
    expect(page.locator("#leave-text")).to_contain_text("1")
    look(page, "desk-leave")
    page.click("#leave-go")
    expect(page.locator("#signin-kept")).to_contain_text("1")
    look(page, "desk-leave-kept")
    kept = stored(page)
    assert number in kept, "the attendance is not lost"
    assert not [it for it in (token, f"{demo(MORNING, '440117').name[0]}*", "****") if it in kept]
    here.context.set_offline(False)
    page.evaluate("Math.random = () => 0")  # what is put off for a moment comes before the server has said who this is
    sign_in_at_the_desk(page, morning, token)
    expect(page.locator(f"#e{number} .badge.fulfilled")).to_be_visible()
    assert roster(morning, site, token)["am"]["state"] == "fulfilled"


def test_another_sites_resident_and_a_late_refusal_are_told(morning: Up, visit: Visits) -> None:
    site = "440113-1"
    token = staff_token(morning, site)
    entries = roster(morning, site, token)
    elsewhere = roster(morning, "440118-1", operator_token(morning.data_dir))["am"]["registration_no"]
    here = visit(morning, recorded=False)
    page = here.open()
    sign_in_at_the_desk(page, morning, token)
    type_number(page, elsewhere)
    expect(page.locator("#confirm-title")).to_have_text("不在本点名单上")
    expect(page.locator("#attended")).to_be_hidden()
    page.click("#confirm-close")
    number = entries["am"]["registration_no"]
    here.context.set_offline(True)
    type_number(page, number)
    confirm(page)
    expect(page.locator(f"#e{number} .badge.queued")).to_be_visible()
    with store_client(morning.data_dir) as client:  # meanwhile it is purged: a cancelled one would be kept, not refused
        (kept,) = [key for key in client.scan_iter("registration:*", 1000) if client.hget(key, "no") == number.encode()]
        client.delete(kept)
        client.hdel(f"roster:{{{site[:6]}:2021-06-19}}", number)
    closed = morning.call(  # and by the operator
        "POST",
        f"{API}/sites/{site}/closures",
        bearer=operator_token(morning.data_dir),
        json={"date": "2021-06-19", "period": "am", "reason": "停电"},
    )
    assert closed.json()["sent_back"] == 0, closed.text
    here.context.set_offline(False)
    expect(page.locator("#refusals")).to_contain_text(f"{number[:5]} {number[5:10]} {number[10:]}")
    expect(page.locator("#refusals")).to_contain_text("没有这个登记号，请逐位核对")
    expect(page.locator("#closures")).to_contain_text("停电")
    look(page, "desk-refused")
    page.locator("#refusals .dismiss").click()
    expect(page.locator("#refusals")).to_be_hidden()
    page.reload()
    expect(page.locator("#desk")).to_be_visible()
    expect(page.locator("#refusals")).to_be_hidden()


def test_a_manager_closes_an_afternoon_and_html_in_a_reason_stays_text(morning: Up, visit: Visits) -> None:
    site = "440104-1"
    reason = "<img src=x onerror=\"document.title='x'\"> 停电 & <b>检修</b>"
    token = staff_token(morning, site)
    here = visit(morning)
    page = here.open()
    sign_in_at_the_desk(page, morning, token)
    page.click("#to-closing")
    expect(page.locator("#closing-ask")).to_be_visible()
    expect(page.locator("#closing-date")).to_have_value("2021-06-19")
    page.locator("label", has=page.locator("[name=period][value=pm]")).click()
    page.click("#closing-next")
    expect(page.locator("#closing-reason")).to_have_attribute("aria-invalid", "true")  # no closing without a reason
    look(page, "closing-1-reason-missing")
    page.fill("#closing-reason", reason)
    page.click("#closing-next")
    expect(page.locator("#sure-many")).to_contain_text("1 人")
    look(page, "closing-2-sure")
    page.click("#closing-back")
    expect(page.locator("#closing-reason")).to_have_value(reason)
    assert {e["state"] for e in roster(morning, site, token).values()} == {"booked"}, "nothing has happened yet"
    page.click("#closing-next")
    page.locator("#closing-go").dblclick()
    expect(page.locator("#done-many")).to_contain_text("1 人")
    look(page, "closing-3-done")
    assert set(roster(morning, site, token)) == {"am"}
    assert next(c.data["sent_back"] for c in here.calls if c.path.endswith("/closures")) == 1
    page.locator("#closing-done a").click()
    expect(page.locator("#closures")).to_contain_text(reason)
    expect(page.locator("li.entry")).to_have_count(1)
    assert page.locator("main img, #closures b").count() == 0
    assert page.title().startswith("越秀区演示接种点1")
    look(page, "closing-4-roster")


def test_the_keyboard_and_a_hand_scanner_are_enough(morning: Up, visit: Visits) -> None:
    site = "440103-1"
    token = staff_token(morning, site, "desk")
    entries = roster(morning, site, token)
    first, second = entries["am"]["registration_no"], entries["pm"]["registration_no"]
    here = visit(morning, viewport=DESKTOP, reduced_motion="reduce")
    page = here.open("/staff")
    expect(page.locator("#signin")).to_be_visible()
    page.locator("#token").focus()
    page.keyboard.insert_text(token)
    page.keyboard.press("Enter")
    expect(page.locator("li.entry")).to_have_count(2)
    expect(page.locator("#regno")).to_be_focused()  # a scanner types where the focus is
    page.keyboard.type(first)
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-facts")).to_contain_text(f"{first[:5]} {first[5:10]} {first[10:]}")
    page.keyboard.press("Enter")  # a scanner's second Enter confirms nothing
    expect(page.locator("#attended")).not_to_have_attribute("aria-disabled", "true")
    assert not [c for c in here.calls if c.path.endswith("/attendances")]
    page.keyboard.type(second)  # the next one is scanned while the first is still asked about
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-facts")).to_contain_text(f"{second[:5]} {second[5:10]} {second[10:]}")
    expect(page.locator("#confirm-warn")).to_contain_text("上一位没有签到")
    look(page, "desk-scanned-over")
    page.keyboard.press("Escape")
    expect(page.locator("#confirm")).to_be_hidden()
    expect(page.locator("#regno")).to_be_focused()
    page.keyboard.type(first)
    page.keyboard.press("Enter")
    expect(page.locator("#attended")).not_to_have_attribute("aria-disabled", "true")
    expect(page.locator("#attended")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#last.good")).to_be_visible()
    expect(page.locator("#regno")).to_be_focused()
    expect(page.locator("#regno")).to_have_value("")
    page.keyboard.type(second[-5:])  # the last digits are enough where they are unique
    page.keyboard.press("Enter")
    expect(page.locator("#attended")).not_to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    expect(page.locator(f"#e{second} .badge.fulfilled")).to_be_visible()
    assert {e["state"] for e in roster(morning, site, token).values()} == {"fulfilled"}


CAMERA = """(codes) => {
    if (!navigator.mediaDevices) return;  // the empty page before the first
    window.tracks = [];
    navigator.mediaDevices.getUserMedia = async () => {
        const canvas = document.createElement("canvas");
        canvas.getContext("2d").fillRect(0, 0, 9, 9);
        const stream = canvas.captureStream(5);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
    window.BarcodeDetector = class {
        static async getSupportedFormats() { return ["qr_code"]; }
        async detect() { const rawValue = codes.shift(); return rawValue ? [{ rawValue }] : []; }
    };
}"""


def test_the_camera_finds_the_number_and_is_switched_off(morning: Up, visit: Visits) -> None:
    site = "440114-1"
    token = staff_token(morning, site, "desk")
    number = roster(morning, site, token)["am"]["registration_no"]
    here = visit(morning)
    without = here.context.new_page()
    without.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    sign_in_at_the_desk(without, morning, token)
    expect(without.locator("#scan")).to_be_hidden()
    expect(without.locator("#scan-why")).to_contain_text("不能扫码")
    without.close()
    here.context.add_init_script(f"({CAMERA})({[httpx.URL(morning.url).host, number]!r})")
    page = here.open("/staff")
    page.click("#scan")
    confirm(page)  # after a code that is no registration number
    expect(page.locator(f"#e{number} .badge.fulfilled")).to_be_visible()
    assert page.evaluate("tracks.length === 1 && tracks.every((it) => it.readyState === 'ended')")
    page.click("#scan")
    expect(page.locator("#camera")).to_be_visible()
    look(page, "desk-camera")
    page.click("#camera-close")
    expect(page.locator("#camera")).to_be_hidden()
    off = "tracks.length === 2 && tracks.every((it) => it.readyState === 'ended')"
    until(lambda: page.evaluate(off), "the camera is off")


@pytest.mark.parametrize("hash_", ["#token=rubbish", "#token=%E0%A4%A"])
def test_a_link_that_is_no_longer_good_leads_to_the_sign_in(morning: Up, visit: Visits, hash_: str) -> None:
    page = visit(morning).open(f"/staff{hash_}")
    expect(page.locator("#signin-note")).to_contain_text("重新登录")
    assert page.url == f"{morning.url}/staff"
    assert "rubbish" not in stored(page)
    look(page, "desk-expired")


def test_a_token_that_ends_at_the_desk_loses_no_attendance(morning: Up, visit: Visits) -> None:
    site = "440115-1"
    token = staff_token(morning, site, "desk")
    number = roster(morning, site, token)["am"]["registration_no"]
    here = visit(morning)
    page = here.open()
    sign_in_at_the_desk(page, morning, token)
    refusal = {"code": "forged", "status": 401, "title": "x", "detail": "x", "type": "/problems/forged"}
    here.context.route("**/api/v1/attendances", lambda route: route.fulfill(status=401, json=refusal))
    type_number(page, number)
    confirm(page)
    expect(page.locator("#signin-note")).to_contain_text("重新登录")
    expect(page.locator("#signin-kept")).to_contain_text("1")
    look(page, "desk-token-ended")
    here.context.unroute("**/api/v1/attendances")
    sign_in_at_the_desk(page, morning, token)
    expect(page.locator(f"#e{number} .badge.fulfilled")).to_be_visible()
    assert roster(morning, site, token)["am"]["state"] == "fulfilled"


def test_a_number_that_two_people_have_is_said_to_be_one_and_goes_with_whose_it_is(morning: Up, visit: Visits) -> None:
    site = "440113-1"
    token = staff_token(morning, site)
    no = roster(morning, site, token)["pm"]["registration_no"]
    other = b"another resident"
    with store_client(morning.data_dir) as store:  # as a roll-back of the store can leave it
        store.hset("pending:{440113}", no, other)
        store.sadd(key("past", resident_tag(other)), no)
    sent: list[Any] = []

    def attended(route: Route) -> None:
        sent.append(route.request.post_data_json)
        done = {"registration_no": no, "site": site, "date": sent[-1]["date"], "period": "pm", "state": "fulfilled"}
        route.fulfill(status=200, json=done | {"at": "2021-06-19T08:00:00+08:00"})

    try:
        shown = roster(morning, site, token)["pm"]
        here = visit(morning, recorded=False)
        here.context.route(f"**{API}/attendances", attended)
        page = here.context.new_page()
        page.goto(f"{morning.url}/staff#token={token}")  # another test of this desk may have taken one from its list
        expect(page.locator(f"#e{no}")).to_be_visible()
        type_number(page, no)
        expect(page.locator("#confirm-warn")).to_contain_text("这个号码有两个人")
        look(page, "desk-number-of-two")
        confirm(page)
        until(lambda: sent, "it is sent")
    finally:
        with store_client(morning.data_dir) as store:
            store.hdel("pending:{440113}", no)
            store.delete(key("past", resident_tag(other)))
    assert shown["holder"] and sent[0]["holder"] == shown["holder"]
    assert roster(morning, site, token)["pm"]["holder"] is None
