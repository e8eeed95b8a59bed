"""Names as people and registries write them: one spelling to keep and show, then a check.

Which spellings are one name is `server.core.same_name`'s; here a name stays what was written.
"""

import re
import unicodedata
from functools import cache
from typing import Final, Literal

from server.core.unihan import radicals

NameFault = Literal["empty", "length", "characters", "lost", "private-use", "no-letters"]

LONGEST_INPUT: Final = 256  # characters; what is longer is nobody's number or name: not worth normalising
LONGEST_NAME: Final = 64

# One dot for the names that have dots in them: keyboards differ in which they type.
_NAME_DOTS = str.maketrans("•‧∙⋅・", "·····")
HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
# What nearly all names here are made of: letters that no rule of this module has anything to say about. Left out of the
# Han letters are those of which signs of a lost name are made (屯, 某, 烫, 锟), and the planes beyond.
PLAIN_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u5c6e\u5c70-\u67cf\u67d1-\u70ea\u70ec-\u951e\u9520-\u9fff]{1,64}")
_SPACE_IN_HAN = re.compile(f"(?<=[{HAN}]) (?=[{HAN}])")

# Signs of Unicode's symbol kinds that people type for the dot; punctuation needs no list, it is never part of a name.
DOT_SIGNS: Final = "●∙⋅∘◦⚫⬤⏺⦁▪˙"
# What a character set, a font or a mask puts in the place of a letter, and what web pages and e-mail encode one with.
_LOST = re.compile("[?¿؟\ufffd\ufffc*⁎∗✱✲✳✻✽★☆#_\\\\%□■▢▣▭▮▯◻◼◽◾☐⬜⬛█〓○◯⭕×✕✖✗✘⍰]|锟斤拷|烫烫|屯屯屯")
# A mask in letters (张XX, 张某某) or in bullets (张●), and a name that breaks off (张...).
_MASKED = re.compile(f"[{HAN}]{{1,2}}(?:X{{1,3}}|某{{1,2}})|.*(?:[●⚫⬤]|[.·。…‥-]{{2,}}|[—–]{{2,}})", re.DOTALL)
_PLACEHOLDERS = frozenset(
    "NULL NONE N/A UNKNOWN UNDEFINED 未知 不详 不詳 无 無 无名 無名 无名氏 無名氏 佚名 姓名".split()
)  # fmt: skip

# GBK as Windows had it kept 80 characters in the private use area, FE50 to FEA0 as U+E815 to U+E864; GB 18030-2000 gave
# most of them places in Unicode, which is what Python's codec knows. The others, GB 18030-2005 and -2022, are those of
# glibc's charmap GB18030: eight characters of Unicode 4.1 and six beyond the first 65,536.
_GBK_PRIVATE_USE = range(0xE815, 0xE865)
_GB18030_SINCE_2005 = {
    0xE816: 0x20087, 0xE817: 0x20089, 0xE818: 0x200CC, 0xE81E: 0x9FB4, 0xE826: 0x9FB5, 0xE82B: 0x9FB6, 0xE82C: 0x9FB7,
    0xE831: 0x215D7, 0xE832: 0x9FB8, 0xE83B: 0x2298F, 0xE843: 0x9FB9, 0xE854: 0x9FBA, 0xE855: 0x241FE, 0xE864: 0x9FBB,
    0xE7C7: 0x1E3F, 0xE7C8: 0x01F9,  # the pinyin letters ḿ (A8BC) and ǹ (A8BF)
}  # fmt: skip


@cache
def known_private_use() -> dict[int, str]:
    """For `str.translate`: the letters of names that systems on GBK keep in the private use area, 赵䶮 for one.

    Other systems put other letters at the same places (the Hong Kong set has all of them): here a name is from
    the mainland, and what is not in its public tables is nobody's to guess.
    """
    known = {code: chr(letter) for code, letter in _GB18030_SINCE_2005.items()}
    trails = (trail for trail in range(0x50, 0xA1) if trail != 0x7F)
    for code, trail in zip(_GBK_PRIVATE_USE, trails, strict=True):
        known.setdefault(code, bytes((0xFE, trail)).decode("gb18030"))
    return known


@cache
def _plain_letters() -> dict[int, str]:
    """Private use and radicals at once: what stands at a private place may be a radical's own character."""
    plain = dict(radicals())
    for code, letter in known_private_use().items():
        plain[code] = letter.upper().translate(radicals())
    return plain


def in_letters(name: str) -> str:
    """A normalised name with the letters that its private-use characters and radicals stand for."""
    return name if name.isalpha() else name.translate(_plain_letters())


def normalise_name(raw: str) -> str:
    """One spelling of a name, to be kept: NFKC, upper case, single spaces, none at the ends.

    Two habits of writing, which do not make another name, are evened out as well: a space between Chinese
    characters goes, and the dot in a name such as 阿依古丽·买买提 is U+00B7 for the commonest keyboards. Everything
    else stays as it was written. The store holds keyed hashes of this spelling: it never changes.
    """
    if len(raw) > LONGEST_INPUT or PLAIN_HAN.fullmatch(raw):
        return raw
    if raw.isascii():
        return " ".join(raw.upper().split())
    if not raw.isprintable():
        raw = "".join(c for c in raw if unicodedata.category(c) != "Cf")  # invisible marks
    # Upper-casing may take a letter apart (ΐ), hence the second NFKC.
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).upper())
    return _SPACE_IN_HAN.sub("", " ".join(name.translate(_NAME_DOTS).split()))


def check_name(name: str) -> NameFault | None:
    """What is wrong with a normalised name, or None: 1 to 64 characters, letters among them, and none of them lost.

    `lost` is what exports and masks leave of a name (`赵?`, `张*`, `未知`): whoever typed that would be the person.
    """
    if PLAIN_HAN.fullmatch(name):
        return "lost" if name in _PLACEHOLDERS else None
    if not name:
        return "empty"
    if len(name) > LONGEST_NAME:
        return "length"
    if _LOST.search(name) or _MASKED.fullmatch(name) or name in _PLACEHOLDERS:
        return "lost"
    if name.isalpha():
        return None
    letters = in_letters(name)
    for c in letters:
        category = unicodedata.category(c)
        if category == "Co":
            return "private-use"
        if category[0] == "C":  # control characters, lone halves, what is not assigned
            return "characters"
        # Symbols, as broken encodings leave them (å¼ ä¸‰), but not ASCII's: passports' lines have `<` for a blank.
        if category in ("Sm", "Sc", "So") and not c.isascii() and c not in DOT_SIGNS:
            return "characters"
    return None if any(c.isalpha() for c in letters) else "no-letters"
