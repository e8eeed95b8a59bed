"""Messages that reached nobody: which of them matter, and how a dead letter is sent after all."""

from typing import Final, NamedTuple

from server.core.message_kinds import KINDS
from server.messages.store import OutboxStore
from server.records.message import DeadLetter
from server.records.registration import MessageState, MessageWhy, Registration
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader

KINDS_CALLED: Final = frozenset(name for name, kind in KINDS.items() if kind.matters)
"""Whoever does not get a message of these kinds is called by an operator."""

_FAILED: Final = frozenset({"undelivered", "refused", "unsent"})


class Missed(NamedTuple):
    """A message that has not arrived: its kind, what became of it, when in ms, and why where that is known.

    `why`: `too-late`, `opted-out` or `too-many` of one that was not sent; `unknown` of one of which the provider does
    not know, or not in words that we do.
    """

    kind: str
    outcome: MessageState
    at_ms: int
    why: MessageWhy | None


def failed(registration: Registration | None) -> list[Missed]:
    """A registration's messages that matter and have not arrived; none where there is no registration."""
    told = sorted(registration.messages.items()) if registration else []
    return [
        Missed(kind, it.state, it.told_ms, it.why) for kind, it in told if kind in KINDS_CALLED and it.state in _FAILED
    ]


async def put_back(connection: Connection, district: str, pointer: str, letter: DeadLetter) -> None:
    """Let a dead letter's message be sent after all.

    In this order what a crash leaves is still a dead letter, and doing it again finishes the work: a pointer too many
    does no harm.
    """
    await OutboxStore(connection).unshelve_message(letter.resident, letter.seq)
    await Pointers(connection).write_pointers([(district, letter.resident)])
    kept = await RegistrationReader(connection).registration(letter.resident)
    if kept is not None and kept.no == letter.no and all(missed.kind == letter.kind for missed in failed(kept)):
        await OutboxStore(connection).forget_call(district, letter.no)  # it is noted again if it fails again
    await OutboxStore(connection).forget_dead_letter(district, pointer)
