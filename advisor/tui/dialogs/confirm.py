"""A question that is answered with yes or no."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

from advisor.tui.dialogs.dialog import Dialog
from advisor.tui.plain import plain


class Confirm(Dialog[bool]):
    """A question; anything but a yes is a no.

    Args:
        question: what is asked.
        yes: what the button says that does it.
    """

    BINDINGS: ClassVar[list[Binding]] = [
        Binding("y", "yes", "Yes"),
        Binding("n", "leave", "No"),
    ]

    def __init__(self, question: str, yes: str) -> None:
        super().__init__()
        self._question = question
        self._yes = yes

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(classes="-box"):
            yield Static(plain(self._question))
            with Horizontal(classes="-row"):
                yield Button(plain(f"{self._yes} (y)"), id="yes", variant="error")
                yield Button("No (n)", id="no")

    def on_mount(self) -> None:
        """Make no the answer of a hasty enter."""
        self.query_one("#no").focus()

    def action_yes(self) -> None:
        """Say yes."""
        self.dismiss(True)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")
