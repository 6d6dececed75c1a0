"""A path to read from or to write to; what is wrong with it stands in the dialog, which stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from advisor.errors import AdvisorError
from advisor.tui.dialogs.dialog import Dialog
from advisor.tui.plain import plain

_Result = TypeVar("_Result")


class AskPath(Dialog[_Result], Generic[_Result]):
    """Asks for a path, and leaves with what doing something with it brings.

    Args:
        title: of the dialog.
        action: what the button says.
        proposed: the path to begin with.
        act: does it; the flag says that the same path was confirmed a second time.
        hint: stands below.
    """

    def __init__(
        self,
        title: str,
        action: str,
        proposed: str,
        act: Callable[[Path, bool], Awaitable[_Result]],
        hint: str,
    ) -> None:
        super().__init__()
        self._title = title
        self._action = action
        self._proposed = proposed
        self._act = act
        self._hint = hint
        self._tried: str | None = None

    def compose(self) -> ComposeResult:
        """Lay out the path and the buttons."""
        with Vertical(classes="-box") as box:
            box.border_title = self._title
            yield Input(self._proposed, placeholder="path")
            yield Static("", classes="-message", markup=False)
            with Horizontal(classes="-row"):
                yield Button(self._action, id="do", variant="primary", compact=True)
                yield Button("Cancel", id="cancel", compact=True)
            yield Static(plain(self._hint), classes="-hint")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if event.value != self._tried:
            self._say("")

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._do()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "do":
            self._do()
        else:
            self.dismiss(None)

    @work(exclusive=True)
    async def _do(self) -> None:
        text = self.query_one(Input).value.strip()
        again, self._tried = text == self._tried, text
        if not text:
            self._say("a file needs a name")
            return
        try:
            self.dismiss(await self._act(Path(text).expanduser(), again))
        except AdvisorError as error:
            self._say(str(error))
        except (OSError, RuntimeError, ValueError) as error:
            self._say(f"this is no path that can be used: {error}")

    def _say(self, text: str) -> None:
        self.query_one(".-message", Static).update(plain(text))
