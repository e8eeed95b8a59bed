"""Bad input of every kind: the contract's code, a sentence a resident understands, and nothing changed."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.serving import OPERATOR, TIANHE, House, person, refused

JOIN = f"/openings/{TIANHE}/tickets"
PAPERS = person(0).papers()


def body(**changes: Any) -> bytes:
    return json.dumps(PAPERS | changes).encode()


NO_JSON = {
    "nothing": b"",
    "half of it": body()[:-5],
    "words": b"name=Zhang&phone=1",
    "not a number": b'{"id_type": NaN}',
    "broken UTF-8": body().replace(b'"resident_id"', b'"\xff\xfe"'),
    "broken UTF-8 in a name": json.dumps(PAPERS, ensure_ascii=False).encode().replace("测".encode(), b"\xe6\xb5"),
    "half a surrogate pair": b'{"id_type": "\\ud800", "name": "x"}',
    "a byte order mark": b"\xef\xbb\xbf" + body(),
    "UTF-16": body().decode().encode("utf-16"),
    "nested thousands deep": b'{"x":' + b"[" * 8000 + b"]" * 8000 + b"}",
    "nested and broken off": b'{"x":' + b"[" * 16000,
    "two objects": body() + body(),
    "binary": bytes(range(256)),
    "too large": b" " * 16_385,
}

WRONG = {
    "null": (b"null", "body"),
    "a list": (b"[]", "body"),
    "a string": (b'"x"', "body"),
    "an empty object": (b"{}", "id_type"),
    "null for a name": (body(name=None), "name"),
    "a number for a name": (body(name=5), "name"),
    "a number for an ID": (body(id_number=440106197001010006), "id_number"),
    "a list for a phone": (body(phone=["13700000000"]), "phone"),
    "unknown papers": (body(id_type="driving_licence"), "id_type"),
    "papers by another case": (body(id_type="RESIDENT_ID"), "id_type"),
    "a wrong check digit": (body(id_number="11010519491231002" + "1"), "id_number"),
    "no such day of birth": (body(id_number="110105194902310023"), "id_number"),
    "a short ID": (body(id_number="1101051949"), "id_number"),
    "an empty ID": (body(id_number=""), "id_number"),
    "an ID of a megabyte of blanks": (body(id_number=" " * 10_000), "id_number"),
    "a permit that is none": (body(id_type="residence_permit"), "id_number"),
    "a passport with signs": (body(id_type="passport", id_number="E12-;DROP"), "id_number"),
    "an empty name": (body(name="  "), "name"),
    "a name with a control character": (body(name="张\u0000三"), "name"),
    "a name of 65": (body(name="张" * 65), "name"),
    "a landline": (body(phone="02012345678"), "phone"),
    "a foreign number": (body(phone="+44 7700 900123"), "phone"),
    "an empty phone": (body(phone=""), "phone"),
}


@pytest.mark.parametrize("content", NO_JSON.values(), ids=NO_JSON)
async def test_what_is_no_json_is_malformed(house: House, content: bytes) -> None:
    await house.at("08:02:00")
    ticket = (await house.join(person(1)))["ticket"]
    await house.at("08:02:01")
    pass_ = await house.claim(ticket)
    before = await house.everything()
    refused(await house.call("POST", JOIN, content=content), "malformed", 400)
    for method, path, bearer in (("POST", "/registrations", pass_), ("PATCH", f"/openings/{TIANHE}", OPERATOR)):
        answer = await house.call(method, path, bearer=bearer, content=content)
        # Read from the front, a field that is not theirs may come before what is no JSON.
        code = answer.json()["code"]
        refused(answer, code, {"malformed": 400, "invalid": 422}[code])
    assert await house.everything() == before


@pytest.mark.parametrize(("content", "field"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_named_field_by_field(house: House, content: bytes, field: str) -> None:
    await house.at("08:00:00")
    before = await house.everything()
    problem = refused(await house.call("POST", JOIN, content=content), "invalid", 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    english = refused(await house.call("POST", JOIN, content=content, lang="en"), "invalid", 422)
    assert english["errors"][0]["message"].isascii()
    assert not problem["errors"][0]["message"].isascii()
    assert await house.everything() == before


async def test_every_wrong_field_is_told_at_once(house: House) -> None:
    await house.at("08:00:00")
    papers = person(0).papers(id_number="1", name="", phone="1")
    problem = refused(await house.call("POST", JOIN, json=papers), "invalid", 422)
    assert [error["field"] for error in problem["errors"]] == ["id_number", "name", "phone"]


async def test_unknown_fields_do_no_harm(house: House) -> None:
    await house.at("08:00:00")
    answer = await house.call("POST", JOIN, json=person(0).papers(number=1, serving=0, admin=True))
    assert (answer.status_code, answer.json()["entry"]) == (201, 0)


async def _ten_megabytes() -> AsyncIterator[bytes]:
    for _ in range(160):
        yield b"x" * 65_536


@pytest.mark.parametrize("path", [JOIN, "/registrations", f"/openings/{TIANHE}"])
async def test_ten_megabytes_are_refused_declared_or_chunked(house: House, path: str) -> None:
    await house.at("08:02:00")
    ticket = (await house.join(person(1)))["ticket"]
    await house.at("08:02:01")
    pass_ = await house.claim(ticket)
    method = "PATCH" if path == f"/openings/{TIANHE}" else "POST"
    bearer = {"/registrations": pass_, f"/openings/{TIANHE}": OPERATOR}.get(path)
    before = await house.everything()
    refused(await house.call(method, path, bearer=bearer, content=b"x" * 10_000_000), "malformed", 400)
    refused(await house.call(method, path, bearer=bearer, content=_ten_megabytes()), "malformed", 400)
    lying = {"content-length": "99999999999999999999"}
    refused(await house.call(method, path, bearer=bearer, content=_ten_megabytes(), headers=lying), "malformed", 400)
    assert await house.everything() == before


async def test_the_body_is_looked_at_only_after_the_token(house: House) -> None:
    await house.at("08:00:00")
    for method, path in (("POST", "/registrations"), ("PATCH", f"/openings/{TIANHE}")):
        refused(await house.call(method, path, content=b"{"), "unauthorized", 401)
        refused(await house.call(method, path, bearer="x", content=b"{"), "forged", 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ticket"), ("PUT", "/ticket"), ("HEAD", "/passes"), ("GET", JOIN), ("GET", "/passes"),
        ("DELETE", "/city"), ("GET", "/registrations"), ("PUT", f"/openings/{TIANHE}"), ("TRACE", "/city"),
    ],
)  # fmt: skip
async def test_a_method_that_is_not_there(house: House, method: str, path: str) -> None:
    answer = await house.call(method, path)
    assert answer.status_code == 405
    assert method not in answer.headers["allow"].split(", ")
    if method != "HEAD":
        refused(answer, "malformed", 405)


@pytest.mark.parametrize(
    "path", ["/nope", "/ticket/x", "/openings", "/openings/", "/openings//tickets", f"/openings/{TIANHE}/", "/ticket/"]
)
async def test_a_path_that_is_not_there_or_spelt_otherwise(house: House, path: str) -> None:
    await house.at("08:00:00")
    for method in ("GET", "POST"):
        answer = await house.call(method, path, json=PAPERS if method == "POST" else None)
        assert answer.status_code in (200, 404, 405), answer.text
        assert answer.status_code == 200 or answer.json()["code"] in ("not-found", "malformed")


async def test_strange_paths_and_headers_are_nobodys_error(house: House) -> None:
    await house.at("08:00:00")
    for path in (
        "/openings/%00",
        "/openings/%ff%fe",
        "/openings/..%2f..",
        "/openings/" + "9" * 500,
        "/sites?district=%ff",
    ):
        answer = await house.call("GET", path)
        assert answer.json()["code"] in ("not-found", "invalid"), answer.text
    refused(await house.call("POST", "/openings/%E5%A4%A9/tickets", json=PAPERS), "not-found", 404)
    for accept in ("en;q=x", "q=1", ",,,;;;", "*", "en;q=nan", "x" * 5000, "zh;q=0.1, EN-us ; q=0.9"):
        problem = refused(await house.call("GET", "/ticket", lang=accept), "unauthorized", 401)
        assert problem["title"] == ("Proof missing" if "EN-us" in accept else "缺少凭证")


@pytest.mark.parametrize(
    ("accept", "lang"),
    [
        (None, "zh-CN"), ("", "zh-CN"), ("en", "en"), ("en-GB,en;q=0.9,zh;q=0.8", "en"), ("zh-TW,en;q=0.9", "zh-Hant"),
        ("fr", "zh-CN"), ("fr,en;q=0.3", "en"), ("en;q=0.2,zh;q=0.7", "zh-CN"), ("EN", "en"), ("zh;q=0,en;q=0.1", "en"),
    ],
)  # fmt: skip
async def test_refusals_speak_the_readers_language(house: House, accept: str | None, lang: str) -> None:
    answer = await house.call("GET", "/ticket", lang=accept)
    problem = refused(answer, "unauthorized", 401)
    assert answer.headers["content-language"] == lang
    assert problem["detail"].isascii() == (lang == "en")


async def test_every_code_of_the_contract_has_both_languages(house: House) -> None:
    codes = (
        "malformed invalid unauthorized forged not-eligible barred identity-mismatch not-found already-registered "
        "too-late used expired ended not-open not-your-turn too-many-requests paused maintenance overloaded "
        "store-unavailable"
    ).split()
    for code in codes:
        zh = await house.client.get(f"/problems/{code}")
        en = await house.client.get(f"/problems/{code}", headers={"accept-language": "en"})
        assert zh.status_code == en.status_code == 200, code
        assert en.text.isascii()
        assert not zh.text.isascii()


async def test_times_in_a_sentence_are_readable(house: House) -> None:
    await house.at("07:00:00")
    zh = refused(await house.try_join(person(0)), "maintenance", 503)
    en = refused(await house.try_join(person(0), lang="en"), "maintenance", 503)
    assert "6月19日08:00" in zh["detail"]
    assert "19 June, 08:00" in en["detail"]
    assert zh["opens_at"] == en["opens_at"] == "2021-06-19T08:00:00+08:00"
