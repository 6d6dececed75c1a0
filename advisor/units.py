"""Units: parse what people write, print what people read. Names elsewhere carry the unit of a bare number."""

from __future__ import annotations

import math
import re

from advisor.errors import InputError

GIB = 2**30
MIB = 2**20
GB = 10**9
TERA = 10**12
HOUR_S = 3600.0
HOURS_PER_WEEK = 168.0
WEEKS_PER_YEAR = 365.25 / 7

_SUFFIXES = {
    "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12,
    "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12,
}  # fmt: skip
_SIZES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_NUMBER = re.compile(r"^\s*([+-]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*$")
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def parse_count(text: str) -> float:
    """Return the number in ``50e6``, ``50M``, ``1.5 billion`` or ``1_000``.

    Raises:
        InputError: the text is not a finite number with one of the known suffixes.
    """
    match = _NUMBER.match(text)
    suffix = match.group(2).lower() if match else ""
    if match is None or (suffix and suffix not in _SUFFIXES):
        raise InputError("not a number", value=text, accepted="a number such as 50000000, 50e6, 50M or 2B")
    value = float(match.group(1).replace("_", "").replace(",", "")) * _SUFFIXES.get(suffix, 1.0)
    if not math.isfinite(value):
        raise InputError("not a finite number", value=text)
    return value


def plain(text: str) -> str:
    """Return ``text`` without control, bidirectional and zero-width characters, and lone halves of a character.

    Applied where outside text is read, so that no terminal, table or report can be steered by a name.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub("\ufffd", text)


def format_duration(hours: float | None) -> str:
    """Return a duration given in hours as people say it: ``45 s``, ``12 min``, ``3.4 h``, ``5.1 d``, ``2.3 y``."""
    if hours is None:
        return "not known"
    seconds = hours * HOUR_S
    # What rounds to a thousand milliseconds is a second.
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 90:
        return f"{seconds:.3g} s"
    if seconds < 5400:
        return f"{seconds / 60:.3g} min"
    if hours < 72:
        return f"{hours:.1f} h"
    if hours < 24 * 730:
        return f"{hours / 24:.1f} d" if hours < 24 * 100 else f"{hours / 24:.0f} d"
    return f"{hours / 8766:.1f} y"


def format_seconds(seconds: float) -> str:
    """Return a short time: ``12.3 us``, ``4.56 ms``, ``1.23 s``."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        # What rounds to a thousand of the next smaller unit is one of this.
        if seconds >= 0.9995 * size or unit == "us":
            break
    count = seconds / size
    return f"{count:,.0f} {unit}" if count >= 999.5 else f"{count:.3g} {unit}"


def format_money(usd: float | None) -> str:
    """Return US dollars with the digits that matter: ``$0.0042``, ``$0.42``, ``$17.30``, ``$1,599``, ``$1.20M``."""
    if usd is None:
        return "not known"
    if abs(usd) >= 1e6:
        return f"${usd / 1e6:,.2f}M"
    if abs(usd) >= 100:
        return f"${usd:,.0f}"
    if 1e-6 <= abs(usd) < 0.0995:
        # Two digits that are not 0: a cent is a lot where a thousand of something cost it.
        return f"${usd:.{1 - math.floor(math.log10(abs(usd)))}f}"
    return f"${usd:,.2f}"


def format_count(value: float) -> str:
    """Return a count with a decimal suffix: ``124M``, ``8.03B``, ``1.3k``; beyond the last suffix ``12,300T``."""
    # What rounds to a thousand of the next smaller suffix is one of this.
    size, suffix = next((each for each in _SIZES if abs(value) >= 0.9995 * each[0]), (1.0, ""))
    count = value / size
    return f"{count:,.0f}{suffix}" if abs(count) >= 999.5 else f"{count:.3g}{suffix}"
