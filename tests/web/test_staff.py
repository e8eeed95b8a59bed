"""The desk and the site: who is expected, who came, and what a closed site does to nobody's no-shows."""

from datetime import date, timedelta
from typing import Any

import pytest

from server.appointments.giving import SlotGrant
from server.appointments.staff import Role
from server.records.slot import RosterEntry, Slot
from tests.support.serving import OPERATOR, TIANHE, House, enrol, person, refused
from tests.support.stores import swap

TODAY, MONDAY, TUESDAY = date(2021, 6, 19), date(2021, 6, 21), date(2021, 6, 22)


@pytest.fixture
async def monday(house: House) -> tuple[House, list[Any]]:
    """Monday 09:00; appointments of that day: two at T1 in the morning, one after noon, and one at T2."""
    await house.at("09:00:00")
    done = []
    for i, (site, period) in enumerate((("T1", "am"), ("T1", "am"), ("T1", "pm"), ("T2", "am"))):
        done.append(await house.booked(person(i), MONDAY, site, period))
    await house.at("09:00:00", MONDAY)
    return house, done


async def roster(house: House, site: str = "T1", day: date = MONDAY, **how: Any) -> Any:
    how.setdefault("bearer", house.staff(site))
    return await house.call("GET", f"/sites/{site}/roster", params={"date": day.isoformat()}, **how)


async def attend(house: House, no: str, day: date = MONDAY, site: str = "T1", bearer: str | None = None) -> Any:
    body = {"registration_no": no, "date": day.isoformat()}
    return await house.call("POST", "/attendances", bearer=bearer or house.staff(site), json=body)


async def close(house: House, site: str = "T1", bearer: str | None = None, **body: Any) -> Any:
    body = {"date": MONDAY.isoformat(), "reason": "停电"} | body
    return await house.call("POST", f"/sites/{site}/closures", bearer=bearer or house.staff(site), json=body)


async def mine(house: House, done: Any) -> Any:
    return await house.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])


async def test_the_roster_has_what_the_desk_needs_and_no_more(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    seen = (await roster(house)).json()
    assert seen["entries"] == [
        {
            "registration_no": done[i]["registration_no"], "name": "测*", "phone": f"137****{i:04d}", "period": period,
            "product": "inactivated", "dose": 2, "state": "booked", "holder": None, "undo_before": None,
        }
        for i, period in ((0, "am"), (1, "am"), (2, "pm"))
    ]  # fmt: skip
    del seen["entries"]
    assert seen == {
        "site": "T1", "name_zh": "接种点T1", "name_en": "Site T1", "district": TIANHE, "date": "2021-06-21",
        "closures": [],
    }  # fmt: skip
    assert (await house.call("GET", "/sites/T1/roster", bearer=house.staff("T1"))).json()["date"] == "2021-06-21"
    assert (await roster(house, day=TUESDAY)).json()["entries"] == []


async def test_who_came_is_fulfilled_once_and_the_same_ever_after(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    no = done[0]["registration_no"]
    first = await attend(house, no)
    assert (first.status_code, first.json()) == (
        200,
        {
            "registration_no": no, "site": "T1", "date": "2021-06-21", "period": "am", "state": "fulfilled",
            "at": "2021-06-21T09:00:00+08:00",
        },
    )  # fmt: skip
    await house.at("10:00:00")
    before = await house.everything()
    assert (await attend(house, no)).json() == first.json()
    assert await house.everything() == before
    states = {e["registration_no"]: e["state"] for e in (await roster(house)).json()["entries"]}
    assert list(states.values()) == ["fulfilled", "booked", "booked"]
    found = await mine(house, done[0])
    assert [(line["state"], line["at"][11:16]) for line in found["history"]][-1] == ("fulfilled", "09:00")


async def test_who_came_needs_no_further_dose(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    await attend(house, done[0]["registration_no"])
    await house.at("09:00:00", date(2021, 6, 30))
    assert refused(await house.try_join(person(0)), "not-eligible", 403)["reason"] == "complete"


async def test_a_desk_that_was_offline_sends_later(monday: tuple[House, list[Any]]) -> None:
    """The night has counted a no-show meanwhile; it is taken back."""
    house, done = monday
    no = done[0]["registration_no"]
    (slot,) = [s for s in await house.store.roster(f"{TIANHE}:{MONDAY}") if s.no == no]
    await house.at("21:00:00", MONDAY)
    assert await house.services.appointments.miss(TIANHE, MONDAY, [(slot, True)]) == ["missed"]
    await house.at("08:30:00", TUESDAY)
    assert (await mine(house, done[0]))["no_shows"] == 1
    assert (await attend(house, no, MONDAY)).json()["state"] == "fulfilled"
    found = await mine(house, done[0])
    assert (found["state"], found["no_shows"]) == ("fulfilled", 0)


@pytest.mark.parametrize(("days", "code"), [(7, 200), (8, 422)])
async def test_a_desk_may_be_a_week_late(monday: tuple[House, list[Any]], days: int, code: int) -> None:
    house, done = monday
    await house.at("09:00:00", MONDAY + timedelta(days=days))
    assert (await attend(house, done[0]["registration_no"])).status_code == code


async def test_nobody_is_attended_before_the_day(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    await house.at("19:59:59", date(2021, 6, 20))
    problem = refused(await attend(house, done[0]["registration_no"]), "invalid", 422)
    assert [e["field"] for e in problem["errors"]] == ["date"]
    assert (await mine(house, done[0]))["state"] == "booked"


@pytest.mark.parametrize("no", ["106190100000017", "12345", "", "１０６１９０１００００００１７"])
async def test_a_mistyped_number_is_told(monday: tuple[House, list[Any]], no: str) -> None:
    problem = refused(await attend(monday[0], no), "invalid", 422)
    assert [e["field"] for e in problem["errors"]] == ["registration_no"]


async def test_another_sites_day_is_not_theirs(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    before = await house.everything()
    t1, t2 = house.staff("T1"), house.staff("T2")
    refused(await roster(house, "T2", bearer=t1), "not-found", 404)
    refused(await roster(house, "B1", bearer=t1), "not-found", 404)
    refused(await roster(house, "no-such-site", bearer=t1), "not-found", 404)
    refused(await close(house, "T2", bearer=t1), "not-found", 404)
    assert await house.everything() == before
    # A dose that is said to have been given there, or on another day, is for the operator to look at; nothing changes.
    for day, bearer in ((MONDAY, t2), (TODAY, t1)):
        answer = await attend(house, done[0]["registration_no"], day, bearer=bearer)
        assert (answer.status_code, answer.json()["state"]) == (202, "unmatched")
    after = await house.everything()
    del after[f"attendances:{{{TIANHE}}}".encode()]
    assert after == before


async def test_only_a_staff_token_opens_the_desk(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    ticket = (await house.join(person(9)))["ticket"]
    changed = house.staff("T1")[:-1] + ("A" if house.staff("T1")[-1] != "A" else "B")
    before = await house.everything()
    for bearer in (ticket, done[0]["receipt"], changed, "x"):
        refused(await roster(house, bearer=bearer), "forged", 401)
        refused(await attend(house, done[0]["registration_no"], bearer=bearer), "forged", 401)
        refused(await close(house, bearer=bearer), "forged", 401)
        refused(await house.call("GET", "/staff", bearer=bearer), "forged", 401)
    refused(await house.call("GET", "/sites/T1/roster"), "unauthorized", 401)
    refused(await house.call("GET", "/ticket", bearer=house.staff("T1")), "forged", 401)
    assert await house.everything() == before


async def test_a_token_ends(monday: tuple[House, list[Any]]) -> None:
    house, _ = monday
    token = house.staff("T1", days=1)
    assert (await roster(house, bearer=token)).status_code == 200
    await house.at("08:59:59", TUESDAY)
    assert (await roster(house, bearer=token)).status_code == 200
    await house.at("09:00:00", TUESDAY)
    refused(await roster(house, bearer=token), "expired", 410)


async def test_who_am_i(monday: tuple[House, list[Any]]) -> None:
    house, _ = monday
    seen = await house.get("/staff", bearer=house.staff("T1", Role.DESK))
    assert seen == {
        "site": "T1", "name_zh": "接种点T1", "name_en": "Site T1", "district": TIANHE, "role": "desk",
        "expires_at": "2021-07-21T09:00:00+08:00", "now": "2021-06-21T09:00:00+08:00",
        "periods": {
            "am": {"opens": "08:30", "closes": "12:00", "name_zh": "上午", "name_en": "Morning"},
            "pm": {"opens": "14:00", "closes": "17:00", "name_zh": "下午", "name_en": "Afternoon"},
        },
    }  # fmt: skip
    assert (await house.get("/staff", bearer=OPERATOR))["site"] is None


async def test_the_desk_may_not_close_the_site(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    refused(await close(house, bearer=house.staff("T1", Role.DESK)), "forged", 401)
    assert (await mine(house, done[0]))["state"] == "booked"
    assert (await attend(house, done[0]["registration_no"], bearer=house.staff("T1", Role.DESK))).status_code == 200


async def test_a_closed_site_sends_everyone_back_with_priority_and_no_no_show(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    answer = await close(house, period="am")
    assert answer.json() == {"site": "T1", "date": "2021-06-21", "period": "am", "reason": "停电", "sent_back": 2}
    assert [(await mine(house, d))["state"] for d in done] == ["proposed", "proposed", "booked", "booked"]
    found = await mine(house, done[0])
    assert (found["appointment"], found["cancel_before"], found["no_shows"]) == (None, None, 0)
    assert found["history"][-1]["why"] == "停电"
    assert (await house.store.registration_fields(house.resident(person(0))))["priority"] == "1"
    seen = (await roster(house)).json()
    assert [e["period"] for e in seen["entries"]] == ["pm"]
    assert seen["closures"] == [{"period": "am", "reason": "停电"}]
    again = await close(house, period="am", reason="again")
    assert (again.json()["sent_back"], again.json()["reason"]) == (0, "停电")
    assert (await roster(house)).json()["closures"] == [{"period": "am", "reason": "停电"}], "the first word stands"
    late = (await attend(house, done[0]["registration_no"])).json()
    assert (late["state"], late["period"]) == ("fulfilled", "am"), "who had come before it was closed has come"
    elsewhere = await attend(house, done[1]["registration_no"], site="T2")
    assert (elsewhere.status_code, elsewhere.json()["state"]) == (202, "unmatched"), "kept for the operator"
    assert (await mine(house, done[1]))["state"] == "proposed"


async def test_a_whole_day_is_both_halves_and_leaves_who_came(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    await attend(house, done[0]["registration_no"])
    assert (await close(house)).json()["sent_back"] == 2
    assert [(await mine(house, d))["state"] for d in done] == ["fulfilled", "proposed", "proposed", "booked"]
    assert [e["state"] for e in (await roster(house)).json()["entries"]] == ["fulfilled"]


async def test_nobody_gets_a_slot_at_a_closed_site(monday: tuple[House, list[Any]]) -> None:
    house, _ = monday
    await close(house, date=TUESDAY.isoformat())
    done = await house.registered(person(5))
    await house.store.keep_capacity(f"{TIANHE}:{TUESDAY}", {Slot("T1", "am", "inactivated"): 9})
    with pytest.raises(AssertionError):
        await house.give(person(5), done["registration_no"], TUESDAY)
    assert (await mine(house, done))["state"] == "proposed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"date": "2021-06-20"}, "date"),
        ({"reason": ""}, "reason"),
        ({"reason": "  "}, "reason"),
        ({"period": "any"}, "period"),
        ({"date": "soon"}, "date"),
    ],
)
async def test_a_closure_that_cannot_be_changes_nothing(
    monday: tuple[House, list[Any]], body: dict[str, str], field: str
) -> None:
    house, _ = monday
    before = await house.everything()
    problem = refused(await close(house, **body), "invalid", 422)
    assert [e["field"] for e in problem["errors"]] == [field]
    assert await house.everything() == before


async def test_every_act_says_who(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    bearer, actor = house.services.staff_tokens.token("T1", Role.MANAGER, MONDAY, house.clock.at_ms // 1000 + 60)
    await attend(house, done[0]["registration_no"], bearer=bearer)
    await close(house, bearer=bearer, period="am")
    lines = [(await house.store.history(house.resident(person(i)))).events[-1] for i in (0, 1)]
    assert [(line.state, line.actor, line.why) for line in lines] == [
        ("fulfilled", actor, ""), ("proposed", actor, "停电"),
    ]  # fmt: skip
    client: Any = house.store.client
    logged = [fields for _, fields in await client.xrange(f"audit:{{{TIANHE}:{MONDAY}}}")]
    assert [fields[b"actor"].decode() for fields in logged if b"closed" in fields] == [actor]


async def test_html_in_a_reason_or_a_name_stays_text(monday: tuple[House, list[Any]]) -> None:
    house, _ = monday
    evil = person(40)
    evil = type(evil)(evil.id_number, "<img src=x onerror=alert(1)>", evil.phone)
    await enrol(house.store, [evil])
    done = await house.booked(evil, MONDAY)
    seen = (await roster(house)).json()
    (entry,) = [e for e in seen["entries"] if e["registration_no"] == done["registration_no"]]
    assert entry["name"] == "I*", "a mask shows the first letter only"
    answer = await close(house, reason="<script>alert(1)</script>", period="pm")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get("x-content-type-options") in (None, "nosniff")


# At the same moment, and after a crash


async def test_an_appointment_given_while_its_holder_cancels(
    monday: tuple[House, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, _ = monday
    done = await house.registered(person(5))
    no, cancel = done["registration_no"], house.store.cancel

    async def given_first(*args: Any) -> str:
        swap(monkeypatch, house.store, "cancel", cancel)
        await house.give(person(5), no, date(2021, 6, 23))
        return await cancel(*args)

    swap(monkeypatch, house.store, "cancel", given_first)
    answer = await house.call("POST", f"/registrations/{no}/cancellation", bearer=done["receipt"])
    assert answer.json()["state"] == "cancelled"
    assert await house.store.roster(f"{TIANHE}:2021-06-23") == [], "no slot is left behind"


async def test_an_appointment_given_while_its_site_closes(
    monday: tuple[House, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, _ = monday
    done = await house.registered(person(5))
    book = house.store.book

    async def closed_first(*args: Any) -> Any:
        assert (await close(house, date="2021-06-23")).status_code == 200
        return await book(*args)

    swap(monkeypatch, house.store, "book", closed_first)
    await house.store.keep_capacity(f"{TIANHE}:2021-06-23", {Slot("T1", "am", "inactivated"): 1})
    slot = RosterEntry(done["registration_no"], house.resident(person(5)), "T1", "am", "inactivated")
    giving = SlotGrant(slot, date(2021, 6, 23))
    assert await house.services.appointments.give(TIANHE, [giving], "night") == ["closed"]
    assert (await mine(house, done))["state"] == "proposed"
    assert await house.store.roster(f"{TIANHE}:2021-06-23") == []


@pytest.mark.parametrize("killed", ["before", "after"])
async def test_a_crash_while_an_appointment_is_given(
    monday: tuple[House, list[Any]], monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    house, _ = monday
    done = await house.registered(person(5))
    book = house.store.book

    async def dies(*args: Any) -> str:
        if killed == "after":
            await book(*args)
        raise RuntimeError("killed")

    swap(monkeypatch, house.store, "book", dies)
    with pytest.raises(RuntimeError):
        await house.give(person(5), done["registration_no"], date(2021, 6, 23))
    await house.forward(61)
    assert await house.services.appointments.reconcile() == 1
    numbers = {s.no for s in await house.store.roster(f"{TIANHE}:2021-06-23")}
    assert numbers == (set() if killed == "before" else {done["registration_no"]})
    assert (await mine(house, done))["state"] == ("proposed" if killed == "before" else "booked")


async def test_a_crash_while_closing_a_site_is_finished_by_the_next_worker(
    monday: tuple[House, list[Any]], second_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, done = monday
    sent_back = house.store.reopen

    async def dies(*args: Any) -> str:
        swap(monkeypatch, house.store, "reopen", dead)
        return await sent_back(*args)

    async def dead(*_: Any) -> str:
        raise RuntimeError("killed")

    swap(monkeypatch, house.store, "reopen", dies)
    refused(await close(house), "overloaded", 503)
    states = sorted([(await mine(house, d))["state"] for d in done])
    assert states == ["booked", "booked", "booked", "proposed"]
    second_house.set_time("09:05:00", MONDAY)
    assert await second_house.services.appointments.reconcile() == 1
    swap(monkeypatch, house.store, "reopen", sent_back)
    assert [(await mine(house, d))["state"] for d in done] == ["proposed", "proposed", "booked", "booked"]
    assert (await close(house)).json()["sent_back"] == 1, "and asked for again, it finishes the rest"
    assert [e["state"] for e in (await roster(house)).json()["entries"]] == []


@pytest.mark.parametrize("killed", ["before", "after"])
async def test_a_crash_while_cancelling_leaves_slot_and_registration_of_one_mind(
    monday: tuple[House, list[Any]], second_house: House, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    house, done = monday
    await house.at("09:00:00", date(2021, 6, 20))
    cancel = house.store.cancel

    async def dies(*args: Any) -> str:
        if killed == "after":
            await cancel(*args)
        raise RuntimeError("killed")

    swap(monkeypatch, house.store, "cancel", dies)
    where = f"/registrations/{done[0]['registration_no']}/cancellation"
    refused(await house.call("POST", where, bearer=done[0]["receipt"]), "overloaded", 503)
    second_house.set_time("09:00:30", date(2021, 6, 20))
    assert await second_house.services.appointments.reconcile() == 0, "it may still be under way"
    second_house.set_time("09:10:00", date(2021, 6, 20))
    assert await second_house.services.appointments.reconcile() == 1
    assert await second_house.services.appointments.reconcile() == 0
    numbers = {s.no for s in await house.store.roster(f"{TIANHE}:{MONDAY}")}
    state = (await house.store.registration_fields(house.resident(person(0))))["state"]
    assert (state, done[0]["registration_no"] in numbers) == (
        ("booked", True) if killed == "before" else ("cancelled", False)
    )
