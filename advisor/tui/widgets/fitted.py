"""Text that is made for the width it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from advisor.tui.plain import plain

LABEL = 12
"""Cells of the labels at the left of texts."""

_NARROWEST = 16

Maker = Callable[[int], Content]
"""Returns content for a width in cells."""


class Fitted(Widget):
    """Content that is made anew for each width, such as bars and hanging paragraphs.

    Args:
        part: its id.
    """

    DEFAULT_CSS: ClassVar[str] = "Fitted { height: auto; }"

    def __init__(self, part: str | None = None) -> None:
        super().__init__(id=part)
        self._make: Maker = lambda _: Content("")
        self._made: tuple[int, Content] | None = None

    @property
    def text(self) -> str:
        """What is shown, without its styles."""
        return str(self._content(max(self.content_size.width, _NARROWEST)))

    def show(self, make: Maker) -> None:
        """Show something else.

        Args:
            make: called for every width that the widget gets.
        """
        self._make, self._made = make, None
        width, height = self.content_size
        # A layout of the whole screen costs more than all else, and most contents are as high as those before.
        self.refresh(layout=width == 0 or self._content(width).get_height({}, width) != height)

    def render(self) -> Content:
        """Return what is made for the width."""
        return self._content(self.content_size.width)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Take all the width there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the lines that the content takes in a width."""
        return self._content(width).get_height({}, width) if width > 0 else 0

    def _content(self, width: int) -> Content:
        if self._made is None or self._made[0] != width:
            self._made = width, self._make(max(width, _NARROWEST))
        return self._made[1]


def stacked(parts: Iterable[Content]) -> Content:
    """Return contents under each other."""
    return Content("\n").join(list(parts))


def heading(text: str) -> Content:
    """Return a heading with an empty line before it."""
    return Content("\n") + plain(text).stylize("bold $text-accent")


def labelled(label: str, text: str, width: int, *, column: int = LABEL) -> Content:
    """Return ``label  text`` with the text hanging under itself; under the label where that leaves no room.

    Args:
        label: what it is; may be empty.
        text: outside text.
        width: of the whole, in cells.
        column: cells of the label.
    """
    head = plain(label).stylize("dim")
    if width - column - 1 < _NARROWEST:
        return stacked([head, *plain(text).wrap(width)])
    pieces = plain(text).wrap(width - column - 1)
    blank = Content(" " * (column + 1))
    first = head.truncate(column, pad=True) + Content(" ")
    return stacked((first if number == 0 else blank) + piece for number, piece in enumerate(pieces))


def bullets(items: Iterable[str], width: int, *, style: str = "") -> Content:
    """Return a list, each item wrapped under its dash."""
    lines = []
    for item in items:
        for number, piece in enumerate(plain(item).wrap(max(width - 2, _NARROWEST))):
            lines.append(Content("- " if number == 0 else "  ") + piece.stylize(style))
    return stacked(lines)


def flowing(items: Iterable[Content], width: int, *, gap: int = 2) -> Content:
    """Return items beside each other, none of them broken, in as many lines as they take."""
    lines: list[Content] = []
    for item in items:
        if lines and lines[-1].cell_length + gap + item.cell_length <= width:
            lines[-1] += Content(" " * gap) + item
        else:
            lines.append(item)
    return stacked(lines)
