"""The part of the store of one-time codes."""

from collections.abc import Sequence

from server.core.keys import resident_tag
from server.store.connection import FeatureStore


class CodeStore(FeatureStore):
    """Each method runs the script of its name."""

    async def quota(self, tag: str, spans: Sequence[tuple[int, int]], *, count: bool) -> int:
        """Whether one more may be had of what may be had (most) times in each (length in ms): 0, or ms to wait."""
        flat = [x for span in spans for x in span]
        return int(await self._connection.run("quota", tag, *self._connection.clock(), int(count), *flat))

    async def keep_code(self, resident: bytes, digest: bytes, lives_ms: int) -> int:
        """A one-time code, replacing the one before; until when it is good, in ms."""
        return int(
            await self._connection.run("keep_code", resident_tag(resident), *self._connection.clock(), digest, lives_ms)
        )
