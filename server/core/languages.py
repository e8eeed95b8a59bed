"""Which of the languages a reader gets: RFC 4647 look-up over what their browser asks for."""

import re
from functools import lru_cache
from typing import Literal

from server.core.wording import SIMPLIFIED, languages

Language = Literal["zh", "en"]
"""The two that names, the city file's texts and messages by SMS come in."""

# IANA's registry of language subtags: the languages that the macrolanguage zh stands for.
_CHINESE = frozenset("zh cdo cjy cmn cnp cpx csp czh czo gan hak hnm hsn luh lzh mnp nan sjc wuu yue".split())
_TRADITIONAL = "zh-Hant"
# Where Chinese is written so unless a tag says otherwise (CLDR's likely subtags).
_TRADITIONAL_PLACES = frozenset(("hk", "mo", "tw"))
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)(?:;q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")


def of_two(tag: str) -> Language:
    """Names and messages for a reader of a language: in Chinese, however it is written, or in English."""
    return "zh" if tag.startswith("zh") else "en"


def tag_of(default: Language) -> str:
    """The language of those that there are which a city means by one of the two."""
    return SIMPLIFIED if default == "zh" else default


def ranges_of(accept: str) -> list[str]:
    """The language ranges of an Accept-Language header (RFC 9110 12.5.4), the dearest first.

    What is unwanted (weight 0) or no range at all is left out, and so is `*`: it asks for nothing in particular.
    """
    found = (_RANGE.fullmatch(re.sub(r"\s", "", part)) for part in accept.split(","))
    weighed = [(float(it[2] or 1), it[1]) for it in found if it]
    return [tag for weight, tag in sorted(weighed, key=lambda it: -it[0]) if weight > 0]


def language_of_ranges(ranges: list[str], default: Language, available: tuple[str, ...]) -> str:
    """The first of the ranges that there is, by its tag; the city's own language where there is none of them.

    Pages in two languages follow the same rule (`languageOf` in web/pages/common/language.js), over
    `navigator.languages`.
    """
    for each in ranges:
        if (found := _language_of(each.lower(), available)) is not None:
            return found
    return tag_of(default)


def _language_of(tag: str, available: tuple[str, ...]) -> str | None:
    primary, *more = tag.split("-")
    if primary in _CHINESE:
        is_traditional = "hant" in more or ("hans" not in more and not _TRADITIONAL_PLACES.isdisjoint(more))
        return _TRADITIONAL if is_traditional and _TRADITIONAL in available else SIMPLIFIED
    known = {it.lower(): it for it in available}
    while tag:  # RFC 4647 3.4: the last subtag is cut off until there is such a language
        if tag in known:
            return known[tag]
        tag = tag.rpartition("-")[0]
    # What is asked for may be less than what there is: `pt` is content with `pt-BR`.
    return next((it for it in available if it.lower().partition("-")[0] == primary), None)


@lru_cache(maxsize=1024)
def language(accept: str, default: Language) -> str:
    """The tag of the language that an Accept-Language header asks for, one of `server.core.wording.languages()`.

    Args:
        accept: the header, or nothing.
        default: the city's own language.
    """
    return language_of_ranges(ranges_of(accept[:1000]), default, languages())


def language_named(tag: str) -> str | None:
    """The language that somebody has chosen by its tag; `zh` is what pages of before called Chinese."""
    found = SIMPLIFIED if tag == "zh" else tag
    return found if found in languages() else None
