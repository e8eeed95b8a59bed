"""Polling and giving up: a ticket tells its holder how it stands, and nobody else's ticket does."""

import asyncio
import base64
import threading
from datetime import date, datetime

import pytest

from server.core.tokens import Signer, TokenKind
from tests.support.serving import BAIYUN, DAY, TIANHE, House, enrol, open_house, person, refused, test_settings


async def test_in_the_draw_everyone_is_told_to_look_when_it_is_over(house: House) -> None:
    await house.at("08:00:00")
    ticket = (await house.join(person(0)))["ticket"]
    answer = await house.call("GET", "/ticket", bearer=ticket)
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    after = told.pop("poll_after_seconds")
    assert told == {
        "state": "drawing", "number": None, "serving": 0, "ahead": None, "eta_seconds": None, "claim_before": None,
        "eta_low_seconds": None, "eta_high_seconds": None,
    }  # fmt: skip
    assert 120 <= after <= 122


async def test_a_ticket_from_waiting_to_ready_to_claimed(house: House) -> None:
    await house.at("08:02:00")
    tickets = [(await house.join(person(i)))["ticket"] for i in range(3)]
    told = await house.get("/ticket", bearer=tickets[2])
    assert (told["state"], told["number"], told["serving"], told["ahead"]) == ("waiting", 3, 0, 2)
    assert told["eta_seconds"] == 1  # rounded up: nobody is called in this very moment
    await house.at("08:02:01")
    told = await house.get("/ticket", bearer=tickets[2])
    assert (told["state"], told["serving"], told["ahead"], told["eta_seconds"]) == ("ready", 3, 0, 0)
    assert told["claim_before"] == "2021-06-19T08:07:01+08:00"  # policy: 300 s
    await house.claim(tickets[2])
    told = await house.get("/ticket", bearer=tickets[2])
    assert (told["state"], told["claim_before"]) == ("claimed", None)


async def test_the_wait_told_is_what_the_rate_allows(house: House) -> None:
    await house.at("08:02:00")
    await house.services.room.adjust(TIANHE, "op", {"rate": 0.5})
    tickets = [(await house.join(person(i)))["ticket"] for i in range(21)]
    told = await house.get("/ticket", bearer=tickets[20])
    # The draw has just ended, and nothing is in the bucket: the first is called after 2 s, the 21st after 42.
    assert (told["ahead"], told["eta_seconds"]) == (20, 42)
    assert 5 <= told["poll_after_seconds"] <= 40


async def test_nobody_is_called_before_their_turn_or_beyond_the_rate(house: House) -> None:
    await house.at("08:01:00")
    for i in range(10):
        await house.join(person(i))
    await house.services.room.adjust(TIANHE, "op", {"rate": 2})
    served = []
    for clock_time in ("08:02:00", "08:02:00.499", "08:02:00.500", "08:02:01", "08:02:02"):
        await house.at(clock_time)
        served.append((await house.get(f"/openings/{TIANHE}"))["serving"])
    assert served == [0, 0, 1, 2, 4]


async def test_a_missed_call_on_the_second_and_joining_again_at_the_back(house: House) -> None:
    await house.at("08:02:00")
    tickets = [(await house.join(person(i)))["ticket"] for i in range(3)]
    await house.at("08:02:01")
    await house.at("08:07:00.999")
    assert (await house.get("/ticket", bearer=tickets[0]))["state"] == "ready"
    await house.at("08:07:01")
    assert (await house.get("/ticket", bearer=tickets[0]))["state"] == "missed"
    problem = refused(await house.call("POST", "/passes", bearer=tickets[0]), "expired", 410)
    assert problem["state"] == "missed"
    again = await house.try_join(person(0))
    assert (again.status_code, again.json()["entry"], again.json()["number"]) == (201, 3, 4)
    assert again.json()["state"] == "waiting"
    once_more = await house.try_join(person(0))
    assert (once_more.status_code, once_more.json()["entry"]) == (200, 3)
    assert (await house.get("/ticket", bearer=tickets[0]))["state"] == "missed"  # the old ticket got no second life
    await house.at("08:07:02")
    assert (await house.get("/ticket", bearer=again.json()["ticket"]))["state"] == "ready"


async def test_two_devices_of_one_who_missed_get_one_new_place(house: House, second_house: House) -> None:
    await asyncio.gather(house.at("08:02:00"), second_house.at("08:02:00"))
    await house.join(person(0))
    await asyncio.gather(house.at("08:02:01"), second_house.at("08:02:01"))
    await asyncio.gather(house.at("08:08:00"), second_house.at("08:08:00"))
    answers = await asyncio.gather(*((house, second_house)[i % 2].try_join(person(0)) for i in range(10)))
    assert {answer.json()["entry"] for answer in answers} == {1}
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]


async def test_leaving_gives_the_place_up_and_again_changes_nothing(house: House) -> None:
    await house.at("08:02:00")
    tickets = [(await house.join(person(i)))["ticket"] for i in range(3)]
    answer = await house.call("DELETE", "/ticket", bearer=tickets[0])
    assert (answer.status_code, answer.content) == (204, b"")
    before = await house.everything()
    assert (await house.call("DELETE", "/ticket", bearer=tickets[0])).status_code == 204
    assert await house.everything() == before
    assert (await house.get("/ticket", bearer=tickets[0]))["state"] == "left"
    await house.look()
    opening = await house.get(f"/openings/{TIANHE}")
    assert (opening["issued"], opening["waiting"]) == (3, 2)
    assert refused(await house.call("POST", "/passes", bearer=tickets[0]), "expired", 410)["state"] == "left"
    await house.at("08:02:00.010")  # one call at 100 a second: the place that was given up costs nothing
    assert (await house.get("/ticket", bearer=tickets[1]))["state"] == "ready"
    assert (await house.get("/ticket", bearer=tickets[2]))["state"] == "waiting"
    again = await house.try_join(person(0))
    assert (again.status_code, again.json()["number"]) == (201, 4)


async def test_leaving_during_the_draw_leaves_the_others_order_alone(house: House, second_house: House) -> None:
    await house.at("08:00:00")
    tickets = [(await house.join(person(i)))["ticket"] for i in range(6)]
    for i in (1, 4):
        assert (await house.call("DELETE", "/ticket", bearer=tickets[i])).status_code == 204
    await asyncio.gather(house.at("08:02:00"), second_house.at("08:02:00"))
    for worker in (house, second_house):
        told = [await worker.get("/ticket", bearer=ticket) for ticket in tickets]
        assert [each["state"] for each in told] == ["waiting", "left", "waiting", "waiting", "left", "waiting"]
        assert sorted(each["number"] for each in told) == [1, 2, 3, 4, 5, 6]
    await asyncio.gather(house.at("08:02:00.040"), second_house.at("08:02:00.040"))
    states = [(await second_house.get("/ticket", bearer=ticket))["state"] for ticket in tickets]
    assert states == ["ready", "left", "ready", "ready", "left", "ready"]


async def test_a_claimed_place_cannot_be_given_up(house: House) -> None:
    await house.at("08:02:00")
    ticket = (await house.join(person(0)))["ticket"]
    await house.at("08:02:01")
    await house.claim(ticket)
    before = await house.everything()
    refused(await house.call("DELETE", "/ticket", bearer=ticket), "used", 409)
    assert await house.everything() == before


async def test_whoever_still_waits_at_noon_is_told_it_is_over(house: House) -> None:
    await house.at("08:02:00")
    await house.services.room.adjust(TIANHE, "op", {"rate": 0.0})
    ticket = (await house.join(person(0)))["ticket"]
    await house.at("11:59:59")
    assert (await house.get("/ticket", bearer=ticket))["state"] == "waiting"
    refused(await house.call("POST", "/passes", bearer=ticket), "not-your-turn", 425)
    await house.at("12:00:00")
    assert (await house.get("/ticket", bearer=ticket))["state"] == "ended"
    assert refused(await house.call("POST", "/passes", bearer=ticket), "ended", 410)["next_opens_at"].startswith(
        "2021-06-20T08:00:00"
    )


async def test_yesterdays_ticket_has_expired(house: House) -> None:
    await house.at("11:00:00")
    ticket = (await house.join(person(0)))["ticket"]
    await house.at("11:00:01")
    await house.at("23:59:59")
    assert (await house.get("/ticket", bearer=ticket))["state"] == "missed"
    await house.at("00:00:00", date(2021, 6, 20))
    await house.at("08:00:00", date(2021, 6, 20))
    before = await house.everything()
    for method, path in (("GET", "/ticket"), ("DELETE", "/ticket"), ("POST", "/passes")):
        refused(await house.call(method, path, bearer=ticket), "expired", 410)
    assert await house.everything() == before


def _changed(token: str, at: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:at] + letters[(letters.index(token[at]) + 1) % 64] + token[at + 1 :]


async def test_a_forged_ticket_is_refused_wherever_it_was_changed(house: House) -> None:
    await house.at("08:00:00")
    ticket = (await house.join(person(0)))["ticket"]
    before = await house.everything()
    for at in range(len(ticket)):
        refused(await house.call("GET", "/ticket", bearer=_changed(ticket, at)), "forged", 401)
    for forged in (ticket + "A", ticket[:-1], ticket[1:], ticket + "=", " ", "x", "A" * 70, ticket * 5):
        for method, path in (("GET", "/ticket"), ("DELETE", "/ticket"), ("POST", "/passes")):
            headers = {"authorization": f"Bearer {forged}".encode()}
            refused(await house.call(method, path, headers=headers), "forged", 401)
    unreadable = {"authorization": "Bearer 票".encode()}  # granian leaves such a header out
    refused(await house.call("GET", "/ticket", headers=unreadable), "unauthorized", 401)
    assert await house.everything() == before
    assert (await house.get("/ticket", bearer=ticket))["state"] == "drawing"


async def test_no_ticket_at_all(house: House) -> None:
    for headers in ({}, {"authorization": "Basic abc"}, {"authorization": "Bearer"}, {"authorization": ""}):
        for method, path in (
            ("GET", "/ticket"),
            ("DELETE", "/ticket"),
            ("POST", "/passes"),
            ("POST", "/registrations"),
        ):
            refused(await house.call(method, path, headers=headers), "unauthorized", 401)


async def test_a_ticket_signed_by_somebody_else(house: House) -> None:
    await house.at("08:00:00")
    ours = Signer(test_settings().secrets)
    token = ours.read(TokenKind.TICKET, (await house.join(person(0)))["ticket"])
    assert (await house.call("GET", "/ticket", bearer=ours.sign(TokenKind.TICKET, token))).status_code == 200
    ticket = Signer((b"x" * 32,)).sign(TokenKind.TICKET, token)
    refused(await house.call("GET", "/ticket", bearer=ticket), "forged", 401)


async def test_with_another_secret_nobody_gets_a_place_as_the_draws_seed_cannot_be_opened(
    store_url: str, house: House
) -> None:
    async with open_house(store_url, test_settings(secrets=(b"x" * 32,))) as other:
        await asyncio.gather(house.at("08:00:00"), other.at("08:00:00"))
        refused(await other.try_join(person(0)), "store-unavailable", 503)
        assert (await house.join(person(0)))["entry"] == 0


async def test_tokens_are_good_for_one_thing_only(house: House) -> None:
    await house.at("08:02:00")
    ticket = (await house.join(person(0)))["ticket"]
    await house.at("08:02:01")
    pass_ = await house.claim(ticket)
    refused(await house.register(ticket), "forged", 401)
    for method, path in (("GET", "/ticket"), ("DELETE", "/ticket"), ("POST", "/passes")):
        refused(await house.call(method, path, bearer=pass_), "forged", 401)
    done = (await house.register(pass_)).json()
    no, receipt = done["registration_no"], done["receipt"]
    for token in (ticket, pass_):
        refused(await house.call("GET", f"/registrations/{no}", bearer=token), "forged", 401)
    refused(await house.call("GET", "/ticket", bearer=receipt), "forged", 401)
    refused(await house.register(receipt), "forged", 401)
    refused(await house.call("PATCH", f"/openings/{TIANHE}", bearer=receipt, json={"paused": True}), "forged", 401)


async def test_after_a_change_of_secrets_old_tickets_hold_and_are_renewed(store_url: str, house: House) -> None:
    await house.at("08:00:00")
    ticket = (await house.join(person(0)))["ticket"]
    rotated = test_settings(secrets=(b"n" * 32, b"s" * 32))
    async with open_house(store_url, rotated) as renewed:
        await renewed.at("08:00:01")
        told = await renewed.get("/ticket", bearer=ticket)
        assert told["ticket"] != ticket
        assert told["state"] == "drawing"
        fresh = await renewed.get("/ticket", bearer=told["ticket"])
        assert "ticket" not in fresh
        again = await renewed.try_join(person(0))
        assert (again.status_code, again.json()["entry"]) == (200, 0)
        await renewed.at("08:02:01")
        assert (await renewed.get("/ticket", bearer=ticket))["state"] == "ready"
        assert await renewed.claim(ticket) == await renewed.claim(told["ticket"])
        # A worker that does not know the new secret yet cannot read the renewed ticket, but still reads the old one.
        await house.at("08:02:01")
        refused(await house.call("GET", "/ticket", bearer=told["ticket"]), "forged", 401)
        assert (await house.get("/ticket", bearer=ticket))["state"] == "claimed"


async def test_a_ticket_of_one_district_says_nothing_of_another(house: House) -> None:
    await enrol(house.store, [person(50)], district=BAIYUN)
    await house.at("08:02:00")
    here = (await house.join(person(0)))["ticket"]
    there = (await house.join(person(50), BAIYUN))["ticket"]
    await house.services.room.adjust(TIANHE, "op", {"rate": 0.0})
    await house.at("08:02:01")
    assert (await house.get("/ticket", bearer=here))["state"] == "waiting"
    assert (await house.get("/ticket", bearer=there))["state"] == "ready"


async def test_a_token_carries_no_papers(house: House) -> None:
    await house.at("08:02:00")
    who = person(0)
    ticket = (await house.join(who))["ticket"]
    raw = base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4))
    for secret in (who.id_number, who.phone, who.name):
        assert secret.encode() not in raw


@pytest.mark.parametrize("seconds", [0, 60, 119])
async def test_polls_after_the_draw_are_spread_by_entry(house: House, seconds: int) -> None:
    await house.at(f"08:0{seconds // 60}:{seconds % 60:02d}")
    opening = house.services.room.opening(TIANHE)
    left = 120 - seconds
    budget = house.services.city.policy.poll_budget_per_second
    for entry in (0, budget, 100 * budget):
        after = opening.poll_after_draw_s(entry, house.clock.now_ms())
        assert left + entry / budget <= after <= left + entry / budget + 1.5


async def test_times_carry_the_citys_offset(house: House) -> None:
    await house.at("08:02:00")
    ticket = (await house.join(person(0)))["ticket"]
    await house.at("08:02:01")
    told = datetime.fromisoformat((await house.get("/ticket", bearer=ticket))["claim_before"])
    offset = told.utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 8 * 3600
    assert told.date() == DAY


async def test_a_poll_beside_the_event_loop_waits_for_a_look_at_the_store_that_is_under_way(house: House) -> None:
    await house.at("08:02:00")
    ticket = (await house.join(person(0)))["ticket"]
    told: list[object] = []
    poll = threading.Thread(target=lambda: told.append(house.services.room.poll(ticket)))
    with house.services.room.opening(TIANHE).following:
        poll.start()
        poll.join(0.05)
        assert not told, "it has seen half of what the store said"
    poll.join(10)
    assert len(told) == 1
