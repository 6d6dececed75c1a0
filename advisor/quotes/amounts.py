"""Numbers and prices as people of all countries write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from advisor.errors import InputError
from advisor.quotes.words import Per, QuoteWords, Tax, fold

DecimalMark = Literal["point", "comma"]
Codes = tuple[str, ...]
"""What one name of a currency can mean: "$" is used by several."""

_NUMBER = re.compile(r"[.,]?\d(?:[\d.,'\u2019 ]*\d)?")
_GROUPED: Mapping[DecimalMark, re.Pattern[str]] = {
    # Groups of three, or Indian ones: two digits each before the last three. No number starts with a group of zeros.
    "point": re.compile(
        r"([1-9]\d{0,2}(?:([,'\u2019 ])\d{3})(?:\2\d{3})*|[1-9]\d?(?:,\d{2})+,\d{3})(?:\.(\d+))?"
    ),
    "comma": re.compile(r"([1-9]\d{0,2}(?:([.'\u2019 ])\d{3})(?:\2\d{3})*)(?:,(\d+))?"),
}
_PLAIN: Mapping[DecimalMark, re.Pattern[str]] = {
    "point": re.compile(r"(\d*)(?:\.(\d+))?"),
    "comma": re.compile(r"(\d*)(?:,(\d+))?"),
}
_NO_CENTS = re.compile(r"\s*([.,])\s?[-\u2013\u2014]{1,2}")
"""As in "1.599,-": a dash for the cents."""
_PERCENT = re.compile(r"(\d{1,2}(?:[.,]\d{1,2})?)\s*%")
_MINUS = ("-", "\u2212")
_MINUS_BEHIND = re.compile(r"\s*[-\u2212]\s*(?:\W|\Z)")


@dataclass(frozen=True)
class Number:
    """A number as it is written, and what it can mean under either decimal mark; None where it cannot."""

    text: str
    point: float | None
    comma: float | None

    @property
    def evidence(self) -> DecimalMark | None:
        """Which decimal mark the writing proves."""
        if self.point is None or self.comma is None:
            return "comma" if self.point is None else "point"
        return None

    def value(self, mark: DecimalMark | None) -> float:
        """Return the number.

        Args:
            mark: the decimal mark of its column, None where that is not known.

        Raises:
            InputError: it cannot be told, or is not one under this mark.
        """
        if mark is None and self.evidence is None and self.point != self.comma:
            raise InputError(
                f"can be {self.point:.10g} or {self.comma:.10g}, and no other number of its column decides",
                value=self.text,
                hint="--decimal comma or --decimal point says what the file uses",
            )
        found = self.comma if (mark or self.evidence) == "comma" else self.point
        if found is None:
            raise InputError(f"not a number with a decimal {mark}", value=self.text)
        return found


def number(text: str) -> Number | None:
    """Return what ``text`` means as a number of at least 0, None where it is none under either decimal mark."""
    point, comma = _read(text, "point"), _read(text, "comma")
    return None if point is None and comma is None else Number(text, point, comma)


def _read(text: str, mark: DecimalMark) -> float | None:
    if match := _GROUPED[mark].fullmatch(text):
        return float(re.sub(r"\D", "", match.group(1)) + "." + (match.group(3) or "0"))
    match = _PLAIN[mark].fullmatch(text)
    if match and (match.group(1) or match.group(2)):
        return float((match.group(1) or "0") + "." + (match.group(2) or "0"))
    return None


def decimal_mark(numbers: Iterable[Number]) -> DecimalMark | None:
    """Return the decimal mark that numbers of one column prove; None where none does, or they differ."""
    proved = {number.evidence for number in numbers} - {None}
    return proved.pop() if len(proved) == 1 else None


@dataclass(frozen=True)
class Price:
    """A price cell."""

    number: Number
    currencies: tuple[Codes, ...]
    per: Per | None
    tax: Tax | None
    vat_percent: float | None


@dataclass(frozen=True)
class Stated:
    """What is said around a price, or in the heading of its column."""

    currencies: tuple[Codes, ...]
    tax: Tax | None
    rest: str
    """What is left, folded."""
    vat_percent: float | None = None
    """Rate of the tax, as in "inkl. 19 % MwSt"."""


def price(text: str, words: QuoteWords) -> Price:
    """Return a price cell: ``1.599,00 €``, ``USD 1,599``, ``1'599.- CHF``, ``$2.49/h``.

    Raises:
        InputError: it is no price.
    """
    match = _NUMBER.search(text)
    if match is None:
        raise _no_price(text)
    before, digits, behind = text[: match.start()], match.group(), text[match.end() :]
    if dash := _NO_CENTS.match(behind):
        digits, behind = f"{digits}{dash.group(1)}0", behind[dash.end() :]
    read = number(digits)
    said = stated(f"{before} {behind}", words)
    per = words.per_of.get(said.rest)
    share = "%" in behind and said.vat_percent is None
    signed = before.rstrip().endswith((*_MINUS, "(")) or _MINUS_BEHIND.match(behind) or share
    if read is None or signed or (said.rest and per is None):
        raise _no_price(text)
    return Price(read, said.currencies, per, said.tax, said.vat_percent)


def _no_price(text: str) -> InputError:
    return InputError("not a price", value=text, accepted="1599, 1,599.00, 1.599,00 €, USD 1599")


def stated(text: str, words: QuoteWords) -> Stated:
    """Return the currency and the tax that ``text`` names, and the rest of it."""
    match = _PERCENT.search(text)
    if match is not None:
        said = _stated(f"{text[: match.start()]} {text[match.end() :]}", words)
        if said.tax is not None:
            return replace(said, vat_percent=float(match.group(1).replace(",", ".")))
    return _stated(text, words)


def vat_percent(cell: str, heading: str) -> float | None:
    """Return the rate in a column of rates: ``19 %``, or ``19`` under "VAT %"; None of anything else, as of an amount.

    Args:
        cell: cleaned.
        heading: of its column.
    """
    text = cell if "%" in cell or "%" not in heading else f"{cell}%"
    match = _PERCENT.fullmatch(text)
    return None if match is None else float(match.group(1).replace(",", "."))


def _stated(text: str, words: QuoteWords) -> Stated:
    found: list[Codes] = []
    for name, codes in sorted(words.currency_names.items(), key=lambda item: -len(item[0])):
        # A name of letters stands alone, a sign may touch anything.
        alone = rf"(?<![^\W\d_]){re.escape(name)}(?![^\W\d_])" if name[-1].isalpha() else re.escape(name)
        text, times = re.subn(alone, " ", text, flags=re.IGNORECASE)
        found.extend([codes] if times else [])
    rest = []
    for word in fold(text).split():
        if word.upper() in words.currencies:
            found.append((word.upper(),))
        else:
            rest.append(word)
    folded = f" {' '.join(rest)} "
    taxes: set[Tax] = set()
    phrases = [(phrase, tax) for tax, phrases in words.tax.items() for phrase in phrases]
    for phrase, tax in sorted(phrases, key=lambda item: -len(item[0])):
        if f" {phrase} " in folded:
            taxes.add(tax)
            folded = folded.replace(f" {phrase} ", " ")
    return Stated(tuple(found), taxes.pop() if len(taxes) == 1 else None, folded.strip())


def currency_of(names: Sequence[Codes], default: str | None) -> tuple[str, bool]:
    """Return the one currency that all names of a row allow, and whether custom decided ("$" means US dollars).

    Args:
        names: what cell, column and heading say.
        default: the currency of prices for which the file leaves it open.

    Raises:
        InputError: they contradict each other, or leave it open.
    """
    if not names:
        if default is not None:
            return default, False
        raise InputError(
            "no currency is named",
            hint="write it into the cell, the heading or a column, or give --currency EUR",
        )
    allowed = [code for code in names[0] if all(code in codes for codes in names)]
    if not allowed:
        raise InputError(
            "the currencies of one row differ", value=", ".join("/".join(codes) for codes in names)
        )
    if len(allowed) == 1:
        return allowed[0], False
    if default in allowed:
        return str(default), False
    if "USD" in allowed:
        return "USD", True
    raise InputError(
        "the name of the currency means several",
        value="/".join(allowed),
        hint=f"--currency {allowed[0]} says which",
    )
