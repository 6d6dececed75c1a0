"""A field that is one of a few words: arrows step through them, letters jump to them."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static


class Choice(Static, can_focus=True):
    """One of a few words.

    Args:
        options: the words.
        default: the one that counts while none was chosen.
    """

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("left", "step(-1)", "Previous", show=False),
        Binding("right,space,enter", "step(1)", "Next", show=False),
        Binding("backspace,delete", "clear", "Default", show=False),
    ]

    DEFAULT_CSS: ClassVar[str] = """
    Choice { height: 1; background: $surface; color: $foreground; padding: 0 1; }
    Choice:hover { background: $foreground 8%; }
    Choice:focus { background: $primary; color: $text; text-style: bold; }
    """

    value: reactive[str] = reactive("")
    """The word that was chosen; empty where none was."""

    class Changed(Message):
        """Another word was chosen, by the user."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> Choice:
            """The field."""
            return self.choice

    def __init__(self, options: tuple[str, ...], default: str) -> None:
        super().__init__()
        self._options = options
        self._default = default

    def render(self) -> Content:
        """Draw the word between arrows; a default is in brackets."""
        shown = self.value or (f"({self._default})" if self._default else "(not given)")
        return Content(f"< {shown} >")

    def action_step(self, by: int) -> None:
        """Choose the next word."""
        current = self.value or self._default
        place = self._options.index(current) + by if current in self._options else 0
        self._choose(self._options[place % len(self._options)])

    def action_clear(self) -> None:
        """Go back to the default."""
        self._choose("")

    def on_key(self, event: events.Key) -> None:
        """Jump to the next word that starts with the letter."""
        if event.character is None or not event.character.isalnum():
            return
        current = self.value or self._default
        start = self._options.index(current) + 1 if current in self._options else 0
        ordered = self._options[start:] + self._options[:start]
        found = next((word for word in ordered if word.startswith(event.character.lower())), None)
        if found is not None:
            event.stop()
            event.prevent_default()
            self._choose(found)

    def on_click(self) -> None:
        """Choose the next word."""
        self.action_step(1)

    def _choose(self, word: str) -> None:
        if word != self.value:
            self.value = word
            self.post_message(self.Changed(self))
