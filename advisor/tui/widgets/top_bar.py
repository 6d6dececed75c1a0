"""The bar at the top: all full screens, the one that is open marked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static


class Place(NamedTuple):
    """One full screen: its mode, its title, and the keys that open it."""

    mode: str
    title: str
    key: str
    function_key: str


PLACES = (
    Place("decide", "Decide", "1", "f2"),
    Place("compare", "Compare", "2", "f3"),
    Place("pareto", "Pareto", "3", "f4"),
    Place("catalog", "Catalog", "4", "f5"),
    Place("calibrate", "Calibrate", "5", "f6"),
    Place("prices", "Prices", "6", "f7"),
    Place("fleet", "Fleet", "7", "f8"),
)


class _Tab(Static):
    """The name of one screen; a click opens it."""

    def __init__(self, place: Place, *, current: bool) -> None:
        super().__init__(f"{place.key} {place.title}", classes="-current" if current else "", markup=False)
        self.tooltip = f"{place.title} ({place.key} or {place.function_key.upper()})"
        self._mode = place.mode

    def on_click(self, event: events.Click) -> None:
        """Open the screen."""
        event.stop()
        self.post_message(TopBar.Opened(self._mode))


class TopBar(Horizontal):
    """All full screens by name.

    Args:
        current: mode of the one that is open.
    """

    DEFAULT_CSS: ClassVar[str] = """
    TopBar { height: 1; background: $panel; color: $foreground; }
    TopBar > Static { width: auto; padding: 0 1; }
    TopBar > .-name { text-style: bold; }
    TopBar > .-current { text-style: bold reverse; }
    TopBar > _Tab:hover { text-style: underline; }
    """

    class Opened(Message):
        """The user wants another screen."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, current: str) -> None:
        super().__init__()
        self._current = current

    def compose(self) -> ComposeResult:
        """Lay out the names."""
        yield Static("gpu-advisor", classes="-name")
        yield from self._tabs()

    def _tabs(self) -> Iterator[_Tab]:
        for place in PLACES:
            yield _Tab(place, current=place.mode == self._current)
