"""The screen that measures, driven by its keys: it really measures the processor, for a moment."""

from __future__ import annotations

import asyncio
import datetime
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Button, OptionList, RadioButton, RichLog, Static, TabbedContent

from advisor import calibration
from advisor.calibrate import planning
from advisor.calibrate.nvml import Sample
from advisor.documents import CalibrationFactorDocument, CalibrationsAnswer, CheckAnswer
from advisor.profile import MeasuredDevice, MeasuredHost, MeasuredSoftware, Profile
from advisor.service import open_advisor
from advisor.suite import SuiteTest
from advisor.tui.desk import Desk, Question
from advisor.tui.screens.calibrate import CalibrateScreen
from advisor.tui.widgets.factor_bars import HALF, factor_bars
from advisor.tui.widgets.live_graph import LiveGraph, blocks, columns
from advisor.tui.widgets.reader import Reader
from advisor.tui.widgets.table import Table
from advisor.workload import Workload

pytest.importorskip("torch")

Drive = Callable[["Face", Pilot[None]], Awaitable[None]]


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure two tests for a moment: what is tested is the screen, not how well it measures."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(planning, "QUICK_S", 0.3)
    monkeypatch.setattr("advisor.calibrate.check.BUDGET_S", 0.3)
    whole = planning.planned
    monkeypatch.setattr(
        "advisor.calibrate.session.planned",
        lambda suite, device, *, quick: tuple(
            test for test in whole(suite, device, quick=quick) if test.name in TESTS
        ),
    )


TESTS = ("linear-wide", "copy")
"""The least that a processor without a catalog entry is estimated with."""


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure one test that is done at once, and one that hangs."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "data" / "calibrate"))
    tests = tuple(
        planning.PlannedTest(name, SuiteTest.model_validate(
            {
                "about": name, "batch": {"cpu": 2}, "precisions": {"cpu": ["fp32"]},
                "model": {"torch": {"factory": f"faulty:{name}", "input": {"shape": [4]}, "loss": "mse"}},
            }
        ), "fp32", "nchw", 2)
        for name in ("small", "hanging")
    )  # fmt: skip
    monkeypatch.setattr("advisor.calibrate.session.planned", lambda suite, device, *, quick: tests)


class Face(App[None]):
    """Shows the screen, and beside it an empty one to leave it for."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(open_advisor, Question("gpt2"))
        self.shown = CalibrateScreen(self.desk)
        self.applied = 0

    def on_mount(self) -> None:
        """Open it."""
        self.add_mode("calibrate", lambda: self.shown)
        self.switch_mode("calibrate")

    def on_data_changed(self) -> None:
        """Count how often the service is to be opened again."""
        self.applied += 1

    def text(self, selector: str) -> str:
        """What a part of the screen says."""
        found = self.shown.query_one(selector)
        return found.text if isinstance(found, Reader) else str(found.render())

    @property
    def notes(self) -> str:
        """What was noted while it measured."""
        return " ".join(" ".join(strip.text for strip in self.shown.query_one(RichLog).lines).split())

    @property
    def page(self) -> str:
        """The page that is open."""
        return self.shown.query_one(TabbedContent).active

    def rows(self, selector: str) -> list[str]:
        """The rows of a table as text."""
        rows = self.shown.query_one(selector, Table).rows
        return [
            " | ".join("".join(part if isinstance(part, str) else part.text for part in cell) for cell in row.cells)
            for row in rows
        ]  # fmt: skip

    def disabled(self, selector: str) -> bool:
        """Whether a button cannot be pressed."""
        return self.shown.query_one(selector, Button).disabled


def drive(steps: Drive, size: tuple[int, int] = (140, 45)) -> None:
    async def run() -> None:
        app = Face()
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await steps(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    for _ in range(3000):
        if done():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never happened")


async def found(app: Face, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: "looking" not in app.text("#why"))


def stored_profile(name: str) -> Path:
    """Keep a profile of a device that was never measured."""
    profile = Profile(
        date=datetime.date.today().isoformat(), mode="quick",
        device=MeasuredDevice(kind="cpu", backend="cpu", name="a [/]processor", memory_mib=8192.0),
        software=MeasuredSoftware(torch="2.0", python="3.11", gpu_advisor="0"),
        host=MeasuredHost(system="Linux"), warnings=("[@click=app.quit]hot[/] \x1b[31m",),
    )  # fmt: skip
    # Others may call a file of the user's folder what they like.
    return calibration.keep(profile, "kept").rename(calibration.own_folder() / f"{name}.yaml")


def test_the_way_from_the_device_to_a_calibration_that_estimates_use() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await found(app, pilot)
        offered = app.shown.query_one("#found", OptionList).get_option_at_index(0)
        assert str(offered.prompt).startswith("cpu: ")
        assert "2 tests, about" in str(app.shown.query_one("#quick", RadioButton).label)
        assert [row.split("|")[0].strip() for row in app.rows("#tests")] == list(TESTS)
        assert app.shown.exported() is not None

        await pilot.press("m")
        await until(pilot, lambda: app.shown.running)
        assert app.disabled("#start")
        assert app.disabled("#start-check")
        assert not app.disabled("#stop")
        assert "already" in app.text("#why")
        await pilot.press("m")
        assert any("already" in note.message for note in app._notifications)
        await until(pilot, lambda: not app.shown.running)
        assert all(row.startswith("ok") and " ms" in row for row in app.rows("#tests"))
        assert "no setting of the device is changed" in app.notes
        await until(pilot, lambda: "Estimates for --gpu" in app.text("#detail"))
        assert app.page == "calibrations"
        assert app.applied == 1
        assert "kept as" in app.shown.live.told
        (profile,) = calibration.stored_profiles(())[0]
        assert [test.test for test in profile.profile.tests] == list(TESTS)
        assert "shorter│longer" in app.text("#detail")
        answer, stem = app.shown.exported() or (None, "")
        assert isinstance(answer, CalibrationsAnswer)
        assert answer.profile is not None
        assert stem == "calibrations"
        assert all(each.what in app.text("#detail") for each in answer.factors)

    drive(steps, (80, 24))


@pytest.mark.usefixtures("endless")
def test_escape_asks_and_what_was_measured_is_kept() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await found(app, pilot)
        await pilot.press("escape")
        assert app.screen is app.shown
        await pilot.press("m")
        await until(pilot, lambda: "test 2 of 2" in app.text("#now"))
        first, second = app.rows("#tests")
        assert first.startswith("ok small")
        assert second.startswith(">  hanging")
        # The cursor follows what runs, so that it is seen in a small window.
        assert app.shown.query_one("#tests", Table).cursor == 1
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not app.shown)
        await pilot.press("n")
        await until(pilot, lambda: app.screen is app.shown)
        assert app.shown.running
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not app.shown)
        await pilot.press("y")
        await until(pilot, lambda: not app.shown.running)
        await until(pilot, lambda: "stopped" in app.shown.live.told)

    drive(steps)
    (stored,) = calibration.stored_profiles(())[0]
    assert not stored.profile.complete
    assert stored.profile.warnings == ("interrupted after 1 of 2 tests",)
    assert not _workers()


def test_leaving_the_program_while_devices_are_looked_for_leaves_no_process() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: bool(_workers()))
        assert "looking" in app.text("#why")
        await pilot.press("m")
        assert not app.shown.running

    drive(steps)
    assert not _workers()


@pytest.mark.usefixtures("endless")
def test_leaving_the_program_ends_the_measurement_and_its_process() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await found(app, pilot)
        await pilot.press("m")
        await until(pilot, lambda: "test 2 of 2" in app.text("#now"))
        assert _workers()

    drive(steps)
    assert not _workers()
    (stored,) = calibration.stored_profiles(())[0]
    assert not stored.profile.complete


def _workers() -> list[str]:
    """Return the measuring processes of this process that run."""
    if sys.platform == "win32":
        return []
    listed = subprocess.run(
        ["ps", "-eo", "ppid,stat,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [
        line for line in listed
        if "advisor.calibrate.worker" in line and line.split()[0] == str(os.getpid()) and line.split()[1][0] != "Z"
    ]  # fmt: skip


def test_leaving_the_screen_does_not_end_the_measurement() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await found(app, pilot)
        await pilot.press("m")
        await until(pilot, lambda: app.shown.running)
        app.add_mode("other", Screen)
        app.switch_mode("other")
        await until(pilot, lambda: not app.shown.running)
        assert "kept as" in app.shown.live.told
        app.switch_mode("calibrate")
        await until(pilot, lambda: "Estimates for --gpu" in app.text("#detail"))

    drive(steps)


def test_without_torch_the_extra_is_named_and_looking_again_mends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('No module named [/]torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    stored_profile("of [an]other day")

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await found(app, pilot)
        assert 'pip install "gpu-advisor[torch]"' in app.text("#why")
        assert "[/]torch" in app.text("#why")
        assert app.disabled("#start")
        await pilot.press("m")
        assert not app.shown.running
        # What is kept can be looked at all the same.
        app.shown.query_one(TabbedContent).active = "calibrations"
        await until(pilot, lambda: "of [an]other day" in app.text("#detail"))
        (tmp_path / "torch.py").unlink()
        await pilot.press("f")
        await until(pilot, lambda: not app.disabled("#start"))
        assert app.text("#why") == ""

    drive(steps, (80, 24))


def test_names_with_brackets_are_letters_and_removing_asks() -> None:
    path = stored_profile("own [b] one")

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        app.shown.query_one(TabbedContent).active = "calibrations"
        await until(pilot, lambda: "own [b] one" in app.text("#detail"))
        assert "! when calibrated: [@click=app.quit]hot[/]" in app.text("#detail")
        assert "\x1b" not in app.text("#detail")
        assert "do not use it" in app.text("#detail")
        await pilot.press("x")
        await until(pilot, lambda: app.screen is not app.shown)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.shown)
        assert path.exists()
        await pilot.press("x")
        await until(pilot, lambda: app.screen is not app.shown)
        await pilot.press("y")
        await until(pilot, lambda: "no calibration yet" in app.text("#detail"))
        assert not path.exists()
        assert app.applied == 1

    drive(steps)


def test_a_calibration_that_cannot_be_removed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored_profile("gone")

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        app.shown.query_one(TabbedContent).active = "calibrations"
        await until(pilot, lambda: "gone" in app.text("#detail"))
        path.unlink()
        await pilot.press("x")
        await until(pilot, lambda: app.screen is not app.shown)
        await pilot.press("y")
        await until(pilot, lambda: any(note.severity == "error" for note in app._notifications))
        assert app.applied == 0

    drive(steps)


TINY = {
    "name": "tiny [/] one",
    "model": {
        "transformer": {"layers": 2, "hidden": 64, "heads": 2, "ffn": 256, "vocab": 128, "norm": "layernorm"}
    },
    "data": {"sequence_length": 32},
    "batch": {"global": 4, "micro": 2},
}


def test_a_workload_is_checked_once_there_is_one_and_the_device_has_an_estimate() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await found(app, pilot)
        await pilot.press("c")
        assert app.page == "check"
        assert "no workload" in app.text("#why-check")
        assert app.disabled("#start-check")

        app.desk.workload = Workload.model_validate(TINY)
        app.desk.changed()
        app.shown.look_again()
        assert "tiny [/] one" in app.text("#what")
        # The processor is not in the catalog: an error with the way out, and nothing breaks.
        await pilot.press("c")
        await until(pilot, lambda: app.text("#check-result").startswith("Error"))
        assert "calibrate" in app.notes

        await pilot.press("m")
        await until(pilot, lambda: app.applied == 1)
        await pilot.press("c")
        await until(pilot, lambda: app.page == "check" and app.shown.exported() is not None)
        await until(pilot, lambda: "Predicted" in app.text("#check-result"))
        answer, stem = app.shown.exported() or (None, "")
        assert isinstance(answer, CheckAnswer)
        assert stem == "check"
        assert "tiny [/] one really run on" in app.text("#check-result")
        assert f"{100 * (answer.figures[0].error or 0):+.1f}%" in app.text("#check-result")

    drive(steps, (80, 24))


def test_an_error_of_a_run_is_told_and_another_run_can_begin() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await found(app, pilot)
        calibration.own_folder().write_text("a file is in the way")
        await pilot.press("m")
        await until(pilot, lambda: "Error" in app.shown.live.told)
        assert "cannot be written" in app.shown.live.told
        assert "GPU_ADVISOR_DATA" in app.notes
        assert not app.shown.running
        assert not app.disabled("#start")

    drive(steps)


def test_sensors_are_drawn_while_they_speak() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        sensors = app.shown.query_one("#sensors")
        assert not sensors.display
        listener = app.shown.live.listener
        # As from the sampler's thread.
        await asyncio.to_thread(lambda: [listener.sampled(_sample(each)) for each in range(20)])
        await until(pilot, lambda: sensors.display)
        await pilot.pause()
        headings = [graph.heading for graph in app.shown.query(LiveGraph)]
        assert headings == [
            "power 119 W, at most 119", "busy 50 %, at most 50", "clock: not measured", "temperature 40 C, at most 59"
        ]  # fmt: skip
        assert all(graph.region.height >= 3 for graph in app.shown.query(LiveGraph))
        # What cannot be measured is no graph of zeros.
        drawn = app.shown.query(LiveGraph).first()
        assert any(block in drawn.render_line(drawn.size.height - 1).text for block in "▁▂▃▄▅▆▇█")

    drive(steps)


def _sample(place: int) -> Sample:
    return Sample(
        at_s=place / 10, power_w=100.0 + place, energy_j=None, clock_mhz=None, temperature_c=59.0 - place,
        utilisation=0.5, reasons=None, pcie_generation=None, pcie_lanes=None,
    )  # fmt: skip


def test_a_note_of_a_measurement_is_no_markup_and_steers_nothing() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        app.shown.live.listener.say("[/] [@click=app.quit]x[/] \x1b]0;OWNED\x07 done")
        app.shown.live.listener.begun(1, 2, "[/]test")
        await until(pilot, lambda: "done" in app.notes)
        assert "[/] [@click=app.quit]x[/]" in app.notes
        assert "\x1b" not in app.notes
        assert "[/]test" in app.text("#now")

    drive(steps)


# ---- drawing ---------------------------------------------------------------------------------------------------------


def test_a_graph_has_the_highest_of_each_share_of_its_time_with_the_newest_at_the_right() -> None:
    values = [(0.0, 5.0), (50.0, 1.0), (59.0, 2.0), (59.5, 9.0), (60.0, 3.0)]
    assert columns(values, 6, 60.0) == [None, None, None, None, 1.0, 9.0]
    assert columns([], 3) == [None, None, None]


def test_blocks_fill_from_below_and_what_is_known_is_seen() -> None:
    assert blocks([None, 0.0, 50.0, 75.0, 100.0, 200.0], 2, 0.0, 100.0) == ["   ▄██", " ▁████"]


def factor(what: str, value: float) -> CalibrationFactorDocument:
    return CalibrationFactorDocument(what=what, factor=value)


def test_bars_of_half_and_twice_are_as_long_and_those_too_long_are_marked() -> None:
    lines = str(
        factor_bars([factor("a", 0.5), factor("b", 2.0), factor("c", 50.0), factor("d", 1.0)])
    ).splitlines()
    half, twice, much, same = lines[1:]
    assert half.count("█") == twice.count("█") == HALF // 2
    assert half.index("█") < half.index("│") < twice.index("█")
    assert ">" in much
    assert "█" not in same
    assert [line.split()[-1] for line in lines[1:]] == ["0.50", "2.00", "50.00", "1.00"]


def test_words_of_the_screen_are_static_content() -> None:
    """Every text widget of the screen refuses markup, so that a forgotten one cannot be steered."""

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        widgets = app.shown.query("CalibrateScreen TabbedContent Static").results(Static)
        own = [each for each in widgets if type(each) is Static]
        assert len(own) > 4
        assert not any(each._render_markup for each in own)

    drive(steps)
