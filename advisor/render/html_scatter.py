"""Time against cost of a recommendation's answers: the plot that says which of them are worth a thought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from advisor.documents import EstimateDocument, RecommendationDocument
from advisor.render import charts, html_estimate, words
from advisor.render.charts import Frame, Label
from advisor.units import HOUR_S

_TIME_UNITS = (
    ("days", 72.0, 24.0),
    ("hours", 1.5, 1.0),
    ("minutes", 0.025, 1 / 60),
    ("seconds", 1.5 / HOUR_S, 1 / HOUR_S),
)
"""Unit of an axis, the least number of hours for which it is used, hours in one."""


def hours_shown(row: EstimateDocument) -> tuple[float, float, float] | None:
    """Return the hours that :func:`words.duration` shows, and the ends of their interval."""
    for quantity, hours in (
        (row.total_time_h, 1.0),
        (row.time_per_output_token_s, 1 / HOUR_S),
        (row.step_time_s, 1 / HOUR_S),
    ):
        if quantity is not None:
            return quantity.value * hours, quantity.low * hours, quantity.high * hours
    return None


_Point = tuple[RecommendationDocument, tuple[float, float, float], float]
"""An answer, its hours with their interval, and dollars."""


def _front(points: Sequence[_Point]) -> list[_Point]:
    """Return the points that none is better than in time and dollars.

    Without a job to cost, the front of the document is one of the cost of use, which is not what is drawn.
    """
    found: list[_Point] = []
    for point in sorted(points, key=lambda point: (point[1][0], point[2])):
        if not found or point[2] < found[-1][2]:
            found.append(point)
    return found


def scatter(rows: Sequence[RecommendationDocument]) -> Iterator[str]:
    """Yield time against cost, the answers that none other beats in both named."""
    costed = any(row.cost.total_usd is not None for row in rows)
    points = [
        (row, hours, usd)
        for row in rows
        if (hours := hours_shown(row)) is not None
        and (usd := row.cost.total_usd if costed else row.cost.purchase_usd) is not None
    ]
    if not points:
        return
    front = _front(points) if not costed else [point for point in points if point[0].pareto]
    front.sort(key=lambda point: point[1][0])
    named_ranks = {row.rank for row, *_ in front}
    longest = max(hours[0] for _, hours, _ in points)
    what = {"Time": "time of the job", "Per step": "time of a step", "Per token": "time of an output token"}
    unit, size = next(
        ((unit, size) for unit, least, size in _TIME_UNITS if longest >= least),
        ("milliseconds", 1e-3 / HOUR_S),
    )
    ends = [end for row, hours, _ in points for end in (hours[1:] if row.rank in named_ranks else hours[:1])]
    money = "total cost of the job, USD" if costed else "purchase price, USD"
    frame = Frame(
        charts.axis(
            f"{what[words.duration_header(rows)]}, {unit}", [end / size for end in ends],
            lambda value: f"{value:,.6g}",
        ),
        charts.axis(money, [usd for *_, usd in points], html_estimate.money_tick),
        height=460.0,
    )  # fmt: skip

    def body() -> Iterator[str]:
        yield from frame.axes()
        for _, hours, usd in front:
            yield frame.path([(hours[1] / size, usd), (hours[2] / size, usd)], "range")
        if len(front) > 1:
            yield frame.path([(hours[0] / size, usd) for _, hours, usd in front], "front")
        for row, hours, usd in sorted(points, key=lambda point: point[0].rank in named_ranks):
            shape, kind, radius = (
                ("diamond", "point first", 5.5)
                if row.rank in named_ranks
                else ("circle", "point hollow", 3.5)
            )
            says = f"#{row.rank} {words.title(row)}: {words.duration(row)}, {words.cost(row.cost)}"
            yield charts.mark(shape, kind, frame.x(hours[0] / size), frame.y(usd), radius, says)
        yield from frame.labels(
            [
                Label(frame.x(hours[0] / size), frame.y(usd), f"#{row.rank} {words.title(row)}")
                for row, hours, usd in front
            ],
            avoid=[(hours[0] / size, usd) for _, hours, usd in points],
        )

    named = "; ".join(
        f"{words.title(row)}: {words.duration(row)}, {words.cost(row.cost)}" for row, *_ in front
    )
    described = f"{len(points)} answers. None is both faster and cheaper than: {named}" if named else ""
    left_out = len(rows) - len(points)
    others = "answer" if costed else "answer that is drawn"
    caption = (
        f"Lower left is better. No other {others} is both faster and cheaper than a diamond; its bar is the "
    )
    caption += "80 % interval of the time."
    if not costed:
        caption += " The * of the ranking weighs the cost of use in place of the price."
    if left_out:
        caption += f" {left_out} of {len(rows)} are not drawn: no {'cost' if costed else 'price'} known."
    yield "<h2>Time against cost</h2>"
    yield from charts.figure(
        "pareto", "Time against cost", described or f"{len(points)} answers.", body(),
        width=frame.width, height=frame.height, caption=caption,
    )  # fmt: skip
