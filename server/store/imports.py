"""What imports read and write beside the residents' scripts. Tags: `resident`, `district`, `district:date`, and the
name of the kind of file (`registry`, `sites`, `capacity`) for what its last import has brought."""

from collections.abc import Sequence

from redis.asyncio.cluster import RedisCluster

from server.core.keys import key, resident_tag
from server.store.caller import Caller
from server.store.residents import FirstDoseRecord, unpack


class ImportStore(Caller):
    """None of these is a script: each is one command a key, and may be done again."""

    async def records(self, residents: Sequence[bytes]) -> list[FirstDoseRecord | None]:
        """The registry's line of each resident."""
        keys = [key("registry", resident_tag(resident)) for resident in residents]
        if not keys:
            return []
        if isinstance(self._client, RedisCluster):
            found = await self._plain([("GET", k) for k in keys])
        else:
            (found,) = await self._plain([("MGET", *keys)])
        return [unpack(stored) if stored else None for stored in found]

    async def last_import(self, what: str) -> bytes | None:
        """What was noted of the last import of this kind of file."""
        (noted,) = await self._plain([("GET", key("imports", what))])
        return bytes(noted) if noted is not None else None

    async def note_import(self, what: str, facts: bytes) -> None:
        """An import of this kind of file has come to its end."""
        await self._plain([("SET", key("imports", what), facts)])

    async def remove_sites(self, district: str, codes: Sequence[str]) -> None:
        """These are no sites of the district any more."""
        if codes:
            await self._plain([("HDEL", key("sites", district), *codes)])

    async def remove_capacity(self, tag: str, slots: Sequence[str]) -> None:
        """These slots (`site|period|product`) of a day are not offered any more; what has been given stays given."""
        if slots:
            await self._plain([("HDEL", key("slots", tag), *slots)])
