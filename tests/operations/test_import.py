"""`jiaohao import`: a bad row is told with its line and column, and nothing of such a file is kept."""

import csv
import hashlib
import hmac
import tracemalloc
from base64 import urlsafe_b64decode
from datetime import date
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis import Redis

from server.appointments.sites import Site
from server.core.city import load_city
from server.core.keys import Pepper
from server.operations.importing import (
    CAPACITY_COLUMNS,
    REGISTRY_COLUMNS,
    CsvFile,
    RowFault,
    capacity_reader,
    keep_capacity,
    keep_sites,
    known_sites,
    registry_reader,
)
from tests.support.serving import (
    BAIYUN,
    TIANHE,
    Jiaohao,
    Person,
    open_house,
    person,
    refused,
    registry_csv,
    test_settings,
)
from tests.support.stores import Store

HEADER = ",".join(REGISTRY_COLUMNS)
SITES_HEADER = "site,name_zh,name_en,district,address"
CAPACITY_HEADER = "site,date,period,product,capacity"


@pytest.fixture
def jiaohao(jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Jiaohao:
    """Runs the command against a store; (exit code, standard output, standard error)."""
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", (b"p" * 32).hex())
    return jiaohao


def keys(store_url: str) -> list[str]:
    with Redis.from_url(store_url) as client:
        beside = (b"format:", b"pepper:", b"imports:")  # of the whole store, and what the last import has brought
        return sorted(key.decode() for key in client.scan_iter() if not key.startswith(beside))


def last_line(out: str) -> str:
    """What is said at the end, below what was found."""
    return out.splitlines()[-1]


def row(who: Person, **changes: str) -> str:
    cells = {"id_type": who.id_type, "id_number": who.id_number, "name": who.name, "phone": who.phone}
    cells |= {"first_dose_date": "2021-05-01", "product": "inactivated", "district": TIANHE} | changes
    return ",".join(cells[column] for column in REGISTRY_COLUMNS)


def registry(folder: Path, *rows: str, header: str = HEADER, end: str = "\n") -> str:
    file = folder / "registry.csv"
    file.write_text(end.join([header, *rows]) + end, encoding="utf-8", newline="")
    return str(file)


async def test_who_was_imported_can_join(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    people = [person(i) for i in range(2500)]  # more than two batches
    # The command has a loop of its own, so it runs beside this one.
    import asyncio

    # All in one district, with first doses on one day: of 2,500 that is not plausible.
    file = str(registry_csv(tmp_path / "r", people))
    code, out, err = await asyncio.to_thread(jiaohao, "import", "registry", file, "--yes")
    assert (code, last_line(out), err) == (0, "2500 residents kept", "")
    assert len(keys(store_url)) == 2500
    async with open_house(store_url, test_settings(pepper=b"p" * 32)) as house:
        await house.at("08:00:00")
        for who in (people[0], people[999], people[1000], people[2499]):
            assert (await house.try_join(who)).status_code == 201
        refused(await house.try_join(person(2600)), "not-eligible", 403)


def test_names_and_phones_are_kept_sealed_and_only_the_secret_opens_them(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    people = [person(i) for i in range(3)]
    jiaohao("import", "registry", str(registry_csv(tmp_path / "r.csv", people)))
    secret = b"p" * 32
    aes = AESGCM(hmac.digest(secret, b"jiaohao contact", "sha256"))
    found = set()
    with Redis.from_url(store_url) as client:
        for name in client.scan_iter("registry:*"):
            stored = client.get(name)
            for who in people:
                for part in (who.id_number, who.name, who.phone, who.phone[-8:]):
                    assert part.encode() not in name + stored
            day, product, district, _, sealed = msgspec.msgpack.decode(stored)
            assert (day, product, district) == (737911, "inactivated", TIANHE)  # 2021-05-01
            assert sealed[0] == hashlib.sha256(b"jiaohao key id" + secret).digest()[0]
            resident = urlsafe_b64decode(name.decode()[len("registry:{") : -1] + "==")
            found.add(aes.decrypt(sealed[1:13], sealed[13:], resident).decode())
    assert found == {f"{who.phone}{who.name}\x1f{who.id_number[-4:]}" for who in people}


BAD = {
    "id_type": ({"id_type": "driver"}, 1),
    "id_number": ({"id_number": "11010519491231002" + "1"}, 2),
    "name": ({"name": ""}, 3),
    "phone": ({"phone": "12345"}, 4),
    "first_dose_date": ({"first_dose_date": "2021-02-30"}, 5),
    "first_dose_date in words": ({"first_dose_date": "5 May 2021"}, 5),
    "first_dose_date without hyphens": ({"first_dose_date": "20210501"}, 5),
    "first_dose_date as a week": ({"first_dose_date": "2021-W17-6"}, 5),
    "first_dose_date too early": ({"first_dose_date": "1999-01-01"}, 5),
    "product": ({"product": "tea"}, 6),
    "district": ({"district": "999999"}, 7),
}


@pytest.mark.parametrize(("change", "column"), BAD.values(), ids=BAD)
def test_a_bad_row_is_told_with_line_and_column_and_nothing_is_kept(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, change: dict[str, str], column: int
) -> None:
    bad = row(person(1), **change)
    file = registry(tmp_path, row(person(0)), bad, row(person(2)))
    code, out, err = jiaohao("import", "registry", file)
    first, last = err.splitlines()
    assert (code, out) == (1, "")
    name = REGISTRY_COLUMNS[column - 1]
    assert first.startswith(f"registry.csv: line 3: column {column} ({name}): ")
    assert last == "jiaohao: 1 bad rows, nothing kept; mend them, or keep the others with --skip-bad"
    for value in (person(1).id_number, person(1).name, person(1).phone, *change.values()):
        assert not value or value not in err.replace("registry.csv", "")
    assert keys(store_url) == []
    code, out, err = jiaohao("import", "registry", file, "--skip-bad")
    assert (code, last_line(out)) == (0, "2 residents kept, 1 bad rows left out")
    assert err.startswith("registry.csv: line 3: ")
    assert len(keys(store_url)) == 2


def test_the_line_is_the_files_line_whatever_is_before_it(jiaohao: Jiaohao, tmp_path: Path) -> None:
    quoted = row(person(0)).replace(person(0).name, '"阿依古丽\n买买提"')
    file = registry(tmp_path, quoted, "", row(person(1)), "too,few,columns", row(person(2)) + ",one more")
    code, _, err = jiaohao("import", "registry", file)
    assert code == 1
    assert err.splitlines()[:2] == [
        "registry.csv: line 6: expected 7 columns, got 3",
        "registry.csv: line 7: expected 7 columns, got 8",
    ]


def test_many_bad_rows_are_counted_not_all_shown(jiaohao: Jiaohao, tmp_path: Path) -> None:
    code, _, err = jiaohao(
        "import", "registry", registry(tmp_path, *(row(person(i), product="tea") for i in range(25)))
    )
    lines = err.splitlines()
    assert code == 1
    assert len(lines) == 12
    assert lines[10] == "... and 15 more bad rows"
    assert "25 bad rows" in lines[11]


def test_importing_again_changes_nothing_and_a_later_row_replaces(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    file = registry(tmp_path, row(person(0)), row(person(1)))
    jiaohao("import", "registry", file)
    before = keys(store_url)
    jiaohao("import", "registry", file)
    assert keys(store_url) == before
    with Redis.from_url(store_url) as client:
        old = [client.get(key) for key in before]
        jiaohao("import", "registry", registry(tmp_path, row(person(0), first_dose_date="2021-05-02")))
        assert keys(store_url) == before
        assert sum(client.get(key) != value for key, value in zip(before, old, strict=True)) == 1


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_from_a_spreadsheet(jiaohao: Jiaohao, store_url: str, tmp_path: Path, end: str) -> None:
    file = registry(tmp_path, row(person(0)), header="\ufeff" + HEADER, end=end)
    code, out, _ = jiaohao("import", "registry", file)
    assert (code, last_line(out)) == (0, "1 residents kept")
    assert len(keys(store_url)) == 1


def test_a_number_typed_otherwise_is_the_same_person(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    who = person(0)
    wide = row(who).translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    wide = wide.replace("２０２１-０５-０１", "2021-05-01").replace("４４０１０６", TIANHE)
    spaced = row(who, id_number=f" {who.id_number[:6]} {who.id_number[6:]}")
    file = registry(tmp_path, row(who), spaced)
    assert jiaohao("import", "registry", file)[0] == 0
    assert len(keys(store_url)) == 1
    assert wide != row(who)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: expected the header id_type,"),
        (b"a,b,c\n", "line 1: expected the header id_type,"),
        (HEADER.replace("phone", "telephone").encode() + b"\n", "missing: phone"),
        (HEADER.encode() + b",notes\n", "expected the 7 columns id_type,"),
        (b"PK\x03\x04 and more", "is a workbook, not a CSV file; save it as CSV UTF-8"),
        (b"\x00\x01\x02", "line 1: expected the header"),
    ],
)
def test_a_file_that_is_another(jiaohao: Jiaohao, tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "registry.csv"
    file.write_bytes(content)
    code, out, err = jiaohao("import", "registry", str(file))
    assert (code, out) == (1, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_broken_utf8_inside_is_told_and_nothing_is_kept(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "registry.csv"
    rows = [row(person(i)) for i in range(500)]
    text = "\n".join([HEADER, *rows, ""]).encode()
    file.write_bytes(text + b"resident_id,\xff\xfe,,,,,\n")
    code, _, err = jiaohao("import", "registry", str(file))
    assert code == 1
    assert "cannot be read as CSV in UTF-8" in err
    assert keys(store_url) == []


def test_a_file_that_is_not_there(jiaohao: Jiaohao, tmp_path: Path) -> None:
    code, _, err = jiaohao("import", "registry", str(tmp_path / "nothing.csv"))
    assert code == 2
    assert "does not exist" in err


def test_a_store_that_is_not_there(jiaohao: Jiaohao, tmp_path: Path) -> None:
    file = registry(tmp_path, row(person(0)))
    code, _, err = jiaohao("import", "registry", file, "--redis-url", f"unix://{tmp_path}/nobody")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "no store answers" in err


def test_sites(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    good = f"S1,天河站,Tianhe site,{TIANHE},路1号"
    file.write_text(f"{SITES_HEADER}\n{good}\nS2,,No name,{TIANHE},路2号\nS3,站,Site,999999,路\n", encoding="utf-8")
    code, _, err = jiaohao("import", "sites", str(file))
    assert code == 1
    assert err.splitlines()[:2] == [
        "sites.csv: line 3: column 2 (name_zh): expected 1 to 64 characters",
        "sites.csv: line 4: column 4 (district): not a district of the city file",
    ]
    assert keys(store_url) == []
    code, out, _ = jiaohao("import", "sites", str(file), "--skip-bad")
    assert (code, last_line(out)) == (0, "1 sites kept, 2 bad rows left out")
    assert keys(store_url) == [f"sites:{{{TIANHE}}}"]


def test_a_sites_code_is_its_own_in_the_city(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    rows = [
        f"S1,站,Site,{TIANHE},路",
        f"S1,站,Site,{BAIYUN},路",
        f"S1,站,Site,{TIANHE},路",
        f"S|2,站,Site,{TIANHE},路",
    ]
    file.write_text("\n".join([SITES_HEADER, *rows, ""]), encoding="utf-8")
    code, _, err = jiaohao("import", "sites", str(file))
    assert code == 1
    assert err.splitlines()[:2] == [
        "sites.csv: line 3: column 1 (site): expected a code of its own, there is one in another district",
        "sites.csv: line 5: column 1 (site): expected a code of letters, digits, - and _ (it stands in addresses)",
    ]
    code, out, _ = jiaohao("import", "sites", str(file), "--skip-bad")
    assert (code, last_line(out)) == (0, "1 sites kept, 2 bad rows left out")
    assert keys(store_url) == [f"sites:{{{TIANHE}}}"]


def with_sites(jiaohao: Jiaohao, folder: Path) -> None:
    file = folder / "sites.csv"
    file.write_text(f"{SITES_HEADER}\nT1,站,Site,{TIANHE},路\nB1,站,Site,{BAIYUN},路\n", encoding="utf-8")
    assert jiaohao("import", "sites", str(file))[0] == 0


def capacity_csv(folder: Path, *rows: str) -> str:
    file = folder / "capacity.csv"
    file.write_text("\n".join([CAPACITY_HEADER, *rows, ""]), encoding="utf-8")
    return str(file)


def capacities(store_url: str) -> dict[str, dict[str, str]]:
    """What the store says of each district and day."""
    with Redis.from_url(store_url) as client:
        days = {name.decode(): client.hgetall(name) for name in client.scan_iter("slots:*")}
    return {name: {k.decode(): v.decode() for k, v in slots.items()} for name, slots in days.items()}


def test_capacity(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    with_sites(jiaohao, tmp_path)
    rows = ["T1,2021-06-21,am,inactivated,120", "T1,2021-06-21,pm,cho,0", "T1,2021-06-22,am,inactivated,999999"]
    file = capacity_csv(tmp_path, *rows, " B1 ,2021-06-21,pm,adenovirus, 007 ")
    code, out, err = jiaohao("import", "capacity", file)
    assert (code, last_line(out), err) == (0, "4 slots kept", "")
    kept = {
        f"slots:{{{TIANHE}:2021-06-21}}": {"T1|am|inactivated": "120", "T1|pm|cho": "0"},
        f"slots:{{{TIANHE}:2021-06-22}}": {"T1|am|inactivated": "999999"},
        f"slots:{{{BAIYUN}:2021-06-21}}": {"B1|pm|adenovirus": "7"},
    }
    assert capacities(store_url) == kept
    assert jiaohao("import", "capacity", file)[0] == 0
    assert capacities(store_url) == kept
    # A later file's row replaces the earlier one's; the others stay.
    again = capacity_csv(tmp_path, "T1,2021-06-21,am,inactivated,80")
    code, out, err = jiaohao("import", "capacity", again)
    assert (code, last_line(out), err) == (0, "1 slots kept", "")
    kept[f"slots:{{{TIANHE}:2021-06-21}}"]["T1|am|inactivated"] = "80"
    assert capacities(store_url) == kept


def test_a_capacity_below_what_has_been_given_is_kept_and_told(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    with_sites(jiaohao, tmp_path)
    taken = {f"T1|am|{product}": n for product, n in (("inactivated", 7), ("cho", 5), ("adenovirus", 9))}
    with Redis.from_url(store_url) as client:
        client.hset(f"taken:{{{TIANHE}:2021-06-21}}", mapping=taken)
    rows = ["T1,2021-06-21,am,inactivated,6", "T1,2021-06-21,am,cho,5", "T1,2021-06-22,am,adenovirus,0"]
    code, out, told = jiaohao("import", "capacity", capacity_csv(tmp_path, *rows))
    assert (code, last_line(out), told) == (
        0,
        "3 slots kept",
        "warning: T1 2021-06-21 am inactivated: capacity 6, but 7 have been given and stay\n",
    )
    many = [f"T1,2021-06-{day},am,cho,0" for day in range(10, 22)]
    with Redis.from_url(store_url) as client:
        for day in range(10, 22):
            client.hset(f"taken:{{{TIANHE}:2021-06-{day}}}", "T1|am|cho", 1)
    err = jiaohao("import", "capacity", capacity_csv(tmp_path, *many))[2].splitlines()
    assert (len(err), err[-1]) == (11, "... and 2 more slots")


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("T9,2021-06-21,am,cho,1", "column 1 (site): not a known site: import its sites file first"),
        (",2021-06-21,am,cho,1", "column 1 (site): not a known site: import its sites file first"),
        ("T1,2021-02-29,am,cho,1", "column 2 (date): expected a date as YYYY-MM-DD"),
        ("T1,20210621,am,cho,1", "column 2 (date): expected a date as YYYY-MM-DD"),
        ("T1,2019-12-31,am,cho,1", "column 2 (date): expected a date from 2020-01-01 on"),
        ("T1,2021-06-21,any,cho,1", "column 3 (period): expected am or pm"),
        ("T1,2021-06-21,AM,cho,1", "column 3 (period): expected am or pm"),
        ("T1,2021-06-21,am,tea,1", "column 4 (product): expected one of inactivated, cho, adenovirus"),
        ("T1,2021-06-21,am,cho,-1", "column 5 (capacity): expected a whole number from 0 to 999999"),
        ("T1,2021-06-21,am,cho,1.5", "column 5 (capacity): expected a whole number from 0 to 999999"),
        ("T1,2021-06-21,am,cho,", "column 5 (capacity): expected a whole number from 0 to 999999"),
        ("T1,2021-06-21,am,cho,1000000", "column 5 (capacity): expected a whole number from 0 to 999999"),
        ("T1,2021-06-21,am,cho,１", "column 5 (capacity): expected a whole number from 0 to 999999"),
        ("T1,2021-06-21,am,cho", "expected 5 columns, got 4"),
    ],
)
def test_a_bad_capacity_is_told_and_nothing_is_kept(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, bad: str, told: str
) -> None:
    with_sites(jiaohao, tmp_path)
    file = capacity_csv(tmp_path, "T1,2021-06-21,am,cho,1", bad)
    code, out, err = jiaohao("import", "capacity", file)
    assert (code, out) == (1, "")
    assert err.splitlines()[0] == f"capacity.csv: line 3: {told}"
    assert capacities(store_url) == {}
    code, out, _ = jiaohao("import", "capacity", file, "--skip-bad")
    assert (code, last_line(out)) == (0, "1 slots kept, 1 bad rows left out")
    assert capacities(store_url) == {f"slots:{{{TIANHE}:2021-06-21}}": {"T1|am|cho": "1"}}


def test_capacity_before_the_sites_says_what_is_missing(jiaohao: Jiaohao, tmp_path: Path) -> None:
    code, _, err = jiaohao("import", "capacity", capacity_csv(tmp_path, "T1,2021-06-21,am,cho,1"))
    assert code == 1
    assert "import its sites file first" in err


async def test_sites_and_capacities_on_any_store(store: Store, tmp_path: Path) -> None:
    city = load_city()
    assert (
        await keep_sites(store, [Site("T1", "站", "Site", TIANHE, "路"), Site("B1", "站", "Site", BAIYUN, "路")]) == 2
    )
    sites = await known_sites(store, city)
    assert sites == {"T1": TIANHE, "B1": BAIYUN}
    file = Path(capacity_csv(tmp_path, "T1,2021-06-21,am,cho,3", "B1,2021-06-22,pm,cho,4"))
    rows = CsvFile(file, CAPACITY_COLUMNS, lambda _: None).rows(capacity_reader(city, sites))
    assert await keep_capacity(store, rows) == (2, [])
    assert await store.client.hgetall(f"slots:{{{TIANHE}:2021-06-21}}") == {b"T1|am|cho": b"3"}
    assert await store.client.hgetall(f"slots:{{{BAIYUN}:2021-06-22}}") == {b"B1|pm|cho": b"4"}


def test_a_large_file_is_never_held_in_memory(tmp_path: Path) -> None:
    file = registry_csv(tmp_path / "registry.csv", (person(i) for i in range(5_000)))
    read = registry_reader(load_city(), Pepper(b"p" * 32), date(2021, 6, 19))
    seen: list[int] = []
    source = CsvFile(file, REGISTRY_COLUMNS, seen.append)
    next(source.rows(read))  # what is loaded once
    tracemalloc.start()
    try:
        count = sum(1 for one in source.rows(read) if not isinstance(one, RowFault))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 5_000
    assert peak < 200_000 < file.stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == source.bytes


def test_the_header_is_what_the_contract_says(tmp_path: Path) -> None:
    with registry_csv(tmp_path / "r.csv", []).open(encoding="utf-8") as f:
        assert tuple(next(csv.reader(f))) == REGISTRY_COLUMNS
