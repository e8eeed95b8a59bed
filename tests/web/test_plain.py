"""The journey without JavaScript: plain forms, cookies that only they get, and nothing of it in an address."""

import asyncio
import hmac
import json
import re
from collections.abc import AsyncIterator
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.core import logs
from server.core.errors import Invalid, Refusal
from server.core.keys import key, resident_tag
from server.fairness.allotment import Candidate, OfferedSlot
from server.fairness.verification import verify_inclusion
from server.messages.gateways import FileGateway
from server.records.registration_changes import PassedOver
from server.waiting_room.room import TicketStatus
from tests.support.people import COMPLETE, OF_BAIYUN, TOO_SOON
from tests.support.plain_page import FORM, Form, Phone, number
from tests.support.serving import BAIYUN, HAIZHU, HUANGPU, OPERATOR, TIANHE, House, Person, person
from tests.support.small_night import SmallNight, Waiting

# Every code of the contract.
CODES = (
    "malformed", "invalid", "unauthorized", "forged", "not-eligible", "barred", "identity-mismatch", "not-found",
    "already-registered", "too-late", "used", "expired", "ended", "not-open", "not-your-turn", "too-many-requests",
    "paused", "maintenance", "overloaded", "store-unavailable",
)  # fmt: skip


@pytest.fixture
async def phone(house: House) -> AsyncIterator[Phone]:
    """A phone with Chinese settings."""
    it = Phone(house)
    async with it.client:
        yield it
        await house.services.access.settled()  # what is done after the answers


async def sms_code(house: House, folder: Path) -> str:
    """The code of the one message that is owed."""
    await house.services.access.settled()
    gateway = FileGateway(folder / "sms")
    districts = [district.code for district in house.services.city.districts]
    await house.store.open_outbox(districts)
    assert await house.services.sender.send_codes(gateway, "test") == 1
    found = re.search("[0-9]{6}", json.loads(gateway.path.read_text().splitlines()[-1])["text"])
    assert found
    return found[0]


# The journey


async def test_the_whole_journey_without_javascript(house: House, phone: Phone, tmp_path: Path) -> None:
    who = person(0)
    await house.at("08:00:00")
    assert f'href="/plain/{TIANHE}"' in (await phone.get()).text
    await phone.get(f"/{TIANHE}")
    drawing = await phone.join(who)
    assert 'data-state="drawing"' in drawing.text
    await house.services.public_log.look()
    await house.at("08:02:01")
    called = await phone.get("/ticket")
    assert 'data-state="ready"' in called.text and "08:07:1" in called.text  # the draw's end, 11 s, 300 s
    await phone.post("/claim")
    assert "接种点T1" in (await phone.get("/wishes")).text
    await phone.post("/wishes", {"site1": "T1", "period1": "am", "site3": "T2", "period3": "any"})
    shown = await phone.get("/registration")
    no = number(shown)
    assert f'src="/api/v1/registrations/{no}/qr.svg"' in shown.text
    assert "接种点T1 · 上午" in shown.text and "接种点T2 · 哪个时段都可以" in shown.text
    # How far the public record is, in print: as many digits as `verify log --printed` asks for
    head = house.services.public_log.head()
    assert head.size > 0 and head.note in unescape(shown.text)
    printed = re.search('id="record-short">([^<]+)<', shown.text)
    assert printed and "".join(printed[1].split()) == f"{head.size:,}条·{head.root[:16]}"
    # Other wishes
    change = await phone.get("/change")
    assert '<option value="T1" selected>' in change.text
    await phone.post("/change", {"no": no, "any_site": "1", "not_before": "2021/6/25"})
    shown = await phone.get("/registration")
    assert "接种点T1" not in shown.text and "6月25日（周五）" in shown.text
    # An appointment, and its calendar file
    await house.give(who, no, date(2021, 6, 25))
    assert "6月24日 20:00" in (await phone.get("/registration")).text
    ics = await phone.post("/calendar", {"no": no}, status=200)
    assert ics.headers.get_list("content-type") == ["text/calendar; charset=utf-8"]
    assert b"DTSTART" in ics.content and no.encode() in ics.content
    # Another phone, by SMS
    other = Phone(house)
    sent = await other.post("/find", {k: v for k, v in who.papers().items() if k != "name"}, status=202)
    code = await sms_code(house, tmp_path)
    hidden = {k: v for k, v in Form(sent.text).hidden.items() if k != "back"}
    wrong = await other.post("/code", {**hidden, "code": "0" * 6 if code != "0" * 6 else "1" * 6}, status=422)
    assert "code-error" in Form(wrong.text).ids
    assert {k: v for k, v in Form(wrong.text).hidden.items() if k != "back"} == hidden
    assert (await other.post("/code", {**hidden, "code": code})).headers["location"] == "/plain/registration"
    assert number(await other.get("/registration")) == no
    # Cancelled there, seen here
    assert number_in_confirmation(await other.get("/cancel")) == no
    await other.post("/cancel", {"no": no})
    assert 'data-state="cancelled"' in (await phone.get("/registration")).text
    for seen in (phone.seen, other.seen):
        check_nothing_leaks(
            seen, who, {**dict(phone.client.cookies), **{f"o{k}": v for k, v in other.client.cookies.items()}}
        )
    await other.client.aclose()


def number_in_confirmation(answer: httpx.Response) -> str:
    """The hidden number of the form that cancels."""
    return Form(answer.text).hidden["no"]


def check_nothing_leaks(seen: list[str], who: Person, cookies: dict[str, str]) -> None:
    """No address, link or header has papers or a token in it."""
    tokens = [it for text in cookies.values() for part in text.split("~") for it in part.split(".") if len(it) > 40]
    assert tokens
    for text in seen:
        for secret in (who.id_number, who.name, who.phone, *tokens):
            assert secret not in unescape(text)


async def test_cookies_are_for_these_pages_and_no_script(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    answer = await phone.post(f"/{TIANHE}", person(0).papers())
    (cookie,) = answer.headers.get_list("set-cookie")
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/plain"} <= attributes and "secure" not in attributes
    assert not any(secret in cookie for secret in (person(0).id_number, person(0).phone))
    # Where TLS ends at a proxy, or here
    behind = await phone.post(f"/{TIANHE}", person(0).papers(), headers={"x-forwarded-proto": "https"})
    assert "secure" in behind.headers["set-cookie"].lower()
    assert "secure" in (await phone.client.post("https://jiaohao.test/plain/look", data={"lang": "en"})).headers[
        "set-cookie"
    ].lower()  # fmt: skip


async def test_a_place_is_the_same_on_every_refresh_and_every_way_back(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    for i in range(1, 4):
        await house.join(person(i))
    await phone.join(person(0))
    before = dict(phone.client.cookies)
    for _ in range(3):
        await phone.get("/ticket")
    await phone.join(person(0))  # the papers once more
    assert dict(phone.client.cookies) == before
    other = Phone(house)
    await other.join(person(0))
    # each browser's forms have a key of their own
    assert dict(other.client.cookies) | {"form_key": before["form_key"]} == before
    await other.client.aclose()


async def test_a_second_tap_registers_once(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    await phone.join(person(0))
    await house.forward(1)
    await phone.post("/claim")
    answers = await asyncio.gather(*(phone.post("/wishes", {"any_site": "1"}) for _ in range(3)))
    assert {a.headers["location"] for a in answers} == {"/plain/registration"}
    assert len({a.headers["set-cookie"].split(".")[0] for a in answers}) == 1
    await phone.post("/wishes", {"site1": "T1"})  # from the page that the back button brings
    assert "接种点T1" not in (await phone.get("/registration")).text
    await house.passes_freed()


# The refresh header


async def test_the_refresh_is_never_sooner_than_the_server_says(house: House, phone: Phone) -> None:
    await house.at("08:00:00")
    drawing = await phone.join(person(0))
    # The draw ends at 08:02:00; nobody is asked to look before.
    assert seconds_of(drawing) >= 120
    await house.client.patch(
        f"/api/v1/openings/{TIANHE}", json={"rate_per_second": 0.1}, headers={"authorization": f"Bearer {OPERATOR}"}
    )
    for i in range(1, 50):
        await house.join(person(i))
    await house.at("08:02:01")
    floor = house.services.city.policy.poll_floor_seconds
    assert floor == 5
    states = set()
    for _ in range(5):
        answer = await phone.get("/ticket")
        state = re.findall('data-state="([a-z]+)"', answer.text)[0]
        states.add(state)
        if state == "waiting":
            assert seconds_of(answer) >= floor * 0.85  # as the API spreads it
        await house.forward(30)
    assert "waiting" in states


async def test_the_refresh_is_the_poll_interval_rounded_up(
    house: House, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.at("08:00:00")
    await phone.join(person(0))
    status = house.services.room.poll(phone.client.cookies["ticket"].split(".")[1])
    assert isinstance(status, TicketStatus)
    for after, wanted in ((61.2, 62), (7.0, 7), (0.4, 1), (599.01, 600)):
        status.poll_after_seconds = after
        monkeypatch.setattr(house.services.room, "poll", lambda _: status)
        assert (await phone.get("/ticket")).headers["refresh"] == f"{wanted}; url=/plain/ticket"


def seconds_of(answer: httpx.Response) -> int:
    """The seconds of a Refresh header."""
    seconds, _, url = answer.headers["refresh"].partition("; url=")
    assert url == "/plain/ticket"
    return int(seconds)


async def test_who_is_called_is_not_disturbed_before_the_time_is_over(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    await phone.join(person(0))
    await house.forward(1)
    answer = await phone.get("/ticket")
    assert 'data-state="ready"' in answer.text
    until = re.search(r'id="claim-before" class="clock">([0-9:]+)<', answer.text)
    assert until
    left = (house.instant(until[1]) - house.instant("08:03:01")).total_seconds()
    assert left <= seconds_of(answer) <= left + 2
    await house.forward(left + 2)
    missed = await phone.get("/ticket")
    assert 'data-state="missed"' in missed.text and "refresh" not in missed.headers


async def test_a_click_too_soon_is_told_and_goes_on_waiting(house: House, phone: Phone) -> None:
    await house.at("08:00:00")
    await phone.join(person(0))
    answer = await phone.post("/claim", status=425)
    assert int(answer.headers["retry-after"]) == seconds_of(answer) >= 119
    assert "还没有叫到您的号" in answer.text


async def test_a_store_that_is_away_does_not_end_the_waiting(house: House, phone: Phone) -> None:
    await house.at("08:00:00")
    await phone.join(person(0))
    house.set_time("08:01:00")  # a minute without a word from the store
    answer = await phone.get("/ticket", status=503)
    assert seconds_of(answer) == int(answer.headers["retry-after"])
    assert "系统正在恢复" in answer.text


async def test_pages_that_wait_for_nothing_do_not_refresh(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    await phone.join(person(0))
    await phone.get("/leave")
    assert (await phone.post("/leave")).headers["location"] == "/plain/ticket"
    left = await phone.get("/ticket")
    assert 'data-state="left"' in left.text and "refresh" not in left.headers
    for path in (f"/{TIANHE}", "/find", "/code"):
        assert "refresh" not in (await phone.get(path)).headers
    # The list of districts does wait: for the next stroke of the timetable, here 12:00.
    assert (await phone.get()).headers["refresh"] == f"{4 * 3600 - 180}; url=/plain"


# Every state has its words


@pytest.mark.parametrize(
    ("at", "district", "words"),
    [
        ("07:59:59", TIANHE, "系统休息中"),
        ("08:00:00", TIANHE, "抽签进行中"),
        ("08:02:00", TIANHE, "正在开放"),
        ("08:02:00", HAIZHU, "还没有开放"),
        ("12:00:00", TIANHE, "今天已结束"),
        ("12:00:00", HUANGPU, "目前不在集中预约的安排里"),
        ("20:00:00", TIANHE, "系统休息中"),
    ],
)
async def test_each_state_of_a_district_in_words(
    house: House, phone: Phone, at: str, district: str, words: str
) -> None:
    await house.at(at)
    page = await phone.get(f"/{district}")
    assert words in page.text
    assert ("取号</button>" in page.text) == (words in ("抽签进行中", "正在开放"))
    home = await phone.get()
    assert "第一剂" in home.text and ("系统休息中" in home.text) == ("系统休息中" in words)


async def test_paused_shows_the_operators_words_escaped(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    await phone.join(person(0))
    headers = {"authorization": f"Bearer {OPERATOR}"}
    change = {"paused": True, "message": "设备<b>检修</b>"}
    await house.client.patch(f"/api/v1/openings/{TIANHE}", json=change, headers=headers)
    page = await phone.get(f"/{TIANHE}")
    assert "暂停取号" in page.text and "设备&lt;b&gt;检修&lt;/b&gt;" in page.text and "<b>" not in page.text
    await phone.join(person(0))  # whoever has a place has it still
    refused = await phone.post(f"/{TIANHE}", person(1).papers(), status=503)
    assert int(refused.headers["retry-after"]) >= 1


async def test_an_early_look_takes_no_place(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    fine = await phone.post(f"/{HAIZHU}", {**person(0).papers(), "what": "check"}, status=403)
    assert "天河区" in fine.text and f'href="/plain/{TIANHE}"' in fine.text
    await house.at("12:00:00")
    fine = await phone.post(f"/{TIANHE}", {**person(0).papers(), "what": "check"}, status=200)
    assert "可以登记" in fine.text and "6月20日" in fine.text
    assert "ticket" not in phone.client.cookies


@pytest.mark.parametrize(
    ("who", "status", "words"),
    [(TOO_SOON, 403, "2021年6月20日"), (OF_BAIYUN, 403, f"/plain/{BAIYUN}"), (COMPLETE, 403, "不需要第二剂")],
)
async def test_whoever_may_not_register_is_told_why(
    house: House, phone: Phone, who: Person, status: int, words: str
) -> None:
    await house.at("08:03:00")
    answer = await phone.post(f"/{TIANHE}", who.papers(), status=status)
    assert words in answer.text
    assert f'value="{who.id_number}"' in answer.text, "nothing has to be typed again"


# What is typed


async def test_wrong_papers_are_marked_beside_their_fields_and_kept(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    typed = person(0).papers(id_number="440106197001010000", phone="123")
    answer = await phone.post(f"/{TIANHE}", typed, status=422)
    form = Form(answer.text)
    for field, wrong in (("id_number", True), ("phone", True), ("name", False)):
        assert (form.ids[field].get("aria-invalid") == "true") == wrong
        assert (form.ids[field].get("aria-describedby") == f"{field}-error") == wrong
        assert form.ids[field]["value"] == typed[field]
    assert "autofocus" in form.ids["id_number"] and "autofocus" not in form.ids["phone"]


HOSTILE = "\"><script>alert(1)</script><img src=x onerror='x'>&amp;"


async def test_html_in_what_is_typed_is_shown_as_typed(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    typed = {"id_type": HOSTILE, "id_number": HOSTILE, "name": HOSTILE, "phone": HOSTILE}
    answers = [
        await phone.post(f"/{TIANHE}", typed, status=422),
        await phone.post(f"/{TIANHE}", {**typed, "id_type": "passport"}, status=422),
        await phone.post("/find", typed, status=422),
        await phone.post("/code", {**typed, "code": HOSTILE, "sent": "1"}, status=422),
    ]
    for answer in answers:
        assert "<script" not in answer.text and "<img" not in answer.text
        assert Form(answer.text).ids["id_number"]["value"] == HOSTILE
    await phone.register(person(0))
    await phone.post("/change", {"no": HOSTILE, "any_site": "1"}, status=401)
    wishes = await phone.post("/change", {"site1": HOSTILE, "not_before": HOSTILE}, status=422)
    assert "<script" not in wishes.text


async def test_wishes_that_cannot_be_are_marked_at_their_choice(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    await phone.join(person(0))
    await house.forward(1)
    await phone.post("/claim")
    for fields, field in (
        ({"site1": "T1", "site3": "B1"}, "site3"),  # a site of Baiyun
        ({"any_site": "1", "not_before": "明天"}, "not_before"),
        ({"any_site": "1", "not_before": "2021-02-30"}, "not_before"),
        ({"any_site": "1", "together": "妈妈"}, "together"),
        ({"any_site": "1", "together": "1" * 41}, "together"),
    ):
        answer = await phone.post("/wishes", fields, status=422)
        assert Form(answer.text).ids[field]["aria-describedby"].split()[0] == f"{field}-error"
    nothing = await phone.post("/wishes", {}, status=422)
    assert Form(nothing.text).ids["any_site"]["aria-describedby"] == "preferences-error"
    assert Form(nothing.text).ids["site1"]["aria-invalid"] == "true" and "autofocus" in Form(nothing.text).ids["site1"]
    assert "#site1" in Form(nothing.text).links
    assert "请选择接种点，或勾选" in nothing.text
    await phone.post("/wishes", {"any_site": "1", "period1": "night"}, status=400)
    twice = {"site1": "T1", "period1": "am", "site2": "T1", "period2": "am"}
    await phone.post("/wishes", twice, status=422)
    await phone.post(
        "/wishes", {"site1": "T1", "period1": "am", "site2": "T1", "period2": "pm", "not_before": "2021年6月25日"}
    )
    assert "6月25日（周五）" in (await phone.get("/registration")).text
    await house.passes_freed()


# A relative, and the night


async def test_a_family_on_one_phone_names_each_other(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    mother = await phone.register(person(0))
    await phone.join(person(1))
    await house.forward(1)
    await phone.post("/claim")
    form = (await phone.get("/wishes")).text
    assert "不会占用排在前面的人的名额" in form
    assert f'<option value="{mother}">' in form
    await phone.post("/wishes", {"any_site": "1", "together": f"{mother[:5]} {mother[5:]}"})
    child = number(await phone.get("/registration"))
    shown = (await phone.get("/registration")).text
    assert "一起的家人" in shown and f"{mother[:5]} {mother[5:10]} {mother[10:]}" in shown
    await phone.post("/registration", {"no": mother})
    form = (await phone.get("/change")).text
    assert f'<option value="{child}">' in form and f'<option value="{mother}">' not in form, "not oneself"
    await phone.post("/change", {"no": mother, "any_site": "1", "together": child})
    assert Form((await phone.get("/change")).text).ids["together"]["value"] == child
    kept = [await house.store.registration_fields(house.resident(person(i))) for i in (0, 1)]
    assert [fields["together"] for fields in kept] == [child, mother]
    await phone.post("/change", {"no": mother, "any_site": "1"})
    assert (await house.store.registration_fields(house.resident(person(0))))["together"] == ""
    await house.passes_freed()


@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_messages_go_in_the_language_of_the_plain_pages(house: House, phone: Phone, lang: str) -> None:
    await house.at("08:03:00")
    await phone.post("/look", {"back": "/plain", "lang": lang})
    await phone.register(person(0))
    assert (await house.store.registration_fields(house.resident(person(0))))["lang"] == lang


REASONS = [
    ("full", "", "名额都给了排在前面的人", "all slots went to people ahead of you"),
    ("full", "2021-04-12", "第一剂日期为 4月12日 的人，您的是 5月1日", "ended at first doses of 12 April; yours"),
    ("full", "2021-05-01", "5月1日 的人，和您同一天", "slots ended at first doses of 1 May, your own date"),
    ("full", "2021-05-12", "本区其他地方还给到了第一剂日期为 5月12日", "slots went on to first doses of 12 May"),
    ("no-such-site", "", "最近都没有名额", "none of the sites you chose has any slot"),
    ("not-offered", "", "没有您要接种的疫苗", "but none of your vaccine"),
    ("too-early", "", "都没到规定的间隔", "too soon after your first dose"),
    ("not-before", "", "早于您要求的最早日期", "before the earliest day you asked for"),
    ("withdrawn", "", "接种点临时收回了", "was withdrawn by the site"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "reached", "zh", "en"), REASONS)
async def test_why_there_was_nothing_last_night_is_said_in_words(
    house: House, phone: Phone, reason: str, reached: str, zh: str, en: str
) -> None:
    await house.at("08:03:00")
    no = await phone.register(person(0), site1="T1", period1="am")
    passed = PassedOver(
        house.resident(person(0)), no, "2021-06-19", 3, reason, reached, withdrawn=reason == "withdrawn"
    )
    await house.store.pass_over([passed], 3)
    await house.at("09:00:00", date(2021, 6, 20))
    page = (await phone.get("/registration")).text
    assert "6月19日夜里" in page and zh in page
    assert ("勾选“其他接种点也可以”，更容易排上" in page) == (reason in ("full", "no-such-site", "not-offered"))
    assert "（withdrawn）" not in page
    assert "check-it" not in Form(page).ids, "nothing is public yet"
    await phone.post("/look", {"back": "/plain/registration", "lang": "en"})
    page = (await phone.get("/registration")).text
    assert "night of 19 June" in page and en in page


async def test_the_night_that_gave_an_appointment_is_named_and_can_be_checked(
    house: House, phone: Phone, tmp_path: Path
) -> None:
    await house.at("08:03:00")
    numbers = [await phone.register(person(i)) for i in (0, 1)]
    waiting = [
        Waiting(house.resident(person(i)), Candidate(no, date(2021, 5, 1), "inactivated", [], True))
        for i, no in enumerate(numbers)
    ]
    table = [(OfferedSlot(date(2021, 6, 22), "T1", "am", "inactivated"), 1)]
    night = SmallNight(house.store, house.services.published, date(2021, 6, 19), waiting, table)
    await night.hold()
    await house.at("09:00:00", date(2021, 6, 20))
    ties = [hmac.digest(night.lots.key(night.tag, night.list_root), no.encode(), "sha256") for no in numbers]
    first, second = sorted(range(2), key=ties.__getitem__)
    await phone.post("/registration", {"no": numbers[first]})
    page = (await phone.get("/registration")).text
    assert "6月19日夜里统一安排" in page and "您在 2 人中排第 1 位" in page
    assert "第 2 行" in page and night.root in page and night.seed.hex() in page
    assert "即将发出" in page
    assert f'href="/api/v1/allotments/{TIANHE}/2021-06-19/file"' in page
    saved = await phone.post("/proof", {"no": numbers[first]}, status=200)
    assert saved.headers["content-disposition"] == f'attachment; filename="{numbers[first]}-2021-06-19.json"'
    (tmp_path / "mine.json").write_bytes(saved.content)
    assert verify_inclusion(tmp_path / "mine.json", night.root).line.no == numbers[first]
    assert (await phone.get("/proof", status=303)).headers["location"] == "/plain/registration"
    await phone.post("/registration", {"no": numbers[second]})
    page = (await phone.get("/registration")).text
    assert "还在等待安排" in page and "您在 2 人中排第 2 位" in page and "和您同一天" in page
    assert "您不用做什么" in page


async def test_what_became_of_the_sms_is_said(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    await phone.register(person(0))
    name = key("registration", resident_tag(house.resident(person(0))))
    client: Any = house.store.client
    for state, words in (("accepted", "已发出"), ("delivered", "已送达"), ("undelivered", "没有送到"),
                         ("refused", "发不到这个手机号"), ("unsent", "没有发出")):  # fmt: skip
        await client.hset(name, "sms:registered", f"{state} {house.clock.at_ms} {house.clock.at_ms}")
        page = (await phone.get("/registration")).text
        assert f"登记成功：{words}" in page
        assert ("短信没有送到您的手机" in page) == (state in ("undelivered", "refused", "unsent"))
    refused_proof = await phone.post("/proof", {"no": number(await phone.get("/registration"))}, status=404)
    assert "没有找到" in refused_proof.text


@pytest.mark.parametrize("path", [f"/{TIANHE}", "/claim", "/wishes", "/find", "/code", "/cancel", "/look", "/forget"])
async def test_bodies_that_no_form_makes_get_a_page(house: House, phone: Phone, path: str) -> None:
    await house.at("08:03:00")
    for body, kind in (
        (b"id_number=%FF%FE", FORM),
        (b"\xff\xfe=1", FORM),
        (b"name", FORM),
        (b"no=1&no=2", FORM),
        (b"&".join(b"a%d=1" % i for i in range(100)), FORM),
        (b'{"id_type":"passport"}', "application/json"),
        (b"no=1", "text/plain"),
        (b"no=1", ""),
        (b"--x--", "multipart/form-data; boundary=x"),
        (b"name=" + b"x" * 20_000, FORM),
    ):
        answer = await phone.send(path, body, 400, kind)
        assert "无法识别的请求" in answer.text


async def test_a_body_without_end_is_not_read(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for sent in range(1000):  # noqa: B007
            yield b"a" * 1000

    answer = await phone.client.post(f"/plain/{TIANHE}", content=endless(), headers={"content-type": FORM})
    assert answer.status_code == 400
    assert "无法识别的请求" in answer.text


# Whose form


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.test"},
        {"origin": "http://jiaohao.test.evil.test"},
        {"origin": "http://jiaohao.test:81"},
        {"origin": "null"},
        {"origin": "http://[broken"},
        {"referer": "http://evil.test/jiaohao.test"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://jiaohao.test"},
    ],
)
async def test_another_sites_form_is_refused_and_changes_nothing(
    house: House, phone: Phone, headers: dict[str, str]
) -> None:
    await house.at("08:03:00")
    no = await phone.register(person(0))
    await phone.join(person(1))
    before = await house.everything()
    cookies = dict(phone.client.cookies)
    for path, fields in (
        (f"/{TIANHE}", person(2).papers()), ("/claim", {}), ("/leave", {}), ("/forget", {}),
        ("/wishes", {"any_site": "1"}), ("/proof", {"no": no}),
        ("/cancel", {"no": no}), ("/change", {"no": no, "any_site": "1"}), ("/calendar", {"no": no}),
        ("/registration", {"no": no}), ("/find", person(0).papers()), ("/code", {}), ("/look", {"lang": "en"}),
    ):  # fmt: skip
        answer = await phone.post(path, fields, status=403, headers=headers)
        assert "无法识别的请求" in answer.text and "set-cookie" not in answer.headers
    assert await house.everything() == before
    assert dict(phone.client.cookies) == cookies


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://jiaohao.test"},
        {"origin": "https://jiaohao.test"},  # TLS ends at a proxy
        {"referer": "http://jiaohao.test/plain"},
        {"sec-fetch-site": "same-origin", "origin": "null"},
        {"sec-fetch-site": "none"},
    ],
)
async def test_our_own_form_is_taken(house: House, phone: Phone, headers: dict[str, str]) -> None:
    await house.at("08:03:00")
    await phone.post(f"/{TIANHE}", person(0).papers(), headers=headers)
    assert "ticket" in phone.client.cookies


# Cookies that are lost, broken, or somebody else's


async def test_a_lost_cookie_is_said_and_the_papers_bring_the_place_back(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    await phone.join(person(0))
    ticket = phone.client.cookies["ticket"]
    phone.client.cookies.clear()
    for path in ("/ticket", "/leave", "/wishes", "/registration", "/change", "/cancel"):
        answer = await phone.get(path, status=401)
        assert "Cookie" in answer.text and 'href="/plain/find"' in answer.text and 'href="/plain"' in answer.text
    for path in ("/claim", "/leave", "/wishes", "/change", "/cancel", "/registration", "/calendar", "/proof"):
        await phone.post(path, {"any_site": "1"}, status=401)
    await phone.join(person(0))
    assert phone.client.cookies["ticket"] == ticket


@pytest.mark.parametrize("value", ["", "x", ".", "440106.", f"{TIANHE}.{'A' * 70}", "~~", "1" * 5000, "a.b.c", "%00"])
async def test_broken_cookies_give_a_page(house: House, phone: Phone, value: str) -> None:
    await house.at("08:03:00")
    phone.client.headers["cookie"] = "; ".join(
        f"{name}={value}" for name in ("ticket", "pass", "receipts", "lang", "large")
    )
    await phone.get()
    for path in ("/ticket", "/wishes", "/registration"):
        await phone.get(path, status=401)


async def test_a_receipt_opens_its_own_number_only(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    mine = await phone.register(person(0))
    other = Phone(house)
    theirs = await other.register(person(1))
    await phone.post("/cancel", {"no": theirs}, status=401)
    token = phone.client.cookies["receipts"].split(".")[1]
    phone.client.headers["cookie"] = f"receipts={theirs}.{token}"
    await phone.post("/cancel", {"no": theirs}, status=404)
    await phone.get("/registration", status=404)
    assert mine != theirs
    assert 'data-state="proposed"' in (await other.get("/registration")).text
    await other.client.aclose()


# The family


async def test_a_family_registers_one_after_another(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    numbers = [await phone.register(person(i)) for i in range(13)]
    home = await phone.get()
    listed = re.findall('name="no" value="([0-9]+)"', home.text)
    assert listed == numbers[:0:-1], "the latest twelve, the newest first"
    await phone.post("/registration", {"no": numbers[2]})
    assert number(await phone.get("/registration")) == numbers[2]
    # A page of another one is still open in a second tab: what it asks for happens to that one.
    await phone.post("/cancel", {"no": numbers[4]})
    assert number(await phone.get("/registration")) == numbers[4]
    await phone.post("/registration", {"no": numbers[2]})
    assert 'data-state="proposed"' in (await phone.get("/registration")).text
    await phone.get("/forget")
    await phone.post("/forget", {"no": numbers[2]})
    assert set(re.findall('name="no" value="([0-9]+)"', (await phone.get()).text)) == set(listed) - {numbers[2]}
    await phone.post("/forget")
    assert "mine" not in Form((await phone.get()).text).ids
    assert {"ticket", "pass", "receipts"}.isdisjoint(dict(phone.client.cookies))


# Hours


async def test_who_registers_in_the_grace_after_closing_time_sees_that_it_is_done(house: House, phone: Phone) -> None:
    yuexiu = "440104"  # 16:00 to 20:00, when the system closes
    await house.at("16:03:00")
    papers = person(0).papers()
    assert (await phone.post(f"/{yuexiu}", papers, status=403)).text.count(f'href="/plain/{TIANHE}"') == 1
    await house.at("11:59:30")
    await phone.join(person(0))
    await house.forward(1)
    await phone.post("/claim")
    await house.at("12:05:00")
    assert "今天的开放时间已结束，您已经进来了" in (await phone.get("/wishes")).text
    await phone.post("/wishes", {"any_site": "1"})
    await house.passes_freed()
    no = number(await phone.get("/registration"))
    await house.at("20:00:00")
    shut = await phone.get("/registration", status=503)
    assert number(shut) == no and f"/registrations/{no}/qr.svg" in shut.text and "retry-after" in shut.headers
    await phone.post("/cancel", {"no": no}, status=503)
    await phone.post("/find", papers, status=503)


async def test_too_late_is_said(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    no = await phone.register(person(0))
    await house.give(person(0), no, date(2021, 6, 25))
    await phone.get("/change", status=409)
    await phone.post("/change", {"no": no, "any_site": "1"}, status=409)
    await house.at("08:00:00", date(2021, 6, 25))
    shown = await phone.get("/registration")
    assert "取消的时间已过" in shown.text and "to-cancel" not in Form(shown.text).ids
    late = await phone.post("/cancel", {"no": no}, status=409)
    assert "6月24日20:00" in late.text


async def test_a_second_tap_on_send_the_code_still_shows_where_to_type_it(
    house: House, phone: Phone, tmp_path: Path
) -> None:
    await house.at("08:03:00")
    no = await phone.register(person(0))
    asked = {k: v for k, v in person(0).papers().items() if k != "name"}
    first = await phone.post("/find", asked, status=202)
    second = await phone.post("/find", asked, status=429)
    assert int(second.headers["retry-after"]) >= 1
    for page in (first, second):
        assert "code" in Form(page.text).ids
    code = await sms_code(house, tmp_path)
    phone.client.cookies.clear()
    typed = {**asked, "code": code}  # on the page that asks for everything
    assert "id_number" in Form((await phone.get("/code")).text).ids
    await phone.post("/code", typed)
    assert number(await phone.get("/registration")) == no
    used = await phone.post("/code", typed, status=422)
    assert "验证码不正确" in used.text


async def test_unknown_people_get_the_same_page(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    await phone.register(person(0))
    people = [{k: v for k, v in person(i).papers().items() if k != "name"} for i in (0, 700)]
    known, unknown = [await phone.post("/find", papers, status=202) for papers in people]
    assert known.text.replace(person(0).id_number, "").replace(person(0).phone, "") == unknown.text.replace(
        person(700).id_number, ""
    ).replace(person(700).phone, "")


# Words


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("code", CODES)
async def test_every_refusal_has_a_page(
    house: House, phone: Phone, monkeypatch: pytest.MonkeyPatch, code: str, lang: str
) -> None:
    await house.at("08:00:00")
    await phone.join(person(0))
    phone.client.headers["accept-language"] = lang
    refusal = Invalid(("name", "empty")) if code == "invalid" else Refusal(code)
    if code in (
        "not-open",
        "not-your-turn",
        "too-many-requests",
        "paused",
        "maintenance",
        "overloaded",
        "store-unavailable",
    ):
        refusal.retry_after_seconds = 7

    def refuse(_: object) -> None:
        raise refusal

    monkeypatch.setattr(house.services.room, "poll", refuse)
    api = await house.client.get("/api/v1/ticket", headers={"authorization": "Bearer x", "accept-language": lang})
    page = await phone.get("/ticket", status=api.status_code)
    assert api.json()["code"] == code
    assert api.json()["title"] in unescape(page.text) and api.json()["detail"] in unescape(page.text)
    assert page.headers.get("retry-after") == api.headers.get("retry-after")
    assert 'class="button' in page.text and 'href="/plain"' in page.text, "a next step"


async def test_our_own_fault_is_a_page_too_and_tells_nothing(
    house: House, phone: Phone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.at("08:03:00")

    async def fail(*_: object) -> None:
        raise RuntimeError(person(0).id_number)

    logs.configure()
    monkeypatch.setattr(house.services.room, "join", fail)
    answer = await phone.post(f"/{TIANHE}", person(0).papers(), status=503)
    assert "retry-after" in answer.headers and "RuntimeError" not in answer.text
    logged = capsys.readouterr()
    assert "RuntimeError" in logged.err + logged.out
    assert person(0).id_number not in logged.err + logged.out


async def test_chinese_first_and_english_by_the_browser_or_by_choice(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    assert "您的第一剂在哪个区接种" in (await phone.get(headers={"accept-language": "fr"})).text
    assert "Where did you have your first dose" in (await phone.get(headers={"accept-language": "en-GB"})).text
    answer = await phone.post("/look", {"lang": "en", "back": f"/plain/{TIANHE}"})
    assert answer.headers["location"] == f"/plain/{TIANHE}"
    page = await phone.get(f"/{TIANHE}")
    assert "Join the queue" in page.text and page.headers["content-language"] == "en"
    wrong = await phone.post(f"/{TIANHE}", person(0).papers(phone="1"), status=422)
    assert "Please check what you entered" in wrong.text
    await phone.post("/look", {"large": "1", "back": "/plain/find"})
    assert '<html lang="en" dir="ltr" class="large">' in (await phone.get("/find")).text
    for back in ("//evil.test", "https://evil.test", "/plain/../api", "/plain/a\r\nx: y", "/", "/plain//x"):
        assert (await phone.post("/look", {"lang": "zh", "back": back})).headers["location"] == "/plain"
    await phone.post("/look", {"lang": "<b>", "large": "7"})
    assert "您的第一剂在哪个区接种" in (await phone.get()).text
    # By the address too, as the page with scripts leads here: it goes on with the next page.
    assert "您的第一劑在哪個區接種" in (await phone.get("?lang=zh-Hant")).text
    assert (await phone.get(f"/{TIANHE}")).headers["content-language"] == "zh-Hant"
    assert "您的第一劑在哪個區接種" in (await phone.get("?lang=tlh")).text


async def test_who_was_sent_here_by_the_page_is_told_why(house: House, phone: Phone) -> None:
    await house.at("08:03:00")
    assert 'id="why-here"' not in (await phone.get()).text
    assert "您的浏览器太旧" in (await phone.get("?why=browser")).text
    assert 'id="why-here"' not in (await phone.get("?why=<b>")).text


async def test_english_pages_have_no_chinese_but_names(house: House) -> None:
    phone = Phone(house, "en")
    await house.at("08:00:00")
    await phone.get()
    for district in (TIANHE, HAIZHU, HUANGPU):
        await phone.get(f"/{district}")
    await phone.join(person(0))
    await phone.get("/leave")
    await house.at("08:03:00")
    await phone.register(person(0))
    for path in ("/change", "/cancel", "/find", "/code", "/forget", ""):
        await phone.get(path)
    await phone.client.aclose()
    assert len(phone.pages) > 10
    for text in phone.pages:
        assert re.findall("[\u4e00-\u9fff]+", re.sub(r'lang="zh-\w+" dir="ltr">\w+<|路1号', "", text)) == []


async def test_forms_that_are_only_sent_lead_back_when_they_are_reloaded(house: House, phone: Phone) -> None:
    for path, to in (("/claim", "ticket"), ("/look", ""), ("/calendar", "registration")):
        assert (await phone.get(path, status=303)).headers["location"] == f"/plain/{to}".rstrip("/")


async def test_what_is_not_there_is_a_page(house: House, phone: Phone) -> None:
    answer = await phone.get("/nowhere", status=404)
    assert 'href="/plain"' in answer.text
    await phone.post("/nowhere", {}, status=404)


async def test_the_style_sheets_of_a_page_are_there(house: House, phone: Phone) -> None:
    sheets = re.findall('rel="stylesheet" href="([^"]+)"', (await phone.get()).text)
    assert sheets == ["/style.css", "/plain.css"]
    for sheet in sheets:
        answer = await house.client.get(sheet)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")


async def test_the_turn_is_told_as_two_times_and_as_none_in_a_pause(house: House, phone: Phone) -> None:
    await house.at("08:01:00")
    await house.services.room.adjust(TIANHE, "op", {"rate": 0.01})
    await house.at("08:02:30")
    for i in range(5):
        await house.join(person(i + 1))
    await phone.join(person(0))
    # By hand: nothing is in the bucket when the draw ends at 08:02, and the sixth call is earned after 600 s.
    told = re.search(r'id="eta">(\d\d:\d\d) 至 (\d\d:\d\d) 之间<', (await phone.get("/ticket")).text)
    assert told is not None
    begins, ends = (house.instant(f"{clock}:00") for clock in told.groups())
    assert begins <= house.instant("08:12:00") <= ends
    assert (ends - begins).total_seconds() <= 180
    await house.services.room.adjust(TIANHE, "op", {"paused": True})
    paused = (await phone.get("/ticket")).text
    assert "之间" not in paused and "叫号暂停" in paused
