"""The JSON document of ``prices show``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from advisor.documents import Document
from advisor.prices import PriceKind
from advisor.quantity import Model


class PriceDocument(Model):
    """One dated price, and whether answers count with it."""

    kind: PriceKind
    unit: Literal["card", "GPU-hour"]
    price_usd: float
    provider: str | None
    region: str | None
    instance: str | None
    gpus_per_instance: int
    minimum_count: int
    maximum_count: int | None
    """The most cards or GPUs for which it holds; null where any more cost the same."""
    currency: str
    price_in_currency: float | None
    date: str
    age_days: int
    """On ``as_of``; of a price that is dated by month or year, the oldest it can be."""
    old: bool
    """Older than one should rely on."""
    valid_until: str | None
    expired: bool
    lead_time_days: int | None
    source: str
    note: str | None
    unverified: str | None
    counted: bool
    """Whether it is the price to buy one card, or among the offers whose median is the rent of one GPU."""
    offers: int | None = None
    low: float | None = None
    high: float | None = None


class PricePointDocument(Model):
    """What renting a GPU cost on one day, in US dollars a GPU and hour: over providers, of each its cheapest offer."""

    day: str
    kind: PriceKind
    median_usd: float
    low_usd: float
    high_usd: float
    providers: int


class GpuPricesDocument(Model):
    """The prices of one GPU: those that answers count with, and all of them where the GPU was named."""

    gpu: str
    name: str
    buy: PriceDocument | None
    used: PriceDocument | None
    launch: PriceDocument | None
    rent: PriceDocument | None
    """On demand: the median of the offers, or a quote."""
    spot: PriceDocument | None
    providers: int
    """That rent it out on demand."""
    prices: tuple[PriceDocument, ...] = ()
    history: tuple[PricePointDocument, ...] = ()


class PriceSourceDocument(Model):
    """Where prices come from."""

    name: str
    kind: Literal["shipped", "live", "quotes"]
    prices: int
    oldest: str
    newest: str
    old: int
    """How many of them are older than one should rely on."""


class PricesAnswer(Document):
    """What ``prices show --json`` writes."""

    schema_: Literal["gpu-advisor/prices/1"] = Field(default="gpu-advisor/prices/1", alias="schema")
    as_of: str
    """The day on which ages and the end of quotes are counted."""
    old_after_days: int
    gpus: tuple[GpuPricesDocument, ...]
    sources: tuple[PriceSourceDocument, ...]
    messages: tuple[str, ...] = ()
