"""What must hold of everything that leaves the program, whatever went in."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from contextlib import redirect_stderr
from html.parser import HTMLParser
from typing import NoReturn

from advisor import diagnostics
from advisor.errors import AdvisorError
from advisor.quantity import Model
from advisor.render.csv import render as render_csv
from advisor.render.html import render as render_html
from advisor.render.html_page import _SORT
from advisor.render.json import render as render_json
from advisor.render.json import render_line
from advisor.render.markdown import render as render_markdown
from advisor.render.table import Page
from advisor.render.table import render as render_table

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_INJECTED_LINE = re.compile(r"^break", re.MULTILINE)
_BACKSLASHES = re.compile(r"(\\*)(<(?:script|img)|\]\(javascript)")
_VOID = frozenset(
    {
        "meta",
        "link",
        "br",
        "hr",
        "img",
        "input",
        "path",
        "rect",
        "circle",
        "line",
        "polyline",
        "polygon",
        "use",
        "stop",
    }
)


class UnsafeError(AssertionError):
    """Something came out that steers a terminal, a browser or a spreadsheet, or cannot be read back."""


def check_text(text: str, what: str) -> None:
    """Refuse characters that steer a terminal, text that has no encoding, and lines that a name began."""
    if found := _STEERING.search(text):
        place = max(0, found.start() - 30)
        raise UnsafeError(f"{what}: {found.group()!r} in {text[place : found.end() + 20]!r}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnsafeError(f"{what}: {error}") from None
    if found := _INJECTED_LINE.search(text):
        raise UnsafeError(f"{what}: a name begins a line: {text[max(0, found.start() - 40) : found.end()]!r}")


def _refuse(constant: str) -> NoReturn:
    raise UnsafeError(f"JSON: {constant}")


def check_json(text: str, what: str = "JSON") -> None:
    """Refuse what is no JSON, and numbers that are none."""
    json.loads(text, parse_constant=_refuse)
    check_text(text.replace("\\u", "u"), what)


def check_csv(text: str) -> None:
    """Refuse ragged rows and cells that a spreadsheet runs."""
    check_text(text, "CSV")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    for row in rows:
        if len(row) != len(rows[0]):
            raise UnsafeError(f"CSV: {len(row)} cells of {len(rows[0])}")
        for cell in row:
            if cell.startswith(
                ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
            ) and not _is_number(cell):
                raise UnsafeError(f"CSV: a formula: {cell[:80]!r}")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def check_markdown(text: str) -> None:
    """Refuse markup of a name, and tables that it broke."""
    check_text(text, "Markdown")
    for found in _BACKSLASHES.finditer(text):
        if len(found.group(1)) % 2 == 0:
            raise UnsafeError(f"Markdown: {text[max(0, found.start() - 40) : found.end() + 20]!r}")
    columns = 0
    for line in text.splitlines():
        if not line.startswith("|"):
            columns = 0
            continue
        cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line))
        if columns and cells != columns:
            raise UnsafeError(f"Markdown: a row of {cells - 1} cells, not {columns - 1}: {line[:200]!r}")
        columns = cells


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "iframe", "object", "embed", "base", "form"):
            raise UnsafeError(f"HTML: <{tag}>")
        for name, value in attrs:
            runs = name in ("href", "src", "action", "style") and "javascript:" in (value or "").lower()
            if runs or name.startswith("on"):
                raise UnsafeError(f"HTML: {name}={value!r}")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID or tag in ("p", "li", "td", "th", "tr", "tbody", "thead"):
            if self.open and self.open[-1] == tag:
                self.open.pop()
            return
        while self.open and self.open[-1] in ("p", "li", "td", "th", "tr", "tbody", "thead"):
            self.open.pop()
        if not self.open or self.open.pop() != tag:
            raise UnsafeError(f"HTML: </{tag}> closes nothing")


def check_html(text: str) -> None:
    """Refuse scripts, handlers and markup that a name opened or closed."""
    check_text(text.replace("\n", " "), "HTML")
    # The page's own script sorts tables; its policy names it by a digest, and nothing else runs.
    if "<script" in text.replace(f"<script>{_SORT}</script>", "").lower():
        raise UnsafeError("HTML: <script")
    reader = _Reader()
    reader.feed(text)
    reader.close()


def check_answer(rng: random.Random, answer: Model, *, others: float = 0.3) -> None:
    """Render an answer as JSON, and in a share of all cases in one of the other forms too."""
    check_json(render_json(answer))
    if rng.random() >= others:
        return
    form = rng.choice(("table", "table", "markdown", "csv", "html"))
    if form == "table":
        check_text(render_table(answer, Page(rng.choice((40, 80, 120, 300)))), "table")
    elif form == "markdown":
        check_markdown(render_markdown(answer))
    elif form == "csv":
        check_csv(render_csv(answer))
    else:
        check_html(render_html(answer))


def check_error(error: AdvisorError) -> str:
    """Report an error as the program does, and return its kind in a word."""
    said = io.StringIO()
    with redirect_stderr(said):
        diagnostics.report_error(error, color=False)
    check_text(said.getvalue(), "stderr")
    check_json(render_line(diagnostics.error_answer(error), exclude_none=True), "error as JSON")
    return {2: "refused", 3: "outside", 4: "extra"}[int(error.exit_code)]
