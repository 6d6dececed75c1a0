"""The accuracy of the model as one HTML file that loads nothing: tables, and plots whose points say what they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from advisor.accuracy_documents import AccuracyAnswer, RowDocument
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
from advisor.render.scatter import Plot, decade, plots, shown
from advisor.units import plain

_SIZE = 640.0
_MARGIN = 64.0
_RADIUS = 3.2
_GOLDEN_ANGLE = 137.508
"""Degrees between the hues of families that follow each other: neighbours differ the most, and no two are equal."""

_SHAPES = ("circle", "square", "diamond", "triangle")
"""A family has a shape beside its colour, for readers who do not see colours."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #8a8a8a; --lightness: 38%; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #161616; --line: #8a8a8a; --lightness: 65%; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { padding: .15rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, .words { text-align: left; }
svg { width: 100%; height: auto; max-width: 46rem; display: block; }
svg text { fill: var(--ink); font-size: 13px; }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg .perfect { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 5 4; }
.point { fill-opacity: .55; stroke: var(--paper); stroke-width: .4; }
.point:hover { fill-opacity: 1; stroke: var(--ink); stroke-width: 1.5; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; font-size: 14px; }
.legend svg { width: 1em; display: inline-block; vertical-align: -.1em; }
"""


def render(answer: AccuracyAnswer) -> str:
    """Return the answer as a self-contained HTML document."""
    families = sorted({row.family for row in answer.rows})
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>gpu-advisor accuracy: {_text(title(answer))}</title>",
        f"<style>{_STYLE}{_colors(families)}</style></head><body><main>",
        "<h1>Predicted against published</h1>",
        f"<p>{_text(title(answer))}.</p>",
        *_table("Errors", ERRORS_HEADER, error_cells(answer.sections), words=2),
        f"<p>{_text(outcomes(answer))}</p>",
        f"<p>{_text(noise_floor(answer) or '')}</p>",
        "<h2>Measured against predicted</h2>",
        "<p>Both axes are logarithmic; the dashed line is a perfect prediction. Each point names its run.</p>",
    ]
    for number, plot in enumerate(plots(answer)):
        parts += _plot(plot, number, families)
    parts.append("<h2>Against simpler methods</h2>")
    for contest in answer.contests:
        parts += _table(contest_title(contest), CONTEST_HEADER, contest_cells(contest))
    for section in answer.sections:
        if section.groups:
            caption = f"{section.title}, by {answer.by}"
            parts += _table(caption, ERRORS_HEADER, error_cells(section.groups), words=2)
    parts += _list("Farthest off under the shipped constants", [row_line(row) for row in answer.worst])
    parts += _list("Not predicted", left_out(answer))
    parts += _list("Notes", answer.notes)
    return "\n".join((*parts, "</main></body></html>", ""))


def _text(text: str) -> str:
    return escape(plain(text))


def _list(heading: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    return [f"<h2>{_text(heading)}</h2><ul>", *(f"<li>{_text(item)}</li>" for item in items), "</ul>"]


def _table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1
) -> Iterator[str]:
    """Yield a table whose first ``words`` columns hold words."""

    def cells(tag: str, row: Sequence[str]) -> str:
        kinds = [' class="words"' if number < words else "" for number in range(len(row))]
        scope = ' scope="col"' if tag == "th" else ""
        found = (f"<{tag}{scope}{kind}>{_text(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))
        return f"<tr>{''.join(found)}</tr>"

    yield f"<table><caption>{_text(caption)}</caption><thead>{cells('th', header)}</thead><tbody>"
    yield from (cells("td", row) for row in rows)
    yield "</tbody></table>"


def _colors(families: Sequence[str]) -> str:
    return "\n".join(
        f".f{number} {{ fill: hsl({number * _GOLDEN_ANGLE % 360:.1f} 70% var(--lightness)); }}"
        for number in range(len(families))
    )


def _plot(plot: Plot, number: int, families: Sequence[str]) -> Iterator[str]:
    """Yield a plot with its axes, its points and its legend."""
    whole = _SIZE + 2 * _MARGIN
    yield f'<figure><svg viewBox="0 0 {whole:g} {whole:g}" role="img" aria-labelledby="plot{number}">'
    described = f"{plot.title}: {len(plot.rows):,} published figures against their predictions"
    yield f'<title id="plot{number}">{_text(described)}</title>'
    yield from _axes(plot)
    order = {family: index for index, family in enumerate(families)}
    for row in plot.rows:
        across = _MARGIN + plot.place(shown(row)) * _SIZE
        down = _MARGIN + (1 - plot.place(row.measured)) * _SIZE
        yield _mark(order[row.family], across, down, row_title(row))
    yield "</svg>"
    yield f"<figcaption>{_text(plot.title)}</figcaption></figure>"
    present = {row.family for row in plot.rows}
    yield '<ul class="legend">'
    for family in families:
        if family in present:
            symbol = _mark(order[family], 5, 5, family)
            yield (f'<li><svg viewBox="0 0 10 10" aria-hidden="true">{symbol}</svg> {_text(family)}</li>')
    yield "</ul>"


def row_title(row: RowDocument) -> str:
    """Return what a point says when the pointer rests on it."""
    kind = "shipped constants" if row.unseen is None else "unseen"
    return f"{row_line(row)}; drawn: {shown(row):.4g} ({kind})"


def _axes(plot: Plot) -> Iterator[str]:
    first, last = _MARGIN, _MARGIN + _SIZE
    yield (
        f'<path class="axis" fill="none" d="M{first:g} {first:g}V{last:g}H{last:g}"/>'
        f'<path class="perfect" d="M{first:g} {last:g}L{last:g} {first:g}"/>'
    )
    for each in plot.decades:
        along = plot.place(10.0**each) * _SIZE
        label = _text(decade(each))
        yield f'<text x="{first + along:.1f}" y="{last + 20:g}" text-anchor="middle">{label}</text>'
        yield f'<text x="{first - 8:g}" y="{last - along + 4:.1f}" text-anchor="end">{label}</text>'
    middle = _MARGIN + _SIZE / 2
    yield f'<text x="{middle:g}" y="{last + 44:g}" text-anchor="middle">predicted</text>'
    yield f'<text x="{first:g}" y="{first - 16:g}" text-anchor="middle">measured</text>'


def _mark(family: int, across: float, down: float, says: str) -> str:
    """Return the symbol of a family at a place."""
    size = _RADIUS
    style = f'class="point f{family}"'
    match _SHAPES[family % len(_SHAPES)]:
        case "circle":
            shape = f'<circle {style} cx="{across:.1f}" cy="{down:.1f}" r="{size:g}"'
        case "square":
            path = f"M{across - size:.1f} {down - size:.1f}h{2 * size:g}v{2 * size:g}h-{2 * size:g}z"
            shape = f'<path {style} d="{path}"'
        case "diamond":
            path = f"M{across:.1f} {down - 1.3 * size:.1f}l{1.3 * size:.1f} {1.3 * size:.1f}"
            path += f"l-{1.3 * size:.1f} {1.3 * size:.1f}l-{1.3 * size:.1f} -{1.3 * size:.1f}z"
            shape = f'<path {style} d="{path}"'
        case _:
            path = (
                f"M{across:.1f} {down - 1.2 * size:.1f}l{1.2 * size:.1f} {2.2 * size:.1f}h-{2.4 * size:.1f}z"
            )
            shape = f'<path {style} d="{path}"'
    closing = "circle" if shape.startswith("<circle") else "path"
    return f"{shape}><title>{_text(says)}</title></{closing}>"
