"""A graph of one sensor that moves while something is measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

WINDOW_S = 60.0
"""How far back a graph goes."""

_BLOCKS = " ▁▂▃▄▅▆▇█"


def columns(
    values: Sequence[tuple[float, float]], width: int, window_s: float = WINDOW_S
) -> list[float | None]:
    """Return one value for each column, the newest at the right: the highest of its share of the time.

    Args:
        values: (moment in seconds, value), in the order of time.
        width: columns.
        window_s: time that all columns cover.
    """
    found: list[float | None] = [None] * width
    if not values or width <= 0:
        return found
    end_s, share_s = values[-1][0], window_s / width
    for at_s, value in values:
        place = width - 1 - int((end_s - at_s) / share_s)
        if place >= 0:
            before = found[place]
            found[place] = value if before is None else max(before, value)
    return found


def blocks(values: Sequence[float | None], height: int, low: float, high: float) -> list[str]:
    """Return values as lines of block characters, the top line first; what is known is never quite empty."""
    steps = len(_BLOCKS) - 1
    span = max(high - low, 1e-9)
    filled = [
        0 if value is None else max(1, round(min(max((value - low) / span, 0.0), 1.0) * height * steps))
        for value in values
    ]
    return [
        "".join(_BLOCKS[min(max(eighths - line * steps, 0), steps)] for eighths in filled)
        for line in reversed(range(height))
    ]


class LiveGraph(Widget):
    """The last minute of one sensor, under its name with the newest and the highest value.

    Args:
        title: what is measured.
        unit: of the values.
        low: value at the lower edge.
        high: value at the upper edge until one is higher.
    """

    DEFAULT_CSS: ClassVar[str] = """
    LiveGraph { height: 1fr; min-height: 2; color: $foreground; }
    LiveGraph > .live-graph--bars { color: $accent; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"live-graph--bars"}

    def __init__(self, title: str, unit: str, *, low: float = 0.0, high: float) -> None:
        super().__init__()
        self._title = title
        self._unit = unit
        self._low = low
        self._least_high = high
        self._values: deque[tuple[float, float]] = deque()
        self.highest: float | None = None
        """Since the last :meth:`clear`."""

    def clear(self) -> None:
        """Forget all values."""
        self._values.clear()
        self.highest = None
        self.refresh()

    def add(self, at_s: float, value: float) -> None:
        """Add a value of a moment in seconds that is later than all before."""
        self._values.append((at_s, value))
        while self._values[0][0] < at_s - WINDOW_S:
            self._values.popleft()
        self.highest = value if self.highest is None else max(self.highest, value)
        self.refresh()

    @property
    def heading(self) -> str:
        """What stands over the graph."""
        if not self._values or self.highest is None:
            return f"{self._title}: not measured"
        newest = self._values[-1][1]
        return f"{self._title} {newest:,.0f} {self._unit}, at most {self.highest:,.0f}"

    def render_line(self, y: int) -> Strip:
        """Return a line: the heading, or a part of the bars."""
        width, height = self.size.width, self.size.height - 1
        if y == 0:
            strip = Strip([Segment(self.heading, self.rich_style)])
            return strip.adjust_cell_length(width, self.rich_style)
        high = max(self._least_high, self.highest or 0.0)
        lines = blocks(columns(self._values, width), height, self._low, high)
        return Strip([Segment(lines[y - 1], self.get_component_rich_style("live-graph--bars"))])
