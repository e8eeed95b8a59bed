"""Values and fields as the store takes and gives them."""

from collections.abc import Container, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)

Arg: TypeAlias = str | int | float | bytes
"""What the store takes as a value."""


def items_of(answer: Any) -> Iterable[tuple[bytes, bytes]]:
    """HGETALL's answer, which a pipeline leaves flat and a plain call turns into a dict."""
    return answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)


def fields_of(answer: Any) -> dict[str, str]:
    """The same, where names and values are text."""
    return {k.decode(): v.decode() for k, v in items_of(answer)}


def record_of(kind: type[R], fields: Mapping[str, str], in_json: Container[str] = ()) -> R:
    """A struct of a hash's fields: numbers in decimal, flags as 0 and 1, what is named in `in_json` in JSON.

    What the struct has no field for was written by a later version, and is left out.

    Raises:
        msgspec.MsgspecError: a value is not what its field holds, or one is missing.
    """
    values = {name: msgspec.json.decode(value) if name in in_json else value for name, value in fields.items()}
    return msgspec.convert(values, kind, strict=False)


def fields_in(record: msgspec.Struct, in_json: Container[str] = ()) -> dict[str, Arg]:
    """A hash's fields of a struct; what is None is left out."""
    found: dict[str, Arg] = {}
    for name, value in msgspec.structs.asdict(record).items():
        if name in in_json and value is not None:
            found[name] = msgspec.json.encode(value).decode()
        elif value is not None:
            found[name] = int(value) if isinstance(value, bool) else value
    return found
