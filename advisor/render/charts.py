"""Plots as inline SVG: axes, marks that differ in shape beside colour, and labels that keep out of each other's way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from advisor.render.html_page import text

_LEFT, _RIGHT, _TOP, _BOTTOM = 76.0, 26.0, 34.0, 56.0
_LETTER, _WIDE_LETTER, _WIDE = 7.2, 11.0, "mwMW"
"""Widths of letters of a label, in units of the drawing; rather too much, so that labels do not touch."""

_LINE = 15.0
_LOG_FROM = 8.0
"""Ratio of largest to smallest value from which an axis is logarithmic."""

_ROOM_BELOW, _ROOM_ABOVE = 0.12, 0.06
"""Room beyond the values on a logarithmic axis, in parts of what they span; labels need it most at the low end."""

_STRONG, _FAR = 4.0, 2.0
"""Price of covering a label or its point, in the area of other marks; and of each place farther from the point."""

SHAPES = ("circle", "square", "diamond", "triangle")
"""What sets series apart for readers who do not see colours."""

STYLE = """
.point { stroke: var(--paper); stroke-width: .8; } .point:hover { stroke: var(--ink); stroke-width: 1.5; }
.first { fill: var(--blue); } .second { fill: var(--orange); } .third { fill: var(--green); }
.hollow { fill: var(--paper); stroke: var(--faint); stroke-width: 1.2; }
.curve { fill: none; stroke-width: 2; } .curve.first { stroke: var(--blue); fill: none; }
.curve.second { stroke: var(--vermillion); stroke-dasharray: 7 4; fill: none; }
.front { fill: none; stroke: var(--blue); stroke-dasharray: 4 3; }
.whisker { stroke: var(--ink); fill: none; } .range { stroke: var(--blue); stroke-opacity: .45; fill: none; }
.limit { stroke: var(--alarm); stroke-width: 2; fill: none; } .leader { stroke: var(--faint); stroke-width: .6; }
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values, linear or logarithmic, and how a value of it is written."""

    title: str
    low: float
    high: float
    log: bool
    label: Callable[[float], str]

    def place(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high one."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return about six round values in the range."""
        if not self.log:
            return _linear_ticks(self.low, self.high)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        span = math.log10(self.high / self.low)
        if span < 0.7:
            return _linear_ticks(self.low, self.high)
        steps = (1, 2, 5) if span < 2.3 else (1, 3) if span < 3.5 else (1,)
        stride = math.ceil(span / 8)
        found = (step * 10.0**each for each in range(first, last + 1, stride) for step in steps)
        # The slack lets the ends of an axis count that were computed as powers of ten.
        return [value for value in found if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 6
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def axis(
    title: str, values: Iterable[float], label: Callable[[float], str], *, log: bool | None = None
) -> Axis:
    """Return an axis with room for all values.

    Args:
        title: quantity and unit.
        values: at least one, none negative.
        label: how a value is written.
        log: whether it is logarithmic; left out, the values decide.
    """
    given = list(values)
    least, most = min(given), max(given)
    if log is None:
        log = least > 0 and most / least >= _LOG_FROM
    if log:
        room = max(1.1, most / least)
        return Axis(title, least / room**_ROOM_BELOW, most * room**_ROOM_ABOVE, True, label)
    return Axis(title, 0.0, most * 1.08 or 1.0, False, label)


class Label(NamedTuple):
    """A text that belongs to a point of a drawing."""

    across: float
    down: float
    text: str
    radius: float = 6.0
    """Of what is drawn at the point."""


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: _Box) -> float:
        """Return the common area."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


@dataclass(frozen=True, slots=True)
class Frame:
    """The area between two axes of a drawing, with the origin of the drawing at the upper left."""

    across: Axis
    up: Axis
    width: float = 720.0
    height: float = 420.0

    def x(self, value: float) -> float:
        """Return the horizontal place of a value."""
        return _LEFT + self.across.place(value) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return the vertical place of a value."""
        return self.height - _BOTTOM - self.up.place(value) * (self.height - _TOP - _BOTTOM)

    def axes(self) -> Iterator[str]:
        """Yield the grid, the axes, their labels and titles."""
        right, bottom = self.width - _RIGHT, self.height - _BOTTOM
        across, up = self.across.ticks(), self.up.ticks()
        grid = "".join(f"M{self.x(value):.1f} {_TOP:g}V{bottom:g}" for value in across)
        grid += "".join(f"M{_LEFT:g} {self.y(value):.1f}H{right:g}" for value in up)
        yield f'<path class="tick" d="{grid}"/><path class="axis" d="M{_LEFT:g} {_TOP:g}V{bottom:g}H{right:g}"/>'
        for value in across:
            label = text(self.across.label(value))
            yield f'<text x="{self.x(value):.1f}" y="{bottom + 18:g}" text-anchor="middle">{label}</text>'
        for value in up:
            label = text(self.up.label(value))
            yield f'<text x="{_LEFT - 8:g}" y="{self.y(value) + 4:.1f}" text-anchor="end">{label}</text>'
        titles = [f"{each.title}{' (log scale)' if each.log else ''}" for each in (self.across, self.up)]
        middle = (_LEFT + right) / 2
        yield f'<text x="{middle:.1f}" y="{self.height - 10:g}" text-anchor="middle">{text(titles[0])}</text>'
        yield f'<text x="8" y="16">{text(titles[1])}</text>'

    def path(self, points: Iterable[tuple[float, float]], kind: str) -> str:
        """Return a line through values."""
        places = "L".join(f"{self.x(across):.1f} {self.y(up):.1f}" for across, up in points)
        return f'<path class="{kind}" d="M{places}"/>'

    def labels(self, labels: Sequence[Label], avoid: Iterable[tuple[float, float]] = ()) -> Iterator[str]:
        """Yield labels beside their points, where they overlap each other, the points and the rest the least.

        Args:
            labels: the most important first.
            avoid: values of other points, which a label covers only where it must.
        """
        strong = [
            _Box(
                each.across - each.radius,
                each.down - each.radius,
                each.across + each.radius,
                each.down + each.radius,
            )
            for each in labels
        ]
        weak = [_Box(x - 4, y - 4, x + 4, y + 4) for x, y in ((self.x(a), self.y(b)) for a, b in avoid)]

        def cost(numbered: tuple[int, _Box]) -> float:
            number, box = numbered
            covered = _STRONG * sum(box.overlap(other) for other in strong)
            return covered + sum(box.overlap(other) for other in weak) + _FAR * number

        for each in labels:
            _, box = min(enumerate(self._around(each)), key=cost)
            strong.append(box)
            near_x = min(max(each.across, box.left), box.right)
            near_y = min(max(each.down, box.top), box.bottom)
            if math.hypot(near_x - each.across, near_y - each.down) > each.radius + 6:
                line = f'x1="{each.across:.1f}" y1="{each.down:.1f}" x2="{near_x:.1f}" y2="{near_y:.1f}"'
                yield f'<line class="leader" {line}/>'
            place = f'x="{box.left:.1f}" y="{box.bottom - 4:.1f}"'
            yield f'<text class="label" {place}>{text(each.text)}</text>'

    def _around(self, label: Label) -> Iterator[_Box]:
        """Yield where a label may stand, the most wanted place first."""
        width = sum(_WIDE_LETTER if letter in _WIDE else _LETTER for letter in label.text)
        for gap in (3.0, 12.0, 24.0, 38.0, 54.0, 72.0, 92.0, 116.0):
            away = label.radius + gap
            for side, rise in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)):
                middle = label.across + side * (width / 2 + away)
                down = label.down + rise * (_LINE / 2 + away)
                box = _Box(middle - width / 2, down - _LINE / 2, middle + width / 2, down + _LINE / 2)
                inside = box.left >= _LEFT + 2 and box.right <= self.width - 4
                if inside and box.top >= _TOP - 8 and box.bottom <= self.height - _BOTTOM:
                    yield box
        # A label that fits nowhere starts at the axis.
        yield _Box(_LEFT, label.down - 24, _LEFT + width, label.down - 24 + _LINE)


def between(line: Sequence[tuple[float, float]], steps: int = 24) -> list[tuple[float, float]]:
    """Return values along a line through values, for labels to keep off it."""
    return [
        (start[0] + (end[0] - start[0]) * step / steps, start[1] + (end[1] - start[1]) * step / steps)
        for start, end in pairwise(line)
        for step in range(steps + 1)
    ]


def figure(
    name: str,
    title: str,
    description: str,
    drawing: Iterable[str],
    *,
    width: float,
    height: float,
    caption: str = "",
) -> Iterator[str]:
    """Yield a drawing with its title and description for those who do not see it.

    Args:
        name: unique in the page.
        title: what is drawn.
        description: what a reader would take from it.
        drawing: markup.
        width: of the drawing.
        height: of the drawing.
        caption: shown below; outside text.
    """
    yield f'<figure><div class="scroll" tabindex="0" role="group" aria-label="{text(title)}">'
    yield f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-t" aria-describedby="{name}-d">'
    yield f'<title id="{name}-t">{text(title)}</title><desc id="{name}-d">{text(description)}</desc>'
    yield from drawing
    yield "</svg></div>"
    if caption:
        yield f"<figcaption>{text(caption)}</figcaption>"
    yield "</figure>"


def mark(shape: str, kind: str, across: float, down: float, size: float, says: str = "") -> str:
    """Return a mark at a place of a drawing.

    Args:
        shape: one of :data:`SHAPES`.
        kind: class of its style.
        across: of its middle.
        down: of its middle.
        size: half of its width.
        says: shown when the pointer rests on it; outside text.
    """
    closing = f"><title>{text(says)}</title></{{}}>" if says else "/>"
    if shape == "circle":
        place = f'cx="{across:.1f}" cy="{down:.1f}" r="{size:.3g}"'
        return f'<circle class="{kind}" {place}{closing.format("circle")}'
    if shape == "square":
        path = f"M{across - size:.1f} {down - size:.1f}h{2 * size:.3g}v{2 * size:.3g}h-{2 * size:.3g}z"
    elif shape == "diamond":
        half = f"{1.3 * size:.3g}"
        path = f"M{across:.1f} {down - 1.3 * size:.1f}l{half} {half}l-{half} {half}l-{half} -{half}z"
    else:
        path = f"M{across:.1f} {down - 1.2 * size:.1f}l{1.2 * size:.3g} {2.2 * size:.3g}h-{2.4 * size:.3g}z"
    return f'<path class="{kind}" d="{path}"{closing.format("path")}'


def legend(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield what marks mean: pairs of markup in a square of 12 and outside text."""
    yield '<ul class="legend">'
    for symbol, meaning in entries:
        yield f'<li><svg viewBox="0 0 12 12" aria-hidden="true">{symbol}</svg> {text(meaning)}</li>'
    yield "</ul>"
