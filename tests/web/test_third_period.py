"""A third period of the day is a line of the city file: registering, the night, the desk and the messages follow it."""

import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from server.fairness.verification import verify_allotment
from server.records.slot import Slot
from tests.support.city_files import changed_city
from tests.support.serving import OPERATOR, TIANHE, House, enrol, keep_sites, open_house, person, refused

EVENING = 'evening = { opens = 18:00:00, closes = 20:30:00, name_zh = "晚上", name_en = "Evening" }'
FRIDAY = date(2021, 6, 25)
DAY = date(2021, 6, 22)
APPOINTMENT = DAY + timedelta(days=2)
HEADER = "site,date,period,product,capacity"


@pytest.fixture
async def house(store_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """Nine in the morning in Guangzhou, whose sites vaccinate in the evening too."""
    city = changed_city(tmp_path, ("[periods]\n", f"[periods]\n{EVENING}\n"))
    async with open_house(store_url, city=city, day=DAY) as house:
        await keep_sites(house.store)
        await enrol(house.store, [person(i) for i in range(5)])
        await house.at("09:00:00")
        yield house


async def test_everybody_is_told_of_it(house: House) -> None:
    shown = {"opens": "18:00", "closes": "20:30", "name_zh": "晚上", "name_en": "Evening"}
    for periods in (
        (await house.get("/city"))["periods"],
        (await house.get("/staff", bearer=house.staff()))["periods"],
        (await house.get("/operations", bearer=OPERATOR))["periods"],
    ):
        assert list(periods) == ["am", "pm", "evening"]
        assert periods["evening"] == shown


async def test_it_is_wished_for_allotted_and_checked_in(house: House) -> None:
    rows = [f"T1,{APPOINTMENT},evening,inactivated,1", f"T1,{APPOINTMENT},am,inactivated,5"]
    file = "\n".join([HEADER, *rows]).encode()
    answer = await house.call("POST", "/capacity", bearer=OPERATOR, content=file, headers={"content-type": "text/csv"})
    assert answer.status_code == 200, answer.text
    wish = {"preferences": [{"site": "T1", "period": "evening"}], "accept_any_site": False}
    done = [await house.registered(person(i), **wish) for i in (0, 1)]
    either = await house.registered(person(2), preferences=[{"site": "T1", "period": "any"}], accept_any_site=False)
    await house.at("20:15:00")
    await house.services.night.run(DAY)
    await house.at("09:00:00", DAY + timedelta(days=1))
    seen = [await house.get(f"/registrations/{it['registration_no']}", bearer=it["receipt"]) for it in (*done, either)]
    appointments = [it["appointment"] for it in seen]
    got = [it for it in appointments[:2] if it]
    assert len(got) == 1 and appointments[2]["period"] == "am"
    assert got[0] == {
        "site": "T1", "date": str(APPOINTMENT), "period": "evening",
        "starts_at": f"{APPOINTMENT}T18:00:00+08:00", "ends_at": f"{APPOINTMENT}T20:30:00+08:00",
    }  # fmt: skip
    result = house.services.published.path(DAY, TIANHE)
    assert result is not None
    assert verify_allotment(result).foot.counts["allotted"] == 2
    assert json.loads(result.read_bytes().splitlines()[0])["rules"]["periods"] == ["am", "pm", "evening"]

    await house.at("18:30:00", APPOINTMENT)
    roster = await house.get("/sites/T1/roster", bearer=house.staff())
    assert [it["period"] for it in roster["entries"]] == ["am", "evening"]
    no = roster["entries"][1]["registration_no"]
    body = {"registration_no": no, "date": str(APPOINTMENT)}
    attended = await house.call("POST", "/attendances", bearer=house.staff(), json=body)
    assert (attended.status_code, attended.json()["state"], attended.json()["period"]) == (200, "fulfilled", "evening")


async def test_a_site_is_closed_for_it_alone_or_with_the_whole_day(house: House) -> None:
    await house.store.keep_capacity(f"{TIANHE}:{FRIDAY}", {Slot("T1", "evening", "inactivated"): 9})
    await house.booked(person(0), FRIDAY, period="pm")
    await house.booked(person(1), FRIDAY, period="evening")
    body = {"date": str(FRIDAY), "reason": "停电", "period": "evening"}
    closed = await house.call("POST", "/sites/T1/closures", bearer=house.staff(), json=body)
    assert (closed.status_code, closed.json()["period"], closed.json()["sent_back"]) == (200, "evening", 1)
    await house.call("POST", "/sites/T1/closures", bearer=house.staff(), json=body | {"period": None})
    roster = await house.get(f"/sites/T1/roster?date={FRIDAY}", bearer=house.staff())
    assert ([it["period"] for it in roster["closures"]], roster["entries"]) == (["am", "pm", "evening"], [])


async def test_a_period_that_the_city_has_not_is_refused_as_ever(house: House) -> None:
    ticket = (await house.join(person(0)))["ticket"]
    await house.forward(1)
    pass_ = await house.claim(ticket)
    wish = {"preferences": [{"site": "T1", "period": "evening"}, {"site": "T1", "period": "noon"}]}
    problem = refused(await house.register(pass_, **wish), "invalid", 422)
    assert [it["field"] for it in problem["errors"]] == ["preferences[1].period"]
    body = {"date": str(FRIDAY), "reason": "停电", "period": "any"}
    problem = refused(await house.call("POST", "/sites/T1/closures", bearer=house.staff(), json=body), "invalid", 422)
    assert [it["field"] for it in problem["errors"]] == ["period"]
    file = f"{HEADER}\nT1,{FRIDAY},noon,inactivated,1\n".encode()
    answer = await house.call("POST", "/capacity", bearer=OPERATOR, content=file, headers={"content-type": "text/csv"})
    assert refused(answer, "invalid", 422)["errors"][0]["field"] == "line 2, column 3 (period)"


async def test_plain_offers_it_by_its_name(house: House) -> None:
    done = await house.booked(person(0), FRIDAY, period="evening")
    held = f"{done['registration_no']}.{done['receipt']}"
    answer = await house.client.get("/plain/registration", headers={"cookie": f"receipts={held}"})
    assert answer.status_code == 200, answer.text
    assert "晚上 18:00–20:30" in answer.text
