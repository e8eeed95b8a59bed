"""What msgspec says of a value that is not what was expected, taken apart."""

import re
from typing import NamedTuple

import msgspec


class ValueFault(NamedTuple):
    """A value that is not what was expected: its `path` ("" = the whole), msgspec's words for it; or the name of the
    field that is `missing` there, or `unknown`."""

    path: str
    what: str
    missing: str | None
    unknown: str | None

    def in_words(self, known: tuple[str, ...] = ()) -> str:
        """As "path: expected ...", the key always named in full; `known`: the fields there are."""
        key = ".".join(filter(None, (self.path, self.missing or self.unknown)))
        if self.missing:
            return f"{key}: expected a value, got none"
        if self.unknown:
            return f"{key}: unknown key, expected one of {', '.join(known)}"
        return f"{key}: {self.what[0].lower()}{self.what[1:]}"


def fault_of(error: msgspec.ValidationError) -> ValueFault:
    """From msgspec's words, such as "Expected `str`, got `int` - at `$.name`"."""
    what, _, path = str(error).partition(" - at `$")
    missing = re.fullmatch(r"Object missing required field `(.+)`", what)
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", what)
    return ValueFault(
        path.rstrip("`").lstrip("."), what, missing[1] if missing else None, unknown[1] if unknown else None
    )
