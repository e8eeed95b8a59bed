"""The registry's rows: who has had a first dose, of what, when and where."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Final, NamedTuple, get_args

from server.core.city import City
from server.core.encryption import ID_LAST_CHARACTERS, Cipher, Contact
from server.core.keys import Pepper
from server.core.papers import IdType, birth_date_of, faults, normalise_id, normalise_name, normalise_phone
from server.core.reserves import ask_ages, groups_asked
from server.operations.importing.cells import NO_DISTRICT, SAVE_AS_TEXT, BadRow, check_unspoilt, day_of
from server.records.first_dose import FirstDoseRecord

REGISTRY_COLUMNS: Final = ("id_type", "id_number", "name", "phone", "first_dose_date", "product", "district")
_GROUPS: Final = "groups"
_BETWEEN_GROUPS: Final = re.compile(r"[\s;,，；、]+")
_ID_TYPES: Final = frozenset(get_args(IdType))
_EXCEL_DIGITS: Final = 15


class FirstDoseRow(NamedTuple):
    """A row in one spelling; `day`: its date as a proleptic ordinal; `match`: keyed hash of name and phone.

    `before`: the same under the key that versions before gave for these papers, where that was another. `born` and
    `groups` are as in `FirstDoseRecord`, `id_last` as in `Contact`.
    """

    resident: bytes
    day: int
    product: str
    district: str
    match: bytes
    name: str
    phone: str
    before: "FirstDoseRow | None" = None
    born: int = 0
    groups: tuple[str, ...] = ()
    id_last: str = ""

    def record(self, cipher: Cipher) -> FirstDoseRecord:
        """The line as it is kept, name and phone encrypted in it."""
        contact = cipher.encrypt(self.resident, Contact(self.name, self.phone, self.id_last))
        return FirstDoseRecord(
            self.day, self.product, self.district, self.match, contact, self.earlier, self.born, self.groups
        )

    @property
    def earlier(self) -> bytes:
        """That key, empty where there was no other."""
        return self.before.resident if self.before else b""


def registry_columns(city: City) -> tuple[str, ...]:
    """The columns of a city's registry: where a reserve is for groups, a file without them would empty it unseen."""
    return (*REGISTRY_COLUMNS, _GROUPS) if groups_asked(city.reserves) else REGISTRY_COLUMNS


def registry_reader(city: City, pepper: Pepper, today: date) -> Callable[[Sequence[str]], FirstDoseRow]:
    """Makes a `FirstDoseRow` of a row; it raises BadRow.

    Args:
        city: districts, products, and from when on there were first doses.
        pepper: makes the keyed hashes.
        today: by the city's clock; nobody has had a dose after it.
    """
    districts = {district.code for district in city.districts}
    first, old_ids = city.imports.first_doses_from, city.papers.old_15_digit_ids
    days: dict[str, int] = {}
    asks_ages, known_groups = ask_ages(city.reserves), groups_asked(city.reserves)

    def read(row: Sequence[str]) -> FirstDoseRow:
        id_type, id_number, name, phone, dose_day, product, district, *also = row
        if id_type not in _ID_TYPES:
            raise BadRow("id_type", f"expected one of {', '.join(sorted(_ID_TYPES))}")
        number = normalise_id(id_type, id_number, old_ids)  # type: ignore[arg-type]
        normal_name, normal_phone = normalise_name(name), normalise_phone(phone)
        for column, fault in faults(id_type, number, normal_name, normal_phone):  # type: ignore[arg-type]
            _explain(row)
            raise BadRow(column, f"wrong {fault}{_hint(column, number)}")
        day = days.get(dose_day)
        if day is None:
            day = days[dose_day] = day_of("first_dose_date", dose_day, first, today).toordinal()
        if product not in city.products:
            raise BadRow("product", f"expected one of {', '.join(city.products)}")
        if district not in districts:
            check_unspoilt("district", district)
            raise BadRow("district", NO_DISTRICT)

        groups = _groups_in(also[0], known_groups) if also else ()
        birth = birth_date_of(id_type, number) if asks_ages else None
        born = birth.toordinal() if birth else 0

        def under(resident: bytes, before: FirstDoseRow | None) -> FirstDoseRow:
            match = pepper.match(resident, normal_name, normal_phone)
            return FirstDoseRow(
                resident, day, product, district, match, normal_name, normal_phone, before, born, groups,
                number[-ID_LAST_CHARACTERS:],
            )  # fmt: skip

        earlier = pepper.earlier(id_type, number)
        return under(pepper.resident(id_type, number), under(earlier, None) if earlier else None)

    return read


def _groups_in(cell: str, known: Sequence[str]) -> tuple[str, ...]:
    found = sorted({group for group in _BETWEEN_GROUPS.split(cell) if group})
    if not set(known).issuperset(found):
        raise BadRow(_GROUPS, f"expected any of {', '.join(known)}, with a semicolon between them, or nothing")
    return tuple(found)


def _explain(row: Sequence[str]) -> None:
    """What a spreadsheet has done to a number that cannot be right."""
    for column, cell in (("id_number", row[1]), ("phone", row[3])):
        check_unspoilt(column, cell)


def _hint(column: str, number: str) -> str:
    """A spreadsheet keeps 15 digits of a number and writes zeros for the rest."""
    if column == "id_number" and number.isdigit() and len(number) > _EXCEL_DIGITS and not int(number[_EXCEL_DIGITS:]):
        return f" (its last digits are zeros, as a spreadsheet leaves them: {SAVE_AS_TEXT})"
    return ""
