"""Everything about one number of one GPU for the workload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from advisor.documents import CalibrationDocument, EstimateDocument, RecommendationDocument
from advisor.render import words
from advisor.tui.desk import Choice
from advisor.tui.plain import plain
from advisor.tui.widgets.figures import (
    operator_said,
    operators,
    outlay_figure,
    outlay_said,
    roof_said,
    roofline_figure,
)
from advisor.tui.widgets.fitted import Fitted, bullets, heading, labelled, stacked
from advisor.tui.widgets.memory_bar import memory_bar
from advisor.tui.widgets.plots import Plot
from advisor.tui.widgets.time_bars import time_bars

ROOMY = 96
"""Columns from which parts stand beside each other."""

ASKING = "asking..."


class DetailWanted(Message):
    """The user wants to see everything about a choice."""

    def __init__(self, choice: Choice) -> None:
        super().__init__()
        self.choice = choice


class Detail(VerticalScroll, can_focus=True, inherit_bindings=False):
    """Scrolls through an estimate: memory, time, roofline, money, evidence, assumptions and warnings.

    Its parts stay while it is shown one GPU after another, so that nothing flickers and the place in it is kept. The
    keys to the left and right are free for the screen it is on.
    """

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("pageup,ctrl+b", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("home,g", "scroll_home", "Top", show=False),
        Binding("end,G", "scroll_end", "End", show=False),
    ]

    DEFAULT_CSS: ClassVar[str] = """
    Detail { padding: 0 1; scrollbar-size-vertical: 1; background: $surface; }
    Detail:focus { background-tint: $foreground 3%; }
    Detail .-pair { layout: vertical; height: auto; }
    Detail .-half { height: auto; width: 1fr; }
    Detail.-roomy .-pair { layout: horizontal; }
    Detail.-roomy .-half { padding-right: 2; }
    Detail Plot { margin-top: 1; }
    Detail > .-said { height: auto; }
    Detail.-stale { opacity: 60%; }
    """

    def compose(self) -> ComposeResult:
        """Lay out the parts."""
        yield Static("", classes="-said", markup=False)
        yield Fitted("head")
        with Container(classes="-pair", id="first"):
            with Vertical(classes="-half"):
                yield Fitted("memory")
            with Vertical(classes="-half"):
                yield Fitted("time")
        with Container(classes="-pair", id="plots"):
            with Vertical(classes="-half", id="roofline"):
                yield Fitted("roofline-title")
                yield Plot("roofline-plot")
                yield Fitted("operators")
            with Vertical(classes="-half", id="outlay"):
                yield Fitted("outlay-title")
                yield Plot("outlay-plot")
        yield Fitted("rest")

    def on_mount(self) -> None:
        """Begin without anything to show."""
        self.say("")

    def on_resize(self, event: events.Resize) -> None:
        """Stand parts beside each other where there is room; the scroll bar does not count, since it comes and goes."""
        self.set_class(self.outer_size.width >= ROOMY, "-roomy")

    @property
    def text(self) -> str:
        """What is shown, as text."""
        said = str(self.query_one(Static).content)
        return "\n".join([said, *(part.text for part in self.query(Fitted) if part.display)])

    @property
    def has_estimate(self) -> bool:
        """Whether an estimate is shown."""
        return self._part("head").display

    def wait(self) -> None:
        """Grey the estimate that is shown until another one, or a message, comes; say that it is asked for."""
        if self.has_estimate:
            self.add_class("-stale")
        else:
            self.say(ASKING)

    def say(self, text: str) -> None:
        """Show a message in place of an estimate."""
        self.remove_class("-stale")
        self._tell(text)
        for part in self._parts():
            part.display = False

    def show(self, estimate: EstimateDocument | None, workload_title: str = "") -> None:
        """Show an estimate, or a row of a ranking until that comes.

        Args:
            estimate: what is known; None where nothing is.
            workload_title: what the estimate is for.
        """
        if estimate is None:
            self.say("")
            return
        pending = isinstance(estimate, RecommendationDocument)
        self.remove_class("-stale")
        self._tell("")
        for part in self._parts():
            part.display = True
        self._part("head").show(lambda width: head(estimate, workload_title, width))
        self._part("memory").show(lambda width: memory(estimate, width))
        self._part("time").show(lambda width: time(estimate, width))
        self._part("rest").show(lambda width: rest(estimate, width))
        self._show_roofline(estimate, pending=pending)
        self._show_outlay(estimate, pending=pending)

    def _show_roofline(self, estimate: EstimateDocument, *, pending: bool) -> None:
        document = estimate.roofline
        place, plot = self.query_one("#roofline"), self.query_one("#roofline-plot", Plot)
        self._part("operators").visible = not pending
        if pending and document is None:
            # The place stays as large as it is: what comes in a moment has about the same size.
            plot.show(None, ASKING)
            return
        place.display = document is not None
        if document is None:
            return
        plot.show(roofline_figure(document))
        self._part("roofline-title").show(lambda _: heading("Operators under the roofline"))
        lines = [(letter, operator_said(point)) for letter, point in operators(document)]
        self._part("operators").show(
            lambda width: stacked(
                [
                    *(labelled(letter, text, width, column=1) for letter, text in lines),
                    labelled("/", roof_said(document), width, column=1),
                ]
            )
        )

    def _show_outlay(self, estimate: EstimateDocument, *, pending: bool) -> None:
        place, plot = self.query_one("#outlay"), self.query_one("#outlay-plot", Plot)
        self._part("outlay-title").visible = not pending
        if pending and not estimate.cost.over_time:
            plot.show(None, ASKING)
            return
        figure = outlay_figure(estimate.cost)
        place.display = figure is not None
        if figure is not None:
            plot.show(figure)
            self._part("outlay-title").show(
                lambda width: stacked(
                    [
                        heading("Buying (whole line) against renting (dashed)"),
                        *plain(outlay_said(estimate.cost)).wrap(width),
                    ]
                )
            )

    def _tell(self, text: str) -> None:
        said = self.query_one(Static)
        said.display = bool(text)
        if str(said.content) != text:
            said.update(plain(text))

    def _part(self, name: str) -> Fitted:
        return self.query_one(f"#{name}", Fitted)

    def _parts(self) -> Iterator[Fitted | Container]:
        yield from (self._part("head"), self._part("rest"))
        yield from (self.query_one("#first", Container), self.query_one("#plots", Container))


def head(estimate: EstimateDocument, workload_title: str, width: int) -> Content:
    """Return the answer in two lines: whether it fits, how long it takes, what it costs."""
    name = plain(f"{words.title(estimate)}: ").stylize("bold")
    style = "bold $text-success" if estimate.fits else "bold $text-error"
    first = name + plain(words.verdict(estimate)).stylize(style)
    facts = [text for text in (_duration(estimate), _cost(estimate)) if text]
    lines = [first, *plain(", ".join(facts)).wrap(width)] if facts else [first]
    if workload_title:
        lines += [line.stylize("dim") for line in plain(workload_title).wrap(width)]
    return stacked(lines)


def memory(estimate: EstimateDocument, width: int) -> Content:
    """Return the memory by part, and what would make it fit."""
    lines = [
        heading("Memory"),
        *plain(words.required(estimate)).wrap(width),
        memory_bar(estimate.memory, width),
    ]
    lines += [
        labelled("would fit", f"{option.change}: needs {words.gib(option.required_gib)} GiB", width)
        for option in estimate.would_fit
    ]
    if not estimate.fits and not estimate.would_fit and not isinstance(estimate, RecommendationDocument):
        lines.append(labelled("would fit", "nothing that was tried", width))
    label = "plan" if estimate.fits else "smallest"
    lines.append(labelled(label, words.plan(estimate.plan), width))
    return stacked(lines)


def time(estimate: EstimateDocument, width: int) -> Content:
    """Return times and rates, and where the time goes; nothing where it does not fit."""
    pairs = [(label, text) for label, text in _speeds(estimate) if text != words.UNKNOWN]
    if not pairs:
        return Content("")
    lines = [heading("Time"), *(labelled(label, text, width) for label, text in pairs)]
    if estimate.breakdown:
        lines += [plain("of a step:").stylize("dim"), time_bars(estimate.breakdown, width)]
    return stacked(lines)


def rest(estimate: EstimateDocument, width: int) -> Content:
    """Return money, evidence, calibration, assumptions and warnings."""
    lines = [heading("Money")]
    lines += [labelled(label, text, width) for label, text in words.cost_lines(estimate.cost, estimate.count)]
    lines.append(heading("What this rests on"))
    if rests := words.fitted_on(estimate):
        lines.append(labelled("fitted on", rests, width))
    if estimate.calibration is not None:
        lines += [labelled(label, text, width) for label, text in _calibration(estimate.calibration)]
    lines += [labelled("measured", words.evidence(item), width) for item in estimate.evidence]
    if not estimate.evidence:
        pending = isinstance(estimate, RecommendationDocument)
        said = ASKING if pending else "no published run is near enough to compare"
        lines.append(labelled("measured", said, width))
    if estimate.warnings:
        lines += [heading("Warnings"), bullets(estimate.warnings, width, style="$text-warning")]
    if estimate.assumptions:
        lines += [heading("Assumptions"), bullets(estimate.assumptions, width)]
    return stacked(lines)


def _duration(estimate: EstimateDocument) -> str:
    text = words.duration(estimate)
    if text == words.UNKNOWN:
        return ""
    return (
        text + {"Time": "", "Per token": " a token", "Per step": " a step"}[words.duration_header([estimate])]
    )


def _cost(estimate: EstimateDocument) -> str:
    text = words.cost(estimate.cost)
    if text == words.UNKNOWN:
        return "no price known"
    if estimate.cost.total_usd is None and estimate.cost.purchase_usd is not None:
        return f"{text} to buy"
    return text


def _speeds(estimate: EstimateDocument) -> list[tuple[str, str]]:
    return [
        *words.speeds(estimate),
        ("limited by", estimate.bottleneck or words.UNKNOWN),
    ]


def _calibration(document: CalibrationDocument) -> Iterator[tuple[str, str]]:
    how = f"{document.profile} of {document.date}, measured on {document.measured} ({document.relation})"
    weight = "" if document.weight == 1.0 else f"; counts {document.weight:.0%}"
    yield "calibration", how + weight
    for warning in document.warnings:
        yield "", f"! {warning}"
