"""Help for the screen that is open: what it is for, and every key that works there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Markdown, Static

from advisor.tui.dialogs.dialog import Dialog


class Help(Dialog[None]):
    """A page of Markdown.

    Args:
        title: of the screen.
        text: what it is for, as Markdown of our own.
        keys: key and what it does.
    """

    BINDINGS: ClassVar[list[Binding]] = [Binding("question_mark,f1,q", "leave", "Back", show=False)]

    DEFAULT_CSS: ClassVar[str] = "Help Markdown { background: $surface; padding: 0; }"

    def __init__(self, title: str, text: str, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Lay out the page."""
        longest = max((len(key) for key, _ in self._keys), default=0)
        keys = Content("\n").join(
            Content.assemble((f"{key:<{longest}}", "$text-accent"), f"  {what}") for key, what in self._keys
        )
        with VerticalScroll(classes="-box") as box:
            box.border_title = self._title
            yield Markdown(self._text.strip(), open_links=False)
            yield Static("Keys that work here\n", classes="-hint", markup=False)
            yield Static(keys)

    def on_mount(self) -> None:
        """Let the keys scroll the page."""
        self.query_one(VerticalScroll).focus()
