"""One workload of a fleet: what it is called, how often it runs, and when it must be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from advisor.errors import AdvisorError
from advisor.tui.dialogs.dialog import Dialog
from advisor.tui.fleet_draft import RATE_WORDS, entry_of, name_of, rate_of
from advisor.tui.plain import plain
from advisor.tui.widgets.choice import Choice

WAYS = ("buy, rent", "buy", "rent")

Check = Callable[[Mapping[str, Any]], None]
"""Raises what is wrong with a workload in its fleet."""


class FleetEntry(Dialog[Mapping[str, Any]]):
    """Asks for a workload's place in the fleet; what is wrong stands in the dialog, which stays.

    Args:
        entry: as it is, with its workload.
        check: says whether another one would do.
        new: whether it is being added.
    """

    DEFAULT_CSS: ClassVar[str] = """
    FleetEntry .-field { height: 1; }
    FleetEntry .-field > Static { width: 16; }
    FleetEntry .-field > Input { border: none; height: 1; padding: 0; width: 1fr; }
    FleetEntry .-field > Choice { width: 1fr; }
    """

    def __init__(self, entry: Mapping[str, Any], check: Check, *, new: bool) -> None:
        super().__init__()
        self._entry = entry
        self._check = check
        self._new = new
        self._rates = {words: name for name, words in RATE_WORDS.items()}

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        rate, amount = rate_of(self._entry)
        ways = ", ".join(self._entry.get("acquire", ()))
        with Vertical(classes="-box") as box:
            box.border_title = "Add a workload" if self._new else "A workload of the fleet"
            yield _field("Name", Input(name_of(self._entry), id="name"))
            yield _field("How often", Input(amount, placeholder="a number", id="amount"))
            yield _field("", _choice("rate", tuple(self._rates), RATE_WORDS[rate]))
            deadline = str(self._entry.get("deadline_h", ""))
            yield _field(
                "Deadline, h", Input(deadline, placeholder="of each run; none if empty", id="deadline_h")
            )
            week = str(self._entry.get("hours_per_week", ""))
            yield _field(
                "Served, h/week", Input(week, placeholder="of requests/s; 168 if empty", id="hours_per_week")
            )
            yield _field("Had by", _choice("acquire", WAYS, ways or WAYS[0]))
            yield Static("", classes="-message", markup=False)
            with Horizontal(classes="-row"):
                yield Button("Add" if self._new else "Keep", id="keep", variant="primary", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    def on_mount(self) -> None:
        """Begin with what nobody can guess."""
        self.query_one("#amount").focus()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._keep()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "keep":
            self._keep()
        else:
            self.dismiss(None)

    def _keep(self) -> None:
        typed = {name: self.query_one(f"#{name}", Input).value for name in
                 ("name", "amount", "deadline_h", "hours_per_week")}  # fmt: skip
        ways = self.query_one("#acquire", Choice).value
        rate = self._rates[self.query_one("#rate", Choice).value]
        typed |= {"rate": rate, "acquire": "" if ways == WAYS[0] else ways}
        try:
            entry = entry_of(typed, self._entry["workload"])
            self._check(entry)
        except AdvisorError as error:
            self.query_one(".-message", Static).update(plain(error))
        else:
            self.dismiss(entry)


def _field(label: str, field: Input | Choice) -> Horizontal:
    return Horizontal(Static(label, markup=False), field, classes="-field")


def _choice(name: str, options: tuple[str, ...], value: str) -> Choice:
    choice = Choice(options, value)
    choice.id = name
    choice.value = value
    return choice
