"""Which spellings of a name are the same name: a name's form for comparing, which is nowhere shown or kept.

Two names are the same where their forms are equal, so that the store can hold a keyed hash of the form and no name.

- Nothing but letters and digits counts: no blank, dot, comma, hyphen, apostrophe or invisible mark, whichever of the
  many that keyboards have, and whether there is one at all: 阿依古丽·买买提 is 阿依古丽买买提, O'NEILL is ONEILL.
- Letters that old systems keep at private places are those of GB 18030; a radical's own character is its letter.
- `traditional`: Han letters that Unihan connects are one (張 and 张; 于 and 於 too, which some families tell apart).
- `accents`: É is E, Ø is O, ß is SS. Passports' machine-readable lines write Ä, Ö, Ü and Å as AE, OE, UE and AA
  (ICAO Doc 9303-3, section 6), hence E after A, O or U and A after A do not count: MÜLLER, MUELLER and MULLER.
- `family_name_last`: it does not matter where a name without Han letters begins. Written around a ring, ANNA SMITH,
  SMITH ANNA and SMITH, ANNA are the same letters. A name with Han letters begins with its first.

More names are the same by this than are. That costs little: a name is only ever compared with the one that is kept
under the same person's number, and together with the phone.
"""

import re
import unicodedata
from itertools import product
from typing import Final

import msgspec

from server.core.names import HAN, PLAIN_HAN, in_letters
from server.core.unihan import representatives

_HAN = re.compile(f"[{HAN}]")
_PLAIN: Final = str.maketrans(
    {"Ø": "O", "Đ": "D", "Ð": "D", "Ł": "L", "Æ": "AE", "Œ": "OE", "Þ": "TH", "Ħ": "H", "Ŧ": "T", "Ŋ": "N", "Ə": "E"}
    | {"ẞ": "SS", "ß": "SS", "ı": "I", "ĸ": "Q"}
)
# Counted as letters by Unicode, typed as apostrophes (ʼ) and as dots (ᐧ, ꞏ and the Korean ㆍ, to NFKC a vowel).
_NO_LETTERS = re.compile("[\u02b0-\u02ff\u119e\u1427\ua78f]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_DIGRAPHS = re.compile("A[AE]+|[OU]E+")
_NEVER_SECOND = re.compile("[^AE]")
# Which of two forms of one letter is meant (葛󠄀): never another letter.
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")


class SameName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes no other name: the city file's `papers.same_name`, see this module's head."""

    traditional: bool = True
    accents: bool = True
    family_name_last: bool = True


def forms(name: str, rule: SameName) -> list[str]:
    """What a normalised name is compared by: the form of this rule first.

    The forms of the other rules follow: a line keeps the rule of the day when it was written, and no city file that is
    changed afterwards may lock people out. Each begins with its rule, so that one rule's is never another's.
    """
    letters = name if PLAIN_HAN.fullmatch(name) else _letters(name)
    # A switch that cannot concern a name makes no form of its own.
    if _HAN.search(letters):
        either = (rule.traditional, not rule.traditional)
        return [f"h{traditional:d}:{_han(letters, traditional)}" for traditional in either]
    of_rules = product((rule.accents, not rule.accents), (rule.family_name_last, not rule.family_name_last))
    return [f"l{accents:d}{last:d}:{_alphabet(letters, accents, last)}" for accents, last in of_rules]


def _letters(name: str) -> str:
    """Letters and digits, with the marks that belong to them."""
    if name.isascii():
        return "".join(c for c in name if c.isalnum())
    name = _SELECTORS.sub("", _NO_LETTERS.sub("", in_letters(name)))
    if name.isalpha():
        return name
    return "".join(c for c in name if c.isalnum() or unicodedata.category(c)[0] == "M")


def _han(letters: str, traditional: bool) -> str:
    # Accents beside Han letters are dots that keyboards make (˙).
    letters = letters if letters.isalpha() else _ACCENTS.sub("", letters)
    return letters.translate(representatives()) if traditional else letters


def _alphabet(letters: str, accents: bool, family_name_last: bool) -> str:
    if accents:
        plain = unicodedata.normalize("NFKD", letters.translate(_PLAIN))
        letters = unicodedata.normalize("NFC", _ACCENTS.sub("", plain))
        letters = _without_digraphs(letters, ring=family_name_last)
    if family_name_last:
        letters = min((letters[i:] + letters[:i] for i in range(len(letters))), default="")
    return letters


def _without_digraphs(letters: str, *, ring: bool) -> str:
    """AE and AA are A, OE is O, UE is U; around a ring, the last letter stands before the first."""
    if ring and (begin := _NEVER_SECOND.search(letters)):
        letters = letters[begin.start() :] + letters[: begin.start()]
    elif ring and "A" in letters:  # and nothing but A and E
        return "A"
    return _DIGRAPHS.sub(lambda found: found[0][0], letters)
