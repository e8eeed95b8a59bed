"""A registration's life after its receipt: looked up, changed, cancelled in time, and by nobody else."""

import asyncio
from datetime import date, datetime
from typing import Any

import icalendar
import pytest

from server.core.keys import key, registration_no, resident_tag
from tests.support.serving import BAIYUN, TIANHE, House, Person, person, refused

TODAY, MONDAY = date(2021, 6, 19), date(2021, 6, 21)


@pytest.fixture
async def at_nine(house: House) -> House:
    """09:00 on the first day: the draw is over."""
    await house.at("09:00:00")
    return house


def path(done: Any, more: str = "") -> str:
    return f"/registrations/{done['registration_no']}{more}"


async def cancel(house: House, done: Any) -> Any:
    return await house.call("POST", path(done, "/cancellation"), bearer=done["receipt"])


async def test_cancelled_once_and_said_so_ever_after(at_nine: House) -> None:
    house = at_nine
    done = await house.registered(person(0))
    first = await cancel(house, done)
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert first.headers["cache-control"] == "no-store"
    before = await house.everything()
    assert (await cancel(house, done)).json() == first.json()
    after = await house.everything()
    # A message is still owed, and pointed to once more: doubled pointers lead to one message.
    outbox = f"outbox:{{{TIANHE}}}".encode()
    assert {k: v for k, v in after.items() if k != outbox} == {k: v for k, v in before.items() if k != outbox}
    found = await house.get(path(done), bearer=done["receipt"])
    assert found == first.json()
    assert [line["state"] for line in found["history"]] == ["proposed", "cancelled"]


async def test_who_cancelled_may_register_again_at_the_back(at_nine: House) -> None:
    house = at_nine
    done = await house.registered(person(0))
    await cancel(house, done)
    again = await house.registered(person(0))
    assert again["registration_no"] != done["registration_no"]
    refused(await house.call("GET", path(done), bearer=done["receipt"]), "not-found", 404)
    refused(await cancel(house, done), "not-found", 404)
    assert (await house.get(path(again), bearer=again["receipt"]))["state"] == "proposed"


async def test_two_devices_cancel_at_once(at_nine: House, second_house: House) -> None:
    house = at_nine
    done = await house.booked(person(0), MONDAY)
    await second_house.at("09:00:01")
    answers = await asyncio.gather(*(cancel((house, second_house)[i % 2], done) for i in range(10)))
    assert {a.status_code for a in answers} == {200}
    assert [len(await house.store.roster(f"{TIANHE}:{MONDAY}"))] == [0]
    assert (await house.store.history(house.resident(person(0)))).events[-1].state == "cancelled"


@pytest.mark.parametrize(
    ("day", "clock_time", "in_time"),
    [
        # An appointment on Monday the 21st: until Sunday 20:00, when nobody can log in any more (A7, A8).
        (date(2021, 6, 20), "08:00:00", True),
        (date(2021, 6, 20), "19:59:59", True),
        (date(2021, 6, 21), "08:00:00", False),
        (date(2021, 6, 22), "12:00:00", False),
    ],
)
async def test_an_appointment_is_cancelled_until_eight_the_evening_before(
    at_nine: House, day: date, clock_time: str, in_time: bool
) -> None:
    house = at_nine
    done = await house.booked(person(0), MONDAY)
    await house.at(clock_time, day)
    found = await house.get(path(done), bearer=done["receipt"])
    assert found["cancel_before"] == "2021-06-20T20:00:00+08:00"
    answer = await cancel(house, done)
    if in_time:
        assert answer.json()["state"] == "cancelled"
        assert await house.store.roster(f"{TIANHE}:{MONDAY}") == [], "the slot is free again"
    else:
        problem = refused(answer, "too-late", 409)
        assert problem["cancel_before"] == "2021-06-20T20:00:00+08:00"
        assert "6月20日20:00" in problem["detail"]
        assert (await house.get(path(done), bearer=done["receipt"]))["state"] == "booked"
        assert len(await house.store.roster(f"{TIANHE}:{MONDAY}")) == 1


@pytest.mark.parametrize(
    ("clock_time", "is_open", "opens_at"),
    [
        ("07:59:59", False, "2021-06-20T08:00:00+08:00"),
        ("08:00:00", True, None),
        ("19:59:59", True, None),
        ("20:00:00", False, "2021-06-21T08:00:00+08:00"),
        ("23:59:59", False, "2021-06-21T08:00:00+08:00"),
        ("00:00:00", False, "2021-06-20T08:00:00+08:00"),
    ],
)
async def test_looking_up_and_cancelling_are_open_from_eight_to_eight_for_every_district(
    at_nine: House, clock_time: str, is_open: bool, opens_at: str | None
) -> None:
    house = at_nine
    done = await house.registered(person(0))
    await house.at(clock_time, date(2021, 6, 20))
    wishes = {"preferences": [], "accept_any_site": True}
    calls = [
        await house.call("GET", path(done), bearer=done["receipt"]),
        await house.call("PATCH", path(done), bearer=done["receipt"], json=wishes),
        await cancel(house, done),
    ]
    for answer in calls:
        if is_open:  # Tianhe's own window is 08-12; these are not bound to it
            assert answer.status_code == 200, answer.text
        else:
            assert refused(answer, "maintenance", 503)["opens_at"] == opens_at
            wait = datetime.fromisoformat(str(opens_at)) - house.instant(clock_time, date(2021, 6, 20))
            assert int(answer.headers["retry-after"]) == wait.total_seconds()


async def test_wishes_change_while_there_is_no_appointment(at_nine: House) -> None:
    house = at_nine
    done = await house.registered(person(0))
    wishes = {"preferences": [{"site": "T2", "period": "pm"}], "accept_any_site": False, "not_before": "2021-07-01"}
    changed = await house.call("PATCH", path(done), bearer=done["receipt"], json=wishes)
    assert changed.status_code == 200, changed.text
    found = await house.get(path(done), bearer=done["receipt"])
    assert found == changed.json()
    assert {k: found[k] for k in wishes} == wishes
    assert found["state"] == "proposed"
    before = await house.everything()
    assert (await house.call("PATCH", path(done), bearer=done["receipt"], json=wishes)).json() == found
    assert await house.everything() == before, "the same again changes nothing, not even the history"


@pytest.mark.parametrize(
    "wishes",
    [
        {"preferences": [], "accept_any_site": False},
        {"preferences": [{"site": "B1", "period": "am"}], "accept_any_site": False},
        {"preferences": [{"site": "T1", "period": "night"}], "accept_any_site": True},
        {"preferences": [{"site": "T1", "period": "am"}] * 2, "accept_any_site": True},
        {"accept_any_site": True},
        {"preferences": [], "accept_any_site": True, "not_before": "2031-01-01"},
    ],
    ids=str,
)
async def test_impossible_wishes_change_nothing(at_nine: House, wishes: Any) -> None:
    done = await at_nine.registered(person(0))
    before = await at_nine.everything()
    answer = await at_nine.call("PATCH", path(done), bearer=done["receipt"], json=wishes)
    assert refused(answer, "invalid", 422)["errors"]
    assert await at_nine.everything() == before


async def test_wishes_do_not_change_once_there_is_an_appointment(at_nine: House) -> None:
    done = await at_nine.booked(person(0), MONDAY)
    wishes = {"preferences": [{"site": "T2", "period": "pm"}], "accept_any_site": False}
    answer = await at_nine.call("PATCH", path(done), bearer=done["receipt"], json=wishes)
    assert "已经安排" in refused(answer, "too-late", 409)["detail"]
    await cancel(at_nine, done)
    refused(await at_nine.call("PATCH", path(done), bearer=done["receipt"], json=wishes), "too-late", 409)


async def test_an_appointment_is_seen_and_goes_into_a_calendar(at_nine: House) -> None:
    house = at_nine
    done = await house.registered(person(0))
    ics = path(done, "/appointment.ics")
    refused(await house.call("GET", ics, bearer=done["receipt"]), "not-found", 404)
    await house.give(person(0), done["registration_no"], MONDAY, period="pm")
    found = await house.get(path(done), bearer=done["receipt"])
    assert found["appointment"] == {
        "site": "T1", "date": "2021-06-21", "period": "pm",
        "starts_at": "2021-06-21T14:00:00+08:00", "ends_at": "2021-06-21T17:00:00+08:00",
    }  # fmt: skip
    assert found["state"] == "booked"
    answer = await house.call("GET", ics, bearer=done["receipt"], lang="en")
    assert answer.headers["content-type"].startswith("text/calendar")
    (event,) = icalendar.Calendar.from_ical(answer.content).walk("VEVENT")
    assert event.decoded("dtstart").isoformat() == "2021-06-21T14:00:00+08:00"
    assert event.decoded("dtend").isoformat() == "2021-06-21T17:00:00+08:00"
    assert event["location"] == "Site T1, 路1号"
    assert done["registration_no"] in str(event["description"])
    assert "2021-06-20 20:00" in str(event["description"])
    (alarm,) = event.walk("VALARM")
    reminder = alarm.decoded("trigger").astimezone(house.services.city.tz)
    assert reminder.isoformat() == "2021-06-20T18:00:00+08:00", "the day before, and in time to cancel still"
    refused(await house.call("GET", ics), "unauthorized", 401)
    await cancel(house, done)
    refused(await house.call("GET", ics, bearer=done["receipt"]), "not-found", 404)
    gone = await house.get(path(done), bearer=done["receipt"])
    assert (gone["appointment"], gone["cancel_before"]) == (None, None), "the slot is somebody else's"


async def test_one_receipt_opens_one_registration(at_nine: House) -> None:
    house = at_nine
    mine, other = await house.registered(person(0)), await house.registered(person(1))
    before = await house.everything()
    wishes = {"preferences": [], "accept_any_site": True}
    unknown = str(int(other["registration_no"]) + 7)
    for no in (other["registration_no"], unknown):
        where = f"/registrations/{no}"
        refused(await house.call("GET", where, bearer=mine["receipt"]), "not-found", 404)
        refused(await house.call("PATCH", where, bearer=mine["receipt"], json=wishes), "not-found", 404)
        refused(await house.call("POST", where + "/cancellation", bearer=mine["receipt"]), "not-found", 404)
        refused(await house.call("GET", where + "/appointment.ics", bearer=mine["receipt"]), "not-found", 404)
        refused(await house.call("GET", where), "unauthorized", 401)
        refused(await house.call("POST", where + "/cancellation", bearer="x" * 60), "forged", 401)
    assert await house.everything() == before


async def test_a_pass_is_spent_once_whatever_became_of_the_registration(at_nine: House) -> None:
    house = at_nine
    ticket = (await house.join(person(0)))["ticket"]
    await house.forward(1)
    pass_ = await house.claim(ticket)
    done = (await house.register(pass_)).json()
    await house.passes_freed()
    await cancel(house, done)
    refused(await house.register(pass_), "used", 409)
    refused(await house.call("POST", "/passes", bearer=ticket), "used", 409)
    assert (await house.get(path(done), bearer=done["receipt"]))["state"] == "cancelled"


# A relative


def wished(together: Any) -> dict[str, Any]:
    return {"preferences": [], "accept_any_site": True, "together": together}


async def stored(house: House, who: Person) -> dict[str, str]:
    return await house.store.registration_fields(house.resident(who))


async def test_a_relative_is_named_changed_and_taken_back(at_nine: House) -> None:
    house = at_nine
    mother = await house.registered(person(0))
    child = await house.registered(person(1), together=mother["registration_no"])
    assert child["together"] == mother["registration_no"]
    assert (await stored(house, person(1)))["together"] == mother["registration_no"]
    assert (await stored(house, person(0)))["together"] == ""
    for typed in (child["registration_no"], f" {child['registration_no'][:5]} {child['registration_no'][5:]}\t"):
        changed = await house.call("PATCH", path(mother), bearer=mother["receipt"], json=wished(typed))
        assert changed.json()["together"] == child["registration_no"], changed.text
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in child["registration_no"])  # as a Chinese keyboard types
    assert (await house.call("PATCH", path(mother), bearer=mother["receipt"], json=wished(wide))).status_code == 200
    assert (await stored(house, person(0)))["together"] == child["registration_no"]
    for nobody in ({}, {"together": None}, {"together": ""}):
        named = await house.call("PATCH", path(mother), bearer=mother["receipt"], json=wished(child["registration_no"]))
        assert named.json()["together"]
        body = {"preferences": [], "accept_any_site": True} | nobody
        changed = await house.call("PATCH", path(mother), bearer=mother["receipt"], json=body)
        assert changed.json()["together"] is None
        assert (await stored(house, person(0)))["together"] == ""


@pytest.mark.parametrize(
    ("no", "zh", "en"),
    [
        ("106190100000014", "不是登记号", "no registration number"),  # another check digit
        ("10619010000001", "不是登记号", "no registration number"),
        ("妈妈", "不是登记号", "no registration number"),
        (registration_no(1, date(2021, 6, 20), 0), "不是登记号", "no registration number"),  # nobody has it yet
        (registration_no(3, date(2021, 6, 19), 0), "别的区", "another district"),
        ("own", "您自己的", "your own"),
    ],
)
async def test_who_cannot_be_a_relative_is_said_in_words(at_nine: House, no: str, zh: str, en: str) -> None:
    house = at_nine
    done = await house.registered(person(0))
    before = await house.everything()
    body = wished(done["registration_no"] if no == "own" else no)
    for lang, words in (("zh", zh), ("en", en)):
        answer = await house.call("PATCH", path(done), bearer=done["receipt"], json=body, lang=lang)
        (error,) = refused(answer, "invalid", 422)["errors"]
        assert (error["field"], words in error["message"]) == ("together", True), error
    assert await house.everything() == before
    ticket = (await house.join(person(1)))["ticket"]
    await house.forward(1)
    pass_ = await house.claim(ticket)
    own = registration_no(1, TODAY, 1)
    refused(await house.register(pass_, together=own if no == "own" else no), "invalid", 422)
    assert (await house.register(pass_)).status_code == 201, "and may be put right"


async def test_whether_a_relatives_number_exists_is_not_told(at_nine: House) -> None:
    done = await at_nine.registered(person(0))
    unknown = registration_no(1, TODAY, 4711)
    answer = await at_nine.call("PATCH", path(done), bearer=done["receipt"], json=wished(unknown))
    assert (answer.status_code, answer.json()["together"]) == (200, unknown)


@pytest.mark.parametrize("value", [7, ["1"], True, "9" * 41])
async def test_a_relative_of_a_wrong_kind_is_invalid(at_nine: House, value: Any) -> None:
    done = await at_nine.registered(person(0))
    answer = await at_nine.call("PATCH", path(done), bearer=done["receipt"], json=wished(value))
    assert refused(answer, "invalid", 422)["errors"][0]["field"] == "together"


# Language, and what became of the messages


@pytest.mark.parametrize(
    ("accept", "lang"), [("en-GB,en;q=0.9", "en"), ("zh-CN", "zh"), ("fr", "zh"), ("zh;q=0.5,en", "en"), (None, "zh")]
)
async def test_messages_go_in_the_language_of_registering(at_nine: House, accept: str | None, lang: str) -> None:
    house = at_nine
    ticket = (await house.join(person(0)))["ticket"]
    await house.forward(1)
    body = {"preferences": [], "accept_any_site": True}
    pass_ = await house.claim(ticket)
    done = (await house.call("POST", "/registrations", bearer=pass_, json=body, lang=accept)).json()
    assert (await stored(house, person(0)))["lang"] == lang
    other = {"preferences": [{"site": "T1", "period": "am"}], "accept_any_site": True}
    for again in ("en", "zh"):  # looked up, and changed, on somebody else's phone
        assert (
            await house.call("PATCH", path(done), bearer=done["receipt"], json=other, lang=again)
        ).status_code == 200
        assert (await house.call("POST", "/registrations", bearer=pass_, json=body, lang=again)).status_code == 200
    assert (await stored(house, person(0)))["lang"] == lang


async def test_what_became_of_each_message_is_seen_in_the_order_of_the_events(at_nine: House) -> None:
    house = at_nine
    done = await house.registered(person(0))
    name, nine = key("registration", resident_tag(house.resident(person(0)))), house.clock.at_ms
    told = {
        "sms:waiting": f"undelivered {nine + 7_000} {nine + 6_000}",
        "sms:registered": f"delivered {nine + 9_000} {nine + 1_000}",  # sent late, and still the first event
        "sms:cancelled": f"unsent {nine + 60_000} {nine + 50_000}",
    }
    client: Any = house.store.client
    await client.hset(name, mapping=told)
    assert (await house.get(path(done), bearer=done["receipt"]))["messages"] == [
        {"kind": "registered", "state": "delivered", "at": "2021-06-19T09:00:10+08:00"},
        {"kind": "waiting", "state": "undelivered", "at": "2021-06-19T09:00:08+08:00"},
        {"kind": "cancelled", "state": "unsent", "at": "2021-06-19T09:01:01+08:00"},
    ]


# Asking before the opening


@pytest.mark.parametrize(
    ("day", "clock_time", "judged_for"),
    [
        (TODAY, "08:00:00", "2021-06-19"),
        (TODAY, "11:59:59", "2021-06-19"),
        (TODAY, "12:00:00", "2021-06-20"),  # today's window is over
        (TODAY, "19:59:59", "2021-06-20"),
    ],
)
async def test_one_can_ask_before_queueing(house: House, day: date, clock_time: str, judged_for: str) -> None:
    await house.at(clock_time, day)
    before = await house.everything()
    answer = await house.call("POST", f"/openings/{TIANHE}/eligibility", json=person(0).papers())
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "eligible": True, "date": judged_for, "first_dose_date": "2021-05-01", "product": "inactivated",
        "outlook": None,
    }  # fmt: skip
    assert await house.everything() == before, "asking takes no place"


async def test_asking_is_refused_as_joining_would_be(house: House) -> None:
    ask = f"/openings/{TIANHE}/eligibility"
    refused(await house.call("POST", ask, json=person(0).papers()), "maintenance", 503)
    await house.at("09:00:00")
    done = await house.registered(person(0))
    refused(await house.call("POST", ask, json=person(0).papers()), "already-registered", 409)
    refused(await house.call("POST", ask, json=person(1).papers(name="别人")), "identity-mismatch", 403)
    refused(await house.call("POST", ask, json=person(1).papers(id_number="1")), "invalid", 422)
    refused(await house.call("POST", "/openings/440112/eligibility", json=person(1).papers()), "not-open", 425)
    refused(await house.call("POST", "/openings/1/eligibility", json=person(1).papers()), "not-found", 404)
    problem = refused(
        await house.call("POST", f"/openings/{BAIYUN}/eligibility", json=person(1).papers()), "not-eligible", 403
    )
    assert (problem["reason"], problem["district"]) == ("wrong-district", TIANHE)
    await cancel(house, done)
    assert (await house.call("POST", ask, json=person(0).papers())).status_code == 200


async def test_names_and_phones_cannot_be_guessed_by_asking(at_nine: House) -> None:
    ask = f"/openings/{TIANHE}/eligibility"
    for i in range(5):
        answer = await at_nine.call("POST", ask, json=person(0).papers(phone=f"1380000000{i}"))
        refused(answer, "identity-mismatch", 403)
    refused(await at_nine.call("POST", ask, json=person(0).papers()), "too-many-requests", 429)
    refused(await at_nine.try_join(person(0)), "too-many-requests", 429)  # one limit over all calls that tell
    await at_nine.forward(600)
    done = await at_nine.call("POST", ask, json=person(0).papers())
    assert done.status_code == 200


@pytest.mark.parametrize(
    ("id_type", "short", "long"),
    [("hk_macao_permit", "H12345678", "H1234567801"), ("taiwan_permit", "12345678", "1234567802")],
)
async def test_a_permit_that_was_issued_again_is_the_same_person(
    house: House, id_type: str, short: str, long: str
) -> None:
    await house.at("09:00:00", date(2021, 7, 1))
    papers = person(0).papers(id_type=id_type, name="陈大文")
    first = await house.call("POST", f"/openings/{TIANHE}/tickets", json=papers | {"id_number": short})
    again = await house.call("POST", f"/openings/{TIANHE}/tickets", json=papers | {"id_number": long})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["entry"] == again.json()["entry"]
