"""What people read, in each language: one catalogue for the pages, /plain, refusals and messages.

A language is a folder here, named by its tag (`zh-Hant`), of gettext's `.po` files, which translators' tools edit; a
new folder is a new language, found by itself. An entry's `msgid` is its key, `table.key`, the same in every language,
and its `msgstr` the words; a table holds those of one page or one purpose. What the caller gives stands as `{0}`,
`{1}`, or by name. Where the same words stand in two places, the second says `{=table.key}`, and so does a longer text
for a sentence of its own. A language may leave a whole file out (that of the desk's page, say): it is then read in the
language that is next to it. `server/web/worded.py` puts the words into the pages' files.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.pofile import PoFileError, read_po

FOLDER: Final = Path(__file__).parent
SIMPLIFIED: Final = "zh-Hans"
"""The language that everything is written in first."""
ENGLISH: Final = "en"

Tables = Mapping[str, Mapping[str, str]]

_COMMON: Final = "common.po"
# What is filled into words that are read from right to left keeps its own direction (Unicode's UAX 9).
_ISOLATE, _POP = "\u2068", "\u2069"
_INSIDE: Final = re.compile(r"\{=([a-z-]+\.[\w-]+)\}")


class WordingError(ValueError):
    """The catalogue contradicts itself; the message names the key."""


@cache
def languages() -> tuple[str, ...]:
    """The tags of all languages that there are: Chinese first, the others by their tags."""
    found = sorted(it.parent.name for it in FOLDER.glob(f"*/{_COMMON}"))
    return tuple(sorted(found, key=lambda tag: (tag != SIMPLIFIED, not tag.startswith("zh"), tag)))


def next_to(language: str) -> str:
    """In which language somebody is told what theirs has no words for: Chinese if it is written so, else English."""
    return SIMPLIFIED if language.startswith("zh") else ENGLISH


@cache
def catalogue(language: str) -> Tables:
    """Every table of a language, by its name.

    Args:
        language: one of `languages()`; `zh` is the same as `zh-Hans`.

    Raises:
        WordingError: a file cannot be read, says something twice, or names words that do not exist.
    """
    folder = SIMPLIFIED if language == "zh" else language
    if folder not in languages():
        raise WordingError(f"{language}: expected one of {', '.join(languages())}")
    lines: dict[str, str] = {}
    for each in dict.fromkeys([next_to(folder), folder]):
        lines |= lines_of(FOLDER / each)
    return read(lines)


def lines_of(folder: Path) -> dict[str, str]:
    """The entries of a language's files, as they stand there; what is untranslated or doubtful (fuzzy) is left out.

    Raises:
        WordingError: a file cannot be read, or an entry stands in two.
    """
    lines: dict[str, str] = {}
    for file in sorted(folder.glob("*.po")):
        with file.open("rb") as f:
            try:
                entries = list(read_po(f, charset="utf-8", abort_invalid=True))
            except (PoFileError, UnicodeDecodeError) as error:
                raise WordingError(f"{folder.name}/{file.name}: expected a .po file, {error}") from error
        for entry in entries:
            if entry.id and entry.string and not entry.fuzzy:
                key = str(entry.id)
                if key in lines:
                    raise WordingError(f"{folder.name}/{file.name}: {key}: expected a key that stands nowhere else")
                lines[key] = str(entry.string)
    return lines


def read(lines: Mapping[str, str]) -> Tables:
    """Tables of the entries, with every reference replaced by the words it stands for."""
    tables: dict[str, dict[str, str]] = {}
    for path in lines:
        table, _, key = path.partition(".")
        tables.setdefault(table, {})[key] = _words(lines, path, ())
    return tables


def _words(lines: Mapping[str, str], path: str, asked_by: tuple[str, ...]) -> str:
    line = lines.get(path)
    if path in asked_by or line is None:
        raise WordingError(f"{asked_by[-1] if asked_by else path}: expected words, or the key of some, got `{path}`")
    return _INSIDE.sub(lambda it: _words(lines, it[1], (*asked_by, path)), line)


def knows(key: str) -> bool:
    """Whether there are words of this key, `table.key`."""
    table, _, name = key.partition(".")
    return name in catalogue(SIMPLIFIED).get(table, {})


def word(key: str, language: str, *values: object) -> str:
    """The words of a key, `table.key`, with the values that they name by their place.

    Raises:
        KeyError: there are none.
    """
    table, _, name = key.partition(".")
    tables = catalogue(language)
    text = tables[table][name]
    if values and tables["language"]["direction"] == "rtl":
        values = tuple(f"{_ISOLATE}{it}{_POP}" for it in values)
    return text.format(*values) if values else text
