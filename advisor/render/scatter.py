"""Measured against predicted on logarithmic axes: where a point lies, and a canvas of characters for terminals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from advisor.accuracy_documents import AccuracyAnswer, RowDocument
from advisor.units import format_count

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of the dots of a braille character, by row and column (Unicode block 2800)."""

_BRAILLE = 0x2800
_DENSITY = ".:*#"
"""For one, up to three, up to nine and more points, where there is no braille."""

_LABEL = 6


@dataclass(frozen=True, slots=True)
class Plot:
    """Points of which both coordinates have one unit, on axes of the same whole decades.

    ``low`` and ``high`` are decimal logarithms of the ends of both axes.
    """

    title: str
    rows: tuple[RowDocument, ...]
    low: int
    high: int

    def place(self, value: float) -> float:
        """Return where a value lies on an axis, from 0 to 1."""
        return (math.log10(value) - self.low) / (self.high - self.low)

    @property
    def decades(self) -> range:
        """Decimal logarithms of the labels."""
        return range(self.low, self.high + 1)


def shown(row: RowDocument) -> float:
    """Return the prediction that is drawn: without the row's GPU and family where there is one."""
    return row.predicted if row.unseen is None else row.unseen


def plots(answer: AccuracyAnswer) -> tuple[Plot, ...]:
    """Return the plots of an answer that have points: throughput, memory, learners."""
    throughput = [
        row for row in answer.rows if row.quantity in ("training", "inference") and row.section != "learners"
    ]
    memory = [row for row in answer.rows if row.quantity == "memory"]
    learners = [row for row in answer.rows if row.section == "learners"]
    found = (
        plot("Throughput in the unit of the source (tokens/s, images/s, ...)", throughput),
        plot("Peak memory in GiB", memory),
        plot("Learners that are no networks, trainings per hour", learners),
    )
    return tuple(each for each in found if each is not None)


def plot(title: str, rows: Iterable[RowDocument]) -> Plot | None:
    """Return a plot of rows, None where there are none."""
    points = tuple(rows)
    if not points:
        return None
    values = [value for row in points for value in (row.measured, shown(row))]
    low = math.floor(math.log10(min(values)))
    return Plot(title, points, low, max(low + 1, math.ceil(math.log10(max(values)))))


def decade(exponent: int) -> str:
    """Return a power of ten as the label of an axis."""
    return format_count(10.0**exponent)


def canvas(plot: Plot, *, width: int, height: int, ascii_only: bool) -> list[str]:
    """Return a plot as ``height`` lines of at most ``width`` characters; a diagonal marks perfect predictions.

    Args:
        plot: what to draw.
        width: columns, labels included.
        height: lines, the axis and its labels included.
        ascii_only: draw the density of points in ASCII in place of braille dots.
    """
    columns, lines = width - _LABEL - 2, height - 2
    cells = _density(plot, columns, lines) if ascii_only else _braille(plot, columns, lines)
    for column in range(columns):
        line = lines - 1 - round(column / (columns - 1) * (lines - 1))
        cells.setdefault((column, line), "/")
    labels = {lines - 1 - round((each - plot.low) / (plot.high - plot.low) * (lines - 1)): decade(each)
              for each in plot.decades}  # fmt: skip
    body = [
        f"{labels.get(line, ''):>{_LABEL}} |"
        + "".join(cells.get((column, line), " ") for column in range(columns))
        for line in range(lines)
    ]
    return [*(line.rstrip() for line in body), f"{'':>{_LABEL}} +{'-' * columns}", _axis(plot, columns)]


def _axis(plot: Plot, columns: int) -> str:
    """Return the labels under a canvas; one that would touch the label before it is left out."""
    text = " " * (_LABEL + 2)
    for each in plot.decades:
        label = decade(each)
        end = _LABEL + 2 + round((each - plot.low) / (plot.high - plot.low) * (columns - 1))
        start = min(end, _LABEL + 2 + columns - len(label))
        if start > len(text) or each == plot.low:
            text = text.ljust(start) + label
    return text


def _positions(plot: Plot, columns: int, lines: int) -> Iterable[tuple[int, int]]:
    """Yield column and line of every point on a grid, the upper left corner being (0, 0)."""
    for row in plot.rows:
        across, up = plot.place(shown(row)), plot.place(row.measured)
        yield round(across * (columns - 1)), lines - 1 - round(up * (lines - 1))


def _braille(plot: Plot, columns: int, lines: int) -> dict[tuple[int, int], str]:
    bits: dict[tuple[int, int], int] = {}
    for across, down in _positions(plot, columns * 2, lines * 4):
        cell = (across // 2, down // 4)
        bits[cell] = bits.get(cell, 0) | _DOTS[down % 4][across % 2]
    return {cell: chr(_BRAILLE + found) for cell, found in bits.items()}


def _density(plot: Plot, columns: int, lines: int) -> dict[tuple[int, int], str]:
    counts: dict[tuple[int, int], int] = {}
    for cell in _positions(plot, columns, lines):
        counts[cell] = counts.get(cell, 0) + 1
    return {cell: _mark(number) for cell, number in counts.items()}


def _mark(points: int, steps: Sequence[int] = (1, 3, 9)) -> str:
    return _DENSITY[sum(points > step for step in steps)]
