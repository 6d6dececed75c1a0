"""Time against cost: what more money buys."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.widgets import Static

from advisor.quantity import Model
from advisor.render import words
from advisor.tui.desk import MOST_COMPARED, Choice
from advisor.tui.plain import plain
from advisor.tui.screens.desk_screen import DeskScreen
from advisor.tui.widgets.comparison import cut
from advisor.tui.widgets.detail import DetailWanted
from advisor.tui.widgets.figures import FRONT, OTHER, Tradeoff, steps, tradeoff, tradeoff_figure
from advisor.tui.widgets.plots import Plot
from advisor.tui.widgets.ranking import PICKED, choice_of, key_of
from advisor.tui.widgets.table import Column, Part, Row, Table, cell
from advisor.units import format_money

WIDEST_NAME = 24

BESIDE = 132
"""Columns from which the list stands beside the plot."""


class ParetoScreen(DeskScreen):
    """The answers by time and cost, and those that no other one beats in both, the cheapest first."""

    MODE = "pareto"
    HELP = f"""
Every answer of the ranking by its time and its cost, both on logarithmic axes. `{FRONT}` marks those that no other
answer beats in both; only they are worth choosing between, and the list has them from the cheapest to the fastest, each
with what it costs and gains over the one before it. All others are `{OTHER}`.

`up` and `down` move in the list and point at the answer in the plot, `enter` shows everything about it, `space` picks
it for the comparison.
"""

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("space", "pick", "Pick", tooltip="Pick for the comparison, or put back"),
    ]

    CSS: ClassVar[str] = """
    ParetoScreen #told { height: auto; padding: 0 1; }
    ParetoScreen #parts { layout: vertical; height: 1fr; }
    ParetoScreen #plot { width: 1fr; height: 1fr; margin: 0 1; }
    ParetoScreen #list { width: 1fr; height: 40%; max-height: 12; }
    ParetoScreen #front { height: 1fr; }
    ParetoScreen.-beside #parts { layout: horizontal; }
    ParetoScreen.-beside #list { width: 78; height: 1fr; max-height: 100%; border-left: vkey $panel; }
    """

    def body(self) -> ComposeResult:
        """Lay out the plot and the list of the front."""
        yield Static("", id="told", markup=False)
        with Container(id="parts"):
            yield Plot("plot")
            with Vertical(id="list"):
                yield Table((), fixed=3, table_id="front")

    def on_mount(self) -> None:
        """Begin in the list."""
        self._found: Tradeoff | None = None
        self.table.focus()

    @property
    def table(self) -> Table:
        """The list."""
        return self.query_one("#front", Table)

    def look(self) -> None:
        """Show the ranking that lies on the desk."""
        answer = self.desk.answer
        self._found = tradeoff(answer.recommendations) if answer is not None else None
        self._tell()
        self._list()
        self._draw()

    def exported(self) -> tuple[Model, str] | None:
        """Return the recommendation that is drawn."""
        return None if self.desk.answer is None else (self.desk.answer, "recommendation")

    def on_resize(self, event: events.Resize) -> None:
        """Put the list beside the plot where there is room for both."""
        self.set_class(event.size.width >= BESIDE, "-beside")

    @property
    def choice(self) -> Choice | None:
        """The answer that the list points at."""
        row = self.table.current
        return None if row is None else choice_of(row.key)

    def action_pick(self) -> None:
        """Pick the answer under the cursor for the comparison, or put it back."""
        row = self.table.current
        if row is None:
            return
        if not self.desk.toggle_compared(choice_of(row.key)):
            self.notify(f"{MOST_COMPARED} are picked already: put one back first", markup=False)
            return
        self._list()

    @on(Table.Highlighted, "#front")
    def point_at(self, event: Table.Highlighted) -> None:
        """Point at the answer under the cursor."""
        event.stop()
        self.desk.looking_at = choice_of(event.key)
        self._draw()

    @on(Table.Opened, "#front")
    def open_row(self, event: Table.Opened) -> None:
        """Open the answer under the cursor."""
        event.stop()
        self.post_message(DetailWanted(choice_of(event.key)))

    def _tell(self) -> None:
        self.query_one("#told", Static).update(plain(told(self._found, problem=self.desk.problem)))

    def _list(self) -> None:
        found = self._found
        self.table.set_columns(_columns(found))
        self.table.set_rows(() if found is None else _rows(found, self.desk.compared))

    def _draw(self) -> None:
        row = self.table.current
        chosen = None if row is None else choice_of(row.key)
        figure = None if self._found is None else tradeoff_figure(self._found, chosen)
        self.query_one("#plot", Plot).show(figure, "nothing to draw yet")


def told(found: Tradeoff | None, *, problem: object = None) -> str:
    """Return what the screen shows in words.

    Args:
        found: what is drawn; None before there is an answer.
        problem: what is wrong with the question, whose answer is then an earlier one.
    """
    wrong = f"! {problem}; what is shown answers an earlier question. " if problem is not None else ""
    if found is None:
        return wrong or "There is no answer yet: describe the workload under Decide (1)."
    if not found.points:
        return f"{wrong}No answer has both a time and a cost."
    said = (
        f"{len(found.points)} answers by {found.time} and {found.money}; {FRONT} {len(found.front)} of them are "
        "beaten by no other in both"
    )
    if not found.costed:
        said += ". The length of the job is not given, so these are not costs of the job"
    if found.missing:
        said += f"; {found.missing} without a {'cost' if found.costed else 'price'} are not drawn"
    return f"{wrong}{said}."


def _columns(found: Tradeoff | None) -> tuple[Column, ...]:
    costed = found is None or found.costed
    return (
        Column("mark", ""),
        Column("number", "", right=True),
        Column("gpu", "GPU", widest=WIDEST_NAME),
        Column("time", "Time", right=True),
        Column("cost", "Cost" if costed else "To buy", right=True),
        Column("step", "Over the one before"),
    )


def _rows(found: Tradeoff, compared: tuple[Choice, ...]) -> list[Row]:
    return [
        Row(
            key=key_of(point.choice),
            cells=(
                cell(Part(PICKED if point.choice in compared else " ", "accent")),
                cell(str(number)),
                cell(cut(words.title(point.row), WIDEST_NAME)),
                cell(words.duration(point.row).partition(" (")[0]),
                cell(_cost(point.usd, point.row.cost.total_by)),
                cell(step),
            ),
            words=f"{point.row.gpu} {point.row.name}",
        )
        for number, (point, step) in enumerate(zip(found.front, steps(found), strict=True), start=1)
    ]


def _cost(usd: float, way: str | None) -> str:
    return f"{format_money(usd)} {way or ''}".rstrip()
