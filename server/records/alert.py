"""What the holder of a place is told of its call: what the scripts answer, and one such message that is due."""

from typing import Final, Literal, NamedTuple, cast, get_args

from server.core.errors import BrokenRecord
from server.records.statuses import Statuses, words

AskStatus = Literal["asked", "withdrawn", "called", "full", "other", "ended", "absent"]
OweStatus = Literal["owed", "again"]
AlertedStanding = Literal["waiting", "ready", "claimed", "lapsed", "used", "missed", "left", "lost", "absent"]
MoreTimeOutcome = Literal[
    "extended", "ready", "waiting", "claimed", "lapsed", "used", "missed", "left", "lost", "absent"
]
AlertKind = Literal["near", "turn", "missed", "uncalled"]

ASK_ALERTS: Final[Statuses[AskStatus]] = words("ask_alerts", AskStatus)
START_CLAIM: Final[Statuses[AlertedStanding]] = words("start_claim", AlertedStanding, "standing")
MORE_TIME: Final[Statuses[MoreTimeOutcome]] = words("more_time", MoreTimeOutcome, "outcome")
OWE_ALERT: Final[Statuses[OweStatus]] = words("owe_alert", OweStatus)

_KEY_BYTES = 16


class DueAlert(NamedTuple):
    """A message about a call that is due.

    `what`: as the store has it in hand; `until_ms`: until when the place may be claimed, 0 where nobody asks.
    """

    what: str
    kind: AlertKind
    entry: int
    number: int
    until_ms: int
    resident: bytes
    lang: str

    @classmethod
    def unpack(cls, what: bytes, whose: bytes) -> "DueAlert":
        """As `due_alerts` answers.

        Raises:
            BrokenRecord: it is none.
        """
        try:
            kind, entry, number, until_ms = what.decode().split(":")
            if kind not in get_args(AlertKind) or len(whose) <= _KEY_BYTES:
                raise ValueError
            resident, lang = whose[:_KEY_BYTES], whose[_KEY_BYTES:].decode()
            return cls(what.decode(), cast(AlertKind, kind), int(entry), int(number), int(until_ms), resident, lang)
        except ValueError:
            raise BrokenRecord("alert", "all of it") from None


class DueAlerts(NamedTuple):
    """What is due in an opening, and the entries whose numbers the store asks for."""

    now_ms: int
    unnumbered: list[int]
    due: list[DueAlert]
