"""Where the city asks for a consent nobody registers without it, and it is kept which text they agreed to."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.support.city_files import changed_city
from tests.support.plain_page import Form, Phone
from tests.support.serving import House, enrol, keep_sites, open_house, person, refused

DAY = date(2021, 6, 19)
TEXT = {"zh": "我同意使用我的接种记录。", "en": "I agree that my record is used."}
CONSENT = f"""[service.consent]
version = "2021-06"
text_zh = "{TEXT["zh"]}"
text_en = "{TEXT["en"]}"
"""
ANY = {"preferences": [], "accept_any_site": True}


@pytest.fixture
async def house(store_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """Nine in the morning in a Guangzhou that asks for it."""
    city = changed_city(tmp_path, ("[policy]\n", f"{CONSENT}\n[policy]\n"))
    async with open_house(store_url, city=city, day=DAY) as house:
        await keep_sites(house.store)
        await enrol(house.store, [person(i) for i in range(3)])
        await house.at("09:00:00")
        yield house


async def test_it_is_told_with_its_text_in_both_languages(house: House) -> None:
    for lang, text in TEXT.items():
        assert (await house.get("/city", lang=lang))["service"]["consent"] == {"version": "2021-06", "text": text}


@pytest.mark.parametrize(
    ("consent", "why"),
    [
        ({}, "You can register once you agree to this."),
        ({"consent": ""}, "You can register once you agree to this."),
        ({"consent": "2020-01"}, "The text has changed. Please reload the page and read it again."),
    ],
)
async def test_without_it_nothing_is_registered_and_the_pass_is_still_good(
    house: House, consent: dict[str, str], why: str
) -> None:
    ticket = (await house.join(person(0)))["ticket"]
    await house.forward(1)
    held = await house.claim(ticket)
    answer = await house.call("POST", "/registrations", bearer=held, json=ANY | consent, lang="en")
    problem = refused(answer, "invalid", 422)
    assert problem["errors"] == [{"field": "consent", "message": why}]
    assert await house.store.registration_fields(house.resident(person(0))) == {}
    done = await house.call("POST", "/registrations", bearer=held, json=ANY | {"consent": "2021-06"})
    assert done.status_code == 201, done.text


async def test_it_is_kept_with_the_registration_and_shown_and_not_asked_for_when_wishes_change(house: House) -> None:
    done: Any = await house.registered(person(0), **ANY, consent="2021-06")
    path = f"/registrations/{done['registration_no']}"
    assert (await house.store.registration_fields(house.resident(person(0))))["consent"] == "2021-06"
    wishes = {"preferences": [{"site": "T1", "period": "am"}], "accept_any_site": False}
    answer = await house.call("PATCH", path, bearer=done["receipt"], json=wishes)
    assert answer.status_code == 200
    assert (await house.get(path, bearer=done["receipt"]))["consent"] == "2021-06"


async def test_the_plain_pages_ask_for_it_with_a_box_that_is_not_ticked(house: House) -> None:
    phone = Phone(house)
    await phone.join(person(0))
    await house.forward(1)
    await phone.post("/claim")
    form = Form((await phone.get("/wishes")).text)
    assert form.ids["consent"]["value"] == "2021-06" and "checked" not in form.ids["consent"]
    refusal = await phone.post("/wishes", {"any_site": "1"}, status=422)
    assert "要先同意，才能登记。" in refusal.text
    await phone.post("/wishes", {"any_site": "1", "consent": "2021-06"})
    assert (await house.store.registration_fields(house.resident(person(0))))["consent"] == "2021-06"


async def test_a_city_that_asks_for_none_keeps_none(store_url: str) -> None:
    async with open_house(store_url, day=DAY) as house:
        await keep_sites(house.store)
        await enrol(house.store, [person(0)])
        await house.at("09:00:00")
        done: Any = await house.registered(person(0), **ANY, consent="2021-06")
        assert "consent" not in await house.store.registration_fields(house.resident(person(0)))
        assert (await house.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"]))["consent"] is None
