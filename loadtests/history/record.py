"""Calls and what they were told, as a rehearsal writes them down: 40 bytes each, in the order of their answers.

Times are milliseconds from the opening. A call whose answer never came ends at `OPEN`: it may have been done at any
time from when it was sent, or never.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

OPEN = (1 << 31) - 1
"""When a call ended that nobody was told the end of."""
UNTOLD = -1
"""An entry, time or number that an answer does not have."""
_LAYOUT = Struct("<IiiBBBBiQiII")
RECORD_BYTES = _LAYOUT.size
SERVING_BITS = 32
_SERVING_MASK = (1 << SERVING_BITS) - 1


class Kind(IntEnum):
    """What was asked for."""

    JOIN = 0
    POLL = 1
    LOOK = 2  # at the public answer, by one who waits
    LEAVE = 3
    CLAIM = 4
    REGISTER = 5
    READ = 6  # the registration, by its receipt
    AMEND = 7
    CANCEL = 8


class Outcome(IntEnum):
    """What became of it."""

    FIRST = 0  # 201: done by this very call
    DONE = 1  # 200 or 204: done, or told
    UNKNOWN = 2  # no answer, or one that does not say whether it was done (5xx)
    REFUSED = 3  # any refusal that says nothing of the resident's own state
    NOT_YOUR_TURN = 4
    EXPIRED = 5
    USED = 6
    ENDED = 7
    ALREADY_REGISTERED = 8
    NOT_FOUND = 9


class Told(IntEnum):
    """The state that an answer named, of a place or of a registration."""

    NOTHING = 0
    DRAWING = 1
    WAITING = 2
    READY = 3
    CLAIMED = 4
    MISSED = 5
    LEFT = 6
    ENDED = 7
    PROPOSED = 8
    CANCELLED = 9
    OTHER = 10  # the night's and the desk's: nobody comes to one in a rehearsal


class Flag(IntEnum):
    """What else is to be known of a call."""

    SENT_TWICE = 1  # a kept connection had ended: the first sending may have been done, and nobody heard
    BY_A_BOT = 2  # with the resident's own ticket or pass


class CallRecord(NamedTuple):
    """One call.

    Attributes:
        who: the resident, whoever sent it.
        entry: the place it was about, or that a join was told.
        value: of a place: number << 32 | serving, each 0 where untold; of a registration: its number.
        extra: until when to claim, or the pass's expiry; of a look: when its answer was made.
        sent: of wishes: a mark of those that were sent.
        shown: a mark of the wishes, or of the pass, that the answer showed; 0 where it showed none.
    """

    who: int
    called_ms: int
    returned_ms: int
    kind: int
    outcome: int
    told: int
    flags: int
    entry: int
    value: int
    extra: int
    sent: int
    shown: int

    @property
    def number(self) -> int:
        """Return the number that was told; 0 where none was."""
        return self.value >> SERVING_BITS

    @property
    def serving(self) -> int:
        """Return the highest number called that was told."""
        return self.value & _SERVING_MASK


def place_value(number: int | None, serving: int) -> int:
    """Return what a record holds of a number and of how far the calls had come."""
    return (number or 0) << SERVING_BITS | serving


class History:
    """A history is all calls of a run, of any number of residents."""

    def __init__(self) -> None:
        self._records = bytearray()

    def __len__(self) -> int:
        """Count the calls."""
        return len(self._records) // RECORD_BYTES

    def add(  # by position: this is done for every request
        self, who: int, called_ms: int, returned_ms: int, kind: int, outcome: int, told: int = 0, flags: int = 0,
        entry: int = UNTOLD, value: int = 0, extra: int = UNTOLD, sent: int = 0, shown: int = 0,
    ) -> None:  # fmt: skip
        """Write a call down."""
        self._records += _LAYOUT.pack(
            who, called_ms, returned_ms, kind, outcome, told, flags, entry, value, extra, sent, shown
        )

    def encoded(self) -> bytes:
        """Return the calls, for another process to `take_in`."""
        return bytes(self._records)

    def take_in(self, encoded: bytes) -> None:
        """Add the calls that another process wrote down.

        Raises:
            ValueError: these are no whole records.
        """
        if len(encoded) % RECORD_BYTES:
            raise ValueError(f"records of {RECORD_BYTES} bytes: {len(encoded)} are no number of these")
        self._records += encoded

    def __iter__(self) -> Iterator[CallRecord]:
        """Return all calls in the order in which they were written down."""
        return map(CallRecord._make, self.plain())

    def plain(self) -> Iterator[tuple[int, ...]]:
        """Return all calls as plain tuples, in the order of `CallRecord`: three times as fast."""
        return _LAYOUT.iter_unpack(self._records)

    def at(self, index: int) -> CallRecord:
        """Return one call."""
        return CallRecord._make(_LAYOUT.unpack_from(self._records, index * RECORD_BYTES))

    def span_ms(self) -> tuple[int, int]:
        """Say when the first call was sent, and the last one answered; from 0 to 0 where there is none."""
        sent, answered = 0, 0
        for _, called_ms, returned_ms, *_ in self.plain():
            if called_ms < sent:
                sent = called_ms
            if answered < returned_ms < OPEN:
                answered = returned_ms
            elif called_ms > answered:
                answered = called_ms
        return sent, answered

    def by_resident(self, residents: int) -> Iterator[list[CallRecord]]:
        """Return the calls of each resident who made any, in the order in which they were sent."""
        latest, before = array("i", [-1]) * residents, array("i")
        for at, (who, *_) in enumerate(self.plain()):
            before.append(latest[who])
            latest[who] = at
        unpack, make, records = _LAYOUT.unpack_from, CallRecord._make, self._records
        for at in latest:
            if at >= 0:
                calls = []
                while at >= 0:
                    calls.append(make(unpack(records, at * RECORD_BYTES)))
                    at = before[at]
                calls.reverse()
                calls.sort(key=_sent)
                yield calls


def _sent(call: CallRecord) -> int:
    return call.called_ms
