"""The accuracy of the model as one HTML file that loads nothing: tables, and plots whose points say what they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from advisor.accuracy_documents import AccuracyAnswer, RowDocument
from advisor.render import charts
from advisor.render.accuracy import (
    CONTEST_HEADER,
    ERRORS_HEADER,
    contest_cells,
    contest_title,
    error_cells,
    left_out,
    noise_floor,
    outcomes,
    row_line,
    title,
)
from advisor.render.charts import Axis, Frame
from advisor.render.html_page import items, page, table, text
from advisor.render.scatter import Plot, plots, shown
from advisor.units import format_count

_SIZE = 760.0
_RADIUS = 3.2
_GOLDEN_ANGLE = 137.508
"""Degrees between the hues of families that follow each other: neighbours differ the most, and no two are equal."""

_STYLE = """
:root { --lightness: 38%; } @media (prefers-color-scheme: dark) { :root { --lightness: 65%; } }
@media print { :root { --lightness: 38%; } }
.perfect { fill: none; stroke: var(--ink); stroke-dasharray: 5 4; }
.point { fill-opacity: .55; } .point:hover { fill-opacity: 1; }
"""


def render(answer: AccuracyAnswer) -> str:
    """Return the answer as a self-contained HTML document."""
    families = sorted({row.family for row in answer.rows})
    parts = [
        "<main><h1>Predicted against published</h1>",
        f"<p>{text(title(answer))}.</p>",
        *table("Errors", ERRORS_HEADER, error_cells(answer.sections), words=(0, 1)),
        f"<p>{text(outcomes(answer))}</p>",
        f"<p>{text(noise_floor(answer) or '')}</p>",
        "<h2>Measured against predicted</h2>",
        "<p>Both axes are logarithmic; the dashed line is a perfect prediction. Each point names its run.</p>",
    ]
    for number, plot in enumerate(plots(answer)):
        parts += _plot(plot, number, families)
    parts.append("<h2>Against simpler methods</h2>")
    for contest in answer.contests:
        parts += table(contest_title(contest), CONTEST_HEADER, contest_cells(contest))
    for section in answer.sections:
        if section.groups:
            caption = f"{section.title}, by {answer.by}"
            parts += table(caption, ERRORS_HEADER, error_cells(section.groups), words=(0, 1))
    parts += items("Farthest off under the shipped constants", [row_line(row) for row in answer.worst])
    parts += items("Not predicted", left_out(answer))
    parts += items("Notes", answer.notes)
    style = charts.STYLE + _STYLE + _colors(families)
    return page(f"gpu-advisor accuracy: {title(answer)}", [*parts, "</main>"], style=style)


def _colors(families: Sequence[str]) -> str:
    return "\n".join(
        f".f{number} {{ fill: hsl({number * _GOLDEN_ANGLE % 360:.1f} 70% var(--lightness)); }}"
        for number in range(len(families))
    )


def _plot(plot: Plot, number: int, families: Sequence[str]) -> Iterator[str]:
    """Yield a plot with its axes, its points and its legend."""
    ends = 10.0**plot.low, 10.0**plot.high
    predicted, measured = (Axis(name, *ends, True, format_count) for name in ("predicted", "measured"))
    frame = Frame(predicted, measured, width=_SIZE, height=_SIZE)
    order = {family: index for index, family in enumerate(families)}

    def body() -> Iterator[str]:
        yield from frame.axes()
        yield frame.path([(end, end) for end in ends], "perfect")
        for row in plot.rows:
            place = frame.x(shown(row)), frame.y(row.measured)
            yield _mark(order[row.family], *place, row_title(row))

    described = f"{plot.title}: {len(plot.rows):,} published figures against their predictions"
    yield from charts.figure(
        f"plot{number}", plot.title, described, body(), width=_SIZE, height=_SIZE, caption=plot.title
    )
    present = {row.family for row in plot.rows}
    yield from charts.legend(
        (_mark(order[family], 6, 6, family), family) for family in families if family in present
    )


def row_title(row: RowDocument) -> str:
    """Return what a point says when the pointer rests on it."""
    kind = "shipped constants" if row.unseen is None else "unseen"
    return f"{row_line(row)}; drawn: {shown(row):.4g} ({kind})"


def _mark(family: int, across: float, down: float, says: str) -> str:
    """Return the symbol of a family at a place."""
    shape = charts.SHAPES[family % len(charts.SHAPES)]
    return charts.mark(shape, f"point f{family}", across, down, _RADIUS, says)
