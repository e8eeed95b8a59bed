"""Compares what two versions answered, where what is not the same each time was left open."""

from collections.abc import Iterator
from typing import Any

OPEN = "*"
"""Stands where an answer is not the same each time: a time that passes, a token."""
_WORDS = {"title", "detail"}  # of a refusal; its code stays
_BY_CHANCE = {"poll_after_seconds", "eta_seconds"}  # may be the same twice


def same_of_both(one: Any, other: Any) -> Any:
    """What two askings of one version have in common, and `OPEN` where they differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), one.keys() ^ other.keys()
        return {name: OPEN if name in _BY_CHANCE else same_of_both(it, other[name]) for name, it in one.items()}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [same_of_both(*both) for both in zip(one, other, strict=True)]
    return one if one == other and type(one) is type(other) else OPEN


def differences(expected: Any, got: Any, where: str = "") -> Iterator[str]:
    """Where an answer is another one than expected; a field that is new is none."""
    if expected == OPEN:
        return
    if isinstance(expected, dict) and isinstance(got, dict):
        for name, value in expected.items():
            if name in _WORDS:
                continue
            if name in got:
                yield from differences(value, got[name], f"{where}/{name}")
            else:
                yield f"{where}/{name} is gone"
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for n, both in enumerate(zip(expected, got, strict=True)):
            yield from differences(*both, f"{where}/{n}")
    elif expected != got or type(expected) is not type(got):
        yield f"{where}: {expected!r} before, {got!r} now"
