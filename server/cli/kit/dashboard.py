"""A dashboard for Grafana: the opening at 08:00, the machines behind it, messages and the night."""

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

_WIDE: Final = 24
_HIGH: Final = 8
# The version of the format that Grafana 9 and later read; later ones bring it up to date themselves.
_SCHEMA: Final = 37


class Panel(NamedTuple):
    """A plot. `queries`: legend -> PromQL, in which `{{label}}` of the legend is filled in."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    width: int = 8


_ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "The opening": (
        Panel("Waiting", {"{{district}}": "max by (district) (jiaohao_opening_waiting)"}),
        Panel("Called, a second", {
            "{{district}}": "max by (district) (rate(jiaohao_opening_called[1m]))",
            "{{district}} allowed": "max by (district) (jiaohao_opening_rate_per_second)",
        }),
        Panel("Inside, and how many may be", {
            "{{district}}": "max by (district) (jiaohao_opening_pending + jiaohao_opening_passes_alive)",
            "{{district}} at most": "max by (district) (jiaohao_opening_max_active)",
        }),
        Panel("Registered, a second", {
            "registered": 'sum(rate(jiaohao_requests_total{call="register",code="registered"}[1m]))',
        }),
        Panel("Called, come, missed", {
            "called {{district}}": "max by (district) (jiaohao_opening_called)",
            "come {{district}}": "max by (district) (jiaohao_opening_claimed)",
            "missed {{district}}": "max by (district) (jiaohao_opening_missed)",
        }),
        Panel("Places forgotten by a roll-back", {"{{district}}": "max by (district) (jiaohao_opening_forgotten)"}),
    ),
    "Calls": (
        Panel("Calls a second", {"{{call}}": "sum by (call) (rate(jiaohao_requests_total[1m])) > 0"}, "reqps"),
        Panel("p99", {
            "{{call}}": "histogram_quantile(0.99, sum by (le, call) (rate(jiaohao_request_seconds_bucket[1m]))) > 0",
        }, "s"),
        Panel("Refused or failed, a second", {
            "{{call}} {{code}}": (
                "sum by (call, code) (rate(jiaohao_requests_total"
                '{code=~"store-unavailable|overloaded|unexpected"}[1m])) > 0'
            ),
        }, "reqps"),
        Panel("Waiting for the store", {"{{call}}": "sum by (call) (jiaohao_requests_waiting)"}),
        Panel("Connections", {
            "{{instance}}": "sum by (instance) (jiaohao_connections_open)",
            "{{instance}} at most": "sum by (instance) (jiaohao_connections_limit)",
        }),
        Panel("Wrong papers, a second", {
            "wrong {{call}}": "sum by (call) (rate(jiaohao_wrong_papers_total[1m]))",
            "unseen {{call}}": "sum by (call) (rate(jiaohao_papers_refused_total[1m]))",
        }, "reqps"),
    ),
    "The store": (
        Panel("Round trip, p99", {
            "{{script}}": (
                "histogram_quantile(0.99, sum by (le, script) (rate(jiaohao_store_script_seconds_bucket[1m]))) > 0"
            ),
        }, "s"),
        Panel("Failed round trips, a second", {
            "{{script}}": "sum by (script) (rate(jiaohao_store_script_failures_total[1m])) > 0",
        }, "reqps"),
        Panel("Behind their primary", {
            "{{replica}}": "max by (replica) (jiaohao_store_replica_behind_bytes)",
        }, "bytes"),
        Panel("Memory", {
            "{{node}}": "max by (node) (jiaohao_store_memory_used_bytes)",
            "{{node}} at most": "max by (node) (jiaohao_store_memory_limit_bytes) > 0",
        }, "bytes"),
        Panel("Nodes that answer", {
            "{{node}}": "max by (node) (jiaohao_store_node_up)",
            "{{node}} log": "max by (node) (jiaohao_store_log_ok)",
            "replicas of {{node}}": "max by (node) (jiaohao_store_replicas)",
        }),
        Panel("Not understood, in ten minutes", {
            "{{script}}": "sum by (script) (increase(jiaohao_unknown_statuses_total[10m])) > 0",
            "{{record}}": "sum by (record) (increase(jiaohao_broken_records_total[10m])) > 0",
        }),
    ),
    "Messages and the night": (
        Panel("Messages not yet sent", {"{{state}}": "sum by (state) (max by (district, state) (jiaohao_messages))"}),
        Panel("The oldest that could go", {
            "{{district}}": "max by (district) (jiaohao_message_oldest_age_seconds)",
        }, "s"),
        Panel("Delivery receipts, two hours", {"{{what}}": "max by (what) (jiaohao_delivery_receipts)"}),
        Panel("The night: steps done", {
            "{{district}}": "sum by (district) (max by (district, step) (jiaohao_night_step_done))",
        }),
        Panel("The night: late by", {"{{district}}": "max by (district) (jiaohao_night_unfinished_seconds)"}, "s"),
        Panel("Slots taken, of all", {
            "in {{days_ahead}} days": (
                "sum by (days_ahead) (max by (district, days_ahead) (jiaohao_slots_taken))"
                " / (sum by (days_ahead) (max by (district, days_ahead) (jiaohao_slots)) > 0)"
            ),
        }, "percentunit"),
    ),
}  # fmt: skip


def dashboard() -> str:
    """The JSON that Grafana imports; it asks which of its data sources is meant."""
    made: dict[str, Any] = {
        "__inputs": [{"name": "DS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}],
        "title": "jiaohao",
        "uid": "jiaohao",
        "schemaVersion": _SCHEMA,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "panels": list(_panels()),
    }
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def queries() -> list[str]:
    """What all panels ask, in PromQL."""
    return [query for panels in _ROWS.values() for panel in panels for query in panel.queries.values()]


def _panels() -> Iterator[dict[str, Any]]:
    number = top = 0
    for title, panels in _ROWS.items():
        number += 1
        place = {"x": 0, "y": top, "w": _WIDE, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        top, left = top + 1, 0
        for panel in panels:
            if left + panel.width > _WIDE:
                left, top = 0, top + _HIGH
            number += 1
            yield _drawn(panel, number, {"x": left, "y": top, "w": panel.width, "h": _HIGH})
            left += panel.width
        top += _HIGH


def _drawn(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${DS}"}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "gridPos": place,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": query, "legendFormat": legend, "datasource": source}
            for i, (legend, query) in enumerate(panel.queries.items())
        ],
    }
