"""The prices screen, driven by its keys over the real service and a real server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from price_server import PriceServer, Say, as_json, azure_item
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from advisor.price_documents import PricesAnswer
from advisor.service import Advisor, open_advisor
from advisor.tui.desk import Desk, Question
from advisor.tui.dialogs.confirm import Confirm
from advisor.tui.dialogs.import_quotes import ImportQuotes
from advisor.tui.dialogs.pick_quotes import PickQuotes
from advisor.tui.screens.desk_screen import DataChanged
from advisor.tui.screens.prices import PricesScreen
from advisor.tui.widgets.refresh_run import RefreshRun

Drive = Callable[["Face", Pilot[None]], Awaitable[None]]
USA = Path(__file__).parent / "data" / "procurement" / "reseller-usa.csv"
GERMANY = Path(__file__).parent / "data" / "procurement" / "reseller-germany.csv"
SOURCES = ("gpuhunt", "azure", "vastai", "runpod", "skypilot")


class Face(App[None]):
    """Shows the screen alone, and opens the service again where data changed."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(open_advisor, Question("gpt2"))
        self.shown = PricesScreen(self.desk)
        self.changes = 0

    def on_mount(self) -> None:
        """Open it."""
        self.add_mode("prices", lambda: self.shown)
        self.switch_mode("prices")

    async def on_data_changed(self, _: DataChanged) -> None:
        """As the app does."""
        self.desk.replace_service(await self.desk.ask(Advisor.reopened))
        self.changes += 1
        self.shown.look()

    @property
    def detail(self) -> str:
        """What stands at the side."""
        return self.shown.detail.text

    @property
    def progress(self) -> str:
        """What is said of a refresh."""
        return str(self.shown.query_one(RefreshRun).content)

    def cell(self, gpu: str, column: str) -> str:
        """Text of a cell of the list."""
        places = ("name", "buy", "kind", "rent", "spot", "providers", "date", "used", "launch")
        row = next(row for row in self.shown.table.rows if row.key == gpu)
        content = row.cells[places.index(column)]
        return content if isinstance(content, str) else "".join(part.text for part in content)


def drive(steps: Drive, size: tuple[int, int] = (140, 45)) -> None:
    async def run() -> None:
        app = Face()
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await until(pilot, lambda: bool(app.shown.table.rows) and bool(app.detail))
            await steps(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    for _ in range(600):
        if done():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never happened")


async def fill(app: Face, pilot: Pilot[None], **texts: str) -> None:
    await pilot.press("i")
    await until(pilot, lambda: isinstance(app.screen, ImportQuotes))
    for name, text in texts.items():
        app.screen.query_one(f"#{name}", Input).value = text
    await pilot.pause()
    app.screen.query_one("#import", Button).press()


def said(app: Face) -> str:
    return str(app.screen.query_one(".-message", Static).content)


def test_the_list_says_kind_date_and_age_of_each_price() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        assert app.cell("rtx-4090", "buy").startswith("$")
        assert app.cell("h100-pcie-80gb", "buy").endswith("?!"), "from memory, and old"
        assert app.cell("h100-pcie-80gb", "kind") == "new, street"
        assert int(app.cell("h100-sxm5-80gb", "providers")) > 3
        told = str(app.shown.query_one("#told", Static).content)
        assert "older than 365 days" in told
        exported = app.shown.exported()
        assert exported is not None
        assert isinstance(exported[0], PricesAnswer)

    drive(steps)


def test_searching_sorting_and_all_prices_of_one_gpu() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"rtx 5090", "enter")
        await until(pilot, lambda: app.shown.table.current is not None and "(rtx-5090)" in app.detail)
        assert "Who" in app.detail
        assert "runpod" in app.detail
        await pilot.press("escape", "escape", "s", "s")
        usd = [row.order["buy"] for row in app.shown.table.rows if row.order["buy"] is not None]
        assert usd == sorted(usd)
        await pilot.press("o")
        await until(pilot, lambda: "Where prices come from" in app.detail)
        assert "shipped" in app.detail

    drive(steps)


@pytest.mark.parametrize("size", [(80, 24), (140, 45)])
def test_a_narrow_window_shows_one_thing_at_a_time(size: tuple[int, int]) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        side, listed = app.shown.query_one("#side"), app.shown.query_one("#list")
        assert side.display == (size[0] > 100)
        await pilot.press("enter")
        await pilot.pause()
        assert side.display
        assert listed.display == (size[0] > 100)
        await pilot.press("escape")
        await pilot.pause()
        assert listed.display

    drive(steps, size)


def test_imported_quotes_are_shown_as_understood_and_count_until_they_are_forgotten() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        before = app.cell("rtx-5090", "buy")
        await fill(app, pilot, path=str(USA))
        await until(pilot, lambda: app.changes == 1 and app.cell("rtx-5090", "kind") == "quote")
        assert "Acme Computing" in app.detail
        assert "How it was read" in app.detail
        assert app.cell("rtx-5090", "buy") == "$2,499"
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, PickQuotes))
        app.screen.query_one("#forget", Button).press()
        await until(pilot, lambda: app.changes == 2 and app.cell("rtx-5090", "buy") == before)

    drive(steps)


def test_the_side_keeps_what_was_imported_and_forgets_what_was_removed() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"rtx 5090", "enter")
        await until(pilot, lambda: "(rtx-5090)" in app.detail)
        await fill(app, pilot, path=str(USA))
        await until(pilot, lambda: app.changes == 1 and app.cell("rtx-5090", "kind") == "quote")
        for _ in range(20):
            await pilot.pause(0.02)
        assert "How it was read" in app.detail, "new prices are no move of the cursor"
        await pilot.press("escape", "enter")
        await until(pilot, lambda: "(rtx-5090)" in app.detail)
        assert "Acme Computing" in app.detail
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, PickQuotes))
        app.screen.query_one("#forget", Button).press()
        await until(pilot, lambda: "(rtx-5090)" in app.detail and "Acme Computing" not in app.detail)

    drive(steps)


def test_what_is_wrong_with_quotes_stands_in_the_dialog_until_it_is_right() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await fill(app, pilot, path=str(GERMANY))
        await until(pilot, lambda: "EUR" in said(app))
        app.screen.query_one("#rates", Input).value = "EUR 1.08"
        await pilot.pause()
        app.screen.query_one("#import", Button).press()
        await until(pilot, lambda: "EUR=1.08" in said(app))
        app.screen.query_one("#rates", Input).value = "EUR=1.08"
        await pilot.pause()
        app.screen.query_one("#import", Button).press()
        await until(pilot, lambda: app.changes == 1)

    drive(steps)


def test_other_quotes_of_a_name_are_replaced_on_a_second_press_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        mine.write_text("GPU,Vendor,Price USD\nRTX 4090,[red]x[/],1000\n")
        await fill(app, pilot, path=str(mine))
        await until(pilot, lambda: app.changes == 1)
        assert "[red]x[/]" in app.detail, "letters, not markup"
        mine.write_text("GPU,Vendor,Price USD\nRTX 4090,[red]x[/],900\n")
        await fill(app, pilot, path=str(mine))
        await until(pilot, lambda: "once more" in said(app))
        app.screen.query_one("#import", Button).press()
        await until(pilot, lambda: app.changes == 2)
        await until(pilot, lambda: app.cell("rtx-4090", "buy") == "$900")

    drive(steps)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PriceServer() as running:
        monkeypatch.setattr(PricesScreen, "MIRRORS", [f"{name}={running.url}/{name}" for name in SOURCES])
        yield running


async def refresh(app: Face, pilot: Pilot[None]) -> None:
    await pilot.press("R")
    await until(pilot, lambda: isinstance(app.screen, Confirm))
    await pilot.press("y")


def test_a_refresh_asks_first_shows_each_source_and_counts_at_once(server: PriceServer) -> None:
    item = azure_item("Standard_NC24ads_A100_v4", 0.31, "eastus")
    server.serve("/azure", as_json({"Items": [item], "NextPageLink": None}))

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert server.asked == []
        await pilot.press("n")
        await pilot.pause()
        assert server.asked == []
        await refresh(app, pilot)
        await until(pilot, lambda: app.changes == 1)
        assert "azure     updated, 1 prices at hand" in app.progress
        assert "gpuhunt   failed" in app.progress
        assert "1 of 5 sources answered; what failed keeps its last good copy" in app.progress
        await pilot.press("escape", "slash", *"a100 pcie 80", "enter")
        await until(pilot, lambda: "$0.31" in app.detail)

    drive(steps)


def test_a_refresh_can_be_stopped(server: PriceServer) -> None:
    for name in SOURCES:
        server.serve(f"/{name}", Say(b"{}", delay_s=30))
    server.serve("/gpuhunt/aws/version", Say(b"1", delay_s=30))

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await refresh(app, pilot)
        await until(pilot, lambda: bool(server.asked))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: not app.shown.asking)
        assert "stopped" in app.progress

    drive(steps)


def test_leaving_in_the_middle_of_a_refresh_waits_for_nobody(server: PriceServer) -> None:
    server.serve("/gpuhunt/aws/version", Say(b"1", delay_s=30))

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await refresh(app, pilot)
        await until(pilot, lambda: bool(server.asked))

    drive(steps)
