"""Time and words, as the server tells them: issue 11's T1, T3, T6, T7 and T8 on the plain pages and in answers."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import time, timedelta
from pathlib import Path

import icalendar
import msgspec
import pytest

from server.core.city import City, load_city
from server.core.periods import Period
from server.core.windows import Window
from server.web.assets import PAGES
from tests.support import SUPPORT
from tests.support.plain_page import Form, Phone
from tests.support.serving import API, HAIZHU, TIANHE, House, enrol, keep_sites, open_house, person

LANGUAGES = json.loads((SUPPORT / "languages.json").read_text(encoding="utf-8"))
# What a page declares in each language, and in a city's own.
DECLARED = {"zh-Hans": "zh-CN", "zh-Hant": "zh-Hant", "en": "en", "zh": "zh-CN"}
AFTER = ("按取号先后排在后面", "in the order of joining")
DRAWN = ("您的号码由抽签决定", "A draw gave you this number")


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Guangzhou's first day; residents 0 to 9 of Tianhe may register."""
    async with open_house(store_url) as it:
        await enrol(it.store, [person(i) for i in range(10)])
        await keep_sites(it.store)
        yield it


def both(house: House) -> list[Phone]:
    return [Phone(house, "zh-CN"), Phone(house, "en")]


# T1: a page without scripts comes again in the second in which what it says changes


@pytest.mark.parametrize(
    ("clock_time", "seconds"),
    [
        ("07:59:50", 10),  # the doors open, and two districts with them
        ("08:00:30", 90),  # the draw ends
        ("11:59:59", 1),  # the next districts
        ("16:05:00", 3 * 3600 + 55 * 60),  # 20:00
        ("20:00:00", 4 * 3600),  # midnight: the rule of the day may be another
        ("00:00:00", 8 * 3600),
    ],
)
async def test_the_plain_home_page_comes_again_when_the_hour_strikes(
    house: House, clock_time: str, seconds: int
) -> None:
    await house.at(clock_time)
    answer = await Phone(house).get()
    assert answer.headers["refresh"] == f"{seconds}; url=/plain"


async def test_a_plain_district_comes_again_unless_somebody_may_be_typing(house: House) -> None:
    phone = Phone(house)
    await house.at("07:59:50")
    resting = await phone.get(f"/{TIANHE}")
    assert "系统休息中" in resting.text
    assert resting.headers["refresh"] == f"10; url=/plain/{TIANHE}"
    await house.at("11:59:50")
    form = await phone.get(f"/{HAIZHU}")
    assert "refresh" not in form.headers, "what is typed would be lost"
    assert "以上是 11:59:50 的情况" in form.text, "it says of when it is"
    assert f"/plain/{HAIZHU}" in Form(form.text).links


async def test_a_plain_ticket_is_not_shown_as_waiting_after_the_window(house: House) -> None:
    phone = Phone(house)
    await house.at("11:59:00")
    for i in range(2):
        await house.join(person(i))
    await house.services.room.adjust(TIANHE, "operator", {"rate": 0.000001})
    waiting = await phone.join(person(2))
    assert int(waiting.headers["refresh"].partition(";")[0]) <= 61


# T3: true words for each way of getting a number


async def test_who_joined_after_the_draw_is_not_told_that_a_draw_gave_the_number(house: House) -> None:
    await house.at("08:00:10")
    await house.services.room.adjust(TIANHE, "operator", {"rate": 0.000001})
    in_time, late, again = (both(house) for _ in range(3))
    for phone in in_time:
        await phone.join(person(0))
    await house.join(person(1))
    await house.at("09:00:00")
    for phone, drawn, after in zip(in_time, DRAWN, AFTER, strict=True):
        page = (await phone.get("/ticket")).text
        assert drawn in page and after not in page
    for phone, drawn, after in zip(late, DRAWN, AFTER, strict=True):
        page = (await phone.join(person(2))).text  # the second of them finds the place again, on another device
        assert after in page and drawn not in page
    # Given up, and joined again: at the back, whatever it was before.
    answer = await in_time[0].post("/leave")
    assert answer.headers["location"] == "/plain/ticket"
    for phone, drawn, after in zip(again, DRAWN, AFTER, strict=True):
        page = (await phone.join(person(0))).text
        assert after in page and drawn not in page


async def test_who_missed_the_call_and_joins_again_is_told_so(house: House) -> None:
    await house.at("08:00:10")
    ticket = await house.join(person(0))
    await house.at("08:02:00")
    await house.forward(1)
    await house.forward(311)  # called, and not come; a cache may have kept their look for 11 s
    assert (await house.get("/ticket", bearer=ticket["ticket"]))["state"] == "missed"
    await house.services.room.adjust(TIANHE, "operator", {"rate": 0.000001})
    for phone, drawn, after in zip(both(house), DRAWN, AFTER, strict=True):
        page = (await phone.join(person(0))).text
        assert after in page and drawn not in page


# What would be false for somebody who comes after the draw; each was said by a page or a problem.
FOR_EVERYBODY = (
    "不用抢：先后由抽签决定|a draw decides the order|刷新或手快都不会更早|being quick changes nothing|"
    "号码由抽签决定，再|请过几秒再试；先后顺序与手速无关|few seconds; being quick|回来取号就行，早晚都一样|"
    "opens(?: at {0})?; early or late"
)


async def test_no_sentence_says_of_everybody_that_a_draw_decides(house: House) -> None:
    assert [(name, found) for name, text in texts() if (found := re.findall(FOR_EVERYBODY, text))] == []
    await house.at("09:00:00")
    shown = ("开放后 2 分钟内取号，早晚都一样，先后由抽签决定", "whoever joins in the first 2 minutes shares one draw")
    for phone, said in zip(both(house), shown, strict=True):
        assert said in (await phone.get()).text


# T6: every hour is the city file's


def other_city() -> City:
    """Open from 07:30 to 18:45, with windows and half days of its own."""
    city = load_city()
    hours = {
        time(8): (time(7, 30), time(11, 15)),
        time(12): (time(11, 15), time(15, 5)),
        time(16): (time(15, 5), time(18, 45)),
    }
    districts = [
        msgspec.structs.replace(it, only_window=None, windows=tuple(Window(*hours[each.opens]) for each in it.windows))
        for it in city.districts
    ]
    periods = {"am": Period(time(8, 10), time(11, 50)), "pm": Period(time(13, 20), time(16, 40))}
    return msgspec.structs.replace(
        city, open_hours=Window(time(7, 30), time(18, 45)), districts=districts, periods_in_file=periods
    )


OURS = {"07:30", "11:15", "15:05", "18:45", "08:10", "11:50", "13:20", "16:40"}
HOUR_IN_WORDS = re.compile(
    r"\d ?点(?!\d)|[一二三四五六七八九十]点钟?(?=开|前|后|到|至|之|关)|中午|正午|\bnoon\b|\b[ap]\.m\.|o'clock",
    re.IGNORECASE,
)


def foreign(text: str, *steps: str) -> set[str]:
    """Times of day in a text that are neither the city's nor near to when the text was made."""
    minute = {step: int(step[:2]) * 60 + int(step[3:5]) for step in steps}
    found = {f"{int(h):02d}:{m}" for h, m in re.findall(r"(?<![\d:.+])(\d{1,2}):([0-5]\d)(?![\d])(?::[0-5]\d)?", text)}
    near = {it for it in found for at in minute.values() if abs(int(it[:2]) * 60 + int(it[3:]) - at) <= 15}
    return (found - OURS - near) | set(HOUR_IN_WORDS.findall(text))


async def test_in_a_city_with_other_hours_no_answer_names_guangzhous(store_url: str) -> None:
    async with open_house(store_url, city=other_city()) as house:
        await enrol(house.store, [person(i) for i in range(10)])
        await keep_sites(house.store)
        said: list[tuple[str, str, str]] = []

        async def see(step: str, phones: list[Phone], *paths: str) -> None:
            for phone in phones:
                for path in paths:
                    said.append((step, path, (await phone.client.get(path)).text))

        phones = both(house)
        await house.at("07:10:00")
        await see(
            "07:10", phones, "/plain", f"/plain/{TIANHE}", f"{API}/city", f"{API}/openings/{TIANHE}", "/plain/ticket"
        )
        refused = await house.call("POST", f"{API}/access-codes", json=person(0).papers() | {"name": None})
        said.append(("07:10", "codes", (await house.try_join(person(0))).text + refused.text))
        await house.at("07:30:20")
        await see("07:30", phones, "/plain", f"/plain/{TIANHE}", f"/plain/{HAIZHU}")
        said.append(("07:30", "too early", (await house.try_join(person(0), HAIZHU)).text))
        await house.at("07:33:00")
        no = await phones[0].register(person(0))
        await phones[1].register(person(1))
        await see("07:33", phones, "/plain/registration", "/plain/cancel", "/plain/change")
        await house.give(person(0), no, house.day + timedelta(days=2))
        await see("07:33", phones, "/plain/registration", "/plain/cancel")
        event = await phones[0].client.post("/plain/calendar", data={"no": no})
        await house.at("11:20:00")
        said.append(("11:20", "too late", (await house.try_join(person(2))).text))
        await see("11:20", phones, "/plain", f"/plain/{TIANHE}")
        await house.at("18:46:00", house.day + timedelta(days=1))
        await see("18:46", phones, "/plain", "/plain/registration")
        told = {(path, step): foreign(text, step, "07:33", "07:30") for step, path, text in said}
        assert {key: hours for key, hours in told.items() if hours} == {}
        pages = " ".join(text for _, _, text in said)
        assert "每天 07:30 到 18:45 可以修改或取消" in pages and "any day from 07:30 to 18:45" in pages
        assert "6月20日 18:45 前取消" in pages
        calendar = icalendar.Calendar.from_ical(event.content)
        alarm = next(iter(calendar.walk("VALARM")))
        assert foreign(str(alarm["description"]), "07:33") == set()
        assert "18:45" in str(alarm["description"])
        assert b"TRIGGER;VALUE=DATE-TIME:20210620T084500Z" in event.content  # two hours before 18:45 in Guangzhou


def texts() -> Iterator[tuple[str, str]]:
    """What is sent to everybody alike, whatever the city."""
    web = PAGES.parent
    for file in sorted(
        [*PAGES.rglob("*.js"), *PAGES.glob("*.html"), *web.rglob("templates/*.html"), web / "problems.py"]
    ):
        yield file.name, file.read_text(encoding="utf-8")


def test_no_text_that_every_city_gets_names_an_hour() -> None:
    said = {
        name: set(re.findall(r"(?<![T\d:])\d{1,2}:\d\d(?!:\d|\d)", text)) | set(HOUR_IN_WORDS.findall(text))
        for name, text in texts()
    }
    assert {name: hours - {"00:00"} for name, hours in said.items() if hours - {"00:00"}} == {}, "but midnight"


# T7: one rule for the language


@pytest.mark.parametrize("default", ["zh", "en"])
async def test_pages_problems_and_answers_speak_what_the_browser_asks_for_else_the_citys_own(
    store_url: str, default: str
) -> None:
    city = msgspec.structs.replace(load_city(), default_language=default)
    async with open_house(store_url, city=city) as house:
        for header, _, wanted, why in LANGUAGES:
            lang = DECLARED[default if wanted == "default" else wanted]
            shown = (await Phone(house, header).get()).text
            assert re.search(r'<html lang="([\w-]+)', shown)[1] == lang, (header, why)  # type: ignore[index]
            headers = {"accept-language": header}
            page = await house.client.get("/", headers=headers)
            assert f'<html lang="{lang}"' in page.text and page.headers["content-language"] == lang, (header, why)
            assert "accept-language" in page.headers["vary"], "a cache keeps them apart"
            answer = await house.client.get(f"{API}/city", headers=headers)
            assert answer.json()["name"] == {"zh": "广州市", "en": "Guangzhou"}[lang[:2]], (header, why)
            for path in ("/ticket", "/registrations/1"):  # a hot call, and another
                problem = await house.client.get(f"{API}{path}", headers=headers)
                assert problem.headers["content-language"] == lang, (header, path, why)
        for path in ("/staff", "/ops"):
            assert f'<html lang="zh-CN" data-language="{default}"' in (await house.client.get(path)).text


def test_a_city_file_without_the_key_speaks_chinese_and_another_language_is_refused(tmp_path: Path) -> None:
    shipped = (Path(__file__).parents[2] / "server" / "core" / "cities" / "guangzhou.toml").read_text(encoding="utf-8")
    line = 'default_language = "zh"\n'
    assert shipped.count(line) == 1
    file = tmp_path / "city.toml"
    file.write_text(shipped.replace(line, ""), encoding="utf-8")
    assert load_city(file).default_language == "zh"
    file.write_text(shipped.replace(line, 'default_language = "fr"\n'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"city\.toml: default_language: "):
        load_city(file)


# T8: giving up a place


async def test_giving_up_says_the_back_of_the_line_and_its_button_is_the_quiet_one(house: House) -> None:
    await house.at("08:03:00")
    await house.services.room.adjust(TIANHE, "operator", {"rate": 0.000001})
    await house.join(person(1))
    for phone, back in zip(both(house), ("重新取号，要排到队尾", "you start at the back"), strict=True):
        await phone.join(person(0))
        asked = (await phone.get("/leave")).text
        assert back in asked and "从头" not in asked
        assert "quiet" in Form(asked).ids["leave"]["class"]


async def test_giving_up_in_the_draw_does_not_say_the_back_of_the_line(house: House) -> None:
    await house.at("08:00:30")
    phone = Phone(house)
    await phone.join(person(0))
    assert "抽签结束前重新取号，仍然参加抽签" in (await phone.get("/leave")).text
    await phone.post("/leave")
    assert "抽签结束前重新取号，仍然参加抽签" in (await phone.get("/ticket")).text


def test_nothing_says_from_the_head() -> None:
    assert [name for name, text in texts() if re.search("从头排|starting anew|queue anew", text)] == []
