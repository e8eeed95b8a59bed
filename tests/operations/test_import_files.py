"""Files that offices really send, and what is wrong with them: cases P7 to P11, and what an import says beforehand."""

import asyncio
import random
import tracemalloc
from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from server.appointments.corrections import Counts
from server.core.city import City, load_city
from server.core.encryption import Cipher, Contact
from server.core.errors import StoreUnavailable
from server.core.keys import Pepper, registration_no, resident_tag
from server.core.papers import normalise_name
from server.operations.importing import (
    REGISTRY_COLUMNS,
    CsvFile,
    FirstDoseRow,
    RegistryKeeper,
    judge_registry,
    registry_reader,
)
from server.records.registration_changes import Change, Correction
from server.records.slot import RosterEntry, Slot
from server.store.connecting import connect
from tests.support.city_files import changed_city_file
from tests.support.nights import DAY as NIGHT
from tests.support.nights import SECRET, NightHouse, fill
from tests.support.post import Phones, open_post
from tests.support.serving import (
    BAIYUN,
    HAIZHU,
    TIANHE,
    House,
    Jiaohao,
    Person,
    enrol,
    keep_sites,
    open_house,
    person,
    refused,
    test_settings,
)
from tests.support.stores import Store, swap

HEADER = ",".join(REGISTRY_COLUMNS)
SITES_HEADER = "site,name_zh,name_en,district,address"
CAPACITY_HEADER = "site,date,period,product,capacity"
# With a window each, in the order of the announcement (A6).
DISTRICTS = [
    "440106", "440111", "440105", "440113", "440118", "440104", "440103", "440114", "440115", "440117",
]  # fmt: skip
OPERATOR = "operator-token-of-the-tests"


@pytest.fixture
def jiaohao(jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Jiaohao:
    """Runs the command against a store; (exit code, standard output, standard error)."""
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", (b"p" * 32).hex())
    return jiaohao


@pytest.fixture
def strict_city(tmp_path: Path) -> str:
    """Guangzhou, but files of twenty rows are judged already."""
    return str(changed_city_file(tmp_path, ("judged_from_rows = 1000\n", "judged_from_rows = 20\n")))


def row(who: Person, **changes: str) -> str:
    cells = {"id_type": who.id_type, "id_number": who.id_number, "name": who.name, "phone": who.phone}
    cells |= {"first_dose_date": "2021-05-01", "product": "inactivated", "district": TIANHE} | changes
    return ",".join(cells[column] for column in REGISTRY_COLUMNS)


def csv_file(folder: Path, kind: str, *rows: str) -> str:
    header = {"registry": HEADER, "sites": SITES_HEADER, "capacity": CAPACITY_HEADER}[kind]
    file = folder / f"{kind}.csv"
    file.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return str(file)


def whole_city(*, first: int = 0, each: int = 4, leave_out: str = "", **changes: str) -> list[str]:
    """Some residents of every district with a window, their first doses on days of their own."""
    rows, i = [], first
    for code in DISTRICTS:
        for n in range(each):
            day = date(2021, 3, 25) + timedelta(days=(7 * i + n) % 60)
            if code != leave_out:
                rows.append(row(person(i), **({"district": code, "first_dose_date": day.isoformat()} | changes)))
            i += 1
    return rows


def everything(store_url: str) -> dict[bytes, bytes]:
    with Redis.from_url(store_url) as client:
        return {name: client.dump(name) for name in client.scan_iter() if not name.startswith((b"format:", b"pepper:"))}


def lines_kept(store_url: str) -> int:
    with Redis.from_url(store_url) as client:
        return sum(1 for _ in client.scan_iter("registry:*"))


def set_city_clock(store_url: str, instant: str) -> None:
    """The service on this store was started with `--clock`."""
    offset_s = datetime.fromisoformat(instant).timestamp() - datetime.now().timestamp()
    with Redis.from_url(store_url) as client:
        client.set("clock:{clock}", round(offset_s * 1000))


# P7: one ID twice


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"first_dose_date": "2021-05-02"}, "first_dose_date"),
        ({"name": "王五"}, "name or phone"),
        ({"phone": "13900000001"}, "name or phone"),
        ({"product": "cho"}, "product"),
        ({"district": BAIYUN}, "district"),
        ({"district": BAIYUN, "first_dose_date": "2021-05-02"}, "first_dose_date, district"),
        # A residence permit's number is the same person's, whatever it is called (domain.md, papers).
        ({"id_type": "residence_permit", "product": "cho"}, "product"),
    ],
)
def test_one_id_twice_with_another_word_is_told_with_both_lines(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, changes: dict[str, str], what: str
) -> None:
    who = Person("810000199408230021", "陈大文", "13700000001")
    file = csv_file(tmp_path, "registry", row(person(0)), row(who), row(person(2)), row(who, **changes))
    code, out, err = jiaohao("import", "registry", file)
    same = f"column 2 (id_number): the same person as in line {{}}, with another {what}: leave the right one"
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"registry.csv: line 3: {same.format(5)}",
        f"registry.csv: line 5: {same.format(3)}",
        "jiaohao: 2 bad rows, nothing kept; mend them, or keep the others with --skip-bad",
    ]
    assert who.id_number not in err and who.name not in err
    assert lines_kept(store_url) == 0
    code, out, _ = jiaohao("import", "registry", file, "--skip-bad")
    assert (code, out.splitlines()[-1]) == (0, "2 residents kept, 2 bad rows left out")
    tag = resident_tag(Pepper(b"p" * 32).resident(who.id_type, who.id_number))
    with Redis.from_url(store_url) as client:
        assert client.exists(f"registry:{{{tag}}}") == 0, "nobody knows which of the two is right"


def test_rows_that_agree_count_once(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    spaced = person(0).id_number[:6] + " " + person(0).id_number[6:]
    file = csv_file(tmp_path, "registry", row(person(0)), row(person(1)), row(person(0), id_number=spaced))
    code, out, _ = jiaohao("import", "registry", file)
    assert (code, out.splitlines()[0]) == (0, "3 rows: 2 residents, 1 duplicates, 0 bad rows")
    assert out.splitlines()[-1] == "2 residents kept"
    assert lines_kept(store_url) == 2


def test_duplicates_are_found_as_an_office_would_find_them_by_hand(tmp_path: Path) -> None:
    rng = random.Random(20210619)
    people = [person(i) for i in range(300)]
    said: dict[str, list[tuple[int, tuple[str, str]]]] = defaultdict(list)
    rows = []
    for line in range(2, 902):
        who = rng.choice(people)
        word = ("2021-05-01", "cho") if rng.random() < 0.97 else (f"2021-05-{rng.randint(2, 4):02}", "inactivated")
        said[who.id_number].append((line, word))
        rows.append(row(who, first_dose_date=word[0], product=word[1]))
    at_odds = [lines for lines in said.values() if len({word for _, word in lines}) > 1]
    agreeing = [lines for lines in said.values() if len({word for _, word in lines}) == 1]
    assert len(at_odds) > 10 and len(agreeing) > 100
    city = load_city()
    source = CsvFile(Path(csv_file(tmp_path, "registry", *rows)), REGISTRY_COLUMNS, lambda _: None)
    found = judge_registry(city, source, registry_reader(city, Pepper(b"p" * 32), date(2021, 6, 19)))
    bad_lines = sorted(line for lines in at_odds for line, _ in lines)
    assert found.outcome.bad == len(bad_lines)
    assert [fault.line for fault in found.outcome.first_bad] == bad_lines[:10]
    assert found.count == len(agreeing)
    assert found.residents.duplicates == sum(len(lines) - 1 for lines in agreeing)
    assert found.outcome.kept == sum(map(len, agreeing))


def test_duplicates_of_a_whole_city_fit_into_memory(tmp_path: Path) -> None:
    from server.operations.importing.duplicates import Residents

    rng = random.Random(1)
    count = 400_000
    keys = [rng.randbytes(16) for _ in range(1000)]
    residents = Residents(["inactivated"], [TIANHE])
    tracemalloc.start()
    try:
        for line in range(count):
            resident = line.to_bytes(8, "big") + keys[line % 1000][:8]
            resident = resident[6:8] + resident
            residents.add(line, FirstDoseRow(resident[:16], 737_911, "inactivated", TIANHE, b"m" * 12, "", ""))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert residents.rows == count
    assert held / count < 75, "with 65,536 heaps of their own: 4.8 million rows stay below 350 MB"


def test_one_site_twice_with_another_word_is_told_with_both_lines(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    rows = [f"S1,站,Site,{TIANHE},路1号", f"S2,站,Site,{TIANHE},路", f"S1,站,Site,{TIANHE},路2号"]
    code, out, err = jiaohao("import", "sites", csv_file(tmp_path, "sites", *rows))
    assert (code, out) == (1, "")
    assert err.splitlines()[:2] == [
        "sites.csv: line 2: column 1 (site): line 4 says otherwise of the same site: leave the right one",
        "sites.csv: line 4: column 1 (site): line 2 says otherwise of the same site: leave the right one",
    ]
    assert everything(store_url) == {}


async def test_one_slot_twice_with_another_capacity_is_refused_from_a_file_and_on_ops(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    rows = ["T1,2021-06-21,am,inactivated,9", "T1,2021-06-21,pm,inactivated,9", "T1,2021-06-21,am,inactivated,2"]
    async with open_house(store_url, test_settings(pepper=b"p" * 32)) as house:
        await keep_sites(house.store)
        file = csv_file(tmp_path, "capacity", *rows)
        code, _, err = await asyncio.to_thread(jiaohao, "import", "capacity", file)
        assert code == 1
        assert err.splitlines()[:2] == [
            "capacity.csv: line 2: column 1 (site): line 4 says otherwise of the same slot: leave the right one",
            "capacity.csv: line 4: column 1 (site): line 2 says otherwise of the same slot: leave the right one",
        ]
        content = await asyncio.to_thread(Path(file).read_bytes)
        for lang, words in (("zh", "两个不同的数"), ("en", "says two things")):
            answer = await house.call("POST", "/capacity", bearer=OPERATOR, content=content, lang=lang)
            problem = refused(answer, "invalid", 422)
            assert [it["field"] for it in problem["errors"]] == ["line 2, column 1 (site)", "line 4, column 1 (site)"]
            assert words in problem["errors"][0]["message"]
        assert await house.store.used([f"{TIANHE}:2021-06-21"]) == [{}]


# P8: the registry's word while a registration is open


async def import_rows(store: Store, city: City, house: NightHouse, *rows: FirstDoseRow) -> Counts:
    keeper = RegistryKeeper(store, city, Cipher([SECRET]), house.appointments)
    async for _ in keeper.keep(rows):
        pass
    return keeper.counts


def news(resident: bytes, day: date, product: str = "inactivated", district: str = TIANHE) -> FirstDoseRow:
    """What a registry's row becomes, for one of the people that `fill` makes."""
    return FirstDoseRow(resident, day.toordinal(), product, district, b"m" * 12, "测试", "13000000000")


async def words_of(store: Store, resident: bytes) -> list[tuple[str, str, str]]:
    return [(line.state, line.actor, line.why) for line in (await store.history(resident)).events]


@pytest.fixture
def small(tmp_path: Path, store: Store) -> NightHouse:
    """A night's service, in the afternoon before it."""
    house = NightHouse(store, tmp_path / "results")
    house.at("15:00:00")
    return house


async def test_a_first_dose_mended_while_registered_is_in_status_history_and_the_night(small: NightHouse) -> None:
    store = small.store
    put = await fill(store, 3, districts=[TIANHE], per_slot=9)
    no = registration_no(1, NIGHT, 1)
    who, old = put[no]["resident"], (await store.registration_fields(put[no]["resident"]))["first_dose"]
    counts = await import_rows(store, small.city, small, news(who, date(2021, 5, 31)))
    assert counts == Counts(corrected=1)
    kept = await store.registration_fields(who)
    assert (kept["first_dose"], kept["state"]) == ("2021-05-31", "proposed")
    assert await words_of(store, who) == [("corrected", "registry", f"{old} → 2021-05-31")]
    # The same again is no news.
    assert await import_rows(store, small.city, small, news(who, date(2021, 5, 31))) == Counts()
    assert len(await words_of(store, who)) == 1
    assert await small.owed(who) == ["registered", "corrected"]
    assert who in await small.pointed_to(TIANHE)
    await small.run()
    (line,) = [it for it in small.lines(TIANHE) if it["no"] == no]
    assert line["first_dose"] == "2021-05-31"


async def test_a_first_dose_mended_while_registered_is_told_by_sms_once(store_url: str) -> None:
    async with open_post(store_url) as post:
        await post.register([person(1), person(2)])
        assert await post.send(Phones()) == 2  # that they have registered
        change, late = Change(post.key(0), post.no(0), "registry"), Change(post.key(1), post.no(1), "registry")
        mended = Correction(change, "2021-05-31", "inactivated", b"")
        unchanged = Correction(late, "2021-05-01", "inactivated", b"")  # the product is new, and no news
        for _ in range(2):
            await post.store.correct([mended, unchanged])
            await post.point([0, 1])
        phones = Phones()
        assert await post.send(phones) == 1
        ((phone, text),) = phones.messages
        assert phone == person(1).phone
        assert text.startswith("【广州健康通】测*，登记处更正了您的第一剂记录，日期为2021年5月31日")
        assert await post.told("corrected") == {"accepted": 1, "nothing": 1}


async def test_who_was_first_by_a_wrong_date_is_not_first_any_more(small: NightHouse) -> None:
    store = small.store
    put = await fill(store, 2, districts=[TIANHE], per_slot=9)
    first, second = (registration_no(1, NIGHT, entry) for entry in (0, 1))
    a, b = put[first]["resident"], put[second]["resident"]
    assert (
        await import_rows(store, small.city, small, news(a, date(2021, 4, 21)), news(b, date(2021, 4, 25)))
    ) != Counts()
    assert (await import_rows(store, small.city, small, news(a, date(2021, 4, 29)))) == Counts(corrected=1)
    await small.run()
    assert [it["no"] for it in small.lines(TIANHE)] == [second, first], "the order of the night is that of first doses"


async def test_the_night_takes_the_registrys_word_where_an_earlier_version_imported_it(
    small: NightHouse, jiaohao: Jiaohao
) -> None:
    """The line was written, and the registration not told."""
    store = small.store
    put = await fill(store, 4, districts=[TIANHE], per_slot=9)
    mended, complete, gone, untouched = (registration_no(1, NIGHT, entry) for entry in range(4))
    records = await store.records([put[no]["resident"] for no in (mended, complete, gone)])
    changed: list[dict[str, Any]] = [
        {"day": date(2021, 5, 31).toordinal()},
        {"product": "adenovirus"},
        {"day": 0, "product": ""},
    ]
    await store.keep_first_doses(
        [
            (put[no]["resident"], msgspec.structs.replace(record, **change))
            for no, record, change in zip((mended, complete, gone), records, changed, strict=True)
            if record is not None
        ]
    )
    small.at("20:10:00")
    before = await small.everything()
    (foreseen, _) = (await small.night.foresee(NIGHT))[:2]
    assert foreseen.registrations == 2, "a dry run counts by the registry's word"
    assert await small.everything() == before, "and changes nothing"
    await small.run()
    lines = {it["no"]: it for it in small.lines(TIANHE)}
    assert set(lines) == {mended, untouched}
    assert lines[mended]["first_dose"] == "2021-05-31"
    assert (await small.fields(mended, put))["first_dose"] == "2021-05-31"
    for no, why in ((complete, "complete"), (gone, "not-in-registry")):
        assert (await small.fields(no, put))["state"] == "cancelled"
        assert await words_of(store, put[no]["resident"]) == [("cancelled", "registry", why)]
        assert (await small.owed(put[no]["resident"]))[-1] == "cancelled"
        assert put[no]["resident"] in await small.pointed_to(TIANHE)
        (known,) = await store.residents([put[no]["resident"]])
        assert known.stop is None
    code, out, err = await asyncio.to_thread(jiaohao, "verify", "allotment", str(small.published.path(NIGHT, TIANHE)))
    assert code == 0, out + err


async def test_who_is_complete_by_an_import_leaves_the_night_and_frees_the_slot(small: NightHouse) -> None:
    store = small.store
    put = await fill(store, 2, districts=[TIANHE], per_slot=1)
    waiting, booked = (registration_no(1, NIGHT, entry) for entry in (0, 1))
    resident = put[booked]["resident"]
    day = NIGHT + timedelta(days=4)
    from server.appointments.giving import SlotGrant

    slot = RosterEntry(booked, resident, f"{TIANHE}-1", "am", "inactivated")
    assert await small.appointments.give(TIANHE, [SlotGrant(slot, day)], "night") == ["booked"]
    counts = await import_rows(
        store, small.city, small,
        news(put[waiting]["resident"], date(2021, 5, 1), "adenovirus"), news(resident, date(2021, 5, 1), "adenovirus"),
    )  # fmt: skip
    assert counts == Counts(closed=2)
    for no in (waiting, booked):
        assert (await small.fields(no, put))["state"] == "cancelled"
        assert (await small.owed(put[no]["resident"]))[-1] == "cancelled"
    assert await store.roster(f"{TIANHE}:{day}") == []
    (used,) = await store.used([f"{TIANHE}:{day}"])
    assert used[Slot(f"{TIANHE}-1", "am", "inactivated")] == (1, 0)


async def test_an_import_that_was_killed_and_is_done_again_ends_in_the_same_state(
    small: NightHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = small.store
    put = await fill(store, 3, districts=[TIANHE], per_slot=9)
    corrected, closed, other = (put[registration_no(1, NIGHT, entry)]["resident"] for entry in range(3))
    rows = [
        news(corrected, date(2021, 5, 31)),
        news(closed, date(2021, 5, 1), "adenovirus"),
        news(other, date(2021, 5, 2), "inactivated"),
    ]
    keep = store.keep_first_doses

    async def killed(*_: Any) -> None:
        raise StoreUnavailable

    swap(monkeypatch, store, "keep_first_doses", killed)
    with pytest.raises(StoreUnavailable):
        await import_rows(store, small.city, small, *rows)
    swap(monkeypatch, store, "keep_first_doses", keep)
    await import_rows(store, small.city, small, *rows)
    records = await store.records([corrected, closed, other])
    assert [(it.date, it.product) for it in records if it] == [
        (date(2021, 5, 31), "inactivated"), (date(2021, 5, 1), "adenovirus"), (date(2021, 5, 2), "inactivated"),
    ]  # fmt: skip
    assert [state for state, *_ in await words_of(store, corrected)] == ["corrected"]
    assert [state for state, *_ in await words_of(store, closed)] == ["cancelled"]
    assert (await small.owed(closed)).count("cancelled") == 1


@pytest.fixture
async def at_eight(store_url: str) -> Any:
    """A house at 08:30 of a day of phase 1, with two sites and two people of the registry."""
    async with open_house(store_url, test_settings(pepper=b"p" * 32, secrets=(b"p" * 32,))) as house:
        await keep_sites(house.store)
        await enrol(house.store, [person(0), person(1)])
        await house.at("08:00:00")
        await house.at("08:30:00")  # past the draw
        yield house


async def test_the_holder_of_a_registration_sees_what_was_mended(
    at_eight: House, jiaohao: Jiaohao, tmp_path: Path
) -> None:
    done = await at_eight.registered(person(0))
    no, receipt = done["registration_no"], done["receipt"]
    file = csv_file(tmp_path, "registry", row(person(0), first_dose_date="2021-05-11"), row(person(1)))
    code, out, err = await asyncio.to_thread(jiaohao, "import", "registry", file)
    assert code == 0, err
    assert "1 open registrations follow: 1 corrected, 0 closed" in out
    seen = await at_eight.get(f"/registrations/{no}", bearer=receipt)
    assert seen["priority"]["first_dose_date"] == "2021-05-11"
    assert [(it["state"], it.get("why")) for it in seen["history"][1:]] == [("corrected", "2021-05-01 → 2021-05-11")]


async def test_who_went_from_the_registry_with_a_pass_in_hand_does_not_register(
    at_eight: House, jiaohao: Jiaohao, tmp_path: Path
) -> None:
    joined = [await at_eight.join(person(i)) for i in (0, 1)]
    await at_eight.forward(1)
    passes = [await at_eight.claim(it["ticket"]) for it in joined]
    assert (await at_eight.register(passes[1])).status_code == 201
    file = csv_file(tmp_path, "registry", row(person(2)))
    code, _, err = await asyncio.to_thread(jiaohao, "import", "registry", file, "--replace", "--yes")
    assert code == 0, err
    problem = refused(await at_eight.register(passes[0]), "not-eligible", 403)
    assert problem["reason"] == "no-first-dose"
    # Who had registered and asks again is told of the same one, whatever became of it.
    assert (await at_eight.register(passes[1])).status_code in (200, 410, 409)


# P9: first doses on days that cannot be


def test_a_first_dose_in_the_future_is_a_bad_row(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    set_city_clock(store_url, "2021-06-19T12:00:00+08:00")
    for day, fits in (("2021-06-19", True), ("2021-06-20", False), ("2031-05-20", False)):
        code, out, err = jiaohao(
            "import", "registry", csv_file(tmp_path, "registry", row(person(0), first_dose_date=day))
        )
        if fits:
            assert (code, out.splitlines()[-1]) == (0, "1 residents kept")
        else:
            assert (code, out) == (1, "")
            told = "line 2: column 5 (first_dose_date): expected a date up to 2021-06-19"
            assert err.splitlines()[0] == f"registry.csv: {told}"


def test_the_city_file_says_from_when_on_there_were_first_doses(jiaohao: Jiaohao, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "registry", row(person(0), first_dose_date="2020-12-14"))
    code, _, err = jiaohao("import", "registry", file)
    assert code == 1
    assert "column 5 (first_dose_date): expected a date from 2020-12-15 on" in err
    city = changed_city_file(tmp_path, ("= 2020-12-15", "= 2020-07-22"))
    assert jiaohao("import", "registry", file, "--city", str(city))[0] == 0


def test_a_capacity_years_ahead_is_a_bad_row(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    set_city_clock(store_url, "2021-06-19T12:00:00+08:00")
    assert jiaohao("import", "sites", csv_file(tmp_path, "sites", f"T1,站,Site,{TIANHE},路"))[0] == 0
    code, _, err = jiaohao("import", "capacity", csv_file(tmp_path, "capacity", "T1,2031-06-21,am,cho,5"))
    assert code == 1
    # 19 June 2021 and 366 days
    assert err.splitlines()[0] == "capacity.csv: line 2: column 2 (date): expected a date up to 2022-06-20"


# P10: a shorter file


async def test_a_site_that_is_gone_from_the_file_is_offered_until_it_is_replaced(
    at_eight: House, jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    day = date(2021, 6, 23)
    set_city_clock(store_url, "2021-06-19T12:00:00+08:00")
    done = await at_eight.booked(person(0), day, "T2")
    wishing = await at_eight.registered(person(1), preferences=[{"site": "T2", "period": "any"}], accept_any_site=False)
    await at_eight.store.keep_capacity(
        f"{TIANHE}:2021-06-25", {Slot("T2", "am", "inactivated"): 5, Slot("T1", "am", "inactivated"): 5}
    )
    rows = [f"T1,接种点T1,Site T1,{TIANHE},路1号", f"B1,接种点B1,Site B1,{BAIYUN},路1号"]
    file = csv_file(tmp_path, "sites", *rows)

    async def sites() -> set[str]:
        at_eight.services.sites._read_at = float("-inf")  # it is read again after ten seconds
        return {it["site"] for it in (await at_eight.get(f"/sites?district={TIANHE}"))["sites"]}

    code, out, _ = await asyncio.to_thread(jiaohao, "import", "sites", file)
    assert code == 0
    assert "1 sites are not in the file and stay (--replace takes them away)" in out
    assert await sites() == {"T1", "T2"}
    # What goes, and who is affected; nothing has happened yet.
    before = everything(store_url)
    code, out, err = await asyncio.to_thread(jiaohao, "import", "sites", file, "--replace", "--dry-run")
    assert everything(store_url) == before
    assert "1 sites are not in the file and go, with 2 slots from today on" in out
    assert "  T2 2021-06-23: 1" in out
    assert f"1 who wait wish for one of them, 1 for no other site: {wishing['registration_no']}" in out
    assert code == 1 and "1 appointments are at sites that go" in err
    code, _, err = await asyncio.to_thread(jiaohao, "import", "sites", file, "--replace")
    assert (code, everything(store_url)) == (1, before), "in use: it takes a --yes"
    for _ in range(2):  # once more changes nothing
        code, _, err = await asyncio.to_thread(jiaohao, "import", "sites", file, "--replace", "--yes")
        assert code == 0, err
        assert await sites() == {"T1"}
        slots = await at_eight.store.used([f"{TIANHE}:2021-06-25", f"{TIANHE}:{day}"])
        assert slots[0] == {("T1", "am", "inactivated"): (5, 0)}
        assert slots[1] == {("T2", "am", "inactivated"): (0, 1)}, "who has an appointment keeps it"
    # It keeps its name for whoever has an appointment there, and its roster for the desk.
    seen = await at_eight.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])
    assert seen["appointment"]["site"] == "T2"
    ics = await at_eight.call(
        "GET", f"/registrations/{done['registration_no']}/appointment.ics", bearer=done["receipt"]
    )
    assert "接种点T2" in ics.text
    roster = await at_eight.get(f"/sites/T2/roster?date={day}", bearer=at_eight.staff("T2"))
    assert done["registration_no"] in str(roster)
    # Nobody can wish for it any more, nor can it be given capacity.
    answer = await at_eight.call(
        "PATCH", f"/registrations/{wishing['registration_no']}", bearer=wishing["receipt"],
        json={"preferences": [{"site": "T2", "period": "am"}], "accept_any_site": False},
    )  # fmt: skip
    assert refused(answer, "invalid", 422)["errors"][0]["field"] == "preferences[0].site"
    file = csv_file(tmp_path, "capacity", "T2,2021-06-25,am,inactivated,5")
    code, _, err = await asyncio.to_thread(jiaohao, "import", "capacity", file)
    assert code == 1 and "not a known site" in err
    # In the file again, it is there again.
    file = csv_file(tmp_path, "sites", *rows, f"T2,接种点T2,Site T2,{TIANHE},路1号")
    assert (await asyncio.to_thread(jiaohao, "import", "sites", file))[0] == 0
    assert await sites() == {"T1", "T2"}


def test_a_file_of_sites_may_say_how_to_get_there(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    more = f"{SITES_HEADER},phone,longitude,latitude,way_in_zh,way_in_en"
    file = tmp_path / "sites.csv"
    file.write_text(
        f"{more}\n"
        f"S1,体育中心,Sports Centre,{TIANHE},天河路299号,020-3879 0000,113.325021,23.13711249,东门进,East gate\n"
        f"S2,二,Two,{TIANHE},路2号,,,,,\n",
        "utf-8",
    )
    code, _, err = jiaohao("import", "sites", str(file))
    assert code == 0, err
    with Redis.from_url(store_url) as client:
        kept = {site: msgspec.json.decode(text) for site, text in client.hgetall(f"sites:{{{TIANHE}}}").items()}
    named = {
        "site": "S1",
        "name_zh": "体育中心",
        "name_en": "Sports Centre",
        "district": TIANHE,
        "address": "天河路299号",
    }
    there = {"phone": "020-3879 0000", "way_in_zh": "东门进", "way_in_en": "East gate"}
    assert kept[b"S1"] == {**named, **there, "longitude": 113.32502, "latitude": 23.13711}
    assert kept[b"S2"] == {"site": "S2", "name_zh": "二", "name_en": "Two", "district": TIANHE, "address": "路2号"}


@pytest.mark.parametrize(
    ("columns", "cells", "fault"),
    [
        ("phone", "call us", "column 6 (phone): expected a telephone number"),
        ("latitude,longitude", "91,113", "column 6 (latitude): expected degrees from -90 to 90"),
        ("latitude,longitude", "23.1,nan", "column 7 (longitude): expected degrees from -180 to 180"),
        ("latitude,longitude", "23.1,", "column 6 (latitude): expected both latitude and longitude"),
        ("latitude", "23.1", "column 6 (latitude): expected both latitude and longitude"),
        ("way_in_en", "x" * 201, "column 6 (way_in_en): expected at most 200 characters"),
    ],
)
def test_a_way_that_cannot_be_right_is_a_bad_row(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, columns: str, cells: str, fault: str
) -> None:
    file = tmp_path / "sites.csv"
    file.write_text(f"{SITES_HEADER},{columns}\nS1,站,Site,{TIANHE},路,{cells}\n", "utf-8")
    code, _, err = jiaohao("import", "sites", str(file))
    assert code == 1 and f"line 2: {fault}" in err
    with Redis.from_url(store_url) as client:
        assert not client.exists(f"sites:{{{TIANHE}}}")


def test_a_column_that_a_file_of_sites_has_not_is_refused(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    for extra in ("fax", "phone,phone"):
        file = tmp_path / "sites.csv"
        file.write_text(f"{SITES_HEADER},{extra}\nS1,站,Site,{TIANHE},路,1{',1' * extra.count(',')}\n", "utf-8")
        code, _, err = jiaohao("import", "sites", str(file))
        assert code == 1 and ("remove the others" in err or "stands there twice" in err)


def test_a_site_moves_to_another_district_only_where_all_are_replaced(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    assert jiaohao("import", "sites", csv_file(tmp_path, "sites", f"S1,站,Site,{TIANHE},路"))[0] == 0
    moved = csv_file(tmp_path, "sites", f"S1,站,Site,{BAIYUN},路", f"S2,站,Site,{TIANHE},路")
    code, _, err = jiaohao("import", "sites", moved)
    assert code == 1
    assert "line 2: column 1 (site): expected a code of its own, there is one in another district" in err
    code, _, err = jiaohao("import", "sites", moved, "--replace")
    assert code == 0, err
    with Redis.from_url(store_url) as client:
        kept = {d: client.hgetall(f"sites:{{{d}}}") for d in (TIANHE, BAIYUN)}
    assert msgspec.json.decode(kept[TIANHE][b"S1"])["removed"] is True
    assert "removed" not in msgspec.json.decode(kept[BAIYUN][b"S1"])


def test_slots_that_are_gone_from_the_file_go_when_it_is_replaced(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    set_city_clock(store_url, "2021-06-22T12:00:00+08:00")
    assert jiaohao("import", "sites", csv_file(tmp_path, "sites", f"T1,站,Site,{TIANHE},路"))[0] == 0
    days = [f"2021-06-{day}" for day in (21, 23, 24, 25)]
    rows = [f"T1,{day},{period},cho,5" for day in days for period in ("am", "pm")]
    assert jiaohao("import", "capacity", csv_file(tmp_path, "capacity", *rows))[0] == 0
    with Redis.from_url(store_url) as client:
        client.hset(f"taken:{{{TIANHE}:2021-06-23}}", "T1|pm|cho", 2)
    shorter = csv_file(tmp_path, "capacity", *(f"T1,2021-06-{day},am,cho,5" for day in (21, 23, 24)))
    before = everything(store_url)
    code, out, _ = jiaohao("import", "capacity", shorter, "--dry-run")
    assert code == 0
    assert "2 slots of these days are not in the file and stay" in out
    code, out, _ = jiaohao("import", "capacity", shorter, "--replace", "--dry-run")
    assert (code, everything(store_url)) == (0, before)
    assert "2 slots of these days are not in the file and go; 2 doses of them have been given and stay" in out
    for removed in (", 2 removed", ""):
        code, out, err = jiaohao("import", "capacity", shorter, "--replace")
        assert (code, out.splitlines()[-1]) == (0, f"3 slots kept{removed}")
    assert "warning: T1 2021-06-23 pm cho: capacity 0, but 2 have been given and stay" not in err, "said once"
    with Redis.from_url(store_url) as client:
        kept = {day: sorted(client.hgetall(f"slots:{{{TIANHE}:{day}}}")) for day in days}
    am, both = [b"T1|am|cho"], [b"T1|am|cho", b"T1|pm|cho"]
    # What is over stays as it was, and so does what comes after the file's last day.
    assert kept == {days[0]: both, days[1]: am, days[2]: am, days[3]: both}


async def test_who_is_gone_from_the_registry_does_not_wait_any_longer(
    at_eight: House, jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    await enrol(at_eight.store, [person(2), person(3)])
    stays, goes = [await at_eight.registered(person(i)) for i in (0, 1)]
    shorter = csv_file(tmp_path, "registry", row(person(0)), row(person(2)))
    code, out, _ = await asyncio.to_thread(jiaohao, "import", "registry", shorter)
    assert code == 0
    assert lines_kept(store_url) == 4, "what is not in the file stays"
    before = everything(store_url)
    code, out, _ = await asyncio.to_thread(jiaohao, "import", "registry", shorter, "--replace", "--dry-run")
    assert (code, everything(store_url)) == (0, before)
    assert "2 of 4 lines of the registry are not in the file and go" in out
    assert "1 of these residents have open registrations, 0 with an appointment" in out
    assert f"  {goes['registration_no']} proposed" in out
    for _ in range(2):
        code, out, err = await asyncio.to_thread(jiaohao, "import", "registry", shorter, "--replace")
        assert code == 0, err
    seen = await at_eight.get(f"/registrations/{goes['registration_no']}", bearer=goes["receipt"])
    assert seen["state"] == "cancelled"
    assert [(it["state"], it.get("why")) for it in seen["history"][1:]] == [("cancelled", "not-in-registry")]
    seen = await at_eight.get(f"/registrations/{stays['registration_no']}", bearer=stays["receipt"])
    assert (seen["state"], len(seen["history"])) == ("proposed", 1)
    known = await at_eight.store.residents([at_eight.resident(person(i)) for i in range(4)])
    assert [it.first_dose.day if it.first_dose else None for it in known] == [737_911, 0, 737_911, None]
    assert known[1].is_reachable, "they are still to be told"
    problem = refused(await at_eight.try_join(person(1)), "not-eligible", 403)
    assert problem["reason"] == "no-first-dose"


def test_a_file_with_bad_rows_replaces_nothing(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    assert jiaohao("import", "registry", csv_file(tmp_path, "registry", row(person(0)), row(person(1))))[0] == 0
    bad = csv_file(tmp_path, "registry", row(person(0)), row(person(1), product="tea"))
    code, _, err = jiaohao("import", "registry", bad, "--replace", "--skip-bad")
    assert code == 1
    assert err.splitlines()[-1].endswith("--replace needs a file without any, else theirs would go")
    assert lines_kept(store_url) == 2


# P11: how spreadsheets save


PEOPLE = [
    Person(person(i).id_number, name, person(i).phone) for i, name in enumerate(("王小明", "李丽", "阿依古丽·买买提"))
]


def saved(
    separator: str = ",", encoding: str = "utf-8", header: str = HEADER, end: str = "\r\n", tail: str = ""
) -> bytes:
    lines = [header.replace(",", separator), *(row(who).replace(",", separator) for who in PEOPLE)]
    return (end.join(lines) + end + tail).encode(encoding)


def reordered() -> bytes:
    """The columns turned round."""
    lines = [",".join(reversed(line.split(","))) for line in [HEADER, *(row(who) for who in PEOPLE)]]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    "content",
    [
        saved(";"),
        saved("\t"),
        saved("\t", "utf-16"),
        saved(",", "utf-16-le"),
        saved(",", "gbk"),
        saved(";", "gb18030"),
        saved(",", "utf-8-sig"),
        saved(tail=",,,,,,\r\n" * 3),
        saved(header=HEADER + ",,"),
        saved(header="ID_Type, id number ,NAME,Phone,First-Dose-Date,product,District"),
        saved(header='"' + HEADER.replace(",", '","') + '"'),
        saved(end="\r"),
        b"sep=;\r\n" + saved(";"),
        b"\r\n" + saved(),
        reordered(),
        saved().replace(TIANHE.encode() + b"\r", TIANHE.encode() + b" \r"),
        saved().replace(b"inactivated", " inactivated\u3000".encode()),
        saved().replace(b"2021-05-01", b"2021/5/1"),
        saved().replace(b"2021-05-01", b"2021/5/1 0:00"),
        saved().replace(PEOPLE[0].id_number.encode(), b'="' + PEOPLE[0].id_number.encode() + b'"'),
        saved().replace(PEOPLE[0].id_number.encode(), b"'" + PEOPLE[0].id_number.encode()),
    ],
)
def test_what_spreadsheets_save_is_read(jiaohao: Jiaohao, store_url: str, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "registry.csv"
    file.write_bytes(content)
    code, out, err = jiaohao("import", "registry", str(file))
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "3 residents kept"
    pepper, cipher = Pepper(b"p" * 32), Cipher([b"p" * 32])

    async def records() -> list[tuple[Contact, str, str, str]]:

        store = Store(await connect(store_url))
        found = []
        for who in PEOPLE:
            resident = pepper.resident(who.id_type, who.id_number)
            (record,) = await store.records([resident])
            assert record is not None
            found.append((cipher.decrypt(resident, record.contact), str(record.date), record.product, record.district))
        await store.close()
        return found

    contacts = [Contact(normalise_name(who.name), who.phone, who.id_number[-4:]) for who in PEOPLE]
    expected = [(contact, "2021-05-01", "inactivated", TIANHE) for contact in contacts]
    assert asyncio.run(records()) == expected


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04" + b"\0" * 50, "is a workbook, not a CSV file; save it as CSV UTF-8"),
        (saved(header=HEADER.replace("phone", "mobile")), "missing: phone; save it as CSV UTF-8"),
        (saved(";", header=HEADER.replace("phone", "mobile")), "separated by semicolons; missing: phone"),
        (saved(header=HEADER + ",name"), "line 1: the column name stands there twice"),
        (saved(header=HEADER + ",remarks"), "expected the 7 columns id_type,"),
        ("\r\n".join(row(who) for who in PEOPLE).encode(), "line 1: expected the header id_type,"),
    ],
)
def test_what_cannot_be_told_is_refused_in_one_line(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, content: bytes, told: str
) -> None:
    file = tmp_path / "registry.csv"
    file.write_bytes(content)
    code, out, err = jiaohao("import", "registry", str(file))
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert told in err
    for who in PEOPLE:
        assert who.id_number not in err and who.name not in err and who.phone not in err
    assert lines_kept(store_url) == 0


def test_a_file_in_big5_is_not_taken_for_gbk(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    names = ("陳大文", "黃小明", "張國榮", "梁朝偉", "劉德華", "鄭裕玲", "許冠傑", "羅文")
    file = tmp_path / "registry.csv"
    file.write_bytes("\n".join([HEADER, *(row(person(i), name=n) for i, n in enumerate(names)), ""]).encode("big5"))
    code, _, err = jiaohao("import", "registry", str(file))
    assert code == 1
    assert err == "jiaohao: registry.csv: is neither UTF-8 nor GBK; save it as CSV UTF-8 (not ANSI)\n"
    assert lines_kept(store_url) == 0


@pytest.mark.parametrize("name", ["José Díaz", "Müller", "Françoise Lefèvre"])
def test_latin_letters_of_another_encoding_do_not_become_chinese_ones(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "registry.csv"
    file.write_bytes("\n".join([HEADER, *(row(person(i), name=name) for i in range(8)), ""]).encode("latin-1"))
    code, _, err = jiaohao("import", "registry", str(file))
    assert code == 1
    assert err == "jiaohao: registry.csv: is neither UTF-8 nor GBK; save it as CSV UTF-8 (not ANSI)\n"
    assert lines_kept(store_url) == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id_number": "4.40106E+17"}, "column 2 (id_number): a spreadsheet has shortened it (E+...)"),
        ({"id_number": "1.1E+17"}, "column 2 (id_number): a spreadsheet has shortened it"),
        ({"phone": "1.38E+10"}, "column 4 (phone): a spreadsheet has shortened it"),
        ({"id_number": "440106197001015000"}, "its last digits are zeros, as a spreadsheet leaves them"),
        ({"first_dose_date": "44317"}, "expected a date as YYYY-MM-DD, got a spreadsheet's day number"),
        ({"district": "4.40106E+05"}, "column 7 (district): a spreadsheet has shortened it"),
    ],
)  # fmt: skip
def test_what_a_spreadsheet_has_spoilt_is_told_with_its_cure(
    jiaohao: Jiaohao, tmp_path: Path, changes: dict[str, str], told: str
) -> None:
    code, _, err = jiaohao(
        "import", "registry", csv_file(tmp_path, "registry", row(person(0)), row(person(1), **changes))
    )
    assert code == 1
    line = err.splitlines()[0]
    assert line.startswith("registry.csv: line 3: ") and told in line
    assert "format the column as text and export it again" in line
    assert not any(value in line for value in changes.values())


# P4: what names become on their way is papers.py's; here it is that it becomes a row error


@pytest.mark.parametrize("name", ["", "?" * 65])
def test_a_name_that_papers_refuse_is_a_row_error_with_line_and_column(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, name: str
) -> None:
    code, _, err = jiaohao(
        "import", "registry", csv_file(tmp_path, "registry", row(person(0)), row(person(1), name=name))
    )
    assert code == 1
    assert err.startswith("registry.csv: line 3: column 3 (name): wrong ")
    assert lines_kept(store_url) == 0


# What an import says before it keeps anything, and what it does not believe


def test_an_import_says_what_it_found_before_it_keeps_anything(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, strict_city: str
) -> None:
    first = csv_file(tmp_path, "registry", *whole_city())
    code, out, _ = jiaohao("import", "registry", first, "--city", strict_city, "--dry-run")
    assert (code, lines_kept(store_url)) == (0, 0)
    assert out.splitlines()[:2] == [
        "40 rows: 40 residents, 0 duplicates, 0 bad rows",
        "40 are new, 0 changed since last time, 0 as before",
    ]
    assert out.splitlines()[-1] == "nothing has been changed"
    assert jiaohao("import", "registry", first, "--city", strict_city)[0] == 0
    rows = whole_city()
    rows[0] = row(person(0), name="王五")
    rows.append(row(person(500), district=HAIZHU))
    code, out, _ = jiaohao("import", "registry", csv_file(tmp_path, "registry", *rows), "--city", strict_city)
    assert code == 0
    lines = out.splitlines()
    assert lines[1] == "1 are new, 1 changed since last time, 39 as before"
    # Population: census 2020 (domain.md).
    assert [line.split() for line in lines if line.startswith("  440105")] == [
        ["440105", "Haizhu", "5", "4", "1,819,037"]
    ]
    assert [line.split() for line in lines if line.startswith("  inactivated")] == [["inactivated", "41", "40"]]


@pytest.mark.parametrize(
    ("rows", "doubt"),
    [
        (whole_city(each=4)[:26], "26 residents: 35 % fewer than the 40 of the last import"),
        (whole_city(leave_out=BAIYUN), "440111 Baiyun: no residents"),
        (whole_city(first_dose_date="2021-05-05"), "100 % of the first doses are on one day, 2021-05-05"),
        (whole_city(product="cho"), "inactivated: 100 % fewer than the 40 of the last import"),
        (whole_city(phone="13900000000"), "100 % of the residents who are known say otherwise than before"),
        ([], "no residents at all"),
    ],
    ids=["a third fewer", "a district missing", "dates piled", "a product missing", "all changed", "nothing"],
)  # fmt: skip
def test_an_implausible_file_is_kept_only_with_yes(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, strict_city: str, rows: list[str], doubt: str
) -> None:
    file = csv_file(tmp_path, "registry", *whole_city())
    assert jiaohao("import", "registry", file, "--city", strict_city)[0] == 0
    before = everything(store_url)
    file = csv_file(tmp_path, "registry", *rows)
    code, _, err = jiaohao("import", "registry", file, "--city", strict_city)
    assert code == 1
    assert len(err.splitlines()) == 1 and doubt in err
    assert err.endswith(": nothing kept; --yes keeps it all the same\n")
    assert everything(store_url) == before
    code, _, err = jiaohao("import", "registry", file, "--city", strict_city, "--yes")
    assert code == 0, err


def test_a_file_a_third_shorter_is_too_short_and_one_just_above_is_not(
    jiaohao: Jiaohao, tmp_path: Path, strict_city: str
) -> None:
    rows = whole_city(each=6)
    assert jiaohao("import", "registry", csv_file(tmp_path, "registry", *rows), "--city", strict_city)[0] == 0
    rng = random.Random(1)
    rng.shuffle(rows)
    for count, code in ((40, 1), (41, 0)):  # of 60: a third fewer is 40
        file = csv_file(tmp_path, "registry", *rows[:count])
        assert jiaohao("import", "registry", file, "--city", strict_city, "--dry-run")[0] == code


def test_more_residents_than_a_district_has_are_not_plausible(jiaohao: Jiaohao, tmp_path: Path) -> None:
    city = changed_city_file(tmp_path, ("population = 2_241_826", "population = 2"))
    file = csv_file(tmp_path, "registry", *(row(person(i)) for i in range(3)))
    code, _, err = jiaohao("import", "registry", file, "--city", str(city))
    assert code == 1
    assert "440106 Tianhe: 3 residents, more than its population of 2" in err


def test_a_few_more_rows_are_no_short_registry(jiaohao: Jiaohao, tmp_path: Path, strict_city: str) -> None:
    whole, more = csv_file(tmp_path, "registry", *whole_city()), [row(person(500)), row(person(501))]
    assert jiaohao("import", "registry", whole, "--city", strict_city)[0] == 0
    file = csv_file(tmp_path, "registry", *more)
    assert jiaohao("import", "registry", file, "--city", strict_city)[0] == 1
    code, out, _ = jiaohao("import", "registry", file, "--city", strict_city, "--partial")
    assert (code, out.splitlines()[-1]) == (0, "2 residents kept")
    # The whole one is still what the next is compared with.
    whole = csv_file(tmp_path, "registry", *whole_city())
    _, out, _ = jiaohao("import", "registry", whole, "--city", strict_city)
    assert ["440106", "Tianhe", "4", "4", "2,241,826"] in [line.split() for line in out.splitlines()]


def capacities(days: int = 4, doses: int = 10, codes: tuple[str, ...] = ("T1", "B1")) -> list[str]:
    return [
        f"{site},2021-06-{21 + n},{period},{product},{doses}"
        for site in codes
        for n in range(days)
        for period in ("am", "pm")
        for product in ("cho", "inactivated")
    ]


@pytest.mark.parametrize(
    ("rows", "doubt"),
    [
        (capacities()[10:], "slots a day: 37.5 % fewer than the 8 of the last import"),
        (capacities(doses=7), "doses a day: 30 % fewer than the 80 of the last import"),
        (capacities(codes=("T1",)), "440111 Baiyun: no slots, though it had 16"),
        ([], "no slots at all"),
    ],
    ids=["30 % of the rows missing", "30 % of the doses missing", "a district missing", "nothing"],
)  # fmt: skip
async def test_a_capacity_file_30_percent_short_is_kept_only_when_confirmed(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, strict_city: str, rows: list[str], doubt: str
) -> None:
    city, settings = load_city(Path(strict_city)), test_settings(pepper=b"p" * 32)
    async with open_house(store_url, settings, city=city) as house:
        await keep_sites(house.store)
        whole = csv_file(tmp_path, "capacity", *capacities())
        code, _, err = await asyncio.to_thread(jiaohao, "import", "capacity", whole, "--city", strict_city)
        assert code == 0, err
        before = everything(store_url)
        file = csv_file(tmp_path, "capacity", *rows)
        code, _, err = await asyncio.to_thread(jiaohao, "import", "capacity", file, "--city", strict_city)
        assert code == 1
        assert len(err.splitlines()) == 1 and doubt in err
        content = await asyncio.to_thread(Path(file).read_bytes)
        problem = refused(await house.call("POST", "/capacity", bearer=OPERATOR, content=content), "invalid", 422)
        assert [it["field"] for it in problem["errors"]] == ["file"]
        assert any(doubt in it for it in problem["doubts"])
        assert everything(store_url) == before
        answer = await house.call("POST", "/capacity?confirmed=true", bearer=OPERATOR, content=content)
        assert (answer.status_code, answer.json()["rows"]) == (200, len(rows))
