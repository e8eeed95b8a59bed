"""The connection to the store: how a script or a plain command is run on it, with its deadline and its turn."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import structlog
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import NoScriptError, ResponseError

from server.core.errors import BrokenRecord, StoreUnavailable, UnknownStatus
from server.core.keys import key
from server.core.tallies import StoreTallies
from server.records.fields import Arg
from server.records.statuses import Statuses, shown
from server.store.again import Behind
from server.store.cancelling import Cancellable
from server.store.cluster import ClusterCalls
from server.store.connecting import CALL_SECONDS, CALLS_AT_ONCE, CLIENT_ERRORS, Client
from server.store.primaries import Watchers
from server.store.replicas import MARKING, Ask, Replicas, Rule, marking
from server.store.scripts import Script, Tags, load_scripts, written

log = structlog.get_logger()

NodeAnswer: TypeAlias = Any
"""The answer of a node, or the exception that stands in its place."""

S = TypeVar("S")
T = TypeVar("T")

# What asks for readiness (probes, load balancers) gives up after a second or two itself.
_PING_SECONDS = 1.0
# Plain commands whose work a replica must have before it is told of; their first argument is the key.
_WRITES = frozenset({"SET", "HSET", "HSETNX", "HDEL", "XADD", "UNLINK"})


class Node(NamedTuple):
    """A node of the store: its address, "" for a server that is the only one."""

    name: str
    is_primary: bool
    asked: ClusterNode | None


class Connection:
    """Runs scripts and plain commands; each has its time, and failure is `StoreUnavailable`.

    Args:
        client: from `connect`.
        offset_ms: city time minus the store's TIME.
        replicas: a write is answered once so many replicas of its node have it, or all that could take over.
        watchers: the Sentinels, where there are any.
    """

    def __init__(
        self, client: Client, offset_ms: int = 0, replicas: Rule = "all", watchers: Watchers | None = None
    ) -> None:
        self._client = client
        self.offset_ms = offset_ms
        self._replicas = Replicas(replicas, self._primaries, watchers)
        self._cluster = ClusterCalls(client, self._replicas) if isinstance(client, RedisCluster) else None
        self._scripts = load_scripts()
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)
        self.tallies = StoreTallies()

    @property
    def scripts(self) -> Collection[str]:
        """The names of all scripts."""
        return self._scripts

    @property
    def is_cluster(self) -> bool:
        """Whether the keys are shared out among several nodes."""
        return isinstance(self._client, RedisCluster)

    async def close(self) -> None:
        """Give the connections back."""
        await self._replicas.close()
        if self._cluster is not None:
            await self._cluster.close()
        await self._client.aclose()

    def _primaries(self) -> Mapping[str, Ask]:
        """How to ask each primary, by its name: "" is the only one there is."""
        client = self._client
        if not isinstance(client, RedisCluster):
            return {"": client.execute_command}
        return {node.name: node.execute_command for node in client.get_primaries()}

    async def run(self, name: str, tag: str, *args: Arg) -> Any:
        """The answer of a script on the keys of one tag.

        Raises:
            StoreUnavailable: it did not run, or the replicas do not have what it wrote.
        """
        return (await self.run_each(name, [(tag, args)]))[0]

    async def run_each(
        self, name: str, calls: Sequence[tuple[Tags, Sequence[Arg]]], *, waits: bool = True
    ) -> list[Any]:
        """Run one script for each (tag, arguments) in one round trip; every script must succeed.

        A script whose keys repeat takes several tags at once, on a standalone server. `waits`: for the replicas.
        """
        if not calls:
            return []
        started = time.perf_counter()
        try:
            answers = await self._run_each(self._scripts[name], calls, waits=waits)
        except StoreUnavailable:
            self.tallies.failures[name] += 1
            raise
        self.tallies.seconds.append((name, time.perf_counter() - started))
        return answers

    async def _run_each(self, script: Script, calls: Sequence[tuple[Tags, Sequence[Arg]]], *, waits: bool) -> list[Any]:
        commands: list[tuple[Arg, ...]] = []
        for tag, args in calls:
            if not script.takes(len(args)):
                raise TypeError(f"{script.name}.lua takes {script.args}, got {len(args)} arguments")
            keys = script.names(tag)
            commands.append((len(keys), *keys, *args))
        tags = [one for tag, _ in calls if (one := written(tag)) is not None] if waits else []
        answers = await self.pipeline([("EVALSHA", script.sha, *c) for c in commands], tags)
        forgotten = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if forgotten:  # the store has restarted
            again = await self.pipeline([("EVAL", script.text, *commands[i]) for i in forgotten], tags)
            for i, answer in zip(forgotten, again, strict=True):
                answers[i] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                log.error("store refused", script=script.name, error=str(answer)[:200])
                raise StoreUnavailable from answer
        return answers

    def read(self, statuses: Statuses[S], answer: Any) -> S:
        """What a script has answered.

        Raises:
            UnknownStatus: nothing that its header knows.
        """
        try:
            return statuses.known[answer]
        except (KeyError, TypeError):
            raise self.unknown(statuses.script, answer) from None

    def read_each(self, answers: Iterable[Any], read: Callable[[Any], T]) -> list[T | UnknownStatus]:
        """The same of a batch: an answer that nobody knows neither fails nor blesses its neighbours."""
        found: list[T | UnknownStatus] = []
        for answer in answers:
            try:
                found.append(read(answer))
            except UnknownStatus as unknown:
                found.append(unknown)
        return found

    def unknown(self, script: str, answer: object) -> UnknownStatus:
        """What to raise where a script has answered what nobody knows; logged and counted."""
        self.tallies.unknown_statuses[script] += 1
        log.error("unknown status", script=script, status=shown(answer))
        return UnknownStatus(script)

    def decode_each(self, answers: Iterable[Any], decode: Callable[[Any], T]) -> list[T | BrokenRecord]:
        """The records in these answers: one that is broken stands for itself alone; logged and counted."""
        found: list[T | BrokenRecord] = []
        for answer in answers:
            try:
                found.append(decode(answer))
            except BrokenRecord as broken:
                self.tallies.broken_records[broken.record] += 1
                log.error("broken record", record=broken.record, field=broken.field)
                found.append(broken)
        return found

    def decode(self, answer: Any, decode: Callable[[Any], T]) -> T:
        """The record in an answer.

        Raises:
            BrokenRecord: there is none that can be read.
        """
        (read,) = self.decode_each([answer], decode)
        if isinstance(read, BrokenRecord):
            raise read
        return read

    def known_nodes(self) -> list[Node]:
        """Those that have slots, or follow one that has; a standalone server is one."""
        client = self._client
        if not isinstance(client, RedisCluster):
            return [Node("", True, None)]
        primaries = client.get_primaries()
        return [Node(node.name, node in primaries, node) for node in client.get_nodes()]

    async def ask_node(self, node: Node, *command: Arg) -> NodeAnswer:
        """The answer of one node, or the exception that stands in its place."""
        try:
            with Cancellable():
                async with asyncio.timeout(CALL_SECONDS), self._turns:
                    answer = await (node.asked or self._client).execute_command(*command)
        except CLIENT_ERRORS as error:
            return error
        return answer

    async def pipeline(self, commands: Sequence[Sequence[Arg]], tags: Sequence[str] = ()) -> list[Any]:
        """The answer, or its error, of each command; once the replicas have what was written to these tags."""
        try:
            with Cancellable():
                async with asyncio.timeout(CALL_SECONDS), self._turns:
                    return await self._answers(commands, tags)
        except Behind as behind:
            log.warning("replicas behind", what=str(behind)[:200])
            raise StoreUnavailable from None
        except CLIENT_ERRORS as error:
            log.warning("store unavailable", command=str(commands[0][0]), error=type(error).__name__)
            raise StoreUnavailable from error

    async def _answers(self, commands: Sequence[Sequence[Arg]], tags: Sequence[str]) -> list[Any]:
        if self._cluster is not None:
            return await self._cluster.answers(commands, tags)
        wanted = 0
        if tags:
            await self._replicas.follow("")
            wanted = self._replicas.wanted("")
        if len(commands) == 1 and not wanted:
            try:
                return [await self._client.execute_command(*commands[0])]
            except ResponseError as error:
                return [error]
        pipe: Any = self._client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        if wanted:
            for command in marking(key("mark", tags[0]), wanted):
                pipe.execute_command(*command)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        if wanted:
            await self._replicas.hold("", answers[-MARKING:], wanted, lambda now: self._mark_again(tags[0], now))
        return answers[: len(commands)]

    async def _mark_again(self, tag: str, wanted: int) -> list[Any]:
        pipe: Any = self._client.pipeline(transaction=False)
        for command in marking(key("mark", tag), wanted):
            pipe.execute_command(*command)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers

    def clock(self) -> tuple[int, int]:
        """A script's first two arguments: the time in ms, 0 for the store's TIME and what the city adds to it."""
        return 0, self.offset_ms

    async def ping(self) -> None:
        """Raises StoreUnavailable when the store does not take a write at once.

        One that can only be read, as a replica that was a primary, or a primary whose disk is full, is of no use to
        anybody. It takes no turn: whoever asks whether the store hangs must not wait behind those who hang on it.
        """
        try:
            with Cancellable():
                async with asyncio.timeout(_PING_SECONDS):
                    (answer,) = await self._answers([("SET", key("ping", "ping"), 1, "PX", 1)], ())
        except CLIENT_ERRORS as error:
            raise StoreUnavailable from error
        if isinstance(answer, Exception):
            raise StoreUnavailable from answer

    async def plain(self, commands: Sequence[Sequence[Arg]], *, waits: bool = True) -> list[Any]:
        """The answers to commands, in one round trip a node; what they wrote is on the replicas, where it `waits`.

        Raises:
            StoreUnavailable: one of them was not answered, or refused.
        """
        if not commands:
            return []
        tags = [_tag_of(str(command[1])) for command in commands if command[0] in _WRITES] if waits else []
        answers = await self.pipeline(commands, tags)
        for answer in answers:
            if isinstance(answer, Exception):
                log.error("store refused", error=str(answer)[:200])
                raise StoreUnavailable from answer
        return answers


class FeatureStore:
    """A feature's part of the store: what it calls, and nothing that knows a rule. Each feature has its own.

    Args:
        connection: the one of this process; all of its calls have a deadline, take turns, and wait for the replicas.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection


def _tag_of(name: str) -> str:
    return name[name.index("{") + 1 : name.rindex("}")]
