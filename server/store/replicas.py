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
from redis.exceptions import RedisClusterException, RedisError

from server.records.fields import Arg
from server.store.again import Again, Behind
from server.store.primaries import Watchers

log = structlog.get_logger()

Rule: TypeAlias = int | Literal["all"]
"""So many replicas, whatever becomes of them; or all that could take over."""
Ask: TypeAlias = Callable[..., Awaitable[Any]]
"""Asks one primary: its answer to a command."""
MarkAgain: TypeAlias = Callable[[int], Awaitable[Sequence[Any]]]
"""The answers to `marking` for so many replicas, sent behind what was written."""

# A replica that is further behind is asked about again and again for some time, and then makes an answer a refusal:
# what was asked for may be there, and asking again tells.
_REPLICAS_MS = 600
_FRESH_SECONDS = 1.0
# A primary that is away is not waited for longer than what it would cost a write.
_LOOK_SECONDS = 1.0


def marking(mark: str, wanted: int) -> tuple[tuple[Arg, ...], ...]:
    """Three more commands, behind those that write; the second one's answer is how many replicas have it all.

    WAIT counts from what its own connection wrote last. A call that is repeated, because the replicas were behind,
    finds its work done and writes nothing: so a mark is written first. The third says who was connected then.
    """
    written: tuple[Arg, ...] = ("SET", mark, 1, "PX", 1) if wanted else ("EXISTS", mark)
    return written, ("WAIT", wanted, _REPLICAS_MS), ("INFO", "replication")


MARKING = 3
"""So many commands."""


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
        self._online: dict[str, set[str]] = {}  # by primary: those that were connected, whether they count or not
        self._caught_up: set[str] = set()  # replicas that have had all that their primary has, of whichever primary
        self._looked_at = -_FRESH_SECONDS
        self._looking: asyncio.Task[None] | None = None
        self._first_looks: dict[str, asyncio.Task[None]] = {}
        self._again: dict[str, Again] = {}  # by primary

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
        """Look how they are, once a second while somebody writes.

        Raises:
            Behind: this primary has become one just now, and how its replicas are cannot be seen.
        """
        if self._rule != "all":
            return
        if self._looking is None and self._is_due():
            self._look_soon()
        if primary in self._counting:
            return
        for _ in range(2):  # on a slow network the first look may have been too short
            await self._look_first(primary)
            if primary in self._counting:
                return
        raise Behind("replicas not known")

    async def _look_first(self, primary: str) -> None:
        """Once for all who ask, and without those that the look under way waits for: one of them may have just died."""
        if primary not in self._first_looks:
            ask = self._primaries().get(primary)
            if ask is None:
                return
            self._first_looks[primary] = task = asyncio.create_task(self._look_at(primary, ask))
            task.add_done_callback(lambda _: self._first_looks.pop(primary, None))
        await asyncio.wait([self._first_looks[primary]])

    async def hold(self, primary: str, marked: Sequence[Any], wanted: int, mark_again: MarkAgain) -> None:
        """Wait on, for those that count by then, where these answers to `marking` say that not so many have it.

        Raises:
            Behind: nor have they in time.
        """
        try:
            self._check(primary, marked, wanted)
        except Behind as behind:
            if self._rule == "all" and self._looking is None:
                self._look_soon()
            again = self._again.setdefault(primary, Again())
            try:
                await again.until_there(lambda: self._ask_again(primary, mark_again), _history(marked))
            except Behind as still:
                raise still from behind

    async def _ask_again(self, primary: str, mark_again: MarkAgain) -> str:
        """Wait once more; the name of the primary's history.

        Raises:
            Behind: they do not have it.
        """
        if self._rule == "all" and self._looking is None and self._is_due():
            self._look_soon()
        # for all that are connected: one that does not count may be the faster one
        marked = await mark_again(max(self.wanted(primary), len(self._online.get(primary, ())), 1))
        self._check(primary, marked, self.wanted(primary))
        return _history(marked)

    def _check(self, primary: str, marked: Sequence[Any], wanted: int) -> None:
        """Raises Behind: by these answers to `marking`, so many do not have it, or not all that have come meanwhile.

        The count of those that could take over may be a second old. One that has come since then may be the one that
        takes over next, and the others' word is not its own: it is in what the primary says behind the WAIT. So is how
        far each one has come, by which one that does not count does not stand for one that does.
        """
        for answer in marked:
            if isinstance(answer, Exception) and (self._rule == "all" or answer is not marked[2]):
                raise Behind(f"wanted {wanted}, have {answer}")
        _, have, info = marked
        if have < wanted:
            raise Behind(f"wanted {wanted}, have {have}")
        if self._rule == "all" and primary not in self._counting:
            raise Behind("it has become no primary")
        if self._rule == "all" and (info["role"] != "master" or _online(info) - self._online.get(primary, set())):
            raise Behind(f"wanted {wanted} of those who were there")
        if self._rule == "all" and _stood_for(self._counting.get(primary, set()), have, info):
            raise Behind(f"wanted {wanted}, have {have} with one that does not count")

    def _is_due(self) -> bool:
        return asyncio.get_running_loop().time() - self._looked_at >= _FRESH_SECONDS

    def _look_soon(self) -> asyncio.Task[None]:
        self._looked_at = asyncio.get_running_loop().time()
        self._looking = asyncio.create_task(self._look())
        self._looking.add_done_callback(self._over)
        return self._looking

    def _over(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("looking at the replicas failed", error=type(error).__name__)

    async def close(self) -> None:
        """Look no more."""
        for again in self._again.values():
            again.close()
        for task in (self._looking, *self._first_looks.values()):
            if task is not None:
                task.cancel()

    async def _look(self) -> None:
        asked = self._primaries()
        for gone in self._counting.keys() - asked.keys():
            del self._counting[gone], self._online[gone]
        await asyncio.gather(*(self._look_at(name, ask) for name, ask in asked.items()))

    async def _look_at(self, primary: str, ask: Ask) -> None:
        """What cannot be seen stays as it was: who is cut off does not know who has taken over."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                info, view = await asyncio.gather(
                    ask("INFO", "replication"), ask("CLUSTER NODES") if primary else _nothing()
                )
                agreed = await self._watchers.agree_may_take_over() if self._watchers is not None else None
        except (RedisError, RedisClusterException, OSError, TimeoutError):
            return
        if isinstance(info, BaseException) or isinstance(view, BaseException):
            return
        online, known = _online(info), self._counting.get(primary, set())
        self._online[primary] = online
        if view is not None:
            self._counting[primary] = self._could_take_over(view, info)
        elif self._watchers is not None:
            listed, down = agreed if agreed is not None else (known, set())
            self._counting[primary] = (known & listed | online) - down
        else:
            self._counting[primary] = online

    def _could_take_over(self, view: Mapping[str, Mapping[str, Any]], info: Mapping[str, Any]) -> set[str]:
        """Of a cluster's node: its replicas, but for those that the majority has declared failed, or that are new.

        One that is not connected just now counts: after a failover those of the primary of before are still on their
        way, with all that it had. Where connections come from elsewhere than the nodes say that they are, it cannot be
        seen which of them are new, so all count.
        """
        for name, it in view.items():
            flags = it["flags"].split(",")
            if "master" in flags or "fail" in flags:
                self._caught_up.discard(name)
        self._caught_up |= _online(info)
        connected = _connected(info)
        new = connected.keys() - self._caught_up if connected.keys() <= view.keys() else set()
        return _replicas_of_itself(view, self._caught_up) - new


def _history(marked: Sequence[Any]) -> str:
    """What the primary calls that which its replicas follow; "" where it is not said."""
    info = marked[-1]
    return str(info.get("master_replid", "")) if isinstance(info, Mapping) else ""


async def _nothing() -> None:
    return None


def _online(info: Mapping[str, Any]) -> set[str]:
    """Replicas that have what the primary had when they came, and receive what it writes."""
    return {name for name, state in _connected(info).items() if state == "online"}


def _stood_for(counting: set[str], have: int, info: Mapping[str, Any]) -> bool:
    """Whether one of those that count may be without what so many have: it is not among so many that are furthest.

    At least so many have it, so the furthest of that number do. Who is known by another address than it comes from
    cannot be told from the others.
    """
    offsets = {
        f"{it['ip']}:{it['port']}": it["offset"]
        for i in range(int(info.get("connected_slaves", 0)))
        if isinstance(it := info.get(f"slave{i}"), dict) and it["state"] == "online" and "offset" in it
    }
    if offsets.keys() <= counting or not offsets.keys() & counting:
        return False
    furthest = sorted(offsets.values(), reverse=True)[min(have, len(offsets)) - 1]
    return any(offsets.get(name, -1) < furthest for name in counting)


def _connected(info: Mapping[str, Any]) -> dict[str, str]:
    """In which state each replica is that is connected, by the address it came with."""
    replicas = (info.get(f"slave{i}") for i in range(int(info.get("connected_slaves", 0))))
    return {f"{it['ip']}:{it['port']}": it["state"] for it in replicas if isinstance(it, dict)}


def _replicas_of_itself(view: Mapping[str, Mapping[str, Any]], of_others: set[str]) -> set[str]:
    """Of `CLUSTER NODES`: the replicas of the node that answers, but for those declared failed by the majority.

    Just after it has taken over, the others of the primary of before have not said yet that they follow it. Of these,
    who are among `of_others`, each follows one that follows it itself, or one that has failed and has no slot any more.
    """
    itself = next((it["node_id"] for it in view.values() if "myself" in it["flags"].split(",")), None)
    before = {
        it["node_id"]
        for it in view.values()
        if it["master_id"] == itself
        or ("master" in (flags := it["flags"].split(",")) and "fail" in flags and not it.get("slots"))
    }
    return {
        name
        for name, it in view.items()
        if "slave" in (flags := it["flags"].split(","))
        and "fail" not in flags
        and (it["master_id"] == itself or (it["master_id"] in before and name in of_others))
    }
