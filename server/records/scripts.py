"""The closed sets of all scripts together."""

from typing import Any, Final

from server.records import acts, alert, message, night, opening, promise, registration_changes, slot
from server.records.statuses import Statuses

ALL: Final[tuple[Statuses[Any], ...]] = tuple(
    it
    for of in (alert, opening, promise, registration_changes, slot, message, night, acts)
    for it in vars(of).values()
    if isinstance(it, Statuses)
)
"""Those of all scripts."""

SCRIPTS: Final = sorted({it.script for it in ALL} | {"check_papers"})
"""The scripts that answer with one of a closed set; `check_papers` with numbers, of which it has given a meaning to all
but one."""
