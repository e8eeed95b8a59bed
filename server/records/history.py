"""The history of a resident's registrations, which is their audit log."""

from typing import NamedTuple

import msgspec

from server.core.errors import BrokenRecord


class HistoryEvent(NamedTuple):
    """A line of a resident's history; `state`: what the registration came to, or what was done to it."""

    at_ms: int
    no: str
    state: str
    actor: str
    why: str


class History(NamedTuple):
    """What happened to a resident's registrations, how many no-shows were charged, and whether these barred them."""

    events: list[HistoryEvent]
    no_shows: int
    barred: bool


_event = msgspec.json.Decoder(HistoryEvent)


def decode_event(line: bytes) -> HistoryEvent:
    """A line as the scripts write it (`note` in `lua/prelude.lua`).

    Raises:
        BrokenRecord: it is none.
    """
    try:
        return _event.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BrokenRecord("history", "a line") from None
