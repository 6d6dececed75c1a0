"""Measuring this machine, checking a workload on it, and the calibrations that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, OptionList, RadioSet, Static, TabbedContent, TabPane
from textual.widgets.option_list import Option

from advisor import calibration
from advisor.calibrate.found import FoundDevice
from advisor.calibrate.session import Machine, Ran, Schedule, Session, schedule
from advisor.calibrate.stop import Stop, Stopped
from advisor.documents import CalibrationsAnswer, CheckAnswer, StoredCalibrationDocument
from advisor.errors import AdvisorError
from advisor.quantity import Model
from advisor.render.calibration import render
from advisor.render.table import Page
from advisor.render.words import UNKNOWN, workload_title
from advisor.tui.desk import Desk
from advisor.tui.dialogs.confirm import Confirm
from advisor.tui.plain import plain
from advisor.tui.screens.desk_screen import DataChanged, DeskScreen
from advisor.tui.widgets.dotted import DottedButton
from advisor.tui.widgets.factor_bars import factor_bars
from advisor.tui.widgets.live_run import LiveRun
from advisor.tui.widgets.reader import Reader
from advisor.tui.widgets.table import Column, Part, Row, Table, cell

_T = TypeVar("_T")

STORED = (
    Column("name", "Name", widest=40),
    Column("used", "Used"),
    Column("date", "Date", descending=True),
    Column("kind", "Kind"),
    Column("gpu", "--gpu"),
)

LOOKING = "looking for devices ..."

LEAST_WIDTH = 60
"""Columns that a table of a calibration needs at least."""


class CalibrateScreen(DeskScreen):
    """Measures devices of this machine, and shows what was measured."""

    MODE = "calibrate"

    HELP: ClassVar[str] = """
# Calibrate

Measures this machine, so that estimates for it and its relatives follow. No setting of a device is changed.

| key | |
| --- | --- |
| `m` | measure the device that is chosen; quick takes seconds, full some minutes |
| `c` | run the workload on the desk for a moment, and compare it with its estimate |
| escape | end what runs; tests that were measured are kept |
| `f` | look for devices again |
| `x`, delete | remove the calibration under the cursor (asks first) |
| tab, arrows | between the parts; left and right on the titles change the page |

A calibration is kept in your own folder and counts at once for its device. In the bars, 1 is what the shipped
constants predict: 1.20 takes a fifth longer. `*` behind a time: its repeats did not settle.
Leaving this screen does not end a measurement; leaving the program does.
"""

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("m", "measure", "Measure"),
        Binding("c", "check", "Check workload"),
        Binding("escape", "stop", "Stop"),
        Binding("f", "find", "Find devices"),
        Binding("x,delete", "remove", "Remove", key_display="x"),
    ]

    CSS: ClassVar[str] = """
    CalibrateScreen TabbedContent { height: 1fr; }
    CalibrateScreen TabPane { padding: 0; }
    CalibrateScreen #setup { height: auto; padding: 0 1; }
    CalibrateScreen #setup > OptionList { height: auto; max-height: 5; border: none; padding: 0; }
    CalibrateScreen #setup > RadioSet { border: none; padding: 0; width: 100%; background: $background; }
    CalibrateScreen #setup > RadioSet:focus { background: $panel; }
    CalibrateScreen .buttons { height: 1; margin-top: 1; }
    CalibrateScreen .buttons > Button { min-width: 1; margin-right: 1; }
    CalibrateScreen #found.-none { display: none; }
    CalibrateScreen .why { height: auto; color: $foreground 65%; }
    CalibrateScreen .why.-problem { color: $text-error; }
    CalibrateScreen #checking { height: auto; padding: 0 1; }
    CalibrateScreen #check-result { height: 1fr; padding: 0 1; }
    CalibrateScreen #detail { padding: 0 1; }
    CalibrateScreen.-wide #measuring { layout: horizontal; }
    CalibrateScreen.-wide #setup { width: 50; }
    CalibrateScreen.-wide LiveRun { width: 1fr; border-left: solid $panel; }
    CalibrateScreen.-narrow.-running #setup > .choice { display: none; }
    CalibrateScreen.-narrow #sensors { height: 6; }
    CalibrateScreen.-wide #keeping { layout: horizontal; }
    CalibrateScreen.-wide #stored { width: 58; border-right: solid $panel; }
    CalibrateScreen.-narrow #stored { height: 7; border-bottom: solid $panel; }
    CalibrateScreen #stored { scrollbar-size: 1 1; }
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._machine: Machine | None = None
        self._obstacle = LOOKING
        """Why nothing can be measured; empty when it can."""
        self._problem = False
        self._finding: Stop | None = None
        """Of the search for devices; None while there is none."""
        self._stop: Stop | None = None
        """Of what runs; None while nothing does."""
        self._checked: CheckAnswer | None = None
        self._stored: dict[str, StoredCalibrationDocument] = {}
        self._shown: CalibrationsAnswer | None = None
        self._wanted: str | None = None
        """Name of the calibration that the cursor shall go to once it is listed."""

    def body(self) -> ComposeResult:
        """Lay out the three pages: measuring, checking, what is kept."""
        with TabbedContent(initial="measure"):
            with TabPane("Measure", id="measure"), Vertical(id="measuring"):
                with Vertical(id="setup"):
                    yield OptionList(classes="choice", id="found")
                    with RadioSet(classes="choice"):
                        yield DottedButton("quick", value=True, id="quick")
                        yield DottedButton("full", id="full")
                    with Horizontal(classes="buttons"):
                        yield Button("Measure (m)", id="start", variant="primary", compact=True)
                        yield Button("Stop (esc)", id="stop", variant="warning", compact=True)
                        yield Button("Find devices (f)", id="find", compact=True)
                    yield Static(markup=False, classes="why", id="why")
                yield LiveRun()
            with TabPane("Check", id="check"):
                with Vertical(id="checking"):
                    yield Static(markup=False, id="what")
                    with Horizontal(classes="buttons"):
                        yield Button(
                            "Run it for a moment (c)", id="start-check", variant="primary", compact=True
                        )
                        yield Button("Stop (esc)", id="stop-check", variant="warning", compact=True)
                    yield Static(markup=False, classes="why", id="why-check")
                yield Reader(id="check-result")
            with TabPane("Calibrations", id="calibrations"), Vertical(id="keeping"):
                yield Table(STORED, table_id="stored")
                yield Reader(id="detail")

    # Looking

    def on_mount(self) -> None:
        """Ask for the devices, which takes seconds, and for the calibrations, which does not."""
        self.action_find()

    def on_unmount(self) -> None:
        """End what runs: the program is being left."""
        for stop in (self._stop, self._finding):
            if stop is not None:
                stop.ask()

    def look(self) -> None:
        """Show the workload on the desk, and the calibrations that are kept now."""
        self._list_stored()
        self._tell_state()

    @property
    def live(self) -> LiveRun:
        """What shows a measurement."""
        return self.query_one(LiveRun)

    @property
    def running(self) -> bool:
        """Whether something is being measured or looked for."""
        return self._stop is not None

    @property
    def _device(self) -> FoundDevice | None:
        """The device that is chosen."""
        place = self.query_one("#found", OptionList).highlighted
        if self._machine is None or place is None:
            return None
        return self._machine.devices[place]

    @property
    def _quick(self) -> bool:
        return self.query_one("#quick", DottedButton).value

    @property
    def _schedule(self) -> Schedule | None:
        device = self._device
        return None if device is None else schedule(device.measured, quick=self._quick)

    def _why_not(self) -> str:
        """Return why nothing can be measured now; empty when it can."""
        if self._obstacle:
            return self._obstacle
        if self.running:
            return "something is being measured already: two at once would spoil each other"
        device = self._device
        if device is None:
            return "choose a device"
        return device.obstacle or ""

    def _why_no_check(self) -> str:
        if self.desk.workload is None:
            return "there is no workload on the desk yet: describe one on the first screen"
        return self._why_not()

    def _tell_state(self) -> None:
        """Let buttons and words follow what can be done now."""
        self.set_class(self.running, "-running")
        why, why_no_check = self._why_not(), self._why_no_check()
        for name, reason, button in (("#why", why, "#start"), ("#why-check", why_no_check, "#start-check")):
            told = self.query_one(name, Static)
            told.update(plain(reason))
            told.set_class(self._problem, "-problem")
            self.query_one(button, Button).disabled = bool(reason)
        for name in ("#stop", "#stop-check"):
            self.query_one(name, Button).disabled = not self.running
        self.query_one("#find", Button).disabled = self.running or self._finding is not None
        self.query_one("#found").set_class(self._machine is None, "-none")
        for name, quick in (("#quick", True), ("#full", False)):
            self.query_one(name, DottedButton).label = self._offered(quick=quick)
        workload = self.desk.workload
        title = (
            "" if workload is None else workload_title(workload.model_dump(mode="json", exclude_unset=True))
        )
        device = self._device
        where = "" if device is None else f" on {device.torch_name} ({device.measured.name})"
        self.query_one("#what", Static).update(
            plain(f"{title}{where}: the plan of its estimate, run for real.")
        )
        what = self._schedule
        if what is not None and device is not None and not self._stop:
            announced = f"{len(what.tests)} tests, about {what.about_s:.0f} s; nothing measured yet"
            self.live.plan(what.tests, announced, sensed=device.nvml is not None)
        self.refresh_bindings()

    def _offered(self, *, quick: bool) -> Content:
        name, device = "quick" if quick else "full", self._device
        if device is None:
            return plain(name)
        what = schedule(device.measured, quick=quick)
        return plain(f"{name}: {len(what.tests)} tests, about {what.about_s:.0f} s")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if action == "stop":
            return self.running
        if action == "remove":
            return self.query_one(TabbedContent).active == "calibrations" and bool(self._stored)
        return True

    @on(TabbedContent.TabActivated)
    def _turn_page(self) -> None:
        self.refresh_bindings()
        # Only now it is known how wide the page is.
        self.call_after_refresh(self._show_again)

    def on_resize(self) -> None:
        """Let the figures of a calibration use the room that there is."""
        self.call_after_refresh(self._show_again)

    def _show_again(self) -> None:
        shown = self._shown
        if shown is not None and shown.profile is not None:
            detail = self.query_one("#detail", Reader)
            detail.read(_shown(shown, self._room(detail)))

    @on(OptionList.OptionHighlighted, "#found")
    @on(RadioSet.Changed)
    def _choose(self) -> None:
        if not self.running:
            self._tell_state()

    # Finding devices

    @work(exclusive=True, group="find")
    async def action_find(self) -> None:
        """Ask torch for the devices of this machine."""
        if self._finding is not None or self.running:
            return
        self._finding, self._problem, self._obstacle = Stop(), False, LOOKING
        self._machine = None
        self._tell_state()
        try:
            machine = await self._in_session(Session.machine, self._finding)
        except Stopped:
            # By on_unmount alone: nobody is left to tell.
            return
        except AdvisorError as error:
            self._obstacle, self._problem = f"Error: {error}", True
        else:
            self._obstacle = ""
            self._machine = machine
            found = self.query_one("#found", OptionList)
            found.clear_options()
            found.add_options(Option(_described(device)) for device in machine.devices)
            found.highlighted = 0
        self._finding = None
        self._tell_state()

    async def _in_session(self, job: Callable[[Session], _T], stop: Stop) -> _T:
        """Do something with a session in a thread of its own, with a service of its own: no two threads share one."""
        advisor = await self.desk.ask(lambda service: service.reopened())
        return await asyncio.to_thread(job, Session(advisor, self.live.listener, stop))

    # Measuring

    @on(Button.Pressed, "#start")
    def action_measure(self) -> None:
        """Measure the chosen device."""
        device, what = self._device, self._schedule
        if (why := self._why_not()) or device is None or what is None:
            self.notify(why, severity="warning", markup=False)
            return
        self._measure(device, what.about_s, quick=self._quick)

    @work(group="measure")
    async def _measure(self, device: FoundDevice, about_s: float, *, quick: bool) -> None:
        self.query_one(TabbedContent).active = "measure"
        ran = await self._watched(
            lambda session: session.calibrate(device.torch_name, quick=quick),
            f"starting torch on {device.torch_name}", about_s,
        )  # fmt: skip
        if ran is None:
            return
        self._show_ran(ran)

    def _show_ran(self, ran: Ran) -> None:
        if ran.name is None:
            self.live.end("stopped: nothing was measured yet, nothing is kept")
            return
        how = "stopped; what was measured is kept" if ran.interrupted else "measured and kept"
        self.live.end(f"{how} as {ran.name}")
        self.notify(f"{how} as {ran.name}", markup=False)
        self.post_message(DataChanged())
        self._wanted = ran.name
        self._list_stored()
        if self.query_one(TabbedContent).active == "measure" and not ran.interrupted:
            self.query_one(TabbedContent).active = "calibrations"

    async def _watched(self, job: Callable[[Session], _T], what: str, about_s: float | None) -> _T | None:
        """Do something that takes long where it can be seen and stopped; None where there is nothing to show of it."""
        self._stop = Stop()
        self.live.begin(what, about_s)
        self._tell_state()
        result = None
        try:
            result = await self._in_session(job, self._stop)
        except Stopped:
            self.live.end("stopped: nothing is kept")
        except AdvisorError as error:
            self.live.note(f"Error: {error}")
            self.live.end(f"Error: {error.message}")
            self.notify(str(error), title="Error", severity="error", markup=False)
        # Not where the wait itself is cancelled: then the screen goes, and on_unmount needs what can stop the run.
        self._stop = None
        self._tell_state()
        return result

    @work(exclusive=True, group="stop")
    async def action_stop(self) -> None:
        """End what runs, if that is meant."""
        stop = self._stop
        if stop is None:
            return
        question = "End the measurement? Tests that are measured already are kept."
        if await self.app.push_screen_wait(Confirm(question, "End it")):
            stop.ask()

    @on(Button.Pressed, "#stop")
    @on(Button.Pressed, "#stop-check")
    def _stop_pressed(self) -> None:
        self.action_stop()

    @on(Button.Pressed, "#find")
    def _find_pressed(self) -> None:
        self.action_find()

    # Checking

    @on(Button.Pressed, "#start-check")
    def action_check(self) -> None:
        """Run the workload on the desk for a moment."""
        self.query_one(TabbedContent).active = "check"
        device = self._device
        if (why := self._why_no_check()) or device is None:
            self.notify(why, severity="warning", markup=False)
            return
        self._check(device)

    @work(group="measure")
    async def _check(self, device: FoundDevice) -> None:
        workload = self.desk.workload
        assert workload is not None
        result = self.query_one("#check-result", Reader)
        result.read(plain("running ... (how far it is: page Measure)"))
        answer = await self._watched(
            lambda session: session.check(workload, device.torch_name),
            f"running the workload on {device.torch_name}", None,
        )  # fmt: skip
        if answer is None:
            result.read(plain(str(self.live.told)))
            return
        self._checked = answer
        self.live.end("checked: see page Check")
        result.read(plain(render(answer, Page(self._room(result)))), anew=True)

    # What is kept

    @work(exclusive=True, group="stored")
    async def _list_stored(self) -> None:
        try:
            answer = await self.desk.ask(lambda service: service.reopened().calibrations())
        except AdvisorError as error:
            self.query_one("#detail", Reader).read(plain(f"Error: {error}"))
            return
        newest = sorted(answer.calibrations, key=lambda row: row.date, reverse=True)
        self._stored = {row.file: row for row in sorted(newest, key=lambda row: not row.used)}
        table = self.query_one("#stored", Table)
        table.set_rows(_row(row) for row in self._stored.values())
        self._shown = answer
        if not self._stored:
            self.query_one("#detail", Reader).read(_nothing(answer.messages))
        for row in answer.calibrations:
            if row.name == self._wanted:
                self._wanted = None
                table.move_to(row.file)
        self.refresh_bindings()

    @on(Table.Highlighted, "#stored")
    def _follow(self, event: Table.Highlighted) -> None:
        row = self._stored.get(event.key)
        if row is not None:
            self._show_stored(row)

    @work(exclusive=True, group="shown")
    async def _show_stored(self, row: StoredCalibrationDocument) -> None:
        detail = self.query_one("#detail", Reader)
        try:
            answer = await self.desk.ask(lambda service: service.reopened().calibrations(row.name))
        except AdvisorError as error:
            detail.read(plain(f"Error: {error}"), anew=True)
            return
        self._shown = answer
        detail.read(_shown(answer, self._room(detail)), anew=True)

    def _room(self, reader: Reader) -> int:
        """Return the columns of text that fit in a pane; of a page that was never open, what it will have at most."""
        return max(reader.scrollable_content_region.width or self.size.width - 4, LEAST_WIDTH)

    @work(exclusive=True, group="remove")
    async def action_remove(self) -> None:
        """Remove the calibration under the cursor, if that is meant."""
        current = self.query_one("#stored", Table).current
        if current is None:
            return
        row = self._stored[current.key]
        question = f"Remove the calibration {row.name}? Its file {row.file} is deleted; measuring again makes another."
        if not await self.app.push_screen_wait(Confirm(question, "Remove it")):
            return
        try:
            profile = calibration.read_profile(Path(row.file))
            calibration.remove(calibration.StoredProfile(row.name, Path(row.file), profile))
        except AdvisorError as error:
            self.notify(str(error), title="Error", severity="error", markup=False)
            return
        self.notify(f"removed {row.name}", markup=False)
        self.post_message(DataChanged())
        self._list_stored()

    def exported(self) -> tuple[Model, str] | None:
        """Return the check on the page of checks, else the calibrations, or the one that is shown."""
        if self.query_one(TabbedContent).active == "check":
            return None if self._checked is None else (self._checked, "check")
        return None if self._shown is None else (self._shown, "calibrations")


def _described(device: FoundDevice) -> Content:
    found = device.measured
    entry = f"catalog entry {found.gpu}" if found.gpu else "no catalog entry"
    obstacle = f"; cannot be used: {device.obstacle}" if device.obstacle else ""
    return plain(f"{device.torch_name}: {found.name} ({entry}{obstacle})")


def _row(stored: StoredCalibrationDocument) -> Row:
    kind = stored.mode if stored.complete else f"{stored.mode}, unfinished"
    return Row(
        key=stored.file,
        cells=(
            cell(stored.name),
            cell(Part("yes", "good") if stored.used else Part("no", "muted")),
            cell(stored.date),
            cell(kind),
            cell(stored.gpu or UNKNOWN),
        ),
        order={
            "name": stored.name, "used": "no" if stored.used else "yes", "date": stored.date, "kind": kind,
            "gpu": stored.gpu,
        },
        words=f"{stored.name} {stored.device}",
    )  # fmt: skip


def _nothing(messages: Sequence[str]) -> Content:
    lines = ["There is no calibration yet: m on the page Measure makes one.", *messages]
    return Content("\n\n").join([plain(line) for line in lines])


def _shown(answer: CalibrationsAnswer, width: int) -> Content:
    """Return a calibration: whether it counts, what it says as bars, what to be careful about, and its figures."""
    (row,) = answer.calibrations
    use = (
        f"Estimates for --gpu {row.gpu} use it."
        if row.used
        else "Estimates do not use it: another one of this device counts, or it cannot stand for one."
    )
    parts = [plain(row.name).stylize("bold"), plain(use)]
    parts += [plain(f"! {caution}").stylize("$text-warning") for caution in row.cautions]
    if answer.factors:
        title = "Measured time over that predicted by the shipped constants"
        parts += [Content(""), plain(title).stylize("bold"), factor_bars(answer.factors)]
    # The bars and the words above are its factors and cautions already.
    rest = answer.model_copy(
        update={"factors": (), "calibrations": (row.model_copy(update={"cautions": ()}),), "messages": ()}
    )
    parts += [Content(""), plain(render(rest, Page(width)))]
    return Content("\n").join(parts)
