"""What everybody who works on a store agrees on, and the store keeps: its format, the pepper, the city's clock, the
demo's mark."""

from typing import Final

from server.core.keys import key
from server.store.nodes import Forbidden, Nodes, told

_FORMAT, PEPPER, CLOCK = key("format", "format"), key("pepper", "pepper"), key("clock", "clock")
_DEMO, _LOOKING = key("demo", "demo"), key("looking", "demo")
_LOOKING_MS = 600_000
FORMAT: Final = 1
"""Of what this version writes. It counts up when an earlier version could take what is written for something else; what
is only more, and is left alone by whoever does not know it, changes nothing."""
# Keys that are there before anybody is: they do not make a store a city's.
_BEFORE_ANYBODY = frozenset(name.encode() for name in (_FORMAT, PEPPER, CLOCK, _DEMO, _LOOKING))


class Agreement(Nodes):
    """A store that was used before says what was agreed on then.

    Nobody waits for replicas here: these are agreed on at each start, which must be able to say that they are missing.
    """

    async def agree_on_format(self) -> int:
        """The format in which this store was last written: one without is taken for this version's from now on, as
        all before it are read as they are."""
        (kept,) = await self._connection.plain([("GET", _FORMAT)])
        if kept is None:
            _, kept = await self._connection.plain([("SET", _FORMAT, FORMAT, "NX"), ("GET", _FORMAT)], waits=False)
        return int(kept)

    async def agree_on_pepper(self, mark: str) -> bool:
        """Whether this store is filled under the pepper with this mark; an empty one is, from now on."""
        (kept,) = await self._connection.plain([("GET", PEPPER)])
        if kept is None:
            _, kept = await self._connection.plain([("SET", PEPPER, mark, "NX"), ("GET", PEPPER)], waits=False)
        return bool(kept == mark.encode())

    # The clock

    async def agree_on_offset(self, wanted_ms: int, *, anew: bool = False) -> int:
        """The offset of the city's clock in this store: the first one that was wanted stays, unless it is set anew.

        From now on this store's calls go by it; city time minus TIME, in ms.
        """
        await self._connection.plain([("SET", CLOCK, wanted_ms, *(() if anew else ("NX",)))], waits=False)
        return await self.follow_offset()

    async def kept_offset_ms(self) -> int | None:
        """The offset of the city's clock that is kept here; None in a store that knows of none yet."""
        (kept,) = await self._connection.plain([("GET", CLOCK)])
        return None if kept is None else int(kept)

    async def follow_offset(self) -> int:
        """Take over the city's clock of the service that runs on this store; city time minus TIME, in ms."""
        kept_ms = await self.kept_offset_ms()
        if kept_ms is not None:
            self._connection.offset_ms = kept_ms
        return self._connection.offset_ms

    async def city_ms(self) -> int:
        """What time it is in the city, by the store, in ms.

        Raises:
            StoreUnavailable: it does not say.
        """
        return await self.time_ms() + self._connection.offset_ms

    async def time_ms(self) -> int:
        """The store's TIME in ms, which no city's offset moves.

        Raises:
            StoreUnavailable: it does not say.
        """
        seconds, microseconds = told(await self.ask(self.primaries()[0], "TIME"))
        return int(seconds) * 1000 + int(microseconds) // 1000

    # The demo

    async def is_demo(self) -> bool:
        """Whether made-up residents were put here, or somebody is looking whether they may be.

        Who asks after writing, and hears no, has written before them: then they see it, and stay away.
        """
        marks = await self._connection.plain([("GET", _DEMO), ("GET", _LOOKING)])
        return marks != [None, None]

    async def take_for_demo(self) -> bool:
        """Whether made-up residents may be put here: they were before, or there is nothing on any node.

        A node that does not let us look may hold a city.
        """
        if await self._has_demo():
            return True
        await self._connection.plain([("SET", _LOOKING, 1, "PX", _LOOKING_MS)])
        if not await self.is_empty() and not await self._has_demo():  # another one may just have begun it
            await self._connection.plain([("DEL", _LOOKING)])
            return False
        await self._connection.plain([("SET", _DEMO, 1), ("DEL", _LOOKING)])
        return True

    async def _has_demo(self) -> bool:
        (kept,) = await self._connection.plain([("GET", _DEMO)])
        return kept is not None

    async def is_empty(self) -> bool:
        """Whether there is nothing on any node but what is agreed on before anybody comes."""
        try:
            async for names in self.walk_keys():
                if not _BEFORE_ANYBODY.issuperset(names):
                    return False
        except Forbidden:
            return False
        return True
