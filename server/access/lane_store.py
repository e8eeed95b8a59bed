"""The part of the store of the lane for helped residents."""

from server.core.assist import AssistLimits
from server.core.keys import key, resident_tag
from server.records.acts import ASSIST, NOTE_HELP, UNASSIST, AssistStatus, Consent, HelpKind
from server.store.connection import FeatureStore


class LaneStore(FeatureStore):
    """Each method with a script's name runs it; the other only reads. Tag of an opening, or of a resident."""

    async def assist(
        self, tag: str, actor: str, resident: bytes, consent: Consent, limits: AssistLimits
    ) -> tuple[AssistStatus, int]:
        """Take one of the lane's places for a resident; (status, ms to wait where it was too fast)."""
        most = (limits.places_per_helper, limits.joins_per_minute, limits.places, limits.joins_per_second)
        status, wait_ms = await self._connection.run(
            "assist", tag, *self._connection.clock(), actor, resident, consent, *most
        )
        return self._connection.read(ASSIST, status), int(wait_ms)

    async def unassist(self, tag: str, actor: str, resident: bytes) -> bool:
        """Give a place of the lane back, as the resident was not let in; False where there is none."""
        return self._connection.read(UNASSIST, await self._connection.run("unassist", tag, actor, resident))

    async def note_help(self, resident: bytes, no: str, actor: str, what: HelpKind) -> bool:
        """Let a resident's history say that they were helped; False where it does."""
        args = (*self._connection.clock(), no, actor, what)
        return self._connection.read(NOTE_HELP, await self._connection.run("note_help", resident_tag(resident), *args))

    async def helper_of(self, tag: str, resident: bytes) -> str:
        """Who joined this opening for a resident; "" where nobody did."""
        (held,) = await self._connection.plain([("HGET", key("helped", tag), resident)])
        return held.decode().rpartition("|")[0] if held else ""
