"""The verdict at the end of a rehearsal: audited, written where asked for, and shown on the terminal."""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.audit import audit
from loadtests.evidence import Evidence
from loadtests.options import Options
from loadtests.report import render
from loadtests.summary import Summary, summarise


def conclude(evidence: Evidence, options: Options, curve: str, pace: str, console: Console) -> bool:
    """Audit, write the report and the figures, show the verdict; whether every check is green."""
    summary = summarise(evidence, audit(evidence), options, curve, pace)
    if options.report is not None:
        _write(options.report, render(evidence, summary).encode())
    if options.json is not None:
        _write(options.json, msgspec.json.format(msgspec.json.encode(summary.plain())))
    show(summary, console, options)
    return summary.passed


def _write(name: str, content: bytes) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def show(summary: Summary, console: Console, options: Options) -> None:
    """Print the checks, what it cost, and where the report is."""
    table = Table(title="Audit", title_justify="left", show_lines=False)
    for head in ("", "check", "what was found"):
        table.add_column(head, overflow="fold")
    for check in summary.checks:
        word = {True: "[green]green[/green]", False: "[bold red]RED[/bold red]", None: "[yellow]unjudged[/yellow]"}
        table.add_row(word[check.ok], check.name, Text(check.detail[:600]))
    console.print(table)
    latencies = Table(title="Latency from due time, ms", title_justify="left")
    for head in ("call", "count", "p50", "p95", "p99", "p99.9", "p99 on the wire"):
        latencies.add_column(head, justify="left" if head == "call" else "right")
    for call, row in summary.latency_ms.items():
        wire = summary.on_wire_ms.get(call, {}).get("p99", 0.0)
        figures = (f"{row[name]:.1f}" for name in ("p50", "p95", "p99", "p99.9"))
        latencies.add_row(call, f"{row['count']:,.0f}", *figures, f"{wire:.1f}")
    console.print(latencies)
    cpu = ", ".join(f"{who} {percent:.0f} %" for who, percent in summary.mean_cpu_percent.items())
    console.print(f"Peak {summary.peak_requests_per_second:,} requests/s. Mean CPU, of one core: {cpu}.")
    if options.report is not None:
        console.print(f"Report: {options.report}")
    green = sum(1 for check in summary.checks if check.ok)
    words = f"{green} of {len(summary.checks)} checks are green"
    if summary.passed:
        console.print(f"[bold green]Every promise held:[/bold green] {words}.")
    else:
        limit = " The generator was the limit." if summary.limited else ""
        console.print(f"[bold red]Not every promise could be confirmed:[/bold red] {words}.{limit}")
