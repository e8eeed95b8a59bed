"""What the store knows of the city, for the metrics: looked up when somebody asks, at most once in a few seconds."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import structlog
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from server.core.city import City
from server.core.clock import Clock
from server.core.errors import Refusal
from server.messages.delivery_receipts import HOUR_MS
from server.messages.receipt_store import ReceiptStore
from server.operations.overview import Overview
from server.operations.overview_views import DistrictNow, NightNow, OperationsView, Outbox
from server.operations.store_findings import replicas_online
from server.store.connection import Connection
from server.store.nodes import Nodes

log = structlog.get_logger()

_KEPT_MS: Final = 5_000
_PATIENCE_SECONDS: Final = 4.0  # whoever scrapes gives up after ten
_THE_ONLY_ONE: Final = "store"  # a standalone server has no name of its own

_Samples: TypeAlias = Iterable[tuple[Sequence[str], float]]


class StoreFigures:
    """Any worker answers for the whole city; those who add up several machines take one of them, or the maximum.

    Args:
        city: its nights.
        connection: the truth.
        clock: city time.
        overview: looks.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, overview: Overview) -> None:
        self._city = city
        self._clock = clock
        self._overview = overview
        self._nodes = Nodes(connection)
        self._receipts = ReceiptStore(connection)
        self._looking = asyncio.Lock()
        self._known = b""
        self._looked_ms = 0

    async def exposition(self) -> bytes:
        """In Prometheus' text format; `jiaohao_store_up 0` and little else where the store does not answer."""
        async with self._looking:  # scrapes that come together look once
            now_ms = self._clock.now_ms()
            if abs(now_ms - self._looked_ms) >= _KEPT_MS:  # either way: a city's time may be set back
                self._known, self._looked_ms = await self._look(), now_ms
            return self._known

    async def _look(self) -> bytes:
        families: list[Metric] = []
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                families += _of_nodes(await self._nodes.ask_each("INFO"))
                families += self._of_city(await self._overview.view(slots_of=()))
                families.append(await self._of_receipts())
            up = 1.0
        except (Refusal, TimeoutError):
            up = 0.0
        except Exception:  # a figure that cannot be made must not take the others away
            log.exception("figures failed")
            up = 0.0
        families.append(_gauge("store_up", "1: the store has told all that these figures are made of", (), [((), up)]))
        registry = CollectorRegistry()
        registry.register(_Found(families))
        return generate_latest(registry)

    def _of_city(self, seen: OperationsView) -> Iterator[Metric]:
        now, districts = seen.now, seen.districts

        def by_district(name: str, help_: str, figure: Callable[[DistrictNow], float]) -> Metric:
            return _gauge(name, help_, ("district",), [((it.code,), figure(it)) for it in districts])

        yield _gauge(
            "messages",
            "Messages not yet sent, by state",
            ("district", "state"),
            [((it.code, state), count) for it in districts for state, count in _messages(it.outbox).items()],
        )
        yield by_district(
            "message_oldest_age_seconds",
            "How long the oldest message that could go now has been waiting; 0: there is none",
            lambda it: _age_s(it.outbox.oldest_at, now),
        )
        yield _gauge(
            "night_step_done",
            "1: this step of the latest night is done",
            ("district", "step"),
            [((it.code, step), done) for it in districts for step, done in _steps(it.night).items()],
        )
        begun_s = (now - self._city.night_begins(seen.night)).total_seconds()
        yield by_district(
            "night_unfinished_seconds",
            "How long ago the latest night was due to begin, where it is not done; 0: it is, or has nothing to do",
            lambda it: begun_s if _is_unfinished(it) else 0.0,
        )
        yield by_district(
            "pending_registrations", "Registrations on the waiting list, as nights gather it", lambda it: it.pending
        )
        yield by_district("people_to_call", "People whom no message reaches", lambda it: it.to_call)
        yield by_district("people_barred", "People barred after no-shows", lambda it: it.barred)
        yield by_district("visits_to_settle", "Visits that fit no booking", lambda it: it.attendances)
        yield by_district("people_locked", "People whose papers are not looked at now", lambda it: it.papers.locked)
        days = [(it.code, str((day.date - now.date()).days), day) for it in districts for day in it.capacity]
        yield _gauge(
            "slots",
            "Capacity of today (0) and of the days ahead",
            ("district", "days_ahead"),
            [((code, ahead), day.capacity) for code, ahead, day in days],
        )
        yield _gauge(
            "slots_taken",
            "Slots taken of today (0) and of the days ahead",
            ("district", "days_ahead"),
            [((code, ahead), day.taken) for code, ahead, day in days],
        )

    async def _of_receipts(self) -> Metric:
        hour = self._clock.now_ms() // HOUR_MS
        counts: Counter[str] = Counter(dict.fromkeys(("matched", "unmatched"), 0))
        for counted in await self._receipts.receipt_counts([hour - 1, hour]):
            counts.update(counted)
        return _gauge(
            "delivery_receipts",
            "Delivery receipts of this hour and the one before, by what they were",
            ("what",),
            [((what,), many) for what, many in sorted(counts.items())],
        )


class _Found(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gauge(name: str, help_: str, labels: Sequence[str], samples: _Samples) -> Metric:
    family = GaugeMetricFamily(f"jiaohao_{name}", help_, labels=labels)
    for values, figure in samples:
        family.add_metric(values, float(figure))
    return family


def _of_nodes(infos: Mapping[str, Any]) -> Iterator[Metric]:
    """A node that is away or will not say is `jiaohao_store_node_up 0`, and in none of the others."""
    known = {name or _THE_ONLY_ONE: it for name, it in infos.items() if isinstance(it, dict)}

    def by_node(name: str, help_: str, figures: Mapping[str, float]) -> Metric:
        return _gauge(f"store_{name}", help_, ("node",), [((node,), figure) for node, figure in figures.items()])

    up = {name or _THE_ONLY_ONE: float(isinstance(it, dict)) for name, it in infos.items()}
    yield by_node("node_up", "1: this node of the store has answered", up)
    for name, help_, field in (
        ("memory_used_bytes", "Memory that a node uses for its data", "used_memory"),
        ("memory_limit_bytes", "Memory that a node may use for its data; 0: no limit", "maxmemory"),
        ("clients", "Connections that a node holds", "connected_clients"),
    ):
        yield by_node(name, help_, {node: float(it.get(field, 0)) for node, it in known.items()})
    yield by_node(
        "log_ok",
        "1: the last write to a node's log has succeeded",
        {node: float(it.get("aof_last_write_status", "ok") == "ok") for node, it in known.items()},
    )
    primaries = {node: it for node, it in known.items() if it.get("role") == "master"}
    yield by_node(
        "replicas", "Replicas that follow a primary", {node: replicas_online(it) for node, it in primaries.items()}
    )
    yield _gauge(
        "store_replica_behind_bytes",
        "What a replica has not yet acknowledged",
        ("node", "replica"),
        [((node, replica), behind) for node, it in primaries.items() for replica, behind in _behind(it)],
    )


def _behind(info: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for i in range(int(info.get("connected_slaves", 0))):
        replica = info.get(f"slave{i}")
        if isinstance(replica, dict):
            behind = int(info["master_repl_offset"]) - int(replica["offset"])
            yield f"{replica['ip']}:{replica['port']}", max(0, behind)


def _messages(it: Outbox) -> dict[str, int]:
    return {"code": it.codes, "waiting": it.waiting, "later": it.later, "dead": it.dead}


def _steps(it: NightNow) -> dict[str, bool]:
    return {
        "close": it.closed_at is not None,
        "free": it.freed_at is not None,
        "freeze": it.frozen_at is not None,
        "allot": it.allotted_at is not None,
        "publish": it.published_at is not None,
        "tell": it.told_at is not None,
    }


def _is_unfinished(it: DistrictNow) -> bool:
    return it.night.told_at is None and (it.night.state != "none" or it.pending > 0)


def _age_s(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
