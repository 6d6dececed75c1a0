"""The quotes that count in an answer: those that were imported, and files named for this answer alone."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.hardware import NameIndex
from advisor.prices import PriceRecord

if TYPE_CHECKING:
    from advisor.quotes.amounts import DecimalMark
    from advisor.quotes.read import QuoteFile
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
    currency: str | None = None
    """Of prices whose own is not told, as a code of three letters."""

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
                date_order=self.date_order, currency=self.currency,
            )
            for path in self.paths
        ]  # fmt: skip
        return (
            tuple(record for file in files for record in file.records),
            tuple(message for file in files for message in _told(file)),
        )


def _told(file: QuoteFile) -> Iterator[str]:
    """Yield what a reader of answers should know of a file; how each cell was understood, an import shows."""
    yield f"{file.name}: {len(file.quotes)} prices; prices import {file.name} shows how each was understood"
    for warning in file.warnings:
        yield f"{file.name}: {warning}"


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
