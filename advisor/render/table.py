"""Tables for a terminal: readable at 80 columns, without colour and in ASCII; more where there is room."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from advisor.documents import (
    CompareAnswer,
    EstimateAnswer,
    EstimateDocument,
    EvidenceDocument,
    GpuAnswer,
    GpuDocument,
    ModelAnswer,
    ModelDocument,
    RecommendAnswer,
    RecommendationDocument,
)
from advisor.errors import one_line
from advisor.quantity import Model
from advisor.render import words
from advisor.units import format_count, format_money, plain

_GAP = 2
_MIN_FLEXIBLE = 14
_LABEL = 12
_CARD_WIDTH = 100
_COMPARE_LABEL = 14
_COMPARE_COLUMN = 19
_PART_STYLES = {
    "P": "blue", "G": "cyan", "O": "magenta", "A": "green", "T": "yellow", "H": "red", "M": "white",
}  # fmt: skip
_ASCII = str.maketrans(
    {
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{MINUS SIGN}": "-",
        "\N{HORIZONTAL ELLIPSIS}": "~",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{GREATER-THAN OR EQUAL TO}": ">=",
        "\N{LESS-THAN OR EQUAL TO}": "<=",
        "\N{PLUS-MINUS SIGN}": "+-",
    }
)


class Page(NamedTuple):
    """What the output can show."""

    width: int = 80
    color: bool = False
    ascii: bool = False


class Column(NamedTuple):
    """A column of text; at most one is flexible and gives up or takes the room that is left."""

    header: str
    cells: Sequence[str]
    align: Literal["left", "right"] = "left"
    flexible: bool = False
    style: str = ""

    def on_one_line(self) -> Column:
        """Return the column with a line break in a name as a space: it would begin a row of its own."""
        return self._replace(cells=[one_line(text) for text in self.cells])


def render(answer: Model, page: Page) -> str:
    """Return an answer as text for a terminal of the width of ``page``.

    Raises:
        TypeError: there is no table for this kind of answer.
    """
    writer = Writer(page)
    if isinstance(answer, RecommendAnswer):
        _recommend(writer, answer)
    elif isinstance(answer, EstimateAnswer):
        _estimates(writer, answer)
    elif isinstance(answer, CompareAnswer):
        _compare(writer, answer)
    elif isinstance(answer, GpuAnswer):
        _gpus(writer, answer)
    elif isinstance(answer, ModelAnswer):
        _models(writer, answer)
    else:
        raise TypeError(f"no table for {type(answer).__name__}")
    return writer.text()


class Writer:
    """Collects lines; everything from outside arrives here as text, never as markup."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.width = page.width
        self.rule = "-" if page.ascii else "─"
        self.full = "#" if page.ascii else "█"
        self.empty = "." if page.ascii else "░"
        self._console = Console(
            file=io.StringIO(),
            width=page.width,
            force_terminal=page.color,
            color_system="standard" if page.color else None,
            no_color=not page.color,
            legacy_windows=False,
            highlight=False,
            emoji=False,
            markup=False,
            _environ={},
        )

    def text(self) -> str:
        """Return everything written, in ASCII where the page has nothing else."""
        stream = self._console.file
        assert isinstance(stream, io.StringIO)
        text = "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
        if self.page.ascii:
            text = text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
        return text

    def line(self, *parts: str | tuple[str, str], indent: int = 0) -> None:
        """Write a paragraph, wrapped to the width; a part may carry its style."""
        text = Text.assemble(
            *(one_line(part) if isinstance(part, str) else (one_line(part[0]), part[1]) for part in parts)
        )
        self._console.print(Padding(text, (0, 0, 0, indent)) if indent else text)

    def blank(self) -> None:
        """Write an empty line."""
        self._console.print()

    def heading(self, text: str) -> None:
        """Write a heading with an empty line before it."""
        self.blank()
        self.line((text, "bold"))

    def labelled(self, label: str, text: str, *, indent: int = 2, column: int = _LABEL) -> None:
        """Write ``label  text`` with the text hanging under itself."""
        body = Text(one_line(text)).wrap(self._console, max(20, self.width - indent - column - 1))
        for number, piece in enumerate(body):
            head = set_cell_size(label, column) if number == 0 else " " * column
            self._console.print(Text.assemble(" " * indent, (head, "dim"), " ", piece), overflow="fold")

    def bullets(self, items: Iterable[str], *, style: str = "") -> None:
        """Write a list, each item wrapped under its dash."""
        for item in items:
            body = Text(one_line(plain(item)), style=style).wrap(self._console, max(20, self.width - 4))
            for number, piece in enumerate(body):
                self._console.print(Text.assemble("  - " if number == 0 else "    ", piece))

    def grid(
        self, columns: Sequence[Column], *, under: Sequence[str] = (), extra: Sequence[Column] = ()
    ) -> None:
        """Write columns side by side.

        Args:
            columns: always shown; the flexible one shrinks where the width does not do.
            under: a line for each row, written below it.
            extra: shown from the left while there is room.
        """
        shown = [column.on_one_line() for column in columns]
        room = self.width - sum(self._natural(column) + _GAP for column in shown) + _GAP
        for column in (each.on_one_line() for each in extra):
            needed = self._natural(column) + _GAP
            if needed > room:
                break
            room -= needed
            shown.append(column)
        widths = [
            max(_MIN_FLEXIBLE, self._natural(column) + min(room, 0))
            if column.flexible
            else self._natural(column)
            for column in shown
        ]
        self._row([(column.header, "bold") for column in shown], shown, widths)
        total = sum(widths) + _GAP * (len(widths) - 1)
        self.line((self.rule * min(total, self.width), "dim"))
        for number in range(len(shown[0].cells)):
            self._row([(column.cells[number], column.style) for column in shown], shown, widths)
            if under and under[number]:
                indent = widths[0] + _GAP
                self._console.print(Padding(Text(one_line(under[number]), style="dim"), (0, 0, 0, indent)))

    @staticmethod
    def _natural(column: Column) -> int:
        return max(cell_len(text) for text in (column.header, *column.cells))

    def _row(
        self, cells: Sequence[tuple[str, str]], columns: Sequence[Column], widths: Sequence[int]
    ) -> None:
        line = Text()
        for number, ((text, style), column, width) in enumerate(zip(cells, columns, widths, strict=True)):
            line.append(" " * (_GAP if number else 0))
            fitted = _fit(text, width)
            padding = " " * (width - cell_len(fitted))
            line.append(padding if column.align == "right" else "")
            line.append(fitted, style=style)
            line.append("" if column.align == "right" else padding)
        self._console.print(line, no_wrap=True, overflow="crop", crop=True)

    def bar(self, share: float, width: int) -> tuple[str, str]:
        """Return filled and empty cells for a share between 0 and 1."""
        filled = round(min(max(share, 0.0), 1.0) * width)
        return self.full * filled, self.empty * (width - filled)


def _fit(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…"


def _recommend(writer: Writer, answer: RecommendAnswer) -> None:
    writer.line((words.workload_title(answer.workload), "bold"))
    writer.line(words.summary(answer), ".")
    if answer.relax:
        writer.heading("What to relax")
        writer.bullets(item.message for item in answer.relax)
    rows = answer.recommendations
    if rows:
        writer.blank()
        columns, extra = _recommend_columns(rows, answer.objective)
        writer.grid(columns, extra=extra, under=[words.why(row) for row in rows])
        writer.line(("P *: no other answer is both faster and cheaper. (a-b): 80 % interval.", "dim"))
        if any(words.GUESS in words.cost(row.cost) for row in rows) or any(
            item.purchase_unverified for item in answer.picks
        ):
            writer.line((f"{words.GUESSED}.", "dim"))
        writer.blank()
        named = [
            ("ranked by", words.objective(answer)),
            *((item.label, words.pick(item)) for item in answer.picks),
        ]
        if answer.cpu is not None:
            named.append(("on a CPU", words.cpu(answer.cpu, rows[0])))
        longest = max(len(label) for label, _ in named)
        for label, text in named:
            writer.labelled(label, text, indent=0, column=longest)
        _top_pick(writer, rows[0])
    _remarks(writer, "Notes", answer.warnings)
    _left_out(writer, answer)


def _recommend_columns(
    rows: Sequence[RecommendationDocument], objective: str
) -> tuple[list[Column], list[Column]]:
    per_watt = Column("Samples/J", [words.per_watt(row) for row in rows], "right")
    per_dollar = Column("Per $1,000", [words.per_dollar(row) for row in rows], "right")
    sought = {"energy": [per_watt], "value": [per_dollar]}.get(objective, [])
    columns = [
        Column("#", [str(row.rank) for row in rows], "right"),
        Column("GPU", [words.title(row) for row in rows], flexible=True, style="bold"),
        Column("P", ["*" if row.pareto else "" for row in rows], style="green"),
        Column(words.duration_header(rows), [words.duration(row) for row in rows]),
        Column(words.cost_header(rows), [words.cost(row.cost) for row in rows], "right"),
        *sought,
        Column("Memory GiB", [words.memory(row.memory) for row in rows], "right"),
    ]
    extra = [
        Column("Precision", [row.plan.precision for row in rows]),
        Column("Micro", [str(row.plan.micro_batch) for row in rows], "right"),
        Column("Checkpt", [row.plan.checkpointing for row in rows]),
        Column("Sharding", [words.layout(row.plan.sharding) for row in rows]),
        Column("Power", [_number(row.power_w, "W") for row in rows], "right"),
        Column(
            "Energy",
            [_number(row.energy_kwh.value if row.energy_kwh else None, "kWh") for row in rows],
            "right",
        ),
        Column("Purchase", [words.price(row.cost) for row in rows], "right"),
        Column("$/GPU-h", [words.money(row.cost.rent_usd_per_gpu_h) for row in rows], "right"),
        *(column for column in (per_watt, per_dollar) if column not in sought),
        Column("Bottleneck", [plain(row.bottleneck or words.UNKNOWN) for row in rows]),
    ]
    return columns, extra


def _top_pick(writer: Writer, top: RecommendationDocument) -> None:
    writer.heading(f"Top pick: {words.title(top)} ({plain(top.gpu)})")
    writer.labelled("plan", words.plan(top.plan))
    _speed(writer, top)
    if top.bottleneck:
        writer.labelled("limited by", plain(top.bottleneck))
    _cost(writer, top)
    _evidence(writer, top, top.evidence[:1])
    _notes(writer, top)


def _evidence(writer: Writer, estimate: EstimateDocument, shown: Sequence[EvidenceDocument]) -> None:
    """Write what the times rest on, and the nearest published runs."""
    if rests := words.fitted_on(estimate):
        writer.labelled("rests on", rests)
    for item in shown:
        writer.labelled("measured", words.evidence(item))
    if not shown:
        writer.labelled("measured", "no published run is near enough to compare")


def _speed(writer: Writer, estimate: EstimateDocument) -> None:
    for label, text in words.speeds(estimate):
        writer.labelled(label, text)


def _cost(writer: Writer, estimate: EstimateDocument) -> None:
    for label, text in words.cost_lines(estimate.cost, estimate.count):
        writer.labelled(label, text)


def _notes(writer: Writer, estimate: EstimateDocument) -> None:
    if estimate.assumptions:
        writer.heading("Assumptions")
        writer.bullets(estimate.assumptions)
    if estimate.warnings:
        writer.heading("Warnings")
        writer.bullets(estimate.warnings, style="yellow")


def _left_out(writer: Writer, answer: RecommendAnswer) -> None:
    found = words.groups(answer.excluded)
    if not found:
        return
    writer.heading(f"Left out: {sum(group.number for group in found)} GPUs")
    for group in found:
        writer.line((f"{group.number:>4} ", "bold"), f"{group.title}, e.g.")
        for item in group.examples:
            writer.line(f"{words.counted(item.name, item.count)}: {plain(item.reason)}", indent=7)


def _estimates(writer: Writer, answer: EstimateAnswer) -> None:
    writer.line((words.workload_title(answer.workload), "bold"))
    for estimate in answer.estimates:
        writer.blank()
        _card(writer, estimate)
    if answer.cpu is not None:
        writer.heading("The same on a CPU")
        writer.bullets([words.cpu(answer.cpu)])
    _remarks(writer, "Notes", answer.warnings)


def _card(writer: Writer, estimate: EstimateDocument) -> None:
    verdict = ("fits", "bold green") if estimate.fits else ("does not fit", "bold red")
    width = min(writer.width, _CARD_WIDTH)
    name = f"{words.title(estimate)} ({plain(estimate.gpu)})"
    name = _fit(name, width - len(verdict[0]) - 1)
    writer.line((name, "bold"), " " * max(1, width - cell_len(name) - len(verdict[0])), verdict)
    writer.line((writer.rule * width, "dim"))
    _memory(writer, estimate, width)
    if not estimate.fits:
        writer.labelled("smallest", words.plan(estimate.plan))
        for option in estimate.would_fit:
            writer.labelled(
                "would fit", f"{plain(option.change)}: needs {words.gib(option.required_gib)} GiB"
            )
    else:
        writer.labelled("plan", words.plan(estimate.plan))
        _speed(writer, estimate)
        if estimate.bottleneck:
            writer.labelled("limited by", plain(estimate.bottleneck))
        _breakdown(writer, estimate, width)
    _cost(writer, estimate)
    _evidence(writer, estimate, estimate.evidence)
    _notes(writer, estimate)


def _memory(writer: Writer, estimate: EstimateDocument, width: int) -> None:
    document = estimate.memory
    required = words.interval(document.required_gib, lambda value: f"{words.gib(value)} GiB")
    each = " on each GPU" if estimate.count > 1 else ""
    writer.labelled("memory", f"{required} needed of {words.gib(document.available_gib)} GiB available{each}")
    parts = words.memory_parts(document)
    cells = width - _LABEL - 5
    scale = max(document.available_gib, sum(part.gib for part in parts))
    if scale > 0:
        used = 0
        bar: list[tuple[str, str]] = []
        for part in parts:
            length = min(round(part.gib / scale * cells), cells - used)
            bar.append((part.letter * length, _PART_STYLES[part.letter]))
            used += length
        limit = round(document.available_gib / scale * cells)
        writer.line(" " * (_LABEL + 3), "[", *bar, ("." * (cells - used), "dim"), "]")
        if limit < cells:
            writer.line(" " * (_LABEL + 4 + max(0, limit - 1)), ("^ available", "red"))
    legend = "  ".join(f"{part.letter} {part.name} {words.gib(part.gib)}" for part in parts)
    writer.labelled("", legend)


def _breakdown(writer: Writer, estimate: EstimateDocument, width: int) -> None:
    if not estimate.breakdown:
        return
    writer.labelled("step by kind", "")
    longest = max(len(plain(item.kind)) for item in estimate.breakdown)
    room = max(10, width - longest - 24 - _LABEL)
    for item in estimate.breakdown:
        filled, empty = writer.bar(item.share, room)
        label = plain(item.kind).ljust(longest)
        writer.line(
            " " * (_LABEL + 3), f"{label}  {words.format_seconds(item.time_s):>8}  {item.share:>4.0%} ",
            (filled, "blue"), (empty, "dim"),
        )  # fmt: skip


def _compare(writer: Writer, answer: CompareAnswer) -> None:
    writer.line((words.workload_title(answer.workload), "bold"))
    block = max(2, (writer.width - _COMPARE_LABEL) // (_COMPARE_COLUMN + _GAP))
    others = list(range(1, len(answer.estimates)))
    # The first GPU is what the others are measured against, so it leads every block of columns.
    blocks = [others[start : start + block - 1] for start in range(0, len(others), block - 1)] or [[]]
    for picked in blocks:
        writer.blank()
        _compare_block(writer, answer, [0, *picked])
    for estimate in answer.estimates:
        if estimate.warnings:
            writer.heading(f"Warnings for {words.title(estimate)}")
            writer.bullets(estimate.warnings, style="yellow")
    if answer.cpu is not None:
        writer.heading("The same on a CPU")
        writer.bullets([words.cpu(answer.cpu)])
    _remarks(writer, "Notes", answer.warnings)


def _compare_block(writer: Writer, answer: CompareAnswer, picked: Sequence[int]) -> None:
    estimates = [answer.estimates[number] for number in picked]
    rows = words.compare_rows(estimates, [answer.ratios[number] for number in picked])
    limit = max(12, (writer.width - _COMPARE_LABEL) // len(estimates) - _GAP)
    columns = [Column("", [label for label, _ in rows], style="dim")]
    for number, estimate in enumerate(estimates):
        columns.append(
            Column(_fit(words.title(estimate), limit), [_fit(cells[number], limit) for _, cells in rows])
        )
    writer.grid(columns)


def _gpus(writer: Writer, answer: GpuAnswer) -> None:
    gpus = answer.gpus
    if len(gpus) == 1 and gpus[0].entry is not None:
        _gpu_facts(writer, gpus[0])
        return
    if not gpus:
        writer.line("No GPU of the catalog matches.")
        return
    marks = ["*" if gpu.overrides else "" for gpu in gpus]
    columns = [
        Column("Id", [plain(gpu.id) + mark for gpu, mark in zip(gpus, marks, strict=True)], flexible=True),
        Column("GiB", [words.gib(gpu.memory_gib) for gpu in gpus], "right"),
        Column("GB/s", [f"{gpu.bandwidth_gb_s:.0f}" for gpu in gpus], "right"),
        Column("fp32", [f"{gpu.fp32_tflops:.1f}" for gpu in gpus], "right"),
        Column("Tensor", [words.tensor_rate(gpu) for gpu in gpus], "right"),
        Column("TDP", [_number(gpu.tdp_w, "W") for gpu in gpus], "right"),
        Column("Price", [words.price(gpu) for gpu in gpus], "right"),
        Column("$/h", [words.money(gpu.rent_usd_per_gpu_h) for gpu in gpus], "right"),
    ]
    extra = [
        Column("Name", [plain(gpu.name) for gpu in gpus]),
        Column("Architecture", [plain(gpu.architecture) for gpu in gpus]),
        Column("Segment", [plain(gpu.segment) for gpu in gpus]),
        Column("Released", [plain(gpu.released or words.UNKNOWN) for gpu in gpus]),
        Column("Free GiB", [words.gib(gpu.available_gib) for gpu in gpus], "right"),
    ]
    writer.grid(columns, extra=extra)
    dates = words.price_dates(gpus)
    writer.line((f"fp32 and Tensor in TFLOP/s, dense, as training accumulates; {dates}.", "dim"))
    if any(gpu.purchase_unverified for gpu in gpus):
        writer.line((f"{words.GUESSED}.", "dim"))
    if any(marks):
        writer.line(("* this entry replaces a shipped one.", "dim"))


def _gpu_facts(writer: Writer, gpu: GpuDocument) -> None:
    writer.line((plain(gpu.name), "bold"), f" ({plain(gpu.id)})")
    if gpu.overrides or gpu.origin != "catalog":
        replaced = ", replaces the shipped entry" if gpu.overrides else ""
        writer.line((f"from {plain(gpu.origin)}{replaced}", "yellow"))
    writer.blank()
    entry = gpu.entry or {}
    rows, sources = words.facts(entry)
    writer.grid(
        [
            Column("Field", [field for field, _, _ in rows], style="dim"),
            Column("Value", [value for _, value, _ in rows], flexible=True),
            Column("Source", [number for _, _, number in rows], "right", style="dim"),
        ]
    )
    writer.blank()
    writer.labelled("purchase", _with_source(gpu.purchase_usd, gpu.purchase_price), indent=0)
    writer.labelled("rent, hour", _with_source(gpu.rent_usd_per_gpu_h, gpu.rent_price), indent=0)
    writer.heading("Sources")
    for number, source in enumerate(sources, start=1):
        writer.labelled(str(number), source)
    _remarks(writer, words.COMPATIBILITY, words.compatibility(gpu))
    _remarks(writer, "Remarks", words.remarks(entry))


def _remarks(writer: Writer, title: str, items: Sequence[str]) -> None:
    if items:
        writer.heading(title)
        writer.bullets(items)


def _with_source(usd: float | None, source: str | None) -> str:
    text = format_money(usd)
    return text if source is None else f"{text} ({plain(source)})"


def _models(writer: Writer, answer: ModelAnswer) -> None:
    models = answer.models
    if len(models) == 1 and (models[0].dimensions is not None or models[0].sample is not None):
        _model_facts(writer, models[0])
        return
    if not models:
        writer.line("No shipped model matches.")
        return
    columns = [
        Column("Name", [plain(model.name) for model in models], flexible=True),
        Column("Family", [plain(model.family) for model in models]),
        Column("Kind", [plain(model.kind) for model in models]),
        Column("Parameters", [format_count(model.parameters) for model in models], "right"),
        Column("Active", [format_count(model.active_parameters) for model in models], "right"),
        Column("Sequence", [str(model.sequence_length or words.UNKNOWN) for model in models], "right"),
    ]
    writer.grid(columns, extra=[Column("Aliases", [plain(", ".join(model.aliases)) for model in models])])


def _model_facts(writer: Writer, model: ModelDocument) -> None:
    writer.line((plain(model.name), "bold"), f" ({plain(model.family)}, {plain(model.kind)})")
    writer.blank()
    rows: list[tuple[str, str]] = [
        ("parameters", f"{model.parameters:,}"),
        ("active", f"{model.active_parameters:,}"),
        ("source", plain(model.parameters_source)),
        ("sequence", str(model.sequence_length or words.UNKNOWN)),
        ("sample", plain(model.sample or words.UNKNOWN)),
        ("aliases", plain(", ".join(model.aliases)) or words.UNKNOWN),
    ]
    for label, text in rows:
        if text != words.UNKNOWN:
            writer.labelled(label, text, indent=0)
    if model.dimensions is None:
        return
    writer.heading("Dimensions")
    found = words.flatten(model.dimensions or {})
    writer.grid(
        [Column("Field", [field for field, _ in found]), Column("Value", [text for _, text in found])]
    )


def _number(value: float | None, unit: str) -> str:
    form: Callable[[float], str] = (
        (lambda number: f"{number:,.0f}") if (value or 0) >= 10 else "{:.2g}".format
    )
    return words.UNKNOWN if value is None else f"{form(value)} {unit}"
