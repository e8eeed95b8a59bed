"""What every feature reads of a resident's registration; only a feature's own scripts write it."""

from collections.abc import Sequence

import msgspec

from server.core.keys import key, resident_tag
from server.records.fields import fields_of
from server.records.registration import Life, Past
from server.store.connection import FeatureStore

_past = msgspec.json.Decoder(Past)


class RegistrationReader(FeatureStore):
    """Nothing here is a script: each is one command a resident, and none of them writes."""

    async def registrations(self, residents: Sequence[bytes]) -> list[dict[str, str]]:
        """The fields of each resident's latest registration; empty where there is none."""
        answers = await self._connection.plain([("HGETALL", key("registration", resident_tag(r))) for r in residents])
        return [fields_of(answer) for answer in answers]

    async def read_registrations(self, residents: Sequence[bytes], *names: str) -> list[list[str]]:
        """These fields of each resident's latest registration; "" for what it has not."""
        answers = await self._connection.plain(
            [("HMGET", key("registration", resident_tag(r)), *names) for r in residents]
        )
        return [[value.decode() if value else "" for value in answer] for answer in answers]

    async def registration(self, resident: bytes) -> dict[str, str]:
        """The fields of the resident's latest registration; empty where there is none."""
        return (await self.registrations([resident]))[0]

    async def no_shows(self, residents: Sequence[bytes]) -> list[int]:
        """How many no-shows were charged to each."""
        return [
            int(n or 0)
            for n in await self._connection.plain([("GET", key("no_shows", resident_tag(r))) for r in residents])
        ]

    async def history(self, resident: bytes) -> Life:
        """What happened to a resident's registrations."""
        tag = resident_tag(resident)
        lines, count, stop = await self._connection.plain(
            [("LRANGE", key("history", tag), 0, -1), ("GET", key("no_shows", tag)), ("GET", key("stop", tag))]
        )
        return Life([_past.decode(line) for line in lines], int(count or 0), stop == b"barred")

    async def is_number_of(self, resident: bytes, no: str) -> bool:
        """Whether a registration number is, or was, this resident's."""
        tag = resident_tag(resident)
        latest, is_past = await self._connection.plain(
            [("HGET", key("registration", tag), "no"), ("SISMEMBER", key("past", tag), no)]
        )
        return bool(is_past) or latest == no.encode()
