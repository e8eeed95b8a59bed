"""An act of a desk or a helper that concerns one resident, as the day's `acts` have it."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from server.records.statuses import Statuses, flag, words

AssistStatus = Literal["taken", "again", "full", "all_full", "slow", "all_slow"]
ASSIST: Final[Statuses[AssistStatus]] = words("assist", AssistStatus)
UNASSIST: Final = flag("unassist")
NOTE_HELP: Final = flag("note_help")

Consent = Literal["self", "family", "phone"]
"""Who said yes to being helped: the resident, a relative for them, or the resident in a recorded call."""
HelpKind = Literal["join", "register"]
"""What of a helper's doing stands in a resident's history."""
LookUpKind = Literal["look-up", "id-search"]
"""How a desk came upon a person's full name: by the registration number, or by the papers."""


class Act(NamedTuple):
    """Who did what, when, and with whose registration; "" where there is none.

    `site`: a desk's. `consent`: of a helper's join. `why`: the refusal's code, where nothing came of it.
    """

    at_ms: int
    actor: str
    act: str
    site: str = ""
    no: str = ""
    consent: str = ""
    why: str = ""

    @classmethod
    def unpack(cls, fields: Mapping[str, str]) -> "Act":
        """A line of the stream."""
        return cls(int(fields["at_ms"]), *(fields.get(name, "") for name in cls._fields[1:]))
