"""What the plots show: operators under the roofline, buying against renting, time against cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from advisor.documents import CostDocument, OperatorPointDocument, RecommendationDocument, RooflineDocument
from advisor.quantity import Quantity
from advisor.render import words
from advisor.render.charts import Axis, axis
from advisor.tui.desk import Choice
from advisor.tui.widgets.plots import Figure, Line, Mark
from advisor.units import HOUR_S, format_count, format_money

FRONT, OTHER = "*", "·"
"""Signs of answers that no other beats in both, and of the rest."""


# Operators under the roofline


def roofline_figure(document: RooflineDocument) -> Figure:
    """Return the roof and the operators, by the letters of :func:`operators`."""
    ridge, peak = document.ridge_flop_per_byte, document.peak_tflops
    points = document.operators
    across = axis(
        "FLOP/byte",
        [ridge / 10, ridge * 10, *(point.intensity_flop_per_byte for point in points)],
        format_count,
        log=True,
    )

    def roof(intensity: float) -> float:
        return min(peak, document.bandwidth_gb_s / 1000 * intensity)

    up = axis(
        "TFLOP/s", [roof(across.low), peak, *(point.tflops for point in points)], format_count, log=True
    )
    line = Line(tuple((edge, roof(edge)) for edge in (across.low, ridge, across.high)), "second")
    marks = tuple(
        Mark(point.intensity_flop_per_byte, point.tflops, letter, apart=True)
        for letter, point in operators(document)
    )
    return Figure(across, up, (line,), marks)


def operators(document: RooflineDocument) -> list[tuple[str, OperatorPointDocument]]:
    """Return the operators with the letters that stand for them; there are letters for the 26 longest."""
    return list(zip(ascii_uppercase, document.operators, strict=False))


def operator_said(point: OperatorPointDocument) -> str:
    """Return an operator in words."""
    return (
        f"{point.kind}, {point.part}: {format_count(point.tflops)} TFLOP/s at "
        f"{format_count(point.intensity_flop_per_byte)} FLOP/byte, {words.format_seconds(point.time_s)}"
    )


def roof_said(document: RooflineDocument) -> str:
    """Return the limits of a device in words."""
    return (
        f"the roof: {format_count(document.peak_tflops)} TFLOP/s in {document.precision} and "
        f"{document.bandwidth_gb_s:,.0f} GB/s; left of {format_count(document.ridge_flop_per_byte)} FLOP/byte "
        "memory is the limit, right of it the peak"
    )


# Buying against renting


def outlay_figure(cost: CostDocument) -> Figure | None:
    """Return what is spent by buying and by renting over hours of use; None where neither has a price."""
    outlays = cost.over_time
    bought = tuple((each.hours, each.buy_usd) for each in outlays if each.buy_usd is not None)
    rented = tuple((each.hours, each.rent_usd) for each in outlays if each.rent_usd is not None)
    if len(outlays) < 2 or not (bought or rented):
        return None
    across = Axis("hours of use", 0.0, outlays[-1].hours * 1.02, False, format_count)
    up = axis("USD spent", [usd for _, usd in bought + rented], _money_tick, log=False)
    marks = []
    even = cost.break_even_h
    spent = next((usd for hours, usd in rented if hours == even), None)
    if even is not None and spent is not None:
        marks.append(Mark(even, spent, "X", "good", (f"break-even {even:,.0f} h", f"{even:,.0f} h")))
    for line, name, style in ((bought, "buy", "first"), (rented, "rent", "second")):
        if line:
            marks.append(Mark(*line[-1], "o", style, (name,)))
    lines = (Line(bought, "first"), Line(rented, "second", dashed=True))
    return Figure(across, up, tuple(line for line in lines if line.points), tuple(marks))


def outlay_said(cost: CostDocument) -> str:
    """Return buying against renting in words."""
    ways = []
    if cost.over_time:
        last = cost.over_time[-1]
        ways = [
            f"{name} {format_money(usd)}"
            for name, usd in (("buying", last.buy_usd), ("renting", last.rent_usd))
            if usd is not None
        ]
        ways = [f"after {words.hours_of_use(last.hours)}: {', '.join(ways)}"] if ways else []
    if cost.break_even_h is not None:
        ways.insert(0, f"owning is cheaper than renting after {words.hours_of_use(cost.break_even_h)}")
    elif cost.purchase_usd is not None and cost.rent_usd_per_gpu_h is not None:
        ways.insert(0, "owning never gets cheaper than renting")
    return "; ".join(ways) or "no price is known"


def _money_tick(usd: float) -> str:
    return f"${format_count(usd)}"


# Time against cost


@dataclass(frozen=True, slots=True)
class Point:
    """One answer of a ranking as a point: its time in hours and its dollars."""

    row: RecommendationDocument
    hours: float
    usd: float

    @property
    def choice(self) -> Choice:
        """What it is about."""
        return Choice(self.row.gpu, self.row.count)


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """The answers of a ranking that have a time and a cost.

    Attributes:
        points: all of them.
        front: those that no other beats in both, the cheapest first.
        costed: whether dollars are the total cost of the job; else the purchase price.
        time: what the hours are of.
        missing: answers without a price.
    """

    points: tuple[Point, ...]
    front: tuple[Point, ...]
    costed: bool
    time: str
    missing: int

    @property
    def money(self) -> str:
        """What the dollars are."""
        return "total cost" if self.costed else "purchase price"


_TIMES = {"Time": "time of the job", "Per step": "time of a step", "Per token": "time of an output token"}


def tradeoff(rows: Sequence[RecommendationDocument]) -> Tradeoff:
    """Return the answers of a ranking by time and cost."""
    costed = any(row.cost.total_usd is not None for row in rows)
    points = tuple(_points(rows, costed=costed))
    # Without a job to cost, the front of the document is one of the cost of use, which is not what is drawn.
    front = [point for point in points if point.row.pareto] if costed else _front(points)
    return Tradeoff(
        points,
        tuple(sorted(front, key=lambda point: (point.usd, point.hours))),
        costed,
        _TIMES[words.duration_header(rows)],
        len(rows) - len(points),
    )


def tradeoff_figure(found: Tradeoff, chosen: Choice | None = None) -> Figure | None:
    """Return time against cost, the front numbered as in :attr:`Tradeoff.front`; None where there are no points.

    Args:
        found: what to draw.
        chosen: the point to point at.
    """
    if not found.points:
        return None
    times = [point.hours for point in found.points]
    unit, hours = _unit(math.sqrt(min(times) * max(times)))
    across = axis(f"{found.time}, {unit}", [time / hours for time in times], _number, log=True)
    free = min(point.usd for point in found.points) <= 0
    up = axis(f"{found.money}, USD", [point.usd for point in found.points], _money_tick, log=not free)
    marks = [
        Mark(
            point.hours / hours,
            point.usd,
            FRONT,
            "good",
            (f"{number}: {words.title(point.row)}", str(number)),
            chosen=point.choice == chosen,
        )
        for number, point in enumerate(found.front, start=1)
    ]
    fronted = {id(point) for point in found.front}
    marks += [
        Mark(point.hours / hours, point.usd, OTHER, "muted")
        for point in found.points
        if id(point) not in fronted
    ]
    line = Line(tuple((point.hours / hours, point.usd) for point in found.front), "first")
    return Figure(across, up, (line,), tuple(marks))


def steps(found: Tradeoff) -> list[str]:
    """Return what each answer of the front costs and gains over the one before it."""
    texts = ["the cheapest"] if found.front else []
    for before, point in zip(found.front, found.front[1:], strict=False):
        more = format_money(point.usd - before.usd)
        times = before.hours / point.hours
        said = f"{times:,.0f}" if times >= 10 else f"{times:.2g}"
        texts.append(f"{more} more, {said}x as fast")
    return texts


def _points(rows: Sequence[RecommendationDocument], *, costed: bool) -> Iterator[Point]:
    for row in rows:
        hours = _hours(row)
        usd = row.cost.total_usd if costed else row.cost.purchase_usd
        if hours is not None and usd is not None:
            yield Point(row, hours, usd)


def _hours(row: RecommendationDocument) -> float | None:
    """Return the time that answers the question, as :func:`words.duration` shows it."""
    if row.total_time_h is not None:
        return row.total_time_h.value
    time: Quantity | None = row.time_per_output_token_s or row.step_time_s
    return None if time is None else time.value / HOUR_S


def _front(points: Sequence[Point]) -> list[Point]:
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.hours, point.usd)):
        if not found or point.usd < found[-1].usd:
            found.append(point)
    return found


_UNITS = (
    ("days", 72.0, 24.0),
    ("hours", 1.5, 1.0),
    ("minutes", 0.025, 1 / 60),
    ("seconds", 1 / HOUR_S, 1 / HOUR_S),
)
"""Unit, the least number of hours for which it is used, hours in it."""


def _unit(hours: float) -> tuple[str, float]:
    return next(
        ((unit, size) for unit, least, size in _UNITS if hours >= least), ("milliseconds", 1e-3 / HOUR_S)
    )


def _number(value: float) -> str:
    return f"{value:,.6g}"
