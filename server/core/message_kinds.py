"""Every kind of message to a resident: the one table that all else follows from.

A new kind is a line here, its words (`server/core/wording/`: its text in `sms.po` of both languages, its name in each
language's `messages.po`), the script that owes it, and a test.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Moment = Literal["cancel_before", "begins", "ends"]
"""Of an appointment: when the time to cancel it is over, when it begins, when it ends."""

TOLD: Final = "told"
"""Worth sending until the moment that the message itself names; the city file has no say in it."""

CODE: Final = "code"
"""The one-time code: a text like the others, but owed to nobody and sent at once."""


class MessageKind(NamedTuple):
    """What holds for a kind of message.

    Args:
        must: what its text has to say, and so names in braces.
        may: what its text may say beside that.
        ends: until when it is worth sending unless the city file says otherwise: hours after its event, or a moment of
            its appointment; `TOLD`: until the moment that it names. A code ends when it expires.
        matters: whoever does not get it is called by an operator, and it waits for its turn; what only confirms is left
            out where a phone gets too many.
        late: what its other text has to say, the one that goes once the time to cancel is over; None: it has none.
        true_while: until when it is true: always, while the registration has the appointment (`held`), while the
            resident is barred, or while their place is to be called (`waiting`) or may be claimed (`ready`).
    """

    must: tuple[str, ...]
    ends: int | Moment | Literal["told"]
    matters: bool = False
    may: tuple[str, ...] = ("name", "no")
    late: tuple[str, ...] | None = None
    true_while: Literal["always", "held", "barred", "waiting", "ready"] = "always"


_WHEN_AND_WHERE = ("date", "time", "site")
_WHO_AND_HERE = ("name", "here")

KINDS: Final[Mapping[str, MessageKind]] = {
    "registered": MessageKind(("no",), 36, may=("name",)),
    "allotted": MessageKind((*_WHEN_AND_WHERE, "cancel_before"), "begins", matters=True, late=_WHEN_AND_WHERE),
    "waiting": MessageKind(("reached",), 36),
    "reminder": MessageKind(
        (*_WHEN_AND_WHERE, "cancel_before"),
        "begins",
        matters=True,
        late=_WHEN_AND_WHERE,
        true_while="held",
    ),
    "corrected": MessageKind(("first_dose",), 168),
    "cancelled": MessageKind(("no",), 36, may=("name",)),
    "closed": MessageKind(_WHEN_AND_WHERE, "ends", matters=True),
    "barred": MessageKind((), 168, matters=True, true_while="barred"),
    "near": MessageKind(("number", "from", "until"), TOLD, may=_WHO_AND_HERE, true_while="waiting"),
    "turn": MessageKind(("number", "until"), TOLD, may=_WHO_AND_HERE, true_while="ready"),
    "missed": MessageKind(("number", "until"), TOLD, may=_WHO_AND_HERE),
    "uncalled": MessageKind(("number",), TOLD, may=_WHO_AND_HERE),
}


class Placeholders(NamedTuple):
    """What a text has to name in braces, and what it may."""

    must: tuple[str, ...]
    may: tuple[str, ...]


def texts() -> dict[str, Placeholders]:
    """The texts that there are, by name: the code's, each kind's, and `KIND_late` of those that have another one."""
    found = {CODE: Placeholders(("code", "minutes"), ())}
    for name, kind in KINDS.items():
        found[name] = Placeholders(kind.must, kind.may)
        if kind.late is not None:
            found[f"{name}_late"] = Placeholders(kind.late, kind.may)
    return found
