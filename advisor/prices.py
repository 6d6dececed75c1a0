"""Reads dated prices and picks the one to count with. A price that is not known is None, never a guess.

Prices to buy are US dollars a card; prices to rent are US dollars a GPU and hour, whatever the instance
holds.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import Field

from advisor.errors import InputError, nearest
from advisor.hardware import Device, Unverified
from advisor.quantity import Model
from advisor.units import plain
from advisor.yaml_io import data_root, read_text, validate

PriceKind = Literal["launch", "street_new", "used", "cloud_on_demand", "cloud_spot"]

_COLUMNS = (
    "gpu_id",
    "kind",
    "provider",
    "region",
    "gpus_per_instance",
    "price_usd",
    "date",
    "source",
    "note",
)
_REQUIRED = ("gpu_id", "kind", "price_usd", "date", "source")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?|-\d{4})?\Z")


class PriceRecord(Model):
    """One dated price.

    ``price_usd`` is per card (``launch``, ``street_new``, ``used``) or per GPU and hour (``cloud_*``).
    ``date`` is a day, a month, a year or a span of years, as exact as the source is. ``offers``, ``low`` and
    ``high`` are set where the record sums up several offers.
    """

    gpu_id: str
    kind: PriceKind
    provider: str | None = None
    region: str | None = None
    gpus_per_instance: int = Field(default=1, ge=1, le=4096)
    """GPUs that are sold or rented together; an instance is billed whole."""
    price_usd: float = Field(gt=0, le=1e7)
    date: str = Field(pattern=r"^\d{4}(-\d{2}(-\d{2})?|-\d{4})?$")
    source: str
    note: str | None = None
    unverified: Unverified | None = None
    offers: int | None = None
    low: float | None = None
    high: float | None = None

    @property
    def year(self) -> int:
        """Year of the price; of a span of years the later one."""
        return last_year(self.date)


def last_year(date: str) -> int:
    """Return the year of a date; of a span such as ``2025-2026`` the later one."""
    return int(date[5:] if len(date) == 9 else date[:4])


class PriceBook:
    """Prices by GPU.

    Args:
        records: prices in any order; of two equal offers the later in the sequence wins.
        devices: the catalog, for launch prices.
    """

    def __init__(self, records: Sequence[PriceRecord], devices: Iterable[Device] = ()) -> None:
        found: dict[str, list[PriceRecord]] = {}
        for record in records:
            found.setdefault(record.gpu_id, []).append(record)
        self._records: Mapping[str, tuple[PriceRecord, ...]] = {
            gpu_id: tuple(prices) for gpu_id, prices in found.items()
        }
        self._offers: dict[tuple[str, PriceKind], list[PriceRecord]] = {}
        for record in records:
            self._offers.setdefault((record.gpu_id, record.kind), []).append(record)
        self._launch = {device.id: device.launch_price for device in devices if device.launch_price}

    def records(self, gpu_id: str | None = None) -> tuple[PriceRecord, ...]:
        """Return the records of one GPU, or all of them, launch prices first."""
        ids = [gpu_id] if gpu_id is not None else list(dict.fromkeys((*self._launch, *self._records)))
        found: list[PriceRecord] = []
        for each in ids:
            launch = self.launch_price(each)
            found.extend([launch] if launch else [])
            found.extend(self._records.get(each, ()))
        return tuple(found)

    def launch_price(self, gpu_id: str) -> PriceRecord | None:
        """Return the price at launch, None where there was none or it is not known."""
        price = self._launch.get(gpu_id)
        if price is None:
            return None
        return PriceRecord(
            gpu_id=gpu_id,
            kind="launch",
            price_usd=price.usd,
            date=price.date,
            source=price.source,
            unverified=price.unverified,
        )

    def buy_price(self, gpu_id: str) -> PriceRecord | None:
        """Return what one card costs in US dollars, None when not known.

        The newest street price of a new card where it is newer than the newest used price; else the newest
        used price (an average of sold listings); else the launch price. ``kind`` and ``date`` of the record
        say which.
        """
        street = _newest(self._offers.get((gpu_id, "street_new"), ()))
        used = _newest(self._offers.get((gpu_id, "used"), ()))
        if street is not None and (used is None or street.date > used.date):
            return street
        return used or self.launch_price(gpu_id)

    def rent_price(self, gpu_id: str, count: int = 1) -> PriceRecord | None:
        """Return the on-demand price of a GPU and hour in US dollars, None when not known.

        The median of the on-demand offers of the newest year for which there are any, among instances of at
        most ``count`` GPUs (of several sizes at one provider the largest that still fits). Where every
        instance holds more, the median is over the smallest ones and ``gpus_per_instance`` says how many
        GPUs are billed. ``low``, ``high`` and ``offers`` say over what; ``date`` is that of the newest
        offer. A date given as a span of years counts as its last year. Hyperscalers ask several times what
        specialists ask, so the range is wide.

        Args:
            gpu_id: id in the catalog.
            count: GPUs wanted, at least 1.
        """
        return self._median(gpu_id, "cloud_on_demand", count)

    def spot_price(self, gpu_id: str, count: int = 1) -> PriceRecord | None:
        """Return the interruptible price of a GPU and hour in US dollars, chosen as in :meth:`rent_price`."""
        return self._median(gpu_id, "cloud_spot", count)

    def _median(self, gpu_id: str, kind: PriceKind, count: int) -> PriceRecord | None:
        offers = self._offers.get((gpu_id, kind))
        if not offers:
            return None
        fitting = [record for record in offers if record.gpus_per_instance <= count]
        if not fitting:
            smallest = min(record.gpus_per_instance for record in offers)
            fitting = [record for record in offers if record.gpus_per_instance == smallest]
        year = max(record.year for record in fitting)
        chosen = _one_per_provider(record for record in fitting if record.year == year)
        prices = [record.price_usd for record in chosen]
        newest = max(chosen, key=_newness)
        least = min(record.gpus_per_instance for record in chosen)
        several = len(chosen) > 1
        return PriceRecord(
            gpu_id=gpu_id,
            kind=kind,
            provider=None if several else newest.provider,
            region=None if several else newest.region,
            gpus_per_instance=least if least > count else 1,
            price_usd=round(float(np.median(prices)), 4),
            date=newest.date,
            source="; ".join(dict.fromkeys(record.source for record in chosen)),
            note=f"median of {len(chosen)} offers of {year}" if several else newest.note,
            offers=len(chosen),
            low=min(prices),
            high=max(prices),
        )


def _newest(records: Sequence[PriceRecord]) -> PriceRecord | None:
    # Reversed, so that of two records of one date the one read last (the user's) is found first.
    return max(reversed(records), key=lambda record: record.date, default=None)


def _newness(record: PriceRecord) -> tuple[int, bool, str]:
    """Order by year, then exact dates before bare years."""
    return record.year, len(record.date) != 9, record.date


def _one_per_provider(records: Iterable[PriceRecord]) -> list[PriceRecord]:
    """Keep one offer a provider, the largest, then the newest: many instance sizes shall not weigh more."""
    kept: dict[object, PriceRecord] = {}
    for record in records:
        key: object = record.provider or id(record)
        other = kept.get(key)
        mine = (record.gpus_per_instance, _newness(record))
        if other is None or mine >= (other.gpus_per_instance, _newness(other)):
            kept[key] = record
    return list(kept.values())


def parse_prices(text: str, source: str, known: Collection[str] | None = None) -> tuple[PriceRecord, ...]:
    """Return the records of a price table in CSV.

    Args:
        text: CSV with a header; columns in any order, the optional ones may be absent.
        source: file name, for messages.
        known: ids that the catalog has; others are refused. None accepts all.

    Raises:
        InputError: with line, column and what is accepted.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, source)
        records = []
        for row in reader:
            if row:
                records.append(_record(header, row, source, reader.line_num, known))
    except csv.Error as error:
        raise InputError(f"not valid CSV: {error}", source=source, line=reader.line_num) from None
    return tuple(records)


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
    if len(row) != len(header):
        raise InputError(
            f"{len(row)} cells in a table of {len(header)} columns", source=source, line=line, value=row[0]
        )
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
    if kind not in get_args(PriceKind):
        raise InputError(
            "not an accepted value",
            source=source,
            line=line,
            field="kind",
            value=kind,
            accepted=", ".join(get_args(PriceKind)),
            candidates=nearest(kind or "", get_args(PriceKind)),
        )
    if not _DATE.match(date):
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


@lru_cache(maxsize=1)
def shipped_records() -> tuple[PriceRecord, ...]:
    """Return the prices that come with the package.

    Raises:
        InputError: a table is wrong, with file and line.
    """
    folder = data_root() / "prices"
    found: list[PriceRecord] = []
    for path in sorted(folder.glob("*.csv")):
        found.extend(parse_prices(read_text(path), f"prices/{path.name}"))
    return tuple(found)


def load_prices(devices: Iterable[Device] = (), extra_files: Sequence[Path] = ()) -> PriceBook:
    """Return the shipped prices and the user's.

    Args:
        devices: the catalog, for launch prices and for checking the ids of the user's records; without it
            there are no launch prices and every id is accepted.
        extra_files: price tables of the user (CSV); a record of the same date replaces a shipped one.

    Raises:
        InputError: a table is wrong, with file, line and column.
    """
    catalog = tuple(devices)
    records = list(shipped_records())
    known = {device.id for device in catalog} or None
    for path in extra_files:
        records.extend(parse_prices(read_text(Path(path)), str(path), known))
    return PriceBook(records, catalog)
