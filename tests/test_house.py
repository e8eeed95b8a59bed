"""The house stays one in which a stranger finds the room: sizes, first level, who may name a key."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
_MOST_ENTRIES = 16


def _modules(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (REPO / folder).rglob("*.py"))


def test_the_servers_first_level_is_seen_at_a_glance() -> None:
    entries = {each.name for each in (REPO / "server").iterdir()} - {"__pycache__"}
    assert 0 < len(entries) <= _MOST_ENTRIES, sorted(entries)


def _names_keys(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "server.core.keys"
        and any(name.name == "key" for name in node.names)
        for node in ast.walk(tree)
    )


def _is_a_store(file: Path) -> bool:
    return file.name.endswith("store.py") or file.parent == REPO / "server" / "store"


@pytest.mark.parametrize("file", _modules("server"), ids=lambda file: str(file.relative_to(REPO)))
def test_a_key_is_built_in_a_store_and_nowhere_else(file: Path) -> None:
    assert not _names_keys(ast.parse(file.read_text("utf-8"))) or _is_a_store(file)


def test_the_search_for_who_builds_keys_finds_them() -> None:
    stores = [file for file in _modules("server") if _is_a_store(file)]
    assert sum(_names_keys(ast.parse(file.read_text("utf-8"))) for file in stores) >= 8
