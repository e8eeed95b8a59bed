"""The verdict at the end of a rehearsal: audited, written where asked for, and shown on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, assert_never

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.audit.evidence import Evidence
from loadtests.audit.promises import audit
from loadtests.capacity.ramp_steps import RampResult
from loadtests.report.against import Comparison, load_run
from loadtests.report.junit import junit
from loadtests.report.objectives import in_words
from loadtests.report.page import render
from loadtests.report.residents import ResidentsView
from loadtests.report.summary import Summary, Verdict, summarise
from loadtests.run.options import Options

EXIT_CODES: Final[Mapping[Verdict, int]] = {"green": 0, "red": 1, "inconclusive": 3}
"""Of a rehearsal that was held, by its verdict; 2 is one that could not be held."""


def conclude(evidence: Evidence, options: Options, curve: str, pace: str, console: Console) -> int:
    """Audit, judge, write what was asked for, show the verdict; its exit code."""
    earlier = load_run(Path(options.against)) if options.against is not None else None
    summary = summarise(evidence, audit(evidence), options, curve, pace, earlier)
    if options.report is not None:
        _write(options.report, render(evidence, summary).encode())
    if options.json is not None:
        _write(options.json, msgspec.json.format(msgspec.json.encode(summary.plain())))
    if options.junit is not None:
        _write(options.junit, junit(summary))
    show(summary, console, options)
    return EXIT_CODES[summary.verdict]


def _write(name: str, content: bytes) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def show(summary: Summary, console: Console, options: Options) -> None:
    """Print the checks, the SLOs, what it cost, how it compares, and where the report is."""
    table = Table(title="Audit", title_justify="left", show_lines=False)
    for head in ("", "check", "what was found"):
        table.add_column(head, overflow="fold")
    for check in summary.checks:
        word = {True: "[green]green[/green]", False: "[bold red]RED[/bold red]", None: "[yellow]unjudged[/yellow]"}
        table.add_row(word[check.ok], check.name, Text(check.detail[:600]))
    console.print(table)
    if summary.objectives:
        console.print(_objectives(summary))
    latencies = Table(title="Latency from due time, ms", title_justify="left")
    for head in ("call", "count", "p50", "p95", "p99", "p99.9", "p99 on the wire"):
        latencies.add_column(head, justify="left" if head == "call" else "right")
    for call, row in summary.latency_ms.items():
        wire = summary.on_wire_ms.get(call, {}).get("p99", 0.0)
        figures = (f"{row[name]:.1f}" for name in ("p50", "p95", "p99", "p99.9"))
        latencies.add_row(call, f"{row['count']:,.0f}", *figures, f"{wire:.1f}")
    console.print(latencies)
    console.print(summary.connections.in_words(), soft_wrap=True)
    _show_residents(summary.residents_view, console)
    if summary.ramp is not None:
        _show_ramp(summary.ramp, console)
    if summary.against is not None:
        _show_comparison(summary.against, console)
    cpu = ", ".join(f"{who} {percent['p50']:.0f} %" for who, percent in summary.cpu_percent.items())
    console.print(f"Peak {summary.peak_requests_per_second:,} requests/s. CPU, median second, of one core: {cpu}.")
    if summary.marked:
        console.print(
            f"[yellow]Not the server's doing in {in_words(summary.marked)}[/yellow] (the generator was the limit, or "
            "others took the CPU)."
        )
    if options.report is not None:
        console.print(f"Report: {options.report}")
    green = sum(1 for check in summary.checks if check.ok)
    broken = [objective.name for objective in summary.objectives if objective.state == "broken"]
    words = f"{green} of {len(summary.checks)} checks are green"
    words += f"; broken: {', '.join(broken)}" if broken else ", no SLO is broken" if summary.objectives else ""
    limit = " The generator was the limit." if summary.limited else ""
    match summary.verdict:
        case "green":
            console.print(f"[bold green]Every promise held:[/bold green] {words}.")
        case "red":
            console.print(f"[bold red]Not every promise held:[/bold red] {words}.{limit}")
        case "inconclusive":
            why = "; ".join(summary.inconclusive)[:600]
            console.print(
                f"[bold black on yellow] INCONCLUSIVE [/] nothing was found broken, but not everything could be judged:"
                f" {words}.{limit} Hold it again where the machine is free for it.",
            )
            console.print(Text(f"Why: {why}"))
        case _:
            assert_never(summary.verdict)


def _objectives(summary: Summary) -> Table:
    table = Table(title="SLOs", title_justify="left")
    for head in ("", "line", "figure", "limit", "", "over the limit in", "of"):
        table.add_column(head, justify="right" if head in ("figure", "limit") else "left", overflow="fold")
    colour = {"held": "green", "broken": "bold red", "not measured": "dim", "inconclusive": "yellow"}
    for line in summary.objectives:
        state = f"[{colour[line.state]}]{line.state}[/]"
        figure = "-" if line.figure is None else f"{line.figure:.4g}"
        table.add_row(state, line.name, figure, f"{line.limit:g}", line.unit, in_words(line.seconds), Text(line.detail))
    return table


def _show_ramp(ramp: RampResult, console: Console) -> None:
    table = Table(title="Ramp", title_justify="left")
    for head in ("", "residents/s", "join p99 ms", "poll p99 ms", "register p99 ms", "cores: workers", "store", "why"):
        table.add_column(head, justify="left" if head in ("", "why") else "right", overflow="fold")
    for step in ramp.steps:
        p99 = (f"{step.p99_ms[call]:.0f}" if call in step.p99_ms else "-" for call in ("join", "poll", "register"))
        cores = (f"{step.cpu_seconds.get(who, 0.0) / step.seconds:.2f}" for who in ("workers", "store"))
        word = "[green]held[/green]" if step.held else "[bold red]broke[/bold red]"
        table.add_row(word, f"{step.rate:.0f}", *p99, *cores, Text(step.why))
    console.print(table)
    console.print(f"Ramp: {ramp.in_words()}.", soft_wrap=True)


def _show_residents(view: ResidentsView, console: Console) -> None:
    table = Table(title="What residents felt", title_justify="left")
    for head in ("of a resident", "residents", "p50", "p90", "p95", "p99", "most", ""):
        table.add_column(head, justify="left" if head in ("of a resident", "") else "right")
    for spread in view.spreads:
        figures = (f"{spread.percentiles[name]:,.4g}" for name in ("p50", "p90", "p95", "p99", "p100"))
        table.add_row(spread.name, f"{spread.count:,}", *figures, spread.unit)
    console.print(table)
    for share in view.shares:
        reasons = ", ".join(f"{n:,} {why}" for why, n in share.reasons.items())
        words = f"{share.name}: {share.part:,} of {share.whole:,}{f' ({reasons})' if reasons else ''}"
        console.print(f"[dim]{words}[/dim]", soft_wrap=True)


def _show_comparison(against: Comparison, console: Console) -> None:
    table = Table(title=f"Against the run of {against.began_at}", title_justify="left")
    for head in ("", "figure", "before", "now", "noise ±", ""):
        table.add_column(head, justify="right" if head in ("before", "now", "noise ±") else "left")
    colour = {"better": "green", "worse": "bold red", "within noise": "dim", "not compared": "dim"}
    changed = [one for one in against.figures if one.word in ("better", "worse")]
    for one in changed:
        figures = ("-" if value is None else f"{value:.3g}" for value in (one.before, one.now, one.noise))
        table.add_row(f"[{colour[one.word]}]{one.word}[/]", one.name, *figures, one.unit)
    if changed:
        console.print(table)
    console.print(f"Against the run of {against.began_at}: {against.in_words()}.", soft_wrap=True)
    for difference in against.differences:
        console.print(f"[yellow]not the same in both runs:[/yellow] {difference}", soft_wrap=True)
    console.print(f"[dim]{against.how}[/dim]", soft_wrap=True)
