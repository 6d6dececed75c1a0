"""What was measured against what the shipped constants predict, as bars around 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from advisor.documents import CalibrationFactorDocument
from advisor.tui.plain import plain

HALF = 8
"""Cells on each side of 1."""

FARTHEST = 4.0
"""Factor at the end of the scale; what lies beyond it is cut and marked."""

WIDEST_LABEL = 48


def factor_bars(factors: Sequence[CalibrationFactorDocument]) -> Content:
    """Return a line for each kind of work: its bar, to the right where it took longer than predicted.

    The scale is logarithmic, so that half and twice the predicted time are as long.
    """
    width = min(max((len(each.what) for each in factors), default=0), WIDEST_LABEL)
    heading = f"{'':<{width}}  {'shorter':>{HALF}}│{'longer':<{HALF}}  times"
    return Content("\n").join([plain(heading).stylize("dim"), *(_line(each, width) for each in factors)])


def _line(each: CalibrationFactorDocument, width: int) -> Content:
    left, right = _bars(each.factor)
    style = "$text-warning" if right else "$text-success"
    return (
        plain(f"{each.what[:width]:<{width}}  ")
        + plain(f"{left:>{HALF}}").stylize(style)
        + plain("│")
        + plain(f"{right:<{HALF}}").stylize(style)
        + plain(f"  {each.factor:5.2f}")
    )


def _bars(factor: float) -> tuple[str, str]:
    """Return the bars to the left and to the right of 1; an arrow is the end of one that is cut."""
    length = round(abs(math.log(factor)) / math.log(FARTHEST) * HALF)
    bar = "█" * min(length, HALF)
    if factor < 1:
        return ("<" + bar[1:] if length > HALF else bar), ""
    return "", bar[:-1] + ">" if length > HALF else bar
