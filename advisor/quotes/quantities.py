"""For how many cards a price holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from advisor.errors import InputError
from advisor.quotes.amounts import DecimalMark, Number, number
from advisor.quotes.words import QuoteWords, fold, plain_letters

_NUMBER = re.compile(r"\d(?:[\d.,'\u2019 ]*\d)?")
_MOST = 1_000_000


@dataclass(frozen=True)
class Range:
    """From how many cards to how many a price holds; ``most`` is None where more cost the same or nothing is said."""

    least: int
    most: int | None = None
    single: bool = True
    """Whether it is one number, by which a total can be divided."""


def numbers(text: str, words: QuoteWords) -> list[Number | None]:
    """Return the numbers of a cell such as ``8``, ``1-4`` or ``ab 1.000``."""
    return [
        number(match.group())
        for part in words.span.split(plain_letters(text))
        if (match := _NUMBER.search(part))
    ]


def quantity(text: str, words: QuoteWords, mark: DecimalMark | None) -> Range:
    """Return the range that a cell means: ``8``, ``8 pcs``, ``1-4``, ``5+``, ``>= 10``, ``ab 5``, ``up to 4``.

    A plain number is the least for which the price holds.

    Args:
        text: a cell, cleaned, not empty.
        words: "from", "or more", "pieces".
        mark: the decimal mark of the file where it is known.

    Raises:
        InputError: it is no number of cards.
    """
    found = numbers(text, words)
    rest = _NUMBER.sub("#", text)
    if not found or None in found or "%" in text:
        raise _no_quantity(text)
    values = [_whole(each.value(mark), text) for each in found if each is not None]
    kind = words.quantity
    said = " ".join(word for word in fold(rest).split() if word not in kind.units)
    if len(values) == 2 and said in ("", *words.to) and values[0] <= values[1]:
        return Range(values[0], values[1], single=False)
    if len(values) != 1:
        raise _no_quantity(text)
    (value,) = values
    sign = re.sub(r"[^<>=\u2264\u2265+-]", "", rest)
    if sign in ("<", "<=", "=<", "\u2264") or (not sign and said in kind.up_to):
        return Range(1, value - 1 if sign == "<" else value, single=False)
    if sign == ">":
        return Range(value + 1, single=False)
    if sign in (">=", "=>", "\u2265", "+") or (not sign and said in (*kind.at_least, *kind.or_more)):
        return Range(value, single=False)
    if sign or said:
        raise _no_quantity(text)
    return Range(value)


def _whole(value: float, text: str) -> int:
    if value != int(value) or not 1 <= value <= _MOST:
        raise _no_quantity(text)
    return int(value)


def _no_quantity(text: str) -> InputError:
    return InputError(
        "not a number of cards", value=text, accepted="8, 8 pcs, 1-4, 5+, >= 10, from 5, up to 4"
    )
