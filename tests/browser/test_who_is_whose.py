"""Tests that share a server share no resident: any of them may come first, and find what another has left."""

import ast
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.support.serving import TIANHE

HERE = Path(__file__).parent


def _shares_a_server(function: ast.FunctionDef) -> bool:
    return "morning" in {argument.arg for argument in function.args.args}


def _values(what: ast.expr, function: ast.FunctionDef, module: dict[str, Any]) -> list[Any]:
    """What an argument can be: itself, the module's, what a loop gives it, or a column of `parametrize`."""
    if isinstance(what, ast.Constant):
        return [what.value]
    name = ast.unparse(what)
    if name in module:
        return [module[name]]
    for node in ast.walk(function):
        if isinstance(node, ast.For) and ast.unparse(node.target) == name:
            return list(ast.literal_eval(node.iter))
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and name in ast.literal_eval(mark.args[0]):
            column = ast.literal_eval(mark.args[0]).index(name)
            return [case[column] for case in ast.literal_eval(mark.args[1])]
    raise AssertionError(f"{function.name}: who is {name}?")


def _residents(file: Path) -> list[tuple[str, str, int]]:
    """(test, district, index) of each demo resident in the tests of a module that share the morning's server."""
    module = vars(import_module(f"tests.browser.{file.stem}"))
    return [
        (f"{file.stem}.{function.name}", district, index)
        for function in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(function, ast.FunctionDef) and _shares_a_server(function)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "demo"
        for district in (_values(call.args[1], function, module) if len(call.args) > 1 else [TIANHE])
        for index in _values(call.args[0], function, module)
    ]


def test_no_two_tests_of_one_server_are_about_the_same_resident() -> None:
    tests = defaultdict(set)
    for file in sorted(HERE.glob("test_*.py")):
        for test, district, index in _residents(file):
            tests[district, index].add(test)
    assert len(tests) > 20, "they are found"
    assert not {who: names for who, names in tests.items() if len(names) > 1}
