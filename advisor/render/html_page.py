"""What every HTML report shares: the page, its style, escaped text, lists and tables that a script may sort."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from advisor.units import plain

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --faint: #5b5b5b; --paper: #fff; --line: #b9b9b9; --shade: #f3f5f7;
  --blue: #0072b2; --sky: #56b4e9; --green: #009e73; --orange: #e69f00; --vermillion: #d55e00; --purple: #cc79a7;
  --yellow: #f0e442; --grey: #bdbdbd; --alarm: #b34700; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --faint: #a9a9a9; --paper: #161616; --line: #565656; --shade: #222527; --blue: #3b9fdc;
    --alarm: #ff9a4d; }
}
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 78rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { margin-top: 2.2rem; } h3 { margin: 1.6rem 0 .4rem; }
p, li, dd { max-width: 60rem; }
.answer { background: var(--shade); border-left: .4rem solid var(--blue); padding: .6rem 1rem; font-size: 1.1rem; }
.faint { color: var(--faint); font-size: .875rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th.w, td.w { text-align: left; } tbody th { font-weight: 600; } thead th { vertical-align: bottom; }
table.sortable { font-size: .875rem; } table.sortable :is(th, td) { padding: .2rem .45rem; }
table.sortable td:not(.w) { white-space: nowrap; }
td.w { min-width: 9rem; overflow-wrap: anywhere; } table.sortable td.w:last-child { min-width: 15rem; }
tbody th.w { min-width: 7rem; }
th button { all: unset; cursor: pointer; text-decoration: underline dotted; }
th button:focus-visible { outline: 2px solid var(--blue); }
th[aria-sort=ascending] button::after { content: "\\a0\\2191"; color: var(--ink); }
th[aria-sort=descending] button::after { content: "\\a0\\2193"; color: var(--ink); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .6rem 0; }
dt { color: var(--faint); } dd { margin: 0; }
@media (max-width: 40rem) { dl { display: block; } dd { margin: 0 0 .4rem; } }
figure { margin: 1rem 0; } figcaption { font-size: .875rem; color: var(--faint); max-width: 60rem; }
svg { display: block; width: 100%; min-width: 34rem; max-width: 46rem; height: auto; }
svg text { fill: var(--ink); font-size: 13px; }
svg .label { paint-order: stroke; stroke: var(--paper); stroke-width: 3; }
svg .axis { stroke: var(--faint); fill: none; } svg .tick { stroke: var(--line); stroke-width: .5; fill: none; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; font-size: .875rem; }
.legend svg { display: inline-block; width: 1.1em; min-width: 0; vertical-align: -.15em; }
summary { cursor: pointer; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); color: var(--faint); font-size: .875rem; }
@page { size: A4; margin: 14mm 12mm; }
@media print {
  :root { color-scheme: light; --ink: #000; --faint: #444; --paper: #fff; --line: #bbb; --shade: #fff; --blue: #0072b2;
    --alarm: #b34700; }
  body { font-size: 10pt; margin: 0; padding: 0; max-width: none; }
  h1 { font-size: 15pt; } h2 { font-size: 12pt; margin-top: 1.2rem; } .answer { font-size: 10.5pt; }
  table, table.sortable { font-size: 7.5pt; } .faint, figcaption { font-size: 8.5pt; }
  th, td, table.sortable :is(th, td) { padding: .1rem .25rem; } th button { display: contents; }
  .scroll { overflow: visible; }
  table.sortable td:not(.w) { white-space: normal; }
  table td.w, table.sortable td.w:last-child, tbody th.w { min-width: 0; }
  td svg { width: 4rem !important; min-width: 0 !important; }
  h2, h3, caption { break-after: avoid; } tr, figure, dl > *, li { break-inside: avoid; }
  thead { display: table-header-group; break-inside: avoid; }
  svg { min-width: 0; max-width: 135mm; }
}
"""

_SORT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column], value = cell.dataset.v;
    return value === undefined ? cell.textContent : value === "" ? null : Number(value);
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      body.append(...[...body.rows].sort((one, other) => {
        const a = key(one, column), b = key(other, column);
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
      }));
    };
  });
}
"""


class Cell(NamedTuple):
    """A cell of a table: outside text, a number to sort by, and markup of ours that follows the text.

    ``sort`` is nan where the number is not known: such rows stay last, whichever way the column is sorted.
    """

    text: str
    sort: float | None = None
    markup: str = ""


def text(outside: str) -> str:
    """Return outside text, inert in HTML and in attributes."""
    return escape(plain(outside))


def page(title: str, body: Iterable[str], *, style: str = "") -> str:
    """Return a self-contained document; its policy lets run nothing but the one script of the tables.

    Args:
        title: outside text for the title of the window.
        body: markup.
        style: rules beside the common ones.
    """
    content = "\n".join(body)
    rules = _STYLE + style
    script = _SORT if 'class="sortable"' in content else ""
    policy = f"default-src 'none'; style-src '{_digest(rules)}'"
    policy += f"; script-src '{_digest(script)}'" if script else ""
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(title)}</title>",
        f"<style>{rules}</style></head><body>",
        content,
        *((f"<script>{script}</script>",) if script else ()),
        "</body></html>",
        "",
    ]
    return "\n".join(lines)


def _digest(inline: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}"


def items(heading: str, listed: Sequence[str], *, level: int = 2) -> list[str]:
    """Return a heading and a list of outside texts, nothing where the list is empty."""
    if not listed:
        return []
    return [
        f"<h{level}>{text(heading)}</h{level}><ul>",
        *(f"<li>{text(item)}</li>" for item in listed),
        "</ul>",
    ]


def definitions(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return labels with what they stand for."""
    return [
        "<dl>",
        *(f"<dt>{text(label)}</dt><dd>{text(meaning)}</dd>" for label, meaning in pairs),
        "</dl>",
    ]


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str | Cell]],
    *,
    words: Collection[int] = (0,),
    named_by: int = 0,
    sortable: bool = False,
) -> Iterator[str]:
    """Yield a table.

    Args:
        caption: what it shows.
        header: titles of the columns.
        rows: outside texts, or cells.
        words: columns that hold words; the others are aligned to the right.
        named_by: column that names its row.
        sortable: whether a click on a title sorts.
    """
    kinds = [' class="w"' if number in words else "" for number in range(len(header))]
    titles = "".join(
        f'<th scope="col"{kind}>{text(title)}</th>' for kind, title in zip(kinds, header, strict=True)
    )
    opening = '<table class="sortable">' if sortable else "<table>"
    yield f'<div class="scroll" tabindex="0" role="group" aria-label="{text(caption)}">{opening}'
    yield f"<caption>{text(caption)}</caption><thead><tr>{titles}</tr></thead><tbody>"
    for row in rows:
        found = (
            _cell(cell, kind, names=number == named_by)
            for number, (cell, kind) in enumerate(zip(row, kinds, strict=True))
        )
        yield f"<tr>{''.join(found)}</tr>"
    yield "</tbody></table></div>"


def _cell(cell: str | Cell, kind: str, *, names: bool) -> str:
    given = Cell(cell) if isinstance(cell, str) else cell
    value = ""
    if given.sort is not None:
        # nan is the only number that differs from itself.
        value = f' data-v="{given.sort:.6g}"' if given.sort == given.sort else ' data-v=""'
    # An empty cell names nothing: the row belongs to the one above.
    opening, closing = ('th scope="row"', "th") if names and given.text else ("td", "td")
    return f"<{opening}{kind}{value}>{text(given.text)}{given.markup}</{closing}>"
