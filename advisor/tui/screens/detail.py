"""Everything about one GPU for the workload, over the whole screen."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.widgets import Static

from advisor.documents import EstimateAnswer, GpuDocument, RecommendationDocument
from advisor.errors import AdvisorError
from advisor.quantity import Model
from advisor.render import words
from advisor.tui.desk import MOST_COMPARED, Choice, Desk
from advisor.tui.plain import plain
from advisor.tui.screens.desk_screen import DeskScreen
from advisor.tui.widgets.detail import Detail
from advisor.tui.widgets.facts import Specification

MOST_GPUS = 65_536
"""More than anybody has in one job; a key that is held down ends here."""


class DetailScreen(DeskScreen):
    """An estimate with all its parts, beside the specification of its GPU.

    Args:
        desk: what it looks at.
        choice: what it begins with.
    """

    HELP = """
All that is known about a number of one GPU for the workload: memory by part against what the card has, where the time
goes, the operators under the roofline, buying against renting, what the money and the times rest on.

In the bar of the memory every part has its letter, `┃` is the card's limit, and the line below it is the interval that
holds the truth in 8 of 10 cases. Letters in the roofline stand for operators: those on the roof use all that the GPU
has.

`left` and `right` go to the neighbours in the ranking, `+` and `-` change the number of GPUs, `space` picks this one
for the comparison, `i` shows the specification where it is not beside the estimate, `escape` goes back.
"""

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("escape,backspace,q", "back", "Back"),
        Binding("left,left_square_bracket", "step(-1)", "Previous", tooltip="Previous row of the ranking"),
        Binding("right,right_square_bracket", "step(1)", "Next", tooltip="Next row of the ranking"),
        Binding("plus,equals_sign", "count(1)", "More", key_display="+", tooltip="Twice as many GPUs"),
        Binding("minus", "count(-1)", "Fewer", key_display="-", tooltip="Half as many GPUs"),
        Binding("space", "pick", "Pick", tooltip="Pick for the comparison, or put back"),
        Binding("i", "specification", "Specification", tooltip="Show or hide the specification of the GPU"),
    ]

    CSS: ClassVar[str] = """
    DetailScreen #place { height: auto; padding: 0 1; background: $panel; }
    DetailScreen Detail { width: 1fr; }
    DetailScreen Specification { width: 44; border-left: vkey $panel; }
    DetailScreen.-hidden Specification { display: none; }
    DetailScreen.-narrow Specification { display: none; width: 1fr; }
    DetailScreen.-narrow.-reading Specification { display: block; }
    DetailScreen.-narrow.-reading Detail { display: none; }
    """

    def __init__(self, desk: Desk, choice: Choice) -> None:
        super().__init__(desk)
        self.shown = choice
        self.answer: EstimateAnswer | None = None
        self._specified: str | None = None

    def body(self) -> ComposeResult:
        """Lay out the estimate and the specification."""
        yield Static("", id="place", markup=False)
        with Horizontal():
            yield Detail()
            yield Specification()

    def on_mount(self) -> None:
        """Begin in the estimate, which the arrows scroll."""
        self.query_one(Detail).focus()

    def look(self) -> None:
        """Ask for the estimate under what lies on the desk now."""
        self._go(self.shown)

    @property
    def choice(self) -> Choice | None:
        """What is shown."""
        return self.shown

    def exported(self) -> tuple[Model, str] | None:
        """Return the estimate."""
        return None if self.answer is None else (self.answer, f"estimate-{self.shown.gpu}")

    def action_back(self) -> None:
        """Go back, from the specification to the estimate first where they take turns."""
        if self.has_class("-narrow") and self.has_class("-reading"):
            self.action_specification()
        else:
            self.app.pop_screen()

    def action_specification(self) -> None:
        """Show or hide the specification; in a narrow window it takes the place of the estimate."""
        narrow = self.has_class("-narrow")
        self.toggle_class("-reading" if narrow else "-hidden")
        reads = narrow and self.has_class("-reading")
        self.query_one(Specification if reads else Detail).focus()

    def action_step(self, by: int) -> None:
        """Go to a neighbour in the ranking."""
        rows = self._rows()
        place = self._place()
        if place is not None and 0 <= place + by < len(rows):
            row = rows[place + by]
            self._go(Choice(row.gpu, row.count))

    def action_count(self, way: int) -> None:
        """Take twice or half as many GPUs."""
        count = self.shown.count * 2 if way > 0 else self.shown.count // 2
        if 0 < count <= MOST_GPUS:
            self._go(Choice(self.shown.gpu, count))

    def action_pick(self) -> None:
        """Pick this choice for the comparison, or put it back."""
        if not self.desk.toggle_compared(self.shown):
            self.notify(f"{MOST_COMPARED} are picked already: put one back first", markup=False)
            return
        self._show_place()

    # What is shown

    def _go(self, choice: Choice) -> None:
        self.shown = self.desk.looking_at = choice
        self.answer = None
        self._show_place()
        row = self._row()
        if row is not None:
            self.query_one(Detail).show(row, self._title())
        else:
            self.query_one(Detail).wait()
        self._ask(choice)

    @work(exclusive=True, group="detail")
    async def _ask(self, choice: Choice) -> None:
        """Ask for a choice; what comes too late to be of use is dropped."""
        workload = self.desk.workload
        detail = self.query_one(Detail)
        if workload is None:
            detail.say("there is no sound workload yet")
            return
        try:
            answer = await self.desk.ask(
                lambda service: service.estimate(workload, gpus=[choice.gpu], count=choice.count)
            )
        except AdvisorError as error:
            if self._still_about(choice):
                detail.say(f"! {choice.count} x {choice.gpu}: {error}")
        else:
            if self._still_about(choice) and workload is self.desk.workload:
                self.answer = answer
                detail.show(answer.estimates[0], words.workload_title(answer.workload))
        if choice.gpu != self._specified:
            await self._specify(choice)

    def _still_about(self, choice: Choice) -> bool:
        """Say whether this is what the screen shows; an answer may come when it has been left already."""
        return self.is_attached and bool(self.display) and choice == self.shown

    async def _specify(self, choice: Choice) -> None:
        try:
            found = await self.desk.ask(lambda service: service.gpu(choice.gpu))
        except AdvisorError:
            # The estimate has said already that there is no such GPU.
            return
        if self._still_about(choice):
            self._show_specification(found.gpus[0])

    def _show_specification(self, gpu: GpuDocument) -> None:
        self._specified = gpu.id
        self.query_one(Specification).show(gpu, None)

    def _show_place(self) -> None:
        """Show where in the ranking this is, and whether it is picked out."""
        row, place = self._row(), self._place()
        where = "not in the ranking"
        if row is not None:
            where = f"#{row.rank} of {len(self._rows())}"
            where += ", no other is both faster and cheaper" if row.pareto else ""
        elif place is not None:
            where = f"another number than in the ranking (#{place + 1} there)"
        picked = "  + picked to compare" if self.shown in self.desk.compared else ""
        wrong = (
            "" if self.desk.problem is None else "  ! the question is wrong now; this is of an earlier one"
        )
        self.query_one("#place", Static).update(
            plain(f"{self.shown.count} x {self.shown.gpu}  {where}{picked}{wrong}")
        )

    def _title(self) -> str:
        return "" if self.desk.answer is None else words.workload_title(self.desk.answer.workload)

    def _rows(self) -> tuple[RecommendationDocument, ...]:
        return () if self.desk.answer is None else self.desk.answer.recommendations

    def _row(self) -> RecommendationDocument | None:
        return next((row for row in self._rows() if Choice(row.gpu, row.count) == self.shown), None)

    def _place(self) -> int | None:
        """Return the place in the ranking, of another number of this GPU where this one is not there."""
        found = [place for place, row in enumerate(self._rows()) if row.gpu == self.shown.gpu]
        exact = [place for place in found if self._rows()[place].count == self.shown.count]
        return next(iter([*exact, *found]), None)
