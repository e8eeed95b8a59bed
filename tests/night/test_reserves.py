"""A night with reserves on a real store: who is a member, what the file says, and who can find their line in it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.core.city import load_city
from server.core.keys import day_tag, key
from server.core.reserves import Reserve
from server.fairness.checkpoint import SignedHead
from server.fairness.line_numbers import line_number
from server.fairness.verification import MadePublic, WrongFile, verify_allotment, verify_inclusion
from server.registrations.views import Views
from tests.support.nights import DAY, NightHouse, fill
from tests.support.stores import Store

TIANHE = "440106"
PEOPLE = 40
RESERVES = (
    Reserve("60岁及以上", "60 and over", 40, min_age=60),
    Reserve("残疾人", "disabled people", 20, groups=("disabled",)),
)


@pytest.fixture
def house(store: Store, tmp_path: Path) -> NightHouse:
    """A night's service on an empty store, at noon."""
    house = NightHouse(store, tmp_path / "results", msgspec.structs.replace(load_city(), reserves=RESERVES))
    house.at("12:00:00")
    return house


async def filled(house: NightHouse) -> dict[str, dict[str, Any]]:
    """One dose a slot; every fourth who waits is 60 tomorrow, the next one today, and the one after that disabled."""
    put = await fill(house.store, PEOPLE, per_slot=1, districts=[TIANHE])
    birthday = DAY.replace(year=DAY.year - 60).toordinal()
    for n, (no, each) in enumerate(sorted(put.items())):
        (record,) = await house.store.records([each["resident"]])
        assert record is not None
        born, groups = ((birthday + 1, ()), (birthday, ()), (0, ("disabled",)), (0, ()))[n % 4]
        await house.store.keep_first_doses(
            [(each["resident"], msgspec.structs.replace(record, born=born, groups=groups))]
        )
        put[no]["reserves"] = ("", "A", "B", "")[n % 4]
    return put


def line_of(house: NightHouse, no: str) -> str:
    """The number of its line."""
    return line_number(house.published.numbers.blind(day_tag(TIANHE, DAY), 0, no), no)


async def test_members_are_known_by_birthday_and_group_and_nobody_by_their_registration_number(
    house: NightHouse,
) -> None:
    put = await filled(house)
    brought = await house.run()
    lines = {line["no"]: line for line in house.lines(TIANHE)}
    assert set(lines) == {line_of(house, no) for no in put} and not set(lines) & set(put)
    for no, each in put.items():
        line, kept = lines[line_of(house, no)], await house.fields(no, put)
        assert line.get("reserves", "") == each["reserves"]
        slot = line.get("slot")
        assert (kept["state"] == "booked") == bool(slot)
        if slot:
            assert [kept["day"], kept["site"], kept["period"]] == slot[:3]
            assert line.get("by", each["reserves"]) in ("", each["reserves"])
        else:
            assert kept["why_not"] == line["reason"] and kept["reached"] == line.get("reached", "")
    given = [line.get("by") for line in lines.values() if line.get("slot")]
    assert brought[TIANHE].counts["allotted"] == len(given) > 10 and {"A", "B", None} == set(given)
    path = house.published.path(DAY, TIANHE)
    assert path is not None
    (night,) = await house.store.nights([day_tag(TIANHE, DAY)])
    verify_allotment(path, MadePublic(night.commitment, night.list_root, night.root))
    text = path.read_text()
    assert "disabled" not in text and not any(no in text for no in put)


async def test_a_night_with_reserves_that_was_killed_goes_on_to_the_same_result(house: NightHouse) -> None:
    await filled(house)
    first = await house.run()
    assert house.folder is not None
    files = {path: path.read_bytes() for path in sorted(house.folder.rglob("*.*"))}
    client: Any = house.store.client
    for district in house.city.districts:
        await client.hdel(key("night", day_tag(district.code, DAY)), "allotted_ms", "given", "published_ms", "told_ms")
    for path in files:
        path.unlink()
    assert await house.run() == first
    assert {path: path.read_bytes() for path in files} == files


async def test_a_holder_finds_their_line_and_another_night_calls_them_otherwise(
    house: NightHouse, tmp_path: Path
) -> None:
    put = await filled(house)
    await house.run()
    head = SignedHead(0, "", "")
    views = Views(house.city, house.store, house.published, lambda: head)
    (night,) = await house.store.nights([day_tag(TIANHE, DAY)])
    saved = tmp_path / "mine.json"
    for no in sorted(put)[:8]:
        seen = json.loads(msgspec.json.encode(await views.show(no, put[no]["resident"])))
        saved.write_text(json.dumps(seen))
        assert verify_inclusion(saved, night.root).line.no == line_of(house, no)
        for wrong in ({"blind": None}, {"blind": "00" * 16}, {"blind": "x"}):
            saved.write_text(json.dumps(seen | {"night": seen["night"] | wrong}))
            with pytest.raises(WrongFile, match=r"registration_no|blind"):
                verify_inclusion(saved)
    assert line_of(house, no) != line_number(house.published.numbers.blind("440106:2021-06-20", 0, no), no)
