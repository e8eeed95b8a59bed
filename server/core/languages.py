"""Which of the two languages a reader gets: RFC 4647 look-up over what their browser asks for."""

import re
from functools import lru_cache
from typing import Literal

Language = Literal["zh", "en"]

# IANA's registry of language subtags: the languages that the macrolanguage zh stands for.
_CHINESE = frozenset("zh cdo cjy cmn cnp cpx csp czh czo gan hak hnm hsn luh lzh mnp nan sjc wuu yue".split())
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)(?:;q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")


def ranges_of(accept: str) -> list[str]:
    """The language ranges of an Accept-Language header (RFC 9110 12.5.4), the dearest first.

    What is unwanted (weight 0) or no range at all is left out, and so is `*`: it asks for nothing in particular.
    """
    found = (_RANGE.fullmatch(re.sub(r"\s", "", part)) for part in accept.split(","))
    weighed = [(float(it[2] or 1), it[1]) for it in found if it]
    return [tag for weight, tag in sorted(weighed, key=lambda it: -it[0]) if weight > 0]


def language_of_ranges(ranges: list[str], default: Language) -> Language:
    """The first of the ranges that there is; the city's own language where there is none of them.

    The pages follow the same rule (`languageOf` in web/pages/common/language.js), over `navigator.languages`.
    """
    for tag in ranges:
        primary = tag.lower().partition("-")[0]
        if primary == "en":
            return "en"
        if primary in _CHINESE:
            return "zh"
    return default


@lru_cache(maxsize=1024)
def language(accept: str, default: Language) -> Language:
    """`zh` or `en`, as an Accept-Language header asks for.

    Args:
        accept: the header, or nothing.
        default: the city's own language.
    """
    return language_of_ranges(ranges_of(accept[:1000]), default)
