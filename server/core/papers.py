"""Identity papers and phone numbers: one spelling each, then a check (see domain.md); names: `server.core.names`.

A check takes what the `normalise_` function of the same name gave. It answers None, or a `PaperFault`: a slug for
the contract's ``invalid``, to be put into the resident's words elsewhere.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Final, Literal, get_args

import msgspec
from stdnum.iso7064 import mod_11_2

from server.core.names import LONGEST_INPUT, NameFault, check_name, normalise_name
from server.core.same_name import SameName

IdType = Literal["resident_id", "residence_permit", "hk_macao_permit", "taiwan_permit", "passport"]
ID_TYPES: Final[tuple[IdType, ...]] = get_args(IdType)

PaperFault = NameFault | Literal["format", "region", "birth-date", "checksum", "old-id"]

EARLIEST_BIRTH_YEAR: Final = 1880

# What people and keyboards put between digits, once NFKC has made full-width forms plain: white space,
# hyphens, dashes and the minus sign, and the invisible marks that come along with copy and paste.
_BETWEEN = r"\s\-\u00ad\u200b-\u2015\u202a-\u202e\u2060-\u2069\u2212\ufeff"
_ID_SEPARATORS = re.compile(f"[{_BETWEEN}]+")
_PHONE_SEPARATORS = re.compile(f"[{_BETWEEN}().]+")

_HK_MACAO_PERMIT = re.compile("[HM][0-9]{8}(?:[0-9]{2})?")
_TAIWAN_PERMIT = re.compile("[0-9]{8}(?:[0-9]{2})?")
_PASSPORT = re.compile("[A-Z0-9]{5,20}")
_RESIDENCE_REGIONS = ("810000", "820000", "830000")
_OLD_ID = re.compile("[0-9]{15}")
_CENTENARIANS = ("996", "997", "998", "999")

OldIds = Literal["convert", "refuse"]


class PapersPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a registry office decides about papers: ID numbers of the old kind, and which names are the same."""

    old_15_digit_ids: OldIds = "convert"
    same_name: SameName = SameName()


def normalise_id(id_type: IdType, raw: str, old_ids: OldIds = "convert") -> str:
    """One spelling of an ID number: plain digits, upper-case letters, no spaces or hyphens.

    A resident ID of the old kind becomes its 18 characters, where old ones are to be converted. What cannot be a
    number is given back as it is, for `check_id` to refuse.
    """
    if len(raw) > LONGEST_INPUT:
        return raw
    if raw.isascii() and raw.isalnum():
        number = raw.upper()
    else:
        number = _ID_SEPARATORS.sub("", unicodedata.normalize("NFKC", raw))
        # ASCII only: a dotless i, upper-cased, would pass for a plain I.
        number = number.upper() if number.isascii() else number
    if len(number) == 15 and id_type == "resident_id" and old_ids == "convert":
        return new_id(number) or number
    return number


def new_id(old: str) -> str | None:
    """The 18 characters of a resident ID of 15 digits, given until 1999; None for what cannot be one.

    GB 11643-1989: 6 digits of address, 6 of birth date, 3 of sequence. GB 11643-1999 puts the century and the check
    character to it. The century is 19, but for the sequences 996 to 999: those were kept for people of a hundred
    years and more, born in the 1800s.
    """
    if not _OLD_ID.fullmatch(old):
        return None
    body = f"{old[:6]}{'18' if old.endswith(_CENTENARIANS) else '19'}{old[6:]}"
    number = body + mod_11_2.calc_check_digit(body)
    return None if _check_resident_id(number) else number


def same_person(id_type: str, number: str) -> tuple[str, str]:
    """(kind, number) that stand for whoever has these papers, the same for every kind that has the same digits.

    People, and the clerks who keep registries, choose the wrong kind for the right number. What a number says of itself
    goes before the kind that it came with:

    - a residence permit's number is a resident ID's, and a resident ID that is given as a passport is the ID;
    - so is one of 15 digits; no passport is that long (ICAO Doc 9303-3: nine characters);
    - the last two digits of a travel permit of 11 or 10 characters count its re-issues and are no part of its number;
    - H or M with 8 or 10 digits is the travel permit of Hong Kong and Macao, also where it is given as a passport;
      Korean passports until 2021 were M and 8 digits as well: of two people with one number the second is sent to a
      desk, which happens to fewer than the wrong kind does;
    - 10 digits are a Taiwan travel permit; 8 digits alone are as many countries' passports, and as a passport they
      stay one.
    """
    if id_type == "residence_permit":
        return "resident_id", number
    if id_type == "passport":
        id_type, number = _told_by_digits(number)
    return id_type, number[: _WITHOUT_REISSUES.get(id_type)]


def birth_date_of(id_type: str, number: str) -> date | None:
    """The birth date in a normalised number that can be right; None where the papers have none."""
    kind, digits = same_person(id_type, number)
    return date(int(digits[6:10]), int(digits[10:12]), int(digits[12:14])) if kind == "resident_id" else None


# Characters of a travel permit's number that stay the same when it is issued again (domain.md, papers).
_WITHOUT_REISSUES = {"hk_macao_permit": 9, "taiwan_permit": 8}


def _told_by_digits(passport: str) -> tuple[str, str]:
    if len(passport) == 18 and _check_resident_id(passport) is None:
        return "resident_id", passport
    if found := new_id(passport):
        return "resident_id", found
    if _HK_MACAO_PERMIT.fullmatch(passport):
        return "hk_macao_permit", passport
    if len(passport) == 10 and _TAIWAN_PERMIT.fullmatch(passport):
        return "taiwan_permit", passport
    return "passport", passport


def check_id(id_type: IdType, number: str) -> PaperFault | None:
    """What is wrong with a normalised ID number, or None.

    Raises:
        KeyError: an `id_type` that is none of `ID_TYPES`.
    """
    check = _CHECKS[id_type]
    return check(number) if number else "empty"


def _check_resident_id(number: str) -> PaperFault | None:
    """GB 11643-1999: 6 digits of address, 8 of birth date, 3 of sequence, one check character.

    The address is not looked up: lists of codes refuse people whose county was abolished.
    """
    if len(number) != 18:
        return _check_old_id(number)
    three, last = _THREE_DIGITS, _LAST_THREE
    try:  # Horner's rule, three characters at a time
        check = three[number[:3]] * 8 + three[number[3:6]]
        check = (check * 8 + three[number[6:9]]) * 8 + three[number[9:12]]
        check = (check * 8 + three[number[12:15]]) * 8 + last[number[15:]]
    except KeyError:
        return "characters"
    if not _is_birth_date(number[6:14]):
        return "birth-date"
    return None if check % 11 == 1 else "checksum"


# ISO 7064 MOD 11-2 of three characters: it doubles what came before and adds the next one, X for ten.
_THREE_DIGITS: Final = {f"{a}{b}{c}": 4 * a + 2 * b + c for a in range(10) for b in range(10) for c in range(10)}
_LAST_THREE: Final = _THREE_DIGITS | {f"{a}{b}X": 4 * a + 2 * b + 10 for a in range(10) for b in range(10)}


@lru_cache(maxsize=65_536)  # a person's birth date: there are not many more
def _is_birth_date(digits: str) -> bool:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year >= EARLIEST_BIRTH_YEAR
    except ValueError:
        return False


def _check_old_id(number: str) -> PaperFault:
    """What is wrong with an ID that has not 18 characters: one of 15 digits gets here where it was not converted."""
    if not _OLD_ID.fullmatch(number):
        return "length"
    return "old-id" if new_id(number) else "birth-date"


def _check_residence_permit(number: str) -> PaperFault | None:
    """The permits of Hong Kong, Macao and Taiwan residents: a resident ID with a region for its address."""
    fault = _check_resident_id(number) if len(number) == 18 else "length"
    if fault is None and not number.startswith(_RESIDENCE_REGIONS):
        return "region"
    return fault


def _check_format(pattern: re.Pattern[str]) -> Callable[[str], PaperFault | None]:
    return lambda number: None if pattern.fullmatch(number) else "format"


_CHECKS: Final[dict[str, Callable[[str], PaperFault | None]]] = {
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


def check_phone(number: str) -> PaperFault | None:
    """What is wrong with a normalised mobile number, or None."""
    if not number:
        return "empty"
    if not (number.isascii() and number.isdigit()):
        return "characters"
    if len(number) != 11:
        return "length"
    return None if number[0] == "1" and number[1] in "3456789" else "format"


def faults(id_type: IdType, id_number: str, name: str, phone: str) -> list[tuple[str, PaperFault]]:
    """(field, fault) of each field of normalised papers that cannot be right; empty when all can.

    Raises:
        KeyError: an `id_type` that is none of `ID_TYPES`.
    """
    judged = (("id_number", check_id(id_type, id_number)), ("name", check_name(name)), ("phone", check_phone(phone)))
    return [(field, fault) for field, fault in judged if fault is not None]


__all__ = [
    "ID_TYPES",
    "IdType",
    "OldIds",
    "PaperFault",
    "PapersPolicy",
    "birth_date_of",
    "check_id",
    "check_name",
    "check_phone",
    "faults",
    "new_id",
    "normalise_id",
    "normalise_name",
    "normalise_phone",
    "same_person",
]
