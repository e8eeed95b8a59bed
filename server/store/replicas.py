"""How many replicas must have a write before it is told of: by default every one that could become the primary.

Which those are is not what a primary alone believes. A cluster's node that has been cut off goes on thinking that it is
the primary, but cannot have the others declared failed: for that the majority is needed. So on a cluster a replica
counts until the majority has declared it failed, and again once it has caught up; where Sentinels watch, until most of
them see it down. Without either nobody promotes a replica but a person, and those count that are connected.
`lua/README.md` has the argument, and its price.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import structlog

from server.records.fields import Arg
from server.store.primaries import Watchers

log = structlog.get_logger()

Rule: TypeAlias = int | Literal["all"]
"""So many replicas, whatever becomes of them; or all that could take over."""
Ask: TypeAlias = Callable[..., Awaitable[Any]]
"""Asks one primary: its answer to a command."""

# A replica that is further behind makes an answer a refusal: what was asked for may be there, and asking again tells.
_REPLICAS_MS = 1000
_FRESH_SECONDS = 1.0
# A primary that is away is not waited for longer than what it would cost a write.
_LOOK_SECONDS = 1.0


class Behind(Exception):
    """The replicas do not have what was written."""


def marking(mark: str, wanted: int) -> tuple[tuple[Arg, ...], tuple[Arg, ...]]:
    """Two more commands, behind those that write: the second one's answer is how many replicas have it all.

    WAIT counts from what its own connection wrote last. A call that is repeated, because the replicas were behind,
    finds its work done and writes nothing: so a mark is written first.
    """
    return ("SET", mark, 1, "PX", 1), ("WAIT", wanted, _REPLICAS_MS)


def check_marked(answers: Sequence[Any], wanted: int) -> None:
    """Raises Behind: by these answers to `marking`, so many do not have it."""
    marked, have = answers
    if isinstance(marked, Exception) or isinstance(have, Exception) or have < wanted:
        raise Behind(f"wanted {wanted}, have {marked if isinstance(marked, Exception) else have}")


class Replicas:
    """Counts them, for each primary.

    Args:
        rule: what is wanted.
        primaries: asks the primaries there are, by name.
        watchers: the Sentinels, where there are any.
    """

    def __init__(self, rule: Rule, primaries: Callable[[], Mapping[str, Ask]], watchers: Watchers | None) -> None:
        self._rule = rule
        self._primaries = primaries
        self._watchers = watchers
        self._counting: dict[str, set[str]] = {}  # by primary: those that must have every write
        self._looked_at = -_FRESH_SECONDS
        self._looking: asyncio.Task[None] | None = None

    @property
    def rule(self) -> Rule:
        """What is wanted."""
        return self._rule

    def wanted(self, primary: str) -> int:
        """So many must have what is written to this primary now."""
        if self._rule != "all":
            return self._rule
        return len(self._counting.get(primary, ()))

    async def follow(self, primary: str) -> None:
        """Look how they are, once a second while somebody writes; a primary that was never looked at is waited for."""
        if self._rule != "all":
            return
        now = asyncio.get_running_loop().time()
        if self._looking is None and now - self._looked_at >= _FRESH_SECONDS:
            self._looked_at = now
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(self._over)
        if primary not in self._counting and self._looking is not None:
            await asyncio.wait([self._looking])

    def _over(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("looking at the replicas failed", error=type(error).__name__)

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        asked = self._primaries()
        for gone in self._counting.keys() - asked.keys():
            del self._counting[gone]
        await asyncio.gather(*(self._look_at(name, ask) for name, ask in asked.items()))

    async def _look_at(self, primary: str, ask: Ask) -> None:
        """What cannot be seen stays as it was: who is cut off does not know who has taken over."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                info = await ask("INFO", "replication")
                view = await ask("CLUSTER NODES") if primary else None
                gone = await self._watchers.agree_are_down() if self._watchers is not None else None
        except (OSError, TimeoutError):
            return
        if isinstance(info, BaseException) or isinstance(view, BaseException):
            return
        online = _online(info)
        known = self._counting.get(primary, set())
        if view is not None:
            self._counting[primary] = {name for name in _replicas_of_itself(view) if name in known | online}
        elif self._watchers is not None:
            self._counting[primary] = (known | online) - (gone or set())
        else:
            self._counting[primary] = online


def _online(info: Mapping[str, Any]) -> set[str]:
    """Replicas that have what the primary had when they came, and receive what it writes."""
    replicas = (info.get(f"slave{i}") for i in range(int(info.get("connected_slaves", 0))))
    return {f"{it['ip']}:{it['port']}" for it in replicas if isinstance(it, dict) and it.get("state") == "online"}


def _replicas_of_itself(view: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Of `CLUSTER NODES`: the replicas of the node that answers, but for those declared failed by the majority."""
    itself = next((it["node_id"] for it in view.values() if "myself" in it["flags"].split(",")), None)
    return {
        name
        for name, it in view.items()
        if it["master_id"] == itself and "slave" in it["flags"].split(",") and "fail" not in it["flags"].split(",")
    }
