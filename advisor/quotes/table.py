"""A price list as a spreadsheet wrote it: separator and heading are found, whatever stands above."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from advisor.errors import InputError
from advisor.quotes.headings import Columns, Headings
from advisor.quotes.words import ColumnName, clean

MAX_ROWS = 5000
MAX_COLUMNS = 200
_HEADING_WITHIN = 60
"""Rows in which the heading is looked for: letterheads are shorter."""
_SEPARATORS: Mapping[str, str] = {";": "semicolons", ",": "commas", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Row:
    """A row; cells are cleaned."""

    line: int
    cells: Mapping[ColumnName, str]
    first: str
    """Its first cell with text."""
    surplus: str | None
    """What stands behind the last column."""


@dataclass(frozen=True)
class Table:
    """The rows under the heading, and what was assumed to find them."""

    columns: Columns
    rows: tuple[Row, ...]
    messages: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """The text under one separator: its rows by line, and which of them is the heading."""

    separator: str
    rows: Sequence[tuple[int, Sequence[str]]]
    place: int
    columns: Columns
    fault: InputError | None
    """What is wrong behind these rows."""


def read_table(text: str, source: str, headings: Headings) -> Table:
    """Return the table in the text of a file.

    The separator is the one under which most columns of a heading are known; that says more than how often a
    character occurs, for prices hold commas as well.

    Args:
        text: CSV in any dialect.
        source: name of the file.
        headings: to know columns by.

    Raises:
        InputError: no heading is found, it leaves open which column is meant, or it is not CSV.
    """
    separators: Sequence[str] = tuple(_SEPARATORS)
    above = 0
    first, _, below = text.partition("\n")
    if first.lower().startswith("sep="):  # Excel's own way to say it
        named = first[4:5]
        separators, text, above = ((named,) if named in _SEPARATORS else separators), below, 1
    layouts: list[_Layout] = []
    faults: list[InputError] = []
    nearly: Sequence[str] = ()
    for separator in separators:
        rows: list[tuple[int, Sequence[str]]] = []
        fault: InputError | None = None
        try:
            rows.extend(_rows(text, separator, source, above))
        except InputError as error:
            fault = error
            faults.append(error)
        for place, (_, cells) in enumerate(rows[:_HEADING_WITHIN]):
            columns = headings.find(cells)
            if columns is not None:
                layouts.append(_Layout(separator, rows, place, columns, fault))
                break
            nearly = max(nearly, cells, key=headings.known)
    if not layouts:
        raise faults[0] if faults and not headings.known(nearly) else _no_heading(source, nearly, headings)
    layout = max(layouts, key=lambda each: len(each.columns))
    if layout.fault is not None:
        raise layout.fault
    line, heading = layout.rows[layout.place]
    try:
        headings.check(heading, layout.columns)
    except InputError as error:
        raise error.located(source=source, line=line) from None
    return Table(layout.columns, tuple(_body(layout)), tuple(_messages(layout)))


def _rows(text: str, separator: str, source: str, above: int) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the line on which each row starts, and its cells.

    Raises:
        InputError: not CSV, or more than is read.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = above + 1
    try:
        for count, row in enumerate(reader):
            if count >= MAX_ROWS or len(row) > MAX_COLUMNS:
                raise InputError(
                    f"more than {MAX_ROWS} rows or {MAX_COLUMNS} columns", source=source, line=line
                )
            yield line, [clean(cell) for cell in row]
            line = above + reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"not valid CSV: {error}", source=source, line=line) from None


def _no_heading(source: str, nearly: Sequence[str], headings: Headings) -> InputError:
    try:
        headings.check_chosen(nearly)
    except InputError as error:
        return error.located(source=source)
    return InputError(
        "no row heads both a column of GPUs and one of prices",
        source=source,
        value=", ".join(cell for cell in nearly if cell) or None,
        accepted="a heading such as vendor, gpu, quantity, unit_price, currency, valid_until",
        hint='name the columns of the file: --column gpu="Part" --column unit_price="Rate"',
    )


def _body(layout: _Layout) -> Iterator[Row]:
    """Yield the rows with anything in them; headings that a page break repeats are left out."""
    _, heading = layout.rows[layout.place]
    for line, cells in layout.rows[layout.place + 1 :]:
        if not any(cells) or cells == heading:
            continue
        by_field = {
            field: cells[column.index] if column.index < len(cells) else ""
            for field, column in layout.columns.items()
        }
        surplus = next((cell for cell in cells[len(heading) :] if cell), None)
        yield Row(line, by_field, next(cell for cell in cells if cell), surplus)


def _messages(layout: _Layout) -> Iterator[str]:
    line, heading = layout.rows[layout.place]
    yield f"heading in line {line}, cells separated by {_SEPARATORS.get(layout.separator, repr(layout.separator))}"
    columns = layout.columns.values()
    if read := ", ".join(
        f"{each.heading!r} as {each.field}" for each in columns if each.heading != each.field
    ):
        yield f"columns read: {read}"
    taken = {each.index for each in columns}
    if unread := ", ".join(repr(cell) for place, cell in enumerate(heading) if cell and place not in taken):
        yield f"columns not read: {unread}"
