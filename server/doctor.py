"""What may be wrong with a set-up, and the cure: looked at from one machine, changing nothing."""

import resource
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from server.city import City
from server.clock import from_ms
from server.settings import Settings
from server.store import Store

Level = Literal["ok", "note", "bad"]

# The store must survive `kill -9` and a full memory without losing what was acknowledged (contract, guarantee 4).
_DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
_PACKED, _PACKED_BYTES = "hash-max-listpack-value", 1024
_CLOCKS_APART_MS = 1_000
_MEMORY_SHARE = 0.8
_UNSENT_MS = 60_000
_FEW_FILES = 4_096


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at; `cure` says what to do where it is not ok."""

    level: Level
    what: str
    cure: str = ""


async def examine(settings: Settings, city: City, store: Store) -> AsyncIterator[Finding]:
    """Look at the store, the clocks, what has been imported, what is owed, and this machine.

    Args:
        settings: of the command.
        city: the city file in force.
        store: connected.
    """
    info = await _info(store)
    yield _version(store, info)
    async for finding in durability(store):
        yield finding
    yield await _clocks(store)
    async for finding in _imports(city, store):
        yield finding
    async for finding in _outbox(city, store):
        yield finding
    if settings.replicas:
        yield Finding("ok", f"replicas: an answer waits for {settings.replicas}")
    elif _is_cluster(store):
        what = "replicas: no answer waits for one, so a failover may lose the last of them"
        yield Finding("note", what, "set JIAOHAO_REPLICAS=1 wherever jiaohao runs, with a replica for each primary")
    yield _secrets(settings)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < _FEW_FILES:
        yield Finding(
            "note", f"{files} open files allowed", f"ulimit -n {_FEW_FILES * 16}: each resident is a connection"
        )
    else:
        yield Finding("ok", f"{files} open files allowed")


async def _info(store: Store) -> dict[str, Any]:
    where = {"target_nodes": RedisCluster.RANDOM} if _is_cluster(store) else {}
    info: dict[str, Any] = await store.client.info(**where)
    return info


def _is_cluster(store: Store) -> bool:
    return isinstance(store.client, RedisCluster)


def _version(store: Store, info: dict[str, Any]) -> Finding:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version")
    return Finding("ok", f"store: {name} {version}, {'a cluster' if _is_cluster(store) else 'standalone'}")


async def durability(store: Store) -> AsyncIterator[Finding]:
    """Whether the store keeps what it has acknowledged, through `kill -9` and a full memory."""
    info = await _info(store)
    try:
        config = await store.client.config_get(*_DURABLE)
        for name, wanted in _DURABLE.items():
            if (is_ := config.get(name)) == wanted:
                yield Finding("ok", f"store: {name} {is_}")
            else:
                yield Finding("bad", f"store: {name} {is_}", f"set {name} {wanted}: else an answer may be lost")
        packed = await store.client.config_get(_PACKED)
        if int(packed.get(_PACKED) or 0) < _PACKED_BYTES:
            yield Finding(
                "note",
                f"store: {_PACKED} {packed.get(_PACKED)}",
                f"set it to {_PACKED_BYTES}: a registration takes about a third less memory",
            )
    except ResponseError:
        wanted = ", ".join(f"{name} {value}" for name, value in _DURABLE.items())
        yield Finding("note", "store: its settings cannot be read", f"make sure of {wanted}")
    if info.get("aof_enabled") and info.get("aof_last_write_status") != "ok":
        yield Finding("bad", "store: the last write to its log failed", "look at its disk: full, or broken?")
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most and used > most * _MEMORY_SHARE:
        yield Finding(
            "bad", f"store: {used / most:.0%} of its memory used", "give it more: when full it refuses writes"
        )


async def _clocks(store: Store) -> Finding:
    seconds, microseconds = await _time(store)
    apart_ms = abs(seconds * 1000 + microseconds / 1000 - time.time() * 1000)
    if apart_ms > _CLOCKS_APART_MS:
        return Finding(
            "bad", f"this machine's clock and the store's are {apart_ms / 1000:.1f} s apart", "run NTP on both"
        )
    offset_ms = await store.follow_offset()
    moved = f"; the city's clock is moved by {offset_ms / 86_400_000:.1f} days (--clock)" if offset_ms else ""
    return Finding("ok", f"clocks: this machine and the store agree{moved}")


async def _time(store: Store) -> tuple[int, int]:
    if _is_cluster(store):
        seconds, microseconds = await store.client.time(target_nodes=RedisCluster.RANDOM)
    else:
        seconds, microseconds = await store.client.time()
    return int(seconds), int(microseconds)


async def _imports(city: City, store: Store) -> AsyncIterator[Finding]:
    open_ones = [district for district in city.districts if district.windows]
    sites = await store.sites([district.code for district in open_ones])
    without = [district.name_en for district, found in zip(open_ones, sites, strict=True) if not found]
    if without:
        cure = "jiaohao import sites FILE: residents there can only take any site"
        yield Finding("bad", f"no sites in {', '.join(without)}", cure)
    else:
        yield Finding("ok", f"sites: {sum(map(len, sites))} in {len(open_ones)} districts")
    async for _ in store.client.scan_iter(match="registry:*", count=1000):
        yield Finding("ok", "registry: imported")
        return
    yield Finding(
        "bad", "registry: empty", "jiaohao import registry FILE: nobody is eligible for a second dose without it"
    )


async def _outbox(city: City, store: Store) -> AsyncIterator[Finding]:
    codes = [district.code for district in city.districts]
    backlogs = await store.backlogs(codes)
    owed = sum(each.codes + each.waiting for each in backlogs)
    # Entries carry the store's time, whatever the city's is.
    seconds, _ = await _time(store)
    now = from_ms(seconds * 1000 + await store.follow_offset(), city.tz)
    is_quiet = now.time() in city.sms.quiet_hours
    # In quiet hours codes are sent all the same, and the rest is not.
    judged = [each for each in backlogs if each.codes or not is_quiet]
    oldest_ms = min((each.oldest_ms for each in judged if each.oldest_ms is not None), default=seconds * 1000)
    if is_quiet and not judged:
        yield Finding("ok", f"outbox: {owed} messages owed; quiet hours until {city.sms.quiet_hours.ends:%H:%M}")
    elif owed and seconds * 1000 - oldest_ms > _UNSENT_MS:
        what = f"outbox: {owed} messages owed, the oldest for {(seconds * 1000 - oldest_ms) / 60_000:.0f} minutes"
        yield Finding("bad", what, "nobody sends: start jiaohao notify, or look at its log")
    else:
        yield Finding("ok", f"outbox: {owed} messages owed")
    if dead := sum(each.dead for each in backlogs):
        yield Finding("bad", f"outbox: {dead} dead letters", "jiaohao outbox dead says why; then jiaohao outbox resend")
    if calls := sum(map(len, await store.to_call(codes))):
        yield Finding("note", f"outbox: {calls} residents to call", "jiaohao outbox calls: no SMS has reached them")


def _secrets(settings: Settings) -> Finding:
    earlier = len(settings.secrets) - 1
    if earlier:
        return Finding("note", f"secrets: {earlier} earlier still honoured", "jiaohao reseal, then drop them")
    return Finding("ok", "secrets: one, and no earlier one")
