"""The quotes that count in an answer: those that were imported, and files named for this answer alone."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from advisor.errors import InputError
from advisor.hardware import NameIndex
from advisor.paths import given_path
from advisor.prices import PriceRecord

if TYPE_CHECKING:
    from advisor.quotes.amounts import DecimalMark
    from advisor.quotes.read import QuoteFile
    from advisor.quotes.times import DateOrder

LARGEST_RATE = 1e6
"""Dollars for a unit of any currency, beyond which a rate is a mistake."""

_Word = TypeVar("_Word", bound=str)

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
    vat_percent: float | None = None
    """Rate of the VAT in prices that are with it, where the files name none."""

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
                date_order=self.date_order, currency=self.currency, vat_percent=self.vat_percent,
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


def read_how(
    paths: Sequence[str] = (),
    *,
    rates: Iterable[str] = (),
    columns: Iterable[str] = (),
    decimal: str | None = None,
    date_order: str | None = None,
    currency: str | None = None,
    vat: str | None = None,
) -> QuoteFiles:
    """Return files of quotes with how to read them, from what a user typed; empty texts say nothing.

    Args:
        paths: of the files.
        rates: ``EUR=1.08``: US dollars for one unit.
        columns: ``gpu=Artikel``: what a column is called.
        decimal: ``comma`` or ``point``.
        date_order: ``dmy`` or ``mdy``.
        currency: code of three letters.
        vat: percent.

    Raises:
        InputError: one of them is not understood.
    """
    return QuoteFiles(
        tuple(given_path(path) for path in paths),
        dict(_rate(text) for text in rates),
        dict(_column(text) for text in columns),
        _one_of("--decimal", decimal, "comma", "point"),
        _one_of("--date-order", date_order, "dmy", "mdy"),
        currency.strip().upper() if currency else None,
        _percent(vat) if vat else None,
    )


def _rate(text: str) -> tuple[str, float]:
    currency, _, typed = text.partition("=")
    try:
        rate = float(typed)
    except ValueError:
        rate = 0.0
    if not currency.strip() or not 0 < rate < LARGEST_RATE:
        raise InputError(
            "not a rate", source="--rate", value=text, accepted="CURRENCY=DOLLARS, such as EUR=1.08"
        )
    return currency.strip().upper(), rate


def _percent(text: str) -> float:
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise InputError("not a rate of VAT", source="--vat", value=text, accepted="percent, such as 19")
    return percent


def _column(text: str) -> tuple[str, str]:
    column, _, heading = text.partition("=")
    if not heading.strip():
        raise InputError(
            "not understood", source="--column", value=text,
            accepted="COLUMN=HEADING, such as gpu=Artikel",
        )  # fmt: skip
    return column.strip(), heading.strip()


def _one_of(option: str, text: str | None, *accepted: _Word) -> _Word | None:
    if not text:
        return None
    for word in accepted:
        if text.strip().lower() == word:
            return word
    raise InputError("not understood", source=option, value=text, accepted=" or ".join(accepted))


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
