"""The fleet screen, driven by its keys over the real service and the real solver."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from advisor.fleet_documents import FleetAnswer
from advisor.fleet_file import read_fleet
from advisor.service import Advisor, open_advisor
from advisor.tui.desk import Desk, Question
from advisor.tui.dialogs.ask_path import AskPath
from advisor.tui.dialogs.confirm import Confirm
from advisor.tui.dialogs.fleet_entry import FleetEntry
from advisor.tui.dialogs.fleet_settings import FleetSettings
from advisor.tui.fleet_draft import FleetDraft, read_draft
from advisor.tui.screens.fleet import FleetScreen
from advisor.workload_file import build_workload

Drive = Callable[["Face", Pilot[None]], Awaitable[None]]
JOB = {"model": {"name": "llama-3.1-8b"}, "method": "lora", "data": {"tokens": 50e6}}
FLEET = """\
name: two
workloads:
  - name: "tuning [red]x[/]"
    runs_per_month: 4
    deadline_h: 48
    workload: {model: {name: llama-3.1-8b}, method: lora, data: {tokens: 5e7}}
  - name: images
    runs_per_week: 1
    workload: {model: {name: resnet-50}, data: {samples: 1.28e6, epochs: 10}}
constraints: {budget_usd: 30000, vendors: [nvidia]}
"""


@pytest.fixture(scope="module")
def service() -> Advisor:
    return open_advisor()


class Face(App[None]):
    """Shows the screen alone, with a workload on the desk."""

    def __init__(self, service: Advisor) -> None:
        super().__init__()
        self.desk = Desk(lambda: service, Question("llama-3.1-8b"))
        self.desk.workload = build_workload(JOB, "test", "")
        self.shown = FleetScreen(self.desk)

    def on_mount(self) -> None:
        """Open it."""
        self.add_mode("fleet", lambda: self.shown)
        self.switch_mode("fleet")

    @property
    def answer(self) -> str:
        """What stands beside the list."""
        return self.shown.reader.text

    @property
    def told(self) -> str:
        """What is said below the list."""
        return str(self.shown.query_one("#told", Static).content)

    def listed(self) -> list[str]:
        """The rows, each in one text."""
        parts = (
            [cell if isinstance(cell, str) else "".join(part.text for part in cell) for cell in row.cells]
            for row in self.shown.table.rows
        )
        return [" | ".join(cells) for cells in parts]


def drive(service: Advisor, steps: Drive, size: tuple[int, int] = (140, 45)) -> None:
    async def run() -> None:
        app = Face(service)
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await until(pilot, lambda: bool(app.answer))
            await steps(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    for _ in range(1500):
        if done():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never happened")


async def dialog(app: Face, pilot: Pilot[None], key: str, kind: type, **typed: str) -> None:
    """Open a dialog, fill it in, and press its button."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, kind))
    await press(app, pilot, **typed)


async def press(app: Face, pilot: Pilot[None], **typed: str) -> None:
    for name, text in typed.items():
        field = app.screen.query_one(Input if name == "path" else f"#{name}", Input)
        field.value = text
    await pilot.pause()
    next(button for button in app.screen.query(Button) if button.id != "cancel").press()
    await pilot.pause()


def said(app: Face) -> str:
    return str(app.screen.query_one(".-message", Static).content)


async def opened(app: Face, pilot: Pilot[None], path: Path) -> None:
    await dialog(app, pilot, "o", AskPath, path=str(path))
    await until(pilot, lambda: app.shown.draft.path == path and "The cheapest" in app.answer)


def test_an_empty_fleet_says_how_to_begin(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        assert "a  adds the workload of the first screen" in app.answer
        assert app.shown.exported() is None

    drive(service, steps)


def test_the_workload_on_the_desk_is_added_with_how_often_it_runs(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await dialog(app, pilot, "a", FleetEntry, amount="often")
        await until(pilot, lambda: "runs_per_week" in said(app))
        await press(app, pilot, amount="2", name="tuning", deadline_h="24")
        await until(pilot, lambda: "The cheapest that meets all deadlines" in app.answer)
        assert app.listed() == ["tuning | 2 runs a week | 24 h | -"]
        assert "not written" in app.told
        exported = app.shown.exported()
        assert exported is not None
        assert isinstance(exported[0], FleetAnswer)

    drive(service, steps)


def test_a_file_is_opened_changed_and_written(service: Advisor, tmp_path: Path) -> None:
    path, other = tmp_path / "two.yaml", tmp_path / "three.yaml"
    path.write_text(FLEET)

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await dialog(app, pilot, "o", AskPath, path=str(tmp_path / "none.yaml"))
        await until(pilot, lambda: "none.yaml" in said(app))
        await press(app, pilot, path=str(path))
        await until(pilot, lambda: "The cheapest" in app.answer)
        assert app.listed()[0].startswith("tuning [red]x[/] | 4 runs a month | 48 h")
        assert "tuning [red]x[/]" in app.answer
        await pilot.press("j")
        await dialog(app, pilot, "enter", FleetEntry, amount="3")
        await until(pilot, lambda: app.listed()[1].startswith("images | 3 runs a week"))
        assert "changed" in app.told or "asking" in app.told
        await dialog(app, pilot, "w", AskPath, path=str(path))
        await until(pilot, lambda: "once more" in said(app))
        assert path.read_text() == FLEET
        await press(app, pilot, path=str(other))
        await until(pilot, lambda: app.shown.draft.saved)
        assert [job.name for job in read_fleet(str(other)).jobs] == ["tuning [red]x[/]", "images"]
        assert path.read_text() == FLEET

    drive(service, steps)


def test_limits_that_nothing_meets_say_what_to_relax(service: Advisor, tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(FLEET)
    budget = "constraints-budget_usd"

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await opened(app, pilot, path)
        await dialog(app, pilot, "b", FleetSettings, **{budget: "a lot"})
        await until(pilot, lambda: "budget_usd" in said(app))
        await press(app, pilot, **{budget: "1"})
        await until(pilot, lambda: "What to relax" in app.answer)
        assert "constraints.budget_usd" in app.answer
        await dialog(app, pilot, "b", FleetSettings, **{budget: ""})
        await until(pilot, lambda: "The cheapest" in app.answer)
        assert "budget_usd" not in app.shown.draft.text

    drive(service, steps)


def test_taking_a_workload_out_asks(service: Advisor, tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(FLEET)

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await opened(app, pilot, path)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("n")
        await pilot.pause()
        assert len(app.listed()) == 2
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: len(app.listed()) == 1)
        assert app.listed()[0].startswith("images")

    drive(service, steps)


def test_a_narrow_window_shows_one_thing_at_a_time(service: Advisor, tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(FLEET)

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await opened(app, pilot, path)
        listed = app.shown.query_one("#list")
        assert (listed.display, app.shown.reader.display) == (True, False)
        await pilot.press("v")
        await pilot.pause()
        assert (listed.display, app.shown.reader.display) == (False, True)
        await pilot.press("escape")
        await pilot.pause()
        assert (listed.display, app.shown.reader.display) == (True, False)

    drive(service, steps, (80, 24))


def test_a_draft_is_written_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    document = {
        "workloads": [{"runs": 2, "workload": JOB}],
        "constraints": {"budget_usd": 1e4, "quoted": True},
    }
    path.write_text(json.dumps(document))
    draft = read_draft(path)
    assert draft.document == document
    assert draft.with_settings(draft.settings()).document == document
    assert draft.fleet().constraints.quoted
    assert FleetDraft().with_settings({"constraints.vendors": "[nvidia, amd]"}).document == {
        "constraints": {"vendors": ["nvidia", "amd"]}
    }
