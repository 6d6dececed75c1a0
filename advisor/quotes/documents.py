"""What an import of quotes answers, as JSON documents."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from advisor.documents import Document
from advisor.prices import PriceRecord
from advisor.quantity import Model


class ReadFromDocument(Model):
    """Where a quote stands."""

    line: str
    """"line 4" of a price list, "quote 2" of a list in JSON."""
    text: str
    """What the vendor calls the product."""


class QuoteDocument(Model):
    """One quote as it was understood."""

    vendor: str | None
    gpu: str
    """Id in the catalog."""
    name: str
    way: Literal["buy", "rent"]
    minimum_count: int
    """The fewest GPUs for which the price holds."""
    maximum_count: int | None
    """The most for which it holds; null where any more cost the same."""
    price_usd: float
    """US dollars a card, or a GPU and hour."""
    price_in_currency: float | None
    """The same in the currency of the quote; null for US dollars."""
    currency: str
    rate: float | None
    """US dollars for one unit of the currency, as the user gave it."""
    valid_until: datetime.date | None
    expired: bool
    lead_time_days: int | None
    read_from: ReadFromDocument
    note: str | None = None


class ImportAnswer(Document):
    """What was read from a file of quotes, and where it was kept."""

    schema_id: Literal["gpu-advisor/price-import/1"] = Field(
        default="gpu-advisor/price-import/1", alias="schema"
    )
    file: str
    name: str
    """Under which the quotes are kept; ``prices remove`` takes it."""
    stored: str
    """Path of the copy that later answers use."""
    changed: bool
    """Whether anything was written; false where the same content was imported before."""
    as_of: datetime.date
    quotes: tuple[QuoteDocument, ...]
    columns: Mapping[str, str] = {}
    """Headings of the file by the field that they were read as."""
    messages: tuple[str, ...] = ()
    """What was assumed, and what was left out."""


class StoredQuote(Model):
    """One quote as it is kept."""

    record: PriceRecord
    line: str
    text: str
    rate: float | None = None


class StoredQuotes(Document):
    """The quotes of one file as they are kept in the user's folder."""

    schema_id: Literal["gpu-advisor/quotes/1"] = Field(default="gpu-advisor/quotes/1", alias="schema")
    file: str
    digest: str
    """Of the file and of what the user said about it."""
    as_of: datetime.date
    columns: Mapping[str, str] = {}
    quotes: tuple[StoredQuote, ...]
    messages: tuple[str, ...] = ()
