"""Scenarios by name: each is a module here, whose docstring begins with the question that it answers.

A module has `SETTINGS`, values of `loadtests.run.options.Options` that whoever runs it may override, and may have
`runs(options)`, where one run does not answer the question.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from loadtests.run.options import Options

CITIES = Path(__file__).resolve().parent.parent / "cities"
DEFAULT_SCENARIO = "opening"


@dataclass(frozen=True)
class Scenario:
    """A scenario, by its module."""

    name: str
    module: ModuleType

    @property
    def question(self) -> str:
        """What it answers, in a line."""
        return (self.module.__doc__ or "").strip().splitlines()[0]

    def options(self, given: dict[str, Any]) -> Options:
        """Its settings, and over them those that were given."""
        return Options(**(self.module.SETTINGS | given), scenario=self.name)

    def runs(self, given: dict[str, Any]) -> list[Options]:
        """What to run, one after the other."""
        options = self.options(given)
        several = getattr(self.module, "runs", None)
        return list(several(options)) if several is not None else [options]


def names() -> list[str]:
    """All scenarios."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def load(name: str) -> Scenario:
    """The scenario of this name.

    Raises:
        KeyError: there is none.
    """
    if name not in names():
        raise KeyError(name)
    return Scenario(name, import_module(f"{__name__}.{name.replace('-', '_')}"))
