"""Dated prices and the table that holds them. A price that is not known is None, never a guess.

Prices to buy are US dollars a card; prices to rent are US dollars a GPU and hour, whatever the instance
holds.
"""

from __future__ import annotations

import csv
import datetime
import io
import math
import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Literal, get_args

from pydantic import Field

from advisor.errors import InputError, nearest
from advisor.hardware import PriceDate, Unverified, earliest_day
from advisor.quantity import Model
from advisor.units import MIB, plain
from advisor.yaml_io import validate

PriceKind = Literal["launch", "street_new", "used", "cloud_on_demand", "cloud_spot", "quote", "quote_rent"]

RENTED: tuple[PriceKind, ...] = ("cloud_on_demand", "cloud_spot", "quote_rent")
"""Kinds of prices that are asked for a GPU and hour."""

_COLUMNS = (
    "gpu_id",
    "kind",
    "provider",
    "region",
    "instance",
    "gpus_per_instance",
    "price_usd",
    "date",
    "source",
    "note",
    "unverified",
)
_REQUIRED = ("gpu_id", "kind", "price_usd", "date", "source")
_OF_AN_OFFER = ("gpu_id", "kind", "provider", "gpus_per_instance", "date", "source", "unverified")
_PUBLIC = tuple(kind for kind in get_args(PriceKind) if not kind.startswith("quote"))
LARGEST_LIVE_BYTES = 32 * MIB
"""Largest table of live prices that is written, and so the largest that is read."""

_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?|-[0-9]{4})?\Z")


_Line = tuple[int, list[str]]
"""A row of a table with its line."""


class PriceRecord(Model):
    """One dated price.

    ``price_usd`` is per card (``launch``, ``street_new``, ``used``, ``quote``) or per GPU and hour (``cloud_*``,
    ``quote_rent``). ``date`` is a day, a month, a year or a span of years, as exact as the source is. ``offers``,
    ``low`` and ``high`` are set where the record sums up several offers.
    """

    gpu_id: str
    kind: PriceKind
    provider: str | None = None
    """Who asks this price: a cloud, a market, or the vendor of a quote."""
    region: str | None = None
    instance: str | None = None
    """What the provider calls the machine, such as p5.48xlarge."""
    gpus_per_instance: int = Field(default=1, ge=1, le=4096)
    """GPUs that are sold or rented together; an instance is billed whole."""
    price_usd: float = Field(ge=1e-6, le=1e7)
    date: PriceDate
    source: str
    note: str | None = None
    unverified: Unverified | None = None
    minimum_count: int = Field(default=1, ge=1, le=1_000_000)
    """The fewest that the price holds for (a quote's volume break)."""
    maximum_count: int | None = Field(default=None, ge=1)
    """The most that it holds for; None where any number from ``minimum_count`` on costs as much."""
    valid_until: datetime.date | None = None
    """The last day of a quote."""
    lead_time_days: int | None = Field(default=None, ge=0, le=3660)
    """Days until a quote delivers."""
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    price_in_currency: float | None = Field(default=None, gt=0)
    """What a quote in another currency says, before its conversion to ``price_usd``."""
    offers: int | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = Field(default=None, ge=1)
    """80 % of the offers lie within ``price_usd`` divided and multiplied by about this; None where there are few."""

    def holds_for(self, count: int) -> bool:
        """Say whether it is the price of each of ``count``."""
        return self.minimum_count <= count and (self.maximum_count is None or count <= self.maximum_count)

    @property
    def rented(self) -> bool:
        """Whether it is the price of an hour."""
        return self.kind in RENTED

    @property
    def earliest_day(self) -> datetime.date:
        """The first day that the date can mean; of a span of years that of the later one."""
        return earliest_day(self.date)

    def age_days(self, today: datetime.date) -> int:
        """Return how old the price may be, in days; less than 0 where its date is still to come."""
        return (today - self.earliest_day).days

    def expired(self, today: datetime.date) -> bool:
        """Say whether it was a quote that has ended."""
        return self.valid_until is not None and self.valid_until < today


def parse_prices(
    text: str, source: str, known: Collection[str] | None = None, *, cheapest: bool = False
) -> tuple[PriceRecord, ...]:
    """Return the records of a price table in CSV.

    Args:
        text: CSV with a header; columns in any order, the optional ones may be absent.
        source: file name, for messages.
        known: ids that the catalog has; others are refused. None accepts all.
        cheapest: whether to return, of rows that differ in place, instance and wording alone, only the one that costs
            least, the first of several: where many are read and no other counts.

    Raises:
        InputError: with line, column and what is accepted.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, source)
        rows = ((reader.line_num, row) for row in reader if row)
        chosen = _cheapest(header, rows, source) if cheapest else rows
        return tuple(_record(header, row, source, line, known) for line, row in chosen)
    except csv.Error as error:
        raise InputError(f"not valid CSV: {error}", source=source, line=reader.line_num) from None


def _cheapest(header: Sequence[str], rows: Iterable[_Line], source: str) -> Iterable[_Line]:
    """Return one line of each offer of a provider, in their order.

    What is not returned is still checked: its price here, and all else that could be wrong is that of the one returned.
    """
    same = [header.index(name) for name in _OF_AN_OFFER if name in header]
    price_of = header.index("price_usd")
    found: dict[tuple[str, ...], tuple[float, _Line]] = {}
    for line, row in rows:
        _check_width(header, row, source, line)
        price = _positive(row[price_of], source, line)
        group = tuple([row[place] for place in same])
        other = found.get(group)
        if other is None or price < other[0]:
            found[group] = price, (line, row)
    return sorted((kept for _, kept in found.values()), key=lambda kept: kept[0])


def _check_header(header: Sequence[str], source: str) -> None:
    accepted = ", ".join(_COLUMNS)
    for name in header:
        if name not in _COLUMNS:
            raise InputError(
                "unknown column",
                source=source,
                line=1,
                field=plain(name),
                accepted=accepted,
                candidates=nearest(name, _COLUMNS),
            )
    missing = [name for name in _REQUIRED if name not in header]
    if missing:
        raise InputError("the column is missing", source=source, line=1, field=missing[0], accepted=accepted)
    if len(set(header)) != len(header):
        raise InputError("a column is there twice", source=source, line=1)


def _record(
    header: Sequence[str], row: Sequence[str], source: str, line: int, known: Collection[str] | None
) -> PriceRecord:
    _check_width(header, row, source, line)
    cells = {name: plain(cell.strip()) for name, cell in zip(header, row, strict=True) if cell.strip()}
    gpu_id = cells.get("gpu_id", "")
    if known is not None and gpu_id not in known:
        raise InputError(
            "no such device in the catalog",
            source=source,
            line=line,
            field="gpu_id",
            value=gpu_id,
            candidates=nearest(gpu_id, known),
        )
    kind, date = cells.get("kind"), cells.get("date", "")
    price = _positive(cells.get("price_usd", ""), source, line)
    if kind not in _PUBLIC:
        raise InputError(
            "not an accepted value",
            source=source,
            line=line,
            field="kind",
            value=kind,
            accepted=", ".join(_PUBLIC),
            candidates=nearest(kind or "", _PUBLIC),
        )
    if not _DATE.match(date) or not _is_day(date):
        raise InputError(
            "not a date",
            source=source,
            line=line,
            field="date",
            value=date,
            accepted="2026-08-19, 2026-08, 2026 or 2025-2026",
        )
    try:
        return validate(PriceRecord, {**cells, "price_usd": price}, source)
    except InputError as error:
        raise error.located(line=line) from None


def _check_width(header: Sequence[str], row: Sequence[str], source: str, line: int) -> None:
    if len(row) != len(header):
        raise InputError(
            f"{len(row)} cells in a table of {len(header)} columns", source=source, line=line, value=row[0]
        )


@lru_cache(maxsize=64)
def _is_day(date: str) -> bool:
    """Say whether month and day of a well-formed date exist."""
    try:
        earliest_day(date)
    except ValueError:
        return False
    return True


def _positive(text: str, source: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(
            "not a price",
            source=source,
            line=line,
            field="price_usd",
            value=text,
            accepted="US dollars, more than 0",
        )
    return value
