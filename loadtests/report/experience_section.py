"""The report's section on what residents felt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from html import escape

from loadtests.audit.evidence import Evidence
from loadtests.report.charts import band_chart, bar_chart
from loadtests.report.experience import out_of_order
from loadtests.report.markup import card, figure, tiles
from loadtests.report.residents import PERCENTILES, Band, Distribution, in_steps, waits_ms, ways_ms
from loadtests.report.summary import Summary


def experience_section(e: Evidence, summary: Summary) -> Iterable[str]:
    """Return the section's parts, as HTML."""
    view = summary.residents_view
    spreads = {spread.name: spread for spread in view.spreads}
    yield tiles(_at_a_glance(spreads, summary), "six")
    promised, minutes = _in_minutes(view.promised, both=True)
    looks, waited = _in_minutes(view.looks, both=False)
    step = 60 if e.end_second >= 300 else 5
    order = [(f"{o.second // 60}:{o.second % 60:02d}", 100 * o.wrong / o.pairs if o.pairs else 0.0)
             for o in in_steps(out_of_order(e), step)]  # fmt: skip
    cards = (
        card("Waiting for the call", "from joining to being told, of everyone called",
              _waits([ms for _, ms in waits_ms(e)])),
        card("From the door to the registration", "of everyone registered; who came later counts from coming",
              _waits([ms for _, ms in ways_ms(e)])),
        card("Promised and real", "what people waited who were first promised as long",
              band_chart(promised, unit=f"{minutes} waited", x_label=f"{minutes} promised", equal="as promised")),
        card("Out of order", f"pairs of claims, by {'the minute' if step == 60 else '5 s'} of the later one, in which "
              "the higher number came first", bar_chart(order, unit="%", x_label="minute of the run")),
        card("Looking until the call", "at the public answer or the ticket, of those who waited as long",
              band_chart(looks, unit="looks", x_label=f"{waited} waited")),
        card("Requests of a resident", "of any kind, of everyone who sent any", _requests(e)),
    )  # fmt: skip
    yield f'<div class="charts">{"".join(cards)}</div>'
    heads = ("of a resident", "residents", *("most" if p == 100 else f"p{p}" for p in PERCENTILES))
    yield _explained(
        heads,
        (
            (
                spread.name + ", s" * (spread.unit == "s"),
                spread.meaning,
                f"{spread.count:,}",
                *map(figure, spread.percentiles.values()),
            )
            for spread in view.spreads
        ),
    )
    yield _explained(
        ("share of residents", "", "", "why"),
        (
            (share.name, share.meaning, _percent(share.part, share.whole), f"{share.part:,} of {share.whole:,}",
             ", ".join(f"{why}: {n:,}" for why, n in sorted(share.reasons.items())))
            for share in view.shares
        ),
    )  # fmt: skip


def _explained(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of (name, meaning, figures...), each meaning on a line of its own."""
    body = "".join(
        f"<tr><td><b>{name}</b></td>{''.join(f'<td class=n>{escape(text)}</td>' for text in figures)}</tr>"
        f'<tr class="means"><td colspan="{len(heads)}"><small>{escape(meaning)}</small></td></tr>'
        for name, meaning, *figures in rows
    )
    first, *others = heads
    head = f"<th>{first}</th>" + "".join(f'<th class="n">{word}</th>' for word in others)
    return f'<div class="scroll felt"><table><tr>{head}</tr>{body}</table></div>'


def _at_a_glance(spreads: dict[str, Distribution], summary: Summary) -> Iterable[tuple[str, str]]:
    def at(name: str, percent: str) -> float | None:
        return spreads[name].percentiles[percent] if name in spreads else None

    wait, way, eta = "wait for the call", "door to registration", "ETA error"
    yield _waited(at(wait, "p50")), "wait for the call, median"
    yield _waited(at(wait, "p95")), "wait for the call, p95"
    yield _waited(at(way, "p50")), "door to registration, median"
    yield _waited(at(eta, "p50")), "ETA error, median"
    yield _waited(at(eta, "p90")), "ETA error, p90"
    steps = summary.residents_view.fairness_by_minute
    yield _percent(sum(o.wrong for o in steps), sum(o.pairs for o in steps)), "of pairs out of order (Kendall)"
    for share in summary.residents_view.shares[:3]:
        yield _percent(share.part, share.whole), share.name
    for name, what in (("tickets", "GET /ticket"), ("looks", "public looks")):
        yield f"{summary.residents_view.a_place[name]:.2f}", f"{what} a place"
    yield figure(at("requests", "p50")), "requests a resident, median"
    for name, way in (("bytes up", "sent"), ("bytes down", "received")):
        kilobytes = at(name, "p50")
        yield f"{figure(kilobytes and kilobytes / 1000)} kB", f"{way} by a resident, median"


def _waited(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.3g} s" if seconds < 100 else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "-"


def _in_minutes(bands: Sequence[Band], *, both: bool) -> tuple[list[tuple[float, float, float, float]], str]:
    """Bands for a chart, where x is in seconds, and y too if `both`: in minutes if they are many, and the unit."""
    longest = max((max(b.x, b.p95 if both else 0.0) for b in bands), default=0.0)
    size, unit = (60, "min") if longest >= 600 else (1, "s")
    y = size if both else 1
    return [(b.x / size, b.p5 / y, b.p50 / y, b.p95 / y) for b in bands], unit


def _waits(waits_ms: Sequence[int]) -> str:
    width = max(1, round(max(waits_ms, default=0) / 30_000))
    return _bars(waits_ms, 1000 * width, lambda k: f"{k * width // 60}:{k * width % 60:02d}", "minutes")


def _requests(e: Evidence) -> str:
    sent = [requests for requests in e.observations.requests if requests]
    width = max(1, round(max(sent, default=0) / 30))
    return _bars(sent, width, lambda k: f"{k * width}", "requests")


def _bars(values: Iterable[int], width: int, label: Callable[[int], str], x_label: str) -> str:
    """Say how many residents have each value, by steps of `width`."""
    found = Counter(value // width for value in values)
    bars = [(label(k), float(found[k])) for k in range(max(found, default=-1) + 1)]
    return bar_chart(bars, unit="residents", x_label=x_label)
