"""Small plots as inline SVG: lines, points with intervals. No script, no outside resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite

__all__ = ["Line", "interval_plot", "line_plot"]

_WIDTH, _HEIGHT = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 14, 44
_COLOURS = ("#1f5fa8", "#c2571a", "#3a7d44", "#7a4a9e")


@dataclass(frozen=True, slots=True)
class Line:
    """A named line through points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False
    points: bool = False


def line_plot(lines: Sequence[Line], x_label: str, y_label: str, *, y_max: float | None = 1.0, title: str = "") -> str:
    """Return lines over x from 0 to 1; y from 0 to `y_max`, or to its largest value."""
    top = y_max or max((v for line in lines for v in line.y if isfinite(v)), default=1.0) or 1.0
    out = [_head(_WIDTH, _HEIGHT, title), *_frame(x_label, y_label, top)]
    for k, line in enumerate(lines):
        colour = "#8a8a8a" if line.dashed else _COLOURS[k % len(_COLOURS)]
        at = [(_x(x), _y(y / top)) for x, y in zip(line.x, line.y, strict=True) if isfinite(x) and isfinite(y)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        dash = ' stroke-dasharray="5 4"' if line.dashed else ""
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if line.points:
            out.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in at)
        if line.name:
            out.append(f'<text x="{_WIDTH - _RIGHT - 4}" y="{_HEIGHT - _BOTTOM - 8 - 15 * (len(lines) - 1 - k)}" text-anchor="end" fill="{colour}">{escape(line.name)}</text>')
    return "".join([*out, "</svg>"])


def interval_plot(rows: Sequence[tuple[str, float, float, float]], label: str, *, low: float = 0.0, high: float = 1.0, title: str = "") -> str:
    """Return one line a row: name, value, and the ends of its interval."""
    rows = [r for r in rows if isfinite(r[1])]
    left, step = 190, 20
    height = step * len(rows) + 46
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) / span * (_WIDTH - left - _RIGHT)

    out = [_head(_WIDTH, height, title)]
    for k in range(5):
        at = low + span * k / 4
        out.append(f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="6" y2="{height - 36}" stroke="#e3e3e3"/>')
        out.append(f'<text x="{x(at):.1f}" y="{height - 22}" text-anchor="middle">{at:.2g}</text>')
    if low < 0 < high:
        out.append(f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="6" y2="{height - 36}" stroke="#555"/>')
    for k, (name, value, first, last) in enumerate(rows):
        y = 16 + step * k
        out.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{escape(name[:26])}</text>')
        if isfinite(first) and isfinite(last):
            out.append(f'<line x1="{x(first):.1f}" x2="{x(last):.1f}" y1="{y}" y2="{y}" stroke="{_COLOURS[0]}" stroke-width="2"/>')
        out.append(f'<circle cx="{x(value):.1f}" cy="{y}" r="4" fill="{_COLOURS[0]}"/>')
    out.append(f'<text x="{(left + _WIDTH) / 2:.0f}" y="{height - 5}" text-anchor="middle">{escape(label)}</text>')
    return "".join([*out, "</svg>"])


def _head(width: int, height: int, title: str) -> str:
    name = f"<title>{escape(title)}</title>" if title else ""
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-size="11" fill="#333">{name}'


def _frame(x_label: str, y_label: str, top: float) -> list[str]:
    out = []
    for k in range(6):
        share = k / 5
        out.append(f'<line x1="{_x(0)}" x2="{_x(1)}" y1="{_y(share):.1f}" y2="{_y(share):.1f}" stroke="#e3e3e3"/>')
        out.append(f'<text x="{_LEFT - 6}" y="{_y(share) + 4:.1f}" text-anchor="end">{top * share:.3g}</text>')
        out.append(f'<text x="{_x(share):.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{share:.1f}</text>')
    out.append(f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    middle = (_HEIGHT - _BOTTOM) / 2
    out.append(f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(y_label)}</text>')
    return out


def _x(share: float) -> float:
    return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - min(max(share, 0.0), 1.0) * (_HEIGHT - _TOP - _BOTTOM)
