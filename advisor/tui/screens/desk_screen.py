"""What every full screen has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from advisor.tui.desk import Choice, Desk
from advisor.tui.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from advisor.quantity import Model


class DeskChanged(Message):
    """Something on the desk is new."""


class DataChanged(Message):
    """Calibrations or prices are others than before: answers follow once the service is opened again."""


class DeskScreen(Screen[None]):
    """A full screen over the desk, between the bar of all screens and the keys that work here.

    A screen says what it shows in :meth:`body` and :meth:`look`; ``HELP`` is Markdown for ``?``.

    Args:
        desk: what it looks at.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as Textual declares it
    DEFAULT_CSS: ClassVar[str] = """
    DeskScreen.-narrow TopBar > .-name { display: none; }
    """
    MODE: ClassVar[str] = ""
    """Its name among :data:`advisor.tui.widgets.top_bar.PLACES`."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._seen = -1

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield TopBar(self.MODE)
        yield from self.body()
        yield Footer(show_command_palette=False)

    def body(self) -> ComposeResult:
        """Yield what stands between the bars."""
        yield Widget()

    def look(self) -> None:
        """Show what lies on the desk; called only when that is new."""

    @property
    def choice(self) -> Choice | None:
        """What the cursor is on; None where that is no GPU of the workload."""
        return None

    def exported(self) -> tuple[Model, str] | None:
        """Return the document that this screen shows and a stem for a file's name; None where there is none."""
        return None

    @on(DeskChanged)
    @on(events.ScreenResume)
    def look_again(self) -> None:
        """Look at the desk if it has changed since the last time."""
        if self._seen != self.desk.version:
            self._seen = self.desk.version
            self.look()
