"""Line charts as SVG: sharp at any size, in the page's own colours, readable by a screen reader."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike

SMALL, LARGE = (280, 180), (560, 300)
"""Width and height in units of the text's pixels: a chart is drawn at about this size."""
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 34
MOST_DOTS = 80  # with more points than this a line has no dots to point at


@dataclasses.dataclass(frozen=True, eq=False)
class Line:
    """One line. style: a class of the page's CSS (``a``, ``b``, ``thin``), or a colour such as ``#1e88e5``."""

    name: str
    x: ArrayLike
    y: ArrayLike
    style: str = "a"


@dataclasses.dataclass(frozen=True)
class Axis:
    """What an axis shows; without limits it fits the values. whole: only whole numbers are marked."""

    name: str
    low: float | None = None
    high: float | None = None
    whole: bool = False


def line_chart(title: str, lines: Sequence[Line], x: Axis, y: Axis, *, mark: float | None = None, size=SMALL) -> str:
    """A ``<figure>`` with its title, legend and chart. mark: a place on the x axis that gets a dashed line."""
    width, height = size
    shown = [_finite(line) for line in lines]
    (x_low, x_high), (y_low, y_high) = _limits(x, [s[0] for s in shown]), _limits(y, [s[1] for s in shown])

    def place(horizontal: float, vertical: float) -> tuple[float, float]:
        across = (horizontal - x_low) / (x_high - x_low) * (width - LEFT - RIGHT)
        up = (vertical - y_low) / (y_high - y_low) * (height - TOP - BOTTOM)
        return LEFT + across, height - BOTTOM - up

    parts = [*_horizontal_grid(y, y_low, y_high, place, width), *_ticks_below(x, x_low, x_high, place, height)]
    if mark is not None:
        at = place(mark, y_low)[0]
        parts.append(f'<line class="mark" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{height - BOTTOM}"/>')
    for line, (horizontal, vertical) in zip(lines, shown):
        parts += _drawn(line, horizontal, vertical, place)
    if not any(len(values) for values, _ in shown):
        parts.append(f'<text x="{width / 2}" y="{height / 2}" text-anchor="middle">no values</text>')
    middle = (LEFT + width - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{height - 4}" text-anchor="middle">{escape(x.name)}</text>')
    summary = escape(_summary(title, lines, shown, x))
    svg = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{summary}">{"".join(parts)}</svg>'
    return f'<figure class="chart"><figcaption>{escape(title)}</figcaption>{svg}{_legend(lines)}</figure>'


def round_steps(low: float, high: float, count: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers between ``low`` and ``high``, about ``count``, at steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A tick's text: short, and exact where the steps are round."""
    return f"{value:.0e}".replace("e-0", "e-") if 0 < abs(value) < 1e-3 else f"{value:.6g}"


def _finite(line: Line) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(line.x, np.float64), np.asarray(line.y, np.float64)
    kept = np.isfinite(x) & np.isfinite(y)
    return x[kept], y[kept]


def _limits(axis: Axis, values: list[np.ndarray]) -> tuple[float, float]:
    every = np.concatenate([*values, np.zeros(0)])
    low = axis.low if axis.low is not None else float(every.min(initial=np.inf))
    high = axis.high if axis.high is not None else float(every.max(initial=-np.inf))
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    if high <= low:  # one value, or the same everywhere
        room = max(abs(low) * 0.5, 0.5 if axis.whole else 1e-6)
        return low - (0 if axis.low is not None else room), low + room
    margin = 0.0 if axis.whole else 0.04 * (high - low)
    return low - (margin if axis.low is None else 0), high + (margin if axis.high is None else 0)


def _horizontal_grid(axis: Axis, low: float, high: float, place, width: int) -> list[str]:
    parts = []
    for value in round_steps(low, high, whole=axis.whole):
        at = place(0, value)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{width - RIGHT}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{number(value)}</text>')
    return parts


def _ticks_below(axis: Axis, low: float, high: float, place, height: int) -> list[str]:
    return [
        f'<text x="{place(value, 0)[0]:.1f}" y="{height - BOTTOM + 14}" text-anchor="middle">{number(value)}</text>'
        for value in round_steps(low, high, 4 if axis.whole else 5, whole=axis.whole)
    ]


def _drawn(line: Line, x: np.ndarray, y: np.ndarray, place) -> list[str]:
    style = f'style="--c:{line.style}"' if line.style.startswith("#") else f'data-c="{escape(line.style)}"'
    points = [place(*pair) for pair in zip(x.tolist(), y.tolist())]
    joined = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
    parts = [f'<polyline {style} points="{joined}"/>'] if len(points) > 1 else []
    if 0 < len(points) <= MOST_DOTS:
        for (across, down), horizontal, vertical in zip(points, x, y):
            told = escape(f"{line.name}: {vertical:.4g} at {horizontal:g}")
            parts.append(f'<circle {style} cx="{across:.1f}" cy="{down:.1f}" r="2.2"><title>{told}</title></circle>')
    return parts


def _legend(lines: Sequence[Line]) -> str:
    named = [line for line in lines if line.name]
    if len(lines) < 2:
        return ""
    items = []
    for line in named:
        style = f'style="--c:{line.style}"' if line.style.startswith("#") else f'data-c="{escape(line.style)}"'
        items.append(f"<li><i {style}></i>{escape(line.name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def _summary(title: str, lines: Sequence[Line], shown: Sequence[tuple], x: Axis) -> str:
    """The chart in words."""
    told = [
        f"{line.name or title} from {vertical[0]:.4g} to {vertical[-1]:.4g}"
        for line, (_, vertical) in zip(lines[:6], shown)
        if len(vertical)
    ]
    return f"{title} by {x.name}: {'; '.join(told) or 'no values'}"
