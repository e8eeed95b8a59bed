"""Which node of a cluster decides over which slot: looked at beside the calls, for those that wait are told nothing.

The client's own way asks one node after the other, and waits for each as long as for a call: where a node hangs, or its
host has gone dark and no connection ends, a call's time is over before a successor is found. Here all nodes are asked
at once, and of what they say the latest holds (each slot's owner has an epoch, which only grows). A node that does not
answer is left: its calls end at once, and no more are sent to it until it answers, or its slots have an owner that
does. So who asks for other nodes does not wait behind those who ask for this one.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import structlog
from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.cluster import PRIMARY, REPLICA
from redis.exceptions import ConnectionError, RedisClusterException, RedisError, ResponseError

log = structlog.get_logger()

# A call that takes longer makes us look; so long at least between two looks.
_SUSPECT_SECONDS = 0.4
_BETWEEN_SECONDS = 0.2
# A look is told of what it has found after this long; nodes that say something later are still heard.
_LOOK_SECONDS = 0.5
# Who has not said a word in this time is left. Where every fifth packet is lost an answer may take two seconds.
_DARK_SECONDS = 2.5

Place = tuple[str, int]


class Left(ConnectionError):
    """This node does not answer, or decides no more over what was asked of it."""


class Range(NamedTuple):
    """Slots, who decides over them, and the others that have them."""

    first: int
    last: int
    nodes: tuple[Place, ...]
    epoch: int


class Topology:
    """Keeps a cluster client's map of nodes true.

    Args:
        client: whose map it is.
    """

    def __init__(self, client: RedisCluster) -> None:
        self._client = client
        self._under_way: dict[asyncio.Task[Any], tuple[ClusterNode, float]] = {}
        self._left: set[asyncio.Task[Any]] = set()
        self._dark: set[str] = set()
        self._heard_at: dict[str, float] = {}  # by node: when it last answered a call
        self._views: dict[str, tuple[Range, ...]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None

    def is_dark(self, node: ClusterNode) -> bool:
        """Whether it does not answer."""
        return node.name in self._dark

    @contextmanager
    def asking(self, node: ClusterNode) -> Iterator[None]:
        """Around all that waits for this node, in a task of its own.

        Raises:
            Left: it does not answer, or while it was waited for it turned out so, or to be the owner no more.
        """
        if self.is_dark(node):
            raise Left(node.name)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._under_way[task] = (node, asyncio.get_running_loop().time())
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
            self._watching.add_done_callback(self._watched)
        try:
            yield
        except asyncio.CancelledError:
            if task in self._left and task.uncancel() == 0:
                raise Left(node.name) from None
            raise
        finally:
            del self._under_way[task]
            self._left.discard(task)

    def heard(self, node: ClusterNode) -> None:
        """It has answered a call: as long as it does, it is not left for another that it does not answer."""
        self._heard_at[node.name] = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Look no more."""
        for task in (*self._asking.values(), self._watching):
            if task is not None:
                task.cancel()

    async def _watch(self) -> None:
        """Look while a call takes its time, or a node is dark."""
        loop = asyncio.get_running_loop()
        while self._under_way or self._dark:
            await asyncio.sleep(_BETWEEN_SECONDS)
            oldest = min((since for _, since in self._under_way.values()), default=loop.time())
            if self._dark or loop.time() - oldest > _SUSPECT_SECONDS:
                await self.look()

    def _watched(self, task: asyncio.Task[None]) -> None:
        self._watching = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("watching the cluster failed", error=type(error).__name__)

    async def look(self) -> None:
        """Ask all nodes that are known, and put the map right by what they say."""
        nodes = self._client.nodes_manager
        for name, node in {**nodes.startup_nodes, **nodes.nodes_cache}.items():
            if name not in self._asking:
                self._asking[name] = task = asyncio.create_task(self._ask(node))
                task.add_done_callback(lambda _, name=name: self._asking.pop(name, None))  # type: ignore[misc]
        await asyncio.wait(list(self._asking.values()), timeout=_LOOK_SECONDS)

    async def _ask(self, node: ClusterNode) -> None:
        began, asked = (
            asyncio.get_running_loop().time(),
            [PipelineCommand(0, "CLUSTER SLOTS"), PipelineCommand(1, "CLUSTER NODES")],
        )
        try:
            async with asyncio.timeout(_DARK_SECONDS):
                await node.execute_pipeline(asked)
            slots, view = (_heard(command.result) for command in asked)
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            if isinstance(error, TimeoutError) and self._heard_at.get(node.name, 0.0) > began:
                return
            if node.name not in self._dark:
                self._dark.add(node.name)
                log.warning("node does not answer", node=node.name)
                self._leave(lambda asked, _: asked.name == node.name)
            return
        if node.name in self._dark:
            self._dark.discard(node.name)
            log.info("node answers again", node=node.name)
        if slots is not None and view is not None and self._views.get(node.name) != (ranges := _ranges(slots, view)):
            self._views[node.name] = ranges
            self._apply()

    def _leave(self, which: Callable[[ClusterNode, float], bool]) -> None:
        for task, (asked, since) in self._under_way.items():
            if task not in self._left and which(asked, since):
                self._left.add(task)
                task.cancel()

    def _apply(self) -> None:
        """Make the map say what is known."""
        nodes = self._client.nodes_manager
        owners = _merged(self._views.values())
        if all(
            (known := nodes.slots_cache.get(slot)) and _place(known[0]) == it.nodes[0] for slot, it in owners.items()
        ):
            return
        primaries = {it.nodes[0] for it in owners.values()}
        lists = {it: [self._node(place, place in primaries) for place in it.nodes] for it in set(owners.values())}
        nodes.slots_cache = nodes.slots_cache | {slot: lists[it] for slot, it in owners.items()}
        for node in nodes.nodes_cache.values():
            node.server_type = PRIMARY if _place(node) in primaries else REPLICA
        nodes.default_node = nodes.get_nodes_by_server_type(PRIMARY)[0]
        log.info("another node decides", primaries=sorted(f"{host}:{port}" for host, port in primaries))
        self._leave(lambda asked, _: _place(asked) not in primaries)

    def _node(self, place: Place, is_primary: bool) -> ClusterNode:
        nodes = self._client.nodes_manager
        known = nodes.get_node(*place)
        if known is not None:
            return known
        new = ClusterNode(*place, PRIMARY if is_primary else REPLICA, **nodes.connection_kwargs)
        nodes.nodes_cache[new.name] = nodes.startup_nodes[new.name] = new
        return new


def _place(node: ClusterNode) -> Place:
    return node.host, int(node.port)


def _heard(answer: Any) -> Any:
    """An answer; None where it is that one may not ask.

    Raises:
        RedisError: it is none.
    """
    if isinstance(answer, ResponseError):
        return None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _ranges(slots: list[Any], view: dict[str, dict[str, Any]]) -> tuple[Range, ...]:
    """By one node's `CLUSTER SLOTS` and `CLUSTER NODES`."""
    epochs = {it["node_id"]: int(it["epoch"]) for it in view.values()}
    return tuple(_range(first, last, nodes, epochs) for first, last, *nodes in slots)


def _range(first: int, last: int, nodes: list[Any], epochs: dict[str, int]) -> Range:
    places = tuple((host.decode(), int(port)) for host, port, *_ in nodes)
    return Range(first, last, places, epochs.get(nodes[0][2].decode(), 0))


def _merged(views: Any) -> dict[int, Range]:
    """Of each slot what the latest of them says."""
    latest: dict[int, Range] = {}
    for it in _sorted(views):
        latest |= dict.fromkeys(range(it.first, it.last + 1), it)
    return latest


def _sorted(views: Any) -> Iterator[Range]:
    yield from sorted({it for view in views for it in view}, key=lambda it: (it.epoch, len(it.nodes)))
