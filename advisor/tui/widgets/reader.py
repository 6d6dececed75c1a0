"""Text to read that is longer than its place."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static


class Reader(VerticalScroll, can_focus=True):
    """A scrolling pane of text; the keys of lists scroll it."""

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
    ]

    DEFAULT_CSS: ClassVar[str] = """
    Reader { scrollbar-size-vertical: 1; }
    Reader > Static { height: auto; }
    """

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        yield Static(markup=False)

    @property
    def text(self) -> str:
        """What is to be read, without its styles."""
        return str(self.query_one(Static).content)

    def read(self, content: Content, *, anew: bool = False) -> None:
        """Show a text.

        Args:
            content: to show.
            anew: whether to read it from its beginning.
        """
        self.query_one(Static).update(content)
        if anew:
            self.scroll_home(animate=False)
