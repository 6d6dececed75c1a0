"""How long to wait before a server is asked again."""

from __future__ import annotations

import datetime
import email.utils
import random

LONGEST_WAIT_S = 60.0
"""Longest pause before asking again; a server that wants a longer one is not asked again."""

_FIRST_WAIT_S = 1.0


def backed_off_s(attempt: int) -> float:
    """Return 1, 2, 4, ... seconds, half of it by chance so that many clients do not come back together."""
    longest = min(_FIRST_WAIT_S * 2.0 ** (attempt - 1), LONGEST_WAIT_S)
    return longest * random.uniform(0.5, 1.0)


def retry_after_s(text: str) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date; None without one."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, (when - datetime.datetime.now(datetime.UTC)).total_seconds())
