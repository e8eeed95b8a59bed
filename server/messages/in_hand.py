"""A message that a sender has in hand, and what became of it."""

from collections.abc import Sequence
from typing import NamedTuple

from server.records.message import Message, Next, Pointer, SendOutcome, Sent


class InHand(NamedTuple):
    """A message in hand: what led to it, and until when (the loop's time) it may be handed over."""

    pointer: Pointer
    found: Next
    deadline: float

    @property
    def message(self) -> Message:
        """What is to be sent."""
        assert self.found.message is not None  # noqa: S101  (there is one)
        return self.found.message

    @property
    def mark(self) -> tuple[str, int, float, str]:
        """What tells it from all others; with its event: numbers begin anew where nothing is owed any more."""
        return self.pointer.name, self.found.seq, self.message.at_ms, self.message.kind

    def sent(self) -> Sent:
        """What is noted of it."""
        pointer, message = self.pointer, self.message
        return Sent(pointer.resident, pointer.entry.district, message.no, message.kind, int(message.at_ms))


class Answer(NamedTuple):
    """What became of a message; `why` of one that is not sent; `is_latest`: it is about the latest registration."""

    outcome: SendOutcome
    why: str = ""
    is_latest: bool = True
    ids: Sequence[str] = ()
    phone: bytes = b""
    at_ms: int = 0
