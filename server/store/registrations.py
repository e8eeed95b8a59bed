"""What every feature reads of a resident's registration; only a feature's own scripts write it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from server.core.errors import BrokenRecord
from server.core.keys import key, resident_tag
from server.records.history import History, decode_event
from server.records.registration import ReadRegistration, Registration, decode_registration
from server.records.registration_views import (
    LATEST_FIELDS,
    OPEN_FIELDS,
    WAITING_FIELDS,
    FieldValues,
    Latest,
    OpenRegistration,
    WaitingRegistration,
    decode_latest,
    decode_open,
    decode_waiting,
)
from server.store.connection import FeatureStore

T = TypeVar("T")


class RegistrationReader(FeatureStore):
    """Nothing here is a script: each is one command a resident, and none of them writes. Of many residents, one whose
    registration cannot be read is a `BrokenRecord` in its place."""

    async def registrations(self, residents: Sequence[bytes]) -> list[ReadRegistration]:
        """Each resident's latest registration."""
        answers = await self._connection.plain([("HGETALL", key("registration", resident_tag(r))) for r in residents])
        return self._connection.decode_each(answers, decode_registration)

    async def registration(self, resident: bytes) -> Registration | None:
        """The resident's latest registration; None where there is none.

        Raises:
            BrokenRecord: it cannot be read.
        """
        (answer,) = await self._connection.plain([("HGETALL", key("registration", resident_tag(resident)))])
        return self._connection.decode(answer, decode_registration)

    async def with_history(self, resident: bytes) -> tuple[Registration | None, History]:
        """The resident's latest registration, and what happened to all of them.

        Raises:
            BrokenRecord: one of them cannot be read.
        """
        tag = resident_tag(resident)
        registration, lines, count, stop = await self._connection.plain(
            [
                ("HGETALL", key("registration", tag)),
                ("LRANGE", key("history", tag), 0, -1),
                ("GET", key("no_shows", tag)),
                ("GET", key("stop", tag)),
            ]
        )
        events = [self._connection.decode(line, decode_event) for line in lines]
        history = History(events, int(count or 0), stop == b"barred")
        return self._connection.decode(registration, decode_registration), history

    async def numbers(self, residents: Sequence[bytes]) -> list[str]:
        """The number of each resident's latest registration; "" where there is none."""
        answers = await self._connection.plain(
            [("HGET", key("registration", resident_tag(r)), "no") for r in residents]
        )
        return [no.decode() if no else "" for no in answers]

    async def states(self, residents: Sequence[bytes]) -> list[Latest | BrokenRecord]:
        """How each resident's latest registration stands."""
        return await self._view(residents, LATEST_FIELDS, decode_latest)

    async def open_registrations(self, residents: Sequence[bytes]) -> list[OpenRegistration | BrokenRecord | None]:
        """Each resident's registration, where it is open."""
        return await self._view(residents, OPEN_FIELDS, decode_open)

    async def waiting(self, residents: Sequence[bytes]) -> list[WaitingRegistration | BrokenRecord | None]:
        """Each resident's registration, where it waits for a slot."""
        return await self._view(residents, WAITING_FIELDS, decode_waiting)

    async def _view(
        self, residents: Sequence[bytes], fields: Sequence[str], decode: Callable[[FieldValues], T]
    ) -> list[T | BrokenRecord]:
        answers = await self._connection.plain(
            [("HMGET", key("registration", resident_tag(r)), *fields) for r in residents]
        )
        return self._connection.decode_each(answers, decode)

    async def no_shows(self, residents: Sequence[bytes]) -> list[int]:
        """How many no-shows were charged to each."""
        return [
            int(n or 0)
            for n in await self._connection.plain([("GET", key("no_shows", resident_tag(r))) for r in residents])
        ]

    async def is_number_of(self, resident: bytes, no: str) -> bool:
        """Whether a registration number is, or was, this resident's."""
        tag = resident_tag(resident)
        latest, is_past = await self._connection.plain(
            [("HGET", key("registration", tag), "no"), ("SISMEMBER", key("past", tag), no)]
        )
        return bool(is_past) or latest == no.encode()
