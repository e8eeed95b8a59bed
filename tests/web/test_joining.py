"""A place in an opening: who gets one, when, and that it is always the same one."""

import asyncio
from datetime import date

import pytest

from tests.support.people import COMPLETE, OF_BAIYUN, TOO_SOON, UNKNOWN
from tests.support.serving import BAIYUN, DAY, HAIZHU, HUANGPU, TIANHE, House, enrol, person, refused


async def test_the_first_join_is_201_and_every_later_one_200_with_the_same_place(house: House) -> None:
    await house.at("08:00:00")
    first, second = await house.try_join(person(0)), await house.try_join(person(0))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["cache-control"] == "no-store"
    assert first.json().keys() == {
        "ticket", "entry", "number", "serving", "ahead", "eta_seconds", "poll_after_seconds", "state",
        "eta_low_seconds", "eta_high_seconds",
    }  # fmt: skip
    assert (first.json()["entry"], first.json()["number"], first.json()["state"]) == (0, None, "drawing")
    assert second.json()["entry"] == 0
    assert second.json()["ticket"] == first.json()["ticket"]
    assert (await house.join(person(1)))["entry"] == 1


async def test_refresh_a_second_device_and_a_redelivery_at_once_get_one_place(house: House) -> None:
    await house.at("08:00:00")
    answers = await asyncio.gather(*(house.try_join(person(i % 5)) for i in range(50)))
    assert sorted(a.status_code for a in answers) == [200] * 45 + [201] * 5
    entries = [{a.json()["entry"] for a in answers[i::5]} for i in range(5)]
    assert [len(each) for each in entries] == [1] * 5
    assert set.union(*entries) == set(range(5))
    await house.look()
    assert (await house.get(f"/openings/{TIANHE}"))["issued"] == 5


async def test_two_workers_never_give_two_places(house: House, second_house: House) -> None:
    await asyncio.gather(house.at("08:00:00"), second_house.at("08:00:00"))
    answers = await asyncio.gather(*((house, second_house)[i % 2].try_join(person(i // 4)) for i in range(80)))
    assert sorted(a.status_code for a in answers) == [200] * 60 + [201] * 20
    places = [{(a.json()["entry"], a.json()["ticket"]) for a in answers[4 * i : 4 * i + 4]} for i in range(20)]
    assert [len(each) for each in places] == [1] * 20
    assert {entry for each in places for entry, _ in each} == set(range(20))
    await asyncio.gather(house.at("08:02:00"), second_house.at("08:02:00"))
    for each in places:
        ((_, ticket),) = each
        told = [await h.get("/ticket", bearer=ticket) for h in (house, second_house)]
        assert told[0]["number"] == told[1]["number"]


async def test_the_same_person_however_the_papers_are_typed(house: House) -> None:
    who = person(2)
    await enrol(house.store, [who])
    await house.at("08:00:00")
    entry = (await house.join(who))["entry"]
    wide = str.maketrans("0123456789X", "０１２３４５６７８９ｘ")
    for typed in (
        who.papers(id_number=who.id_number.translate(wide), phone=who.phone.translate(wide)),
        who.papers(id_number=f" {who.id_number[:6]} {who.id_number[6:14]} {who.id_number[14:].lower()} "),
        who.papers(phone=f"+86 {who.phone[:3]}-{who.phone[3:7]}-{who.phone[7:]}"),
        who.papers(name=f" {who.name} "),
    ):
        answer = await house.call("POST", f"/openings/{TIANHE}/tickets", json=typed)
        assert (answer.status_code, answer.json()["entry"]) == (200, entry)


async def test_a_check_character_x_may_be_small(house: House) -> None:
    who = next(person(i) for i in range(60) if person(i).id_number.endswith("X"))
    await house.at("08:00:00")
    entry = (await house.join(who))["entry"]
    answer = await house.call(
        "POST", f"/openings/{TIANHE}/tickets", json=who.papers(id_number=who.id_number[:-1] + "ｘ")
    )
    assert (answer.status_code, answer.json()["entry"]) == (200, entry)


@pytest.mark.parametrize("clock_time", ["00:00:00", "07:59:59", "20:00:00", "23:59:59"])
async def test_nobody_joins_in_maintenance_hours(house: House, clock_time: str) -> None:
    await house.at(clock_time)
    before = await house.everything()
    answer = await house.try_join(person(0))
    problem = refused(answer, "maintenance", 503)
    opens_on = DAY if clock_time < "08:00:00" else date(2021, 6, 20)
    assert problem["opens_at"] == f"{opens_on}T08:00:00+08:00"
    wait = house.instant("08:00:00", opens_on) - house.instant(clock_time)
    assert int(answer.headers["retry-after"]) == wait.total_seconds()
    assert await house.everything() == before


async def test_coming_back_when_told_is_never_a_moment_too_early(house: House) -> None:
    for clock_time, district, code in (("07:59:58.400", TIANHE, "maintenance"), ("11:59:58.400", HAIZHU, "not-open")):
        await house.at(clock_time)
        answer = await house.try_join(person(0), district)
        assert (answer.json()["code"], answer.headers["retry-after"]) == (code, "2")


async def test_before_the_window_it_is_not_open(house: House) -> None:
    await enrol(house.store, [person(0)], district=HAIZHU)
    for clock_time, seconds in (("08:00:00", 14400), ("11:59:59", 1)):
        await house.at(clock_time)
        before = await house.everything()
        answer = await house.try_join(person(0), HAIZHU)
        problem = refused(answer, "not-open", 425)
        assert problem["opens_at"] == "2021-06-19T12:00:00+08:00"
        assert int(answer.headers["retry-after"]) == seconds
        assert "6月19日12:00" in problem["detail"]
        assert await house.everything() == before
    await house.at("12:00:00")
    assert (await house.try_join(person(0), HAIZHU)).status_code == 201


async def test_after_the_window_it_has_ended(house: House) -> None:
    await house.at("11:59:59")
    assert (await house.try_join(person(0))).status_code == 201
    await house.at("12:00:00")
    before = await house.everything()
    for who in (person(0), person(1)):
        problem = refused(await house.try_join(who), "ended", 410)
        assert problem["next_opens_at"] == "2021-06-20T08:00:00+08:00"
    assert await house.everything() == before


async def test_the_door_opens_and_shuts_by_the_stores_clock_where_a_worker_is_behind(house: House) -> None:
    await house.at("11:59:59")
    await house.look()
    house.store.now_ms += 1000
    refused(await house.try_join(person(0)), "ended", 410)


async def test_huangpu_is_not_open_here(house: House) -> None:
    await house.at("09:00:00")
    answer = await house.try_join(person(0), HUANGPU)
    assert refused(answer, "not-open", 425)["opens_at"] is None
    refused(await house.try_join(person(0), "999999"), "not-found", 404)


async def test_the_draw_closes_on_the_second(house: House) -> None:
    await house.at("08:01:59.999")
    drawn = await house.join(person(0))
    assert (drawn["state"], drawn["number"]) == ("drawing", None)
    await house.at("08:02:00")
    late = await house.join(person(1))
    assert (late["entry"], late["number"]) == (1, 2)
    assert late["state"] == "waiting"
    assert (await house.get(f"/openings/{TIANHE}"))["draw"]["entries"] == 1


async def test_a_worker_that_has_not_seen_the_draw_close_still_tells_the_number(house: House) -> None:
    await house.at("08:01:59")
    for i in range(9):
        await house.join(person(i))
    house.set_time("08:02:03")  # no look at the store in between
    late = await house.join(person(9))
    assert (late["entry"], late["number"], late["state"]) == (9, 10, "waiting")
    assert late["ahead"] == 9


async def test_coming_late_means_the_back_of_the_line(house: House) -> None:
    await house.at("08:00:00")
    for i in range(10):
        await house.join(person(i))
    await house.at("08:02:00")
    late = [await house.join(person(i)) for i in range(10, 14)]
    assert [each["number"] for each in late] == [11, 12, 13, 14]
    assert [each["ahead"] for each in late] == [10, 11, 12, 13]


async def test_a_pause_gives_no_places_but_keeps_those_given(house: House) -> None:
    await house.at("08:00:00")
    entry = (await house.join(person(0)))["entry"]
    room = house.services.room
    await room.adjust(TIANHE, "op", {"paused": True})
    before = await house.everything()
    refused(await house.try_join(person(1)), "paused", 503)
    again = await house.try_join(person(0))
    assert (again.status_code, again.json()["entry"]) == (200, entry)
    assert await house.everything() == before
    assert (await house.get(f"/openings/{TIANHE}"))["state"] == "paused"
    await room.adjust(TIANHE, "op", {"message": "系统检修"})
    assert refused(await house.try_join(person(1)), "paused", 503)["detail"] == "系统检修"
    await room.adjust(TIANHE, "op", {"paused": False})
    assert (await house.try_join(person(1))).status_code == 201


async def test_who_may_not_register_gets_no_place_and_is_told_from_when(house: House) -> None:
    await house.at("08:00:00")
    before = await house.everything(but="guesses")
    too_soon = refused(await house.try_join(TOO_SOON), "not-eligible", 403)  # 35 days: "more than 35" is asked for
    assert (too_soon["reason"], too_soon["eligible_from"]) == ("too-soon", "2021-06-20")
    assert "2021年6月20日" in too_soon["detail"]
    complete = refused(await house.try_join(COMPLETE), "not-eligible", 403)
    assert (complete["reason"], complete["eligible_from"]) == ("complete", None)
    unknown = refused(await house.try_join(UNKNOWN), "not-eligible", 403)
    assert (unknown["reason"], unknown["eligible_from"]) == ("no-first-dose", "2021-07-01")
    wrong = refused(await house.try_join(OF_BAIYUN), "not-eligible", 403)
    assert (wrong["reason"], wrong["eligible_from"], wrong["district"]) == ("wrong-district", None, BAIYUN)
    assert "白云区" in wrong["detail"]
    assert await house.everything(but="guesses") == before
    assert (await house.try_join(OF_BAIYUN, BAIYUN)).status_code == 201
    await house.at("08:00:00", date(2021, 6, 20))
    assert (await house.try_join(TOO_SOON)).status_code == 201


async def test_before_the_campaign_and_for_first_doses(house: House) -> None:
    await house.at("08:00:00", date(2021, 6, 18))
    problem = refused(await house.try_join(person(0)), "not-eligible", 403)
    assert (problem["reason"], problem["eligible_from"]) == ("before-phases", "2021-06-19")
    await house.at("08:00:00", date(2021, 6, 30))
    refused(await house.try_join(UNKNOWN), "not-eligible", 403)
    await house.at("08:00:00", date(2021, 7, 1))
    assert (await house.try_join(UNKNOWN)).status_code == 201


async def test_a_wrong_name_or_phone_is_a_mismatch(house: House) -> None:
    await house.at("08:00:00")
    before = await house.everything(but="guesses")
    for change in ({"name": "别人"}, {"phone": "13899999999"}):
        answer = await house.call("POST", f"/openings/{TIANHE}/tickets", json=person(0).papers(**change))
        refused(answer, "identity-mismatch", 403)
    assert await house.everything(but="guesses") == before


async def test_every_district_has_a_line_of_its_own(house: House) -> None:
    await enrol(house.store, [person(50)], district=BAIYUN)
    await house.at("08:00:00")
    assert (await house.join(person(0)))["entry"] == 0
    assert (await house.join(person(50), BAIYUN))["entry"] == 0


async def test_every_kind_of_papers_can_join(house: House) -> None:
    await house.at("08:00:00", date(2021, 7, 1))
    for id_type, number in (
        ("resident_id", "11010519491231002X"),
        ("resident_id", "440524188001010014"),
        ("hk_macao_permit", "H12345678"),
        ("taiwan_permit", "12345678"),
        ("passport", "E12345678"),
    ):
        body = person(0).papers(id_type=id_type, id_number=number)
        answer = await house.call("POST", f"/openings/{TIANHE}/tickets", json=body)
        assert answer.status_code == 201, answer.text


async def test_tomorrow_is_a_new_opening(house: House) -> None:
    await house.at("08:00:00")
    await house.join(person(1))
    assert (await house.join(person(0)))["entry"] == 1
    await house.at("08:00:00", date(2021, 6, 20))
    assert (await house.join(person(0)))["entry"] == 0
