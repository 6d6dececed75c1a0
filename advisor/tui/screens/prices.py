"""What GPUs cost to buy and to rent: dates and sources, live prices, quotes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from advisor import price_care
from advisor.errors import AdvisorError
from advisor.fetch.about import load_sources
from advisor.fetch.documents import RefreshAnswer
from advisor.price_documents import GpuPricesDocument, PriceDocument, PricesAnswer
from advisor.quantity import Model
from advisor.quote_files import QuoteFiles
from advisor.quotes.documents import ImportAnswer
from advisor.render import words
from advisor.render.prices import NOT_KNOWN, OLD, amount, kind, render
from advisor.render.table import Page
from advisor.tui.desk import Choice, Desk
from advisor.tui.dialogs.confirm import Confirm
from advisor.tui.dialogs.import_quotes import ImportQuotes
from advisor.tui.dialogs.pick_quotes import PickQuotes
from advisor.tui.plain import plain
from advisor.tui.screens.desk_screen import DataChanged, DeskScreen
from advisor.tui.threads import in_thread
from advisor.tui.widgets.reader import Reader
from advisor.tui.widgets.refresh_run import RefreshRun
from advisor.tui.widgets.table import Column, Part, Row, Table, cell

COLUMNS = (
    Column("name", "Name", widest=24),
    Column("buy", "Buy", right=True),
    Column("kind", "Which"),
    Column("rent", "Rent/h", right=True),
    Column("spot", "Spot/h", right=True),
    Column("providers", "Of", right=True, descending=True),
    Column("date", "Date", descending=True),
    Column("used", "Used", right=True),
    Column("launch", "Launch", right=True),
)

LEAST_WIDTH = 60
"""Columns that a table of prices needs at least."""


class PricesScreen(DeskScreen):
    """All prices, beside everything about those of the GPU under the cursor."""

    MODE = "prices"

    MIRRORS: ClassVar[Sequence[str]] = ()
    """NAME=ADDRESS of sources that are asked elsewhere than where they usually are."""

    HELP: ClassVar[str] = """
# Prices

What answers count with: to buy a card, your quote, else the newest street or used price, else the launch price; to
rent a GPU for an hour, your quote, else the median of the newest year's offers. `Of` is how many providers offer it.

| key | |
| --- | --- |
| `/`, ctrl+f | search by name |
| `s`, `S`, `r` | sort by the next or the previous column, turn the order around |
| enter | read all prices of one GPU (in a narrow window they take the place of the list) |
| `o` | where prices come from, and how old they are |
| `R`, ctrl+r | ask public price lists over the network (asks first) |
| `i` | import the quotes of a vendor's CSV or JSON |
| `x`, delete | forget imported quotes (asks first) |
| escape | stop asking; else back to the list |

`!` behind a price: older than a year. `?`: from memory, which nobody has checked. `x8`: rented by the machine of eight.
"""

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("slash", "search", "Search", key_display="/"),
        Binding("ctrl+f", "search", "Search", show=False),
        Binding("R", "refresh", "Refresh", tooltip="Ask public price lists over the network"),
        Binding(
            "ctrl+r", "refresh", "Refresh", show=False, tooltip="Ask public price lists over the network"
        ),
        Binding("i", "import_quotes", "Import", tooltip="Import the quotes of a vendor's CSV or JSON"),
        Binding("x,delete", "remove", "Forget", key_display="x", tooltip="Forget imported quotes"),
        Binding("o", "sources", "Sources", tooltip="Where prices come from"),
        Binding("escape", "back", "Back"),
    ]

    CSS: ClassVar[str] = """
    PricesScreen #search { border: none; height: 1; padding: 0 1; background: $panel; }
    PricesScreen #search:focus { background: $primary 25%; }
    PricesScreen #told { height: auto; padding: 0 1; color: $foreground 65%; }
    PricesScreen #told.-problem { color: $text-error; }
    PricesScreen #list { width: 8fr; }
    PricesScreen #side { width: 7fr; border-left: solid $panel; }
    PricesScreen #detail { padding: 0 1; height: 1fr; }
    PricesScreen #side:focus-within { border-left: solid $accent; }
    PricesScreen.-narrow #side { display: none; border-left: none; }
    PricesScreen.-narrow.-reading #side { display: block; }
    PricesScreen.-narrow.-reading #list { display: none; }
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._answer: PricesAnswer | None = None
        self._shown: Model | None = None
        """What stands at the side."""
        self._followed: str | None = None
        """The GPU on which the cursor stood last; coming back to it with new prices is no move."""
        self._stop: threading.Event | None = None
        """Ends the asking of sources; None while nobody is asked."""

    def body(self) -> ComposeResult:
        """Lay out the list, and what is known of the prices of the GPU under its cursor."""
        with Horizontal():
            with Vertical(id="list"):
                yield Input(placeholder="/ to search by name, vendor of a quote, source ...", id="search")
                yield Table(COLUMNS, table_id="prices")
                yield Static(markup=False, id="told")
            with Vertical(id="side"):
                yield RefreshRun()
                yield Reader(id="detail")

    @property
    def table(self) -> Table:
        """The list."""
        return self.query_one("#prices", Table)

    @property
    def detail(self) -> Reader:
        """What stands at the side."""
        return self.query_one("#detail", Reader)

    @property
    def asking(self) -> bool:
        """Whether sources are being asked."""
        return self._stop is not None

    def on_mount(self) -> None:
        """Begin in the list, where single keys work."""
        self.table.focus()

    def on_unmount(self) -> None:
        """End what runs: the program is being left."""
        if self._stop is not None:
            self._stop.set()

    def on_resize(self) -> None:
        """Let the text at the side use the room that there is."""
        self.call_after_refresh(self._show, None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        return not self.asking if action == "refresh" else True

    # What is shown

    def look(self) -> None:
        """Read the prices again: a refresh or an import may have changed them."""
        self._read()

    @work(exclusive=True, group="prices")
    async def _read(self) -> None:
        try:
            self._answer = await self.desk.ask(lambda service: service.price_list())
        except AdvisorError as error:
            self._tell(str(error), problem=True)
            return
        self.table.set_rows(_row(gpu) for gpu in self._answer.gpus)
        self._count()
        self._show_again()

    def _show_again(self) -> None:
        """Renew what stands at the side, unless it reports of something that was done once."""
        answer, current = self._answer, self.table.current
        if isinstance(self._shown, PricesAnswer) and not self._shown.gpus and answer is not None:
            self._show(answer.model_copy(update={"gpus": ()}))
        elif current is not None and (self._shown is None or isinstance(self._shown, PricesAnswer)):
            self._follow(current.key)

    def _follow(self, gpu: str) -> None:
        self._followed = gpu
        self._all_of(gpu)

    def _count(self) -> None:
        answer, shown = self._answer, len(self.table.rows)
        if answer is None:
            return
        shipped = [source.newest for source in answer.sources if source.kind == "shipped"]
        number = f"{shown} of {len(answer.gpus)} GPUs" if shown < len(answer.gpus) else f"{shown} GPUs"
        ages = f"newest shipped price {max(shipped, default=NOT_KNOWN)}; {OLD} older than {answer.old_after_days} days"
        self._tell(f"{number}; {ages} on {answer.as_of}; {words.GUESS} from memory")

    def _tell(self, text: str, *, problem: bool = False) -> None:
        told = self.query_one("#told", Static)
        told.set_class(problem, "-problem")
        told.update(plain(f"Error: {text}" if problem else text))

    @work(exclusive=True, group="detail")
    async def _all_of(self, gpu: str) -> None:
        try:
            answer = await self.desk.ask(lambda service: service.price_list(gpu))
        except AdvisorError as error:
            self._tell(str(error), problem=True)
            return
        self._show(answer)

    def _show(self, answer: Model | None) -> None:
        """Show a document at the side; the one that stands there again where None."""
        self._shown, anew = answer or self._shown, answer is not None
        if self._shown is None:
            return
        room = (self.detail.scrollable_content_region.width or self.size.width - 4) - 1
        self.detail.read(plain(render(self._shown, Page(max(room, LEAST_WIDTH)))), anew=anew)

    @on(Table.Highlighted)
    def follow_cursor(self, event: Table.Highlighted) -> None:
        """Show the prices of the GPU under the cursor, when it has moved."""
        if event.key != self._followed:
            self._follow(event.key)

    def exported(self) -> tuple[Model, str] | None:
        """Return the prices of the GPUs that are listed, in the order of the list."""
        if self._answer is None:
            return None
        gpus = {gpu.gpu: gpu for gpu in self._answer.gpus}
        listed = tuple(gpus[row.key] for row in self.table.rows)
        return self._answer.model_copy(update={"gpus": listed}), "prices"

    @property
    def choice(self) -> Choice | None:
        """One of the GPU under the cursor."""
        current = self.table.current
        return None if current is None else Choice(current.key, 1)

    # Searching and reading

    @on(Input.Changed, "#search")
    def filter_list(self, event: Input.Changed) -> None:
        """Show what matches so far."""
        self.table.set_filter(event.value)
        self._count()

    @on(Input.Submitted, "#search")
    def leave_search(self) -> None:
        """Go on with what was found."""
        self.table.focus()

    @on(Table.Opened)
    def open_gpu(self, event: Table.Opened) -> None:
        """Go to all prices of a GPU, whatever stands at the side."""
        self._follow(event.key)
        self._read_detail()

    def _read_detail(self) -> None:
        self.add_class("-reading")
        self.detail.focus()

    def action_sources(self) -> None:
        """Show where prices come from."""
        if self._answer is not None:
            self._show(self._answer.model_copy(update={"gpus": ()}))
            self._read_detail()

    def action_search(self) -> None:
        """Go to the search field."""
        self.remove_class("-reading")
        self.query_one("#search", Input).focus()

    def action_back(self) -> None:
        """Stop asking; else go one step back: to the list, and there to all rows."""
        if self.asking:
            self._end_asking()
            return
        if self.focused is self.table:
            self.query_one("#search", Input).clear()
        self.remove_class("-reading")
        self.table.focus()

    # Live prices

    @work(exclusive=True, group="refresh")
    async def action_refresh(self) -> None:
        """Ask public price lists over the network, if that is meant."""
        if self.asking:
            return
        mirrors = dict(text.split("=", 1) for text in self.MIRRORS)
        asked = {name: mirrors.get(name, about.url) for name, about in load_sources().sources.items()}
        hosts = "\n".join(f"  {name}: {url}" for name, url in asked.items())
        question = f"This asks public price lists over the network, without an account:\n{hosts}"
        if not await self.app.push_screen_wait(Confirm(question, "Ask them")):
            return
        stop = self._stop = threading.Event()
        answer = await self._refreshed(tuple(asked), stop)
        self._stop = None
        self.refresh_bindings()
        if answer is None:
            return
        self._show(answer)
        done = f"{answer.ok} of {len(asked)} sources answered"
        kept = "; what failed keeps its last good copy" if answer.failed else ""
        self.run.ended(f"stopped: {done}" if stop.is_set() else f"{done}{kept}")
        self.post_message(DataChanged())

    @property
    def run(self) -> RefreshRun:
        """Where the asking of sources is seen."""
        return self.query_one(RefreshRun)

    async def _refreshed(self, names: Sequence[str], stop: threading.Event) -> RefreshAnswer | None:
        """Ask the sources where it can be seen and stopped; None where there is nothing to show of it."""
        self.run.begin(names)
        self.add_class("-reading")
        self.refresh_bindings()
        try:
            # A service of its own: no two threads share one.
            advisor = await self.desk.ask(lambda service: service.reopened())
            return await in_thread(
                lambda: price_care.refresh_prices(
                    advisor, self.run.listener, mirrors=self.MIRRORS, cancelled=stop.is_set
                ),
                "refresh",
            )
        except AdvisorError as error:
            self.run.ended(f"Error: {error}")
            return None

    @work(exclusive=True, group="stop")
    async def _end_asking(self) -> None:
        stop = self._stop
        if stop is None:
            return
        if await self.app.push_screen_wait(Confirm("Stop asking? What has answered is kept.", "Stop")):
            stop.set()

    # Quotes

    @work(exclusive=True, group="quotes")
    async def action_import_quotes(self) -> None:
        """Keep the quotes of a file."""

        async def keep(path: Path, how: QuoteFiles, replace: bool) -> ImportAnswer:
            return await self.desk.ask(
                lambda service: price_care.import_quotes(service, path, how, force=replace)
            )

        answer = await self.app.push_screen_wait(ImportQuotes(keep))
        if answer is None:
            return
        self._show(answer)
        self._read_detail()
        self.notify(f"{len(answer.quotes)} quotes are kept as {answer.name}", markup=False)
        self.post_message(DataChanged())

    @work(exclusive=True, group="quotes")
    async def action_remove(self) -> None:
        """Forget imported quotes, if that is meant."""
        names = price_care.quote_names()
        if not names:
            self.notify("no quotes are kept; i imports some", severity="warning", markup=False)
            return
        name = await self.app.push_screen_wait(PickQuotes(names))
        if name is None:
            return
        try:
            path = price_care.remove_quotes(name)
        except AdvisorError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.notify(f"removed {path}", markup=False)
        self._shown = None
        self.post_message(DataChanged())


def _row(gpu: GpuPricesDocument) -> Row:
    counted = [price for price in (gpu.buy, gpu.rent) if price is not None]
    newest = max((price.date for price in counted), default=NOT_KNOWN)
    return Row(
        key=gpu.gpu,
        cells=(
            cell(words.short_name(gpu.name)),
            _amount(gpu.buy),
            cell(kind(gpu.buy)),
            _amount(gpu.rent),
            _amount(gpu.spot),
            cell(str(gpu.providers or "")),
            cell(newest),
            _amount(gpu.used),
            _amount(gpu.launch),
        ),
        order={
            "name": gpu.name.lower(),
            "buy": _usd(gpu.buy),
            "kind": kind(gpu.buy),
            "rent": _usd(gpu.rent),
            "spot": _usd(gpu.spot),
            "providers": gpu.providers,
            "date": newest if counted else None,
            "used": _usd(gpu.used),
            "launch": _usd(gpu.launch),
        },
        words=" ".join((gpu.gpu, gpu.name, *(f"{price.provider or ''} {price.source}" for price in counted))),
    )


def _amount(price: PriceDocument | None) -> tuple[Part, ...]:
    return cell(Part(amount(price), "muted" if price is None or price.old else ""))


def _usd(price: PriceDocument | None) -> float | None:
    return None if price is None else price.price_usd
