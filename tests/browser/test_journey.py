"""The resident's journey in a real browser, on a real server: nothing is lost on the way."""

import json

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import DESKTOP, Visits, look, template_of
from tests.support.serving import TIANHE, Person, Up
from tests.support.steps import agree, choose, come_in, demo, fill_papers, find_by_code, join, number_of, register

SITES = "**/api/v1/sites?*"


def on_the_map(route: Route, count: int) -> None:
    """Answer with so many sites, a street apart from south to north; of the first, which is real, all is known."""
    answer = route.fetch()
    first = answer.json()["sites"][0] | {"longitude": 113.32}
    known = {"latitude": 23.13, "phone": "020-3879 0000", "way_in_zh": "东门进", "way_in_en": "East gate"}
    more = [
        {
            "site": f"N{n}",
            "name_zh": f"第{n}站",
            "name_en": f"Site {n}",
            "address": f"{n}马路",
            "latitude": 23.13 + n * n / 1e3,
        }
        for n in range(1, count)
    ]
    route.fulfill(response=answer, json={"sites": [first | known, *(first | it for it in more)]})


def stored(page: Page) -> str:
    return str(page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location.href"))


def left_behind(page: Page, who: Person) -> list[str]:
    """What of somebody's papers is kept on the device."""
    text = stored(page)
    return [secret for secret in (who.id_number, who.phone, who.name) if secret in text]


@pytest.mark.parametrize(
    ("locale", "resident", "scheme", "words"),
    [("zh-CN", 0, "light", ("登记成功", "已取消")), ("en-GB", 1, "dark", ("registered", "ancelled"))],
)
def test_from_the_list_to_the_receipt_found_again_and_cancelled(
    morning: Up, visit: Visits, locale: str, resident: int, scheme: str, words: tuple[str, str]
) -> None:
    who = demo(resident)
    here = visit(morning, locale=locale, color_scheme=scheme)
    page = here.open()
    expect(page.locator("#districts a").first).to_be_visible()
    look(page, f"{locale}-1-districts")
    choose(page)
    page.reload()
    expect(page.locator("#opening")).to_be_visible()
    look(page, f"{locale}-2-opening")
    fill_papers(page, who)
    page.click("#go")
    expect(page.locator("#ready")).to_be_visible()
    look(page, f"{locale}-3-called")
    page.reload()  # the place is kept
    come_in(page)
    page.locator("#choices select").first.select_option(index=1)
    page.click("#more")
    page.locator("#choices select").nth(2).select_option(index=2)
    look(page, f"{locale}-4-wishes")
    page.reload()  # and so are the wishes
    expect(page.locator("#choices select").nth(2)).not_to_have_value("")
    page.click("#submit")
    expect(page.locator("#receipt-title")).to_contain_text(words[0])
    no = number_of(page)
    assert page.locator("#qr").evaluate("async (it) => { await it.decode(); return it.naturalWidth > 0 }")
    look(page, f"{locale}-5-receipt")
    page.reload()
    assert number_of(page) == no
    assert page.locator("#no").get_attribute("aria-label"), "the number can be read aloud"
    page.emulate_media(media="print")
    expect(page.locator("#no")).to_be_visible()
    expect(page.locator("#cancel")).to_be_hidden()
    page.emulate_media(media="screen")
    assert left_behind(page, who) == []

    page.click("#edit")  # other wishes
    page.locator("#choices select").first.select_option(index=3)
    look(page, f"{locale}-6-other-wishes")
    page.click("#submit")
    assert number_of(page) == no

    elsewhere = visit(morning, locale=locale, color_scheme=scheme)
    other = elsewhere.open("/#find")
    expect(other.locator("#lookup")).to_be_visible()
    look(other, f"{locale}-7-find")
    find_by_code(other, morning, who)
    assert number_of(other) == no
    assert left_behind(other, who) == []
    other.click("#cancel")
    expect(other.locator("#ask")).to_be_visible()
    look(other, f"{locale}-8-ask")
    agree(other)
    expect(other.locator("#facts")).to_contain_text(words[1])
    look(other, f"{locale}-9-cancelled")
    page.reload()
    expect(page.locator("#facts")).to_contain_text(words[1])

    from loadtests.client.answers import PAGE_CALLS

    used = {(c.method, template_of(morning.url, c)) for v in (here, elsewhere) for c in v.calls}
    assert used <= PAGE_CALLS, "the rehearsal's residents make the same calls"
    assert len(used) >= 9


def test_an_appointment_is_shown_goes_into_a_calendar_and_is_cancelled(morning: Up, visit: Visits) -> None:
    who = demo(19)  # has an appointment in two days
    page = visit(morning).open()
    page.route(SITES, lambda it: on_the_map(it, 1))
    find_by_code(page, morning, who)
    expect(page.locator("#appointment")).to_contain_text("6月21日")
    expect(page.locator("#appointment")).to_contain_text("天河区演示接种点1")
    expect(page.locator("#appointment")).to_contain_text("东门进")
    ways = page.locator("#appointment .ways a")
    assert [it.get_attribute("href") for it in ways.all()] == [
        "geo:23.13,113.32?q=23.13,113.32(%E5%A4%A9%E6%B2%B3%E5%8C%BA%E6%BC%94%E7%A4%BA%E6%8E%A5%E7%A7%8D%E7%82%B91)",
        "tel:02038790000",
    ]
    look(page, "appointment")
    with page.expect_download() as download:
        page.click("#ics")
    assert "BEGIN:VEVENT" in download.value.path().read_text(encoding="utf-8")
    page.click("#cancel")
    page.keyboard.press("Escape")  # not after all
    expect(page.locator("#ask")).to_be_hidden()
    expect(page.locator("#appointment")).to_be_visible()
    page.click("#cancel")
    agree(page)
    expect(page.locator("#facts")).to_contain_text("已取消")


def test_sites_near_a_place_that_is_typed_come_first_and_none_is_chosen_by_it(morning: Up, visit: Visits) -> None:
    page = visit(morning).open()
    page.route(SITES, lambda it: on_the_map(it, 8))
    join(page, demo(9, "440111"), "440111")
    come_in(page)
    choice = page.locator("#choices select").first
    options = choice.locator("option")
    assert options.all_inner_texts()[1:] == ["白云区演示接种点1", *(f"第{n}站" for n in range(1, 8))]
    choice.select_option("N2")
    expect(page.locator("#address-0")).to_have_text("2马路")
    page.fill("#near", "５马路")  # as some keyboards write it
    assert options.all_inner_texts()[1:4] == ["第5站", "第4站", "第6站"]
    assert options.all_inner_texts()[-1] == "白云区演示接种点1", "it is the farthest"
    expect(choice).to_have_value("N2")
    page.fill("#near", "nowhere")
    assert options.all_inner_texts()[1] == "白云区演示接种点1"
    look(page, "near")
    choice.select_option(index=1)
    expect(page.locator("#address-0")).to_have_text("白云区演示路1号。东门进")


@pytest.mark.parametrize("path", ["/", "/plain"])
def test_every_page_says_who_runs_it_whom_to_call_and_what_is_kept(morning: Up, visit: Visits, path: str) -> None:
    page = visit(morning, locale="en-GB").open(path)
    foot = page.locator("#service")
    expect(foot).to_contain_text("Run by Guangzhou Municipal Health Commission")
    expect(foot).to_contain_text("answered day and night")
    assert foot.locator("a").first.get_attribute("href") == "tel:12345"
    if path == "/":
        page.select_option("#language", "zh-Hans")
    else:
        page.click("[name=lang][value=zh-Hans]")
    expect(foot).to_contain_text("主办：广州市卫生健康委员会")
    look(page, f"foot{path.replace('/', '-')}")
    foot.locator("a").last.click()
    expect(page.locator("main")).to_contain_text("90")
    expect(page.locator("#service")).to_be_visible()
    look(page, f"data{path.replace('/', '-')}")


CONSENT = {"version": "2021-06", "text": "我同意使用我的接种记录。"}


def asks_for_consent(route: Route) -> None:
    """The city, as one that asks for a consent of its own."""
    answer = route.fetch()
    city = answer.json()
    route.fulfill(response=answer, json=city | {"service": city["service"] | {"consent": CONSENT}})


def test_a_consent_is_given_by_a_box_that_nobody_has_ticked_before(morning: Up, visit: Visits) -> None:
    page = visit(morning).open()
    page.route("**/api/v1/city", asks_for_consent)
    page.reload()
    join(page, demo(10, "440111"), "440111")
    come_in(page)
    box = page.locator("#consent")
    expect(page.locator("#to-consent")).to_contain_text(CONSENT["text"])
    expect(box).not_to_be_checked()
    page.locator("[name=accept_any_site]").check()
    page.click("#submit")
    expect(page.locator("#consent-error")).to_have_text("要先同意，才能登记。")
    expect(box).to_be_focused()
    look(page, "consent")
    box.check()
    with page.expect_request(lambda it: it.method == "POST" and it.url.endswith("/registrations")) as sent:
        page.click("#submit")
    assert json.loads(sent.value.post_data or "")["consent"] == CONSENT["version"]
    expect(page.locator("#receipt-title")).to_contain_text("登记成功")


def test_todays_appointment_can_no_longer_be_cancelled(morning: Up, visit: Visits) -> None:
    page = visit(morning).open()
    find_by_code(page, morning, demo(17, "440112"))
    expect(page.locator("#appointment")).to_contain_text("6月19日")
    if page.locator("#cancel").is_visible():
        page.click("#cancel")
        agree(page)
        expect(page.locator("#receipt")).to_contain_text("6月18日")
    expect(page.locator("#appointment")).to_be_visible()
    look(page, "too-late-to-cancel")


def test_a_double_tap_back_and_a_second_tab_keep_one_place(morning: Up, visit: Visits) -> None:
    here = visit(morning, viewport=DESKTOP)
    page = here.open()
    choose(page)
    fill_papers(page, demo(2))
    page.locator("#go").dblclick()
    expect(page.locator("#ready")).to_be_visible()
    number = page.locator("#ready-number").inner_text()
    page.go_back()
    page.go_forward()
    expect(page.locator("#ready-number")).to_have_text(number)
    second = here.open()
    expect(second.locator("#ready-number")).to_have_text(number)
    second.locator("#claim").dblclick()
    no = None
    expect(second.locator("#wishes")).to_be_visible()
    second.check("[name=accept_any_site]")
    second.locator("#submit").dblclick()
    no = number_of(second)
    page.bring_to_front()
    page.reload()
    page.goto(morning.url + "/#home")
    expect(page.locator(f"#family a[href='#receipt={no}']")).to_be_visible()
    joins = [c for c in here.calls if c.path.endswith("/tickets")]
    assert {c.data["entry"] for c in joins} == {joins[0].data["entry"]}


def test_a_family_of_three_on_one_phone(morning: Up, visit: Visits) -> None:
    here = visit(morning)
    page = here.open()
    numbers = []
    for i in (3, 4, 5):
        page.goto(f"{morning.url}/#{TIANHE}")
        fill_papers(page, demo(i))
        page.click("#go")
        expect(page.locator("#ready")).to_be_visible()
    page.goto(morning.url + "/#home")
    expect(page.locator("#family li")).to_have_count(3)
    look(page, "family-1-places")
    for _ in range(3):
        page.locator("#family a[href^='#place']").first.click()
        come_in(page)
        numbers.append(register(page))
    assert len(set(numbers)) == 3
    page.goto(morning.url + "/#home")
    for no in numbers:
        expect(page.locator(f"#family a[href='#receipt={no}']")).to_be_visible()
    look(page, "family-2-registered")


def test_large_type_is_large_and_stays(morning: Up, visit: Visits) -> None:
    page = visit(morning).open()
    expect(page.locator("#districts a").first).to_be_visible()
    size = "parseFloat(getComputedStyle(document.body).fontSize)"
    assert page.evaluate(size) >= 18
    page.click("#large")
    page.reload()
    expect(page.locator("#large")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate(size) >= 24
    look(page, "large-1-districts")
    choose(page)
    look(page, "large-2-opening")
    for it in page.locator("#opening button:visible, #opening .button:visible, #opening input:visible").all():
        box = it.bounding_box()
        assert box is not None and box["height"] >= 60, it.evaluate("it => it.outerHTML")
    fill_papers(page, demo(6))
    page.click("#go")
    expect(page.locator("#ready")).to_be_visible()
    look(page, "large-3-called")
    come_in(page)
    look(page, "large-4-wishes")
    register(page)
    look(page, "large-5-receipt")


def test_the_keyboard_alone_is_enough(morning: Up, visit: Visits) -> None:
    page = visit(morning, viewport=DESKTOP, reduced_motion="reduce").open()
    expect(page.locator("#districts a").first).to_be_visible()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"no key leads to {selector}")

    who = demo(7)
    tab_to(f"#districts a[href='#{TIANHE}']")
    page.keyboard.press("Enter")
    expect(page.locator("#opening")).to_be_visible()
    for field, text in (("#id_number", who.id_number), ("#name", who.name), ("#phone", who.phone)):
        tab_to(field)
        page.keyboard.insert_text(text)
    page.keyboard.press("Enter")
    expect(page.locator("#ready")).to_be_visible()
    tab_to("#claim")
    page.keyboard.press("Enter")
    expect(page.locator("#wishes")).to_be_visible()
    tab_to("[name=accept_any_site]")
    page.keyboard.press("Space")
    tab_to("#submit")
    page.keyboard.press("Enter")
    number_of(page)


def test_papers_are_checked_as_they_are_typed(morning: Up, visit: Visits) -> None:
    here = visit(morning)
    page = here.open()
    choose(page)
    page.fill("#id_number", "110105194912310021")  # the check character is X
    page.locator("#name").focus()
    expect(page.locator("#id_number")).to_have_attribute("aria-invalid", "true")
    look(page, "papers-checked")
    page.fill("#id_number", "１１０１０５ 19491231 002x")
    page.locator("#name").focus()
    expect(page.locator("#id_number")).not_to_have_attribute("aria-invalid", "true")
    page.fill("#phone", "12345")
    page.locator("#name").focus()
    expect(page.locator("#phone")).to_have_attribute("aria-invalid", "true")
    assert [c for c in here.calls if c.method == "POST"] == [], "nothing is sent to find that out"


@pytest.mark.parametrize(
    ("who", "district", "says"),
    [
        (demo(8, "440111"), TIANHE, "白云区"),  # his first dose was in Baiyun
        (Person(demo(8).id_number, "别人", demo(8).phone), TIANHE, "不一致"),
        (Person("11010519491231002X", "王五", "13800138000"), TIANHE, "7月1日"),  # no first dose
    ],
)
def test_who_may_not_join_is_told_why_and_what_next(
    morning: Up, visit: Visits, who: Person, district: str, says: str
) -> None:
    page = visit(morning).open()
    join(page, who, district)
    expect(page.locator("#refused")).to_contain_text(says)
    look(page, f"refused-{says}")
    if says == "白云区":
        page.locator("#refused a").click()
        expect(page.locator("#opening .place")).to_have_text("白云区")


def test_huangpu_is_not_open_here(morning: Up, visit: Visits) -> None:
    page = visit(morning).open("/#440112")
    expect(page.locator("#stand")).to_contain_text("不在集中预约")
    expect(page.locator("#join")).to_be_hidden()
    look(page, "huangpu")


def test_a_wrong_code_is_told_and_html_in_a_name_stays_text(morning: Up, visit: Visits) -> None:
    who = demo(9)
    page = visit(morning).open("/#find")
    page.fill("#find-id_number", who.id_number)
    page.fill("#find-phone", who.phone)
    page.click("#send-code")
    page.fill("#code", "000000")
    page.click("#open-it")
    expect(page.locator("#code")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#sms-file")).to_contain_text("sms.jsonl")
    look(page, "wrong-code")
    page.goto(morning.url + f"/#{TIANHE}")
    fill_papers(page, Person(who.id_number, "<img src=x onerror=document.title='x'>", who.phone))
    page.click("#go")
    expect(page.locator("#refused")).to_be_visible()
    assert page.locator("main img[src=x]").count() == 0
