"""The rows of a price list as offers."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from advisor.errors import InputError
from advisor.quotes.amounts import Price, currency_of, price, stated, vat_percent
from advisor.quotes.conventions import PRICES, Conventions, conventions, currency_names, price_column
from advisor.quotes.faults import Faults, about
from advisor.quotes.offers import HOURS_OF_A_MONTH, Assumptions, Offer
from advisor.quotes.quantities import Range, quantity
from advisor.quotes.table import Row, Table
from advisor.quotes.times import day, lead_time_days
from advisor.quotes.words import ColumnName, Per, QuoteWords, fold

_PER_OF_HEADING: Mapping[ColumnName, Per] = {"hour_price": "hour", "gpu_hour_price": "GPU-hour"}


def read_rows(
    table: Table, words: QuoteWords, assumed: Assumptions, faults: Faults
) -> tuple[tuple[Offer, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the offers of a table, what was assumed, and what was left out.

    Args:
        table: a price list.
        words: that stand in cells.
        assumed: what the user says about the file.
        faults: takes what is wrong with a row.
    """
    left_out = {row.line: reason for row in table.rows if (reason := _no_offer(row, words))}
    rows = [row for row in table.rows if row.line not in left_out]
    reader = _RowReader(table, words, conventions(rows, table.columns, words, assumed))
    offers = reader.read(rows, faults)
    return offers, tuple(reader.messages), tuple(left_out.values())


def _no_offer(row: Row, words: QuoteWords) -> str | None:
    """Return why a row is left out: a total, shipping, the title of a section; None where it is an offer."""
    product = row.cells["gpu"]
    prices = [row.cells[name] for name in PRICES if row.cells.get(name)]
    shown = repr(product or row.first)
    if any(f"{fold(product or row.first)} ".startswith(f"{word} ") for word in words.other_lines):
        return f"line {row.line} left out, no GPU: {shown}"
    if not prices or fold(prices[0]) in words.not_stated:
        return f"line {row.line} left out, no price: {shown}"
    return None


class _RowReader:
    """Reads the rows of one table."""

    def __init__(self, table: Table, words: QuoteWords, conventions: Conventions) -> None:
        self._columns = table.columns
        self._words = words
        self._conventions = conventions
        self.messages = [*table.messages, *conventions.messages]

    def read(self, rows: Sequence[Row], faults: Faults) -> tuple[Offer, ...]:
        found: list[Offer] = []
        for row in rows:
            with faults.at(f"line {row.line}"):
                found.append(self._offer(row))
        return tuple(found)

    def _offer(self, row: Row) -> Offer:
        cells = row.cells
        if row.surplus is not None:
            raise InputError(
                "more cells than the heading has",
                value=row.surplus,
                hint="a text that holds the separator needs quotes around it, and so does a price",
            )
        if not cells["gpu"]:
            raise InputError("the row names no GPU", field=self._name("gpu"), hint="write it into every row")
        name = price_column(row) or "unit_price"
        with self._in(name):
            read = price(cells[name], self._words)
        held = self._quantity(row)
        per = self._per(row, name, read)
        return Offer(
            where=f"line {row.line}",
            product=cells["gpu"],
            price=self._amount(row, name, held, per),
            currency=self._currency(row, name),
            per=per,
            vendor=cells.get("vendor") or None,
            least=held.least,
            most=held.most,
            gpus_per_instance=self._gpus(row),
            valid_until=self._day(row, "valid_until"),
            lead_time_days=self._lead_time(row),
            quote=cells.get("quote") or None,
            date=self._day(row, "date"),
            region=cells.get("region") or None,
            instance=cells.get("instance") or None,
            note=cells.get("note") or None,
            tax=read.tax or self._columns[name].tax,
            vat_percent=self._vat(row, name, read),
        )

    def _in(self, name: ColumnName) -> AbstractContextManager[None]:
        """Give errors the column that they are about."""
        return about(self._name(name))

    def _name(self, name: ColumnName) -> str:
        """Return the name of a field, and what the file calls it."""
        heading = self._columns[name].heading
        return name if heading == name else f"{name} ({heading})"

    def _value(self, row: Row, name: ColumnName) -> float:
        with self._in(name):
            value = price(row.cells[name], self._words).number.value(self._conventions.marks[name])
            if value <= 0:
                raise InputError("a price is more than 0", value=row.cells[name])
        return value

    def _amount(self, row: Row, name: ColumnName, held: Range, per: Per) -> float:
        """Return the price of one; a total is divided by the quantity, and compared where both are there."""
        value = self._value(row, name)
        if name == "total_price":
            if per != "card" or not held.single or not row.cells.get("quantity"):
                raise InputError(
                    "a total without a number of cards says no price",
                    field=self._name(name),
                    value=row.cells[name],
                    hint="add a column quantity, or unit_price",
                )
            self.messages.append(f"line {row.line}: the price of one is the total / {held.least}")
            return value / held.least
        if per == "card" and row.cells.get("total_price"):
            self._compare(row, name, value, held)
        return value

    def _compare(self, row: Row, name: ColumnName, value: float, held: Range) -> None:
        total = self._value(row, "total_price")
        same_tax = self._columns[name].tax == self._columns["total_price"].tax
        # What is shown is rounded, to a cent or to a whole.
        step = 1.0 if value == int(value) and total != int(total) else 0.01
        if held.single and same_tax and abs(value * held.least - total) > step / 2 * held.least + 0.01:
            raise InputError(
                f"{held.least} x {value:.10g} is {value * held.least:.10g}",
                field=self._name("total_price"),
                value=row.cells["total_price"],
                hint="correct quantity, price or total, or take the column of totals out",
            )

    def _currency(self, row: Row, name: ColumnName) -> str:
        if cell := row.cells.get("currency"):
            with self._in("currency"):
                if not stated(cell, self._words).currencies:
                    raise InputError("not a currency", value=cell, accepted="EUR, USD, £")
        with self._in("currency" if cell else name):
            names = currency_names(row, self._columns, self._words)
            currency, by_custom = currency_of(names, self._conventions.currency)
        message = "$ read as US dollars; --currency says otherwise"
        if by_custom and message not in self.messages:
            self.messages.append(message)
        return currency

    def _per(self, row: Row, name: ColumnName, read: Price) -> Per:
        """Return what the price is the price of, as its heading, its cell and the column of units say."""
        said = {each for each in (_PER_OF_HEADING.get(name), read.per) if each is not None}
        cell = row.cells.get("per")
        with self._in("per" if cell else name):
            if cell:
                unit = self._words.per_of.get(fold(cell))
                if unit is None:
                    raise InputError(
                        "not a unit", value=cell, accepted="card, hour, GPU-hour", hint=HOURS_OF_A_MONTH
                    )
                said.add(unit)
            if len(said) > 1:
                raise InputError("the row names several units", value=", ".join(sorted(said)))
        return said.pop() if said else "card"

    def _vat(self, row: Row, name: ColumnName, read: Price) -> float | None:
        """Return the rate that the price's cell, its heading or the column of rates says."""
        for said in (read.vat_percent, self._columns[name].vat_percent):
            if said is not None:
                return said
        cell = row.cells.get("vat")
        return vat_percent(cell, self._columns["vat"].heading) if cell else None

    def _quantity(self, row: Row) -> Range:
        cell = row.cells.get("quantity")
        if not cell:
            return Range(1)
        with self._in("quantity"):
            return quantity(cell, self._words, self._conventions.marks["quantity"])

    def _gpus(self, row: Row) -> int | None:
        cell = row.cells.get("gpus_per_instance")
        if not cell:
            return None
        with self._in("gpus_per_instance"):
            return quantity(cell, self._words, self._conventions.marks["gpus_per_instance"]).least

    def _day(self, row: Row, name: ColumnName) -> datetime.date | None:
        cell = row.cells.get(name)
        if not cell or fold(cell) in self._words.not_stated:
            return None
        with self._in(name):
            return day(cell, self._conventions.orders[name], self._words)

    def _lead_time(self, row: Row) -> int | None:
        cell = row.cells.get("lead_time")
        if not cell:
            return None
        with self._in("lead_time"):
            return lead_time_days(cell, self._columns["lead_time"].unit_days, self._words)
