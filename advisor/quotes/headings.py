"""Which column of a price list holds what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from advisor.errors import InputError, nearest
from advisor.quotes.amounts import Codes, stated
from advisor.quotes.words import FIELDS, ColumnName, QuoteWords, Tax, clean, fold

KINDS_OF_PRICE: tuple[ColumnName, ...] = ("unit_price", "hour_price", "gpu_hour_price")
_PRICES: tuple[ColumnName, ...] = (*KINDS_OF_PRICE, "total_price")
_OF_WEIGHT: tuple[ColumnName, ...] = (*_PRICES, "gpu", "quantity", "currency", "per", "valid_until")
"""Of these two columns that are as good as each other are refused; of others the first is read."""
_CHOSEN = -1
"""Rank of a column that the user named."""


@dataclass(frozen=True)
class Column:
    """A column, and what its heading says of every cell."""

    index: int
    heading: str
    field: ColumnName
    rank: int
    """Of the heading among the names of the field; of two columns that with the lower rank is read."""
    currencies: tuple[Codes, ...] = ()
    tax: Tax | None = None
    vat_percent: float | None = None
    unit_days: float = 1.0
    """Days of a bare number under "lead time (weeks)"."""


Columns = Mapping[ColumnName, Column]


class Headings:
    """Knows columns by their headings.

    Args:
        words: names of columns.
        chosen: headings by field, as the user gave them with --column.

    Raises:
        InputError: the user named a field that there is not.
    """

    def __init__(self, words: QuoteWords, chosen: Mapping[str, str]) -> None:
        self._words = words
        self._chosen: dict[ColumnName, str] = {}
        for name, heading in chosen.items():
            if name not in FIELDS:
                raise InputError(
                    "no such field of a quote",
                    source="--column",
                    value=name,
                    accepted=", ".join(FIELDS),
                    candidates=nearest(name, FIELDS),
                )
            self._chosen[next(field for field in FIELDS if field == name)] = clean(heading)

    def find(self, cells: Sequence[str]) -> Columns | None:
        """Return the columns that a row heads, None where it does not name those of a GPU and of a price."""
        found: dict[ColumnName, Column] = {}
        for column in self._all(cells):
            if column.field not in found or column.rank < found[column.field].rank:
                found[column.field] = column
        return found if "gpu" in found and any(price in found for price in _PRICES) else None

    def check(self, cells: Sequence[str], columns: Columns) -> None:
        """Refuse a heading that leaves open which column is meant.

        Raises:
            InputError: a column that the user named is not there, two are as good as each other, or there are
                prices of two kinds.
        """
        self.check_chosen(cells)
        for column in self._all(cells):
            taken = columns[column.field]
            alike = column.index != taken.index and column.rank == taken.rank
            if alike and column.field in _OF_WEIGHT:
                raise InputError(
                    f"two columns can be that of {taken.field}",
                    value=f"{taken.heading}, {column.heading}",
                    hint=f'--column {taken.field}="{taken.heading}" says which',
                )
        prices = [columns[field] for field in KINDS_OF_PRICE if field in columns]
        if len(prices) > 1:
            raise InputError(
                "prices to buy and to rent, or of hours of two kinds, stand in one row",
                value=", ".join(column.heading for column in prices),
                hint=f'--column {prices[0].field}="{prices[0].heading}" reads one of them',
            )

    def check_chosen(self, cells: Sequence[str]) -> None:
        """Refuse a heading without a column that the user named.

        Raises:
            InputError: with those that there are.
        """
        there = [cell for cell in cells if cell]
        for field, name in self._chosen.items():
            if not any(name.casefold() == cell.casefold() for cell in there):
                raise InputError(
                    f"no such column for {field}",
                    value=name,
                    accepted=", ".join(there) or None,
                    candidates=nearest(name, there),
                )

    def known(self, cells: Sequence[str]) -> int:
        """Return how many columns of a row are known."""
        return sum(1 for _ in self._all(cells))

    def _all(self, cells: Sequence[str]) -> Iterable[Column]:
        for index, cell in enumerate(cells):
            column = self._column(index, cell)
            if column is not None:
                yield column

    def _column(self, index: int, cell: str) -> Column | None:
        said = stated(cell, self._words)
        days_of = self._words.lead_time.days_of
        days = [word for word in said.rest.split() if word in days_of]
        named = self._field(cell, said.rest)
        if named is None and days:
            named = self._field(cell, " ".join(word for word in said.rest.split() if word not in days))
            named = named if named and named[0] == "lead_time" else None
        if named is None:
            return None
        field, rank = named
        unit_days = days_of[days[0]] if days and field == "lead_time" else 1.0
        return Column(index, cell, field, rank, said.currencies, said.tax, said.vat_percent, unit_days)

    def _field(self, cell: str, rest: str) -> tuple[ColumnName, int] | None:
        """Return the field and the rank of a heading.

        Args:
            cell: the heading.
            rest: what is left of it without currency and tax.
        """
        for field, heading in self._chosen.items():
            if cell and heading.casefold() == cell.casefold():
                return field, _CHOSEN
        # "Preis in EUR", "prix en €"
        names = (fold(cell), rest, rest.removesuffix(" in").removesuffix(" en"))
        found = next((self._words.field_of[name] for name in names if name in self._words.field_of), None)
        if found is None or found[0] in self._chosen:
            return None
        another_price = found[0] in KINDS_OF_PRICE and any(kind in self._chosen for kind in KINDS_OF_PRICE)
        return None if another_price else found
