"""Estimates side by side: a column each, with bars on common scales and the best of each row marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive

from advisor.documents import CompareAnswer, EstimateDocument
from advisor.quantity import Quantity
from advisor.render import words
from advisor.tui.plain import plain
from advisor.tui.widgets.fitted import bullets, heading, labelled, stacked
from advisor.tui.widgets.memory_bar import bar, scale_gib
from advisor.tui.widgets.table import GAP, Column, Part, Row, Table, cell
from advisor.tui.widgets.time_bars import interval_bar

BEST = "*"
CHOSEN = ">"

_TITLES = 13
_NARROWEST, _WIDEST = 21, 36
"""Cells of a column of values."""

_Value = Callable[[EstimateDocument], float | None]


def _value(quantity: Quantity | None) -> float | None:
    return None if quantity is None else quantity.value


_SMALLER: dict[str, _Value] = {
    "memory GiB": lambda item: item.memory.required_gib.value / item.memory.available_gib,
    "total time": lambda item: _value(item.total_time_h),
    "step time": lambda item: _value(item.step_time_s),
    "first token": lambda item: _value(item.time_to_first_token_s),
    "each token": lambda item: _value(item.time_per_output_token_s),
    "energy": lambda item: _value(item.energy_kwh),
    "cost": lambda item: item.cost.total_usd,
    "purchase": lambda item: item.cost.purchase_usd,
    "rent/GPU-h": lambda item: item.cost.rent_usd_per_gpu_h,
}
"""Rows in which the smallest is the best."""

_LARGER: dict[str, _Value] = {
    "throughput": lambda item: _value(item.tokens_per_s or item.samples_per_s),
    "over a CPU": lambda item: _value(item.speedup_over_cpu),
}
"""Rows in which the largest is the best."""

_MEMORY, _TIME, _EVIDENCE, _WARNINGS = "memory bar", "time bar", "measured", "warnings"


class Comparison(Table):
    """A comparison with a cursor over its rows, and one of its columns chosen."""

    column: reactive[int] = reactive(0)
    """The chosen column; the first is the reference."""

    class ColumnChosen(Message):
        """Another column was chosen."""

    def __init__(self) -> None:
        super().__init__((), fixed=1)
        self._answer: CompareAnswer | None = None

    def compare(self, answer: CompareAnswer) -> None:
        """Show a comparison in the room there is."""
        self._answer = answer
        self.set_reactive(Comparison.column, min(self.column, len(answer.estimates) - 1))
        self._fill()

    def validate_column(self, column: int) -> int:
        """Keep to the columns there are."""
        last = 0 if self._answer is None else len(self._answer.estimates) - 1
        return max(0, min(column, last))

    def watch_column(self) -> None:
        """Mark the column, and scroll to it."""
        self._fill()
        width = self._room() + GAP
        seen = self.size.width - _TITLES - GAP
        left = self.column * width
        if left < self.scroll_offset.x:
            self.scroll_to(x=left, animate=False)
        elif left + width > self.scroll_offset.x + seen:
            self.scroll_to(x=left + width - seen, animate=False)
        self.post_message(self.ColumnChosen())

    def action_sideways(self, by: int) -> None:
        """Choose a column."""
        self.column += 1 if by > 0 else -1

    def _room(self) -> int:
        """Return the cells of a column: an equal part of the width, or as few as are readable."""
        number = 1 if self._answer is None else len(self._answer.estimates)
        share = (self.size.width - _TITLES - 1) // number - GAP
        return max(_NARROWEST, min(share, _WIDEST))

    def _fill(self) -> None:
        if self._answer is not None:
            room = self._room()
            self.set_columns(list(_columns(self._answer.estimates, self.column, room)))
            self.set_rows(comparison_rows(self._answer, room))


def _columns(estimates: Sequence[EstimateDocument], chosen: int, room: int) -> Iterator[Column]:
    yield Column("title", " " * (_TITLES - 1), widest=_TITLES)
    for number, estimate in enumerate(estimates):
        mark = CHOSEN if number == chosen else " "
        name = cut(f"{mark}{words.title(estimate)}", room - 1)
        yield Column(str(number), f"{name:<{room - 1}}", widest=room)


def comparison_rows(answer: CompareAnswer, room: int) -> list[Row]:
    """Return the rows of a comparison.

    Args:
        answer: of ``compare``.
        room: cells of a column.
    """
    estimates = answer.estimates
    rows: list[Row] = []
    for label, texts in words.compare_rows(estimates, answer.ratios):
        best = _best(label, estimates)
        marked = [
            cell(Part(BEST if number in best else " ", "good"), Part(cut(text, room - 1), ""))
            for number, text in enumerate(texts)
        ]
        rows.append(Row(key=label, cells=(_label(label), *marked)))
        if label == "fits":
            rows[-1] = Row(key=label, cells=(_label(label), *(_verdict(each) for each in estimates)))
        elif label == "memory GiB":
            rows.append(Row(key=_MEMORY, cells=("", *_memory_bars(estimates, room))))
        elif label in ("total time", "each token") or (
            label == "step time" and not any(each.total_time_h for each in estimates)
        ):
            rows.append(Row(key=f"{label} {_TIME}", cells=("", *_time_bars(label, estimates, room))))
    counts = [_count(len(each.evidence), "near run") for each in estimates]
    warnings = [_count(len(each.warnings), "warning") for each in estimates]
    rows.append(Row(key=_EVIDENCE, cells=(_label(_EVIDENCE), *(cell(f" {text}") for text in counts))))
    rows.append(Row(key=_WARNINGS, cells=(_label(_WARNINGS), *(cell(f" {text}") for text in warnings))))
    return rows


def explained(answer: CompareAnswer, key: str, chosen: int, width: int) -> Content:
    """Return a row written out, and what is known of the chosen column.

    Args:
        answer: of ``compare``.
        key: of the row.
        chosen: index of the column.
        width: in cells.
    """
    lines: list[Content] = []
    texts = dict(words.compare_rows(answer.estimates, answer.ratios)).get(key)
    if texts is not None:
        said = "; ".join(
            f"{words.title(each)} {text}" for each, text in zip(answer.estimates, texts, strict=True)
        )
        lines.append(plain(f"{key}: ").stylize("dim") + plain(said))
    elif key == _MEMORY:
        parts = {
            part.letter: part.name for each in answer.estimates for part in words.memory_parts(each.memory)
        }
        said = ", ".join(f"{letter} {name}" for letter, name in parts.items())
        lines.append(plain(f"memory by part, one scale; ┃ is the limit: {said}"))
    elif key.endswith(_TIME):
        lines.append(plain("intervals that hold the truth in 8 of 10 cases, one scale from 0"))
    estimate = answer.estimates[chosen]
    lines.append(plain(f"\n{words.title(estimate)}: {words.plan(estimate.plan)}").stylize("bold"))
    lines += [
        plain(f"would fit with {option.change}: needs {words.gib(option.required_gib)} GiB")
        for option in estimate.would_fit
    ]
    if estimate.warnings:
        lines += [heading("Warnings"), bullets(estimate.warnings, width)]
    lines.append(heading("Measured"))
    said_of = [words.evidence(item) for item in estimate.evidence]
    lines.append(bullets(said_of or ["no published run is near enough to compare"], width))
    lines.append(heading("Money"))
    lines += [labelled(label, text, width) for label, text in words.cost_lines(estimate.cost, estimate.count)]
    if answer.warnings:
        lines += [heading("Notes"), bullets(answer.warnings, width)]
    return stacked(lines)


def _label(text: str) -> tuple[Part, ...]:
    return cell(text)


def _verdict(estimate: EstimateDocument) -> tuple[Part, ...]:
    return cell(" ", Part("fits", "good") if estimate.fits else Part("does not fit", "bad"))


def _best(label: str, estimates: Sequence[EstimateDocument]) -> set[int]:
    """Return which columns are the best of a row among those that fit; none where there is nothing to be better in."""
    way = _SMALLER.get(label) or _LARGER.get(label)
    if way is None:
        return set()
    values = {
        number: value
        for number, each in enumerate(estimates)
        if each.fits and (value := way(each)) is not None
    }
    if len(set(values.values())) < 2:
        return set()
    best = (min if label in _SMALLER else max)(values.values())
    return {number for number, value in values.items() if value == best}


def _memory_bars(estimates: Sequence[EstimateDocument], room: int) -> Iterator[str]:
    scale = max(scale_gib(each.memory) for each in estimates)
    for each in estimates:
        yield " " + str(bar(each.memory, room - 3, scale))


def _time_bars(label: str, estimates: Sequence[EstimateDocument], room: int) -> Iterator[str]:
    times = [_time(label, each) for each in estimates]
    end = max((time.high for time in times if time is not None), default=0.0)
    for time in times:
        yield " " + interval_bar(time, room - 2, end)


def _time(label: str, estimate: EstimateDocument) -> Quantity | None:
    return {
        "total time": estimate.total_time_h,
        "step time": estimate.step_time_s,
        "each token": estimate.time_per_output_token_s,
    }[label]


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def cut(text: str, cells: int) -> str:
    """Return as much of a text as there is room for; two dots say that there is more."""
    return text if cell_len(text) <= cells else f"{set_cell_size(text, cells - 2).rstrip()}.."
