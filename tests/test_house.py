"""The house stays one in which a stranger finds the room: sizes, first level, who may name a key."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
_MOST_LINES = 300
_MOST_ENTRIES = 16


def _modules(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (REPO / folder).rglob("*.py"))


def test_no_module_is_longer_than_somebody_reads_at_once() -> None:
    long = {
        str(file.relative_to(REPO)): lines
        for file in _modules("server", "loadtests")
        if (lines := len(file.read_text("utf-8").splitlines())) > _MOST_LINES
    }
    assert not long, "split these by meaning"


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


def _other_tests(tree: ast.Module) -> list[str]:
    """Of what a module imports, the tests and what only pytest imports; what several share stands in tests/support."""
    named = [
        f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    ]
    named += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    return [name for name in named if _in_a_test(name.split("."))]


def _in_a_test(parts: list[str]) -> bool:
    files = [REPO.joinpath(*parts[:count]).with_suffix(".py") for count in range(2, len(parts) + 1)]
    return parts[0] == "tests" and any(
        file.is_file() and (file.stem == "conftest" or file.stem.startswith("test_")) for file in files
    )


@pytest.mark.parametrize("file", _modules("tests"), ids=lambda file: str(file.relative_to(REPO)))
def test_no_test_imports_another(file: Path) -> None:
    assert _other_tests(ast.parse(file.read_text("utf-8"))) == []


def test_the_search_for_who_imports_tests_finds_them() -> None:
    for line in (
        "from tests.web.test_codes import ask",
        "from tests.web import test_codes",
        "import tests.web.test_codes",
        "from tests.conftest import jiaohao",
    ):
        assert _other_tests(ast.parse(line)) != [], line
    assert _other_tests(ast.parse("from tests.support.serving import test_settings")) == []


def test_a_room_of_the_server_has_its_tests_in_one_of_its_name() -> None:
    rooms = {each.name for each in (REPO / "server").iterdir() if (each / "__init__.py").exists()}
    tests = {each.name for each in (REPO / "tests").iterdir() if (each / "__init__.py").exists()}
    assert tests - {"support", "broken", "browser", "loadtests"} <= rooms
    assert [file.name for file in (REPO / "tests").glob("test_*.py")] == ["test_house.py"]


def _reached_by_name(tree: ast.Module) -> set[str]:
    """What looks something up by a name made at run time, or keeps it in a module."""
    calls = {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    } & {"getattr", "setattr", "delattr", "globals", "eval", "exec"}
    return calls | {"global" for node in ast.walk(tree) if isinstance(node, ast.Global)}


@pytest.mark.parametrize("file", _modules("server"), ids=lambda file: str(file.relative_to(REPO)))
def test_nothing_is_reached_by_a_name_made_at_run_time_or_kept_in_a_module(file: Path) -> None:
    assert not _reached_by_name(ast.parse(file.read_text("utf-8")))


def test_the_search_for_names_made_at_run_time_finds_them() -> None:
    code = "def f(a, b):\n    global g\n    g = getattr(a, b)\n"
    assert _reached_by_name(ast.parse(code)) == {"getattr", "global"}
