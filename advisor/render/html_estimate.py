"""One estimate in an HTML report: memory, time, limits, money, evidence, assumptions and warnings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from advisor.documents import (
    EstimateDocument,
    EvidenceDocument,
    MemoryDocument,
    OperatorPointDocument,
    RooflineDocument,
)
from advisor.render import charts, words
from advisor.render.charts import Axis, Frame, Label
from advisor.render.html_page import Cell, definitions, items, table, text
from advisor.units import format_count, format_money

_WIDTH = 720.0
_BAR_TOP, _BAR_HEIGHT = 34.0, 34.0
_SHARE = 200.0
_PART_SHAPES = {
    "forward": ("circle", "first"),
    "backward": ("square", "second"),
    "optimizer": ("triangle", "third"),
    "prompt": ("circle", "first"),
    "token": ("square", "second"),
}
_LABELLED = 8

STYLE = """
.part { stroke: var(--paper); } svg text.in { font-size: 12px; font-weight: bold; fill: #000; }
svg text.in.P, svg text.in.H { fill: #fff; }
.P { fill: #0072b2; } .G { fill: var(--sky); } .O { fill: var(--purple); } .A { fill: var(--green); }
.T { fill: var(--yellow); } .H { fill: #b34700; } .M { fill: var(--grey); }
.free { fill: none; stroke: var(--faint); }
.time { fill: var(--blue); } td svg.share { min-width: 6rem; width: 14rem; margin: .35rem 0; }
td svg.fit { display: inline-block; min-width: 4rem; width: 5rem; vertical-align: middle; }
.fits { fill: var(--green); } .tight { fill: var(--orange); } .over { fill: var(--vermillion); }
"""


def section(estimate: EstimateDocument, heading: str, name: str) -> Iterator[str]:
    """Yield everything that is known about one estimate.

    Args:
        estimate: what to show.
        heading: outside text; what is said after it is whether the estimate fits.
        name: unique in the page.
    """
    yield f'<section aria-labelledby="{name}"><h2 id="{name}">{text(heading)}: {words.verdict(estimate)}</h2>'
    yield from _memory(estimate, f"{name}-memory")
    yield "<h3>Plan, speed and cost</h3>"
    yield from definitions(_facts(estimate))
    if estimate.breakdown:
        yield from _breakdown(estimate)
    if estimate.roofline is not None:
        yield from _roofline(estimate.roofline, f"{name}-roofline")
    yield from _over_time(estimate, f"{name}-use")
    yield from _evidence(estimate.evidence)
    yield from items("Assumptions", estimate.assumptions, level=3)
    yield from items("Warnings", estimate.warnings, level=3)
    yield "</section>"


def fit_bar(memory: MemoryDocument) -> str:
    """Return needed memory, with its interval as a line, against the limit at a fixed place of a small bar."""
    limit, end = 70.0, 100.0

    def along(gib: float) -> float:
        return min(end, limit * gib / memory.available_gib) if memory.available_gib > 0 else end

    need = memory.required_gib
    kind = (
        "fits"
        if need.high <= memory.available_gib
        else "tight"
        if need.value <= memory.available_gib
        else "over"
    )
    return (
        '<svg class="fit" viewBox="0 0 100 9" aria-hidden="true">'
        f'<path class="{kind}" d="M0 2h{along(need.value):.1f}v5H0z"/>'
        f'<path class="whisker" d="M{along(need.low):.1f} 4.5H{along(need.high):.1f}"/>'
        f'<path class="limit" d="M{limit:g} 0v9"/></svg>'
    )


def _memory(estimate: EstimateDocument, name: str) -> Iterator[str]:
    document = estimate.memory
    parts = words.memory_parts(document)
    need = document.required_gib
    scale = max(document.available_gib, need.high, sum(part.gib for part in parts)) or 1.0
    left, right = 8.0, _WIDTH - 8.0

    def along(gib: float) -> float:
        return left + gib / scale * (right - left)

    down, bottom = _BAR_TOP, _BAR_TOP + _BAR_HEIGHT
    drawing = [
        f'<rect class="free" x="{left:g}" y="{down:g}" width="{along(document.available_gib) - left:.1f}" '
        f'height="{_BAR_HEIGHT:g}"/>'
    ]
    start = 0.0
    for part in parts:
        begin, width = along(start), along(part.gib) - left
        says = text(f"{part.name} {words.gib(part.gib)} GiB")
        drawing.append(
            f'<rect class="part {part.letter}" x="{begin:.1f}" y="{down:g}" width="{width:.1f}" '
            f'height="{_BAR_HEIGHT:g}"><title>{says}</title></rect>'
        )
        if width >= 14:
            middle = begin + width / 2
            drawing.append(
                f'<text class="in {part.letter}" x="{middle:.1f}" y="{down + 22:g}" text-anchor="middle">'
                f"{part.letter}</text>"
            )
        start += part.gib
    low, high, beside = along(need.low), along(need.high), bottom + 12
    interval = f"M{low:.1f} {beside - 5:g}v10M{low:.1f} {beside:g}H{high:.1f}M{high:.1f} {beside - 5:g}v10"
    drawing.append(f'<path class="whisker" d="{interval}M{along(need.value):.1f} {beside - 7:g}v14"/>')
    drawing.append(_beside((low + high) / 2, beside + 22, "needed, 80 % interval"))
    limit = along(document.available_gib)
    drawing.append(f'<path class="limit" d="M{limit:.1f} {down - 8:g}V{bottom + 4:g}"/>')
    drawing.append(_beside(limit, down - 14, f"{words.gib(document.available_gib)} GiB available"))
    says = f"{words.required(estimate)}: " + ", ".join(f"{part.name} {words.gib(part.gib)}" for part in parts)
    yield "<h3>Memory</h3>"
    yield f"<p>{text(words.required(estimate))}.</p>"
    yield from charts.figure(name, "Memory by part", says, drawing, width=_WIDTH, height=bottom + 44)
    yield from charts.legend(
        (
            f'<rect class="part {part.letter}" width="12" height="12"/>',
            f"{part.letter} {part.name} {words.gib(part.gib)} GiB",
        )
        for part in parts
    )
    for option in estimate.would_fit:
        change = text(f"{option.change}: needs {words.gib(option.required_gib)} GiB")
        yield f"<p><strong>Would fit</strong> with {change}</p>"


def _beside(across: float, down: float, says: str) -> str:
    """Return a text over or under a place of a bar, kept inside the drawing."""
    half = len(says) * 3.6
    middle = min(max(across, half + 4), _WIDTH - half - 4)
    return f'<text x="{middle:.1f}" y="{down:g}" text-anchor="middle">{text(says)}</text>'


def _facts(estimate: EstimateDocument) -> list[tuple[str, str]]:
    pairs = [
        ("plan" if estimate.fits else "smallest plan", words.plan(estimate.plan)),
        *words.speeds(estimate),
        ("limited by", estimate.bottleneck or words.UNKNOWN),
        *words.cost_lines(estimate.cost, estimate.count),
        ("times rest on", words.fitted_on(estimate) or words.UNKNOWN),
    ]
    return [pair for pair in pairs if pair[1] != words.UNKNOWN]


def _breakdown(estimate: EstimateDocument) -> Iterator[str]:
    rows = [
        (
            item.kind,
            words.format_seconds(item.time_s),
            f"{item.share:.0%}",
            Cell(
                "",
                markup=f'<svg class="share" viewBox="0 0 {_SHARE:g} 12" aria-hidden="true">'
                f'<rect class="time" width="{max(1.0, item.share * _SHARE):.1f}" height="12"/></svg>',
            ),
        )
        for item in estimate.breakdown
    ]
    yield from table(
        "Time of a step by kind of operator", ("Kind", "Time a step", "Share", ""), rows, words=(0, 3)
    )


def _roofline(document: RooflineDocument, name: str) -> Iterator[str]:
    points = document.operators
    ridge, peak = document.ridge_flop_per_byte, document.peak_tflops
    across = charts.axis(
        "arithmetic intensity, FLOP per byte",
        [ridge / 10, ridge * 10, *(point.intensity_flop_per_byte for point in points)],
        format_count,
        log=True,
    )
    slope = document.bandwidth_gb_s / 1000

    def roof(intensity: float) -> float:
        return min(peak, slope * intensity)

    up = charts.axis(
        "TFLOP/s", [roof(across.low), peak, *(point.tflops for point in points)], format_count, log=True
    )
    frame = Frame(across, up)
    total = sum(point.time_s for point in points)

    def radius(point: OperatorPointDocument) -> float:
        return 4 + 8 * math.sqrt(point.time_s / total)

    def body() -> Iterator[str]:
        yield from frame.axes()
        yield frame.path([(edge, roof(edge)) for edge in (across.low, ridge, across.high)], "curve second")
        for point in points:
            shape, kind = _PART_SHAPES[point.part]
            place = frame.x(point.intensity_flop_per_byte), frame.y(point.tflops)
            yield charts.mark(shape, f"point {kind}", *place, radius(point), _operator(point))
        yield from frame.labels(
            [
                Label(
                    frame.x(point.intensity_flop_per_byte),
                    frame.y(point.tflops),
                    point.kind,
                    radius(point),
                )
                for point in points[:_LABELLED]
            ],
            avoid=charts.between([(edge, roof(edge)) for edge in (ridge, across.high)]),
        )

    limits = (
        f"{format_count(peak)} TFLOP/s in {document.precision} and {document.bandwidth_gb_s:,.0f} GB/s, "
        f"which meet at {format_count(ridge)} FLOP per byte"
    )
    described = f"The device is limited by {limits}. " + "; ".join(_operator(point) for point in points)
    yield "<h3>Operators under the roofline</h3>"
    yield from charts.figure(
        name, "Operators under the roofline", described, body(), width=frame.width, height=frame.height,
        caption=f"The dashed roof: {limits}. Left of the ridge memory is the limit, right of it the peak. "
        "The larger a mark, the more time its operators take.",
    )  # fmt: skip
    present = [part for part in _PART_SHAPES if any(point.part == part for point in points)]
    yield from charts.legend(
        (charts.mark(_PART_SHAPES[part][0], f"point {_PART_SHAPES[part][1]}", 6, 6, 4.5), part)
        for part in present
    )


def _operator(point: OperatorPointDocument) -> str:
    return (
        f"{point.kind}, {point.part}: {format_count(point.tflops)} TFLOP/s at "
        f"{format_count(point.intensity_flop_per_byte)} FLOP per byte, {words.format_seconds(point.time_s)}"
    )


def _over_time(estimate: EstimateDocument, name: str) -> Iterator[str]:
    """Yield buying against renting over hours of use, where at least one of the two has a price."""
    outlays = estimate.cost.over_time
    bought = [(each.hours, each.buy_usd) for each in outlays if each.buy_usd is not None]
    rented = [(each.hours, each.rent_usd) for each in outlays if each.rent_usd is not None]
    if len(outlays) < 2 or not (bought or rented):
        return
    frame = Frame(
        Axis("hours of use", 0.0, outlays[-1].hours * 1.02, False, lambda value: f"{value:,.0f}"),
        charts.axis("spent on all GPUs, USD", [usd for _, usd in bought + rented], money_tick, log=False),
        height=340.0,
    )
    ways = [
        (f"{label}: {format_money(line[-1][1])}", label, kind, line)
        for label, kind, line in (("buy", "curve first", bought), ("rent", "curve second", rented))
        if line
    ]
    break_even = estimate.cost.break_even_h

    def body() -> Iterator[str]:
        yield from frame.axes()
        for _, _, kind, line in ways:
            yield frame.path(line, kind)
        labels = [Label(frame.x(line[-1][0]), frame.y(line[-1][1]), label) for _, label, _, line in ways]
        spent = _spent(rented, break_even)
        if break_even is not None and spent is not None:
            place = frame.x(break_even), frame.y(spent)
            yield charts.mark("diamond", "point third", *place, 6, words.hours_of_use(break_even))
            labels.append(Label(*place, f"break-even, {words.hours_of_use(break_even)}"))
        yield from frame.labels(labels, avoid=[place for *_, line in ways for place in charts.between(line)])

    described = f"After {words.hours_of_use(outlays[-1].hours)}, " + ", ".join(says for says, *_ in ways)
    if break_even is not None:
        described += f"; owning is cheaper than renting after {words.hours_of_use(break_even)}"
    yield "<h3>Buying against renting</h3>"
    yield from charts.figure(
        name, "Buying against renting", described, body(), width=frame.width, height=frame.height,
        caption=f"{described}. Buying is the solid line: the purchase and electricity so far.",
    )  # fmt: skip


def _spent(line: Sequence[tuple[float, float]], hours: float | None) -> float | None:
    """Return what a straight line through the origin has reached; None beyond its end."""
    if not line or hours is None or hours > line[-1][0] or line[-1][0] == 0:
        return None
    return line[-1][1] * hours / line[-1][0]


def money_tick(usd: float) -> str:
    """Return dollars for an axis, without cents where they are round."""
    return format_money(usd).removesuffix(".00")


def _evidence(evidence: Sequence[EvidenceDocument]) -> Iterable[str]:
    if not evidence:
        return ["<h3>Published measurements</h3>", "<p>No published run is near enough to compare.</p>"]
    form: Callable[[EvidenceDocument, float], str] = lambda item, value: f"{format_count(value)} {item.unit}"  # noqa: E731
    rows = [
        (
            f"{item.model} on {words.counted(item.gpu, item.count)}",
            form(item, item.measured),
            form(item, item.predicted),
            words.ratio(item.predicted / item.measured if item.measured else None),
            item.similarity,
            item.source + (f", {item.date}" if item.date else ""),
        )
        for item in evidence
    ]
    header = ("Run", "Measured", "Predicted", "Predicted/measured", "How near", "Source")
    return [
        "<h3>Published measurements</h3>",
        *table("Nearest published runs", header, rows, words=(0, 4, 5)),
    ]
