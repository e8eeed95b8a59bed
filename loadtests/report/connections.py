"""The crowd's connections: how many there were, how long connecting took, and how each ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape

from loadtests.audit.evidence import Evidence
from loadtests.client.measure import Histogram
from loadtests.report.markup import figure, table

_PERCENTILES = (50.0, 95.0, 99.0, 99.9)
_COUNTED = {
    "reused": "connections reused",
    "ended": "connections ended",
    "let_go": "connections let go",
    "expired": "connections expired",
    "left_standing": "connections left standing",
    "closed_for_room": "connections closed for room",
    "resumed": "sessions resumed",
    "lost": "reconnects",
}
_MEANINGS = {
    "opened": "opened by the crowd",
    "most_open": "open at once, at the most",
    "most_opened_a_second": "opened in one second, at the most",
    "reused": "requests sent on a connection kept from an earlier one",
    "let_go": "ended by the server with an answer (Connection: close)",
    "ended": "ended by the server while nothing was asked of it",
    "expired": "ended by the browser: idle for its keep-alive time",
    "left_standing": "left standing by a device that changed networks: the server hears nothing of it",
    "lost": "requests sent again, as their kept connection ended that moment",
    "closed_for_room": "ended to make room for another, as this machine can hold no more",
    "resumed": "TLS sessions resumed",
}


@dataclass(frozen=True)
class ConnectionsView:
    """The crowd's connections over a run.

    Attributes:
        counts: by name, as `_MEANINGS` explains them.
        set_up_ms: `connect` and `handshake`: percentiles from due time, and `count`, of the seconds that are judged.
    """

    counts: dict[str, int] = field(default_factory=dict)
    set_up_ms: dict[str, dict[str, float]] = field(default_factory=dict)

    def in_words(self) -> str:
        """Say the most of it in a line."""
        counts, connect = self.counts, self.set_up_ms.get("connect", {})
        p99 = f", connecting p99 {connect['p99']:.1f} ms" if connect else ""
        handshake = self.set_up_ms.get("handshake", {})
        p99 += f", handshake p99 {handshake['p99']:.1f} ms, {counts['resumed']:,} resumed" if handshake else ""
        return (
            f"Connections: {counts['opened']:,} opened (at most {counts['most_opened_a_second']:,} in a second), "
            f"{counts['most_open']:,} open at the most, {counts['reused']:,} requests on a kept one, "
            f"{counts['let_go'] + counts['ended']:,} ended by the server{p99}."
        )


def connections_view(e: Evidence) -> ConnectionsView:
    """Put the crowd's connections in figures."""
    counts, set_up = e.meters.counts, e.meters.set_up
    opened = {second: histogram.total for second, histogram in set_up["connect"].items()}
    found = {
        "opened": sum(opened.values()),
        "most_open": max(counts["connections open"].values(), default=0),
        "most_opened_a_second": max(opened.values(), default=0),
    }
    found |= {name: sum(counts[series].values()) for name, series in _COUNTED.items()}
    percentiles = {}
    for how, by_second in set_up.items():
        whole = Histogram.merged(histogram for second, histogram in by_second.items() if e.judged(second))
        if whole.total:
            row = {f"p{p:g}": (whole.percentile_us(p) or 0) / 1000 for p in _PERCENTILES}
            percentiles[how] = {"count": float(whole.total), **row}
    return ConnectionsView(found, percentiles)


def connections_section(view: ConnectionsView) -> Iterator[str]:
    """Return the section of the report, as HTML."""
    yield table(("count", ""), ((f"{view.counts[name]:,}", words) for name, words in _MEANINGS.items()), numeric=(0,))
    if view.set_up_ms:
        yield f"<p>{escape('From the moment the first request on it was due, ms:')}</p>"
        yield table(("", "count", "p50", "p95", "p99", "p99.9"), _rows(view), numeric=range(1, 6))


def _rows(view: ConnectionsView) -> Iterable[Iterable[str]]:
    for how, row in view.set_up_ms.items():
        yield (how, f"{row['count']:,.0f}", *(figure(row[f"p{p:g}"]) for p in _PERCENTILES))
