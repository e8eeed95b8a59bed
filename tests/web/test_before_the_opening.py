"""From outside, before anything is open: each call of the schema is asked, and answers as the contract says.

CoWIN, Doctolib and others were looked through in the hour before they opened, by people and by scripts: nothing may be
had there before its time, and nothing learnt that is not public.
"""

import base64
from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Any

import httpx
import pytest

from server.core.keys import key, opening_tag, registration_no
from tests.support.serving import (
    DAY,
    HAIZHU,
    OPERATOR,
    TIANHE,
    House,
    enrol,
    keep_sites,
    open_house,
    person,
)

NO, SITE, NIGHT = registration_no(3, DAY, 0), "T1", "2021-06-19"  # the first one that there will be
PAPERS = person(0).papers()
NOBODYS = person(700).papers()
WISHES = {"preferences": [], "accept_any_site": True}
WHERE = {"district": HAIZHU, "date": NIGHT, "no": NO, "site": SITE, "pointer": "0-0"}
ASKED: dict[tuple[str, str], dict[str, Any]] = {
    ("get", "/api/v1/sites"): {"params": {"district": HAIZHU}},
    ("get", "/api/v1/log/growth"): {"params": {"first": 1, "second": 2}},
    ("get", "/api/v1/log/inclusion"): {"params": {"index": 0, "size": 1}},
    ("get", "/api/v1/sites/{site}/roster"): {"params": {"date": NIGHT}},
    ("get", "/api/v1/openings/{district}/draw/leaves"): {"params": {"date": NIGHT}},
    ("post", "/api/v1/openings/{district}/tickets"): {"json": PAPERS},
    ("post", "/api/v1/openings/{district}/eligibility"): {"json": NOBODYS},
    ("post", "/api/v1/registrations"): {"json": WISHES},
    ("patch", "/api/v1/registrations/{no}"): {"json": WISHES},
    ("post", "/api/v1/access-codes"): {"json": {it: NOBODYS[it] for it in ("id_type", "id_number", "phone")}},
    ("post", "/api/v1/access-tokens"): {
        "json": {it: NOBODYS[it] for it in ("id_type", "id_number", "phone")} | {"code": "123456"}
    },
    ("patch", "/api/v1/openings/{district}"): {"json": {"rate_per_second": 9999}},
    ("post", "/api/v1/sites/{site}/closures"): {"json": {"date": "2021-06-21", "reason": "x"}},
    ("post", "/api/v1/attendances"): {"json": {"registration_no": NO, "date": NIGHT}},
    ("delete", "/api/v1/bars/{no}"): {"json": {"reason": "x"}},
    ("delete", "/api/v1/operations/calls/{no}"): {"json": {"reason": "x"}},
    ("post", "/api/v1/operations/attendances/{no}/{date}/acceptance"): {"json": {"reason": "x"}},
    ("delete", "/api/v1/operations/attendances/{no}/{date}"): {"json": {"reason": "x"}},
    ("post", "/api/v1/operations/dead/{pointer}/resend"): {"json": {"reason": "x"}},
    ("post", "/api/v1/capacity"): {"content": b"site,date\n", "headers": {"content-type": "text/csv"}},
}  # fmt: skip
OPEN_TO_ALL = {
    "/api/v1/city", "/api/v1/openings/{district}", "/api/v1/sites", "/api/v1/allotments/{district}/{date}",
    "/api/v1/log/head", "/api/v1/log/key", "/api/v1/log/entries", "/.well-known/jwks.json", "/healthz",
    "/readyz", "/metrics",
}  # fmt: skip
# What a resident does not get at this hour; everything else needs somebody's token, which nobody has yet.
SHUT = {
    "/api/v1/openings/{district}/tickets": {(425, "not-open")},
    "/api/v1/openings/{district}/eligibility": {(403, "not-eligible")},
    "/api/v1/access-codes": {(202, ""), (429, "too-many-requests")},  # the second one within a minute
    "/api/v1/access-tokens": {(422, "invalid")},
}
NOT_YET = {"/api/v1/openings/{district}/draw/leaves", "/api/v1/allotments/{district}/{date}/file"}
PROOFS = {"/api/v1/log/growth", "/api/v1/log/inclusion"}


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Sixty people of the registry, some of them with an appointment of the days before; everything is prepared."""
    async with open_house(store_url) as it:
        await enrol(it.store, [person(i) for i in range(60)], district=HAIZHU)
        await keep_sites(it.store, {HAIZHU: (SITE,), TIANHE: ("X1",)})
        yield it


async def calls_of(house: House) -> list[tuple[str, str]]:
    """Every call of the schema; what is not named above must ask for a token."""
    paths = (await house.client.get("/schema")).json()["paths"]
    return sorted((method, path) for path, item in paths.items() for method in item)


async def ask(house: House, method: str, path: str, bearer: str | None) -> httpx.Response:
    how = dict(ASKED.get((method, path), {}))
    headers = how.pop("headers", {}) | ({"authorization": f"Bearer {bearer}"} if bearer is not None else {})
    return await house.client.request(method.upper(), path.format(**WHERE), headers=headers, **how)


async def secrets_of(house: House) -> list[bytes]:
    """What is in the store, or in the process, and may be in no answer: seeds, keys, and who is in the registry."""
    hidden = [b"s" * 32, b"p" * 32, OPERATOR.encode()]
    client: Any = house.store.client
    kept = await client.hgetall(key("opening", opening_tag(HAIZHU, DAY)))
    night = await client.hgetall(key("night", f"{{{HAIZHU}:{DAY}}}".strip("{}")))
    sealed = [value for fields in (kept, night) for name, value in fields.items() if name in (b"seed", b"sealed")]
    assert sealed, "a seed is there already, sealed"
    for seed in sealed:
        hidden += [seed, seed.hex().encode(), base64.b64encode(seed), base64.urlsafe_b64encode(seed).rstrip(b"=")]
    for i in range(60):
        who = person(i)
        resident = house.resident(who)
        hidden += [who.id_number.encode(), who.phone.encode(), who.name.encode(), resident.hex().encode()]
        hidden += [base64.urlsafe_b64encode(resident).rstrip(b"=")]
    return hidden


def nothing_of(hidden: list[bytes], answer: httpx.Response, asked: str) -> None:
    """Nothing of what is hidden is in an answer, but for what the asker said themselves."""
    heard = answer.content + b"\n".join(name + b": " + value for name, value in answer.headers.raw)
    own = {it.encode() for it in PAPERS.values()}
    found = [it for it in hidden if it not in own and it in heard]
    assert found == [], asked
    for trace in (b"Traceback", b"redis", b"valkey", b".py", b"/server/"):
        assert trace not in heard.lower().replace(b"redis_exporter", b""), (asked, trace)


HOURS = [("03:00:00", True), ("07:59:59", True), ("08:00:00", False), ("11:59:59", False)]


def expected(method: str, path: str, *, is_night: bool) -> set[tuple[int, str]]:
    """Status and code that the contract has for whoever has no token; an empty code: it is answered."""
    if path in OPEN_TO_ALL and method == "get":
        return {(200, ""), (404, "not-found")} if "allotments" in path else {(200, "")}
    if path in NOT_YET:
        return {(404, "not-found")}
    if path in PROOFS:
        return {(200, ""), (404, "not-found"), (422, "invalid")}
    if path in SHUT:
        return {(503, "maintenance")} if is_night else SHUT[path]
    if path.endswith("/qr.svg"):
        return {(200, "")}  # a picture of the number that was asked for, which says nothing
    return {(401, "unauthorized"), (503, "maintenance")} if is_night else {(401, "unauthorized")}


@pytest.mark.parametrize(("clock_time", "is_night"), HOURS)
async def test_each_call_answers_as_the_contract_says_and_tells_nothing(
    house: House, clock_time: str, is_night: bool
) -> None:
    await house.at(clock_time)
    hidden = await secrets_of(house)
    before, wrong = await house.everything(but="guesses"), list[str]()
    for method, path in await calls_of(house):
        for bearer in (None, "", OPERATOR[:-1]):
            answer = await ask(house, method, path, bearer)
            asked = f"{method} {path} {bearer!r} at {clock_time}"
            nothing_of(hidden, answer, asked)
            said = answer.json().get("code", "") if answer.status_code >= 400 else ""
            allowed = expected(method, path, is_night=is_night)
            if bearer is not None and (401, "unauthorized") in allowed:
                allowed = allowed - {(401, "unauthorized")} | {(401, "forged")}
            if method in ("post", "patch") and (method, path) not in ASKED:  # without the body that it asks for
                allowed = allowed | {(400, "malformed")}
            if (answer.status_code, said) not in allowed:
                wrong.append(f"{asked}: {answer.status_code} {answer.text[:200]}")
            if answer.status_code in (425, 503):
                assert int(answer.headers["retry-after"]) >= 1
    assert wrong == []
    after = await house.everything(but="guesses")
    new = {name for name in after if before.get(name) != after[name]}
    assert {name.split(b":")[0] for name in new} <= {b"asked", b"code", b"codes", b"quota"}, "nothing else has changed"


@pytest.mark.parametrize("clock_time", ["03:00:00", "11:59:59"])
async def test_the_opening_itself_shows_its_promise_and_no_more(house: House, clock_time: str) -> None:
    await house.at(clock_time)
    seen = await house.get(f"/openings/{HAIZHU}")
    assert (seen["issued"], seen["serving"], seen["waiting"]) == (0, 0, 0)
    draw = seen["draw"]
    assert len(draw.pop("commitment")) == 64
    shown = {name: value for name, value in draw.items() if value is not None}
    assert shown.keys() <= {"seconds", "version", "numbers_at"}, shown
    night = await house.call("GET", f"/allotments/{HAIZHU}/{DAY}")
    said = night.json()
    assert {name for name, value in said.items() if value is not None} <= {"district", "date", "state", "commitment"}
    other = await house.call("GET", f"/allotments/{HAIZHU}/{date(2021, 6, 20)}")
    assert other.status_code == 404, "nothing of a day to come"


async def test_a_stranger_to_the_registry_and_one_who_is_in_it_hear_the_same_before_the_opening(house: House) -> None:
    for clock_time, path in (("07:59:59", "tickets"), ("07:59:59", "eligibility"), ("11:59:59", "tickets")):
        await house.at(clock_time)
        heard = []
        for papers in (PAPERS, NOBODYS, PAPERS | {"phone": "13800000000"}, PAPERS | {"name": "别人"}):
            answer = await house.call("POST", f"/openings/{HAIZHU}/{path}", json=papers)
            heard.append((answer.status_code, answer.json()))
        assert all(each == heard[0] for each in heard), (clock_time, path)


def everywhere() -> Iterator[str]:
    yield from ("/", "/plain", f"/plain/{HAIZHU}", "/plain/ticket", "/plain/registration", "/staff", "/ops", "/schema")


@pytest.mark.parametrize("clock_time", ["03:00:00", "11:59:59"])
async def test_no_page_tells_more_than_the_calls(house: House, clock_time: str) -> None:
    await house.at(clock_time)
    hidden = await secrets_of(house)
    for path in everywhere():
        answer = await house.client.get(path)
        assert answer.status_code < 500 or answer.status_code == 503, path
        heard = answer.content
        assert [it for it in hidden if it in heard] == [], path


async def test_what_is_asked_here_is_in_the_schema(house: House) -> None:
    calls = await calls_of(house)
    assert ASKED.keys() <= set(calls)
    assert {path for _, path in calls} >= OPEN_TO_ALL | SHUT.keys() | NOT_YET | PROOFS
    assert len(calls) > 40
