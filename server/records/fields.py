"""Values and fields as the store takes and gives them."""

from collections.abc import Iterable
from typing import Any, TypeAlias

Arg: TypeAlias = str | int | float | bytes
"""What the store takes as a value."""


def items_of(answer: Any) -> Iterable[tuple[bytes, bytes]]:
    """HGETALL's answer, which a pipeline leaves flat and a plain call turns into a dict."""
    return answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)


def fields_of(answer: Any) -> dict[str, str]:
    """The same, where names and values are text."""
    return {k.decode(): v.decode() for k, v in items_of(answer)}
