"""The report of a rehearsal: one HTML file, no other hosts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from loadtests.audit.evidence import Evidence
from loadtests.client.answers import Call
from loadtests.client.measure import Histogram
from loadtests.report.against import Compared
from loadtests.report.charts import Series, line_chart, short
from loadtests.report.experience_section import felt
from loadtests.report.markup import card, figure, table, tiles
from loadtests.report.objectives import in_words
from loadtests.report.summary import Summary

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--dim:#667085;--paper:#f6f7f9;--card:#fff;--edge:#e3e7ee;--good:#1b7f4b;
--bad:#c2281d;--unsure:#a86400}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#98a2b3;--paper:#12161d;--card:#1a2029;--edge:#2b3340;
--good:#4cc38a;--bad:#ff7369;--unsure:#f0b429}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,"Noto Sans","Noto Sans CJK SC",sans-serif}
main{max-width:1340px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0}h1 small{font-weight:400;color:var(--dim);margin-left:10px;font-size:17px}
h2{font-size:17px;margin:34px 0 12px}
.verdict{margin:18px 0;padding:14px 18px;border-radius:10px;color:#fff;font-size:17px;background:#c2281d}
.verdict.good{background:#1b7f4b}.verdict.unsure{background:#8a5300}
.verdict small{display:block;opacity:.9;font-size:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(104px,1fr));gap:12px}
.tile,.card{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:12px 14px}
.tile{padding:10px}.tile b{display:block;font-size:19px;white-space:nowrap;
font-variant-numeric:tabular-nums}.tile span{color:var(--dim);font-size:13px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(460px,100%),1fr));gap:14px}
.card h3{margin:0 0 2px;font-size:15px}.card>p.note{margin:0 0 6px;color:var(--dim);font-size:13px}
svg{width:100%;height:auto;display:block}
svg polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}.grid{stroke:var(--edge)}.tick,.unit,.word{font-size:11px;
fill:var(--dim)}.mark{stroke:var(--bad);stroke-dasharray:3 3}.limit{stroke:var(--unsure);stroke-dasharray:6 4}
.legend{margin:4px 0 0;font-size:13px;color:var(--dim)}.legend span{margin-right:14px;white-space:nowrap}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:5px}
table{border-collapse:collapse;width:100%;background:var(--card);border:1px solid var(--edge);border-radius:10px}
td,th{text-align:left;padding:6px 12px;border-top:1px solid var(--edge);vertical-align:top}
tr:first-child>*{border-top:0}
th{color:var(--dim);font-weight:600;font-size:13px}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.ok{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}.un{color:var(--unsure);font-weight:600}
.shade{fill:var(--unsure);opacity:.28}.scroll{overflow-x:auto}.scroll table{min-width:640px}
.legend .dash{background:none;height:0;border-radius:0;border-top:2px dashed var(--unsure);vertical-align:middle}
.tiles+.charts,.charts+.scroll{margin-top:14px}.six{grid-template-columns:repeat(6,1fr)}
.scroll+.scroll{margin-top:14px}.felt small{color:var(--dim);display:block;
max-width:min(900px,82vw)}.felt .means td{border-top:0;padding-top:0}
@media(max-width:900px){.six{grid-template-columns:repeat(3,1fr)}}
@media(max-width:560px){main{padding:18px 12px 40px}.tick,.unit,.word{font-size:17px}td,th{padding:6px 5px}
.felt table{min-width:0;font-size:13px}
h1 small{display:block;margin:0}}
details{margin:10px 0}summary{cursor:pointer;margin-bottom:8px}.none{color:var(--dim)}
"""

_NUMERIC = ("", "", ' class="n"', ' class="n"', "", "", "")


def render(e: Evidence, summary: Summary) -> str:
    """The whole page."""
    body = [
        "<h1>开放演练<small>Rehearsal of an opening</small></h1>",
        _banner(summary),
        _tiles(e, summary),
        *(("<h2>SLOs</h2>", _objectives(summary)) if summary.objectives else ()),
        *_comparison(summary),
        *_ramp(summary),
        "<h2>What residents felt</h2>",
        *felt(e, summary),
        "<h2>Over time</h2>",
        _marked(summary),
        f'<div class="charts">{"".join(_charts(e))}</div>',
        "<h2>Audit</h2>",
        _checks(summary),
        "<h2>Latency, ms</h2>",
        _latencies(summary.latency_ms, summary.on_wire_ms),
        "<h3>Apart: before the opening, the warm-up, marked seconds, around a fault, after the end</h3>",
        _latencies(summary.apart_ms, None),
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
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>叫号 rehearsal</title><style>{_STYLE}</style><main>{''.join(body)}</main></html>"
    )


def _banner(summary: Summary) -> str:
    """The verdict in a word and a sentence, and what it rests on."""
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


def _charts(e: Evidence) -> Iterable[str]:
    counts = e.meters.counts
    marks = [(float(e.fault_second), e.fault or "fault")] if e.fault_second is not None else []
    marks += [(g.draw_seconds + g.opens_us / 1e6, "draw closes") for g in e.grounds[:1]]

    requests = [second for second in counts["requests"] if second <= e.end_second]
    span = (float(min([*requests, -5])), float(e.end_second))

    def over_time(series: Sequence[Series], unit: str, *, log: bool = False, limit: float | None = None) -> str:
        return line_chart(
            series, unit=unit, log=log, limit=limit, marks=marks, seconds=span, shaded=(*e.marked, *e.machine.taken)
        )

    rates = [Series("arrivals", _counted(counts["arrivals"]))]
    for call, word in (
        (Call.JOIN, "joins"),
        (Call.POLL, "polls"),
        (Call.CLAIM, "claims"),
        (Call.REGISTER, "registrations"),
    ):
        by_second = {second: h.total for second, h in e.meters.from_due[call].items()}
        rates.append(Series(word, _counted(by_second)))
    yield card(
        "Arrivals and requests",
        "per second, by when they were due",
        over_time(rates, "per second"),
    )
    yield card(
        "The line", "all openings together, as anyone sees it at GET /openings",
        over_time([Series(name, _looked(e, name)) for name in ("issued", "waiting", "serving")], "places"),
    )  # fmt: skip
    for call, word in (
        (Call.JOIN, "Joining"),
        (Call.POLL, "Polling"),
        (Call.CLAIM, "Claiming"),
        (Call.REGISTER, "Registering"),
    ):
        limit_us = e.slo.p99_us(call)
        yield card(
            f"{word}: latency",
            "from the moment the resident was due" + (", p99 objective dashed" if limit_us else ""),
            over_time(_latency(e, call), "ms", log=True, limit=limit_us / 1000 if limit_us else None),
        )
    around = [
        Series(word, _counted({second: h.total for second, h in e.meters.from_due[call].items()}))
        for call, word in (
            (Call.ELIGIBILITY, "eligibility"),
            (Call.SITES, "sites"),
            (Call.CHANGE, "changes"),
            (Call.CANCEL, "cancellations"),
            (Call.ACCESS_CODE, "codes"),
        )
        if e.meters.from_due[call]
    ]
    yield card(
        "Around the registration", "per second, by when they were due; QR images follow the registrations one by one",
        over_time(around, "per second"),
    )  # fmt: skip
    cpu = [Series(who, sorted(values.items())) for who, values in e.seen.cpu.items()]
    yield card("CPU", "percent of one core; others: what else the machine did, or its host took", over_time(cpu, "%"))
    memory = [Series(who, sorted(values.items())) for who, values in e.seen.memory_mb.items()]
    yield card("Memory", "resident set", over_time(memory, "MB"))
    late = [
        (float(second), (h.percentile_us(99) or 0) / 1000) for second, h in sorted(e.meters.lateness.items()) if h.total
    ]
    yield card(
        "The generator itself", "how late it was, with a line free, in sending what was due; its limit dashed",
        over_time([Series("p99", late)], "ms", log=True, limit=e.slo.generator.late_p99_ms),
    )  # fmt: skip
    trouble = [
        Series(name, _counted(counts[name]))
        for name in ("errors", "retries", "reconnects", "lines busy")
        if counts[name]
    ]
    if trouble:
        yield card("Errors and retries", "per second; lines busy: every connection was waiting for the server",
                   over_time(trouble, "per second"))  # fmt: skip


def _counted(by_second: dict[int, int]) -> list[tuple[float, float]]:
    if not by_second:
        return []
    return [(float(second), float(by_second.get(second, 0))) for second in range(min(by_second), max(by_second) + 1)]


def _looked(e: Evidence, name: str) -> list[tuple[float, float]]:
    points: dict[int, dict[str, int]] = {}
    for ground in e.grounds:
        for look in e.looks(ground):
            points.setdefault(look.seen_ms // 1000, {})[ground.district] = getattr(look, name)
    latest: dict[str, int] = {}
    line = []
    for second in sorted(points):
        latest |= points[second]
        line.append((float(second), float(sum(latest.values()))))
    return line


def _latency(e: Evidence, call: Call) -> list[Series]:
    by_second = e.meters.from_due[call]
    if not by_second:
        return []
    # enough of them in each point for a percentile to mean something
    step = max(1, (max(by_second) - min(by_second)) // 150)
    windows: dict[int, list[Histogram]] = {}
    for second, histogram in by_second.items():
        windows.setdefault(second // step * step, []).append(histogram)
    merged = {second: Histogram.merged(parts) for second, parts in sorted(windows.items())}
    return [
        Series(f"p{p}", [(float(second), (h.percentile_us(p) or 0) / 1000) for second, h in merged.items()])
        for p in (50, 95, 99)
    ]


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
