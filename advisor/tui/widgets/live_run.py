"""A measurement while it runs: how far it is, what the sensors say, each test as it comes, and what is noted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Grid, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import ProgressBar, RichLog, Static

from advisor.calibrate.nvml import Sample
from advisor.calibrate.planning import PlannedTest
from advisor.profile import SuiteResult, Timing
from advisor.render.words import UNKNOWN
from advisor.tui.plain import plain
from advisor.tui.widgets.live_graph import LiveGraph
from advisor.tui.widgets.table import Column, Part, Row, Table, cell
from advisor.units import format_seconds
from advisor.units import plain as harmless

COLUMNS = (
    Column("test", "Test", widest=30),
    Column("precision", "Precision"),
    Column("forward", "Forward", right=True),
    Column("backward", "Backward", right=True),
    Column("optimizer", "Optimizer", right=True),
    Column("batch", "Batch", right=True),
)

SENSED = (Column("power", "W", right=True), Column("clock", "MHz", right=True))
"""Columns of devices with sensors."""

_Key = tuple[str, str, str]


class LiveRun(Vertical):
    """One measurement: what it will run, what runs, and what has been measured.

    It is a listener's other end: :attr:`listener` may be told things in any thread.
    """

    DEFAULT_CSS: ClassVar[str] = """
    LiveRun { padding: 0 1; overflow-y: auto; scrollbar-size-vertical: 1; }
    LiveRun > #now { height: 1; }
    LiveRun > ProgressBar { height: 1; width: 100%; }
    LiveRun > ProgressBar Bar { width: 1fr; }
    LiveRun > #sensors { grid-size: 2; grid-gutter: 0 2; height: 12; }
    LiveRun > #tests { height: 3fr; min-height: 4; scrollbar-size: 1 1; }
    LiveRun > RichLog { height: 1fr; min-height: 3; scrollbar-size-vertical: 1; border-top: solid $panel; }
    """

    class Said(Message):
        """Something is worth a line."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Begun(Message):
        """A step begins."""

        def __init__(self, place: int, of: int, what: str) -> None:
            super().__init__()
            self.place = place
            self.of = of
            self.what = what

    class Measured(Message):
        """A test is measured."""

        def __init__(self, result: SuiteResult) -> None:
            super().__init__()
            self.result = result

    class Sampled(Message):
        """The sensors were read."""

        def __init__(self, sample: Sample) -> None:
            super().__init__()
            self.sample = sample

    def __init__(self) -> None:
        super().__init__()
        # Held here and not looked up: what a session says may still come in when the screen is being taken apart.
        self._now = Static(markup=False, id="now")
        self._bar = ProgressBar(show_eta=False)
        self._sensors = Grid(id="sensors")
        self._tests = Table(COLUMNS, table_id="tests")
        self._notes = RichLog(wrap=True, markup=False, highlight=False, min_width=20)
        self._power = LiveGraph("power", "W", high=50.0)
        self._clock = LiveGraph("clock", "MHz", high=1000.0)
        self._temperature = LiveGraph("temperature", "C", low=20.0, high=90.0)
        self._utilisation = LiveGraph("busy", "%", high=100.0)
        self._planned: Sequence[PlannedTest] = ()
        self._sensed = False
        self._results: dict[_Key, SuiteResult] = {}
        self._place = 0
        self._of = 0
        self._what = ""
        self._about_s: float | None = None
        self._begun_s = 0.0
        self._tests_begun_s: float | None = None
        self._clockwork: Timer | None = None
        self.told = ""
        """What was said of it last: how it ended, once it has."""

    def compose(self) -> ComposeResult:
        """Lay out the progress, the sensors, the tests and the notes."""
        self._bar.display = False
        self._sensors.display = False
        yield self._now
        yield self._bar
        with self._sensors:
            yield self._power
            yield self._utilisation
            yield self._clock
            yield self._temperature
        yield self._tests
        yield self._notes

    @property
    def listener(self) -> ScreenListener:
        """What a session tells how far it is."""
        return ScreenListener(self)

    @property
    def running(self) -> bool:
        """Whether something is being measured."""
        return self._clockwork is not None

    def plan(self, tests: Sequence[PlannedTest], told: str, *, sensed: bool) -> None:
        """Show what would be measured; no effect while something runs, or where it is what was measured last.

        Args:
            tests: in their order.
            told: a line about them.
            sensed: whether the device has sensors.
        """
        if self.running or (tests, sensed) == (self._planned, self._sensed):
            return
        self._sensed = sensed
        self._tests.set_columns((*COLUMNS, *SENSED) if sensed else COLUMNS)
        self._planned, self._results, self._place = tests, {}, 0
        self._fill()
        self._tell(told)

    def begin(self, what: str, about_s: float | None) -> None:
        """Start anew.

        Args:
            what: runs first.
            about_s: what the whole usually takes in seconds, None where nobody knows.
        """
        self._results, self._place, self._of = {}, 0, 0
        self._what, self._about_s = what, about_s
        self._begun_s, self._tests_begun_s = time.monotonic(), None
        for graph in (self._power, self._clock, self._temperature, self._utilisation):
            graph.clear()
        self._sensors.display = False
        self._bar.update(total=None, progress=0)
        self._bar.display = True
        self._notes.clear()
        self._fill()
        self._clockwork = self.set_interval(1.0, self._tell_time)
        self._tell_time()

    def end(self, told: str) -> None:
        """Say how it ended; what was measured stays."""
        if self._clockwork is not None:
            self._clockwork.stop()
            self._clockwork = None
        self._place = len(self._planned) + 1
        self._fill()
        self._bar.display = False
        self._tell(told)

    def note(self, text: str) -> None:
        """Write a line that stays."""
        # RichLog prints strings as they are where it reads no markup; what steers a terminal must go all the same.
        self._notes.write("\n".join(harmless(line) for line in text.splitlines()))

    # What the listener says

    @on(Said)
    def _hear_note(self, event: Said) -> None:
        self.note(event.text)

    @on(Begun)
    def _hear_step(self, event: Begun) -> None:
        if self._tests_begun_s is None:
            self._tests_begun_s = time.monotonic()
        self._place, self._of, self._what = event.place, event.of, event.what
        self._bar.update(total=event.of, progress=event.place - 1)
        self._fill()
        if not self._tests.has_focus:
            self._tests.move_to(f"{event.place}")
        self._tell_time()

    @on(Measured)
    def _hear_result(self, event: Measured) -> None:
        result = event.result
        self._results[result.test, result.precision, result.memory_format] = result
        if self.running:
            self._bar.update(progress=self._place)
        self._fill()

    @on(Sampled)
    def _hear_sensors(self, event: Sampled) -> None:
        sample = event.sample
        busy = None if sample.utilisation is None else 100 * sample.utilisation
        for graph, value in (
            (self._power, sample.power_w),
            (self._clock, sample.clock_mhz),
            (self._temperature, sample.temperature_c),
            (self._utilisation, busy),
        ):
            if value is not None:
                graph.add(sample.at_s, value)
                self._sensors.display = True

    # What is shown

    def _tell_time(self) -> None:
        passed_s = time.monotonic() - self._begun_s
        where = f"test {self._place} of {self._of}: " if self._of else ""
        rest_s = self._rest_s(passed_s)
        rest = "" if rest_s is None else f", about {rest_s:.0f} s left"
        self._tell(f"{passed_s:.0f} s{rest}; {where}{self._what}")

    def _tell(self, text: str) -> None:
        self.told = text
        self._now.update(plain(text))

    def _rest_s(self, passed_s: float) -> float | None:
        """Return about how long the rest takes: by the tests so far, before them by what it usually takes."""
        done = self._place - 1
        if self._tests_begun_s is not None and done > 0:
            each_s = (time.monotonic() - self._tests_begun_s) / (done + 0.5)
            return each_s * (self._of - done - 0.5)
        return None if self._about_s is None else max(self._about_s - passed_s, 0.0)

    def _fill(self) -> None:
        self._tests.set_rows(self._rows())

    def _rows(self) -> list[Row]:
        rows = []
        for number, test in enumerate(self._planned, start=1):
            result = self._results.get((test.name, test.precision, test.memory_format))
            mark = (
                "ok"
                if result is not None
                else ">"
                if number == self._place
                else "!"
                if number < self._place
                else ""
            )
            style = {"ok": "good", ">": "accent", "!": "bad"}.get(mark, "")
            rows.append(
                Row(
                    key=f"{number}",
                    cells=(
                        cell(Part(f"{mark:<2} ", style), Part(test.name)),
                        cell(f"{test.precision} {test.memory_format}"),
                        *_times(test, result),
                        *(_seen(result) if self._sensed else ()),
                    ),
                    dim=not mark,
                )
            )
        return rows


def _times(test: PlannedTest, result: SuiteResult | None) -> tuple[tuple[Part, ...], ...]:
    if result is None:
        return (cell(UNKNOWN), cell(UNKNOWN), cell(UNKNOWN), cell(f"{test.batch:,}"))
    return (
        cell(_timing(result.forward or result.step)),
        cell(_timing(result.backward)),
        cell(_timing(result.optimizer)),
        cell(f"{result.batch:,}"),
    )


def _seen(result: SuiteResult | None) -> tuple[tuple[Part, ...], ...]:
    """Return what the sensors said in a test."""
    values = (None, None) if result is None else (result.power_w, result.clock_mhz)
    return tuple(cell(UNKNOWN if value is None else f"{value:.0f}") for value in values)


def _timing(timing: Timing | None) -> str:
    """Return a time with a star where its repeats did not settle."""
    if timing is None:
        return UNKNOWN
    return format_seconds(timing.median_s) + ("" if timing.stable else "*")


class ScreenListener:
    """Carries what a session says from its threads to a :class:`LiveRun`."""

    def __init__(self, view: LiveRun) -> None:
        self._view = view

    def say(self, text: str) -> None:
        """Something is worth a line."""
        self._view.post_message(LiveRun.Said(text))

    def begun(self, place: int, of: int, what: str) -> None:
        """Step ``place`` of ``of`` begins."""
        self._view.post_message(LiveRun.Begun(place, of, what))

    def measured(self, result: SuiteResult) -> None:
        """A test of the suite is measured."""
        self._view.post_message(LiveRun.Measured(result))

    def sampled(self, sample: Sample) -> None:
        """The sensors were read."""
        self._view.post_message(LiveRun.Sampled(sample))

    def ended(self) -> None:
        """Nothing to take away: how it ended is shown with what came of it."""
