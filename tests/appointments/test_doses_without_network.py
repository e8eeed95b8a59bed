"""The desk: a dose that was given without a network to somebody who had cancelled elsewhere.

Row D1 of the table of cases. What is right was decided as a registry office would: a dose that was given is a fact.
"""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import httpx
import msgspec
import pytest

from server.core.city import City, load_city
from server.core.keys import key, registration_no, resident_tag
from server.records.first_dose import FirstDoseRecord
from server.records.registration import Appointment, NewRegistration
from server.records.registration_changes import Change
from server.records.slot import RosterEntry, Slot
from server.records.statuses import known
from tests.support.resident_scripts import T0, booked, miss, past, r, register, stop
from tests.support.resident_scripts import cancel as cancel_one
from tests.support.serving import OPERATOR, TIANHE, House, enrol, keep_sites, open_house, person, refused
from tests.support.stores import FIELDS, Store

SATURDAY, SUNDAY, MONDAY, TUESDAY, THURSDAY = (date(2021, 6, day) for day in (19, 20, 21, 22, 24))


async def opened(store_url: str, city: City | None = None) -> AsyncIterator[House]:
    """Saturday morning, with residents who may register, and sites."""
    async with open_house(store_url, city=city) as house:
        await enrol(house.store, [person(i) for i in range(4)])
        await keep_sites(house.store)
        await house.at("09:00:00")
        yield house


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Of a city that has decided nothing else."""
    async for it in opened(store_url):
        yield it


async def say(house: House, no: str, day: date = MONDAY, site: str = "T1", bearer: str | None = None) -> httpx.Response:
    body = {"registration_no": no, "date": day.isoformat()}
    return await house.call("POST", "/attendances", bearer=bearer or house.staff(site), json=body)


async def cancel(house: House, done: Any) -> None:
    answer = await house.call("POST", f"/registrations/{done['registration_no']}/cancellation", bearer=done["receipt"])
    assert answer.status_code == 200


async def mine(house: House, done: Any) -> Any:
    return await house.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])


async def shown(house: House) -> list[Any]:
    """What the operator is shown."""
    found = (await house.get("/operations/attendances", bearer=OPERATOR))["attendances"]
    totals = (await house.get("/operations", bearer=OPERATOR))["totals"]
    assert totals["attendances"] == len(found)
    return list(found)


async def used(house: House, day: date, slot: str = "T1|am|inactivated") -> int:
    client: Any = house.store.client
    return int(await client.hget(f"taken:{{{TIANHE}:{day}}}", slot) or 0)


async def test_a_dose_given_offline_after_the_resident_cancelled_elsewhere_is_kept(house: House) -> None:
    done = await house.booked(person(0), MONDAY)
    no = done["registration_no"]
    await house.at("10:00:00", SUNDAY)
    await cancel(house, done)
    assert await used(house, MONDAY) == 0
    await house.at("16:00:00", MONDAY)  # the desk's network is back
    first = await say(house, no)
    assert first.status_code == 200
    assert first.json() == {
        "registration_no": no, "site": "T1", "date": "2021-06-21", "period": "am", "state": "fulfilled",
        "at": "2021-06-21T16:00:00+08:00",
    }  # fmt: skip
    before = await house.everything()
    await house.at("17:00:00", MONDAY)
    assert (await say(house, no)).json() == first.json(), "again is the same"
    assert await shown(house) == [
        {
            "registration_no": no, "district": TIANHE, "site": "T1", "date": "2021-06-21", "state": "reconciled",
            "fulfilled_no": no, "actor": (await house.store.history(house.resident(person(0)))).events[-1].actor,
            "at": "2021-06-21T16:00:00+08:00",
        }
    ]  # fmt: skip
    resident_keys = {k: v for k, v in before.items() if b"registration" in k or b"history" in k or b"taken" in k}
    assert resident_keys.items() <= (await house.everything()).items()
    found = await mine(house, done)
    assert (found["state"], found["appointment"]["site"], found["appointment"]["date"]) == (
        "fulfilled",
        "T1",
        "2021-06-21",
    )
    assert [it["state"] for it in found["history"]] == ["proposed", "booked", "cancelled", "fulfilled"]
    assert await used(house, MONDAY) == 0, "the slot may be somebody else's by now"
    await house.at("09:00:00", TUESDAY)
    problem = refused(await house.try_join(person(0)), "not-eligible", 403)
    assert problem["reason"] == "complete", "no second appointment for the same dose"


async def test_a_newer_registration_is_fulfilled_by_it_and_its_slot_is_free(house: House) -> None:
    old = await house.booked(person(0), MONDAY)
    await house.at("09:00:00", SUNDAY)
    await cancel(house, old)
    await house.at("09:05:00", SUNDAY)
    new = await house.booked(person(0), THURSDAY, "T2", "pm")
    assert new["registration_no"] != old["registration_no"]
    assert await used(house, THURSDAY, "T2|pm|inactivated") == 1
    await house.at("16:00:00", MONDAY)
    answer = await say(house, old["registration_no"])
    assert (answer.status_code, answer.json()["state"]) == (200, "fulfilled")
    assert await used(house, THURSDAY, "T2|pm|inactivated") == 0
    found = await mine(house, new)
    assert (found["state"], found["appointment"]) == (
        "fulfilled", {**found["appointment"], "site": "T1", "date": "2021-06-21", "period": "am"},
    )  # fmt: skip
    (line,) = await shown(house)
    assert (line["registration_no"], line["fulfilled_no"]) == (old["registration_no"], new["registration_no"])
    roster = await house.call("GET", "/sites/T2/roster", params={"date": str(THURSDAY)}, bearer=house.staff("T2"))
    assert roster.json()["entries"] == []
    assert await house.services.appointments.reconcile(0) == 0, "nothing was left in between"
    assert (await say(house, old["registration_no"])).json()["state"] == "fulfilled"
    assert await used(house, THURSDAY, "T2|pm|inactivated") == 0


async def test_a_dose_that_nothing_bears_out_is_kept_and_changes_nothing_until_the_operator_says_so(
    house: House,
) -> None:
    done = await house.booked(person(0), THURSDAY, "T2")
    no = done["registration_no"]
    await house.at("16:00:00", MONDAY)
    answer = await say(house, no)
    assert (answer.status_code, answer.json()["state"], answer.json()["period"]) == (202, "unmatched", None)
    assert (await say(house, no)).status_code == 202
    assert (await mine(house, done))["state"] == "booked"
    (line,) = await shown(house)
    assert (line["state"], line["fulfilled_no"], line["site"]) == ("unmatched", None, "T1")
    path = f"/operations/attendances/{no}/2021-06-21"
    problem = refused(
        await house.call("POST", f"{path}/acceptance", bearer=OPERATOR, json={"reason": " "}), "invalid", 422
    )
    assert problem["errors"][0]["field"] == "reason"
    said = {"reason": "纸质记录核对，13800138000"}
    accepted = await house.call("POST", f"{path}/acceptance", bearer=OPERATOR, json=said)
    assert (accepted.status_code, accepted.json()["state"], accepted.json()["fulfilled_no"]) == (200, "reconciled", no)
    found = await mine(house, done)
    assert (found["state"], found["appointment"]["site"], found["appointment"]["date"]) == (
        "fulfilled",
        "T1",
        "2021-06-21",
    )
    assert found["history"][-1]["why"] == "纸质记录核对，****", "a phone that was typed is not kept"
    assert await used(house, THURSDAY, "T2|am|inactivated") == 0
    assert (await say(house, no)).json()["state"] == "fulfilled"
    assert (await house.call("POST", f"{path}/acceptance", bearer=OPERATOR, json=said)).status_code == 200
    assert (await house.call("DELETE", path, bearer=OPERATOR, json=said)).status_code == 204
    assert await shown(house) == []
    refused(await house.call("DELETE", path, bearer=OPERATOR, json=said), "not-found", 404)
    client: Any = house.store.client
    entries = await client.xrange(f"audit:{{{TIANHE}:2021-06-21}}")
    assert [(e[b"attendance"], e[b"actor"], e[b"reason"].decode()) for _, e in entries if b"attendance" in e] == [
        (no.encode(), b"operator", "纸质记录核对，****")
    ]


async def test_a_second_dose_on_record_is_not_counted_twice(house: House) -> None:
    done = await house.booked(person(0), MONDAY)
    await house.at("10:00:00", MONDAY)
    assert (await say(house, done["registration_no"])).status_code == 200
    await house.at("10:00:00", TUESDAY)
    answer = await say(house, done["registration_no"], TUESDAY, "T2")
    assert answer.status_code == 202
    path = f"/operations/attendances/{done['registration_no']}/2021-06-22/acceptance"
    refused(await house.call("POST", path, bearer=OPERATOR, json={"reason": "x"}), "used", 409)
    assert (await mine(house, done))["appointment"]["date"] == "2021-06-21"


async def test_an_unknown_number_is_refused_clearly_and_keeps_nothing(house: House) -> None:
    ticket = (await house.join(person(1)))["ticket"]
    await house.forward(1)
    await house.claim(ticket)  # has a pass, and has not registered: that number is nobody's yet
    await house.at("10:00:00", MONDAY)
    before = await house.everything()
    number = next(it.no for it in load_city().districts if it.code == TIANHE)
    for entry in (0, 77):
        answer = await say(house, registration_no(number, SATURDAY, entry))
        assert "逐位核对" in refused(answer, "not-found", 404)["detail"]
    assert await house.everything() == before


@pytest.mark.parametrize(("decision", "status", "state"), [("keep", 202, "cancelled"), ("refuse", 404, "cancelled")])
async def test_a_city_may_decide_otherwise(store_url: str, decision: str, status: int, state: str) -> None:
    shipped = load_city()
    policy = msgspec.structs.replace(shipped.policy, attendance_off_roster=decision)
    async for house in opened(store_url, msgspec.structs.replace(shipped, policy=policy)):
        done = await house.booked(person(0), MONDAY)
        await house.at("10:00:00", SUNDAY)
        await cancel(house, done)
        await house.at("16:00:00", MONDAY)
        assert (await say(house, done["registration_no"])).status_code == status
        assert (await mine(house, done))["state"] == state
        assert len(await shown(house)) == (1 if decision == "keep" else 0)


# The script, on a standalone server and on a cluster

HERE, THERE = Appointment("T1", "2021-06-21", "am"), Appointment("T2", "2021-06-24", "pm")


async def test_reconciling_says_what_it_found(store: Store) -> None:
    change = Change(r(1), "A", "T1/desk")
    assert (await store.reconcile_attendance(change, HERE, "", "")).status == "absent"
    await register(store, T0, "A")
    store.now_ms = T0 + 9
    assert (await store.reconcile_attendance(change, HERE, "", "2021-06-24")).status == "moved"
    done = await store.reconcile_attendance(change, HERE, "why", "")
    assert done == ("reconciled", T0 + 9, "A", False)
    store.now_ms = T0 + 99
    assert await store.reconcile_attendance(change, HERE, "why", "") == ("again", T0 + 9, "A", False)
    assert (await store.reconcile_attendance(change, THERE, "", "2021-06-21")).status == "other"
    kept = await store.registration_fields(r(1))
    assert (kept["state"], kept["site"], kept["day"], kept["period"]) == ("fulfilled", *HERE)
    assert (await past(store))[-1] == ("A", "fulfilled", "T1/desk", "why")
    assert await stop(store) == "done 2021-06-21"


async def test_an_earlier_number_fulfils_the_latest_registration_unless_that_is_for_the_next_dose(store: Store) -> None:
    for resident, first_dose, status in (
        (1, "2021-05-01", "reconciled"),
        (2, "2021-06-21", "other"),
        (3, "", "reconciled"),
    ):
        change = await booked(store, "A", resident)
        assert await cancel_one(store, change, HERE.day) == "cancelled"
        new = NewRegistration(r(resident), T0 + 600_000, "B", first_dose, FIELDS)
        assert known(await store.register([new]))[0].status == "registered"
        done = await store.reconcile_attendance(change, HERE, "", "")
        assert (done.status, done.no) == (status, "B")
        assert (await store.registration_fields(r(resident)))["state"] == (
            "fulfilled" if status == "reconciled" else "proposed"
        )
        assert await stop(store, resident) == ("done 2021-06-21" if status == "reconciled" else "open B")


async def test_a_no_show_that_was_charged_meanwhile_is_put_right_and_its_bar(store: Store) -> None:
    for no in "ABC":
        await booked(store, no)
        await miss(store, Change(r(1), no, "night"), HERE.day, charge=True)
    assert await stop(store) == "barred"
    # of an earlier number, on a day on which the roster had it
    done = await store.reconcile_attendance(Change(r(1), "A", "T1/desk"), THERE, "", HERE.day)
    assert done == ("reconciled", T0, "C", True)
    assert (await store.history(r(1))).no_shows == 2 and await stop(store) == "done 2021-06-24"


async def test_what_was_typed_for_a_first_dose_stays_once_it_was_given(store: Store) -> None:
    await store.enrol([(r(1), FirstDoseRecord(0, "", "440106", b"m" * 12))], 60_000)
    new = NewRegistration(r(1), T0 + 600_000, "A", "", FIELDS)
    store.now_ms = T0
    assert known(await store.register([new]))[0].status == "registered"
    change = Change(r(1), "A", "T1/desk")
    assert await cancel_one(store, change) == "cancelled"
    client: Any = store.client
    assert await client.pttl(key("registry", resident_tag(r(1)))) > 0
    assert (await store.reconcile_attendance(change, HERE, "", "")).status == "reconciled"
    assert await client.pttl(key("registry", resident_tag(r(1)))) == -1


async def test_a_slot_that_was_freed_is_remembered(store: Store) -> None:
    tag, taken = "440106:2021-06-21", RosterEntry("N1", r(1), "T1", "am", "cho")
    assert await store.ever_on_roster(tag, "N1") is None
    await store.keep_capacity(tag, {Slot("T1", "am", "cho"): 1})
    await store.take([(tag, taken)])
    assert await store.ever_on_roster(tag, "N1") == taken
    assert await store.vacate(tag, "N1") is True
    assert (await store.on_roster(tag, "N1"), await store.ever_on_roster(tag, "N1")) == (None, taken)
