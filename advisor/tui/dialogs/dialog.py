"""The frame of every dialog."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual import events
from textual.await_complete import AwaitComplete
from textual.binding import Binding
from textual.screen import ModalScreen

_Result = TypeVar("_Result")


class Dialog(ModalScreen[_Result | None]):
    """A box in the middle; escape, or a click beside it, leaves it without a decision."""

    BINDINGS: ClassVar[list[Binding]] = [Binding("escape", "leave", "Back")]  # type: ignore[assignment]

    DEFAULT_CSS: ClassVar[str] = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > .-box {
        width: 76; max-width: 96%; height: auto; max-height: 90%; padding: 1 2;
        background: $surface; border: round $primary; border-title-color: $foreground; border-title-style: bold;
    }
    Dialog .-row { height: auto; margin-top: 1; }
    Dialog .-row Button { margin-right: 2; }
    Dialog .-hint { color: $foreground 65%; height: auto; margin-top: 1; }
    Dialog .-message { color: $text-error; height: auto; }
    """

    _decided = False

    def dismiss(self, result: _Result | None = None) -> AwaitComplete:
        """Leave with a decision; a second one, of a key that repeats, is too late."""
        if self._decided:
            return AwaitComplete()
        self._decided = True
        return super().dismiss(result)

    def action_leave(self) -> None:
        """Leave without a decision."""
        self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        """Leave where the click was beside the box."""
        if event.widget is self:
            self.dismiss(None)
