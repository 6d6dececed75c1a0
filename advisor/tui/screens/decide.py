"""The screen that decides: the workload at the left, the ranking at the right, the GPU under the cursor below it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from operator import is_
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from advisor.errors import AdvisorError
from advisor.objective import OBJECTIVES
from advisor.tui.desk import MOST_COMPARED, Choice, Question, wrong_fields
from advisor.tui.plain import plain
from advisor.tui.screens.desk_screen import DeskScreen
from advisor.tui.widgets.table import Table

if TYPE_CHECKING:
    from advisor.documents import ExcludedDocument, RecommendAnswer, RecommendationDocument
    from advisor.quantity import Model
    from advisor.tui.widgets.detail import Detail
    from advisor.tui.widgets.workload_form import WorkloadForm

STAY_S = 0.1
MOUNT_S = 0.01

COUNTS = ("", "1", "2", "4", "8")
WAYS = ("", "buy", "rent")


class ModelLine(Static):
    """What is run; a click chooses something else."""

    def on_click(self) -> None:
        """Choose another model."""
        self.post_message(DecideScreen.ModelWanted())


class DecideScreen(DeskScreen):
    """Form, ranking and detail; narrow terminals show one of them at a time."""

    MODE = "decide"
    HELP = """
Describe the job at the left; the ranking follows as you type. Every GPU of the catalog is listed: what does not fit or
breaks a limit is greyed, with the reason. `*` marks answers that no other one beats in both time and cost, `+` those
that you picked out to compare. Times and costs are for the whole run; `(a-b)` is an interval that holds the truth in 8
of 10 cases. A `?` behind the memory says that the upper end of the interval does not fit.

**A first decision:** `o` chooses the model, `w` goes to the fields (try `budget` and `method`), `escape` comes back,
arrows move, `enter` shows everything about a GPU, `ctrl+s` writes the report.
"""

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("o,ctrl+o", "pick_model", "Model"),
        Binding("w", "form", "Workload"),
        Binding("slash,ctrl+f", "filter", "Filter"),
        Binding("space", "compare", "Pick"),
        Binding("b", "way", "Buy or rent", show=False, tooltip="Buy or rent, buy only, rent only"),
        Binding("c", "count", "Count", show=False, tooltip="Any number of GPUs, at most 1, 2, 4 or 8"),
        Binding("f", "objective", "For", show=False, tooltip="Rank for balance, cost, time, energy or value"),
        Binding("x", "excluded", "Left out", show=False, tooltip="Show or hide what does not qualify"),
        Binding("d", "detail", "Detail pane", show=False),
        Binding("escape", "back", "Back", show=False),
    ]

    DEFAULT_CSS: ClassVar[str] = """
    DecideScreen #workload { width: 42; border-right: vkey $panel; }
    DecideScreen #answer { width: 1fr; }
    DecideScreen ModelLine { height: auto; padding: 0 1; text-style: bold; background: $panel; }
    DecideScreen ModelLine:hover { text-style: bold underline; }
    DecideScreen #status { height: auto; max-height: 4; padding: 0 1; }
    DecideScreen #status.-wrong { color: $text-error; text-style: bold; }
    DecideScreen #picks { height: auto; max-height: 2; padding: 0 1; color: $foreground 65%; }
    DecideScreen #filter { display: none; }
    DecideScreen #ranking { height: 1fr; }
    DecideScreen #detail { height: 45%; border-top: hkey $panel; }
    DecideScreen.-stale #ranking { opacity: 65%; }
    DecideScreen.-narrow #workload { display: none; }
    DecideScreen.-narrow #detail { display: none; }
    DecideScreen #job { display: none; height: auto; max-height: 2; padding: 0 1; background: $panel; }
    DecideScreen.-narrow #job { display: block; }
    DecideScreen.-narrow #picks { display: none; }
    DecideScreen.-narrow.-form #parts { layout: vertical; }
    DecideScreen.-narrow.-form #workload { display: block; width: 1fr; height: 1fr; border-right: none; }
    DecideScreen.-narrow.-form #answer { height: auto; border-top: hkey $panel; }
    DecideScreen.-narrow.-form #job { display: none; }
    DecideScreen.-narrow.-form #ranking { display: none; }
    DecideScreen.-no-detail #detail { display: none; }
    """

    class Asked(Message):
        """The user asks something else."""

        def __init__(self, question: Question) -> None:
            super().__init__()
            self.question = question

    class ModelWanted(Message):
        """The user wants to run something else."""

    def body(self) -> ComposeResult:
        """Lay out the three parts."""
        with Horizontal(id="parts"):
            with Vertical(id="workload"):
                yield ModelLine("", markup=False)
            with Vertical(id="answer"):
                yield Static("", id="job", markup=False)
                yield Static("asking...", id="status", markup=False)
                yield Static("", id="picks", markup=False)
                yield Input(
                    placeholder="words to look for; Enter keeps, Escape clears", id="filter", compact=True
                )
                yield Table((), fixed=3, table_id="ranking")
                yield Vertical(id="detail")

    def on_mount(self) -> None:
        """Start in the ranking, where single letters are commands."""
        self._shows_excluded = True
        self._shown_source: object = None
        self._shown: tuple[RecommendAnswer | None, tuple[Choice, ...]] = (None, ())
        self._form: WorkloadForm | None = None
        self._order: tuple[str | None, bool] | None = None
        """What the ranking will be sorted by when it has columns."""
        self.ranking.focus()
        self.call_after_refresh(self._add_form)

    async def _add_form(self) -> None:
        """Add the fields after the first picture: what they stand on takes a while to load."""
        from advisor.tui.widgets.workload_form import WorkloadForm

        self._form = WorkloadForm()
        await self.query_one("#workload").mount(self._form)
        self._shown_source = None
        self._show_form()

    @property
    def ranking(self) -> Table:
        """The table."""
        return self.query_one("#ranking", Table)

    @property
    def shows_excluded(self) -> bool:
        """Whether what does not qualify is listed."""
        return self._shows_excluded

    @property
    def choice(self) -> Choice | None:
        """What the row under the cursor is about; the desk learns of a move only after the keys that follow it."""
        row = self.ranking.current
        return None if row is None else _choice(row.key)

    @property
    def order(self) -> tuple[str | None, bool]:
        """Column that the ranking is sorted by, and whether it is turned around."""
        return self._order or (self.ranking.sort_key, self.ranking.sort_reverse)

    def restore(self, *, shows_excluded: bool, sort_key: str | None, sort_reverse: bool) -> None:
        """Show the ranking as it was left."""
        self._shows_excluded = shows_excluded
        self._order = (sort_key, sort_reverse)

    def look(self) -> None:
        """Show the question, what is wrong with it, and the answer."""
        desk = self.desk
        self._show_form()
        problem = desk.problem
        line = self.query_one("#status", Static)
        line.set_class(problem is not None, "-wrong")
        self.set_class(problem is not None, "-stale")
        if self._form is not None:
            self._form.mark(wrong_fields(problem))
        if problem is not None:
            line.update(plain(f"! {problem}"))
        elif desk.answer is not None:
            # Words about answers stand on the documents, which are not there before the first answer.
            from advisor.tui.widgets.ranking import status

            line.update(plain(status(desk.answer)))
        shown = (desk.answer, desk.compared)
        if desk.answer is not None and not all(map(is_, shown, self._shown)):
            from advisor.tui.widgets.ranking import picks_line

            self._shown = shown
            self.query_one("#picks", Static).update(plain(picks_line(desk.answer)))
            self._show_rows()
            self._follow()

    def exported(self) -> tuple[Model, str] | None:
        """Return the recommendation."""
        desk = self.desk
        # An answer to an earlier question must not leave as if it were this one's.
        return None if desk.answer is None or desk.problem is not None else (desk.answer, "recommendation")

    # The workload

    def _show_form(self) -> None:
        desk, question = self.desk, self.desk.question
        limits = [
            question.settings.get(path, desk.source_values.get(path, ""))
            for path in ("constraints.acquire", "constraints.max_count")
        ]
        ways = f"{limits[0]} only" if limits[0] in ("buy", "rent") else "buy or rent"
        count = "one GPU" if limits[1] == "1" else f"up to {limits[1]}" if limits[1] else "any count"
        keys = (("f ", "dim"), question.objective, ("  b ", "dim"), ways, ("  c ", "dim"), plain(count))
        title = plain(question.source)
        self.query_one(ModelLine).update(Content.assemble(title, ("  o change\n", "dim"), *keys))
        self.query_one("#job", Static).update(Content.assemble(plain(self._title()) or title, "\n", *keys))
        state = (question.source, dict(desk.source_values), dict(question.settings))
        if self._form is not None and state != self._shown_source:
            self._shown_source = state
            self._form.show(desk.source_values, question.settings)

    def _ask(self, question: Question) -> None:
        # At once: the next key may come before the message arrives, and changes what this one asked.
        self.desk.question = question
        self.post_message(self.Asked(question))

    def on_workload_form_changed(self, event: WorkloadForm.Changed) -> None:
        """Ask what the fields say now."""
        event.stop()
        state = (self.desk.question.source, dict(self.desk.source_values), dict(event.settings))
        self._shown_source = state
        self._ask(replace(self.desk.question, settings=event.settings))

    def _set(self, path: str, value: str) -> None:
        settings = dict(self.desk.question.settings)
        if value:
            settings[path] = value
        else:
            settings.pop(path, None)
            if path in self.desk.source_values:
                settings[path] = ""
        self._ask(replace(self.desk.question, settings=settings))

    def action_pick_model(self) -> None:
        """Choose another model or file."""
        self.post_message(self.ModelWanted())

    def action_form(self) -> None:
        """Go to the fields."""
        self.add_class("-form")
        if self._form is not None and not any(each is self.focused for each in self._form.query("*")):
            self._form.focus_field("constraints.budget_usd")

    def action_way(self) -> None:
        """Buy or rent, buy alone, rent alone."""
        now = self.desk.question.settings.get("constraints.acquire", "")
        self._set("constraints.acquire", _next(WAYS, now))

    def action_count(self) -> None:
        """Allow more GPUs."""
        now = self.desk.question.settings.get("constraints.max_count", "")
        self._set("constraints.max_count", _next(COUNTS, now))

    def action_objective(self) -> None:
        """Rank by something else."""
        place = OBJECTIVES.index(self.desk.question.objective) + 1
        self._ask(replace(self.desk.question, objective=OBJECTIVES[place % len(OBJECTIVES)]))

    # The ranking

    def action_filter(self) -> None:
        """Look for words in the rows."""
        field = self.query_one("#filter", Input)
        field.display = True
        # At once: no key that follows may be taken for a command.
        self.set_focus(field)

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        event.stop()
        self.ranking.set_filter(event.value)

    @on(Input.Submitted, "#filter")
    def _filter_kept(self, event: Input.Submitted) -> None:
        event.stop()
        self.ranking.focus()
        self.query_one("#filter", Input).display = bool(event.value)

    def action_back(self) -> None:
        """Clear the filter, leave the fields."""
        field = self.query_one("#filter", Input)
        if field.has_focus or (field.display and self.ranking.has_focus):
            field.value = ""
            field.display = False
        self.remove_class("-form")
        self.ranking.focus()

    def action_excluded(self) -> None:
        """Show or hide what does not qualify."""
        self._shows_excluded = not self._shows_excluded
        self._show_rows()

    def action_compare(self) -> None:
        """Pick the GPU under the cursor out, or put it back."""
        row = self.ranking.current
        if row is None:
            return
        if not self.desk.toggle_compared(_choice(row.key)):
            self.notify(
                f"{MOST_COMPARED} are picked out already; space on one of them puts it back", markup=False
            )
            return
        self._show_rows()
        self.ranking.action_move(1)

    def _show_rows(self) -> None:
        answer, narrow = self.desk.answer, self.has_class("-narrow")
        if answer is not None:
            from advisor.tui.widgets.ranking import ranking_columns, ranking_rows

            table = self.ranking
            before, at_top = table.current, table.cursor == 0
            table.set_columns(ranking_columns(answer, narrow=narrow))
            if self._order is not None:
                (key, reverse), self._order = self._order, None
                table.sort_by(key, reverse=reverse)
            table.set_rows(
                ranking_rows(answer, self.desk.compared, excluded=self._shows_excluded, narrow=narrow)
            )
            now = table.current
            falls_out = before is not None and not before.dim and now is not None and now.dim
            if at_top or falls_out:
                # Who looks at the best answer wants to see the best answer, not what has become of one GPU.
                table.cursor = 0

    def on_resize(self) -> None:
        """Give the rows the room that there is now."""
        self.call_after_refresh(self._show_rows)

    # The detail

    def action_detail(self) -> None:
        """Show or hide the pane."""
        self.toggle_class("-no-detail")
        self.call_after_refresh(self._follow)

    @on(Table.Highlighted, "#ranking")
    def _row_highlighted(self, event: Table.Highlighted) -> None:
        event.stop()
        self._follow()

    def _follow(self) -> None:
        """Let the pane show the row under the cursor."""
        row = self.ranking.current
        if row is not None and not self.desk.closed:
            choice = self.desk.looking_at = _choice(row.key)
            if self.query_one("#detail").display:
                self._show_detail(choice)

    @on(Table.Opened, "#ranking")
    def _row_opened(self, event: Table.Opened) -> None:
        event.stop()
        from advisor.tui.widgets.detail import DetailWanted

        self.post_message(DetailWanted(_choice(event.key)))

    @work(exclusive=True, group="detail")
    async def _show_detail(self, choice: Choice) -> None:
        """Show what the ranking says, then ask for what it does not have: evidence, roofline, costs over time."""
        detail, row, workload = await self._detail(), self._document(choice), self.desk.workload
        if workload is None:
            return
        left_out = ""
        if row is not None:
            detail.show(row, self._title())
        else:
            out = next((item for item in self._left_out() if item.gpu == choice.gpu), None)
            left_out = "" if out is None else f"left out: {out.reason}"
            detail.say(left_out)
        # Who holds the arrow down passes many rows: only one that is stayed on is asked about.
        await asyncio.sleep(STAY_S)
        try:
            answer = await self.desk.ask(
                lambda service: service.estimate(workload, gpus=[choice.gpu], count=choice.count)
            )
        except AdvisorError as error:
            if self.desk.looking_at == choice and detail.is_attached and row is not None:
                detail.say(str(error))
            return
        if self.desk.looking_at == choice and self.desk.workload is workload and detail.is_attached:
            detail.show(answer.estimates[0], self._title() if row is not None else left_out)

    async def _detail(self) -> Detail:
        """Return the pane; made when it is first needed, since its plots take a while to load."""
        from advisor.tui.widgets.detail import Detail

        place = self.query_one("#detail")
        if not place.children:
            place.mount(Detail())
        found = place.query_one(Detail)
        # Not the awaited mount: who moves on cancels this worker, and the next one meets a pane that is half there.
        while not found.is_mounted:
            await asyncio.sleep(MOUNT_S)
        return found

    def _document(self, choice: Choice) -> RecommendationDocument | None:
        answer = self.desk.answer
        found = answer.recommendations if answer is not None else ()
        return next((each for each in found if (each.gpu, each.count) == (choice.gpu, choice.count)), None)

    def _left_out(self) -> Sequence[ExcludedDocument]:
        return () if self.desk.answer is None else self.desk.answer.excluded

    def _title(self) -> str:
        if self.desk.answer is None:
            return ""
        from advisor.render.words import workload_title

        return workload_title(self.desk.answer.workload)


def _next(values: tuple[str, ...], now: str) -> str:
    return values[(values.index(now) + 1) % len(values)] if now in values else values[0]


def _choice(key: str) -> Choice:
    """Return what a row of the ranking is about."""
    from advisor.tui.widgets.ranking import choice_of

    return choice_of(key)
