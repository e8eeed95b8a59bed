"""Whether the store keeps what it has acknowledged: each of its nodes is asked, and the bad ones are named."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from server.core.settings import Settings
from server.store.connection import Connection, NodeAnswer
from server.store.nodes import Nodes, refuses

T = TypeVar("T")
Level = Literal["ok", "note", "bad"]

# The store must survive `kill -9` and a full memory without losing what was acknowledged (contract, guarantee 4).
_DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
_PACKED, _PACKED_BYTES = "hash-max-listpack-value", 1024
_MEMORY_SHARE = 0.8
_CLOCKS_APART_MS = 1_000
_SLOTS = 16_384
_FAILED = {"fail", "fail?", "noaddr"}


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at; `cure` says what to do where it is not ok."""

    level: Level
    what: str
    cure: str = ""


async def store_findings(
    settings: Settings, connection: Connection, *, thorough: bool = True
) -> AsyncIterator[Finding]:
    """Look at every node: that it answers, keeps what it is told, has room, and is followed by enough replicas.

    Args:
        settings: how many replicas.
        connection: whose nodes.
        thorough: also read their settings, which a user that may do no more than it needs may not: with them it could
            read the store's own passwords.
    """
    infos = await Nodes(connection).ask_each("INFO")
    for finding in _absent(infos):
        yield finding
    if any(map(refuses, infos.values())):
        yield Finding("note", "store: what it says of itself cannot be read", "ask as another user: doctor --acl")
    known = {name: dict(info) for name, info in infos.items() if not isinstance(info, BaseException)}
    if known:
        yield _version(connection, known)
    if thorough:
        async for finding in _settings(connection):
            yield finding
    for finding in [*_disk(known), *_room(known), *_replicas(settings, connection, known)]:
        yield finding
    if thorough and connection.is_cluster:
        for finding in _cluster(
            await Nodes(connection).ask_each("CLUSTER NODES"), await Nodes(connection).ask_each("CLUSTER INFO")
        ):
            yield finding


async def clock_findings(connection: Connection) -> AsyncIterator[Finding]:
    """Whether every node and this machine agree what time it is."""
    apart: dict[str, float] = {}
    for node in Nodes(connection).nodes():
        asked_ms = time.time() * 1000
        answer = await Nodes(connection).ask(node, "TIME")
        answered_ms = time.time() * 1000
        if isinstance(answer, BaseException):
            continue  # that it is away has been said
        seconds, microseconds = answer
        its_ms = int(seconds) * 1000 + int(microseconds) / 1000
        # it was read at some moment between the two
        apart[node.name] = max(asked_ms - its_ms, its_ms - answered_ms, 0.0)
    if not apart:
        yield Finding("note", "clocks: the store does not say what time it is", "make sure that NTP runs everywhere")
        return
    off = {name: ms for name, ms in apart.items() if ms > _CLOCKS_APART_MS}
    if off:
        furthest = max(off.values()) / 1000
        what = f"this machine's clock and the store's are {furthest:.1f} s apart{_on(off)}"
        yield Finding("bad", what, "run NTP on all of them")


def _on(names: Iterable[str]) -> str:
    """Where: nothing for the only node there is."""
    named = ", ".join(name for name in names if name)
    return f" on {named}" if named else ""


def _absent(infos: Mapping[str, NodeAnswer]) -> Iterator[Finding]:
    away = {name: it for name, it in infos.items() if isinstance(it, BaseException) and not refuses(it)}
    if away:
        yield Finding("bad", f"store: no answer{_on(away)}", "start it again, or look at the network")


def _version(connection: Connection, infos: Mapping[str, dict[str, Any]]) -> Finding:
    found = sorted({_version_of(info) for info in infos.values()})
    kind = f"a cluster of {len(infos)} nodes" if connection.is_cluster else "standalone"
    what = f"store: {' and '.join(found)}, {kind}"
    return Finding("ok", what) if len(found) == 1 else Finding("note", what, "bring all nodes to one version")


def _version_of(info: Mapping[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version')}"


async def _settings(connection: Connection) -> AsyncIterator[Finding]:
    answers = await Nodes(connection).ask_each("CONFIG GET", *_DURABLE, _PACKED)
    known = {name: it for name, it in answers.items() if isinstance(it, dict)}
    if unread := {name: it for name, it in answers.items() if refuses(it)}:
        wanted = ", ".join(f"{name} {value}" for name, value in _DURABLE.items())
        yield Finding("note", f"store: its settings cannot be read{_on(unread)}", f"make sure of {wanted}")
    if not known:
        return
    for name, wanted in _DURABLE.items():
        for is_, where in _grouped({node: str(config.get(name)) for node, config in known.items()}).items():
            if is_ == wanted:
                yield Finding("ok", f"store: {name} {is_}{_on(where) if len(where) < len(known) else ''}")
            else:
                cure = f"set {name} {wanted}: else an answer may be lost"
                yield Finding("bad", f"store: {name} {is_}{_on(where)}", cure)
    packed = {node: int(config.get(_PACKED) or 0) for node, config in known.items()}
    small = {node: most for node, most in packed.items() if most < _PACKED_BYTES}
    for most, where in _grouped(small).items():
        cure = f"set it to {_PACKED_BYTES}: a registration takes about a third less memory"
        yield Finding("note", f"store: {_PACKED} {most}{_on(where)}", cure)


def _grouped(nodes: Mapping[str, T]) -> dict[T, list[str]]:
    """Which nodes have which value."""
    groups: dict[T, list[str]] = {}
    for name, it in nodes.items():
        groups.setdefault(it, []).append(name)
    return groups


def _disk(infos: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    failed = {n: i for n, i in infos.items() if i.get("aof_enabled") and i.get("aof_last_write_status") != "ok"}
    if failed:
        cure = "look at its disk: full, or broken?"
        yield Finding("bad", f"store: the last write to its log failed{_on(failed)}", cure)


def _room(infos: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    for name, info in infos.items():
        used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
        if most and used > most * _MEMORY_SHARE:
            what = f"store: {used / most:.0%} of its memory used{_on([name])}"
            yield Finding("bad", what, "give it more: when full it refuses writes")


def _replicas(settings: Settings, connection: Connection, infos: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """Whether each primary is followed by as many as its answers wait for."""
    primaries = {name: info for name, info in infos.items() if info.get("role") == "master"}
    broken = {n: i for n, i in infos.items() if i.get("role") == "slave" and i.get("master_link_status") != "up"}
    if broken:
        cure = "look at its log: it cannot take over"
        yield Finding("bad", f"replicas: no link to the primary{_on(broken)}", cure)
    wanted = settings.replicas
    if wanted == "all":
        following = {name: replicas_online(info) for name, info in primaries.items()}
        counts = " or ".join(map(str, sorted(set(following.values()))))
        alone = [name for name, count in following.items() if not count]
        if alone and connection.is_cluster:
            what = f"replicas: none{_on(alone)}: if it dies, its openings are away until it is back"
            yield Finding("note", what, "start two for each primary")
        elif following and not alone:
            yield Finding("ok", f"replicas: an answer waits for all of them, {counts} for each primary")
        return
    if not wanted:
        if connection.is_cluster or any(map(replicas_online, primaries.values())):
            what = "replicas: no answer waits for one, so a failover may lose the last of them"
            yield Finding("note", what, "take JIAOHAO_REPLICAS=0 away: by default an answer waits for all")
        return
    few = {name: have for name, info in primaries.items() if (have := replicas_online(info)) < wanted}
    for have, where in _grouped(few).items():
        yield Finding(
            "bad",
            f"replicas: {have}{_on(where)}, and JIAOHAO_REPLICAS={wanted}: every write is refused there",
            f"start {wanted} for each primary, or set JIAOHAO_REPLICAS to what there is",
        )
    if primaries and not few:
        yield Finding("ok", f"replicas: an answer waits for {wanted}, and each primary has as many")
    elif not primaries:
        yield Finding("note", f"replicas: an answer waits for {wanted}", "whether they are there cannot be read")


def replicas_online(info: Mapping[str, Any]) -> int:
    """Replicas that have caught up with the beginning: one that is being sent the data answers no WAIT."""
    count = int(info.get("connected_slaves", 0))
    replicas = (info.get(f"slave{i}") for i in range(count))
    return sum(1 for replica in replicas if not isinstance(replica, dict) or replica.get("state") == "online")


_CHECK_CLUSTER = "see `valkey-cli --cluster check`"


def _cluster(views: Mapping[str, NodeAnswer], infos: Mapping[str, NodeAnswer]) -> Iterator[Finding]:
    """What the nodes know of each other: one without slots, or that has failed, is met nowhere else."""
    if any(map(refuses, [*views.values(), *infos.values()])):
        yield Finding("note", "cluster: its state cannot be read", _CHECK_CLUSTER)
    failed = set()
    for view in views.values():
        if isinstance(view, dict):
            failed |= {name for name, it in view.items() if _FAILED & set(it["flags"].split(","))}
    if failed:
        yield Finding("bad", f"cluster: failed nodes{_on(sorted(failed))}", "start them again, or have it forget them")
    served = [int(info.get("cluster_slots_ok", 0)) for info in infos.values() if isinstance(info, dict)]
    if min(served, default=_SLOTS) < _SLOTS:
        yield Finding("bad", f"cluster: {min(served)} of {_SLOTS} slots are served", _CHECK_CLUSTER)
