"""Identity papers, phone numbers and names: one spelling each, then a check (see domain.md).

A check takes what the `normalise_` function of the same name gave. It answers None, or a `Fault`: a slug for
the contract's ``invalid``, to be put into the resident's words elsewhere.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Final, Literal, get_args

from stdnum.iso7064 import mod_11_2

IdType = Literal["resident_id", "residence_permit", "hk_macao_permit", "taiwan_permit", "passport"]
ID_TYPES: Final[tuple[IdType, ...]] = get_args(IdType)

Fault = Literal["empty", "length", "characters", "format", "region", "birth-date", "checksum"]

LONGEST_INPUT: Final = 256  # characters; what is longer is nobody's number or name: not worth normalising
LONGEST_NAME: Final = 64
EARLIEST_BIRTH_YEAR: Final = 1880

# What people and keyboards put between digits, once NFKC has made full-width forms plain: white space,
# hyphens, dashes and the minus sign, and the invisible marks that come along with copy and paste.
_BETWEEN = r"\s\-\u00ad\u200b-\u2015\u202a-\u202e\u2060-\u2069\u2212\ufeff"
_ID_SEPARATORS = re.compile(f"[{_BETWEEN}]+")
_PHONE_SEPARATORS = re.compile(f"[{_BETWEEN}().]+")

# One dot for the names that have dots in them: keyboards differ in which they type.
_NAME_DOTS = str.maketrans("•‧∙⋅・", "·····")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_SPACE_IN_HAN = re.compile(f"(?<=[{_HAN}]) (?=[{_HAN}])")

_HK_MACAO_PERMIT = re.compile("[HM][0-9]{8}(?:[0-9]{2})?")
_TAIWAN_PERMIT = re.compile("[0-9]{8}(?:[0-9]{2})?")
_PASSPORT = re.compile("[A-Z0-9]{5,20}")
_RESIDENCE_REGIONS = ("810000", "820000", "830000")


def normalise_id(id_type: IdType, raw: str) -> str:
    """One spelling of an ID number: plain digits, upper-case letters, no spaces or hyphens.

    All papers are treated alike today; `id_type` is asked for so that one of them may differ without a change
    of its callers. What cannot be a number is given back as it is, for `check_id` to refuse.
    """
    if len(raw) > LONGEST_INPUT:
        return raw
    if raw.isascii() and raw.isalnum():
        return raw.upper()
    number = _ID_SEPARATORS.sub("", unicodedata.normalize("NFKC", raw))
    # ASCII only: a dotless i, upper-cased, would pass for a plain I.
    return number.upper() if number.isascii() else number


def check_id(id_type: IdType, number: str) -> Fault | None:
    """What is wrong with a normalised ID number, or None.

    Raises:
        KeyError: an `id_type` that is none of `ID_TYPES`.
    """
    check = _CHECKS[id_type]
    return check(number) if number else "empty"


def _check_resident_id(number: str) -> Fault | None:
    """GB 11643-1999: 6 digits of address, 8 of birth date, 3 of sequence, one check character.

    The address is not looked up: lists of codes refuse people whose county was abolished.
    """
    if len(number) != 18:
        return "length"
    if not (number.isascii() and number[:17].isdigit() and (number[17].isdigit() or number[17] == "X")):
        return "characters"
    try:
        birth = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return "birth-date"
    if birth.year < EARLIEST_BIRTH_YEAR:
        return "birth-date"
    return None if mod_11_2.checksum(number) == 1 else "checksum"


def _check_residence_permit(number: str) -> Fault | None:
    """The permits of Hong Kong, Macao and Taiwan residents: a resident ID with a region for its address."""
    fault = _check_resident_id(number)
    if fault is None and not number.startswith(_RESIDENCE_REGIONS):
        return "region"
    return fault


def _check_format(pattern: re.Pattern[str]) -> Callable[[str], Fault | None]:
    return lambda number: None if pattern.fullmatch(number) else "format"


_CHECKS: Final[dict[str, Callable[[str], Fault | None]]] = {
    "resident_id": _check_resident_id,
    "residence_permit": _check_residence_permit,
    "hk_macao_permit": _check_format(_HK_MACAO_PERMIT),
    "taiwan_permit": _check_format(_TAIWAN_PERMIT),
    "passport": _check_format(_PASSPORT),
}


def normalise_phone(raw: str) -> str:
    """One spelling of a Chinese mobile number: its 11 digits, without +86 or separators."""
    if len(raw) == 11 and raw.isascii() and raw.isdigit():
        return raw
    if len(raw) > LONGEST_INPUT:
        return raw
    number = _PHONE_SEPARATORS.sub("", unicodedata.normalize("NFKC", raw))
    for prefix in ("+86", "0086", "86"):
        if number.startswith(prefix) and len(number) == len(prefix) + 11:
            return number[len(prefix) :]
    return number


def check_phone(number: str) -> Fault | None:
    """What is wrong with a normalised mobile number, or None."""
    if not number:
        return "empty"
    if not (number.isascii() and number.isdigit()):
        return "characters"
    if len(number) != 11:
        return "length"
    return None if number[0] == "1" and number[1] in "3456789" else "format"


def normalise_name(raw: str) -> str:
    """One spelling of a name: NFKC, upper case, single spaces, none at the ends.

    Two habits of writing, which do not make another name, are evened out as well: a space between Chinese
    characters goes, and the dot in a name such as 阿依古丽·买买提 is always U+00B7.
    """
    if len(raw) > LONGEST_INPUT:
        return raw
    if raw.isascii():
        return " ".join(raw.upper().split())
    if not raw.isprintable():
        raw = "".join(c for c in raw if unicodedata.category(c) != "Cf")  # invisible marks
    # Upper-casing may take a letter apart (ΐ), hence the second NFKC.
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).upper())
    return _SPACE_IN_HAN.sub("", " ".join(name.translate(_NAME_DOTS).split()))


def check_name(name: str) -> Fault | None:
    """What is wrong with a normalised name, or None: 1 to 64 characters, no control characters among them."""
    if not name:
        return "empty"
    if len(name) > LONGEST_NAME:
        return "length"
    # Private-use characters are let through: old systems hold rare characters of names there.
    if not name.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        return "characters"
    return None


def faults(id_type: IdType, id_number: str, name: str, phone: str) -> list[tuple[str, Fault]]:
    """(field, fault) of each field of normalised papers that cannot be right; empty when all can.

    Raises:
        KeyError: an `id_type` that is none of `ID_TYPES`.
    """
    judged = (("id_number", check_id(id_type, id_number)), ("name", check_name(name)), ("phone", check_phone(phone)))
    return [(field, fault) for field, fault in judged if fault is not None]
