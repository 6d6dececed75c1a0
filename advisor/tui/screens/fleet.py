"""Several workloads together: what to buy and to rent for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from advisor.errors import AdvisorError, InputError
from advisor.fleet_documents import FleetAnswer
from advisor.quantity import Model
from advisor.render.fleet import render
from advisor.render.table import Page
from advisor.render.words import UNKNOWN
from advisor.tui.desk import Desk
from advisor.tui.dialogs.ask_path import AskPath
from advisor.tui.dialogs.confirm import Confirm
from advisor.tui.dialogs.fleet_entry import FleetEntry
from advisor.tui.dialogs.fleet_settings import FleetSettings
from advisor.tui.fleet_draft import FleetDraft, how_often, name_of, read_draft
from advisor.tui.plain import plain
from advisor.tui.screens.desk_screen import DeskScreen
from advisor.tui.widgets.reader import Reader
from advisor.tui.widgets.table import Column, Row, Table, cell
from advisor.whole_file import write_text_file

COLUMNS = (
    Column("name", "Workload", widest=30),
    Column("often", "How often", right=True),
    Column("deadline", "Deadline", right=True),
    Column("ways", "Had by"),
)

NOTHING = """No workload is in the fleet yet.

a  adds the workload of the first screen, with how often it runs
o  opens a file: YAML or JSON with `workloads:`, as `gpu-advisor fleet FILE` reads it
b  sets budget, power and what else holds for all

The answer is the cheapest set of GPUs to buy and to rent that meets every deadline."""

LEAST_WIDTH = 70
"""Columns that the table of a fleet needs at least."""


class FleetScreen(DeskScreen):
    """The workloads of a fleet, beside what to buy and to rent for them."""

    MODE = "fleet"

    HELP: ClassVar[str] = """
# Fleet

Several workloads with how often each runs, and the cheapest set of GPUs to buy and to rent that meets every deadline
within budget and power.

| key | |
| --- | --- |
| `a` | add the workload of the first screen |
| enter | how often the workload under the cursor runs, its deadline, whether it may be rented |
| `x`, delete | take it out (asks first) |
| `b` | budget, power, country, years and what else holds for all |
| `o` | open a fleet file |
| `w`, ctrl+w | write the fleet as a file; one that exists is replaced on a second press alone |
| `v` | read the answer, which takes the place of the list in a narrow window |
| escape | back to the list |

`gpu-advisor fleet FILE --json` gives scripts the same answer.
"""

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("a", "add", "Add"),
        Binding("b", "settings", "Budget", tooltip="Budget, power and what else holds for all workloads"),
        Binding("o", "open_file", "Open", tooltip="Open a fleet file"),
        Binding("w", "write", "Write", tooltip="Write the fleet as a file"),
        Binding("ctrl+w", "write", "Write", show=False, tooltip="Write the fleet as a file"),
        Binding("x,delete", "remove", "Take out", key_display="x"),
        Binding("v", "read", "Answer"),
        Binding("escape", "back", "Back"),
    ]

    CSS: ClassVar[str] = """
    FleetScreen #told { height: auto; padding: 0 1; color: $foreground 65%; }
    FleetScreen #told.-problem { color: $text-error; }
    FleetScreen #list { width: 2fr; }
    FleetScreen #answer { width: 3fr; padding: 0 1; border-left: solid $panel; }
    FleetScreen #answer:focus { border-left: solid $accent; }
    FleetScreen #answer.-stale { color: $foreground 55%; }
    FleetScreen.-narrow #answer { display: none; border-left: none; width: 1fr; }
    FleetScreen.-narrow.-reading #answer { display: block; }
    FleetScreen.-narrow.-reading #list { display: none; }
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._draft = FleetDraft()
        self._answer: FleetAnswer | None = None

    def body(self) -> ComposeResult:
        """Lay out the workloads and the answer."""
        with Horizontal():
            with Vertical(id="list"):
                yield Table(COLUMNS, table_id="workloads")
                yield Static(markup=False, id="told")
            yield Reader(id="answer")

    @property
    def table(self) -> Table:
        """The workloads."""
        return self.query_one("#workloads", Table)

    @property
    def reader(self) -> Reader:
        """The answer."""
        return self.query_one("#answer", Reader)

    @property
    def draft(self) -> FleetDraft:
        """The fleet as it stands."""
        return self._draft

    def on_mount(self) -> None:
        """Begin in the list, where single keys work."""
        self.table.focus()

    def on_resize(self) -> None:
        """Let the answer use the room that there is."""
        self.call_after_refresh(self._show)

    def look(self) -> None:
        """Ask again: prices may be others."""
        self._list()
        self._decide()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        return bool(self._draft.entries) if action in ("remove", "write", "read") else True

    # What is shown

    def _list(self) -> None:
        self.table.set_rows(_row(place, entry) for place, entry in enumerate(self._draft.entries))
        self.refresh_bindings()

    def _change(self, draft: FleetDraft) -> None:
        self._draft = draft
        self._list()
        self._decide()

    @work(exclusive=True, group="fleet")
    async def _decide(self) -> None:
        """Ask for the answer; the one to an earlier fleet stays, greyed, until it comes."""
        draft = self._draft
        if not draft.entries:
            self._answer = None
            self._show()
            self._tell("")
            return
        self._tell("asking ...")
        self.reader.add_class("-stale")
        try:
            self._answer = await self.desk.ask(lambda service: service.fleet(draft.fleet()))
        except AdvisorError as error:
            earlier = " The answer is that of the fleet before." if self._answer is not None else ""
            self._tell(f"{error}{earlier}", problem=True)
            return
        self._show(anew=True)
        self._tell(self._state())

    def _state(self) -> str:
        draft = self._draft
        if draft.path is None:
            return "not written to a file yet (w)"
        return str(draft.path) if draft.saved else f"{draft.path}: changed since it was written (w)"

    def _show(self, *, anew: bool = False) -> None:
        reader = self.reader
        if self._answer is None:
            reader.read(plain(NOTHING if not self._draft.entries else ""))
            return
        room = (reader.scrollable_content_region.width or self.size.width - 4) - 1
        reader.read(plain(render(self._answer, Page(max(room, LEAST_WIDTH)))), anew=anew)
        if anew:
            reader.remove_class("-stale")

    def _tell(self, text: str, *, problem: bool = False) -> None:
        told = self.query_one("#told", Static)
        told.set_class(problem, "-problem")
        told.update(plain(f"Error: {text}" if problem else text or NOTHING.splitlines()[0]))

    def exported(self) -> tuple[Model, str] | None:
        """Return the answer."""
        return None if self._answer is None else (self._answer, "fleet")

    # Workloads

    @work(exclusive=True, group="edit")
    async def action_add(self) -> None:
        """Add the workload on the desk."""
        workload = self.desk.workload
        if workload is None:
            why = "there is no workload on the desk yet: describe one on the first screen"
            self.notify(why, severity="warning", markup=False)
            return
        document = workload.model_dump(mode="json", exclude_unset=True)
        entry = await self.app.push_screen_wait(
            FleetEntry(
                {"workload": document}, lambda each: self._check(self._draft.with_entry(each)), new=True
            )
        )
        if entry is not None:
            self._change(self._draft.with_entry(entry))

    @on(Table.Opened)
    def edit(self, event: Table.Opened) -> None:
        """Change the workload under the cursor."""
        self._edit(int(event.key))

    @work(exclusive=True, group="edit")
    async def _edit(self, place: int) -> None:
        def check(entry: Mapping[str, Any]) -> None:
            self._check(self._draft.with_entry(entry, place))

        entry = await self.app.push_screen_wait(FleetEntry(self._draft.entries[place], check, new=False))
        if entry is not None:
            self._change(self._draft.with_entry(entry, place))

    @work(exclusive=True, group="edit")
    async def action_remove(self) -> None:
        """Take the workload under the cursor out, if that is meant."""
        current = self.table.current
        if current is None:
            return
        place = int(current.key)
        name = name_of(self._draft.entries[place])
        if await self.app.push_screen_wait(Confirm(f"Take {name} out of the fleet?", "Take it out")):
            self._change(self._draft.without_entry(place))

    @work(exclusive=True, group="edit")
    async def action_settings(self) -> None:
        """Set what holds for all workloads."""

        def check(typed: Mapping[str, str]) -> None:
            self._check(self._draft.with_settings(typed))

        typed = await self.app.push_screen_wait(FleetSettings(self._draft.settings(), check))
        if typed is not None:
            self._change(self._draft.with_settings(typed))

    def _check(self, draft: FleetDraft) -> None:
        """Refuse what the file would be refused for; an empty fleet is one that is being made.

        Raises:
            AdvisorError: so it is.
        """
        if draft.entries:
            draft.fleet()

    # Files

    @work(exclusive=True, group="edit")
    async def action_open_file(self) -> None:
        """Open a fleet file."""

        async def read(path: Path, _: bool) -> FleetDraft:
            return await self.desk.ask(lambda _: read_draft(path))

        lost = " What is on the screen is not written yet and goes." if not self._draft.saved else ""
        hint = f"YAML or JSON, as gpu-advisor fleet reads it.{lost}"
        draft = await self.app.push_screen_wait(AskPath("Open a fleet", "Open", "", read, hint))
        if draft is not None:
            self._change(draft)

    @work(exclusive=True, group="edit")
    async def action_write(self) -> None:
        """Write the fleet as a file."""
        proposed = str(self._draft.path or "fleet.yaml")
        hint = "As YAML. Comments of a file that is replaced are lost."
        path = await self.app.push_screen_wait(
            AskPath("Write the fleet", "Write", proposed, partial(_written, self._draft), hint)
        )
        if path is not None:
            self._draft = self._draft.written(path)
            self._tell(self._state())

    # Going

    def action_read(self) -> None:
        """Go to the answer."""
        self.add_class("-reading")
        self.reader.focus()

    def action_back(self) -> None:
        """Go back to the list."""
        self.remove_class("-reading")
        self.table.focus()


async def _written(draft: FleetDraft, path: Path, again: bool) -> Path:
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise InputError("the name of the file must end in .yaml", value=path.name)
    if path.exists() and not again:
        raise InputError(f"{path} exists; press Write once more to replace it")
    write_text_file(path, draft.text, replace=again)
    return path


def _row(place: int, entry: Mapping[str, Any]) -> Row:
    deadline = entry.get("deadline_h")
    return Row(
        key=str(place),
        cells=(
            cell(name_of(entry)),
            cell(how_often(entry)),
            cell(UNKNOWN if deadline is None else f"{deadline} h"),
            cell(", ".join(entry.get("acquire", ())) or "-"),
        ),
        words=name_of(entry),
    )
