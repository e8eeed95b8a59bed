"""A city with reserves from outside: told in plain words, given first to their members, and nobody is named by one."""

import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest

from server.core.city import load_city
from server.core.reserves import Reserve
from server.fairness.verification import verify_allotment, verify_inclusion
from tests.support.serving import OPERATOR, TIANHE, House, enrol, keep_sites, open_house, person

DAY = date(2021, 6, 22)
APPOINTMENT = DAY + timedelta(days=2)
RESERVE = Reserve(
    "60岁及以上的老人、残疾人", "people of 60 and over, disabled people", 50, min_age=60, groups=("disabled",)
)
SAID = {
    "zh": "每个接种点 50% 的疫苗先给：60岁及以上的老人、残疾人。剩下没用完的，大家都可以安排。",
    "en": "At every site 50% of the doses go first to: people of 60 and over, disabled people. What they do not use "
    "goes to everybody.",
}


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Nine in the morning; of five who have had a first dose the last ones are members."""
    city = msgspec.structs.replace(load_city(), reserves=(RESERVE,))
    async with open_house(store_url, city=city, day=DAY) as house:
        await keep_sites(house.store)
        for i in range(5):
            await enrol(house.store, [person(i)], dose=date(2021, 5, 1) + timedelta(days=i))
        for i, change in ((3, {"born": date(1950, 1, 1).toordinal()}), (4, {"groups": ("disabled",)})):
            (record,) = await house.store.records([house.resident(person(i))])
            assert record is not None
            await house.store.keep_first_doses([(house.resident(person(i)), msgspec.structs.replace(record, **change))])
        await house.at("09:00:00")
        yield house


async def test_everybody_is_told_of_it_in_plain_words(house: House) -> None:
    shown = [{"letter": "A", "name_zh": RESERVE.name_zh, "name_en": RESERVE.name_en, "percent": 50}]
    assert (await house.get("/city"))["reserves"] == shown
    assert (await house.get("/operations", bearer=OPERATOR))["reserves"] == shown
    for path in ("/plain", f"/plain/{TIANHE}"):
        for lang, text in SAID.items():
            answer = await house.client.get(path, headers={"accept-language": lang})
            assert text in answer.text, (path, lang)


async def test_its_members_go_first_for_their_share_and_no_answer_says_who_they_are(
    house: House, tmp_path: Path
) -> None:
    file = f"site,date,period,product,capacity\nT1,{APPOINTMENT},am,inactivated,3\n".encode()
    answer = await house.call("POST", "/capacity", bearer=OPERATOR, content=file, headers={"content-type": "text/csv"})
    assert answer.status_code == 200, answer.text
    wish = {"preferences": [{"site": "T1", "period": "am"}], "accept_any_site": False}
    done = [await house.registered(person(i), **wish) for i in range(5)]
    await house.at("20:15:00")
    await house.services.night.run(DAY)
    await house.at("09:00:00", DAY + timedelta(days=1))
    seen = [await house.get(f"/registrations/{it['registration_no']}", bearer=it["receipt"]) for it in done]
    # Of three doses one is reserved (half of three, rounded down): the two first in order, and the first member.
    assert [it["state"] for it in seen] == ["booked", "booked", "proposed", "booked", "proposed"]
    assert [it["night"]["reached"] for it in seen] == [None, None, "2021-05-02", None, "2021-05-04"]
    result = house.services.published.path(DAY, TIANHE)
    assert result is not None
    verify_allotment(result)
    lines = [json.loads(line) for line in result.read_bytes().splitlines()[1:-1]]
    assert [(line.get("reserves"), line.get("by"), "slot" in line) for line in lines] == [
        (None, None, True),
        (None, None, True),
        (None, None, False),
        ("A", "A", True),
        ("A", None, False),
    ]
    numbers = {it["registration_no"] for it in done}
    assert not any(no in result.read_text() for no in numbers)
    saved = tmp_path / "mine.json"
    for it, line in zip(seen, lines, strict=True):
        saved.write_text(json.dumps(it))
        assert verify_inclusion(saved).line.no == line["no"]
    public = await house.get(f"/allotments/{TIANHE}/{DAY}")
    assert (public["by_reserve"], public["reached"][1]) == ({"A": 1}, "2021-05-02")
    (tianhe,) = [it for it in (await house.get("/operations", bearer=OPERATOR))["districts"] if it["code"] == TIANHE]
    assert tianhe["night"]["by_reserve"] == {"A": 1}
