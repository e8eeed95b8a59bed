"""The outbox: messages owed, a stream for each district, read by consumers of one group."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from server.errors import StoreUnavailable
from server.keys import key
from server.store.caller import Arg, Caller, items_of

_GROUP = "gateway"


class Owed(NamedTuple):
    """A message of a district's outbox as it was put there."""

    district: str
    id: str
    fields: dict[str, bytes]


class OutboxStore(Caller):
    """What is written stays until it is acknowledged."""

    async def owe(self, district: str, fields: Mapping[str, Arg]) -> None:
        """Put a message into a district's outbox."""
        await self._plain([("XADD", key("outbox", district), "*", *(x for field in fields.items() for x in field))])

    async def open_outbox(self, districts: Sequence[str]) -> None:
        """Make the group of consumers where there is none."""
        for district in districts:
            (answer,) = await self._pipeline([("XGROUP", "CREATE", key("outbox", district), _GROUP, "0", "MKSTREAM")])
            if isinstance(answer, Exception) and "BUSYGROUP" not in str(answer):
                raise StoreUnavailable from answer

    async def next_owed(self, districts: Sequence[str], consumer: str, most: int, idle_ms: int) -> list[Owed]:
        """Messages for this consumer: those that another took `idle_ms` ago and did not finish, and new ones."""
        commands: list[tuple[Arg, ...]] = []
        for district in districts:
            stream = key("outbox", district)
            commands.append(("XAUTOCLAIM", stream, _GROUP, consumer, idle_ms, "0", "COUNT", most))
            commands.append(("XREADGROUP", "GROUP", _GROUP, consumer, "COUNT", most, "STREAMS", stream, ">"))
        answers = await self._plain(commands)
        found = []
        for district, claimed, fresh in zip(districts, answers[::2], answers[1::2], strict=True):
            entries = [entry for entry in claimed[1] if entry[1]]  # one that was deleted meanwhile has no fields
            for _, more in _streams(fresh):
                entries += more
            found += [Owed(district, entry[0].decode(), _bytes_of(entry[1])) for entry in entries]
        return found

    async def owed(self, districts: Sequence[str]) -> int:
        """How many messages are owed."""
        return sum(await self._plain([("XLEN", key("outbox", district)) for district in districts]))

    async def sent(self, owed: Owed) -> None:
        """The gateway has taken the message: it is owed no longer."""
        stream = key("outbox", owed.district)
        await self._plain([("XACK", stream, _GROUP, owed.id), ("XDEL", stream, owed.id)])


def _streams(answer: Any) -> list[tuple[Any, list[Any]]]:
    """XREADGROUP's answer: nothing, a list of pairs (RESP2) or a map (RESP3)."""
    if not answer:
        return []
    return list(answer.items()) if isinstance(answer, dict) else answer


def _bytes_of(answer: Any) -> dict[str, bytes]:
    return {name.decode(): value for name, value in items_of(answer)}
