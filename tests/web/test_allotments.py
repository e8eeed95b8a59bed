"""A night in public: what was promised, what came out, and that everybody can check their own line."""

import gzip
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from server.fairness.allotment import Candidate, OfferedSlot
from server.fairness.verification import WrongFile, verify_allotment, verify_inclusion
from server.records.registration_changes import PassedOver
from tests.support.results import rfc_root
from tests.support.serving import TIANHE, House, enrol, open_house, person, refused, test_settings
from tests.support.small_night import STEPS, SmallNight, Waiting

NIGHT, NEXT_DAY = date(2021, 6, 19), date(2021, 6, 20)
PUBLIC = f"/allotments/{TIANHE}/{NIGHT}"
Asked = tuple[date, list[tuple[str, str]], bool]
# In the order of the night: first dose, wishes, any site.
FIRST: Asked = (date(2021, 5, 1), [("T1", "am")], False)
BEATEN: Asked = (date(2021, 5, 3), [("T1", "any")], False)  # T1 is full; T2 has room until 12 May
SECOND: Asked = (date(2021, 5, 12), [("T2", "pm")], False)
LATE: Asked = (date(2021, 5, 13), [], True)
PEOPLE = (LATE, FIRST, SECOND, BEATEN)
RANKS = {1: 1, 3: 2, 2: 3, 0: 4}  # index in PEOPLE -> place in the order
TABLE = [
    (OfferedSlot(date(2021, 6, 21), "T1", "am", "inactivated"), 1),
    (OfferedSlot(date(2021, 6, 22), "T2", "pm", "inactivated"), 1),
]


class Held:
    """A night of four, and their receipts.

    Args:
        house: where.
        night: theirs.
        receipts: the answers of registering, as PEOPLE.
    """

    def __init__(self, house: House, night: SmallNight, receipts: list[Any]) -> None:
        self.house, self.night, self.receipts = house, night, receipts

    async def look(self, i: int) -> Any:
        """What the holder sees."""
        done = self.receipts[i]
        return await self.house.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])

    async def morning(self) -> None:
        """The day after."""
        await self.house.at("09:00:00", NEXT_DAY)


@pytest.fixture
async def held(house: House) -> AsyncIterator[Held]:
    """Four have registered on the first day; the night has not begun."""
    await house.at("09:00:00")
    receipts = []
    for i, (dose, wishes, any_site) in enumerate(PEOPLE):
        await enrol(house.store, [person(i)], dose=dose)
        asked = [{"site": site, "period": period} for site, period in wishes]
        receipts.append(await house.registered(person(i), preferences=asked, accept_any_site=any_site))
    people = [
        Waiting(house.resident(person(i)), Candidate(done["registration_no"], dose, "inactivated", wishes, any_site))
        for i, (done, (dose, wishes, any_site)) in enumerate(zip(receipts, PEOPLE, strict=True))
    ]
    yield Held(house, SmallNight(house.store, house.services.published, NIGHT, people, TABLE), receipts)


# Public


def _key(seed: bytes, list_root: str) -> str:
    """Written out from the contract."""
    text = f"jiaohao night 2\n{TIANHE}:2021-06-19\n".encode() + bytes.fromhex(list_root)
    return hmac.new(seed, text, hashlib.sha256).hexdigest()


async def test_a_night_becomes_public_step_by_step_and_its_seed_last(held: Held) -> None:
    house, night = held.house, held.night
    await night.promise()
    before = await house.call("GET", PUBLIC)
    assert before.headers["cache-control"] == "public, max-age=60"
    promise = before.json()
    nothing = dict.fromkeys((
        "registrations", "list_root", "seed", "root", "counts", "by_reserve", "reached", "file_url", "version",
        "beacon", "key",
    ))  # fmt: skip
    kept = {"district": TIANHE, "date": "2021-06-19", "state": "committed", "commitment": promise["commitment"]}
    assert promise == kept | nothing
    for step in STEPS[:3]:
        await night.step(step)
        answer = await house.call("GET", PUBLIC)
        assert night.seed.hex() not in answer.text, step
        frozen = {} if step == "closing" else {"registrations": 4, "list_root": night.list_root, "version": 2}
        assert answer.json() == promise | {"state": step} | frozen
    assert hashlib.sha256(night.seed).hexdigest() == promise["commitment"], "as it was promised"
    await night.step("published")
    out = await house.get(PUBLIC)
    assert out == {
        "district": TIANHE,
        "date": "2021-06-19",
        "state": "published",
        "commitment": promise["commitment"],
        "registrations": 4,
        "list_root": night.list_root,
        "seed": night.seed.hex(),
        "root": night.root,
        "counts": {
            "allotted": 2, "full": 2, "no-such-site": 0, "too-early": 0, "not-before": 0, "not-offered": 0,
        },
        "by_reserve": None,
        "reached": [None, None, "2021-05-12", None],
        "file_url": f"/api/v1{PUBLIC}/file",
        "version": 2,
        "beacon": None,
        "key": _key(night.seed, night.list_root),
    }  # fmt: skip
    await night.step("done")
    assert await house.get(PUBLIC) == out | {"state": "done"}


async def test_the_promise_is_there_from_the_morning_and_another_one_each_day_and_district(house: House) -> None:
    promises = set()
    for day in (NIGHT, NEXT_DAY):
        await house.at("07:30:00", day)
        for code in (TIANHE, "440105"):
            promises.add((await house.get(f"/allotments/{code}/{day}"))["commitment"])
            opening = await house.get(f"/openings/{code}")
            promises.add(opening["draw"]["commitment"])
    assert len(promises) == 8, "the night's seed is another one than the draw's, which is public at noon"


@pytest.mark.parametrize("path", [f"/allotments/{TIANHE}/2021-06-18", f"/allotments/999999/{NIGHT}"])
async def test_where_there_was_no_night_there_is_nothing(house: House, path: str) -> None:
    for more in ("", "/file"):
        refused(await house.call("GET", path + more), "not-found", 404)


@pytest.mark.parametrize("day", ["2021-02-30", "today", "..", "2021-06-19T00:00:00", "%2e%2e%2f%2e%2e", "0000-00-00"])
async def test_a_date_that_is_none_is_refused(house: House, day: str) -> None:
    for more in ("", "/file"):
        answer = await house.call("GET", f"/allotments/{TIANHE}/{day}{more}")
        assert answer.status_code == 404, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_result_file_is_there_once_the_root_is_and_holds(held: Held, tmp_path: Path) -> None:
    house, night = held.house, held.night
    await night.hold("allotted")
    refused(await house.call("GET", f"{PUBLIC}/file"), "not-found", 404)
    # Written, but its root is not noted yet: nobody is told the seed that stands in it.
    night.published.write(night.rules, night.lots, night.offered, night._allot())
    refused(await house.call("GET", f"{PUBLIC}/file"), "not-found", 404)
    await night.step("published")
    answer = await house.call("GET", f"{PUBLIC}/file", headers={"accept-encoding": "identity"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert int(answer.headers["content-length"]) == len(answer.content)
    file = tmp_path / "night.jsonl"
    file.write_bytes(answer.content)
    found = verify_allotment(file)
    assert (found.head.registrations, found.foot.root) == (4, night.root)
    async with house.client.stream("GET", f"/api/v1{PUBLIC}/file", headers={"accept-encoding": "gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "accept-encoding"
        raw = b"".join([part async for part in packed.aiter_raw()])
    assert gzip.decompress(raw) == answer.content
    assert len(raw) < len(answer.content)
    numbers = [json.loads(line)["no"] for line in answer.text.splitlines()[1:-1]]
    assert numbers == [held.receipts[i]["registration_no"] for i in RANKS]
    for secret in (person(0).id_number, person(0).name, person(0).phone):
        assert secret not in answer.text


async def test_a_worker_without_the_folder_says_what_came_out_but_has_no_file(held: Held, store_url: str) -> None:
    await held.night.hold()
    async with open_house(store_url, test_settings()) as other:
        await other.at("09:00:00", NEXT_DAY)
        public = await other.get(PUBLIC)
        assert (public["root"], public["file_url"]) == (held.night.root, None)
        refused(await other.call("GET", f"{PUBLIC}/file"), "not-found", 404)
        done = held.receipts[0]
        seen = await other.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])
        assert (seen["night"]["root"], seen["night"]["leaf"]) == (held.night.root, 4)
        assert (seen["night"]["line"], seen["night"]["proof"], seen["night"]["file_url"]) == (None, None, None)


# One's own line


async def test_everybody_sees_their_own_line_under_the_root_that_all_see(held: Held, tmp_path: Path) -> None:
    night = held.night
    await night.hold()
    await held.morning()
    file = await held.house.call("GET", f"{PUBLIC}/file")
    lines = file.content.splitlines()[:-1]
    root = rfc_root(lines).hex()
    saved = tmp_path / "mine.json"
    for i, rank in RANKS.items():
        seen = await held.look(i)
        mine = seen["night"]
        assert mine["line"].encode() == lines[rank]
        assert (mine["leaf"], mine["proof"]["index"], mine["proof"]["leaves"]) == (rank, rank, 5)
        assert mine["root"] == root
        assert mine["seed"] == night.seed.hex()
        assert mine["commitment"] == hashlib.sha256(night.seed).hexdigest()
        assert (mine["list_root"], mine["file_url"]) == (night.list_root, f"/api/v1{PUBLIC}/file")
        saved.write_text(json.dumps(seen))
        assert verify_inclusion(saved, root).line.no == seen["registration_no"]
    first, late, beaten = await held.look(1), await held.look(0), await held.look(3)
    assert (first["state"], first["night"]["date"], first["night"]["reason"]) == ("booked", "2021-06-19", None)
    assert first["appointment"]["date"] == "2021-06-21"
    assert (late["state"], late["night"]["reason"], late["night"]["reached"]) == ("proposed", "full", "2021-05-12")
    assert (beaten["night"]["reason"], beaten["night"]["nights"]) == ("full", 1)


async def test_who_was_not_reached_is_told_about_how_many_nights_more_and_can_check_it(
    held: Held, tmp_path: Path
) -> None:
    # The night of the 15th came to 8 May: in four nights four days, and from 12 May it is one day more.
    client: Any = held.house.store.client
    earlier = {"commitment": "0" * 64, "root": "0" * 64, "reached": '[null,null,"2021-05-08",null]'}
    await client.hset(f"night:{{{TIANHE}:2021-06-15}}", mapping=earlier)
    await held.night.hold()
    await held.morning()
    late, beaten, first = await held.look(0), await held.look(3), await held.look(1)
    assert late["night"]["pace"] == {"since": "2021-06-15", "reached": "2021-05-08", "nights": 1}
    assert (beaten["night"]["pace"], first["night"]["pace"]) == (None, None)
    assert (await held.house.get(f"/allotments/{TIANHE}/2021-06-15"))["reached"][2] == "2021-05-08"
    saved = tmp_path / "mine.json"
    for nights, came_to, why in ((1, "2021-05-08", ""), (2, "2021-05-08", "nights"), (1, "2021-05-11", "give 4")):
        late["night"]["pace"] = {"since": "2021-06-15", "reached": came_to, "nights": nights}
        saved.write_text(json.dumps(late))
        if not why:
            verify_inclusion(saved)
            continue
        with pytest.raises(WrongFile, match=why):
            verify_inclusion(saved)
    done = held.receipts[0]
    held_here = f"{done['registration_no']}.{done['receipt']}"
    answer = await held.house.client.get("/plain/registration", headers={"cookie": f"receipts={held_here}"})
    assert "照 6月15日 以来的进度，大约还要 1 夜" in answer.text


async def test_who_was_not_reached_is_told_how_many_slots_would_have_suited_and_can_count_them(
    held: Held, tmp_path: Path
) -> None:
    await held.night.hold()
    await held.morning()
    late, beaten, first = await held.look(0), await held.look(3), await held.look(1)
    # Anywhere: both of them. At T1 alone: the one that there was. Who has an appointment is told of that.
    assert [it["night"]["suited"] for it in (late, beaten, first)] == [2, 1, None]
    for i, words in ((0, "那一夜适合您的名额有 2 个，都给了排在您前面的人。"), (3, "名额有 1 个")):
        done = held.receipts[i]
        cookie = {"cookie": f"receipts={done['registration_no']}.{done['receipt']}"}
        assert words in (await held.house.client.get("/plain/registration", headers=cookie)).text
    saved, result = tmp_path / "mine.json", tmp_path / "result.jsonl"
    result.write_bytes((await held.house.call("GET", f"{PUBLIC}/file")).content)
    for seen in (late, beaten):
        saved.write_text(json.dumps(seen))
        assert verify_inclusion(saved, result=result).is_counted
        said = seen["night"]["suited"]
        for wrong in (0, said + 1):
            seen["night"]["suited"] = wrong
            saved.write_text(json.dumps(seen))
            verify_inclusion(saved)  # by itself it cannot be seen
            with pytest.raises(WrongFile, match=f"suited: it says {wrong}, the result has {said}"):
                verify_inclusion(saved, result=result)


async def test_nothing_of_the_result_is_told_before_its_root(held: Held) -> None:
    await held.night.hold("allotted")
    held.night.published.write(held.night.rules, held.night.lots, held.night.offered, held.night._allot())
    await held.morning()
    mine = (await held.look(0))["night"]
    assert [mine[name] for name in ("line", "root", "proof", "seed", "file_url", "suited")] == [None] * 6
    assert mine["commitment"] == hashlib.sha256(held.night.seed).hexdigest()
    assert (mine["reason"], mine["list_root"]) == ("full", held.night.list_root)


async def test_a_file_that_is_not_the_published_one_proves_nothing(held: Held) -> None:
    night = held.night
    await night.hold()
    await held.morning()
    assert (await held.look(0))["night"]["proof"]
    path = night.published.path(NIGHT, TIANHE)
    assert path is not None
    with path.open("r+b") as file:  # in place: the worker has it open
        text = file.read()
        file.seek(0)
        file.write(text.replace(b'"2021-05-13"', b'"2021-05-14"'))
    mine = (await held.look(0))["night"]
    assert (mine["line"], mine["proof"], mine["root"]) == (None, None, night.root)
    assert (await held.look(1))["night"]["proof"], "another line is as it was"


async def test_a_later_night_takes_the_place_of_an_earlier_one(held: Held) -> None:
    house = held.house
    await held.night.hold()
    later = PassedOver(
        house.resident(person(0)), held.receipts[0]["registration_no"], "2021-06-20", 7, "not-before", ""
    )
    await house.store.pass_over([later], 3)
    await held.morning()
    mine = (await held.look(0))["night"]
    assert (mine["date"], mine["reason"], mine["reached"], mine["nights"]) == ("2021-06-20", "not-before", None, 2)
    assert (mine["root"], mine["line"], mine["leaf"]) == (None, None, 7), "its result is not there yet"


async def test_who_has_been_in_no_night_has_none(held: Held) -> None:
    await held.morning()
    seen = await held.look(0)
    assert (seen["night"], seen["messages"], seen["together"]) == (None, [], None)
