"""What of a name and a phone number may stand on a screen or in a message (domain.md, privacy)."""

import unicodedata

from server.core.names import in_letters

_STAR = "*"


def mask_name(name: str) -> str:
    """The first letter, as a reader sees it, and one star whatever the length: `张三` is `张*`, `LI SI` is `L*`."""
    name = in_letters(name)
    first = next((i for i, c in enumerate(name) if _is_letter(c)), None)
    if first is None:
        return _STAR
    end = first + 1
    # Accents and the variation selectors of rare characters belong to the letter before them.
    while end < len(name) and unicodedata.category(name[end]).startswith("M"):
        end += 1
    return name[first:end] + _STAR


def _is_letter(c: str) -> bool:
    # Old systems hold rare characters of names in the private use area (Co).
    category = unicodedata.category(c)
    return category.startswith("L") or category == "Co"


def mask_phone(phone: str) -> str:
    """The first three digits, four stars, the last four: `13800138000` is `138****8000`.

    What has not the 11 digits of a mobile number shows none of them.
    """
    stars = _STAR * 4
    return f"{phone[:3]}{stars}{phone[-4:]}" if len(phone) == 11 else stars
