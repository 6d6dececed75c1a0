"""The price book: of all dated prices, which one counts.

The buyer's own quotes come before public prices. Of public prices to rent the median of a year of offers counts.
"""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from advisor.errors import InputError
from advisor.hardware import Device
from advisor.instances import billed_gpus
from advisor.prices import LARGEST_LIVE_BYTES, PriceKind, PriceRecord, parse_prices
from advisor.quantity import Model
from advisor.units import format_money
from advisor.yaml_io import data_root, read_text, read_yaml, validate

LIVE = Path("prices") / "live"
"""Where, in the user's folder, the last good copies of the live sources lie."""


_PUBLIC_OF_QUOTES: Mapping[PriceKind, tuple[PriceKind, ...]] = {
    "quote": ("street_new", "used"),
    "quote_rent": ("cloud_on_demand", "cloud_spot"),
}
"""Public prices that a quote is compared with."""


class PricePolicy(Model):
    """Constants of the choice among prices (catalog/prices/policy.yaml)."""

    window_days: Annotated[int, Field(ge=1)]
    """Offers to rent count if they are at most this much older than the newest."""
    old_days: Annotated[int, Field(ge=1)]
    """From this age a price is marked as old."""
    least_offers: Annotated[int, Field(ge=2)]
    """From so many offers their own spread is taken."""
    rent_spread: Annotated[float, Field(ge=1)]
    """What it is taken to be where there are fewer."""
    purchase_spread: Mapping[PriceKind, Annotated[float, Field(ge=1)]]
    """By what factor the price that one really pays lies about a price to buy, in 80 % of cases."""
    doubtful_quote_factor: Annotated[float, Field(gt=1)]
    """A quote that is so many times above or below every public price is asked about."""
    source: str


@lru_cache(maxsize=2)
def load_policy(root: Path | None = None) -> PricePolicy:
    """Return the constants.

    Raises:
        InputError: the file is wrong.
    """
    path = (root or data_root()) / "prices" / "policy.yaml"
    return validate(PricePolicy, read_yaml(path), "prices/policy.yaml")


@dataclass(frozen=True, slots=True)
class PriceBracket:
    """What a card costs where from ``minimum_count`` to ``maximum_count`` (None: any more) are bought."""

    minimum_count: int
    maximum_count: int | None
    price: PriceRecord


class PriceBook:
    """Prices by GPU.

    Args:
        records: prices in any order; of two equal offers the later in the sequence wins.
        devices: the catalog, for launch prices.
        today: for the age of prices and the end of quotes.
        policy: which offers count together.
        messages: what the reader of the records should be told.
    """

    def __init__(
        self,
        records: Sequence[PriceRecord],
        devices: Iterable[Device] = (),
        *,
        today: datetime.date | None = None,
        policy: PricePolicy | None = None,
        messages: Sequence[str] = (),
    ) -> None:
        self.today = today or datetime.date.today()
        self.policy = policy or load_policy()
        self.messages = tuple(messages)
        found: dict[str, list[PriceRecord]] = {}
        for record in records:
            found.setdefault(record.gpu_id, []).append(record)
        self._records: Mapping[str, tuple[PriceRecord, ...]] = {
            gpu_id: tuple(prices) for gpu_id, prices in found.items()
        }
        self._offers: dict[tuple[str, PriceKind], list[PriceRecord]] = {}
        for record in records:
            if not record.expired(self.today):
                self._offers.setdefault((record.gpu_id, record.kind), []).append(record)
        self._launch = {device.id: device.launch_price for device in devices if device.launch_price}

    def records(self, gpu_id: str | None = None) -> tuple[PriceRecord, ...]:
        """Return the records of one GPU, or all of them, launch prices first; expired quotes are among them."""
        ids = [gpu_id] if gpu_id is not None else list(dict.fromkeys((*self._launch, *self._records)))
        found: list[PriceRecord] = []
        for each in ids:
            launch = self.launch_price(each)
            found.extend([launch] if launch else [])
            found.extend(self._records.get(each, ()))
        return tuple(found)

    def is_old(self, record: PriceRecord) -> bool:
        """Say whether a price is older than one should rely on."""
        return record.age_days(self.today) > self.policy.old_days

    def purchase_spread(self, record: PriceRecord) -> float:
        """Return the multiplicative 80 % spread of what is really paid about a price to buy."""
        return self.policy.purchase_spread.get(record.kind, 1.0)

    def rent_spread(self, record: PriceRecord) -> float:
        """Return the multiplicative 80 % spread of offers about a price to rent; 1 for a quote."""
        if record.kind == "quote_rent":
            return 1.0
        return record.spread or self.policy.rent_spread

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

    def purchase_brackets(self, gpu_id: str, *, quoted: bool = False) -> tuple[PriceBracket, ...]:
        """Return what each number of cards costs a card: :meth:`buy_price` of every number, in rising brackets.

        Numbers without a price are in none.

        Args:
            gpu_id: the GPU.
            quoted: whether only quotes count.
        """
        starts = {1}
        for quote in self._offers.get((gpu_id, "quote"), ()):
            starts.add(quote.minimum_count)
            if quote.maximum_count is not None:
                starts.add(quote.maximum_count + 1)
        found: list[PriceBracket] = []
        for start, after in pairwise([*sorted(starts), None]):
            assert start is not None
            price = self.buy_price(gpu_id, start)
            if price is None or (quoted and price.kind != "quote"):
                continue
            last = None if after is None else after - 1
            if found and found[-1].price == price and found[-1].maximum_count == start - 1:
                found[-1] = replace(found[-1], maximum_count=last)
            else:
                found.append(PriceBracket(start, last, price))
        return tuple(found)

    def buy_price(self, gpu_id: str, count: int = 1) -> PriceRecord | None:
        """Return what one card costs in US dollars where ``count`` are bought, None when not known.

        The cheapest quote that holds for just so many and has not ended. Without one the newest street price of a new
        card where it is newer than the newest used price; else the newest used price (an average of sold listings);
        else the launch price. ``kind`` and ``date`` of the record say which.
        """
        quotes = self._quotes(gpu_id, "quote", count)
        if quotes:
            return min(quotes, key=lambda quote: quote.price_usd)
        street = _newest(self._offers.get((gpu_id, "street_new"), ()))
        used = _newest(self._offers.get((gpu_id, "used"), ()))
        if street is not None and (used is None or street.earliest_day > used.earliest_day):
            return street
        return used or self.launch_price(gpu_id)

    def newest(self, gpu_id: str, kind: PriceKind) -> PriceRecord | None:
        """Return the newest price of a kind; None where there is none."""
        return _newest(self._offers.get((gpu_id, kind), ()))

    def rent_price(self, gpu_id: str, count: int = 1) -> PriceRecord | None:
        """Return the on-demand price of a GPU and hour in US dollars, None when not known.

        Whole instances are billed: ``gpus_per_instance`` says of how many GPUs, and offers are compared by what an
        hour of ``count`` GPUs costs in them. The cheapest quote that holds for ``count`` and has not ended; else the
        median of public offers. Of each provider its newest prices count, there the largest instance of several GPUs
        that ``count`` fills, else the cheapest of those that are not larger, there the cheapest region; offers that
        are older than the newest by more than a year do not count. Where every instance holds more than ``count``,
        the median is over the smallest ones. Where instances of several sizes count, the price is that of a GPU that
        is wanted, with its share of those that are not. ``low``, ``high``, ``spread`` and ``offers`` say over what;
        ``date`` is that of the oldest offer among them. Hyperscalers ask several times what specialists ask, so the
        range is wide.

        Args:
            gpu_id: id in the catalog.
            count: GPUs wanted, at least 1.
        """
        quotes = self._quotes(gpu_id, "quote_rent", count)
        if quotes:
            return min(quotes, key=lambda quote: _usd_per_h(quote, count))
        return self._median(gpu_id, "cloud_on_demand", count)

    def spot_price(self, gpu_id: str, count: int = 1) -> PriceRecord | None:
        """Return the interruptible price of a GPU and hour in US dollars: a median as in :meth:`rent_price`."""
        return self._median(gpu_id, "cloud_spot", count)

    def counted(self, gpu_id: str, kind: PriceKind, count: int = 1) -> tuple[PriceRecord, ...]:
        """Return the public offers to rent whose median is taken, cheapest first."""
        fitting = self._fitting(gpu_id, kind, count)
        return tuple(sorted(fitting, key=lambda record: _usd_per_h(record, count)))

    def doubt(self, gpu_id: str, kind: PriceKind, price_usd: float) -> str | None:
        """Return why a quote may be wrong: it is far from every public price; None where it is not."""
        public_kinds = _PUBLIC_OF_QUOTES[kind]
        public = [each.price_usd for kind in public_kinds for each in self._offers.get((gpu_id, kind), ())]
        if kind == "quote" and (launch := self._launch.get(gpu_id)) is not None:
            public.append(launch.usd)
        factor = self.policy.doubtful_quote_factor
        if not public or min(public) / factor <= price_usd <= max(public) * factor:
            return None
        lowest, highest = format_money(min(public)), format_money(max(public))
        span = lowest if lowest == highest else f"{lowest} to {highest}"
        return f"{format_money(price_usd)} is far from the public prices ({span}): are price, unit and rate right?"

    def _quotes(self, gpu_id: str, kind: PriceKind, count: int) -> list[PriceRecord]:
        return [quote for quote in self._offers.get((gpu_id, kind), ()) if quote.holds_for(count)]

    def _fitting(self, gpu_id: str, kind: PriceKind, count: int) -> list[PriceRecord]:
        """Return one offer a provider."""
        offers = self._offers.get((gpu_id, kind), [])
        fitting = [record for record in offers if record.gpus_per_instance <= count]
        if offers and not fitting:
            smallest = min(record.gpus_per_instance for record in offers)
            fitting = [record for record in offers if record.gpus_per_instance == smallest]
        newest = max((record.earliest_day for record in fitting), default=datetime.date.min)
        window = datetime.timedelta(days=self.policy.window_days)
        recent = (record for record in fitting if newest - record.earliest_day < window)
        return _one_per_provider(recent, count)

    def _median(self, gpu_id: str, kind: PriceKind, count: int) -> PriceRecord | None:
        chosen = self._fitting(gpu_id, kind, count)
        if not chosen:
            return None
        if len(chosen) == 1:
            return chosen[0]
        sizes = {record.gpus_per_instance for record in chosen}
        size = sizes.pop() if len(sizes) == 1 else 1
        prices = [_usd_per_h(record, count) / billed_gpus(count, size) for record in chosen]
        low, high = np.quantile(prices, (0.1, 0.9)).tolist()
        enough = len(prices) >= self.policy.least_offers
        oldest = min(chosen, key=lambda record: record.earliest_day)
        newest = max(chosen, key=lambda record: record.earliest_day)
        unused = size == 1 and any(count % record.gpus_per_instance for record in chosen)
        spare = ", with the GPUs of whole instances that are not used" if unused else ""
        return PriceRecord(
            gpu_id=gpu_id,
            kind=kind,
            gpus_per_instance=size,
            price_usd=round(statistics.median(prices), 10),
            date=oldest.date,
            source="; ".join(dict.fromkeys(record.source for record in chosen)),
            note=f"median of {len(chosen)} offers, the newest of {newest.date}{spare}",
            offers=len(chosen),
            low=min(prices),
            high=max(prices),
            spread=float(np.sqrt(high / low)) if enough else None,
        )


def _newest(records: Sequence[PriceRecord]) -> PriceRecord | None:
    # Reversed, so that of two records of one date the one read last (the user's) is found first.
    return max(reversed(records), key=lambda record: record.earliest_day, default=None)


def _usd_per_h(record: PriceRecord, count: int) -> float:
    """Return what an hour of ``count`` GPUs costs in whole instances."""
    return record.price_usd * billed_gpus(count, record.gpus_per_instance)


def _one_per_provider(records: Iterable[PriceRecord], count: int) -> list[PriceRecord]:
    """Keep one offer a provider: many sizes shall not weigh more."""
    kept: dict[object, PriceRecord] = {}
    for record in records:
        key: object = record.provider or id(record)
        other = kept.get(key)
        if other is None or _preferred(record, count) > _preferred(other, count):
            kept[key] = record
    return list(kept.values())


def _preferred(record: PriceRecord, count: int) -> tuple[datetime.date, int, float]:
    """Order offers: the newest, the largest of several GPUs that leave none unused, the cheapest for ``count``."""
    size = record.gpus_per_instance
    return record.earliest_day, size if count % size == 0 else 1, -_usd_per_h(record, count)


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


def is_shipped(record: PriceRecord) -> bool:
    """Say whether a price comes with the package, launch prices of the catalog among them."""
    return record.kind == "launch" or record in _shipped_set()


@lru_cache(maxsize=1)
def _shipped_set() -> frozenset[PriceRecord]:
    return frozenset(shipped_records())


def live_records(
    folder: Path, known: Iterable[str], *, everything: bool = False
) -> tuple[tuple[PriceRecord, ...], tuple[str, ...]]:
    """Return the last good copies of live prices, and what is wrong with those that cannot be read.

    Args:
        folder: of the user.
        known: ids of the catalog; a price of a GPU that is no longer in it is left out.
        everything: whether to return each price; else of one provider's offers with as many GPUs the cheapest place
            and instance, which is all that answers count with.
    """
    ids = set(known)
    found: list[PriceRecord] = []
    messages: list[str] = []
    for path in sorted((folder / LIVE).glob("*.csv")):
        try:
            text = read_text(path, max_bytes=LARGEST_LIVE_BYTES)
            records = parse_prices(text, str(path), cheapest=not everything)
        except InputError as error:
            messages.append(
                f"live prices left out: {str(error).splitlines()[0]}; prices refresh writes them again"
            )
            continue
        found.extend(record for record in records if record.gpu_id in ids)
    return tuple(found), tuple(messages)


def load_prices(
    devices: Iterable[Device] = (),
    extra_files: Sequence[Path] = (),
    *,
    user_folder: Path | None = None,
    quotes: Sequence[PriceRecord] = (),
    today: datetime.date | None = None,
    messages: Sequence[str] = (),
    everything: bool = False,
) -> PriceBook:
    """Return the shipped prices, the last good copies of live ones, and the user's.

    Args:
        devices: the catalog, for launch prices and for checking the ids of the user's records; without it
            there are no launch prices and every id is accepted.
        extra_files: price tables of the user (CSV); a record of the same date replaces a shipped one.
        user_folder: where live prices lie; None reads none.
        quotes: of the user.
        today: for ages and ends; the date of the machine when left out.
        messages: what the reader of the quotes should be told.
        everything: whether to list each live price, see :func:`live_records`; answers are the same.

    Raises:
        InputError: a table is wrong, with file, line and column.
    """
    catalog = tuple(devices)
    known = {device.id for device in catalog}
    records = list(shipped_records())
    said = tuple(messages)
    if user_folder is not None:
        live, problems = live_records(user_folder, known, everything=everything)
        said = (*said, *problems)
        records.extend(live)
    for path in extra_files:
        records.extend(parse_prices(read_text(Path(path)), str(path), known or None))
    return PriceBook([*records, *quotes], catalog, today=today, messages=said)
