"""How an opening stands, for the metrics."""

from server.waiting_room.opening import Opening


def figures_of(it: Opening, now_ms: int) -> dict[str, float]:
    """Name -> figure; `Metrics` says what each of them is."""
    return {
        "issued": it.issued,
        "serving": it.serving,
        "called": it.called,
        "claimed": it.claimed,
        "missed": it.missed,
        "waiting": it.waiting,
        "pending": it.pending,
        "passes_alive": it.passes_alive,
        "forgotten": it.floors.forgotten,
        "is_calling": it.state(now_ms) == "open" and it.drawing.settled,
        "is_paused": it.paused,
        "is_prepared": it.prepared,
        "rate_per_second": it.rate,
        "pace_per_second": it.pace,
        "max_active": it.max_active,
        "opens_timestamp_seconds": it.opens_ms / 1000,
        "closes_timestamp_seconds": it.closes_ms / 1000,
    }
