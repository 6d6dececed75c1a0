"""The buyer's quotes in a file, as price records."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from advisor.errors import InputError
from advisor.hardware import NameIndex
from advisor.prices import PriceRecord
from advisor.quotes.amounts import DecimalMark
from advisor.quotes.faults import Faults
from advisor.quotes.file_text import spreadsheet_text
from advisor.quotes.headings import Headings
from advisor.quotes.listed import read_listed
from advisor.quotes.offers import Assumptions, Offer, Quote, quote_of
from advisor.quotes.products import Accessory, Products
from advisor.quotes.rows import read_rows
from advisor.quotes.table import read_table
from advisor.quotes.times import DateOrder
from advisor.quotes.words import clean, load_words
from advisor.units import format_money
from advisor.yaml_io import decode, read_bytes


@dataclass(frozen=True)
class QuoteFile:
    """The quotes of one file."""

    name: str
    """Of the file."""
    digest: str
    """Of its content and of what the user said about it; the same where reading it again gives the same."""
    as_of: datetime.date
    """The day on which it was read."""
    quotes: tuple[Quote, ...]
    assumptions: tuple[str, ...]
    """How the file was read."""
    warnings: tuple[str, ...]
    """What of it does not count, and what to look at."""
    columns: Mapping[str, str]
    """Headings by the field that they were read as; empty for JSON."""

    @property
    def messages(self) -> tuple[str, ...]:
        """Assumptions and warnings."""
        return (*self.assumptions, *self.warnings)

    @property
    def records(self) -> tuple[PriceRecord, ...]:
        """The price records."""
        return tuple(quote.record for quote in self.quotes)


def read_quotes(
    path: Path,
    devices_index: NameIndex,
    *,
    rates: Mapping[str, float],
    columns: Mapping[str, str],
    today: datetime.date,
    decimal: DecimalMark | None = None,
    date_order: DateOrder | None = None,
    currency: str | None = None,
    vat_percent: float | None = None,
) -> QuoteFile:
    """Return the quotes of a file: a price list in CSV of any country, or JSON (a name that ends in ``.json``).

    Args:
        path: of the file.
        devices_index: the catalog.
        rates: US dollars for one unit of a currency.
        columns: headings of the file by field, where they are not known by themselves.
        today: date of quotes that bear none.
        decimal: the decimal mark, where the file leaves it open.
        date_order: of day and month, where the file leaves it open.
        currency: of prices for which the file names none, or names several ("$").
        vat_percent: rate of the VAT in prices that are with it, where the file names none.

    Raises:
        InputError: the file cannot be read, or rows of it; all of them are named.
        ExternalError: the system refused to read it.
    """
    assumed = Assumptions(today, rates, decimal, date_order, currency, vat_percent)
    raw, source, words = read_bytes(path), clean(path.name), load_words()
    faults = Faults(source)
    assumptions: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    headings: Mapping[str, str] = {}
    if path.suffix.lower() == ".json":
        offers = read_listed(decode(raw, source), source, assumed, faults)
    else:
        text, about_text = spreadsheet_text(raw, source)
        table = read_table(text, source, Headings(words, columns))
        offers, about_rows, left_out = read_rows(table, words, assumed, faults)
        headings = {name: column.heading for name, column in table.columns.items()}
        assumptions = (*about_text, *about_rows)
    quotes, accessories = _quotes(offers, Products(devices_index, words.products), assumed, faults)
    faults.raise_if_any()
    warnings = (*left_out, *accessories, *_doubts(quotes, today))
    if not quotes:
        raise InputError("no quotes in the file", source=source, hint="; ".join(warnings[:3]) or None)
    said = repr((sorted(rates.items()), sorted(columns.items()), decimal, date_order, currency, vat_percent))
    return QuoteFile(
        name=source,
        digest=hashlib.sha256(raw + said.encode("utf-8")).hexdigest(),
        as_of=today,
        quotes=tuple(quotes),
        assumptions=(*assumptions, *_readings(quotes, assumed)),
        warnings=warnings,
        columns=headings,
    )


def _quotes(
    offers: Iterable[Offer], products: Products, assumed: Assumptions, faults: Faults
) -> tuple[list[Quote], list[str]]:
    """Return the price records of offers, and which are left out because they are of accessories."""
    quotes: list[Quote] = []
    left_out: list[str] = []
    for offer in offers:
        with faults.at(offer.where):
            quote = quote_of(offer, products, assumed, faults.source)
            if isinstance(quote, Accessory):
                left_out.append(f"{offer.where} left out, an accessory ({quote.word}): {offer.product!r}")
            else:
                quotes.append(quote)
    return quotes, left_out


def _readings(quotes: Sequence[Quote], assumed: Assumptions) -> Iterator[str]:
    """Yield how products, boards, taxes, dates and vendors were read."""
    for text, quote in {quote.offer.product: quote for quote in quotes if not quote.by_name}.items():
        yield f"{quote.offer.where}: {text!r} read as {quote.record.gpu_id}"
    for quote in quotes:
        if quote.board > 1:
            yield (
                f"{quote.offer.where}: read as the price of a board of {quote.board} GPUs: "
                f"{format_money(quote.record.price_usd)} a GPU"
            )
    yield from _taxes(quotes, assumed)
    if nameless := sum(quote.offer.vendor is None for quote in quotes):
        yield f"{nameless} of {len(quotes)} quotes name no vendor"
    if undated := sum(quote.offer.date is None for quote in quotes):
        yield f"{undated} of {len(quotes)} quotes bear no date: that of their import is taken"


def _taxes(quotes: Sequence[Quote], assumed: Assumptions) -> Iterator[str]:
    gross = [quote.offer for quote in quotes if quote.offer.tax == "gross"]
    for percent in sorted({assumed.vat_of(offer) or 0.0 for offer in gross}):
        where = _places([offer.where for offer in gross if (assumed.vat_of(offer) or 0.0) == percent])
        if percent:
            yield f"with {percent:g} % VAT, taken out: {where}"
        else:
            yield f"with VAT, taken as they are: {where}"
    silent = [quote.offer.where for quote in quotes if quote.offer.tax is None]
    if gross and silent:
        yield f"not said whether with VAT, read as without: {_places(silent)}"
    if assumed.vat_percent is not None and not gross:
        yield f"no price says that it is with VAT: --vat {assumed.vat_percent:g} takes nothing out"


def _doubts(quotes: Sequence[Quote], today: datetime.date) -> Iterator[str]:
    """Yield what has ended, lies in the future, or ends at a number without a price for more."""
    if ended := [quote.offer.where for quote in quotes if quote.record.expired(today)]:
        yield f"ended, and do not count: {_places(ended)}"
    if late := [quote.offer.where for quote in quotes if quote.record.earliest_day > today]:
        yield f"dated in the future: {_places(late)}"
    largest: dict[tuple[str | None, str], int] = {}
    for quote in quotes:
        key = (quote.record.provider, quote.record.gpu_id)
        largest[key] = max(largest.get(key, 0), quote.offer.least)
    for quote in quotes:
        offer = quote.offer
        if offer.most is not None and largest[quote.record.provider, quote.record.gpu_id] <= offer.most:
            yield f"{offer.where}: the price is for {offer.least} to {offer.most}, and none is given for more"


def _places(where: Sequence[str]) -> str:
    return ", ".join(where) if len(where) <= 5 else f"{', '.join(where[:5])} and {len(where) - 5} more"
