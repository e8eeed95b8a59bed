"""What people read, in Chinese and English: one catalogue for the pages, /plain, refusals and messages.

A file holds the words for some readers, a table of it those of one page or one purpose; each line is
`key = ["中文", "English"]`. Where the same words stand in two places, the second names the first:
`key = "table.key"`; where they are only a sentence of a longer text, that one says `{=table.key}`. What the caller
gives stands as `{0}`, `{1}`, or by name. `server/web/worded.py` puts the words into the pages' files.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parent
_INSIDE = re.compile(r"\{=([a-z-]+\.[\w-]+)\}")


class WordingError(ValueError):
    """The catalogue contradicts itself; the message names the key."""


class Words(NamedTuple):
    """The same said in both languages."""

    zh: str
    en: str

    def of(self, language: str) -> str:
        """In one of them; English is only for whoever asks for it."""
        return self.en if language == "en" else self.zh


Tables = Mapping[str, Mapping[str, Words]]


@cache
def catalogue() -> Tables:
    """Every table of the catalogue, by its name.

    Raises:
        WordingError: a table stands in two files, or a line names another one that does not exist.
    """
    lines: dict[str, dict[str, Any]] = {}
    for file in sorted(FOLDER.glob("*.toml")):
        for table, found in tomllib.loads(file.read_text("utf-8")).items():
            if table in lines:
                raise WordingError(f"{file.name}: {table}: expected a name that no other table has")
            lines[table] = found
    return read(lines)


def read(lines: Mapping[str, Mapping[str, Any]]) -> Tables:
    """Tables as their files have them, with every reference replaced by the words it stands for."""
    return {
        table: {key: _words(lines, f"{table}.{key}", ()) for key in found}  # in the file's order
        for table, found in lines.items()
    }


def _words(lines: Mapping[str, Mapping[str, Any]], path: str, asked_by: tuple[str, ...]) -> Words:
    table, _, key = path.partition(".")
    line = lines.get(table, {}).get(key)
    if path in asked_by or line is None:
        raise WordingError(f"{asked_by[-1] if asked_by else path}: expected words, or the key of some, got `{path}`")
    if isinstance(line, str):
        return _words(lines, line, (*asked_by, path))
    zh, en = line
    inner = {it: _words(lines, it, (*asked_by, path)) for it in _INSIDE.findall(zh + en)}
    return Words(
        _INSIDE.sub(lambda it: inner[it[1]].zh, zh),
        _INSIDE.sub(lambda it: inner[it[1]].en, en),
    )


def knows(key: str) -> bool:
    """Whether there are words of this key, `table.key`."""
    table, _, name = key.partition(".")
    return name in catalogue().get(table, {})


def word(key: str, language: str, *values: object) -> str:
    """The words of a key, `table.key`, with the values that they name by their place.

    Raises:
        KeyError: there are none.
    """
    table, _, name = key.partition(".")
    text = catalogue()[table][name].of(language)
    return text.format(*values) if values else text
