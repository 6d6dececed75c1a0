"""The words that people use in quotes (catalog/prices/quote_columns.yaml), and the form in which they are compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from advisor.quantity import Model
from advisor.units import plain
from advisor.yaml_io import data_root, read_yaml, validate

ColumnName = Literal[
    "gpu", "vendor", "quantity", "unit_price", "hour_price", "gpu_hour_price", "total_price", "currency", "valid_until",
    "lead_time", "quote", "date", "per", "region", "instance", "gpus_per_instance", "note", "vat",
]  # fmt: skip
"""What a column can hold."""

FIELDS: tuple[ColumnName, ...] = get_args(ColumnName)
Per = Literal["card", "hour", "GPU-hour"]
"""What a price is the price of; ``hour`` is that of a whole instance."""
Tax = Literal["net", "gross"]


def clean(text: str) -> str:
    """Return a cell without what cannot be seen: control and direction marks, and white space beyond one blank.

    Spreadsheets put direction marks before dates, web pages put zero-width blanks into names.
    """
    visible = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return plain(" ".join(visible.split()))


def fold(text: str) -> str:
    """Return the words of ``text`` for comparison: small, without accents, blanks for everything else.

    ``Stückpreis (netto)`` becomes ``stuckpreis netto``.
    """
    return " ".join(re.findall(r"[^\W_]+", plain_letters(text)))


def plain_letters(text: str) -> str:
    """Return ``text`` in small letters without accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _folded(value: object) -> object:
    if isinstance(value, list):
        # What has no letters ("+", ">=") is compared as it is.
        return [fold(word) or word for word in value if isinstance(word, str)]
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_folded)]


class QuantityWords(Model):
    """Words about a number of cards."""

    at_least: Words
    or_more: Words
    up_to: Words
    units: Words


class LeadTimeWords(Model):
    """Words about the time until delivery."""

    about: Words
    in_stock: Words
    days: Mapping[float, Words]
    """Names of a unit by its days."""

    @cached_property
    def days_of(self) -> Mapping[str, float]:
        """Days of a unit by its name."""
        return {name: days for days, names in self.days.items() for name in names}


class ProductWords(Model):
    """Words in a vendor's text of a product."""

    makers: Words
    left_out: Words
    tells_apart: Words
    revisions: Words
    laptops: Words
    measures: Words
    machines: Words
    accessories: Words
    including: Words


class QuoteWords(Model):
    """The file catalog/prices/quote_columns.yaml."""

    source: str
    columns: Mapping[ColumnName, Words]
    per: Mapping[Per, Words]
    tax: Mapping[Tax, Words]
    currencies: tuple[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], ...]
    currency_names: Mapping[str, tuple[str, ...]]
    other_lines: Words
    not_stated: Words
    to: Words
    quantity: QuantityWords
    lead_time: LeadTimeWords
    months: Mapping[int, Words]
    products: ProductWords

    @cached_property
    def field_of(self) -> Mapping[str, tuple[ColumnName, int]]:
        """The field and the rank of its name (0 is taken before 1) by the name of a column."""
        named = {
            name: (field, rank) for field, names in self.columns.items() for rank, name in enumerate(names, 1)
        }
        return named | {fold(field): (field, 0) for field in FIELDS}

    @cached_property
    def per_of(self) -> Mapping[str, Per]:
        """What a price is the price of, by the name of the unit."""
        return {name: per for per, names in self.per.items() for name in names}

    @cached_property
    def span(self) -> re.Pattern[str]:
        """What stands between the two numbers of a range, in plain letters."""
        names = "|".join(re.escape(name) for name in self.to)
        return re.compile(rf"\s*(?:[-/\u2013\u2014\u2026]|\.\.+|\b(?:{names})\b)\s*")

    @cached_property
    def month_of(self) -> Mapping[str, int]:
        """Months by name."""
        return {name: month for month, names in self.months.items() for name in names}


@lru_cache(maxsize=2)
def load_words(root: Path | None = None) -> QuoteWords:
    """Return the shipped words.

    Raises:
        InputError: the file is wrong.
    """
    path = (root or data_root()) / "prices" / "quote_columns.yaml"
    return validate(QuoteWords, read_yaml(path), "prices/quote_columns.yaml")
