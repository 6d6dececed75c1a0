"""What one row of a price list offers, and the price record that it becomes."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from advisor.errors import InputError
from advisor.prices import PriceRecord
from advisor.quotes.amounts import DecimalMark
from advisor.quotes.faults import about
from advisor.quotes.products import Accessory, Product, Products
from advisor.quotes.times import DateOrder
from advisor.quotes.words import Per, Tax
from advisor.yaml_io import validate

LARGEST_VAT_PERCENT = 100.0
HOURS_OF_A_MONTH = "a price of a month, divided by its hours (730), is one of an hour"


@dataclass(frozen=True)
class Assumptions:
    """What the user says about a file.

    Raises:
        InputError: a rate is none.
    """

    today: datetime.date
    rates: Mapping[str, float] = field(default_factory=dict)
    """US dollars for one unit of a currency."""
    decimal: DecimalMark | None = None
    date_order: DateOrder | None = None
    currency: str | None = None
    """Of prices for which the file names none, or names several."""
    vat_percent: float | None = None
    """Rate of the VAT in prices that are with it, where the file names none."""

    def __post_init__(self) -> None:
        for code, rate in self.rates.items():
            if not re.fullmatch(r"[A-Z]{3}", code) or not (math.isfinite(rate) and rate > 0):
                raise InputError("not a rate", source="--rate", value=f"{code}={rate}", accepted="EUR=1.08")
        if self.rates.get("USD", 1.0) != 1.0:
            raise InputError("the US dollar is what others are converted to", source="--rate", value="USD")
        if self.vat_percent is not None and not 0 <= self.vat_percent <= LARGEST_VAT_PERCENT:
            raise InputError("not a rate of VAT", source="--vat", value=self.vat_percent, accepted="0 to 100")
        if self.currency is not None and not re.fullmatch(r"[A-Z]{3}", self.currency):
            raise InputError(
                "not a currency", source="--currency", value=self.currency, accepted="EUR, GBP, USD"
            )

    def net(self, offer: Offer) -> float:
        """Return the price of an offer without VAT: all prices are compared without.

        Raises:
            InputError: it is with VAT, at a rate that nobody says.
        """
        if offer.tax != "gross":
            return offer.price
        percent = self.vat_of(offer)
        if percent is None:
            raise InputError(
                "the price is with VAT, at a rate that is not said; prices are compared without",
                value=f"{offer.price:.10g} {offer.currency}",
                hint="--vat 19 says the rate in percent, or a column vat; --vat 0 takes prices as they are",
            )
        return offer.price / (1 + percent / 100)

    def vat_of(self, offer: Offer) -> float | None:
        """Return the rate of the VAT in a price; None where it is not said."""
        return self.vat_percent if offer.vat_percent is None else offer.vat_percent

    def rate(self, currency: str) -> float:
        """Return US dollars for one unit of ``currency``.

        Raises:
            InputError: the user gave none.
        """
        if currency == "USD":
            return 1.0
        if currency not in self.rates:
            raise InputError(
                f"no rate of {currency} is given",
                hint=f"--rate {currency}=RATE, with the US dollars for one {currency}",
            )
        return self.rates[currency]


@dataclass(frozen=True)
class Offer:
    """One row, read but not yet understood: prices in its currency, the product as the vendor calls it."""

    where: str
    product: str
    price: float
    currency: str
    per: Per = "card"
    vendor: str | None = None
    least: int = 1
    """Cards, GPUs (``GPU-hour``) or instances (``hour``) from which the price holds."""
    most: int | None = None
    """Up to which it holds; None where more cost the same."""
    gpus_per_instance: int | None = None
    valid_until: datetime.date | None = None
    lead_time_days: int | None = None
    quote: str | None = None
    date: datetime.date | None = None
    region: str | None = None
    instance: str | None = None
    note: str | None = None
    tax: Tax | None = None
    """Of prices that say nothing it is taken to be without."""
    vat_percent: float | None = None
    """Rate of the VAT in a gross price; None is not said."""


@dataclass(frozen=True)
class Quote:
    """A price record, and what it was read from."""

    record: PriceRecord
    offer: Offer
    rate: float | None
    """US dollars for one unit of its currency; None for US dollars."""
    by_name: bool
    """Whether the text is a name of the GPU, as against one that holds it."""
    board: int = 1
    """GPUs of one board, whose price was divided by them."""


def quote_of(offer: Offer, products: Products, assumed: Assumptions, source: str) -> Quote | Accessory:
    """Return the price record of an offer.

    Args:
        offer: a row.
        products: the catalog.
        assumed: rates, and the day of import.
        source: name of the file.

    Raises:
        InputError: the product means no GPU or several, or its price cannot be told.
    """
    with about("gpu"):
        product = products.find(offer.product)
    if isinstance(product, Accessory):
        return product
    gpus = _gpus(offer, product)
    rate = assumed.rate(offer.currency)
    board = product.device.board.devices_per_board
    together = gpus if offer.per == "hour" else board if offer.per == "card" else 1
    price = assumed.net(offer) / together
    notes = [
        offer.note,
        _tax(offer, assumed),
        f"for {offer.least} to {offer.most}" if offer.most else None,
        _of_several(offer, together),
        f"1 {offer.currency} = {rate:g} USD as given" if offer.currency != "USD" else None,
        None if offer.date else "dated by its import",
    ]
    fields = {
        "gpu_id": product.device.id,
        "kind": "quote" if offer.per == "card" else "quote_rent",
        "provider": offer.vendor,
        "region": offer.region,
        "instance": offer.instance,
        "gpus_per_instance": gpus,
        "price_usd": round(price * rate, 6),
        "date": (offer.date or assumed.today).isoformat(),
        "source": ", ".join(
            part for part in (source, offer.where, f"quote {offer.quote}" if offer.quote else None) if part
        ),
        "note": "; ".join(note for note in notes if note) or None,
        # Fewer than fill the last instance are billed as if they did: so they have its price too.
        "minimum_count": (offer.least - 1) * together + 1,
        "maximum_count": None if offer.most is None else offer.most * together,
        "valid_until": offer.valid_until,
        "lead_time_days": offer.lead_time_days,
        "currency": offer.currency,
        "price_in_currency": round(price, 6) if offer.currency != "USD" else None,
    }
    record = validate(PriceRecord, fields, source)
    return Quote(
        record=record,
        offer=offer,
        rate=None if offer.currency == "USD" else rate,
        by_name=product.by_name,
        board=board if offer.per == "card" else 1,
    )


def _tax(offer: Offer, assumed: Assumptions) -> str | None:
    if offer.tax != "gross":
        return "without VAT" if offer.tax else None
    said = f"{offer.price:.10g} {offer.currency} with {assumed.vat_of(offer):g} % VAT"
    return f"{said}, taken as it is" if assumed.vat_of(offer) == 0 else said


def _of_several(offer: Offer, together: int) -> str | None:
    if together == 1:
        return None
    what = "an hour for" if offer.per == "hour" else "a board of"
    return f"{offer.price:.10g} {offer.currency} {what} {together} GPUs"


def _gpus(offer: Offer, product: Product) -> int:
    """Return how many GPUs are rented together.

    Raises:
        InputError: several are sold for one price, or text and column differ.
    """
    said = offer.gpus_per_instance
    if offer.per == "card":
        several = product.machine or (f"{product.count} GPUs" if product.count > 1 else None)
        several = several or (f"{said} GPUs" if said and said > 1 else None)
        if several:
            raise InputError(
                f"a price to buy is that of one card, this one is of more ({several})",
                value=offer.product,
                hint="write the id of the GPU and the price of one card",
            )
        return 1
    if said and product.count > 1 and said != product.count:
        raise InputError(f"{said} GPUs per instance, but the text says {product.count}", value=offer.product)
    return said or product.count
