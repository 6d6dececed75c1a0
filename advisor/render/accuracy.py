"""The accuracy of the model as tables and plots for a terminal, and the cells that every other format shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from advisor.accuracy_documents import (
    AccuracyAnswer,
    ContestDocument,
    ErrorsDocument,
    GroupDocument,
    RankingDocument,
    RowDocument,
)
from advisor.render import words
from advisor.render.scatter import canvas, plots
from advisor.render.table import Column, Page, Writer
from advisor.units import plain

PLOT_WIDTH = 80
PLOT_HEIGHT = 22
"""With its title and the name of its axis a plot has 24 lines."""

ERRORS_HEADER = ("", "With", "Rows", "Median", "Mean", "P90", "Bias", "Inside", "Width")
CONTEST_HEADER = ("Method", "Median", "Mean", "P90", "Order", "Over 10 %", "Lost", "P90 lost")
AXES = "measured (upwards) against predicted (to the right), both logarithmic; / is a perfect prediction"


def render(answer: AccuracyAnswer, page: Page) -> str:
    """Return the answer as text for a terminal of the width of ``page``."""
    writer = Writer(page)
    writer.line(("Predicted against published", "bold"), f": {title(answer)}")
    writer.blank()
    _grid(writer, ERRORS_HEADER, error_cells(answer.sections))
    writer.blank()
    writer.line(outcomes(answer))
    if floor := noise_floor(answer):
        writer.line(floor)
    for section in answer.sections:
        if section.groups:
            writer.heading(f"{section.title}, by {answer.by}")
            _grid(writer, ERRORS_HEADER, error_cells(section.groups))
    for contest in answer.contests:
        writer.heading(contest_title(contest))
        _grid(writer, CONTEST_HEADER, contest_cells(contest))
    for plot in plots(answer):
        writer.heading(plot.title)
        width = min(page.width, PLOT_WIDTH)
        for line in canvas(plot, width=width, height=PLOT_HEIGHT, ascii_only=page.ascii):
            writer.line(line)
    writer.line((AXES, "dim"))
    if answer.worst:
        writer.heading("Farthest off under the shipped constants")
        writer.bullets(row_line(row) for row in answer.worst)
    if answer.left_out:
        writer.heading(f"Not predicted: {len(answer.left_out)} published runs")
        writer.bullets(left_out(answer))
    writer.heading("Notes")
    writer.bullets(answer.notes)
    return writer.text()


def title(answer: AccuracyAnswer) -> str:
    """Return how much is compared, and with which constants."""
    outcome_count = answer.outcomes.failed + answer.outcomes.ran
    figures = len(answer.rows) - outcome_count
    return f"{figures:,} figures and {outcome_count:,} outcomes, constants of {answer.constants_date}"


def error_cells(groups: Iterable[GroupDocument]) -> list[tuple[str, ...]]:
    """Return the cells under :data:`ERRORS_HEADER`: a line for unseen, one for shipped constants."""
    found: list[tuple[str, ...]] = []
    for group in groups:
        name = plain(group.name)
        if group.unseen is not None:
            found.append((name, "unseen", *_errors(group.unseen)))
            name = ""
        found.append((name, "shipped", *_errors(group.shipped)))
    return found


def contest_title(contest: ContestDocument) -> str:
    """Return what is compared with simpler methods, and on how many rows."""
    ranked = contest.methods[0].ranking
    pairs = (
        ""
        if ranked is None
        else f", {ranked.pairs:,} pairs of GPUs in {ranked.settings:,} settings ({ranked.clear_pairs:,} over 10 %)"
    )
    return f"Against simpler methods. {contest.title}: {contest.rows:,} rows{pairs}"


def contest_cells(contest: ContestDocument) -> list[tuple[str, ...]]:
    """Return the cells under :data:`CONTEST_HEADER`, a line for each method."""
    return [
        (method.title, *(share(value) for value in (method.median, method.mean, method.p90)),
         *_ranking(method.ranking))
        for method in contest.methods
    ]  # fmt: skip


def noise_floor(answer: AccuracyAnswer) -> str | None:
    """Return in words how far published figures disagree among themselves."""
    floor = answer.noise_floor
    if floor is None:
        return None
    return (
        f"Noise floor: sources that ran the same model, GPU, precision and batch differ by a factor of "
        f"{floor.between_sources_median:.2f} in the median and {floor.between_sources_p90:.2f} in the worst tenth "
        f"({floor.between_sources_settings} configurations), and versions within one source by "
        f"{floor.between_versions_median:.2f} and {floor.between_versions_p90:.2f} "
        f"({floor.between_versions_settings})."
    )


def outcomes(answer: AccuracyAnswer) -> str:
    """Return in a sentence how often runs are wrongly said to fit or not to fit."""
    found = answer.outcomes
    return (
        f"Of {found.failed:,} published runs that ran out of memory {found.failed_called_fitting:,} are called "
        f"fitting; of {found.ran:,} that ran {found.ran_called_failing:,} are refused."
    )


def row_line(row: RowDocument) -> str:
    """Return one figure beside its prediction."""
    where = f"{row.count} x {row.gpu}" if row.count > 1 else row.gpu
    kind = f" {row.memory_kind}" if row.memory_kind else ""
    return plain(
        f"{row.model} ({row.family}, {row.method}, {row.precision}) on {where}: measured {amount(row.measured)}, "
        f"predicted {amount(row.predicted)} {row.unit}{kind} [{row.source} {row.row}, {row.date}]"
    )


def left_out(answer: AccuracyAnswer) -> list[str]:
    """Return the reasons why runs are not predicted, the most frequent first."""
    reasons = Counter(each.reason for each in answer.left_out)
    return [f"{number:,}: {reason}" for reason, number in reasons.most_common()]


def amount(value: float) -> str:
    """Return a figure with the digits that matter."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def share(value: float | None) -> str:
    """Return a share in percent, with a digit after the point where it is small."""
    return words.UNKNOWN if value is None else f"{value:.1%}" if abs(value) < 0.0995 else f"{value:.0%}"


def _errors(found: ErrorsDocument) -> tuple[str, ...]:
    return (
        f"{found.rows:,}", share(found.median), share(found.mean), share(found.p90),
        ("+" if found.bias >= 0 else "") + share(found.bias), share(found.coverage), f"x{found.width:.2f}",
    )  # fmt: skip


def _ranking(found: RankingDocument | None) -> tuple[str, ...]:
    if found is None:
        return (words.UNKNOWN,) * 4
    return tuple(
        share(value)
        for value in (found.agreement, found.clear_agreement, found.regret_mean, found.regret_p90)
    )


def _grid(writer: Writer, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write cells as a grid; columns from the first number on are aligned to the right."""
    numeric = header.index("Median") - (1 if "Rows" in header else 0)
    writer.grid(
        [
            Column(
                name, [row[number] for row in rows], "right" if number >= numeric else "left",
                flexible=number == 0,
            )
            for number, name in enumerate(header)
        ]
    )  # fmt: skip
