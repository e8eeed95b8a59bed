"""Scenarios by name: each is a module here, whose docstring begins with the question that it answers.

A module has one `SCENARIO`: its settings, values of `loadtests.run.options.Options` that whoever runs it may override,
and how to ask where one run does not answer the question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from loadtests.run.options import Options

CITIES = Path(__file__).resolve().parent.parent / "cities"
DEFAULT_SCENARIO = "opening"


def _once(options: Options) -> Iterable[Options]:
    return (options,)


@dataclass(frozen=True)
class Scenario:
    """A question, and how to ask it.

    Attributes:
        doc: the docstring of its module.
        settings: in place of the defaults of `Options`.
        each: what to run, one after the other, where it is not these options once.
    """

    name: str
    doc: str | None
    settings: Mapping[str, Any]
    each: Callable[[Options], Iterable[Options]] = _once

    @property
    def question(self) -> str:
        """Say what it answers, in a line."""
        return (self.doc or "").strip().splitlines()[0]

    def options(self, given: Mapping[str, Any]) -> Options:
        """Its settings, and over them those that were given."""
        return Options(**{**self.settings, **given}, scenario=self.name)

    def runs(self, given: Mapping[str, Any]) -> list[Options]:
        """Say what to run, one after the other."""
        return list(self.each(self.options(given)))


def names() -> list[str]:
    """Return the names of all scenarios."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def load(name: str) -> Scenario:
    """Return the scenario of this name.

    Raises:
        KeyError: there is none.
    """
    if name not in names():
        raise KeyError(name)
    scenario: Scenario = import_module(f"{__name__}.{name.replace('-', '_')}").SCENARIO
    return scenario
