"""Passes and registrations: a called ticket, once, becomes a pass, and a pass, once, a registration."""

import asyncio
import xml.etree.ElementTree as ET
from datetime import date
from hashlib import sha256

import pytest

from tests.support.people import UNKNOWN
from tests.support.serving import BAIYUN, TIANHE, House, person, refused


async def ready(house: House, index: int = 0) -> str:
    """A ticket that has been called at 08:02:01."""
    await house.at("08:02:00")
    ticket = str((await house.join(person(index)))["ticket"])
    await house.at("08:02:01")
    return ticket


async def test_a_called_ticket_gets_a_pass_and_the_same_one_again(house: House) -> None:
    ticket = await ready(house)
    first = await house.call("POST", "/passes", bearer=ticket)
    assert first.status_code == 201
    assert first.headers["cache-control"] == "no-store"
    assert first.json()["expires_at"] == "2021-06-19T08:12:01+08:00"  # policy: 600 s
    await house.at("08:05:00")
    again = await house.call("POST", "/passes", bearer=ticket)
    assert (again.status_code, again.json()) == (200, first.json())


async def test_many_devices_claim_at_once_and_get_one_pass(house: House, second_house: House) -> None:
    ticket = await ready(house)
    await second_house.at("08:02:01")
    both = (house, second_house)
    answers = await asyncio.gather(*(both[i % 2].call("POST", "/passes", bearer=ticket) for i in range(20)))
    assert sorted(a.status_code for a in answers) == [200] * 19 + [201]
    assert len({a.json()["pass"] for a in answers}) == 1


async def test_whose_turn_it_is_not_is_told_when_to_look_again(house: House) -> None:
    await house.at("08:00:00")
    ticket = (await house.join(person(0)))["ticket"]
    answer = await house.call("POST", "/passes", bearer=ticket)
    problem = refused(answer, "not-your-turn", 425)
    assert problem["ahead"] is None
    assert problem["poll_after_seconds"] == int(answer.headers["retry-after"])
    assert 119 <= problem["poll_after_seconds"] <= 122
    await house.at("08:02:00")
    await house.services.room.adjust(TIANHE, "op", {"rate": 0.01})
    tickets = [(await house.join(person(i)))["ticket"] for i in range(60)]
    before = await house.everything()
    for at, ahead in ((0, 0), (5, 5), (59, 59)):
        problem = refused(await house.call("POST", "/passes", bearer=tickets[at]), "not-your-turn", 425)
        assert problem["ahead"] == ahead
    assert await house.everything() == before


async def test_no_more_passes_than_max_active(house: House) -> None:
    await house.at("08:02:00")
    await house.services.room.adjust(TIANHE, "op", {"max_active": 2})
    tickets = [(await house.join(person(i)))["ticket"] for i in range(5)]
    await house.at("08:02:01")
    states = [(await house.get("/ticket", bearer=t))["state"] for t in tickets]
    assert states == ["ready", "ready", "waiting", "waiting", "waiting"]
    passes = [await house.claim(t) for t in tickets[:2]]
    refused(await house.call("POST", "/passes", bearer=tickets[2]), "not-your-turn", 425)
    assert (await house.register(passes[0])).status_code == 201
    await house.passes_freed()
    await house.at("08:02:02")
    states = [(await house.get("/ticket", bearer=t))["state"] for t in tickets]
    assert states == ["claimed", "claimed", "ready", "waiting", "waiting"]


async def test_a_registration_is_201_once_and_200_ever_after(house: House) -> None:
    pass_ = await house.claim(await ready(house))
    wishes = {
        "preferences": [{"site": "T2", "period": "am"}, {"site": "T1", "period": "any"}],
        "accept_any_site": False,
        "not_before": "2021-06-25",
    }
    first = await house.register(pass_, **wishes)
    assert first.status_code == 201
    assert first.headers["cache-control"] == "no-store"
    told = first.json()
    no = told["registration_no"]
    assert len(no) == 15
    assert no.isdigit()
    assert no[:7] == "1061901"  # year 1, 19 June, district 01
    assert told.pop("receipt")
    assert told.pop("receipt_qr_svg_url") == f"/api/v1/registrations/{no}/qr.svg"
    head = told.pop("log")
    assert (head["size"], head["root"]) == (0, sha256(b"").hexdigest()), "nothing has been written into the log yet"
    assert told == {
        "registration_no": no,
        "state": "proposed",
        "district": TIANHE,
        "registered_at": "2021-06-19T08:02:01+08:00",
        "priority": {"first_dose_date": "2021-05-01", "product": "inactivated"},
        "preferences": wishes["preferences"],
        "accept_any_site": False,
        "not_before": "2021-06-25",
        "together": None,
        "consent": None,
        "appointment": None,
        "cancel_before": None,
        "history": [{"at": "2021-06-19T08:02:01+08:00", "state": "proposed", "why": None}],
        "night": None,
        "messages": [],
        "no_shows": 0,
        "barred": False,
    }
    await house.at("08:03:00")
    again = await house.register(pass_)  # other wishes: what was stored stays
    assert again.status_code == 200
    assert again.json() == first.json()


async def test_a_redelivered_registration_at_once_is_one(house: House, second_house: House) -> None:
    pass_ = await house.claim(await ready(house))
    await second_house.at("08:02:01")
    both = (house, second_house)
    answers = await asyncio.gather(*(both[i % 2].register(pass_) for i in range(12)))
    assert sorted(a.status_code for a in answers) == [200] * 11 + [201]
    assert len({a.json()["registration_no"] for a in answers}) == 1


async def test_found_again_by_its_receipt_and_by_no_other(house: House, second_house: House) -> None:
    await house.at("08:02:00")
    tickets = [(await house.join(person(i)))["ticket"] for i in range(2)]
    await asyncio.gather(house.at("08:02:01"), second_house.at("08:02:01"))
    one, two = [(await house.register(await house.claim(t))).json() for t in tickets]
    for worker in (house, second_house):
        found = await worker.get(f"/registrations/{one['registration_no']}", bearer=one["receipt"])
        assert found == {k: v for k, v in one.items() if not k.startswith("receipt")}
    # Another's number looks like one that does not exist.
    stranger = await house.call("GET", f"/registrations/{two['registration_no']}", bearer=one["receipt"])
    nobody = await house.call("GET", "/registrations/106190100000999", bearer=one["receipt"])
    assert refused(stranger, "not-found", 404) == refused(nobody, "not-found", 404)
    refused(await house.call("GET", f"/registrations/{one['registration_no']}"), "unauthorized", 401)
    refused(await house.call("GET", f"/registrations/{one['registration_no']}", bearer="x"), "forged", 401)


async def test_found_long_after_the_opening_but_not_for_ever(house: House) -> None:
    done = (await house.register(await house.claim(await ready(house)))).json()
    path = f"/registrations/{done['registration_no']}"
    for day in (date(2021, 6, 20), date(2022, 6, 1)):
        await house.at("12:00:00", day)
        assert (await house.get(path, bearer=done["receipt"]))["state"] == "proposed"
    await house.at("12:00:00", date(2023, 6, 1))
    refused(await house.call("GET", path, bearer=done["receipt"]), "expired", 410)


async def test_who_has_registered_needs_no_further_place(house: House) -> None:
    ticket = await ready(house)
    pass_ = await house.claim(ticket)
    await house.register(pass_)
    before = await house.everything()
    refused(await house.try_join(person(0)), "already-registered", 409)
    refused(await house.call("DELETE", "/ticket", bearer=ticket), "used", 409)
    await house.passes_freed()
    refused(await house.call("POST", "/passes", bearer=ticket), "used", 409)
    assert (await house.get("/ticket", bearer=ticket))["state"] == "claimed"
    await house.at("08:00:00", date(2021, 6, 20))
    refused(await house.try_join(person(0)), "already-registered", 409)
    kept = await house.everything()
    assert {k: v for k, v in kept.items() if k.startswith(b"registration:")} == {
        k: v for k, v in before.items() if k.startswith(b"registration:")
    }


async def test_a_second_pass_beside_an_open_registration_registers_nothing(house: House) -> None:
    day = date(2021, 7, 1)  # first doses: the same person may stand in two districts' lines
    await house.at("08:02:00", day)
    tickets = [(await house.join(UNKNOWN, code))["ticket"] for code in (TIANHE, BAIYUN)]
    await house.at("08:02:01")
    passes = [await house.claim(ticket) for ticket in tickets]
    first = await house.register(passes[0])
    assert first.status_code == 201
    assert first.json()["priority"]["first_dose_date"] is None
    refused(await house.register(passes[1]), "already-registered", 409)
    found = await house.get(f"/registrations/{first.json()['registration_no']}", bearer=first.json()["receipt"])
    assert found["district"] == TIANHE
    assert sum(key.startswith(b"registration:") for key in await house.everything()) == 1


async def test_a_lapsed_pass_registers_nothing_and_a_new_place_can_be_had(house: House) -> None:
    ticket = await ready(house)
    pass_ = await house.claim(ticket)
    await house.at("08:12:00.999")
    assert (await house.get("/ticket", bearer=ticket))["state"] == "claimed"
    await house.at("08:12:01")
    before = await house.everything()
    refused(await house.register(pass_), "expired", 410)
    assert await house.everything() == before
    assert (await house.get("/ticket", bearer=ticket))["state"] == "missed"
    refused(await house.call("POST", "/passes", bearer=ticket), "expired", 410)
    again = await house.try_join(person(0))
    assert (again.status_code, again.json()["number"]) == (201, 2)
    await house.at("08:12:02")
    second = await house.claim(again.json()["ticket"])
    assert (await house.register(second)).status_code == 201
    refused(await house.register(pass_), "already-registered", 409)


async def test_who_holds_a_pass_at_noon_may_finish_within_the_grace(house: House) -> None:
    await house.at("11:59:00")
    tickets = [(await house.join(person(i)))["ticket"] for i in range(3)]
    await house.at("11:59:59")
    told = await house.get("/ticket", bearer=tickets[0])
    assert told["claim_before"] == "2021-06-19T12:00:00+08:00"
    answers = [await house.call("POST", "/passes", bearer=ticket) for ticket in tickets[:2]]
    assert {a.json()["expires_at"] for a in answers} == {"2021-06-19T12:09:59+08:00"}
    await house.at("12:00:00")
    refused(await house.call("POST", "/passes", bearer=tickets[2]), "expired", 410)
    assert (await house.get("/ticket", bearer=tickets[2]))["state"] == "missed"
    again = await house.call("POST", "/passes", bearer=tickets[0])
    assert (again.status_code, again.json()) == (200, answers[0].json())
    await house.at("12:09:58")
    assert (await house.register(answers[0].json()["pass"])).status_code == 201
    await house.at("12:09:59")
    refused(await house.register(answers[1].json()["pass"]), "expired", 410)
    assert (await house.register(answers[0].json()["pass"])).status_code == 200


async def test_wishes_must_name_sites_of_the_district(house: House) -> None:
    pass_ = await house.claim(await ready(house))
    before = await house.everything()
    for wishes, field in (
        ({"preferences": [{"site": "B1", "period": "am"}]}, "preferences[0].site"),
        ({"preferences": [{"site": "T1", "period": "am"}, {"site": "nowhere", "period": "am"}]}, "preferences[1].site"),
        ({"preferences": [{"site": "T1", "period": "am"}] * 2}, "preferences"),
        ({"accept_any_site": False}, "preferences"),
        ({"preferences": [{"site": "T1", "period": "noon"}]}, "preferences[0].period"),
        ({"preferences": [{"site": "T1"}]}, "preferences[0].period"),
        ({"preferences": [{"site": "T1", "period": "am"}] * 11}, "preferences"),
        ({"preferences": None}, "preferences"),
        ({"accept_any_site": 1}, "accept_any_site"),
        ({"accept_any_site": "true"}, "accept_any_site"),
        ({"not_before": "2021-02-30"}, "not_before"),
        ({"not_before": 20210625}, "not_before"),
    ):
        problem = refused(await house.register(pass_, **wishes), "invalid", 422)
        assert [error["field"] for error in problem["errors"]] == [field], wishes
    assert await house.everything() == before
    assert (await house.register(pass_)).status_code == 201


@pytest.mark.parametrize(
    "no", ["1", "abc", "1" * 16, "10619010000000x", "１０６１９０１００００００００", "106190100000000%0A"]
)
async def test_what_is_no_registration_number(house: House, no: str) -> None:
    answer = await house.call("GET", f"/registrations/{no}/qr.svg")
    assert answer.status_code in (404, 422)


async def test_the_qr_code_is_an_image_that_a_browser_shows(house: House) -> None:
    done = (await house.register(await house.claim(await ready(house)))).json()
    answer = await house.client.get(done["receipt_qr_svg_url"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    root = ET.fromstring(answer.text)  # noqa: S314  (our own answer)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == done["registration_no"]
    # A number that its check digit gives away as wrong; whether one was given is not told.
    wrong = done["registration_no"][:-1] + str((int(done["registration_no"][-1]) + 1) % 10)
    refused(await house.call("GET", f"/registrations/{wrong}/qr.svg"), "not-found", 404)
