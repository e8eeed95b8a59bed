"""Loads the Lua scripts; a script's header is the one description of its keys and arguments."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

LUA_DIR = Path(__file__).resolve().parents[2] / "lua"
_LINE = re.compile(r"^-- (KEYS|ARGV)\[(\d+)(\.\.)?\]\s+(\w+)\s+(\w+)\s+\S")


class Beside(NamedTuple):
    """Keys of one tag, but for those of one kind, which are under another tag of the same cluster slot."""

    tag: str
    kind: str
    other: str


Tags: TypeAlias = str | Beside | Sequence[str]
"""Under which tags a script's keys are; a sequence is of several people, for a script whose keys repeat."""


class Script(msgspec.Struct, frozen=True):
    """A script as the store runs it.

    `keys`: the kind of each key, in order (`opening`, `places`, ...).
    `args`: the names of its arguments; `variadic` when the last one repeats. `repeats`: a standalone server may be
    given the same keys of several tags.
    """

    name: str
    text: str
    sha: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    variadic: bool
    repeats: bool = False

    def takes(self, count: int) -> bool:
        """Whether the script can be called with this many arguments."""
        return count >= len(self.args) - 1 if self.variadic else count == len(self.args)

    def names(self, tags: Tags) -> list[str]:
        """Its keys under these tags; as `server.core.keys.key`, which takes its time."""
        if isinstance(tags, str):
            return [f"{kind}:{{{tags}}}" for kind in self.keys]
        if isinstance(tags, Beside):
            return [f"{kind}:{{{tags.other if kind == tags.kind else tags.tag}}}" for kind in self.keys]
        return [f"{kind}:{{{tag}}}" for tag in tags for kind in self.keys]


def written(tags: Tags) -> str | None:
    """The tag of which the replicas are to have what is written; None where people are only looked up."""
    if isinstance(tags, Beside):
        return tags.tag
    return tags if isinstance(tags, str) else None


def parse(name: str, source: str, prelude: str) -> Script:
    """Read a script's header.

    Raises:
        ValueError: the header does not count its keys or arguments from 1 without gaps.
    """
    names: dict[str, list[str]] = {"KEYS": [], "ARGV": []}
    variadic = repeats = False
    for line in source.splitlines():
        if not line.startswith("--"):
            break
        if found := _LINE.match(line):
            table, index, dots, what, _ = found.groups()
            names[table].append(what)
            if int(index) != len(names[table]) or (variadic and table == "ARGV"):
                raise ValueError(f"{name}.lua: {table}[{index}] is out of order in the header")
            variadic = variadic or dots is not None
        repeats = repeats or line.startswith("-- KEYS repeat: ")
    text = prelude + "\n" + source
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name, text, sha, tuple(names["KEYS"]), tuple(names["ARGV"]), variadic, repeats)


@cache
def load_scripts() -> dict[str, Script]:
    """All scripts by name; a script's file name is the name of the store's method."""
    prelude = (LUA_DIR / "prelude.lua").read_text()
    files = sorted(p for p in LUA_DIR.glob("*.lua") if p.name != "prelude.lua")
    return {p.stem: parse(p.stem, p.read_text(), prelude) for p in files}
