"""One person at the desk: looked up with a note of who looked, found by their card, taken back when mistaken."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from server.core.csv_cells import as_text
from server.core.keys import key, resident_tag
from tests.support.serving import OPERATOR, TIANHE, House, person, refused

MONDAY, TUESDAY = date(2021, 6, 21), date(2021, 6, 22)


@pytest.fixture
async def monday(house: House) -> AsyncIterator[tuple[House, list[Any]]]:
    """Monday 09:00; residents 0 and 1 are expected at T1 in the morning, 2 at T2, and 3 at T1 tomorrow."""
    await house.at("09:00:00")
    done = []
    for i, (site, day) in enumerate((("T1", MONDAY), ("T1", MONDAY), ("T2", MONDAY), ("T1", TUESDAY))):
        done.append(await house.booked(person(i), day, site, "am"))
    await house.at("09:00:00", MONDAY)
    yield house, done


async def look_up(house: House, no: str, site: str = "T1", day: date = MONDAY, bearer: str | None = None) -> Any:
    body = {"registration_no": no, "date": day.isoformat()}
    return await house.call("POST", f"/sites/{site}/lookups", bearer=bearer or house.staff(site), json=body)


async def search(house: House, number: str, site: str = "T1", kind: str = "resident_id", bearer: str = "") -> Any:
    body = {"id_type": kind, "id_number": number}
    return await house.call("POST", f"/sites/{site}/searches", bearer=bearer or house.staff(site), json=body)


async def attend(house: House, no: str, site: str = "T1", day: date = MONDAY) -> Any:
    body = {"registration_no": no, "date": day.isoformat()}
    return await house.call("POST", "/attendances", bearer=house.staff(site), json=body)


async def undo(house: House, no: str, site: str = "T1", day: date = MONDAY, reason: str = "点错了人") -> Any:
    body = {"date": day.isoformat(), "reason": reason}
    return await house.call("POST", f"/attendances/{no}/undo", bearer=house.staff(site), json=body)


async def acts(house: House, district: str = TIANHE) -> list[dict[str, Any]]:
    found = await house.get("/operations/acts", params={"district": district}, bearer=OPERATOR)
    return list(found["acts"])


async def mine(house: House, done: Any) -> Any:
    return await house.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])


async def test_one_person_is_shown_by_name_and_it_is_noted_who_looked(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    no, who = done[0]["registration_no"], person(0)
    token = house.staff("T1")
    seen = (await look_up(house, no, bearer=token)).json()
    assert seen == {
        "registration_no": no, "name": who.name, "id_last": None, "phone": "137****0000", "site": "T1",
        "date": "2021-06-21", "period": "am", "product": "inactivated", "dose": 2, "state": "booked",
        "undo_before": None,
    }  # fmt: skip
    (noted,) = await acts(house)
    actor = house.services.staff_tokens.read(token).actor
    assert noted == {
        "at": "2021-06-21T09:00:00+08:00", "actor": actor, "act": "look-up", "site": "T1", "registration_no": no,
        "consent": None, "why": None,
    }  # fmt: skip
    listed = await house.get("/sites/T1/roster", bearer=token)
    assert who.name not in str(listed), "a list has no full names"


async def test_the_last_characters_of_the_id_are_those_of_the_card(house: House) -> None:
    """Of papers that were typed here, as a first dose's are, and of an imported registry they are kept, encrypted."""
    await house.at("09:00:00", date(2021, 8, 1))  # first doses are given
    stranger = person(950)
    done = await house.booked(stranger, date(2021, 8, 3))
    await house.at("09:00:00", date(2021, 8, 3))
    seen = (await look_up(house, done["registration_no"], day=date(2021, 8, 3))).json()
    assert (seen["name"], seen["id_last"]) == (stranger.name, stranger.id_number[-4:])
    kept = b"".join((await house.everything()).values())
    assert stranger.id_number[-4:].encode() + b"\xff" not in kept and stranger.id_number.encode() not in kept


async def test_somebody_is_found_by_exactly_their_card(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    who = person(0)
    for typed in (who.id_number, f" {who.id_number[:6]} {who.id_number[6:14]} {who.id_number[14:]} "):
        seen = (await search(house, typed)).json()
        assert (seen["registration_no"], seen["name"], seen["id_last"]) == (
            done[0]["registration_no"], who.name, who.id_number[-4:],
        )  # fmt: skip
    assert (await search(house, person(3).id_number)).json()["date"] == TUESDAY.isoformat(), "it is tomorrow"
    assert [it["act"] for it in await acts(house)] == ["id-search"] * 3


async def test_whoever_has_no_appointment_here_is_not_told_of_and_the_search_is_noted(
    monday: tuple[House, list[Any]],
) -> None:
    house, done = monday
    await house.call("POST", f"/registrations/{done[1]['registration_no']}/cancellation", bearer=done[1]["receipt"])
    for nobody in (person(2), person(9), person(40)):  # at the other site; known, with nothing; the same
        problem = refused(await search(house, nobody.id_number), "not-found", 404)
        assert nobody.name not in str(problem) and "T2" not in str(problem)
    noted = await acts(house)
    assert [(it["act"], it["registration_no"]) for it in noted] == [("id-search", None)] * 3
    problem = refused(await search(house, person(0).id_number[:-1] + "x"), "invalid", 422)
    assert [it["field"] for it in problem["errors"]] == ["id_number"]
    refused(await look_up(house, done[0]["registration_no"], site="T2"), "not-found", 404)
    refused(await look_up(house, done[3]["registration_no"]), "not-found", 404)
    for it in await acts(house):
        assert person(2).id_number not in str(it)


async def test_only_the_sites_own_desk_looks_people_up(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    no = done[0]["registration_no"]
    before = await house.everything()
    refused(await look_up(house, no, bearer=house.staff("T2")), "not-found", 404)
    refused(await search(house, person(0).id_number, bearer=house.staff("T2")), "not-found", 404)
    for bearer in (done[0]["receipt"], "x"):
        refused(await look_up(house, no, bearer=bearer), "forged", 401)
        refused(await search(house, person(0).id_number, bearer=bearer), "forged", 401)
        refused(await house.call("GET", "/sites/T1/roster.csv", bearer=bearer), "forged", 401)
    refused(await house.call("GET", "/operations/acts?district=440106", bearer=house.staff("T1")), "forged", 401)
    assert await house.everything() == before, "and nothing is noted"


async def test_nobody_goes_through_id_numbers_with_a_desks_token(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    token = house.staff("T1")
    answers = [await search(house, person(i).id_number, bearer=token) for i in range(10, 32)]
    assert [it.status_code for it in answers] == [404] * 20 + [429] * 2
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    refused(await look_up(house, done[0]["registration_no"], bearer=token), "too-many-requests", 429)
    assert (await search(house, person(0).id_number)).status_code == 200, "another token has looks of its own"
    await house.at("09:01:00")
    assert (await search(house, person(0).id_number, bearer=token)).status_code == 200
    assert len(await acts(house)) == 22, "who was refused saw nothing"


async def test_a_mark_on_the_wrong_person_is_taken_back_and_they_see_it(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    no = done[0]["registration_no"]
    before = await house.store.registration_fields(house.resident(person(0)))
    await attend(house, no)
    line = (await house.get("/sites/T1/roster", bearer=house.staff("T1")))["entries"][0]
    assert line["undo_before"] == "2021-06-21T09:10:00+08:00"
    await house.at("09:09:59")
    answer = await undo(house, no)
    expected = {"registration_no": no, "site": "T1", "date": "2021-06-21", "state": "booked"}
    assert (answer.status_code, answer.json()) == (200, expected)
    assert await house.store.registration_fields(house.resident(person(0))) == before, "all is as it was"
    found = await mine(house, done[0])
    assert [(it["state"], it["why"]) for it in found["history"]][-2:] == [("fulfilled", None), ("undone", "点错了人")]
    refused(await house.try_join(person(0)), "already-registered", 409)
    (noted,) = [it for it in (await house.store.history(house.resident(person(0)))).events if it.state == "undone"]
    assert noted.actor.startswith("T1/")
    await house.at("12:00:00")
    assert (await undo(house, no)).json() == expected, "again is the same, however late"
    assert (await attend(house, no)).json()["state"] == "fulfilled", "and who comes after all is marked"


@pytest.mark.parametrize(("marked", "asked"), [("09:00:00", "09:10:00"), ("19:55:00", "20:00:00")])
async def test_a_mark_stands_after_ten_minutes_and_when_the_night_may_have_begun(
    monday: tuple[House, list[Any]], marked: str, asked: str
) -> None:
    house, done = monday
    no = done[0]["registration_no"]
    await house.at(marked)
    await attend(house, no)
    await house.at(asked)
    before = await house.everything()
    refused(await undo(house, no), "too-late", 409)
    assert await house.everything() == before


async def test_what_no_desk_has_marked_is_not_undone(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    no = done[0]["registration_no"]
    before = await house.everything()
    assert (await undo(house, no)).json()["state"] == "booked", "nothing was marked: it is as asked"
    refused(await undo(house, no, site="T2"), "not-found", 404)
    refused(await undo(house, no, day=TUESDAY), "not-found", 404)
    refused(await undo(house, done[2]["registration_no"]), "not-found", 404)
    problem = refused(await undo(house, no, reason="   "), "invalid", 422)
    assert [it["field"] for it in problem["errors"]] == ["reason"]
    assert await house.everything() == before


async def test_a_missed_day_that_was_marked_by_mistake_is_missed_again_with_its_bar(
    monday: tuple[House, list[Any]],
) -> None:
    """A desk without a network sends the wrong number the day after: all that the night had counted comes back."""
    house, done = monday
    no, resident = done[0]["registration_no"], house.resident(person(0))
    (slot,) = [it for it in await house.store.roster(f"{TIANHE}:{MONDAY}") if it.no == no]
    client: Any = house.store.client
    await client.set(key("no_shows", resident_tag(resident)), 2)
    await house.at("21:00:00")
    assert await house.services.appointments.miss(TIANHE, MONDAY, [(slot, True)]) == ["barred"]
    await house.at("09:00:00", TUESDAY)
    before = await house.everything("history")
    await attend(house, no)
    assert not (await house.store.history(resident)).barred
    assert (await undo(house, no)).json()["state"] == "noshow"
    assert await house.everything("history") == before, "the bar, the count and the operator's list of the barred"
    states = [it.state for it in (await house.store.history(resident)).events]
    assert states[-4:] == ["noshow", "fulfilled", "undone", "noshow"]


async def test_the_day_goes_on_paper_as_text_and_with_no_full_name(monday: tuple[House, list[Any]]) -> None:
    house, done = monday
    await attend(house, done[1]["registration_no"])
    answer = await house.call("GET", "/sites/T1/roster.csv", bearer=house.staff("T1"), lang="en")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="roster-2021-06-21.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbf") and answer.content.endswith(b"\r\n")
    header, *rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert header == ["Time of day", "Number", "Name", "Phone", "Vaccine", "Dose", "State", "Signature"]
    spaced = [" ".join((no[:5], no[5:10], no[10:])) for no in (it["registration_no"] for it in done[:2])]
    assert rows == [
        ["Morning", spaced[0], "测*", "137****0000", "Inactivated", "2", "To come", ""],
        ["Morning", spaced[1], "测*", "137****0001", "Inactivated", "2", "Checked in", ""],
    ]
    in_chinese = await house.call("GET", "/sites/T1/roster.csv", bearer=house.staff("T1"))
    assert in_chinese.content.decode("utf-8-sig").startswith("时段,登记号,姓名,手机,")


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n1", "＝1+1", "＠x", " =1+1", "\u3000+1"]
)
def test_a_cell_that_a_spreadsheet_would_calculate_is_text(cell: str) -> None:
    assert as_text(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "测*", "106 =", "3-4", "'", "未到", "137****0000"])
def test_any_other_cell_is_as_it_is(cell: str) -> None:
    assert as_text(cell) == cell
