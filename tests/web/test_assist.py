"""The lane for helped residents: the same place as anyone's, within its own limits, and every act on record."""

import re
from collections.abc import AsyncIterator
from datetime import date
from statistics import NormalDist
from typing import Any

import httpx
import msgspec
import pytest
from stdnum.iso7064 import mod_11_2

from server.core.assist import AssistLimits
from server.core.city import load_city
from server.core.keys import key
from server.operations.retention import purge
from tests.support.people import TOO_SOON
from tests.support.serving import OPERATOR, TIANHE, House, Person, enrol, keep_sites, open_house, person, refused

PATH = f"/assist/openings/{TIANHE}/tickets"


def token(house: House, organisation: str = "shamian", days: int = 30) -> str:
    """A new helper's token."""
    expires_s = house.clock.at_ms // 1000 + days * 86_400
    return house.services.helper_tokens.token(organisation, house.day, expires_s)[0]


async def help_join(house: House, who: Person, bearer: str, consent: str = "self", **how: Any) -> httpx.Response:
    return await house.call("POST", PATH, bearer=bearer, json=who.papers(consent=consent), **how)


async def acts(house: House) -> list[dict[str, Any]]:
    found = await house.get("/operations/acts", params={"district": TIANHE}, bearer=OPERATOR)
    return [{name: it for name, it in act.items() if it is not None and name != "at"} for act in found["acts"]]


@pytest.fixture
async def small_lane(store_url: str) -> AsyncIterator[House]:
    """A small lane: four places for a helper, six for all; three joins a minute for one, four a second for all."""
    limits = AssistLimits(places_per_helper=4, joins_per_minute=3, places=6, joins_per_second=4)
    city = msgspec.structs.replace(load_city(), assist=limits)
    async with open_house(store_url, city=city) as it:
        await enrol(it.store, [person(i) for i in range(20)])
        await keep_sites(it.store)
        await it.at("08:30:00")
        yield it


async def test_a_helped_resident_goes_all_the_way_like_anyone_and_it_is_on_record(house: House) -> None:
    await house.at("08:30:00")
    bearer = token(house)
    actor = house.services.helper_tokens.read(bearer).actor
    await house.join(person(1))  # somebody who came by themselves a moment before is before them
    answer = await help_join(house, person(0), bearer, "family")
    assert (answer.status_code, answer.json()["number"]) == (201, 2)
    again = await help_join(house, person(0), bearer)
    assert (again.status_code, again.json()["entry"]) == (200, answer.json()["entry"])
    by_themselves = await house.try_join(person(0))
    assert (by_themselves.status_code, by_themselves.json()["entry"]) == (200, answer.json()["entry"])

    await house.forward(1)
    ticket = answer.json()["ticket"]
    claimed = await house.call("POST", "/assist/passes", bearer=bearer, json={"ticket": ticket})
    assert claimed.status_code == 201, claimed.text
    wishes = {"preferences": [{"site": "T1", "period": "am"}], "accept_any_site": True, "lang": "zh"}
    asked = {"pass": claimed.json()["pass"], **wishes}
    done = await house.call("POST", "/assist/registrations", bearer=bearer, json=asked)
    assert done.status_code == 201, done.text
    assert (await house.call("POST", "/assist/registrations", bearer=bearer, json=asked)).status_code == 200
    no = done.json()["registration_no"]

    found = await house.get(f"/registrations/{no}", bearer=done.json()["receipt"])
    assert [(it["state"], it["why"]) for it in found["history"]] == [
        ("proposed", None), ("helped", "join"), ("helped", "register"),
    ]  # fmt: skip
    events = (await house.store.history(house.resident(person(0)))).events
    assert {it.actor for it in events if it.state == "helped"} == {actor}
    assert list(reversed(await acts(house)))[:4] == [
        {"actor": actor, "act": "join", "registration_no": no, "consent": "family"},
        {"actor": actor, "act": "join", "registration_no": no, "consent": "self"},
        {"actor": actor, "act": "claim", "registration_no": no},
        {"actor": actor, "act": "register", "registration_no": no},
    ]
    assert (await house.get("/assist", bearer=bearer))["organisation"] == "shamian"


async def test_the_draw_gives_helped_residents_numbers_like_everyones(store_url: str) -> None:
    """600 in one draw, a third of them helped, and these come first: their numbers are as the others' (p > 0.01)."""
    city = msgspec.structs.replace(load_city(), assist=AssistLimits(1000, 1000, 1000, 1000))
    people = [numbered(i) for i in range(600)]
    async with open_house(store_url, city=city) as house:
        await enrol(house.store, people)
        await house.at("08:00:00")
        bearer = token(house)
        order = sorted(range(600), key=lambda i: (i % 3 != 0, i))  # all who are helped come before all others
        tickets: dict[int, str] = {}
        for i in order:
            answer = await (help_join(house, people[i], bearer) if i % 3 == 0 else house.try_join(people[i]))
            assert answer.status_code == 201, answer.text
            assert answer.json()["number"] is None, "nobody has a number before the draw is over"
            tickets[i] = answer.json()["ticket"]
        await house.at("08:02:00")
        await house.forward(1)
        await house.forward(1)
        numbers = {i: (await house.get("/ticket", bearer=ticket))["number"] for i, ticket in tickets.items()}
    assert sorted(numbers.values()) == list(range(1, 601)), "one line for all"
    helped = [numbers[i] for i in numbers if i % 3 == 0]
    assert p_of_ranks(helped, 600) > 0.01
    assert p_of_ranks(list(range(1, 201)), 600) < 1e-9, "and the test would see a head start"


def p_of_ranks(ranks: list[int], n: int) -> float:
    """Mann and Whitney: how likely ranks of some among n are so low, or so high, when they are anyone's; two-sided."""
    m = len(ranks)
    mean, variance = m * (n + 1) / 2, m * (n - m) * (n + 1) / 12
    return 2 * (1 - NormalDist().cdf(abs(sum(ranks) - mean) / variance**0.5))


def numbered(i: int) -> Person:
    """Resident i of many; the check character is stdnum's."""
    body = f"4401061950{1 + i // 100 % 12:02d}{1 + i % 28:02d}{i % 1000:03d}"
    return Person(body + mod_11_2.calc_check_digit(body), "测试", f"138{i:08d}")


async def test_a_helper_joins_no_faster_and_no_more_than_the_city_lets_them(small_lane: House) -> None:
    house, bearer = small_lane, token(small_lane)
    for i in range(3):
        assert (await help_join(house, person(i), bearer)).status_code == 201
    slow = refused(await help_join(house, person(3), bearer), "too-many-requests", 429)
    assert slow["reason"] == "lane-slow"
    assert (await help_join(house, person(0), bearer)).status_code == 200, "again costs nothing"
    assert (await house.try_join(person(10))).status_code == 201, "who comes alone is not held up"
    await house.forward(20)  # a third of a minute: one more
    assert (await help_join(house, person(3), bearer)).status_code == 201
    await house.forward(60)
    full = await help_join(house, person(4), bearer)
    assert refused(full, "too-many-requests", 429)["reason"] == "lane-full"
    assert 0 < int(full.headers["retry-after"]) <= 4 * 3600
    assert (await house.try_join(person(4))).status_code == 201, "they can come by themselves"


async def test_all_helpers_together_bring_no_more_than_the_lane(small_lane: House) -> None:
    house = small_lane
    bearers = [token(house, f"street-{n}") for n in range(5)]
    answers = [await help_join(house, person(i), bearers[i]) for i in range(5)]
    assert [it.status_code for it in answers] == [201] * 4 + [429], "four a second"
    assert answers[4].json()["reason"] == "lane-slow"
    await house.forward(1)
    for i in (4, 5):
        assert (await help_join(house, person(i), bearers[i % 5])).status_code == 201
    await house.forward(5)
    over = refused(await help_join(house, person(6), bearers[3]), "too-many-requests", 429)
    assert over["reason"] == "lane-full", "six in all"


async def test_who_is_not_let_in_takes_no_place_of_the_lane(small_lane: House) -> None:
    house, bearer = small_lane, token(small_lane)
    await enrol(house.store, [TOO_SOON], dose=date(2021, 5, 15))
    refused(await help_join(house, TOO_SOON, bearer), "not-eligible", 403)
    wrong = msgspec.structs.replace(person(0), name="别人")
    refused(await help_join(house, wrong, bearer), "identity-mismatch", 403)
    client: Any = house.store.client
    tag = f"{TIANHE}:{house.day}"
    assert await client.hget(key("lane", tag), "places") == b"0"
    assert await client.hlen(key("helped", tag)) == 0
    assert [(it["act"], it["why"]) for it in reversed(await acts(house))] == [
        ("join", "not-eligible"), ("join", "identity-mismatch"),
    ]  # fmt: skip


@pytest.mark.parametrize(("clock", "code"), [("07:59:59", "maintenance"), ("12:00:00", "ended"), ("19:59:59", "ended")])
async def test_nobody_is_helped_in_before_or_after_the_others(house: House, clock: str, code: str) -> None:
    await house.at(clock)
    before = await house.everything("acts")
    problem = (await help_join(house, person(0), token(house))).json()
    assert problem["code"] == code
    assert await house.everything("acts") == before


async def test_consent_is_asked_for_and_papers_are_checked_as_at_the_door(house: House) -> None:
    await house.at("08:30:00")
    bearer = token(house)
    for consent in ("", "nobody", None):
        body = person(0).papers(consent=consent) if consent is not None else person(0).papers()
        answer = await house.call("POST", PATH, bearer=bearer, json=body)
        assert [it["field"] for it in refused(answer, "invalid", 422)["errors"]] == ["consent"]
    wrong = await house.call("POST", PATH, bearer=bearer, json=person(0).papers(consent="self", phone="12"))
    assert [it["field"] for it in refused(wrong, "invalid", 422)["errors"]] == ["phone"]
    assert await house.store.count_entries([TIANHE]) == 0


async def test_a_colleague_goes_on_and_another_organisation_does_not(house: House) -> None:
    await house.at("08:30:00")
    ticket = (await help_join(house, person(0), token(house))).json()["ticket"]
    alone = (await house.join(person(1)))["ticket"]
    await house.forward(1)
    stranger, colleague = token(house, "another"), token(house)
    for bearer, whose in ((stranger, ticket), (colleague, alone)):
        answer = await house.call("POST", "/assist/passes", bearer=bearer, json={"ticket": whose})
        assert refused(answer, "not-found", 404)["reason"] == "not-helped"
        answer = await house.call("POST", "/assist/leavings", bearer=bearer, json={"ticket": whose})
        assert refused(answer, "not-found", 404)["reason"] == "not-helped"
    own = (await house.call("POST", "/passes", bearer=alone)).json()["pass"]
    body = {"pass": own, "preferences": [], "accept_any_site": True}
    refused(await house.call("POST", "/assist/registrations", bearer=colleague, json=body), "not-found", 404)
    assert (await house.call("POST", "/assist/leavings", bearer=colleague, json={"ticket": ticket})).status_code == 204
    assert (await house.get("/ticket", bearer=ticket))["state"] == "left"
    assert [it["act"] for it in await acts(house)] == ["leave", "join"]


async def test_only_a_helpers_token_opens_the_lane(house: House) -> None:
    await house.at("08:30:00")
    before = await house.everything()
    ticket = (await house.join(person(9)))["ticket"]
    before = await house.everything()
    for bearer in (house.staff("T1"), OPERATOR, ticket, "x"):
        refused(await help_join(house, person(0), bearer), "forged", 401)
        refused(await house.call("GET", "/assist", bearer=bearer), "forged", 401)
    refused(await house.call("GET", "/staff", bearer=token(house)), "forged", 401)
    refused(await house.call("GET", "/sites/T1/roster", bearer=token(house)), "forged", 401)
    ended = token(house, days=0)
    refused(await help_join(house, person(0), ended), "expired", 410)
    assert await house.everything() == before


@pytest.mark.parametrize("name", ["", "Shamian", "沙面", "a/b", "-x", "x" * 33])
async def test_an_organisation_is_called_by_small_letters(house: House, name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(name) or "^$"):
        house.services.helper_tokens.token(name, house.day, 0)


async def test_help_that_came_to_nothing_is_forgotten_with_its_day_and_other_histories_stay(house: House) -> None:
    await house.at("08:30:00")
    assert (await help_join(house, person(0), token(house))).status_code == 201
    await house.registered(person(1))
    client: Any = house.store.client
    assert len([it async for it in client.scan_iter("history:*")]) == 1
    await purge(house.store, date(2021, 6, 19), house.services.city.tz)
    assert len([it async for it in client.scan_iter("history:*")]) == 1, "it is of today"
    await purge(house.store, date(2021, 6, 20), house.services.city.tz)
    for kind in ("history", "helped", "lane", "acts"):
        assert not [it async for it in client.scan_iter(f"{kind}:*")], kind
