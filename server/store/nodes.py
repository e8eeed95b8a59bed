"""Calls for every node: what one call of a cluster's client asks is one node only."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.exceptions import ResponseError

from server.core.errors import StoreUnavailable
from server.records.fields import Arg
from server.store.connection import FeatureStore, Node, NodeAnswer

_KEYS_A_CALL = 1000


class Forbidden(StoreUnavailable):
    """A node answers, but not this question: the user may not ask it, or the node knows no such command."""


class Nodes(FeatureStore):
    """Asks each node by itself; a standalone server is a store with one node."""

    def nodes(self) -> list[Node]:
        """Those that have slots, or follow one that has."""
        return sorted(self._connection.known_nodes(), key=lambda node: (not node.is_primary, node.name))

    async def ask_each(self, *command: Arg, nodes: Sequence[Node] | None = None) -> dict[str, NodeAnswer]:
        """The answer of each node by its name: an exception where it refuses, or is away."""
        asked = self.nodes() if nodes is None else nodes
        answers = await asyncio.gather(*(self.ask(node, *command) for node in asked))
        return {node.name: answer for node, answer in zip(asked, answers, strict=True)}

    async def ask(self, node: Node, *command: Arg) -> NodeAnswer:
        """The answer of one node, or the exception that stands in its place."""
        return await self._connection.ask_node(node, *command)

    async def count_keys(self) -> int:
        """How many keys there are, on all nodes together.

        Raises:
            StoreUnavailable: a node is away, or does not let us count.
        """
        answers = await self.ask_each("DBSIZE", nodes=self.primaries())
        return sum(int(told(answer)) for answer in answers.values())

    async def walk_keys(self, match: str = "*") -> AsyncIterator[list[bytes]]:
        """The names of all keys, some at a time; one that is there all the while is met at least once.

        Raises:
            StoreUnavailable: a node is away, or does not let us look.
        """
        for node in self.primaries():
            cursor = 0
            while True:
                answer = await self.ask(node, "SCAN", cursor, "MATCH", match, "COUNT", _KEYS_A_CALL)
                cursor, names = told(answer)
                yield list(names)
                if int(cursor) == 0:
                    break

    def primaries(self) -> list[Node]:
        """Those that take writes."""
        return [node for node in self.nodes() if node.is_primary]


def refuses(answer: NodeAnswer) -> bool:
    """Whether a node answers, but will not say."""
    return isinstance(answer, ResponseError)


def told(answer: NodeAnswer) -> Any:
    """The answer.

    Raises:
        Forbidden: the node would not say.
        StoreUnavailable: it is away.
    """
    if refuses(answer):
        raise Forbidden from answer
    if isinstance(answer, BaseException):
        raise StoreUnavailable from answer
    return answer
