"""The quotes that count in an answer: those that were imported, and files named for this answer alone."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.hardware import NameIndex
from advisor.prices import PriceRecord

if TYPE_CHECKING:
    from advisor.quotes.amounts import DecimalMark
    from advisor.quotes.times import DateOrder

Found = tuple[tuple[PriceRecord, ...], tuple[str, ...]]
"""Prices, and what the reader should be told."""


@dataclass(frozen=True)
class QuoteFiles:
    """Files of quotes as vendors write them, and how to read them."""

    paths: tuple[Path, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    """US dollars for one unit of a currency."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What a column is called in the files, where nothing known."""
    decimal: DecimalMark | None = None
    date_order: DateOrder | None = None

    def records(self, names: NameIndex, today: datetime.date) -> Found:
        """Return the quotes in the files.

        Raises:
            InputError: a file is wrong, with line and column.
        """
        if not self.paths:
            return (), ()
        from advisor.quotes.read import read_quotes

        files = [
            read_quotes(
                path, names, rates=self.rates, columns=self.columns, today=today, decimal=self.decimal,
                date_order=self.date_order,
            )
            for path in self.paths
        ]  # fmt: skip
        return (
            tuple(record for file in files for record in file.records),
            tuple(message for file in files for message in file.messages),
        )


NO_QUOTE_FILES = QuoteFiles()


def imported_quotes(folder: Path) -> Found:
    """Return the quotes that were imported.

    Args:
        folder: of the user.
    """
    if not (folder / "quotes").is_dir():
        return (), ()
    from advisor.quotes.store import stored_quotes

    return stored_quotes(folder / "quotes")
