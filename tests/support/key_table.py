"""The key table of `lua/README.md`, as tests hold records to it."""

import re
from pathlib import Path

_README = Path(__file__).resolve().parents[2] / "lua" / "README.md"
_in_parentheses = re.compile(r"\([^()]*\)")
_names = re.compile(r"`([a-z_]+(?::KIND)?)`")


def fields_of_hash(kind: str) -> set[str]:
    """The names that the table "Fields of `kind`" has for a hash's fields."""
    _, _, after = _README.read_text("utf-8").partition(f"\nFields of `{kind}`")
    lines = after.split("\n\n")[1].splitlines()
    assert lines[0].startswith("|") and set(lines[1]) <= {"|", "-"}, kind
    columns = [name.strip() for name in lines[0].strip("|").split("|")]
    # Of a night a step's time, and what else it notes; else a name, what it means, and who writes it.
    named = (1, 2) if columns == ["step", "noted", "fields"] else (0,)
    found = []
    for line in lines[2:]:
        cells = line.strip().strip("|").split("|")
        found += [name for n in named for name in _names.findall(_in_parentheses.sub("", cells[n]))]
    assert len(found) == len(set(found)), f"{kind}: a field stands twice"
    return set(found)


def what_a_key_holds(kind: str) -> set[str]:
    """The names in the column `holds` of the row of a key."""
    (row,) = [line for line in _README.read_text("utf-8").splitlines() if line.startswith(f"| `{kind}:{{tag}}`")]
    return set(_names.findall(row.replace("\\|", "/").strip("|").split("|")[2]))
