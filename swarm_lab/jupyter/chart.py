"""A line chart as inline SVG: one line a node, their means in ink; readable without scripts and in any theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 480, 128
_TOP, _RIGHT, _BOTTOM, _LEFT = 8, 76, 20, 44
_LABEL_GAP = 13
_HUES, _DASHES = 4, ("", "6 3", "2 2")
MAX_POINTS = 160
"""A line has no more points than this: the picture is not wider, and every update sends all of them."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `points` are (round, value) in the order of rounds; `place` chooses hue and dash, None means ink.

    `local`: the mean of the nodes' own models before each merge, dotted, beside that of the merged ones.
    """

    name: str
    points: Sequence[tuple[float, float]]
    place: int | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def line_style(place: int) -> str:
    """Attributes that set a node's line apart: four hues times three dashes, fixed by its place in the roster."""
    dash = _DASHES[place // _HUES % len(_DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'style="stroke:var(--swl-line-{place % _HUES + 1})"{dashes}'


def swatch(place: int) -> str:
    """A sample of a node's line."""
    return (
        '<svg class="swl-Swatch" viewBox="0 0 16 4" aria-hidden="true">'
        f'<line x1="0" x2="16" y1="2" y2="2" stroke-width="3" {line_style(place)}/></svg>'
    )


def line_chart(lines: Sequence[Line], title: str) -> str:
    """Draw the lines; `title` is the sentence that stands for the picture where it is not seen."""
    shown = [line for line in lines if line.points]
    values = [value for line in shown for _, value in line.points]
    rounds = [x for line in shown for x, _ in line.points]
    if not values:
        return '<p class="swl-2">No round yet.</p>'
    ticks = nice_ticks(min(values), max(values))
    first = min(rounds)
    last = max(*rounds, first + 1)
    across = _Scale(first, last, _LEFT, _WIDTH - _RIGHT)
    upward = _Scale(ticks[0], ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    body = _grid(ticks, upward) + _rounds(first, last, across)
    body += "".join(_polyline(line, across, upward) for line in shown)
    body += _names(shown, across, upward)
    return (
        f'<svg class="swl-Chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{body}</svg>'
    )


def nice_ticks(low: float, high: float, parts: int = 3) -> list[float]:
    """Round numbers that hold `low` and `high`, with `parts` steps between them, or one or two fewer or more."""
    span = high - low or abs(high) or 1.0
    rough = span / parts
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    start = math.floor(low / step + 1e-9)
    stop = max(math.ceil(high / step - 1e-9), start + 1)
    return [number * step for number in range(start, stop + 1)]


def thin(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """At most `MAX_POINTS` of the points, first and last among them."""
    if len(points) <= MAX_POINTS:
        return points
    step = (len(points) - 1) / (MAX_POINTS - 1)
    return [points[round(number * step)] for number in range(MAX_POINTS)]


def _grid(ticks: Sequence[float], upward: _Scale) -> str:
    step = ticks[1] - ticks[0]
    digits = min(4, max(0, math.ceil(-math.log10(step) - 1e-9) + (0 if _is_short(step) else 1)))
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{upward(tick):.0f}" y2="{upward(tick):.0f}"/>'
        f'<text x="{_LEFT - 8}" y="{upward(tick) + 4:.0f}" text-anchor="end">{tick:.{digits}f} </text>'
        for tick in ticks
    )


def _is_short(step: float) -> bool:
    """Whether the step is one digit and zeros, so that no tick needs a further digit."""
    digits = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    return abs(digits - round(digits)) < 1e-6


def _rounds(first: float, last: float, across: _Scale) -> str:
    step = max(1, nice_ticks(0, last - first, 5)[1])
    marks = [first, *(mark for mark in _multiples(step, last) if mark - first > step / 2)]
    return "".join(
        f'<text x="{across(mark):.0f}" y="{_HEIGHT - 4}" text-anchor="middle">'
        f"{'round ' if mark == first else ''}{mark:.0f} </text>"
        for mark in marks
    )


def _multiples(step: float, last: float) -> list[float]:
    whole = math.ceil(step)
    return [float(mark) for mark in range(whole, math.floor(last) + 1, whole)]


def _polyline(line: Line, across: _Scale, upward: _Scale) -> str:
    points = " ".join(f"{across(x):.1f},{upward(y):.1f}" for x, y in thin(line.points))
    if len(line.points) == 1:
        # A single point has no length: a short stroke shows that there is one.
        x, y = line.points[0]
        points = f"{across(x):.1f},{upward(y):.1f} {across(x) + 4:.1f},{upward(y):.1f}"
    return f'<polyline points="{points}" {_attributes(line)}/>'


def _attributes(line: Line) -> str:
    if line.place is not None:
        return f'class="line" {line_style(line.place)}'
    return 'class="line is-local" stroke-dasharray="2 4"' if line.local else 'class="line is-mean"'


def _names(lines: Sequence[Line], across: _Scale, upward: _Scale) -> str:
    """The lines' names at their right ends, moved apart where they would lie over each other."""
    ends = sorted(((upward(line.points[-1][1]), line) for line in lines), key=lambda end: end[0])
    heights = _apart([height for height, _ in ends])
    x = _WIDTH - _RIGHT + 8
    return "".join(
        f'<line x1="{x}" x2="{x + 12}" y1="{y:.0f}" y2="{y:.0f}" {_attributes(line)}/>'
        f'<text class="ink{"" if line.place is not None else " b"}" x="{x + 18}" y="{y + 4:.0f}">'
        f"{escape(line.name)} </text>"
        for y, (_, line) in zip(heights, ends, strict=True)
    )


def _apart(heights: list[float]) -> list[float]:
    placed = list(heights)
    for number in range(1, len(placed)):
        placed[number] = max(placed[number], placed[number - 1] + _LABEL_GAP)
    limit = float(_HEIGHT - _BOTTOM)
    for number in reversed(range(len(placed))):
        placed[number] = min(placed[number], limit)
        limit = placed[number] - _LABEL_GAP
    return placed
