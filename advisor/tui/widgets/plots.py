"""Plots of characters: curves in braille dots, marks that are letters, labels where there is room for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from advisor.render.charts import Axis
from advisor.units import plain

STYLES = ("axis", "first", "second", "muted", "good", "chosen")
"""Names of the styles of what is drawn; signs and dashes say the same as the colours."""

LEAST_WIDTH, LEAST_HEIGHT = 24, 8
"""Cells below which a plot shows that there is no room for it."""

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of the dots of a braille character, by row and column (Unicode block 2800)."""

_BRAILLE = 0x2800
_DASH = 5
"""Dots of a dash, and of the gap after it."""

_BELOW, _ABOVE = 3, 1
"""Lines that the axis with its labels and title take, and the title of the other axis."""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve through values, straight between them on the axes as they are."""

    points: tuple[tuple[float, float], ...]
    style: str = "first"
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A point.

    Attributes:
        across: its value on the horizontal axis.
        up: its value on the vertical axis.
        sign: one character.
        style: one of :data:`STYLES`.
        labels: what may stand beside it, the most wanted first; none where there is no room for any.
        apart: whether it may stand a few cells aside so as not to cover another.
        chosen: whether it is pointed at.
    """

    across: float
    up: float
    sign: str
    style: str = "first"
    labels: tuple[str, ...] = ()
    apart: bool = False
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """What a plot shows; of the marks the most important first."""

    across: Axis
    up: Axis
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()


class Cell(NamedTuple):
    """One character with the name of its style."""

    text: str
    style: str = ""


_Place = tuple[int, int]
"""Column and line."""


class _Area:
    """The cells of a plot while it is drawn.

    Args:
        figure: what is drawn.
        width: in cells.
        height: in lines.
    """

    def __init__(self, figure: Figure, width: int, height: int) -> None:
        self._figure = figure
        self._ticks = [(tick, plain(figure.up.label(tick))) for tick in figure.up.ticks()]
        self.left = max((len(label) for _, label in self._ticks), default=0) + 1
        self.width, self.height = width, height
        self.columns, self.lines = width - self.left - 1, height - _BELOW - _ABOVE
        self.cells: dict[_Place, Cell] = {}
        self.taken: set[_Place] = set()

    def place(self, across: float, up: float) -> _Place:
        """Return the cell of two values."""
        x, y = self._figure.across.place(across), self._figure.up.place(up)
        column = self.left + 1 + round(x * (self.columns - 1))
        return column, _ABOVE + round((1 - y) * (self.lines - 1))

    def holds(self, place: _Place) -> bool:
        """Say whether a cell lies between the axes."""
        return self.left < place[0] < self.width and _ABOVE <= place[1] < _ABOVE + self.lines

    def write(self, column: int, line: int, text: str, style: str) -> None:
        """Write a text from a cell on; what is outside is cut off."""
        for number, letter in enumerate(text):
            if 0 <= column + number < self.width:
                self.cells[column + number, line] = Cell(letter, style)

    def draw(self) -> None:
        """Draw everything."""
        self._axes()
        for line in self._figure.lines:
            self._curve(line)
        placed = self._signs()
        for mark, place in sorted(placed, key=lambda each: not each[0].chosen):
            self._label(mark, place)

    def _axes(self) -> None:
        figure, bottom = self._figure, _ABOVE + self.lines
        self.write(0, 0, _title(figure.up), "axis")
        title = _title(figure.across)
        self.write(max(self.width - len(title), 0), self.height - 1, title, "axis")
        for line in range(_ABOVE, bottom):
            self.write(self.left, line, "│", "axis")
        self.write(self.left, bottom, "└" + "─" * self.columns, "axis")
        for tick, label in self._ticks:
            _, line = self.place(figure.across.low, tick)
            if (0, line) not in self.taken:
                self.taken.add((0, line))
                self.write(self.left - 1 - len(label), line, label, "axis")
                self.write(self.left, line, "┤", "axis")
        end = -1
        for tick in figure.across.ticks():
            column, _ = self.place(tick, figure.up.low)
            label = plain(figure.across.label(tick))
            start = min(max(column - len(label) // 2, 0), self.width - len(label))
            self.write(column, bottom, "┴", "axis")
            if start > end:
                self.write(start, bottom + 1, label, "axis")
                end = start + len(label)

    def _curve(self, line: Line) -> None:
        """Draw a curve by the dots of braille characters."""
        across, up = self.columns * 2 - 1, self.lines * 4 - 1
        dots: dict[_Place, int] = {}
        walked = 0
        for start, end in pairwise([self._share(point) for point in line.points]):
            steps = max(round(abs(end[0] - start[0]) * across), round(abs(end[1] - start[1]) * up), 1)
            for step in range(steps + 1):
                walked += 1
                x = start[0] + (end[0] - start[0]) * step / steps
                y = start[1] + (end[1] - start[1]) * step / steps
                if not (0 <= x <= 1 and 0 <= y <= 1) or (line.dashed and walked // _DASH % 2):
                    continue
                dot_x, dot_y = round(x * across), round((1 - y) * up)
                place = self.left + 1 + dot_x // 2, _ABOVE + dot_y // 4
                dots[place] = dots.get(place, 0) | _DOTS[dot_y % 4][dot_x % 2]
        for place, bits in dots.items():
            self.cells[place] = Cell(chr(_BRAILLE + bits), line.style)

    def _share(self, point: tuple[float, float]) -> tuple[float, float]:
        return self._figure.across.place(point[0]), self._figure.up.place(point[1])

    def _signs(self) -> list[tuple[Mark, _Place]]:
        """Draw the marks, the important ones over the others."""
        placed = []
        for mark in self._figure.marks:
            place = self.place(mark.across, mark.up)
            if mark.apart:
                place = next((each for each in _near(place) if self._is_free([each])), place)
            if self.holds(place) and place not in self.taken:
                self.taken.add(place)
                self.cells[place] = Cell(mark.sign, mark.style)
            placed.append((mark, place))
        for mark, (column, line) in placed:
            if mark.chosen:
                self.write(column, line, mark.sign, "chosen")
                named = {spot for other, spot in placed if other.labels}
                for beside, sign in ((column - 1, ">"), (column + 1, "<")):
                    if (beside, line) not in named:
                        self.write(beside, line, sign, "chosen")
                        self.taken.add((beside, line))
        return placed

    def _label(self, mark: Mark, place: _Place) -> None:
        """Write the first label that has room beside a mark, off the curves if it can be."""
        for text in (plain(label) for label in mark.labels):
            if cell_len(text) != len(text):
                # Letters of two cells would push the rest of the line aside.
                continue
            for over_curves in (False, True):
                for column, line in _beside(place, len(text), mark.chosen):
                    cells = [(column + number, line) for number in range(-1, len(text) + 1)]
                    if self._is_free(cells[1:-1], over_curves) and not self.taken & set(cells):
                        self.write(column, line, text, mark.style)
                        self.taken |= set(cells)
                        return

    def _is_free(self, places: Iterable[_Place], over_curves: bool = True) -> bool:
        return all(
            self.holds(place) and place not in self.taken and (over_curves or place not in self.cells)
            for place in places
        )


def _title(axis: Axis) -> str:
    return plain(axis.title) + (" (log)" if axis.log else "")


def _near(place: _Place) -> Iterator[_Place]:
    column, line = place
    for across, down in ((0, 0), (1, 0), (-1, 0), (0, -1), (0, 1), (2, 0), (-2, 0)):
        yield column + across, line + down


def _beside(place: _Place, length: int, chosen: bool) -> Iterator[_Place]:
    """Yield where a text of a length may begin, the most wanted place first."""
    column, line = place
    away = 3 if chosen else 2
    for down in (0, -1, 1):
        yield column + away, line + down
        yield column - away - length + 1, line + down
    for down in (-1, 1):
        yield column - length // 2, line + down


def drawn(figure: Figure, width: int, height: int) -> list[list[Cell]]:
    """Return a figure as lines of cells; where it has no room, a line that says so.

    Args:
        figure: what to draw.
        width: in cells.
        height: in lines.
    """
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        said = "(no room for the plot)"[:width]
        return [[Cell(letter, "axis") for letter in said]] + [[]] * (height - 1)
    area = _Area(figure, width, height)
    area.draw()
    return [[area.cells.get((column, line), Cell(" ")) for column in range(width)] for line in range(height)]


def as_text(cells: Sequence[Sequence[Cell]]) -> str:
    """Return what is drawn as text."""
    return "\n".join("".join(cell.text for cell in line).rstrip() for line in cells)


class Plot(Widget):
    """A figure; it is drawn when it is first seen, and again where its size has changed.

    Args:
        part: its id.
    """

    DEFAULT_CSS: ClassVar[str] = """
    Plot { height: 16; color: $foreground; }
    Plot > .plot--axis { color: $foreground 65%; }
    Plot > .plot--first { color: $text-primary; }
    Plot > .plot--second { color: $text-warning; }
    Plot > .plot--muted { color: $foreground 65%; }
    Plot > .plot--good { color: $text-success; text-style: bold; }
    Plot > .plot--chosen { color: $text-accent; text-style: bold reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"plot--{name}" for name in STYLES}

    def __init__(self, part: str | None = None) -> None:
        super().__init__(id=part)
        self._figure: Figure | None = None
        self._said = ""
        self._cells: list[list[Cell]] | None = None
        self._strips: list[Strip] | None = None

    @property
    def text(self) -> str:
        """What is drawn."""
        return as_text(self._drawn())

    def show(self, figure: Figure | None, said: str = "") -> None:
        """Show another figure, or in its place what there is to say."""
        self._figure, self._said = figure, said
        self._cells = self._strips = None
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the other size."""
        self._cells = self._strips = None

    def notify_style_update(self) -> None:
        """Draw in the colours of another theme."""
        super().notify_style_update()
        self._strips = None

    def _drawn(self) -> list[list[Cell]]:
        if self._cells is None:
            width, height = self.size
            if self._figure is None:
                self._cells = [[Cell(letter, "axis") for letter in plain(self._said)[:width]]]
            else:
                self._cells = drawn(self._figure, width, height)
        return self._cells

    def render_line(self, y: int) -> Strip:
        """Return a line."""
        if self._strips is None:
            self._strips = list(self._colored())
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _colored(self) -> Iterator[Strip]:
        base = self.rich_style
        styles = {name: self.get_component_rich_style(f"plot--{name}") for name in STYLES}
        for line in self._drawn():
            runs = groupby(line, key=lambda cell: cell.style)
            segments = [
                Segment("".join(cell.text for cell in cells), styles.get(style, base))
                for style, cells in runs
            ]
            yield Strip(segments).adjust_cell_length(self.size.width, base)
