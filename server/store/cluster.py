"""Many commands to a cluster at once: each node's in one round trip, and what is redirected waits where it was obeyed.

The client's own pipeline repeats a redirected command by itself, on the node that has taken over its slot, while the
`WAIT` behind it has been answered by the node of before.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,
    MovedError,
    RedisClusterException,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from server.core.keys import key
from server.records.fields import Arg
from server.store.replicas import MARKING, Replicas, marking
from server.store.topology import Left, Topology

_TRIES = 6
_PAUSE_SECONDS = 0.02
# So many are tried: of 16,384 slots a node has one at least, or has just lost its last.
_MARKS = 60_000
_REDIRECTED = (MovedError, AskError, TryAgainError)
_AWAY = (ConnectionError, RedisTimeoutError, ClusterDownError, OSError)


class ClusterCalls:
    """Sends commands to the nodes that have their keys.

    Args:
        client: of the cluster.
        replicas: how many must have what is written.
    """

    def __init__(self, client: RedisCluster, replicas: Replicas) -> None:
        self._client = client
        self._replicas = replicas
        self._topology = Topology(client)
        self._marks: dict[str, int] = {}  # by node: which mark is its own

    async def close(self) -> None:
        """Look at the nodes no more."""
        await self._topology.close()

    async def answers(self, commands: Sequence[Sequence[Arg]], waits_for: Collection[str]) -> list[Any]:
        """The answer, or its error, of each command; the replicas have what was written to these tags.

        A command whose slot is on its way to another node is repeated there; every script may be.

        Raises:
            Behind: a replica has not got it in time.
            RedisError, RedisClusterException, OSError: a node is away.
        """
        answers: list[Any] = [None] * len(commands)
        left = list(range(len(commands)))
        asked: dict[int, ClusterNode] = {}
        for attempt in range(_TRIES):
            groups: dict[ClusterNode, list[int]] = {}
            for i in left:
                node = asked.get(i) or self._node_of(commands[i])
                groups.setdefault(node, []).append(i)
            await asyncio.gather(
                *(self._on(node, mine, commands, answers, asked.keys(), waits_for) for node, mine in groups.items())
            )
            left = [i for i in left if isinstance(answers[i], (*_REDIRECTED, *_AWAY))]
            if not left or attempt == _TRIES - 1 or self._nobody_answers(left, answers, commands):
                break
            asked = await self._find_again([answers[i] for i in left], left)
            await asyncio.sleep(_PAUSE_SECONDS * attempt)
        for i in left:
            raise answers[i]
        return answers

    def _node_of(self, command: Sequence[Arg]) -> ClusterNode:
        node = self._client.get_node_from_key(_key_of(command))
        if node is None:
            raise RedisClusterException("no node has this slot")
        return node

    def _nobody_answers(self, left: Sequence[int], answers: Sequence[Any], commands: Sequence[Sequence[Arg]]) -> bool:
        """Whether all of these were for nodes that do not answer, and have no successor yet: no use in waiting here."""
        return all(isinstance(answers[i], Left) and self._topology.is_dark(self._node_of(commands[i])) for i in left)

    async def _find_again(self, errors: Sequence[Any], left: Sequence[int]) -> dict[int, ClusterNode]:
        """Where commands with these errors belong now; those for which another node is to be asked just this once."""
        asked: dict[int, ClusterNode] = {}
        nodes = self._client.nodes_manager
        if any(isinstance(error, _AWAY) for error in errors):
            await self._topology.look()
        for error in errors:
            if isinstance(error, MovedError):  # which is an AskError to the client
                await nodes.move_slot(error)
        for i, error in zip(left, errors, strict=True):
            if isinstance(error, AskError) and not isinstance(error, MovedError):
                node = self._client.get_node(host=error.host, port=error.port)
                if node is None:
                    await self._topology.look()
                    node = self._client.get_node(host=error.host, port=error.port)
                if node is not None:
                    asked[i] = node
        return asked

    async def _on(
        self,
        node: ClusterNode,
        mine: Sequence[int],
        commands: Sequence[Sequence[Arg]],
        answers: list[Any],
        asking: Collection[int],
        waits_for: Collection[str],
    ) -> None:
        try:
            with self._topology.asking(node):
                await self._ask(node, mine, commands, answers, asking, waits_for)
        except _AWAY as away:
            for i in mine:
                answers[i] = away

    async def _ask(
        self,
        node: ClusterNode,
        mine: Sequence[int],
        commands: Sequence[Sequence[Arg]],
        answers: list[Any],
        asking: Collection[int],
        waits_for: Collection[str],
    ) -> None:
        wanted, waits = 0, False
        if waits_for and any(_tag_of(commands[i]) in waits_for for i in mine):
            await self._replicas.follow(node.name)
            wanted = self._replicas.wanted(node.name)
            waits = wanted > 0 or self._replicas.rule == "all"  # one may have come since it was looked
        sent: list[PipelineCommand] = []
        own: list[PipelineCommand] = []
        for i in mine:
            if i in asking:
                sent.append(PipelineCommand(len(sent), "ASKING"))
            own.append(PipelineCommand(len(sent), *commands[i]))
            sent.append(own[-1])
        marks = self._marking(node, wanted, commands[mine[0]] if mine[0] in asking else None) if waits else []
        await node.execute_pipeline([*sent, *marks])
        for i, command in zip(mine, own, strict=True):
            answers[i] = command.result
        if any(isinstance(command.result, _AWAY) for command in own):
            return
        self._topology.heard(node)
        if not waits:
            return
        marked = [command.result for command in marks[-MARKING:]]
        if isinstance(marked[0], _REDIRECTED):
            marked = await self._mark_again(node, wanted)
        await self._replicas.hold(node.name, marked, wanted, lambda now: self._mark_again(node, now))

    async def _mark_again(self, node: ClusterNode, wanted: int) -> list[Any]:
        """The answers to a mark of its own, in a slot that is not on its way."""
        marked: list[Any] = []
        for _ in range(_TRIES):
            marks = self._marking(node, wanted, None)
            await node.execute_pipeline(marks)
            marked = [command.result for command in marks]
            if not isinstance(marked[0], _AWAY):
                self._topology.heard(node)
            if not isinstance(marked[0], _REDIRECTED):
                break
            self._marks[node.name] += 1  # another one is as good
        return marked

    def _marking(self, node: ClusterNode, wanted: int, asked: Sequence[Arg] | None) -> list[PipelineCommand]:
        """The mark is in a slot of this node: that of what was written may be on its way to another.

        A node that is only just being given its first slot has none but that of the command it is asked for.

        Raises:
            Left: it decides over nothing any more.
        """
        known = self._marks.get(node.name, 0)
        for n in range(known, known + _MARKS):
            owner = self._client.get_node_from_key(key("mark", str(n)))
            if owner is not None and owner.name == node.name:
                self._marks[node.name] = n
                return [PipelineCommand(i, *command) for i, command in enumerate(marking(key("mark", str(n)), wanted))]
        if asked is None:
            raise Left(node.name)
        mark = marking(key("mark", _tag_of(asked)), wanted)
        return [PipelineCommand(i, *command) for i, command in enumerate((("ASKING",), *mark))]


def _key_of(command: Sequence[Arg]) -> str:
    """Of a script the first key, of a plain command the first word with a tag, before which others may stand."""
    if command[0] in ("EVALSHA", "EVAL"):
        return str(command[3])
    words = (word.decode("latin-1") if isinstance(word, bytes) else str(word) for word in command[1:])
    return next(word for word in words if "{" in word)


def _tag_of(command: Sequence[Arg]) -> str:
    name = _key_of(command)
    return name[name.index("{") + 1 : name.rindex("}")]
