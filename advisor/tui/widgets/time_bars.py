"""Where the time of a step goes, as bars; and intervals of times on one scale."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from advisor.documents import BreakdownDocument
from advisor.quantity import Quantity
from advisor.render import words
from advisor.tui.plain import plain
from advisor.tui.widgets.fitted import stacked

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_FIGURES = 15
"""Cells of a time and its share."""

_WIDEST_KIND = 18


def time_bars(breakdown: Sequence[BreakdownDocument], width: int) -> Content:
    """Return one line for each kind of operator: its time, its share, and a bar as long as that.

    Args:
        breakdown: of one step.
        width: in cells.
    """
    widest = min(max((len(item.kind) for item in breakdown), default=0), _WIDEST_KIND)
    room = width - widest - _FIGURES - 2
    return stacked(
        plain(f"{item.kind[:widest]:<{widest}} {words.format_seconds(item.time_s):>8} {item.share:>5.0%} ")
        + Content.styled(_filled(item.share, room), "$text-primary")
        for item in breakdown
    )


def _filled(share: float, cells: int) -> str:
    eighths = round(min(max(share, 0.0), 1.0) * max(cells, 0) * 8)
    return _EIGHTHS[8] * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def interval_bar(quantity: Quantity | None, cells: int, end: float) -> str:
    """Return an interval as ``├──┼──┤`` on a scale that begins at 0; an empty text where it is not known.

    Args:
        quantity: with its ends.
        cells: length of the scale.
        end: value at its end, in the unit of the quantity.
    """
    if quantity is None or end <= 0:
        return ""
    low, value, high = (
        min(round(number / end * cells), cells - 1)
        for number in (quantity.low, quantity.value, quantity.high)
    )
    line = [" "] * low + ["─"] * (high - low + 1)
    if high > low:
        line[low], line[high] = "├", "┤"
    line[value] = "┼"
    return "".join(line)
