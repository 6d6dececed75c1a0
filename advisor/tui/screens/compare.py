"""Two to four choices side by side."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from advisor.documents import CompareAnswer
from advisor.errors import AdvisorError
from advisor.quantity import Model
from advisor.render import words
from advisor.tui.desk import MOST_COMPARED, Choice
from advisor.tui.plain import plain
from advisor.tui.screens.desk_screen import DeskScreen
from advisor.tui.widgets.comparison import BEST, Comparison, explained
from advisor.tui.widgets.detail import DetailWanted
from advisor.tui.widgets.fitted import Fitted
from advisor.tui.widgets.table import Table

LEAST = 2
"""Choices that make a comparison."""


class CompareScreen(DeskScreen):
    """What was picked out, a column each, measured against the first."""

    MODE = "compare"
    HELP = """
The GPUs that you picked out with `space`, in the ranking, the catalog or the plot, side by side for your workload. The
first column is what the ratios are against. `*` marks the best of a row. The bars of memory have one scale, `┃` is the
card's limit; the bars of times have one scale and show the interval that holds the truth in 8 of 10 cases.

`left` and `right` choose a column, `f` makes it the first, `x` puts it back, `enter` shows everything about it; `up`
and `down` choose a row, which is written out below the table. `p` compares what the ranking recommends by name.
"""

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("f", "make_first", "Reference", tooltip="Measure the others against this column"),
        Binding("x,delete,space", "remove", "Put back", key_display="x", tooltip="Take this column out"),
        Binding("p", "picks", "Picks", tooltip="Compare the best to rent, the best to buy and the fastest"),
    ]

    CSS: ClassVar[str] = """
    CompareScreen #told { height: auto; padding: 0 1; }
    CompareScreen Comparison { height: 3fr; }
    CompareScreen VerticalScroll { height: 2fr; padding: 0 1; border-top: hkey $panel; scrollbar-size-vertical: 1; }
    CompareScreen VerticalScroll:focus { border-top: hkey $accent; }
    CompareScreen.-empty #compared { display: none; }
    """

    def body(self) -> ComposeResult:
        """Lay out the table, and what the cursor is at in full."""
        yield Static("", id="told", markup=False)
        with Vertical(id="compared"):
            yield Comparison()
            with VerticalScroll():
                yield Fitted()

    def on_mount(self) -> None:
        """Begin in the table."""
        self.answer: CompareAnswer | None = None
        self.table.focus()

    @property
    def table(self) -> Comparison:
        """The columns."""
        return self.query_one(Comparison)

    def look(self) -> None:
        """Compare what is picked out, under the workload that lies on the desk."""
        enough = len(self.desk.compared) >= LEAST and self.desk.workload is not None
        self.set_class(not enough, "-empty")
        if enough:
            self._ask(self.desk.compared)
        else:
            self.answer = None
            self._tell(self._how_to_pick())

    def exported(self) -> tuple[Model, str] | None:
        """Return the comparison."""
        return None if self.answer is None else (self.answer, "comparison")

    # Columns

    def action_make_first(self) -> None:
        """Measure the others against the chosen column."""
        chosen = self.choice
        if chosen is not None:
            self.desk.compared = (chosen, *(each for each in self.desk.compared if each != chosen))
            self.table.column = 0
            self._changed()

    def action_remove(self) -> None:
        """Put the chosen column back."""
        chosen = self.choice
        if chosen is not None:
            self.desk.toggle_compared(chosen)
            self._changed()

    def action_picks(self) -> None:
        """Compare what was picked out already with what the ranking recommends by name."""
        picks = () if self.desk.answer is None else self.desk.answer.picks
        wanted = [*self.desk.compared, *(Choice(pick.gpu, pick.count) for pick in picks)]
        self.desk.compared = tuple(dict.fromkeys(wanted))[:MOST_COMPARED]
        self._changed()

    @property
    def choice(self) -> Choice | None:
        """Return the chosen column; where there are none, what was picked out last."""
        compared = self.desk.compared
        if not compared:
            return None
        return compared[-1] if self.answer is None else compared[min(self.table.column, len(compared) - 1)]

    def _changed(self) -> None:
        self.desk.changed()
        self.look_again()

    @on(Table.Opened)
    def open_column(self, event: Table.Opened) -> None:
        """Show everything about the chosen column."""
        event.stop()
        chosen = self.choice
        if chosen is not None:
            self.post_message(DetailWanted(chosen))

    # What is shown

    @work(exclusive=True, group="compare")
    async def _ask(self, compared: tuple[Choice, ...]) -> None:
        """Ask for the comparison; what comes too late to be of use is dropped."""
        workload = self.desk.workload
        assert workload is not None
        if self.answer is None:
            self._tell("asking...")
        try:
            answer = await self.desk.ask(
                lambda service: service.compare(
                    workload, gpus=[each.gpu for each in compared], count=[each.count for each in compared]
                )
            )
        except AdvisorError as error:
            if self.is_attached and compared == self.desk.compared:
                self.answer = None
                self.add_class("-empty")
                self._tell(
                    f"! {error}\nx puts back what was picked out last: {compared[-1].count} x {compared[-1].gpu}."
                )
            return
        if self.is_attached and compared == self.desk.compared and workload is self.desk.workload:
            self.answer = answer
            title = words.workload_title(answer.workload)
            wrong = (
                ""
                if self.desk.problem is None
                else "! The question is wrong now; this is of an earlier one: "
            )
            reference = words.title(answer.estimates[0])
            self._tell(f"{wrong}{title}. Ratios are to {reference}; {BEST} is the best of a row.")
            self._show()

    def on_resize(self, event: events.Resize) -> None:
        """Give the columns the room there is now."""
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        if self.answer is not None:
            self.table.compare(self.answer)
            self._explain()

    @on(Table.Highlighted)
    @on(Comparison.ColumnChosen)
    def _explain(self) -> None:
        """Write out what the cursor is at."""
        row, answer = self.table.current, self.answer
        if row is not None and answer is not None:
            chosen = min(self.table.column, len(answer.estimates) - 1)
            self.query_one(Fitted).show(lambda width: explained(answer, row.key, chosen, width))
            self.query_one(VerticalScroll).scroll_home(animate=False)

    def _tell(self, text: str) -> None:
        self.query_one("#told", Static).update(plain(text))

    def _how_to_pick(self) -> str:
        """Return what to do where there is nothing to compare yet."""
        compared, answer = self.desk.compared, self.desk.answer
        picked = f"Only {compared[0].count} x {compared[0].gpu}" if compared else "Nothing"
        lines = [
            f"{picked} is picked out.",
            "",
            f"Pick {LEAST} to {MOST_COMPARED} GPUs with space: in the ranking (1), in the plot (3) or in the catalog "
            "(4).",
        ]
        if answer is None or not answer.picks:
            return "\n".join(lines)
        lines += ["", "Or press p to compare what the ranking recommends:"]
        lines += [f"  {pick.label}: {words.pick(pick)}" for pick in answer.picks]
        return "\n".join(lines)
