"""What the registry keeps of a person for a city's reserves: nothing, unless they ask for it."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import msgspec
import pytest

from server.core.city import City, load_city
from server.core.encryption import Cipher
from server.core.keys import Pepper
from server.core.reserves import Reserve
from server.operations.importing import CsvFile, RegistryKeeper, RowFault, registry_columns, registry_reader
from server.records.first_dose import FirstDoseRecord, pack, unpack
from tests.support.serving import TIANHE, House, open_house, person

PEPPER = b"p" * 32
OLD = Reserve("60岁及以上", "60 and over", 20, min_age=60)
DISABLED = Reserve("残疾人", "disabled people", 5, groups=("disabled", "remote"))


def city_with(*reserves: Reserve) -> City:
    return msgspec.structs.replace(load_city(), reserves=reserves)


def read(city: City, groups: str | None = None) -> Any:
    """What the import's reader makes of one person."""
    who = person(0)
    cells = [who.id_type, who.id_number, who.name, who.phone, "2021-05-01", "inactivated", TIANHE]
    columns = registry_columns(city)
    text = ",".join(columns) + "\n" + ",".join(cells if groups is None else [*cells, groups])
    (row,) = CsvFile(text.encode(), columns, lambda _: None).rows(
        registry_reader(city, Pepper(PEPPER), date(2021, 6, 19))
    )
    return row


def test_without_reserves_the_registry_knows_neither_age_nor_group() -> None:
    row = read(load_city())
    assert (row.born, row.groups) == (0, ())
    record = row.record(Cipher([b"s" * 32]))
    assert len(msgspec.msgpack.decode(pack(record))) == 5
    assert registry_columns(city_with(OLD)) == registry_columns(load_city())


def test_an_age_is_kept_as_the_birth_date_of_the_number_and_groups_as_the_column_says() -> None:
    number = person(0).id_number
    born = date(int(number[6:10]), int(number[10:12]), int(number[12:14])).toordinal()
    assert (read(city_with(OLD)).born, read(city_with(OLD)).groups) == (born, ())
    row = read(city_with(OLD, DISABLED), "remote；disabled")
    assert (row.born, row.groups) == (born, ("disabled", "remote"))
    assert unpack(pack(row.record(Cipher([b"s" * 32])))).groups == ("disabled", "remote")
    assert read(city_with(DISABLED), "").groups == () and read(city_with(DISABLED), "").born == 0


def test_a_group_that_no_reserve_names_is_a_bad_row() -> None:
    row = read(city_with(DISABLED), "disabeld")
    assert isinstance(row, RowFault)
    assert str(row) == (
        "line 2: column 8 (groups): expected any of disabled, remote, with a semicolon between them, or nothing"
    )


def test_a_line_of_the_version_before_has_no_groups() -> None:
    before = msgspec.msgpack.encode((737_911, "cho", TIANHE, b"m" * 12, b"c", b"e" * 16))
    record = unpack(before)
    assert (record.born, record.groups, record.birth_date) == (0, (), None)
    assert pack(record) == before


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    async with open_house(store_url) as it:
        yield it


async def test_another_group_in_the_next_file_is_written(house: House) -> None:
    city, services = city_with(DISABLED), house.services
    keeper = RegistryKeeper(services.connection, city, Cipher([b"s" * 32]), services.appointments)
    for groups in ("disabled", "disabled;remote", ""):
        row = read(city, groups)
        assert [n async for n in keeper.keep([row])] == [1]
        (record,) = await house.store.records([row.resident])
        assert isinstance(record, FirstDoseRecord) and record.groups == tuple(filter(None, groups.split(";")))
