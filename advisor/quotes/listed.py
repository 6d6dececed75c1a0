"""Quotes in JSON: a list of objects, or one object with the list under ``quotes``."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from advisor.errors import InputError
from advisor.quantity import Model
from advisor.quotes.amounts import currency_of
from advisor.quotes.faults import MOST, Faults
from advisor.quotes.offers import Assumptions, Offer
from advisor.quotes.table import MAX_ROWS
from advisor.quotes.words import Per, Tax
from advisor.yaml_io import parse_json, validate


def _day(value: object) -> object:
    """Accept days as text alone; pydantic also takes numbers, for seconds since 1970."""
    if not isinstance(value, str):
        raise ValueError("a date is text such as 2026-12-31")
    return value


Day = Annotated[datetime.date, BeforeValidator(_day)]


class ListedQuote(Model):
    """One quote in a JSON file; the price is that of ``per``, in ``currency``."""

    gpu: str
    """Id, name or alias of the GPU, or a vendor's text with one name in it."""
    unit_price: float = Field(gt=0)
    tax: Tax | None = None
    """``gross`` is with VAT; without it where nothing is said."""
    vat_percent: float | None = Field(default=None, ge=0, le=100)
    """Rate of the VAT in a gross price."""
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    vendor: str | None = None
    quantity: int = Field(default=1, ge=1, le=1_000_000)
    """The fewest for which the price holds."""
    maximum_quantity: int | None = Field(default=None, ge=1, le=1_000_000)
    """The most for which it holds; any more cost the same where it is left out."""
    valid_until: Day | None = None
    lead_time_days: int | None = Field(default=None, ge=0, le=3660)
    quote: str | None = None
    """Number of the quote."""
    date: Day | None = None
    """Of the quote; the day of its import where it is left out."""
    per: Per = "card"
    """``hour`` is the price of a whole instance."""
    gpus_per_instance: int | None = Field(default=None, ge=1, le=4096)
    region: str | None = None
    instance: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.maximum_quantity is not None and self.maximum_quantity < self.quantity:
            raise ValueError("maximum_quantity is less than quantity")
        return self


def read_listed(text: str, source: str, assumed: Assumptions, faults: Faults) -> tuple[Offer, ...]:
    """Return the offers of a JSON file.

    Args:
        text: of the file.
        source: its name.
        assumed: what the user says about the file.
        faults: takes what is wrong with an item.

    Raises:
        InputError: it is not JSON, or no list of objects.
    """
    document = parse_json(text, source)
    items = document.get("quotes") if isinstance(document, Mapping) else document
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise InputError(
            "not a list of quotes", source=source, accepted='[{"gpu": ...}] or {"quotes": [...]}'
        )
    if len(items) > MAX_ROWS:
        raise InputError(f"more than {MAX_ROWS} quotes", source=source)
    at = ("quotes",) if isinstance(document, Mapping) else ()
    found: list[Offer] = []
    for place, item in enumerate(items):
        with faults.at(f"quote {place + 1}"):
            # To find the line of a fault the text is parsed again; so only for faults that are spelled out.
            where = text if faults.count < MOST else None
            listed = validate(ListedQuote, item, source, where, at=(*at, place))
            found.append(_offer(listed, f"quote {place + 1}", assumed))
    return tuple(found)


def _offer(listed: ListedQuote, where: str, assumed: Assumptions) -> Offer:
    currency, _ = currency_of([(listed.currency,)] if listed.currency else [], assumed.currency)
    return Offer(
        where=where,
        product=listed.gpu,
        price=listed.unit_price,
        currency=currency,
        per=listed.per,
        vendor=listed.vendor,
        least=listed.quantity,
        most=listed.maximum_quantity,
        gpus_per_instance=listed.gpus_per_instance,
        valid_until=listed.valid_until,
        lead_time_days=listed.lead_time_days,
        quote=listed.quote,
        date=listed.date,
        region=listed.region,
        instance=listed.instance,
        note=listed.note,
        tax=listed.tax,
        vat_percent=listed.vat_percent,
    )
