"""Files in TOML that people write for a rehearsal: read and typed; what is wrong with one is said in a line."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class TomlError(ValueError):
    """The file is no TOML, or a value is not what was expected; one line, without the file's name."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return what stands in a file.

    Raises:
        OSError: it cannot be read.
        TomlError: it is no TOML.
    """
    try:
        tree: dict[str, Any] = msgspec.toml.decode(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TomlError(f"expected UTF-8 text, got byte {error.object[error.start]:#04x}") from error
    except msgspec.DecodeError as error:
        raise TomlError(f"not TOML: {error}") from error
    return tree


def typed(tree: Any, kind: type[T], known: Callable[[str], tuple[str, ...]]) -> T:
    """Return what stands in a file, or in a part of it, typed.

    Args:
        tree: as `read_toml` gives it.
        kind: what it should be.
        known: gives the keys of a table by its path, "" = the file's own.

    Raises:
        TomlError: "path: expected ...", the key always named in full.
    """
    try:
        return msgspec.convert(tree, kind, builtin_types=(datetime, date, time))
    except msgspec.ValidationError as error:
        raise TomlError(_explain(error, known)) from error


def _explain(error: msgspec.ValidationError, known: Callable[[str], tuple[str, ...]]) -> str:
    """Return msgspec's "Expected ... - at `$.path`" in our words."""
    what, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    found = re.fullmatch(r"Object (missing required|contains unknown) field `(.+)`", what)
    if found is None:
        return f"{path}: {what[0].lower()}{what[1:]}" if path else f"{what[0].lower()}{what[1:]}"
    key = ".".join(filter(None, (path, found[2])))
    if found[1] == "missing required":
        return f"{key}: expected a value, got none"
    table = re.sub(r"\[[^]]*\]", "", path)
    return f"{key}: unknown key, expected one of {', '.join(known(table))}"
