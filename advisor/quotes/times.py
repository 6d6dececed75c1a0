"""Days and times until delivery as people of all countries write them."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable
from typing import Literal

from advisor.errors import InputError
from advisor.quotes.amounts import number
from advisor.quotes.words import QuoteWords, fold, plain_letters

DateOrder = Literal["dmy", "mdy"]

_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]\d{1,2}:\d{2}.*)?")
_YEAR_LAST = re.compile(r"(\d{1,2})\s?([-/.])\s?(\d{1,2})\s?\2\s?(\d{4}|\d{2})(?:[T ]\d{1,2}:\d{2}.*)?")
_LEAD_TIME = re.compile(r"([^\d]*)(\d(?:.*\d)?)([^\d]*)")
_CENTURY = 2000


def day(text: str, order: DateOrder | None, words: QuoteWords) -> datetime.date:
    """Return a day: ``2026-12-31``, ``31.12.2026``, ``31/12/2026``, ``12/31/26``, ``31. Dezember 2026``.

    Where dots stand between the numbers the day comes first, as everywhere that dates are written so.

    Args:
        text: a cell, cleaned.
        order: of day and month where only the order can tell.
        words: for the names of months.

    Raises:
        InputError: there is no such day, or it can be two.
    """
    possible = _possible(text, words)
    if not possible:
        raise InputError("not a date", value=text, accepted="2026-12-31, 31.12.2026, 12/31/2026, 31 Dec 2026")
    if order in possible:
        return possible[order]
    days = set(possible.values())
    if len(days) > 1:
        raise InputError(
            "can be two days, and no other date of its column decides",
            value=text,
            accepted=" or ".join(str(each) for each in sorted(days)),
            hint="--date-order dmy or --date-order mdy says what the file uses",
        )
    return days.pop()


def date_order(cells: Iterable[str], words: QuoteWords) -> DateOrder | None:
    """Return the order of day and month that the dates of one column prove; None where none does, or they differ."""
    proved: set[DateOrder] = set()
    for text in cells:
        match = _YEAR_LAST.fullmatch(text)
        if match and match.group(2) != ".":
            possible = _possible(text, words)
            proved |= set(possible) if len(possible) == 1 else set()
    return proved.pop() if len(proved) == 1 else None


def _possible(text: str, words: QuoteWords) -> dict[DateOrder, datetime.date]:
    """Return what ``text`` is by the order of day and month; the same day twice where the order says nothing."""
    if match := _YEAR_FIRST.fullmatch(text):
        year, month, number_of_day = (int(part) for part in match.groups())
        return _both(_date(year, month, number_of_day))
    if match := _YEAR_LAST.fullmatch(text):
        first, second, year = int(match.group(1)), int(match.group(3)), _full_year(match.group(4))
        found: dict[DateOrder, datetime.date] = {}
        if (dmy := _date(year, second, first)) is not None:
            found["dmy"] = dmy
        if (mdy := _date(year, first, second)) is not None and match.group(2) != ".":
            found["mdy"] = mdy
        return found
    return _both(_in_words(text, words))


def _in_words(text: str, words: QuoteWords) -> datetime.date | None:
    """Return the day of ``31 Dec 2026``, ``December 31st, 2026`` or ``31 de diciembre de 2026``."""
    parts = [part for part in fold(text).split() if part not in ("de", "del", "the", "of")]
    months = [words.month_of[part] for part in parts if part in words.month_of]
    numbers = [re.sub(r"(?:st|nd|rd|th|er)\Z", "", part) for part in parts if part not in words.month_of]
    if len(months) != 1 or len(numbers) != 2 or not all(re.fullmatch(r"\d{1,4}", each) for each in numbers):
        return None
    return _date(_full_year(numbers[1]), months[0], int(numbers[0]))


def _both(found: datetime.date | None) -> dict[DateOrder, datetime.date]:
    return {} if found is None else {"dmy": found, "mdy": found}


def _full_year(digits: str) -> int:
    return int(digits) if len(digits) == 4 else _CENTURY + int(digits)


def _date(year: int, month: int, number_of_day: int) -> datetime.date | None:
    try:
        return datetime.date(year, month, number_of_day)
    except ValueError:
        return None


def lead_time_days(text: str, unit_days: float, words: QuoteWords) -> int | None:
    """Return the days until delivery: ``14 days``, ``2-3 weeks`` (the longer), ``in stock`` (0), ``10``.

    Args:
        text: a cell, cleaned.
        unit_days: days of the unit of a bare number.
        words: names of units, and what else is said.

    Returns:
        Days, rounded up; None where the time is still open ("on request").

    Raises:
        InputError: it is no such time.
    """
    folded = fold(text)
    if folded in words.not_stated or not folded:
        return None
    if folded in words.lead_time.in_stock:
        return 0
    match = _LEAD_TIME.fullmatch(text)
    before, span, unit = (match.group(1), match.group(2), fold(match.group(3))) if match else ("?", "", "")
    days = words.lead_time.days_of.get(unit) if unit else unit_days
    times = [number(part) for part in words.span.split(plain_letters(span))]
    longest = max((each.point or each.comma or 0.0 for each in times if each is not None), default=None)
    about = fold(before) in ("", *words.lead_time.about) and "-" not in before
    if days is None or longest is None or None in times or not about:
        raise InputError(
            "not a lead time", value=text, accepted="14, 14 days, 2-3 weeks, in stock, on request"
        )
    return math.ceil(longest * days - 1e-9)
