"""Codes by SMS: found again from any device by its owner, and by nobody else, however they guess."""

import re
from typing import Any

import pytest

from server.core.errors import StoreUnavailable
from tests.support.people import UNKNOWN
from tests.support.phones import Phones
from tests.support.serving import House, Person, enrol, person, refused
from tests.support.stores import swap


@pytest.fixture
async def phones(house: House) -> Phones:
    """Nine o'clock, and the outbox has its readers."""
    await house.at("09:00:00")
    await house.store.open_outbox([district.code for district in house.services.city.districts])
    return Phones()


def asks(who: Person, **changes: Any) -> dict[str, Any]:
    papers = who.papers(**changes)
    del papers["name"]
    return papers


async def ask(house: House, who: Person, **changes: Any) -> Any:
    answer = await house.call("POST", "/access-codes", json=asks(who, **changes))
    await house.services.access.settled()
    return answer


async def deliver(house: House, phones: Phones) -> int:
    return await house.services.sender.send_codes(phones, "test")


async def code_for(house: House, phones: Phones, who: Person) -> str:
    """Ask, and read the SMS."""
    assert (await ask(house, who)).status_code == 202
    assert await deliver(house, phones) == 1
    phone, text = phones.messages[-1]
    assert phone == who.phone
    found = re.search(r"\d{6}", text)
    assert found is not None
    return found[0]


async def show(house: House, who: Person, code: str, **changes: Any) -> Any:
    return await house.call("POST", "/access-tokens", json=asks(who, **changes) | {"code": code})


def wrong(answer: Any) -> None:
    problem = refused(answer, "invalid", 422)
    assert [e["field"] for e in problem["errors"]] == ["code"]


async def test_a_code_finds_the_registration_from_any_device(house: House, phones: Phones) -> None:
    done = await house.registered(person(0))
    code = await code_for(house, phones, person(0))
    answer = await show(house, person(0), code)
    assert answer.status_code == 201
    found = answer.json()
    assert found["registration_no"] == done["registration_no"]
    path = f"/registrations/{found['registration_no']}"
    assert (await house.get(path, bearer=found["receipt"]))["state"] == "proposed"
    assert (await house.get(path, bearer=done["receipt"]))["state"] == "proposed", "the first receipt stays good"
    assert found["receipt_qr_svg_url"] == f"/api/v1{path}/qr.svg"


async def test_the_message_says_what_it_must(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    code = await code_for(house, phones, person(0))
    assert phones.messages == [(person(0).phone, f"【广州健康通】验证码{code}，5分钟内有效，请勿告诉他人。")]


async def test_the_message_is_in_the_askers_language(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    answer = await house.call("POST", "/access-codes", json=asks(person(0)), lang="en")
    assert answer.status_code == 202
    await house.services.access.settled()
    assert await deliver(house, phones) == 1
    assert re.fullmatch("【广州健康通】Code [0-9]{6}, good for 5 minutes. Tell nobody.", phones.messages[0][1])


async def test_known_and_unknown_people_are_answered_alike(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    known = await ask(house, person(0))
    unknown = await ask(house, UNKNOWN)
    without_registration = await ask(house, person(1))
    wrong_phone = await ask(house, person(2), phone="13500000000")
    answers = [known, unknown, without_registration, wrong_phone]
    assert {a.status_code for a in answers} == {202}
    assert {a.text for a in answers} == {known.text}
    assert known.json() == {"expires_in_seconds": 300, "retry_after_seconds": 60, "sms_file": None}
    assert {frozenset(a.headers.items()) for a in answers} == {frozenset(known.headers.items())}
    assert await deliver(house, phones) == 1, "only one of them has something to find"
    for who in (person(0), UNKNOWN):
        refused(await ask(house, who), "too-many-requests", 429)


async def test_a_code_is_good_once(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    code = await code_for(house, phones, person(0))
    assert (await show(house, person(0), code)).status_code == 201
    wrong(await show(house, person(0), code))


async def test_a_store_that_fails_costs_no_code(house: House, phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.registered(person(0))
    code = await code_for(house, phones, person(0))

    async def away(*_: Any) -> Any:
        raise StoreUnavailable

    with monkeypatch.context() as broken:
        swap(broken, house.store, "registration", away)
        refused(await show(house, person(0), code), "store-unavailable", 503)
    assert (await show(house, person(0), code)).status_code == 201


async def test_a_lost_answer_costs_no_code_and_gives_nobody_else_one(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    code = await code_for(house, phones, person(0))
    body = asks(person(0)) | {"code": code}

    async def again(key: str | None) -> Any:
        headers = {"idempotency-key": key} if key else {}
        return await house.call("POST", "/access-tokens", json=body, headers=headers)

    mine = "0123456789abcdef0123456789abcdef"
    assert (await again(mine)).status_code == 201
    await house.forward(30)
    assert (await again(mine)).status_code == 201, "the first answer may have been lost"
    wrong(await again("f" * 32))
    wrong(await again(None))
    wrong(await again(""))
    wrong(await show(house, person(0), "000000" if code != "000000" else "000001"))
    assert (await again(mine)).status_code == 201


async def test_a_short_key_is_no_key(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    code = await code_for(house, phones, person(0))
    body, headers = asks(person(0)) | {"code": code}, {"idempotency-key": "1"}
    assert (await house.call("POST", "/access-tokens", json=body, headers=headers)).status_code == 201
    wrong(await house.call("POST", "/access-tokens", json=body, headers=headers))


async def test_a_code_is_typed_as_phones_type_it(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    code = await code_for(house, phones, person(0))
    full_width = "".join(chr(ord(c) + 0xFEE0) for c in f"{code[:3]}") + " " + code[3:]
    assert (await show(house, person(0), full_width)).status_code == 201


@pytest.mark.parametrize(("seconds", "good"), [(299, True), (300, False)])
async def test_a_code_is_good_for_five_minutes(house: House, phones: Phones, seconds: int, good: bool) -> None:
    await house.registered(person(0))
    code = await code_for(house, phones, person(0))
    await house.forward(seconds)
    answer = await show(house, person(0), code)
    assert answer.status_code == (201 if good else 422)


@pytest.mark.parametrize(("tries", "good"), [(4, True), (5, False)])
async def test_guessing_spends_the_code(house: House, phones: Phones, tries: int, good: bool) -> None:
    await house.registered(person(0))
    code = await code_for(house, phones, person(0))
    for i in range(tries):
        wrong(await show(house, person(0), f"{(int(code) + 1 + i) % 1_000_000:06d}"))
    answer = await show(house, person(0), code)
    assert answer.status_code == (201 if good else 422)


async def test_a_code_is_bound_to_person_and_phone(house: House, phones: Phones) -> None:
    for i in (0, 1):
        await house.registered(person(i))
    code = await code_for(house, phones, person(0))
    wrong(await show(house, person(1), code))
    wrong(await show(house, person(0), code, phone=person(1).phone))
    wrong(await show(house, UNKNOWN, code))
    for _ in range(6):  # who does not know the phone cannot spend the owner's tries
        wrong(await show(house, person(0), "000000", phone="13500000000"))
    assert (await show(house, person(0), code)).status_code == 201


async def test_a_new_code_replaces_the_old_one(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    first = await code_for(house, phones, person(0))
    await house.forward(60)
    second = await code_for(house, phones, person(0))
    if first != second:  # one in a million
        wrong(await show(house, person(0), first))
    assert (await show(house, person(0), second)).status_code == 201


async def test_one_a_minute_five_an_hour_ten_a_day_for_a_person(house: House, phones: Phones) -> None:
    """Provider's usual caps (domain.md): each with the second before and after it."""
    await house.at("08:00:00")
    assert (await ask(house, UNKNOWN)).status_code == 202
    await house.forward(59)
    answer = await ask(house, UNKNOWN)
    refused(answer, "too-many-requests", 429)
    assert answer.headers["retry-after"] == "1"
    await house.forward(1)
    for _ in range(4):
        assert (await ask(house, UNKNOWN)).status_code == 202
        await house.forward(60)
    refused(await ask(house, UNKNOWN), "too-many-requests", 429)  # 08:05: five in the hour
    await house.at("08:59:59")
    refused(await ask(house, UNKNOWN), "too-many-requests", 429)
    await house.at("09:00:00")
    assert (await ask(house, UNKNOWN)).status_code == 202
    for clock_time in ("10:00:00", "11:00:00", "12:00:00", "13:00:00"):
        await house.at(clock_time)
        assert (await ask(house, UNKNOWN)).status_code == 202
    await house.at("19:00:00")
    refused(await ask(house, UNKNOWN), "too-many-requests", 429)  # ten in the day


async def test_one_phone_has_its_own_limit_whoever_it_stands_for(house: House, phones: Phones) -> None:
    grandparents = [Person(person(i).id_number, f"家人{i}", "13611112222") for i in (700, 701, 702)]
    await enrol(house.store, grandparents)
    for who in grandparents:
        await house.registered(who)
    assert (await ask(house, grandparents[0])).status_code == 202
    refused(await ask(house, grandparents[1]), "too-many-requests", 429)
    await house.forward(60)
    assert (await ask(house, grandparents[1])).status_code == 202
    assert await deliver(house, phones) == 2


@pytest.mark.parametrize("changes", [{"id_number": "123"}, {"phone": "12345"}, {"phone": ""}])
async def test_papers_that_cannot_be_right_are_told_and_count_nothing(
    house: House, phones: Phones, changes: dict[str, str]
) -> None:
    before = await house.everything()
    problem = refused(await ask(house, person(0), **changes), "invalid", 422)
    assert [e["field"] for e in problem["errors"]] == list(changes)
    refused(await show(house, person(0), "123456", **changes), "invalid", 422)
    assert await house.everything() == before


async def test_at_night_there_are_no_codes(house: House, phones: Phones) -> None:
    await house.at("20:00:00")
    refused(await ask(house, person(0)), "maintenance", 503)
    refused(await show(house, person(0), "123456"), "maintenance", 503)


async def test_a_gateway_that_fails_loses_no_message(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    await ask(house, person(0))
    phones.broken = True
    assert await deliver(house, phones) == 0
    phones.broken = False
    taken_over = await house.store.next_entries(["440106"], "another", 10, 0)
    assert len(taken_over) == 1, "it is still owed, and another sender can take it"


async def test_a_message_the_gateway_never_takes_holds_up_no_other(
    house: House, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in (0, 1, 2):
        await house.registered(person(i))
        await ask(house, person(i))
    submit = phones.submit

    async def picky(phone: str, text: str) -> list[str]:
        if phone == person(0).phone:
            raise RuntimeError("never")
        return await submit(phone, text)

    monkeypatch.setattr(phones, "submit", picky)
    assert await deliver(house, phones) == 2
    assert {phone for phone, _ in phones.messages} == {person(1).phone, person(2).phone}


async def test_a_message_nobody_understands_holds_up_no_other(house: House, phones: Phones) -> None:
    await house.store.enqueue_code("440106", {"kind": "notice", "resident": b"x" * 16})
    await house.registered(person(0))
    await ask(house, person(0))
    assert await deliver(house, phones) == 1


async def test_a_code_that_is_too_old_is_not_sent(house: House, phones: Phones) -> None:
    await house.registered(person(0))
    await ask(house, person(0))
    await house.forward(300)
    assert await deliver(house, phones) == 0
    assert phones.messages == []
    assert await house.store.next_entries(["440106"], "another", 10, 0) == []


async def test_a_store_that_is_away_is_said(house: House, phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> int:
        raise StoreUnavailable

    swap(monkeypatch, house.store, "quota", away)
    refused(await ask(house, person(0)), "store-unavailable", 503)
