"""The catalog: every GPU and processor that is known, to search, to sort and to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from advisor.documents import GpuAnswer, GpuDocument
from advisor.errors import AdvisorError
from advisor.quantity import Model
from advisor.render import words
from advisor.tui.desk import MOST_COMPARED, Choice, Desk
from advisor.tui.plain import plain
from advisor.tui.screens.desk_screen import DeskChanged, DeskScreen
from advisor.tui.widgets.facts import Specification
from advisor.tui.widgets.table import Column, Part, Row, Table, cell

COLUMNS = (
    Column("name", "Name", widest=26),
    Column("memory", "GiB", right=True, descending=True),
    Column("bandwidth", "GB/s", right=True, descending=True),
    Column("tensor", "Tensor", right=True, descending=True),
    Column("tdp", "TDP", right=True, descending=True),
    Column("price", "Price", right=True),
    Column("rent", "Rent/h", right=True),
    Column("vendor", "Vendor"),
    Column("segment", "Segment"),
)
"""What tells devices apart first, so that a narrow window has it without scrolling sideways."""

EXPLAINED = "GB/s of memory, dense TFLOP/s of the tensor cores, W, dollars (?: from memory)"

_16_BIT = ("bf16", "fp16")


class CatalogScreen(DeskScreen):
    """All devices beside the whole specification of the one under the cursor."""

    MODE = "catalog"

    HELP: ClassVar[str] = """
# Catalog

Every GPU and processor that the tool knows, with what is known of it.

| key | |
| --- | --- |
| `/`, ctrl+f | search: every word must be in the name, id, vendor, architecture or segment |
| escape | from the search back to the list; in the list, all rows again |
| up, down, `j`, `k`, `g`, `G` | move |
| `s`, `S`, `r` | sort by the next or the previous column, turn the order around; or click on a title |
| enter | read the specification (in a narrow window it takes the place of the list) |
| space, f9 | pick for the comparison, or put back; picked ones are marked `+` |

Numbers in brackets behind a fact name its source below. `*` behind a name: an entry of your own catalog folder
replaces the shipped one. "Tensor" is the dense rate of the 16-bit format that training would use.
"""

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("slash", "search", "Search", key_display="/"),
        Binding("ctrl+f", "search", "Search", show=False),
        Binding("space", "pick", "Pick to compare"),
        Binding("f9", "pick", "Pick to compare", show=False),
        Binding("escape", "back", "Back"),
    ]

    CSS: ClassVar[str] = """
    CatalogScreen #search { border: none; height: 1; padding: 0 1; background: $panel; }
    CatalogScreen #search:focus { background: $primary 25%; }
    CatalogScreen #told { height: auto; padding: 0 1; color: $foreground 65%; }
    CatalogScreen #told.-problem { color: $text-error; }
    CatalogScreen #list { width: 8fr; }
    CatalogScreen #devices { scrollbar-size: 1 1; }
    CatalogScreen Specification { width: 5fr; border-left: solid $panel; }
    CatalogScreen Specification:focus { border-left: solid $accent; }
    CatalogScreen.-narrow Specification { display: none; border-left: none; width: 1fr; }
    CatalogScreen.-narrow.-reading Specification { display: block; }
    CatalogScreen.-narrow.-reading #list { display: none; }
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._devices: dict[str, GpuDocument] = {}

    def body(self) -> ComposeResult:
        """Lay out the list and what is known of the device under its cursor."""
        with Horizontal():
            with Vertical(id="list"):
                yield Input(placeholder="/ to search by name, vendor, segment ...", id="search")
                yield Table(COLUMNS, table_id="devices")
                yield Static(markup=False, id="told")
            yield Specification()

    @property
    def table(self) -> Table:
        """The list."""
        return self.query_one("#devices", Table)

    def on_mount(self) -> None:
        """Begin in the list, where single keys work."""
        self.table.focus()

    # What is shown

    def look(self) -> None:
        """Read the catalog again: a calibration may have added a device, and others may be picked."""
        self._read()

    @work(exclusive=True, group="catalog")
    async def _read(self) -> None:
        try:
            answer = await self.desk.ask(lambda service: service.gpus())
        except AdvisorError as error:
            self._tell(str(error), problem=True)
            return
        self._devices = {gpu.id: gpu for gpu in answer.gpus}
        self._fill()
        current = self.table.current
        if current is not None:
            self._specify(current.key)

    def _fill(self) -> None:
        picked = {choice.gpu for choice in self.desk.compared}
        self.table.set_rows(_row(gpu, picked=gpu.id in picked) for gpu in self._devices.values())
        self._count()

    def _count(self) -> None:
        shown, everything = len(self.table.rows), len(self._devices)
        number = f"{everything} devices" if shown == everything else f"{shown} of {everything} devices"
        self._tell(f"{number}; {EXPLAINED}" if shown else f"{number} match; escape twice shows all again")

    def _tell(self, text: str, *, problem: bool = False) -> None:
        told = self.query_one("#told", Static)
        told.set_class(problem, "-problem")
        told.update(plain(f"Error: {text}" if problem else text))

    @work(exclusive=True, group="specification")
    async def _specify(self, device: str) -> None:
        try:
            answer = await self.desk.ask(lambda service: service.gpu(device))
        except AdvisorError as error:
            self._tell(str(error), problem=True)
            return
        self.query_one(Specification).show(answer.gpus[0], self.desk.answer)

    @on(Table.Highlighted)
    def show_specification(self, event: Table.Highlighted) -> None:
        """Follow the cursor."""
        self._specify(event.key)

    def exported(self) -> tuple[Model, str] | None:
        """Return the devices that are listed, in the order of the list."""
        rows = self.table.rows
        return (GpuAnswer(gpus=tuple(self._devices[row.key] for row in rows)), "catalog") if rows else None

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
    def read_specification(self) -> None:
        """Go to the specification."""
        self.add_class("-reading")
        self.query_one(Specification).focus()

    def action_search(self) -> None:
        """Go to the search field."""
        self.remove_class("-reading")
        self.query_one("#search", Input).focus()

    def action_back(self) -> None:
        """Go one step back: to the list, and there to all rows."""
        if self.focused is self.table:
            self.query_one("#search", Input).clear()
        self.remove_class("-reading")
        self.table.focus()

    @property
    def choice(self) -> Choice | None:
        """One of the device under the cursor."""
        current = self.table.current
        return None if current is None else Choice(current.key, 1)

    def action_pick(self) -> None:
        """Pick the device under the cursor for the comparison, or put it back."""
        current = self.table.current
        if current is None:
            return
        if not self.desk.toggle_compared(Choice(current.key, 1)):
            self.notify(
                f"{MOST_COMPARED} are picked already: put one back first", severity="warning", markup=False
            )
            return
        self._fill()
        self.post_message(DeskChanged())


def _row(gpu: GpuDocument, *, picked: bool) -> Row:
    mark = Part("+ ", "accent") if picked else Part("  ")
    own = Part(" *", "warn") if gpu.overrides else Part("")
    return Row(
        key=gpu.id,
        cells=(
            cell(mark, Part(words.short_name(gpu.name), "" if gpu.kind == "gpu" else "muted"), own),
            cell(f"{gpu.memory_gib:g}"),
            cell(f"{gpu.bandwidth_gb_s:,.0f}"),
            cell(words.tensor_rate(gpu)),
            cell(f"{gpu.tdp_w:,.0f}"),
            cell(words.price(gpu)),
            cell(words.money(gpu.rent_usd_per_gpu_h)),
            cell(gpu.vendor),
            cell(_segment(gpu)),
        ),
        order={
            "name": gpu.name.lower(),
            "vendor": gpu.vendor,
            "segment": _segment(gpu),
            "memory": gpu.memory_gib,
            "bandwidth": gpu.bandwidth_gb_s,
            "tensor": _first(gpu.tensor_tflops.get(name) for name in _16_BIT),
            "tdp": gpu.tdp_w,
            "price": gpu.purchase_usd,
            "rent": gpu.rent_usd_per_gpu_h,
        },
        words=" ".join((gpu.id, gpu.name, gpu.architecture, gpu.vendor, gpu.segment, gpu.kind)),
    )


def _segment(gpu: GpuDocument) -> str:
    return gpu.segment if gpu.kind == "gpu" else f"{gpu.segment} {gpu.kind}"


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)
