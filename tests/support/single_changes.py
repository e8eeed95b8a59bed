"""Every single change of something published: what `jiaohao verify` must be red for."""

import json
from collections.abc import Iterator
from typing import Any


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def other_values(value: Any) -> list[Any]:
    """Values of the same kind, near and far, and of other kinds."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, str(value), None]
    if value is None:
        return ["2021-06-03", 0]
    if isinstance(value, str):
        near = value[:-1] + ("1" if value[-1] != "1" else "2") if value else "inactivated"
        far = {"am": "pm", "pm": "am", "any": "am", "inactivated": "cho", "full": "too-early"}
        return [near, far.get(value, value + "0"), "", None, 7]
    return []


def changes(value: Any) -> Iterator[tuple[str, Any]]:
    """(what was changed, the whole value with one field of it changed, dropped, doubled or added)."""
    if isinstance(value, dict):
        for key in value:
            yield f"without {key}", {k: v for k, v in value.items() if k != key}
            for what, other in changes(value[key]):
                yield f"{key}: {what}", value | {key: other}
        yield "one more", value | {"note": 1}
    elif isinstance(value, list):
        for i in range(len(value)):
            yield f"without {i}", value[:i] + value[i + 1 :]
            yield f"{i} twice", [*value[:i], value[i], *value[i:]]
            for what, other in changes(value[i]):
                yield f"{i}: {what}", [*value[:i], other, *value[i + 1 :]]
        if len(value) > 1 and value[0] != value[1]:
            yield "the other way round", [value[1], value[0], *value[2:]]
    else:
        for other in other_values(value):
            yield f"{value!r} -> {other!r}", other
