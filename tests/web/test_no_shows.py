"""No-shows (announcement A9): the third bars, an operator lifts it with a reason; and who comes for a first dose."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.support.serving import HAIZHU, OPERATOR, TIANHE, House, Person, person, refused

FIRST_DAY = date(2021, 6, 19)


async def miss(house: House, day: date, *, charge: bool = True) -> Any:
    """Register on a day, be given an appointment two days later, and not come; on the day after, the registration."""
    await house.at("09:00:00", day)
    appointment = day + timedelta(days=2)
    done = await house.booked(person(0), appointment)
    (slot,) = await house.store.roster(f"{TIANHE}:{appointment}")
    await house.at("21:00:00", appointment)
    await house.services.appointments.miss(TIANHE, appointment, [(slot, charge)])
    await house.at("09:00:00", appointment + timedelta(days=1))
    return done


async def barred(house: House) -> Any:
    """Three no-shows; the last registration."""
    done = None
    for n in range(3):
        done = await miss(house, FIRST_DAY + timedelta(days=3 * n))
    return done


async def test_two_no_shows_are_borne_and_the_third_bars(house: House) -> None:
    for n in range(2):
        await miss(house, FIRST_DAY + timedelta(days=3 * n))
    done = await miss(house, FIRST_DAY + timedelta(days=6))  # joining was still possible after two
    before = await house.everything()
    problem = refused(await house.try_join(person(0)), "barred", 403)
    assert "爽约" in problem["detail"]
    refused(await house.call("POST", f"/openings/{TIANHE}/eligibility", json=person(0).papers()), "barred", 403)
    assert await house.everything() == before
    found = await house.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])
    assert (found["state"], found["no_shows"], found["barred"]) == ("noshow", 3, True)


async def test_what_is_not_charged_bars_nobody(house: House) -> None:
    for n in range(4):
        await miss(house, FIRST_DAY + timedelta(days=3 * n), charge=False)
    assert (await house.try_join(person(0))).status_code in (200, 201)


async def test_an_operator_lifts_a_bar_with_a_reason(house: House) -> None:
    done = await barred(house)
    where = f"/bars/{done['registration_no']}"
    lifted = await house.call("DELETE", where, bearer=OPERATOR, json={"reason": "住院"})
    assert (lifted.status_code, lifted.content) == (204, b"")
    line = (await house.store.history(house.resident(person(0)))).events[-1]
    assert (line.state, line.actor, line.why) == ("lifted", "operator", "住院")
    refused(await house.call("DELETE", where, bearer=OPERATOR, json={"reason": "住院"}), "not-found", 404)
    again = await house.registered(person(0))
    assert again["no_shows"] == 0


async def test_only_the_operator_lifts_and_only_with_a_reason(house: House) -> None:
    done = await barred(house)
    where = f"/bars/{done['registration_no']}"
    before = await house.everything()
    refused(await house.call("DELETE", where, bearer=house.staff("T1"), json={"reason": "x"}), "forged", 401)
    refused(await house.call("DELETE", where, bearer=done["receipt"], json={"reason": "x"}), "forged", 401)
    refused(await house.call("DELETE", where, json={"reason": "x"}), "unauthorized", 401)
    for body in ({}, {"reason": ""}, {"reason": "   "}, {"reason": 1}):
        refused(await house.call("DELETE", where, bearer=OPERATOR, json=body), "invalid", 422)
    refused(await house.call("DELETE", where, bearer=OPERATOR), "malformed", 400)
    for no in ("106190100000017", "100000000000000", "1"):
        answer = await house.call("DELETE", f"/bars/{no}", bearer=OPERATOR, json={"reason": "x"})
        assert answer.status_code in (404, 422)
    assert await house.everything() == before


async def test_the_bar_is_found_by_any_of_the_residents_last_number_after_the_openings_are_gone(house: House) -> None:
    done = await barred(house)
    client: Any = house.store.client
    for name in [key async for key in client.scan_iter("claims:*")]:
        await client.delete(name)
    answer = await house.call("DELETE", f"/bars/{done['registration_no']}", bearer=OPERATOR, json={"reason": "x"})
    assert answer.status_code == 204


# First doses (announcement A4)

NOBODY_KNOWS = Person(person(950).id_number, "新来的", "13512345678")
JULY = date(2021, 7, 1)


async def test_from_july_on_who_has_no_dose_can_register_and_be_reached(house: House) -> None:
    await house.at("09:00:00", JULY)
    done = await house.registered(NOBODY_KNOWS)
    assert done["priority"] == {"first_dose_date": None, "product": None}
    known = (await house.store.residents([house.resident(NOBODY_KNOWS)]))[0].first_dose
    assert known is not None and known.date is None
    await house.give(NOBODY_KNOWS, done["registration_no"], date(2021, 7, 3))
    seen = (await house.call("GET", "/sites/T1/roster", params={"date": "2021-07-03"}, bearer=house.staff("T1"))).json()
    assert [(e["name"], e["phone"], e["dose"]) for e in seen["entries"]] == [("新*", "135****5678", 1)]


async def test_nobody_takes_anothers_place_by_their_id_number(house: House) -> None:
    await house.at("09:00:00", JULY)
    first = await house.join(NOBODY_KNOWS)
    thief = Person(NOBODY_KNOWS.id_number, "小偷", "13588888888")
    before = await house.everything(but="guesses")
    refused(await house.try_join(thief), "identity-mismatch", 403)
    refused(await house.try_join(Person(NOBODY_KNOWS.id_number, "新来的", "13588888888")), "identity-mismatch", 403)
    assert await house.everything(but="guesses") == before
    assert (await house.join(NOBODY_KNOWS))["entry"] == first["entry"]


async def test_a_typing_error_keeps_nobody_out(house: House) -> None:
    """Refused, or left again, or cancelled: what was typed then does not bind."""
    typo = Person(NOBODY_KNOWS.id_number, "新来的", "13512345679")
    await house.at("09:00:00", JULY)
    await house.services.room.adjust(TIANHE, "op", {"paused": True})
    before = await house.everything()
    refused(await house.try_join(typo), "paused", 503)
    assert await house.everything() == before
    await house.services.room.adjust(TIANHE, "op", {"paused": False})
    ticket = (await house.join(typo))["ticket"]
    refused(await house.try_join(NOBODY_KNOWS), "identity-mismatch", 403)
    assert (await house.call("DELETE", "/ticket", bearer=ticket)).status_code == 204
    assert (await house.try_join(NOBODY_KNOWS)).status_code == 201


async def test_two_who_claim_to_be_one_in_the_same_batch(house: House) -> None:
    import asyncio

    await house.at("09:00:00", JULY)
    thief = Person(NOBODY_KNOWS.id_number, "小偷", "13588888888")
    answers = await asyncio.gather(house.try_join(NOBODY_KNOWS), house.try_join(thief))
    assert sorted(a.status_code for a in answers) == [201, 403]


async def test_what_was_typed_and_not_registered_is_gone_the_next_day(house: House) -> None:
    await house.at("09:00:00", JULY)
    await house.join(NOBODY_KNOWS)
    client: Any = house.store.client
    (name,) = [k async for k in client.scan_iter("registry:*") if await client.pttl(k) > 0]
    until_midnight_ms = 15 * 3_600_000
    assert until_midnight_ms - 60_000 < await client.pttl(name) <= until_midnight_ms


async def test_a_second_dose_follows_the_first_once_the_registry_knows(house: House) -> None:
    from tests.support.serving import enrol

    await house.at("09:00:00", JULY)
    done = await house.booked(NOBODY_KNOWS, date(2021, 7, 3))
    await house.at("10:00:00", date(2021, 7, 3))
    seen = {"registration_no": done["registration_no"], "date": "2021-07-03"}
    assert (await house.call("POST", "/attendances", bearer=house.staff("T1"), json=seen)).status_code == 200
    await house.at("09:00:00", date(2021, 8, 1))
    assert refused(await house.try_join(NOBODY_KNOWS), "not-eligible", 403)["reason"] == "given"
    await enrol(house.store, [NOBODY_KNOWS], dose=date(2021, 7, 3))
    assert (await house.try_join(NOBODY_KNOWS)).status_code == 201


@pytest.mark.parametrize("day", [date(2021, 6, 19), date(2021, 6, 30)])
async def test_before_july_a_first_dose_leaves_no_trace(house: House, day: date) -> None:
    await house.at("13:00:00", day)
    before = await house.everything(but="guesses")
    answer = await house.try_join(NOBODY_KNOWS, HAIZHU)
    problem = refused(answer, "not-eligible", 403)
    assert (problem["reason"], problem["eligible_from"]) == ("no-first-dose", "2021-07-01")
    assert await house.everything(but="guesses") == before
