"""Which imported quotes to forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from advisor.tui.dialogs.dialog import Dialog
from advisor.tui.plain import plain


class PickQuotes(Dialog[str]):
    """Asks for a name; enter on one marks it, and only the button forgets it.

    Args:
        names: under which quotes are kept; at least one.
    """

    DEFAULT_CSS: ClassVar[str] = """
    PickQuotes OptionList { height: auto; max-height: 12; border: none; padding: 0; background: $surface; }
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names

    def compose(self) -> ComposeResult:
        """Lay out the names."""
        with Vertical(classes="-box") as box:
            box.border_title = "Forget imported quotes"
            yield OptionList(*(Option(plain(name)) for name in self._names))
            with Horizontal(classes="-row"):
                yield Button("Forget", id="forget", variant="error", compact=True)
                yield Button("Cancel", id="cancel", compact=True)
            yield Static("The vendor's own file stays where it is.", classes="-hint", markup=False)

    def on_mount(self) -> None:
        """Begin with the first."""
        self.query_one(OptionList).highlighted = 0

    @on(OptionList.OptionSelected)
    def _chosen(self) -> None:
        self.query_one("#forget", Button).focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        place = self.query_one(OptionList).highlighted
        forget = event.button.id == "forget" and place is not None
        self.dismiss(self._names[place] if forget and place is not None else None)
