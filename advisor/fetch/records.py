"""Turns what a source offers into dated prices, and says what was not believed."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from advisor.fetch.about import Checks
from advisor.fetch.names import Found, Names, NotFound
from advisor.fetch.offers import Offer, Tally, clean
from advisor.prices import PriceKind, PriceRecord
from advisor.units import format_money

Key = tuple[str, str, str | None, str | None, str | None, int]


@dataclass(frozen=True)
class LastGood:
    """The last good copy of one part of a source.

    Attributes:
        records: its prices.
        day: of the last answer that they agree with, None where that is not known.
        held: since when the prices stay that a later answer contradicts, by :func:`offer_text`.
    """

    records: Sequence[PriceRecord] = ()
    day: datetime.date | None = None
    held: Mapping[str, datetime.date] = field(default_factory=dict)

    def known_on(self, record: PriceRecord) -> datetime.date:
        """Return the last day on which the source asked this price."""
        return self.held.get(offer_text(record)) or self.day or record.earliest_day


@dataclass
class Believed:
    """Prices of one part of a source, and what is not among them; ``held`` as in :class:`LastGood`."""

    records: dict[Key, PriceRecord] = field(default_factory=dict)
    left_out: Tally = field(default_factory=Tally)
    unknown_names: Counter[str] = field(default_factory=Counter)
    held: dict[str, datetime.date] = field(default_factory=dict)


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


def offer_text(record: PriceRecord) -> str:
    """Return :func:`key` as one text."""
    return " | ".join("" if part is None else str(part) for part in key(record))


def believe(
    offers: Iterable[Offer],
    names: Names,
    checks: Checks,
    last: LastGood,
    source: str,
    today: datetime.date,
) -> Believed:
    """Return the prices among ``offers``.

    Of two offers with the same key the cheaper counts. Where a price moved further than is believed, the last good one
    stays until the source has asked another one for ``checks.memory_days``. How a source dates its rows has no part in
    that: some say no more than a year.

    Args:
        offers: of one part of a source.
        names: resolves GPUs.
        checks: what is believed.
        last: the last good copy of the same part.
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
        record = _record(offer, found, price_usd, source)
        same = result.records.get(key(record))
        if same is None or record.price_usd < same.price_usd:
            result.records[key(record)] = record
    _keep_steady(result, checks, last, today)
    return result


def _record(offer: Offer, found: Found, price_usd: float, source: str) -> PriceRecord:
    kind: PriceKind = "cloud_spot" if offer.spot else "cloud_on_demand"
    notes = (
        offer.note,
        "the source does not say which form of the board: assumed" if found.assumed else None,
    )
    return PriceRecord(
        gpu_id=found.gpu_id,
        kind=kind,
        provider=offer.provider,
        region=offer.region or None,
        instance=offer.instance or None,
        gpus_per_instance=found.count,
        price_usd=round(price_usd, 6),
        date=offer.date,
        source=source,
        note="; ".join(filter(None, notes)) or None,
    )


def _keep_steady(result: Believed, checks: Checks, last: LastGood, today: datetime.date) -> None:
    for old in last.records:
        new, since = result.records.get(key(old)), last.known_on(old)
        if new is None or (today - since).days > checks.memory_days:
            continue
        ratio = new.price_usd / old.price_usd
        if max(ratio, 1 / ratio) > checks.largest_change:
            result.records[key(old)] = old
            result.held[offer_text(old)] = since
            result.left_out.add(
                f"moved by more than a factor of {checks.largest_change:g}, the last price stays",
                f"{old.gpu_id} at {old.provider}: {format_money(old.price_usd)}"
                f" to {format_money(new.price_usd)}",
            )
