"""What desks and helpers did with residents, beside the day it was done on: for the operator, not for the public log.
Tag: `district:date`."""

from collections.abc import Sequence

from server.core.keys import key
from server.records.acts import Act, LookUpKind
from server.records.fields import fields_of
from server.store.connection import FeatureStore


class ActStore(FeatureStore):
    """Each method with a script's name runs it; the others only read or write."""

    async def look_up(self, tag: str, most: int, actor: str, kind: LookUpKind, site: str, no: str) -> int:
        """Note a look-up before anything is shown; ms to wait where this actor has looked up too many, else 0."""
        return int(await self._connection.run("look_up", tag, *self._connection.clock(), most, actor, kind, site, no))

    async def note_act(self, tag: str, act: Act) -> None:
        """Note what somebody did with a resident."""
        flat = [x for name, value in act._asdict().items() if value != "" for x in (name, value)]
        await self._connection.plain([("XADD", key("acts", tag), "*", *flat)])

    async def acts(self, tags: Sequence[str], most: int) -> list[list[Act]]:
        """The latest acts under each tag, so many at most, the latest first."""
        answers = await self._connection.plain(
            [("XREVRANGE", key("acts", tag), "+", "-", "COUNT", most) for tag in tags]
        )
        return [[Act.unpack(fields_of(flat)) for _, flat in answer] for answer in answers]
