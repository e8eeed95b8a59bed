"""Pieces of the report's HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def card(title: str, note: str, chart: str) -> str:
    """Return a chart with its title and what it shows; all three are HTML."""
    return f'<div class="card"><h3>{title}</h3><p class="note">{note}</p>{chart}</div>'


def tiles(shown: Iterable[tuple[str, str]], css: str = "") -> str:
    """Return figures at a glance: (figure, what it is); `css`: a class besides."""
    return (
        f'<div class="tiles {css}">'
        + "".join(f'<div class="tile"><b>{b}</b><span>{s}</span></div>' for b, s in shown)
        + "</div>"
    )


def figure(value: float | None) -> str:
    """Three digits, or all before the point; a dash for none."""
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(heads: Iterable[str], rows: Iterable[Iterable[object]], numeric: Iterable[int] = ()) -> str:
    """Return a table of text, the columns `numeric` to the right."""
    right = set(numeric)

    def line(tag: str, cells: Iterable[object]) -> str:
        css = ("", ' class="n"')
        return "".join(f"<{tag}{css[k in right]}>{escape(str(cell))}</{tag}>" for k, cell in enumerate(cells))

    head = f"<tr>{line('th', heads)}</tr>" if heads else ""
    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{head}{body}</table></div>'
