"""The report of a rehearsal: one HTML file, no other hosts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from loadtests.audit.evidence import Evidence
from loadtests.report.against import Compared
from loadtests.report.charts import short
from loadtests.report.connections import connections_section
from loadtests.report.experience_section import experience_section
from loadtests.report.markup import figure, table, tiles
from loadtests.report.objectives import in_words
from loadtests.report.summary import Summary
from loadtests.report.time_charts import time_charts

_STYLE = Path(__file__).with_name("page.css")

_NUMERIC = ("", "", ' class="n"', ' class="n"', "", "", "")


def render(e: Evidence, summary: Summary) -> str:
    """Return the whole page."""
    body = [
        "<h1>开放演练<small>Rehearsal of an opening</small></h1>",
        _banner(summary),
        _tiles(e, summary),
        *(("<h2>SLOs</h2>", _objectives(summary)) if summary.objectives else ()),
        *_comparison(summary),
        *_ramp(summary),
        "<h2>What residents felt</h2>",
        *experience_section(e, summary),
        "<h2>Over time</h2>",
        _marked(summary),
        f'<div class="charts">{"".join(time_charts(e))}</div>',
        "<h2>Audit</h2>",
        _checks(summary),
        "<h2>Latency, ms</h2>",
        _latencies(summary.latency_ms, summary.on_wire_ms),
        "<h3>Apart: before the opening, the warm-up, marked seconds, around a fault, after the end</h3>",
        _latencies(summary.apart_ms, None),
        "<h2>Connections</h2>",
        *connections_section(summary.connections),
        "<h2>Answers</h2>",
        table(("call", "status", "code", "count"), summary.answers, numeric=(1, 3)),
    ]
    if summary.bots:
        body += ["<h2>Answers to bots</h2>", table(("bot", "status", "code", "count"), summary.bots, numeric=(1, 3))]
    if summary.errors:
        body += ["<h2>First errors</h2>", table(("what",), [(error,) for error in summary.errors[:20]])]
    body += [
        "<h2>Assumptions</h2>", table((), summary.assumptions), "<h2>Host</h2>", table((), summary.host),
        "<h2>Settings</h2>", table((), summary.settings),
    ]  # fmt: skip
    style = _STYLE.read_text("utf-8")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>叫号 rehearsal</title><style>\n{style}</style><main>{''.join(body)}</main></html>"
    )


def _banner(summary: Summary) -> str:
    """Return the verdict in a word and a sentence, and what it rests on."""
    failed = [check for check in summary.checks if check.ok is False]
    broken = [line for line in summary.objectives if line.state == "broken"]
    match summary.verdict:
        case "green":
            css, words = " good", "Every promise held"
            small = (
                f"{len(summary.checks)} checks, {len(summary.objectives)} SLOs, {summary.totals['requests']:,} "
                f"requests, {summary.began_at}"
            )
        case "inconclusive":
            css, words = " unsure", "Inconclusive: nothing was found broken, but not everything could be judged"
            small = "; ".join(summary.inconclusive)
        case _:
            wrong = [f"{len(failed)} of {len(summary.checks)} checks are red"] if failed else []
            wrong += [f"{len(broken)} of {len(summary.objectives)} SLOs are broken"] if broken else []
            css, words = "", ", ".join(wrong)
            small = "; ".join(
                [f"{line.name}: {figure(line.figure)}, limit {line.limit:g} {line.unit}" for line in broken]
                + [f"{check.name}: {check.detail}" for check in failed]
            )
    words += " - the generator was the limit" * summary.limited
    return f'<div class="verdict{css}">{escape(words)}<small>{escape(small[:600])}</small></div>'


def _ramp(summary: Summary) -> Iterable[str]:
    if summary.ramp is None:
        return
    calls, who = ("join", "poll", "claim", "register"), ("workers", "store", "generator", "others")
    rows = (
        (
            "held" if step.held else "broke", figure(step.rate), f"{step.from_second}-{step.to_second} s",
            *(figure(step.p99_ms.get(call)) for call in calls),
            *(figure(step.cpu_seconds.get(one, 0.0) / step.seconds) for one in who), step.why,
        )
        for step in summary.ramp.steps
    )  # fmt: skip
    heads = (
        "",
        "residents/s",
        "judged",
        *(f"p99 {call}, ms" for call in calls),
        *(f"{one}, cores" for one in who),
        "why",
    )
    yield f"<h2>Ramp: {escape(summary.ramp.in_words())}</h2>"
    yield table(heads, rows, numeric=(1, *range(3, 11)))


def _tiles(e: Evidence, summary: Summary) -> str:
    t, latency = summary.totals, summary.latency_ms
    shown = [
        (f"{t['residents']:,}", "residents"),
        (f"{t['joined']:,}", "got a place"),
        (f"{t['ready']:,}", "were called"),
        (f"{t['registered']:,}", "registered"),
        (f"{t['changes']:,}", "changed their wishes"),
        (f"{t['cancellations']:,}", "cancelled"),
        (f"{summary.peak_requests_per_second:,}/s", "requests at the peak"),
        (_duration(latency.get("join", {}).get("p99")), "join p99 from due"),
        (_duration(latency.get("poll", {}).get("p99")), "poll p99 from due"),
        (f"{t['errors']:,}", "errors"),
    ]
    for who in ("workers", "store", "generator"):
        if who in summary.cpu_percent:
            shown.append((f"{summary.cpu_percent[who]['p50']:.0f} %", f"CPU of {who}, median"))
    return tiles(shown)


def _duration(ms: float | None) -> str:
    if ms is None:
        return "-"
    return f"{ms:.0f} ms" if ms < 10_000 else f"{ms / 1000:.0f} s"


def _checks(summary: Summary) -> str:
    words = {True: ("ok", "green"), False: ("no", "RED"), None: ("un", "not judged")}
    rows = []
    for check in summary.checks:
        css, word = words[check.ok]
        rows.append(
            f'<tr><td class="{css}">{word}</td><td><b>{escape(check.name)}</b><br>'
            f"<small>{escape(check.promise)}</small></td><td>{escape(check.detail)}</td></tr>"
        )
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _objectives(summary: Summary) -> str:
    css = {"held": "ok", "broken": "no", "not measured": "none", "inconclusive": "un"}
    heads = ("", "line", "figure", "limit", "", "over the limit in", "of what")
    rows = [
        f'<tr><td class="{css[line.state]}">{line.state}</td><td><b>{escape(line.name)}</b></td>'
        f'<td class="n">{figure(line.figure)}</td><td class="n">{line.limit:g}</td><td>{escape(line.unit)}</td>'
        f"<td>{in_words(line.seconds) or '-'}</td><td>{escape(line.detail)}</td></tr>"
        for line in summary.objectives
    ]
    head = "".join(f"<th{numeric}>{word}</th>" for word, numeric in zip(heads, _NUMERIC, strict=True))
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _comparison(summary: Summary) -> Iterable[str]:
    against = summary.against
    if against is None:
        return
    yield f"<h2>Against the run of {escape(against.began_at)}</h2>"
    for difference in against.differences:
        yield f'<p class="un">Not the same in both runs: {escape(difference)}</p>'
    changed = [one for one in against.figures if one.word in ("better", "worse")]
    yield f"<p>{escape(against.in_words())}. Of every figure less is better.</p>"
    if changed:
        yield _compared(changed)
    yield f"<details><summary>All figures</summary>{_compared(against.figures)}</details>"
    yield f'<p class="none">{escape(against.how)}.</p>'


def _compared(figures: Iterable[Compared]) -> str:
    css = {"better": "ok", "worse": "no", "within noise": "none", "not compared": "none"}
    heads = ("", "figure", "before", "now", "change", "noise", "")
    rows = [
        f'<tr><td class="{css[one.word]}">{one.word}</td><td><b>{escape(one.name)}</b></td>'
        + "".join(f'<td class="n">{text}</td>' for text in (figure(one.before), figure(one.now), _change(one)))
        + f'<td class="n">{"-" if one.noise is None else "±" + figure(one.noise)}</td><td>{escape(one.unit)}</td></tr>'
        for one in figures
    ]
    css_of = ("", "", *[' class="n"'] * 4, "")
    head = "".join(f"<th{numeric}>{word}</th>" for word, numeric in zip(heads, css_of, strict=True))
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _change(one: Compared) -> str:
    return "-" if one.before is None or one.now is None else f"{one.now - one.before:+.3g}"


def _marked(summary: Summary) -> str:
    if not summary.marked:
        return '<p class="none">In no second was the generator the limit, or the CPU taken by others.</p>'
    whys = "; ".join(dict.fromkeys(summary.marked.values()))
    return (
        f'<p class="un">The generator was the limit, or the CPU was taken by others, in {in_words(summary.marked)} '
        f"(shaded): these seconds prove nothing about the server. Why: {escape(whys[:400])}.</p>"
    )


def _latencies(from_due: dict[str, dict[str, float]], on_wire: dict[str, dict[str, float]] | None) -> str:
    heads = ["call", "count", "p50 from due", "p95", "p99", "p99.9"]
    rows = [
        [call, short(due["count"]), *(f"{due[p]:.1f}" for p in ("p50", "p95", "p99", "p99.9"))]
        for call, due in from_due.items()
    ]
    if on_wire is not None:
        heads += ["p50 on the wire, all seconds", "p99"]
        for row in rows:
            row += [f"{on_wire.get(row[0], {}).get(p, 0):.1f}" for p in ("p50", "p99")]
    return table(heads, rows, numeric=range(1, 8)) if rows else '<p class="none">none</p>'
