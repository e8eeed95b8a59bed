"""P1: a stranger who knows an ID number and a name tries phones one after the other, and gets nobody's place.

Expected numbers: five in ten minutes and twenty in a day are what the city file promises; codes as in domain.md (SMS).
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

from server.core.city import City, CityError, load_city
from server.core.keys import Pepper
from server.records.first_dose import Limit
from server.records.statuses import known
from tests.support.people import UNKNOWN
from tests.support.phones import Phones
from tests.support.serving import (
    BAIYUN,
    HAIZHU,
    OPERATOR,
    TIANHE,
    House,
    Person,
    enrol,
    open_house,
    person,
    quick_city,
    refused,
)
from tests.support.stores import Store

VICTIM = person(0)
LIMIT = Limit(600_000, 5, 86_400_000, 20)
JOIN, CHECK = f"/openings/{TIANHE}/tickets", f"/openings/{TIANHE}/eligibility"
LATER = date(2021, 7, 1)  # first doses are given from this day on


def guesses(count: int, who: Person = VICTIM) -> list[str]:
    """Phones as a guesser of masked digits tries them, none of them the right one."""
    return [phone for phone in (f"138{i:04d}8000" for i in range(count)) if phone != who.phone]


def a_city(**policy: int) -> City:
    """Guangzhou, whose wrong answers are not held back, so that nobody here has to wait for them; and other policy."""
    city = load_city()
    policy = {"wrong_papers_held_seconds": 0} | policy
    return msgspec.structs.replace(city, policy=msgspec.structs.replace(city.policy, **policy))


async def plain(house: House, who: dict[str, Any], **more: str) -> httpx.Response:
    return await house.client.post(f"/plain/{TIANHE}", data=who | more)


async def ask(house: House, who: Person, **changes: str) -> httpx.Response:
    papers = who.papers(**changes)
    del papers["name"]
    answer = await house.call("POST", "/access-codes", json=papers)
    await house.services.access.settled()
    return answer


async def code_for(house: House, who: Person) -> str:
    """Ask for a code, and read the SMS that came to the person's own phone."""
    assert (await ask(house, who)).status_code == 202
    phones = Phones()
    assert await house.services.sender.send_codes(phones, "test") == 1
    phone, text = phones.messages[0]
    assert phone == who.phone
    (code,) = re.findall(r"\d{6}", text)
    return str(code)


async def locked(house: House, who: Person = VICTIM) -> None:
    """Five wrong phones have been tried on them."""
    for answer in await asyncio.gather(*(house.call("POST", JOIN, json=who.papers(phone=p)) for p in guesses(5, who))):
        refused(answer, "identity-mismatch", 403)
    refused(await house.try_join(who), "too-many-requests", 429)


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Nine o'clock on 19 June 2021; residents 0 to 9 of Tianhe are eligible, and codes have their readers."""
    async with open_house(store_url, city=a_city()) as it:
        await open_up(it)
        yield it


async def open_up(house: House) -> None:
    await enrol(house.store, [person(i) for i in range(10)])
    await house.store.open_outbox([district.code for district in house.services.city.districts])
    await house.at("09:00:00")


# The attack


@pytest.fixture(params=["store_url", "cluster_url"])
async def houses(request: pytest.FixtureRequest) -> AsyncIterator[tuple[House, House]]:
    """Two workers on one store: a standalone server, then a cluster."""
    url = request.getfixturevalue(request.param)
    async with open_house(url, city=a_city()) as one, open_house(url, city=a_city()) as other:
        await open_up(one)
        await other.at("09:00:00")
        yield one, other


async def test_a_guesser_of_phones_gets_no_place(houses: tuple[House, House]) -> None:
    """Some thousands in a few bursts, by every call that tells, on both workers, with the right phone among them."""
    phones = guesses(1300)
    phones[300:1300:250] = [VICTIM.phone] * 4
    joins = (JOIN, f"/openings/{BAIYUN}/tickets")
    guessed: list[tuple[str, Any]] = [
        (phone, houses[i % 3 == 0].call("POST", joins[i % 2], json=VICTIM.papers(phone=phone)))
        for i, phone in enumerate(phones)
    ]
    for i, phone in enumerate([*phones[:60], VICTIM.phone, *phones[60:90]]):
        house, papers = houses[i % 2], VICTIM.papers(phone=phone)
        calls = (house.call("POST", CHECK, json=papers), plain(house, papers), plain(house, papers, what="check"))
        guessed[20 * i : 20 * i] = [(phone, call) for call in calls]
    told: Counter[int] = Counter()
    looked_at = set()
    for start in range(0, len(guessed), 500):
        burst = guessed[start : start + 500]
        answers = await asyncio.gather(*(call for _, call in burst))
        told.update(answer.status_code for answer in answers)
        looked_at |= {phone for (phone, _), answer in zip(burst, answers, strict=True) if answer.status_code == 403}
        assert not any("ticket=" in answer.headers.get("set-cookie", "") for answer in answers)
    assert set(told) == {403, 429}, told
    assert len(looked_at) == 5, "one limit over all calls and workers"
    assert known(await houses[0].store.join(f"{TIANHE}:2021-06-19", [b"x" * 16]))[0].entry == 0, "nobody has a place"
    code = await code_for(houses[0], VICTIM)
    answer = await houses[1].call("POST", JOIN, json=VICTIM.papers(code=code))
    assert (answer.status_code, answer.json()["entry"]) == (201, 1)


async def test_over_the_limit_the_right_papers_are_not_looked_at_and_retry_after_is_true(house: House) -> None:
    await locked(house)
    await house.forward(599)
    answer = await house.try_join(VICTIM)
    problem = refused(answer, "too-many-requests", 429)
    assert (answer.headers["retry-after"], problem["prove"]) == ("1", "code")
    assert "验证码" in problem["detail"]
    await house.forward(1)
    assert (await house.try_join(VICTIM)).status_code == 201


async def test_twenty_a_day(house: House) -> None:
    for n, clock_time in enumerate(("09:00:00", "09:10:00", "09:20:00", "09:30:00")):
        await house.at(clock_time)
        five = [house.call("POST", CHECK, json=VICTIM.papers(phone=p)) for p in guesses(20)[5 * n : 5 * n + 5]]
        for answer in await asyncio.gather(*five):
            refused(answer, "identity-mismatch", 403)
    await house.at("12:00:00")
    answer = await house.call("POST", CHECK, json=VICTIM.papers())
    refused(answer, "too-many-requests", 429)
    assert answer.headers["retry-after"] == str(21 * 3600), "until a day after the first"
    await house.at("09:00:00", date(2021, 6, 20))
    assert (await house.try_join(VICTIM)).status_code == 201


async def test_who_mistypes_twice_or_sends_the_same_slip_again_and_again_gets_in(house: House) -> None:
    slips = [house.call("POST", JOIN, json=VICTIM.papers(name="测二")) for _ in range(9)]
    for answer in await asyncio.gather(*slips):  # a page that tries again by itself tells nobody anything new
        refused(answer, "identity-mismatch", 403)
    refused(await house.call("POST", JOIN, json=VICTIM.papers(phone="13700000099")), "identity-mismatch", 403)
    assert (await house.try_join(VICTIM)).status_code == 201
    assert (await house.try_join(VICTIM)).status_code == 200


async def test_known_and_unknown_people_are_shut_out_at_the_same_pace_in_the_same_words(house: House) -> None:
    async def told(who: Person) -> list[httpx.Response]:
        return [await house.call("POST", path, json=who.papers(phone=phone)) for phone in guesses(4) for path in
                (JOIN, CHECK)]  # fmt: skip

    known, unknown = await asyncio.gather(told(VICTIM), told(UNKNOWN))
    # The same papers by another call are no new guess: four are told, the fifth is the last.
    assert [answer.status_code for answer in known] == [answer.status_code for answer in unknown] == [403] * 8
    for phone in ("13900000001", "13900000002"):
        known.append(await house.call("POST", JOIN, json=VICTIM.papers(phone=phone)))
        unknown.append(await house.call("POST", JOIN, json=UNKNOWN.papers(phone=phone)))
    assert [answer.status_code for answer in known[8:]] == [answer.status_code for answer in unknown[8:]] == [403, 429]
    assert known[-1].content == unknown[-1].content
    assert known[-1].headers == unknown[-1].headers


# The honest resident behind it


async def test_the_resident_behind_an_attack_gets_in_by_a_code(house: House) -> None:
    await locked(house)
    code = await code_for(house, VICTIM)
    for wrong in ("000000" if code != "000000" else "000001", "abc"):
        problem = refused(await house.call("POST", JOIN, json=VICTIM.papers(code=wrong)), "invalid", 422)
        assert [it["field"] for it in problem["errors"]] == ["code"]
    spaced = f"{code[:3]} {code[3:]}"
    asked = await house.call("POST", CHECK, json=VICTIM.papers(code=spaced))
    assert asked.json()["eligible"] is True
    answers = [await house.call("POST", JOIN, json=VICTIM.papers(code=code)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200], "a lost answer costs neither place nor code"
    assert answers[0].json()["ticket"] == answers[1].json()["ticket"]
    refused(await house.try_join(VICTIM), "too-many-requests", 429)


async def test_a_code_opens_the_door_to_its_own_person_only(house: House) -> None:
    await locked(house)
    await locked(house, person(1))
    code = await code_for(house, VICTIM)
    for who in (person(1).papers(), VICTIM.papers(phone="13800018000"), person(1).papers(phone=VICTIM.phone)):
        refused(await house.call("POST", JOIN, json=who | {"code": code}), "invalid", 422)
    mistyped = await house.call("POST", JOIN, json=VICTIM.papers(name="别人", code=code))
    refused(mistyped, "identity-mismatch", 403)
    assert (await house.call("POST", JOIN, json=VICTIM.papers(code=code))).status_code == 201


async def test_who_holds_the_phone_cannot_guess_the_name_without_end(house: House) -> None:
    await locked(house)
    code = await code_for(house, VICTIM)
    names = [f"猜{chr(0x4E00 + i)}" for i in range(300)]
    answers = await asyncio.gather(*(house.call("POST", JOIN, json=VICTIM.papers(name=n, code=code)) for n in names))
    assert Counter(answer.status_code for answer in answers) == {403: 5, 429: 295}


async def test_codes_at_the_door_cannot_be_guessed(house: House) -> None:
    await locked(house)
    code = await code_for(house, VICTIM)
    wrong = [f"{(int(code) + 1 + i) % 1_000_000:06d}" for i in range(5)]
    for guess in wrong:
        refused(await house.call("POST", JOIN, json=VICTIM.papers(code=guess)), "invalid", 422)
    refused(await house.call("POST", JOIN, json=VICTIM.papers(code=code)), "invalid", 422)


async def test_who_knows_the_id_alone_uses_up_no_code_of_its_owner(house: House) -> None:
    await locked(house)
    for phone in guesses(12):
        assert (await ask(house, VICTIM, phone=phone)).status_code == 202
    code = await code_for(house, VICTIM)
    wrong = [house.call("POST", JOIN, json=VICTIM.papers(phone=phone, code="000000")) for phone in guesses(12)]
    for answer in await asyncio.gather(*wrong):
        refused(answer, "invalid", 422)
    assert (await house.call("POST", JOIN, json=VICTIM.papers(code=code))).status_code == 201


async def test_asking_for_a_code_says_nothing_and_costs_no_sms_where_no_door_is_shut(house: House) -> None:
    await locked(house)
    answers = [await ask(house, who) for who in (VICTIM, person(1), UNKNOWN)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    phones = Phones()
    assert await house.services.sender.send_codes(phones, "test") == 1
    assert [phone for phone, _ in phones.messages] == [VICTIM.phone]


async def test_plain_pages_offer_the_code_and_take_it(house: House) -> None:
    await locked(house)
    page = await plain(house, VICTIM.papers())
    assert (page.status_code, page.headers["retry-after"]) == (429, "600")
    assert 'id="send-code"' in page.text and 'name="code"' in page.text and "发送验证码" in page.text
    sent = await plain(house, VICTIM.papers(), what="code", proving="1")
    await house.services.access.settled()
    assert (sent.status_code, 'id="code-sent"' in sent.text) == (200, True)
    phones = Phones()
    assert await house.services.sender.send_codes(phones, "test") == 1
    (code,) = re.findall(r"\d{6}", phones.messages[0][1])
    wrong = await plain(house, VICTIM.papers(), code="12", proving="1")
    assert (wrong.status_code, 'id="code-error"' in wrong.text, 'id="send-code"' in wrong.text) == (422, True, True)
    done = await plain(house, VICTIM.papers(), code=code, proving="1")
    assert (done.status_code, done.headers["location"]) == (303, "/plain/ticket")


# Who comes for a first dose is in no registry


async def test_who_is_not_in_the_registry_yet_cannot_be_shut_out_before_they_have_a_place(house: House) -> None:
    await house.at("09:00:00", LATER)
    for phone in guesses(12):
        asked = await house.call("POST", CHECK, json=UNKNOWN.papers(phone=phone))
        assert asked.json()["eligible"] is True
    assert (await house.try_join(UNKNOWN)).status_code == 201


async def test_the_first_name_and_phone_hold_and_are_not_guessed_either(house: House) -> None:
    await house.at("09:00:00", LATER)
    first = (await house.join(UNKNOWN))["ticket"]
    answers = await asyncio.gather(*(
        house.call("POST", JOIN, json=UNKNOWN.papers(phone=phone)) for phone in [*guesses(600), UNKNOWN.phone]
    ))  # fmt: skip
    assert Counter(answer.status_code for answer in answers) == {403: 5, 429: 596}
    code = await code_for(house, UNKNOWN)
    again = await house.call("POST", JOIN, json=UNKNOWN.papers(code=code))
    assert (again.status_code, again.json()["entry"]) == (200, 0)
    assert first


async def test_guesses_under_way_while_somebody_joins_for_a_first_dose_get_nothing(house: House) -> None:
    """Nobody of that batch is in the registry when it is looked up; who is first holds."""
    await house.at("09:00:00", LATER)
    typed = [UNKNOWN.phone, *guesses(300), UNKNOWN.phone]
    answers = await asyncio.gather(*(house.call("POST", JOIN, json=UNKNOWN.papers(phone=it)) for it in typed))
    assert answers[0].status_code == 201
    assert Counter(answer.status_code for answer in answers[1:]) == {403: 5, 429: 296}


# What the operator sees


async def test_an_attack_is_seen_from_the_first_scrape_on_and_names_nobody(houses: tuple[House, House]) -> None:
    house, other = houses
    before = (await house.client.get("/metrics")).text
    for name in ("wrong_papers", "papers_refused", "people_locked"):
        for call in ("join", "eligibility", "code"):
            assert f'jiaohao_{name}_total{{call="{call}"}} 0.0' in before
    for i, phone in enumerate(guesses(9)):
        await (house, other)[i % 2].call("POST", JOIN, json=VICTIM.papers(phone=phone))
    await other.call("POST", f"/openings/{HAIZHU}/eligibility", json=person(1).papers(phone="13800000000"))
    with capture_logs() as logs:
        for each in houses:
            await each.services.guesses.flush()
    after = (await house.client.get("/metrics")).text + (await other.client.get("/metrics")).text
    assert sum(map(float, re.findall(r"jiaohao_wrong_papers_total\{.*?\} (\S+)", after))) == 6
    assert sum(map(float, re.findall(r"jiaohao_papers_refused_total\{.*?\} (\S+)", after))) == 4
    assert sum(map(float, re.findall(r"jiaohao_people_locked_total\{.*?\} (\S+)", after))) == 1
    view = (await other.call("GET", "/operations", bearer=OPERATOR, params={"slots": ""})).json()
    assert view["totals"]["papers"] == {"wrong": 6, "refused": 4, "locked": 1}
    papers = {it["code"]: it["papers"] for it in view["districts"]}
    assert papers[TIANHE] == {"wrong": 5, "refused": 4, "locked": 1}
    assert papers[HAIZHU] == {"wrong": 1, "refused": 0, "locked": 0}
    lines = [line for line in logs if line["event"] == "papers guessed"]
    assert {line["district"] for line in lines} == {TIANHE}
    for secret in (VICTIM.id_number, VICTIM.name, VICTIM.phone, "138", house.resident(VICTIM).hex()):
        assert secret not in str(logs)
    for each in houses:
        await each.forward(660)
    later = (await house.call("GET", "/operations", bearer=OPERATOR, params={"slots": ""})).json()
    assert later["totals"]["papers"] == {"wrong": 0, "refused": 0, "locked": 0}


async def test_wrong_answers_are_held_back_and_right_ones_are_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait itself is what is asked here: who is made to wait, and how long by the city file."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(house.services.guesses, "_held_seconds", load_city().policy.wrong_papers_held_seconds)
    monkeypatch.setattr("server.registry.guesses.asyncio.sleep", sleep)
    await house.join(person(1))
    assert 1.0 not in waited and 0.25 not in waited
    for who in (VICTIM, UNKNOWN):
        for phone in (*guesses(5, who), who.phone):
            await house.call("POST", CHECK, json=who.papers(phone=phone))
        assert [it for it in waited if it >= 0.25] == [0.25] * 5 + [1.0]
        waited.clear()


# Numbers of the city's own


async def test_how_many_are_borne_is_in_the_city_file(store_url: str) -> None:
    assert (a_city().policy.wrong_papers_in_ten_minutes, a_city().policy.wrong_papers_in_a_day) == (5, 20)
    strict = a_city(wrong_papers_in_ten_minutes=1, wrong_papers_in_a_day=2)
    async with open_house(store_url, city=strict) as house:
        await open_up(house)
        refused(await house.call("POST", JOIN, json=VICTIM.papers(phone="13800000001")), "identity-mismatch", 403)
        refused(await house.try_join(VICTIM), "too-many-requests", 429)


def test_a_day_takes_no_fewer_than_ten_minutes(tmp_path: Any) -> None:
    file = quick_city(tmp_path, wrong_papers_in_a_day=4)
    with pytest.raises(CityError, match=r"policy\.wrong_papers_in_a_day: expected no less than wrong_papers_in_ten"):
        load_city(file)


# The script


def packed(char: str) -> bytes:
    return char.encode() * 12


@pytest.fixture
async def one(store: Store) -> Store:
    """A person with a registry line, at a time of the test's."""
    await enrol(store, [VICTIM])
    store.now_ms = 1_624_060_800_000
    return store


async def test_a_clock_that_was_set_back_shuts_nobody_out(one: Store) -> None:
    people = [(b"r" * 16, packed(char)) for char in "abcde"]
    first = await one.check_papers(people, LIMIT, is_proven=False, is_free=False)
    assert [it.verdict for it in first] == [-1, -1, -1, -1, -600_001]
    (shut,) = await one.check_papers(people[:1], LIMIT, is_proven=False, is_free=False)
    assert shut.verdict == 600_000
    one.now_ms -= 3_600_000
    (after,) = await one.check_papers(people[:1], LIMIT, is_proven=False, is_free=False)
    assert after.verdict == -1


async def test_any_of_the_hashes_that_a_line_may_hold_lets_its_owner_in(one: Store) -> None:
    hashes = Pepper(b"p" * 32)
    resident = hashes.resident(VICTIM.id_type, VICTIM.id_number)
    right = hashes.match(resident, VICTIM.name, VICTIM.phone)
    people = [(resident, packed("x") + right), (resident, right), (resident, packed("x") + packed("y"))]
    found = await one.check_papers(people, LIMIT, is_proven=False, is_free=False)
    assert [it.verdict for it in found] == [0, 0, -1]
    assert all(it.first_dose is not None and it.first_dose.match == right for it in found)
    assert await one.check_papers([], LIMIT, is_proven=False, is_free=False) == []
