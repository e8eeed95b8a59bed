"""A page's script put together: it goes out as one file, whatever pieces it is written in, so that none is waited for.

A script is an ES module in pages/; what it imports from a folder there (common/, desk/, ...) becomes part of it, each
piece once and before whoever needs it. What it imports of another script of pages/ stays an import.
"""

import re
from pathlib import Path

_IMPORT = re.compile(r'^import (\{[^}]*\}|\* as \w+) from "(\.{1,2}/[\w/-]+\.js)";\n', re.MULTILINE)
_PASSED_ON = re.compile(r'^export (\{[^}]*\}) from "(\.{1,2}/[\w/-]+\.js)";\n', re.MULTILINE)
_COMMENT = re.compile(r"^\s*//.*\n", re.MULTILINE)  # for who reads the source: a fifth of a script's bytes
_EXPORT = re.compile(r"^export (?:\{[^}]*\};\n|(?=const |let |function |async function ))", re.MULTILINE)


def joined(script: Path) -> str:
    """A script of pages/ with all its pieces."""
    return _Joined(script).text


def without_comments(text: str) -> str:
    """A script without its lines of comment."""
    return _COMMENT.sub("", text)


class _Joined:
    def __init__(self, script: Path) -> None:
        self._script = script.resolve()
        self._seen = set[Path]()
        self._outside: dict[str, set[str]] = {}
        self._pieces: list[str] = []
        own = self._without_imports(script)
        own = _PASSED_ON.sub(lambda it: self._passed_on(script, it), own)
        outside = [f'import {self._names(names)} from "./{name}";\n' for name, names in self._outside.items()]
        self.text = "".join([*outside, *self._pieces, own])

    def _without_imports(self, file: Path) -> str:
        return _IMPORT.sub(lambda it: self._imported(file, it), file.read_text(encoding="utf-8"))

    def _imported(self, file: Path, it: re.Match[str]) -> str:
        target = (file.parent / it[2]).resolve()
        if target.parent != self._script.parent:
            self._piece(target)
        elif target != self._script:
            found = [name.strip() for name in it[1].strip("{}").split(",")]
            self._outside.setdefault(target.name, set()).update(name for name in found if name)
        return ""

    def _passed_on(self, file: Path, it: re.Match[str]) -> str:
        self._piece((file.parent / it[2]).resolve())
        return f"export {it[1]};\n"

    def _piece(self, file: Path) -> None:
        if file not in self._seen:
            self._seen.add(file)
            text = self._without_imports(file)
            self._pieces.append(_EXPORT.sub("", text))

    @staticmethod
    def _names(names: set[str]) -> str:
        whole = sorted(name for name in names if name.startswith("*"))
        return whole[0] if whole else f"{{ {', '.join(sorted(names))} }}"
