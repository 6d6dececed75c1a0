"""How one file writes numbers, dates and currencies: what a cell leaves open, the others of its column decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from advisor.errors import InputError
from advisor.quotes.amounts import Codes, DecimalMark, Number, decimal_mark, price, stated
from advisor.quotes.headings import KINDS_OF_PRICE, Columns
from advisor.quotes.offers import Assumptions
from advisor.quotes.quantities import numbers
from advisor.quotes.table import Row
from advisor.quotes.times import DateOrder, date_order
from advisor.quotes.words import ColumnName, QuoteWords

PRICES: tuple[ColumnName, ...] = (*KINDS_OF_PRICE, "total_price")
_COUNTS: tuple[ColumnName, ...] = ("quantity", "gpus_per_instance")
_DATES: tuple[ColumnName, ...] = ("valid_until", "date")


@dataclass(frozen=True)
class Conventions:
    """Of one file; None is not known."""

    marks: Mapping[ColumnName, DecimalMark | None]
    orders: Mapping[ColumnName, DateOrder | None]
    currency: str | None
    """Of prices that name none."""
    messages: tuple[str, ...]


def conventions(
    rows: Sequence[Row], columns: Columns, words: QuoteWords, assumed: Assumptions
) -> Conventions:
    """Return how the rows of a table write what can be written in several ways.

    Args:
        rows: that hold offers.
        columns: of the table.
        words: that stand in cells.
        assumed: what the user says; it comes first.
    """
    marks, about_numbers = _decimal_marks(rows, columns, words, assumed)
    dates = {name: list(_cells(rows, name)) for name in _DATES if name in columns}
    everywhere = date_order((cell for cells in dates.values() for cell in cells), words)
    orders = {
        name: assumed.date_order or date_order(cells, words) or everywhere for name, cells in dates.items()
    }
    currency, about_currency = _only_currency(rows, columns, words)
    if assumed.currency is not None:
        currency, about_currency = assumed.currency, ()
    return Conventions(marks, orders, currency, (*about_numbers, *about_currency))


def price_column(row: Row) -> ColumnName | None:
    """Return the column in which a row has its price; a total only where there is nothing else."""
    return next((name for name in PRICES if row.cells.get(name)), None)


def currency_names(row: Row, columns: Columns, words: QuoteWords) -> tuple[Codes, ...]:
    """Return what the cells of a row and the heading of its price say about the currency."""
    name = price_column(row)
    said = [*stated(row.cells.get("currency", ""), words).currencies]
    if name is not None:
        said.extend((*stated(row.cells[name], words).currencies, *columns[name].currencies))
    return tuple(said)


def _cells(rows: Sequence[Row], name: ColumnName) -> Iterator[str]:
    return (row.cells[name] for row in rows if row.cells.get(name))


def _decimal_marks(
    rows: Sequence[Row], columns: Columns, words: QuoteWords, assumed: Assumptions
) -> tuple[dict[ColumnName, DecimalMark | None], tuple[str, ...]]:
    found = {name: list(_numbers(rows, name, words)) for name in (*PRICES, *_COUNTS) if name in columns}
    marks: dict[ColumnName, DecimalMark | None] = {}
    for name, own in found.items():
        others = [number for other, numbers in found.items() if other != name for number in numbers]
        # A column that contradicts itself is not decided by others.
        proved = any(number.evidence for number in own)
        marks[name] = assumed.decimal or decimal_mark(own if proved else others)
    used = sorted({mark for mark in marks.values() if mark is not None})
    open_ones = any(number.point != number.comma for numbers in found.values() for number in numbers)
    return marks, (f"numbers have a decimal {' or a decimal '.join(used)}",) if used and open_ones else ()


def _numbers(rows: Sequence[Row], name: ColumnName, words: QuoteWords) -> Iterator[Number]:
    for cell in _cells(rows, name):
        if name in _COUNTS:
            yield from (number for number in numbers(cell, words) if number is not None)
            continue
        try:
            yield price(cell, words).number
        except InputError:
            continue  # said when its row is read


def _only_currency(
    rows: Sequence[Row], columns: Columns, words: QuoteWords
) -> tuple[str | None, tuple[str, ...]]:
    """Return the currency of a file in which all prices that name one name the same, and say that it was taken."""
    named = [currency_names(row, columns, words) for row in rows]
    allowed = [
        [code for code in names[0] if all(code in codes for codes in names)] for names in named if names
    ]
    certain = {codes[0] for codes in allowed if len(codes) == 1}
    if len(certain) != 1:
        return None, ()
    (code,) = certain
    if all(named):
        return code, ()
    return code, (f"prices that name no currency read as {code}, as the others of the file are",)
