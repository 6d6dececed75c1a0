"""Turns what a source offers into dated prices, and says what was not believed."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from advisor.fetch.about import Checks
from advisor.fetch.names import Names, NotFound
from advisor.fetch.offers import Offer, Tally, clean
from advisor.prices import PriceKind, PriceRecord
from advisor.units import format_money

Key = tuple[str, str, str | None, str | None, str | None, int]


@dataclass
class Believed:
    """Prices of one part of a source, and what is not among them."""

    records: dict[Key, PriceRecord] = field(default_factory=dict)
    left_out: Tally = field(default_factory=Tally)
    unknown_names: Counter[str] = field(default_factory=Counter)


def key(record: PriceRecord) -> Key:
    """Return what makes two prices of different days prices of the same offer."""
    return (
        record.gpu_id,
        record.kind,
        record.provider,
        record.region,
        record.instance,
        record.gpus_per_instance,
    )


def believe(
    offers: Iterable[Offer],
    names: Names,
    checks: Checks,
    before: Sequence[PriceRecord],
    source: str,
    today: datetime.date,
) -> Believed:
    """Return the prices among ``offers``.

    Of two offers with the same key the cheaper counts. Where a price moved further than is believed, the last good one
    stays as long as it is not older than ``checks.memory_days``.

    Args:
        offers: of one part of a source.
        names: resolves GPUs.
        checks: what is believed.
        before: the last good copy of the same part.
        source: its name, for the records.
        today: for the age of the last good copy.
    """
    result = Believed()
    low, high = checks.plausible_usd_per_gpu_hour
    for offer in offers:
        found = names.find(offer)
        example = f"{offer.provider} {offer.instance or offer.names[0]}"
        if isinstance(found, NotFound):
            if found.name is None:
                result.left_out.add(found.reason, example)
            else:
                result.unknown_names[clean(found.name)] += 1
            continue
        price_usd = offer.usd_per_hour / found.count
        # NaN is in no range.
        if not low <= price_usd <= high:
            result.left_out.add(
                f"not a plausible price of a GPU and hour ({format_money(low)} to {format_money(high)})",
                f"{example}: {price_usd:g}",
            )
            continue
        record = _record(offer, found.gpu_id, found.count, price_usd, source)
        same = result.records.get(key(record))
        if same is None or record.price_usd < same.price_usd:
            result.records[key(record)] = record
    _keep_steady(result, checks, before, today)
    return result


def _record(offer: Offer, gpu_id: str, count: int, price_usd: float, source: str) -> PriceRecord:
    kind: PriceKind = "cloud_spot" if offer.spot else "cloud_on_demand"
    return PriceRecord(
        gpu_id=gpu_id,
        kind=kind,
        provider=offer.provider,
        region=offer.region or None,
        instance=offer.instance or None,
        gpus_per_instance=count,
        price_usd=round(price_usd, 6),
        date=offer.date,
        source=source,
        note=offer.note,
    )


def _keep_steady(
    result: Believed, checks: Checks, before: Sequence[PriceRecord], today: datetime.date
) -> None:
    for old in before:
        new = result.records.get(key(old))
        if new is None or old.age_days(today) > checks.memory_days:
            continue
        ratio = new.price_usd / old.price_usd
        if max(ratio, 1 / ratio) > checks.largest_change:
            result.records[key(old)] = old
            result.left_out.add(
                f"moved by more than a factor of {checks.largest_change:g}, the last price stays",
                f"{old.gpu_id} at {old.provider}: {format_money(old.price_usd)}"
                f" to {format_money(new.price_usd)}",
            )
