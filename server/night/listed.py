"""The list of a district's night: how it is kept when it is frozen, and in columns."""

import zlib
from array import array
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Final

import msgspec
import structlog

from server.core.errors import SetupError
from server.fairness.allotment import Candidate, Candidates
from server.fairness.line_numbers import TRIES, LineNumbers

log = structlog.get_logger()

RESIDENT_BYTES: Final = 16


class ListedWaiting(msgspec.Struct, array_like=True):
    """A registration on the list, and whose it is; dates as YYYY-MM-DD, "" = none."""

    no: str
    resident: bytes
    first_dose: str
    product: str
    wishes: list[tuple[str, str]]
    any_site: bool
    not_before: str
    sent_back: bool
    together: str
    reserves: int = 0

    def candidate(self) -> Candidate:
        """What goes into the allotment."""
        return Candidate(
            self.no,
            _day(self.first_dose),
            self.product if self.first_dose else "",
            self.wishes,
            self.any_site,
            _day(self.not_before),
            self.sent_back,
            self.together or None,
            self.reserves,
        )


class Listed:
    """The list in columns: candidates, and in the same order `residents`, 16 bytes each, and registration numbers.

    Args:
        periods: of the day, as in the night's rules.
    """

    def __init__(self, periods: Sequence[str]) -> None:
        self.people = Candidates(periods=periods)
        self.residents = bytearray()
        self._numbers: array[int] | None = None

    def add(self, part: Sequence[ListedWaiting]) -> None:
        """Add all but the damaged registrations, which keep nobody else from a slot."""
        try:
            self.people.extend([waiting.candidate() for waiting in part])
        except ValueError:
            self._add_the_others(part)
        else:
            self.residents += b"".join([waiting.resident for waiting in part])

    def _add_the_others(self, part: Sequence[ListedWaiting]) -> None:
        for waiting in part:
            try:
                self.people.add(waiting.candidate())
            except ValueError as error:
                log.error("registration left out of the night", why=str(error))
            else:
                self.residents.extend(waiting.resident)

    def resident(self, index: int) -> bytes:
        """Whose registration it is."""
        return bytes(self.residents[RESIDENT_BYTES * index : RESIDENT_BYTES * (index + 1)])

    def no(self, index: int) -> str:
        """Its number, also where the candidates are called by those of their lines."""
        return f"{(self.people.no if self._numbers is None else self._numbers)[index]:015d}"

    def hide(self, numbers: LineNumbers, tag: str) -> None:
        """Call the candidates by the numbers of their lines in a night with reserves; the same every time.

        Raises:
            SetupError: there are two alike whatever is tried.
        """
        self._numbers, relatives = self.people.no, self.people.together
        for attempt in range(TRIES):
            found = numbers.numbers(tag, self._numbers, attempt)
            if len(set(found)) == len(found):
                theirs = numbers.numbers(tag, relatives.values(), attempt)
                self.people.renumber(found, dict(zip(relatives, theirs, strict=True)))
                return
        raise SetupError(f"the night {tag} cannot be numbered: is a registration listed twice?")


_encode = msgspec.msgpack.Encoder().encode
_part = msgspec.msgpack.Decoder(list[ListedWaiting])


def pack(part: Sequence[ListedWaiting]) -> bytes:
    """A part of the list as it is kept."""
    return zlib.compress(_encode(part), 1)


def unpack(data: bytes) -> list[ListedWaiting]:
    """A part that was kept."""
    return _part.decode(zlib.decompress(data))


@lru_cache(maxsize=4096)
def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
