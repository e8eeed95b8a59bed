"""Files in TOML that people write: read and typed; what is wrong with one is said in a line."""

from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class TomlError(ValueError):
    """The file cannot be read, or is no TOML; one line, without the file's name."""


def read_toml(path: Path) -> dict[str, Any]:
    """What stands in a file.

    Raises:
        TomlError: it cannot be read, or is no TOML.
    """
    try:
        text = path.read_text("utf-8-sig")  # -sig: some editors put a byte order mark first; TOML has none
    except OSError as error:
        raise TomlError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TomlError(f"expected UTF-8 text, got byte {error.object[error.start]:#04x}") from error
    try:
        tree: dict[str, Any] = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
        raise TomlError(f"not TOML: {error}") from error
    return tree


def convert(tree: Any, kind: type[T]) -> T:
    """What stands in a file, typed.

    Raises:
        msgspec.ValidationError: a value is not what was expected.
    """
    return msgspec.convert(tree, kind, builtin_types=(datetime, date, time))
