"""How a price to rent moved: from the copies of live prices that earlier refreshes kept."""

from __future__ import annotations

import csv
import datetime
import math
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from advisor.fetch.store import history_files
from advisor.price_documents import PricePointDocument
from advisor.prices import RENTED, PriceKind

_CARRIED_DAYS = 31
"""A source that was not asked on a day counts with its newest copy before, up to this age."""

Cheapest = Mapping[tuple[PriceKind, str], float]


def history(gpu_id: str, folder: Path) -> tuple[PricePointDocument, ...]:
    """Return what renting a GPU cost on each day with a copy, oldest first: one point a day and kind.

    Of each provider its cheapest offer of the day counts, whatever the size of the machine, so that many regions do not
    weigh more. Copies that cannot be read are left out.

    Args:
        gpu_id: id in the catalog.
        folder: of the user.
    """
    root = folder / "prices" / "history"
    copies = {
        source.name: [
            (day, copy)
            for path, day in history_files(source)
            if (copy := _cheapest(path, gpu_id)) is not None
        ]
        for source in sorted(root.glob("*"))
        if source.is_dir()
    }
    days = sorted({day for each in copies.values() for day, _ in each})
    points: list[PricePointDocument] = []
    for day in days:
        at_hand = [copy for each in copies.values() if (copy := _newest(each, day)) is not None]
        points.extend(_points(day, at_hand))
    return tuple(points)


def _newest(copies: list[tuple[datetime.date, Cheapest]], day: datetime.date) -> Cheapest | None:
    fitting = [(taken, copy) for taken, copy in copies if 0 <= (day - taken).days <= _CARRIED_DAYS]
    return max(fitting, key=lambda each: each[0])[1] if fitting else None


def _points(day: datetime.date, at_hand: list[Cheapest]) -> Iterator[PricePointDocument]:
    for kind in RENTED:
        by_provider: dict[str, float] = {}
        for copy in at_hand:
            for (offered, provider), price in copy.items():
                if offered == kind:
                    by_provider[provider] = min(price, by_provider.get(provider, math.inf))
        if by_provider:
            prices = by_provider.values()
            yield PricePointDocument(
                day=day.isoformat(),
                kind=kind,
                median_usd=round(statistics.median(prices), 4),
                low_usd=min(prices),
                high_usd=max(prices),
                providers=len(by_provider),
            )


def _cheapest(path: Path, gpu_id: str) -> Cheapest | None:
    """Return the cheapest price by kind and provider, None for a damaged copy.

    Many copies are read, so only the rows that count are parsed.
    """
    found: dict[tuple[PriceKind, str], float] = {}
    kinds = {str(kind): kind for kind in get_args(PriceKind)}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row.get("gpu_id") != gpu_id or row.get("kind") not in kinds:
                    continue
                place = kinds[row["kind"]], row["provider"]
                found[place] = min(float(row["price_usd"]), found.get(place, math.inf))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError):
        return None
    return found
