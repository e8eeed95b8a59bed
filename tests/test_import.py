"""`jiaohao import`: a bad row is told with its line and column, and nothing of such a file is kept."""

import csv
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from server.city import load_city
from server.cli import main
from server.importing import REGISTRY_COLUMNS, CsvFile, registry_reader
from server.keys import Pepper
from tests.serving import TIANHE, Person, open_house, person, refused, registry_csv, test_settings

HEADER = ",".join(REGISTRY_COLUMNS)
SITES_HEADER = "site,name_zh,name_en,district,address"

Jiaohao = Callable[..., tuple[int, str, str]]


@pytest.fixture
def jiaohao(store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Jiaohao:
    """Runs the command against a store; (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["jiaohao", *arguments])
        monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
        monkeypatch.setenv("JIAOHAO_SECRET", (b"p" * 32).hex())
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *capsys.readouterr()

    return run


def keys(store_url: str) -> list[str]:
    with Redis.from_url(store_url) as client:
        return sorted(key.decode() for key in client.scan_iter())


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

    code, out, err = await asyncio.to_thread(jiaohao, "import", "registry", str(registry_csv(tmp_path / "r", people)))
    assert (code, out, err) == (0, "2500 residents kept\n", "")
    assert len(keys(store_url)) == 2500
    async with open_house(store_url, test_settings(pepper=b"p" * 32)) as house:
        await house.at("08:00:00")
        for who in (people[0], people[999], people[1000], people[2499]):
            assert (await house.try_join(who)).status_code == 201
        refused(await house.try_join(person(2600)), "not-eligible", 403)


BAD = {
    "id_type": ({"id_type": "driver"}, 1),
    "id_number": ({"id_number": "11010519491231002" + "1"}, 2),
    "name": ({"name": ""}, 3),
    "phone": ({"phone": "12345"}, 4),
    "first_dose_date": ({"first_dose_date": "2021-02-30"}, 5),
    "first_dose_date in words": ({"first_dose_date": "5 May 2021"}, 5),
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
    assert (code, out) == (0, "2 residents kept, 1 bad rows left out\n")
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
    assert jiaohao("import", "registry", file)[:2] == (0, "1 residents kept\n")
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
        (HEADER.replace(",", ";").encode() + b"\n", "line 1: expected the header id_type,"),
        (b"\xff\xfe" + HEADER.encode("utf-16-le"), "cannot be read"),
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
    assert jiaohao("import", "sites", str(file), "--skip-bad")[:2] == (0, "1 sites kept, 2 bad rows left out\n")
    assert keys(store_url) == [f"sites:{{{TIANHE}}}"]


def test_a_large_file_is_never_held_in_memory(tmp_path: Path) -> None:
    file = registry_csv(tmp_path / "registry.csv", (person(i) for i in range(5_000)))
    read = registry_reader(load_city(), Pepper(b"p" * 32))
    seen: list[int] = []
    source = CsvFile(file, REGISTRY_COLUMNS, seen.append)
    next(source.rows(read))  # what is loaded once
    tracemalloc.start()
    try:
        count = sum(1 for one in source.rows(read) if not isinstance(one, str))
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
