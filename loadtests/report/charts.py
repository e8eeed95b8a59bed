"""Line and bar charts as inline SVG: no library, no other host, light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

_WIDTH, _HEIGHT = 620, 256
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 24, 28, 28
COLOURS = ("#2f6fde", "#d9480f", "#2b8a3e", "#9c36b5", "#b08900", "#0b7285")


@dataclass(frozen=True)
class Series:
    """A named line: (x in seconds, y) points in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(
    series: Sequence[Series],
    *,
    unit: str,
    log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    limit: float | None = None,
    seconds: tuple[float, float] | None = None,
    shaded: Iterable[int] = (),
) -> str:
    """Lines over the seconds of a run.

    Args:
        unit: of y, shown at the axis.
        log: logarithmic y.
        marks: vertical marks: (second, word).
        limit: a horizontal line, such as an objective.
        seconds: what x spans; None takes it from the points.
        shaded: whole seconds to shade.
    """
    if seconds is not None:
        series = [Series(s.name, [(x, y) for x, y in s.points if seconds[0] <= x <= seconds[1]]) for s in series]
    drawn = [s for s in series if s.points]
    if not drawn:
        return '<p class="none">nothing to show</p>'
    xs = [x for s in drawn for x, _ in s.points]
    ys = [y for s in drawn for _, y in s.points] + ([limit] if limit is not None else [])
    low_x, high_x = seconds or (min(xs), max(max(xs), min(xs) + 1))
    positive = [y for y in ys if y > 0] or [1.0]
    ticks = _log_ticks(min(positive), max(positive)) if log else _ticks(0.0, max(max(ys), 1e-9))
    low_y, high_y = ticks[0], ticks[-1]

    def x_at(x: float) -> float:
        return _LEFT + (x - low_x) / (high_x - low_x) * (_WIDTH - _LEFT - _RIGHT)

    def y_at(y: float) -> float:
        if log:
            share = math.log(max(y, low_y) / low_y) / math.log(high_y / low_y)
        else:
            share = (y - low_y) / (high_y - low_y)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<rect class="shade" x="{x_at(max(s, low_x)):.1f}" y="{_TOP}" height="{_HEIGHT - _BOTTOM - _TOP}" '
        f'width="{max(x_at(min(s + 1, high_x)) - x_at(max(s, low_x)), 1):.1f}"/>'
        for s in shaded
        if low_x - 1 < s < high_x
    ]
    parts.append(_axes(ticks, _time_ticks(low_x, high_x), x_at, y_at, unit))
    for second, word in (mark for mark in marks if low_x <= mark[0] <= high_x):
        x = x_at(second)
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
            f'<text class="word" x="{x + 4:.1f}" y="{_TOP + 10}">{escape(word)}</text>'
        )
    if limit is not None:
        y = y_at(limit)
        parts.append(f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for colour, s in zip(COLOURS, drawn, strict=False):
        for stretch in _stretches(s.points):
            path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in stretch)
            parts.append(f'<polyline points="{path}" stroke="{colour}"/>')
    return _svg(parts) + _legend([s.name for s in drawn])


def bar_chart(bars: Sequence[tuple[str, float]], *, unit: str, x_label: str) -> str:
    """Bars, such as a histogram: (label of the left edge, height)."""
    if not any(height for _, height in bars):
        return '<p class="none">nothing to show</p>'
    ticks = _ticks(0.0, max(height for _, height in bars))
    width = (_WIDTH - _LEFT - _RIGHT) / len(bars)

    def y_at(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / ticks[-1] * (_HEIGHT - _TOP - _BOTTOM)

    every = -(-len(bars) // 8)
    labels = [(k, label) for k, (label, _) in enumerate(bars) if k % every == 0]
    parts = [_axes(ticks, [(float(k), label) for k, label in labels], lambda k: _LEFT + k * width, y_at, unit)]
    for k, (label, height) in enumerate(bars):
        parts.append(
            f'<rect x="{_LEFT + k * width + 1:.1f}" y="{y_at(height):.1f}" width="{max(width - 2, 1):.1f}" '
            f'height="{_HEIGHT - _BOTTOM - y_at(height):.1f}" fill="{COLOURS[0]}">'
            f"<title>{escape(label)}: {height:g}</title></rect>"
        )
    return _svg(parts) + f'<p class="legend">across: {escape(x_label)}</p>'


def band_chart(
    bands: Sequence[tuple[float, float, float, float]], *, unit: str, x_label: str, equal: str | None = None
) -> str:
    """Return a figure's spread by another figure: (x, low, middle, high) in order of x.

    Args:
        unit: of y, shown at the axis.
        equal: draws y = x, dashed, and names it so.
    """
    if not bands:
        return '<p class="none">nothing to show</p>'
    y_ticks = _ticks(0.0, max(max(high for *_, high in bands), bands[-1][0] if equal is not None else 0.0, 1e-9))
    x_ticks = _ticks(0.0, max(bands[-1][0], 1e-9))

    def x_at(x: float) -> float:
        return _LEFT + x / x_ticks[-1] * (_WIDTH - _LEFT - _RIGHT)

    def y_at(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / y_ticks[-1] * (_HEIGHT - _TOP - _BOTTOM)

    def path(points: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in points)

    around = [(x, low) for x, low, _, _ in bands] + [(x, high) for x, _, _, high in reversed(bands)]
    colour = COLOURS[0]
    parts = [
        _axes(y_ticks, [(tick, short(tick)) for tick in x_ticks], x_at, y_at, unit),
        f'<polygon points="{path(around)}" fill="{colour}" opacity=".25"/>',
        f'<polyline points="{path((x, middle) for x, _, middle, _ in bands)}" stroke="{colour}"/>',
    ]
    parts += [
        f'<circle cx="{x_at(x):.1f}" cy="{y_at(middle):.1f}" r="2.5" fill="{colour}">'
        f"<title>{x:.3g}: {low:.3g}, {middle:.3g}, {high:.3g}</title></circle>"
        for x, low, middle, high in bands
    ]
    words = [f'<i style="background:{colour}"></i>median', f'<i style="background:{colour};opacity:.3"></i>5 to 95 %']
    if equal is not None:
        end = min(x_ticks[-1], y_ticks[-1])
        x, y = x_at(end), y_at(end)
        parts.append(f'<line class="limit" x1="{x_at(0):.1f}" y1="{y_at(0):.1f}" x2="{x:.1f}" y2="{y:.1f}"/>')
        words.append(f'<i class="dash"></i>{escape(equal)}')
    keys = "".join(f"<span>{word}</span>" for word in words)
    return _svg(parts) + f'<p class="legend">{keys}<span>across: {escape(x_label)}</span></p>'


def _stretches(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Points without a line over the time in which there were none."""
    steps = sorted(b[0] - a[0] for a, b in pairwise(points))
    longest = max(10.0, 4 * steps[len(steps) // 2]) if steps else 0.0
    stretches = [[points[0]]]
    for before, point in pairwise(points):
        if point[0] - before[0] > longest:
            stretches.append([])
        stretches[-1].append(point)
    return stretches


def _svg(parts: list[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


def _legend(names: Sequence[str]) -> str:
    keys = (
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for colour, name in zip(COLOURS, names, strict=False)
    )
    return f'<p class="legend">{"".join(keys)}</p>'


def _axes(
    y_ticks: Sequence[float],
    x_ticks: Sequence[tuple[float, str]],
    x_at: Callable[[float], float],
    y_at: Callable[[float], float],
    unit: str,
) -> str:
    parts = []
    for tick in y_ticks:
        y = y_at(tick)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{short(tick)}</text>'
        )
    for x_tick, label in x_ticks:
        parts.append(
            f'<text class="tick" x="{x_at(x_tick):.1f}" y="{_HEIGHT - _BOTTOM + 19}" '
            f'text-anchor="middle">{label}</text>'
        )
    parts.append(f'<text class="unit" x="2" y="14">{escape(unit)}</text>')
    return "".join(parts)


def short(value: float) -> str:
    """Return a number for an axis: 1200000 as 1.2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.3g}"


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 4
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    count = math.ceil((high - low) / step - 1e-9)
    return [low + k * step for k in range(count + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def _time_ticks(low: float, high: float) -> list[tuple[float, str]]:
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
    step = next((s for s in steps if (high - low) / s <= 8), 7200)
    first = math.ceil(low / step) * step
    ticks = []
    for second in range(first, int(high) + 1, step):
        minutes, rest = divmod(abs(second), 60)
        ticks.append((float(second), f"{'-' if second < 0 else ''}{minutes}:{rest:02d}"))
    return ticks
