"""The reserves of a city file, and who is a member."""

from datetime import date
from pathlib import Path

import msgspec
import pytest

from server.core.city import SHIPPED_CITY, CityError, load_city
from server.core.papers import birth_date_of
from server.core.reserves import Reserve, memberships

OLD = Reserve("60岁及以上", "60 and over", 20, min_age=60)
DISABLED = Reserve("残疾人、偏远村", "disabled people and remote villages", 5, groups=("disabled", "remote"))


def city_file(folder: Path, reserves: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(SHIPPED_CITY.read_text("utf-8") + reserves, "utf-8")
    return path


def test_a_city_has_no_reserves_unless_its_file_names_them(tmp_path: Path) -> None:
    assert load_city().reserves == ()
    text = """
[[reserves]]
name_zh = "60岁及以上"
name_en = "60 and over"
percent = 20
min_age = 60

[[reserves]]
name_zh = "残疾人、偏远村"
name_en = "disabled people and remote villages"
percent = 5
groups = ["disabled", "remote"]
order = "lot"
"""
    assert load_city(city_file(tmp_path, text)).reserves == (OLD, msgspec.structs.replace(DISABLED, order="lot"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("percent = 20", "reserves[0]: expected min_age or groups"),
        ("percent = 101\nmin_age = 60", "reserves[0].percent: expected `int` <= 100"),
        ("percent = 0\nmin_age = 60", "reserves[0].percent: expected `int` >= 1"),
        ("percent = 5\nmin_age = 60\norder = 'age'", "reserves[0].order: invalid enum value 'age'"),
        ("percent = 5\nage = 60", "reserves[0].age: unknown key, expected one of name_zh"),
        ("percent = 5\ngroups = ['a b']", "reserves[0].groups"),
    ],
)
def test_a_mistake_in_a_reserve_is_named(lines: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CityError) as refused:
        load_city(city_file(tmp_path, f'\n[[reserves]]\nname_zh = "甲"\nname_en = "A"\n{lines}\n'))
    assert message in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("count", "percent", "message"),
    [(9, 5, "reserves: expected 8 at most, got 9"), (3, 40, "reserves[2].percent: expected no more than 100")],
)
def test_reserves_are_eight_at_most_and_no_more_than_everything(
    count: int, percent: int, message: str, tmp_path: Path
) -> None:
    one = f'\n[[reserves]]\nname_zh = "甲"\nname_en = "A"\nmin_age = 60\npercent = {percent}\n'
    with pytest.raises(CityError) as refused:
        load_city(city_file(tmp_path, one * count))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("born", "day", "is_member"),
    [
        ("1961-06-19", "2021-06-19", True),
        ("1961-06-20", "2021-06-19", False),
        ("1961-06-20", "2021-06-20", True),
        ("1964-02-29", "2024-02-29", True),
        ("1964-02-29", "2024-02-28", False),
        ("1961-02-28", "2021-02-28", True),
        ("1960-02-29", "2021-02-28", True),
    ],
)
def test_an_age_is_reached_on_the_birthday(born: str, day: str, is_member: bool) -> None:
    on = date.fromisoformat(day)
    assert memberships([OLD, DISABLED], date.fromisoformat(born), (), on) == int(is_member)


def test_who_has_no_birth_date_is_a_member_by_group_alone() -> None:
    day = date(2021, 6, 19)
    assert memberships([OLD, DISABLED], None, (), day) == 0
    assert memberships([OLD, DISABLED], None, ("remote",), day) == 0b10
    assert memberships([OLD, DISABLED], date(1930, 1, 1), ("disabled", "other"), day) == 0b11
    assert memberships([OLD, DISABLED], date(1930, 1, 1), ("other",), day) == 0b01


@pytest.mark.parametrize(
    ("id_type", "number", "born"),
    [
        ("resident_id", "11010519491231002X", date(1949, 12, 31)),  # the example of GB 11643-1999
        ("passport", "11010519491231002X", date(1949, 12, 31)),  # a resident ID under the wrong kind
        ("residence_permit", "810000199408230021", date(1994, 8, 23)),
        ("passport", "E12345678", None),
        ("hk_macao_permit", "H1234567801", None),
        ("taiwan_permit", "1234567801", None),
    ],
)
def test_the_birth_date_is_the_id_numbers(id_type: str, number: str, born: date | None) -> None:
    assert birth_date_of(id_type, number) == born
