"""The words that tables and Markdown share: quantities with intervals, plans and costs in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from advisor.documents import (
    BreakEvenDocument,
    CostDocument,
    CpuDocument,
    EstimateDocument,
    EvidenceDocument,
    ExcludedDocument,
    GpuDocument,
    MemoryDocument,
    PickDocument,
    PlanDocument,
    RatioDocument,
    RecommendAnswer,
    RecommendationDocument,
    ShardingDocument,
)
from advisor.quantity import Quantity
from advisor.units import HOUR_S, format_count, format_duration, format_money, plain

UNKNOWN = "-"
"""What a table shows for a number that is not known."""

GUESS = "?"
"""Stands behind an amount that rests on a guess."""

GUESSED = f"{GUESS}: rests on a price from memory, which nobody has checked"

_BRANDS = ("NVIDIA ", "GeForce ", "AMD ", "Intel ")
_CONSTRAINTS = {
    "memory": "too little memory",
    "precision": "precision not supported",
    "budget_usd": "over the budget",
    "deadline_h": "past the deadline",
    "max_power_w": "over the power limit",
    "min_memory_gib": "less memory than asked for",
    "max_count": "more GPUs than allowed",
    "price": "no price known",
    "purchase": "not to be bought",
    "software": "not run by the software",
    "vendors": "of another vendor",
    "segments": "of another segment",
    "ecc": "without ECC memory",
    "acquire": "not to be had this way",
}
_PARTS = (
    ("P", "parameters", "parameters_gib"),
    ("G", "gradients", "gradients_gib"),
    ("O", "optimizer", "optimizer_gib"),
    ("A", "activations", "activations_gib"),
    ("T", "temporary", "temporary_gib"),
    ("H", "overhead", "overhead_gib"),
    ("M", "margin", "margin_gib"),
)
_EXAMPLES = 3


class Part(NamedTuple):
    """One part of the memory: the letter that stands for it in a bar, its name, its size."""

    letter: str
    name: str
    gib: float


class Group(NamedTuple):
    """GPUs left out for the same reason, with a few examples."""

    constraint: str
    title: str
    number: int
    examples: tuple[ExcludedDocument, ...]


def short_name(name: str) -> str:
    """Return a product name without the brand that everybody knows."""
    text = plain(name)
    for brand in _BRANDS:
        text = text.removeprefix(brand)
    return text


def counted(name: str, count: int | None) -> str:
    """Return ``RTX 4090``, or ``2 x RTX 4090``."""
    return short_name(name) if count in (None, 1) else f"{count} x {short_name(name)}"


def title(estimate: EstimateDocument) -> str:
    """Return the GPU of an estimate with its count."""
    return counted(estimate.name, estimate.count)


def interval(quantity: Quantity | None, form: Callable[[float], str]) -> str:
    """Return ``12.3 kWh (10.1-15.0)``; the unit of the ends is left out where it is that of the value."""
    if quantity is None:
        return UNKNOWN
    value, low, high = (form(number) for number in (quantity.value, quantity.low, quantity.high))
    if value == low == high:
        return value
    unit = value.partition(" ")[2]
    if unit and all(text.endswith(f" {unit}") for text in (low, high)):
        low, high = low.removesuffix(f" {unit}"), high.removesuffix(f" {unit}")
    return f"{value} ({low}-{high})"


def hours(quantity: Quantity | None) -> str:
    """Return a duration given in hours with its interval, all in the unit that suits the value."""
    if quantity is None:
        return UNKNOWN
    suffix, factor = next(
        ((suffix, factor) for suffix, least, factor in _TIME_UNITS if quantity.value >= least),
        _TIME_UNITS[-1][::2],
    )
    return interval(quantity, lambda value: f"{_three(value * factor)} {suffix}")


_TIME_UNITS = (
    ("y", 17520.0, 1 / 8766),
    ("d", 72.0, 1 / 24),
    ("h", 1.5, 1.0),
    ("min", 0.025, 60.0),
    ("s", 1 / HOUR_S, HOUR_S),
    ("ms", 0.0, 1000 * HOUR_S),
)
"""Unit, the least number of hours for which it is used, units in an hour."""


def _three(value: float) -> str:
    """Return a number with about three digits and no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}" if value < 1 else f"{value:.2f}"


def seconds(quantity: Quantity | None) -> str:
    """Return a duration given in seconds, with its interval."""
    return hours(None if quantity is None else quantity.scaled(1 / HOUR_S))


def format_seconds(value: float) -> str:
    """Return a duration given in seconds as people say it."""
    return format_duration(value / HOUR_S)


def rate(quantity: Quantity | None, unit: str) -> str:
    """Return a throughput with its interval: ``4.1k tokens/s (3.6k-4.9k)``."""
    return interval(quantity, lambda value: f"{format_count(value)} {unit}")


def is_one_step(estimate: EstimateDocument) -> bool:
    """Return whether the whole job is one step, as the training of a learner that is no network is."""
    total, step = estimate.total_time_h, estimate.step_time_s
    return (
        total is not None and step is not None and abs(total.value * HOUR_S - step.value) < 1e-9 * step.value
    )


def speeds(estimate: EstimateDocument) -> list[tuple[str, str]]:
    """Return what is known of time, throughput and power as (label, text)."""
    power = [
        text
        for text in (
            UNKNOWN if estimate.power_w is None else f"{estimate.power_w:,.0f} W on average",
            interval(estimate.energy_kwh, lambda value: f"{value:,.3g} kWh"),
        )
        if text != UNKNOWN
    ]
    peak = f"of the dense peak in {estimate.plan.precision}"
    rows = (
        ("time", hours(estimate.total_time_h)),
        ("step", UNKNOWN if is_one_step(estimate) else seconds(estimate.step_time_s)),
        ("throughput", rate(estimate.tokens_per_s, "tokens/s")),
        ("samples", rate(estimate.samples_per_s, "samples/s")),
        ("first token", seconds(estimate.time_to_first_token_s)),
        ("each token", seconds(estimate.time_per_output_token_s)),
        ("output", rate(estimate.output_tokens_per_s, "tokens/s")),
        ("over a CPU", speed_up(estimate.speedup_over_cpu)),
        ("MFU", UNKNOWN if estimate.mfu is None else f"{estimate.mfu:.0%} {peak}"),
        ("power", ", ".join(power) or UNKNOWN),
        ("value", value_for_money(estimate)),
    )
    return [row for row in rows if row[1] != UNKNOWN]


def value_for_money(estimate: EstimateDocument) -> str:
    """Return performance per watt, and per dollar where a price is known."""
    thousand = "$1,000" if estimate.cost.purchase_usd is not None else "$1 an hour of rent"
    of = (("W", per_watt(estimate)), (thousand, per_dollar(estimate)))
    return ", ".join(f"{text} samples/s per {unit}" for unit, text in of if text != UNKNOWN) or UNKNOWN


def per_watt(estimate: EstimateDocument) -> str:
    """Return samples a second and watt, which are samples a joule."""
    return UNKNOWN if estimate.samples_per_s_per_w is None else f"{estimate.samples_per_s_per_w:.3g}"


def per_dollar(row: EstimateDocument) -> str:
    """Return samples a second for $1,000 of purchase, or of 1,000 hours of rent."""
    per = row.samples_per_s_per_1000_usd
    return UNKNOWN if per is None else f"{per:.3g}" if per < 1000 else format_count(per)


def cpu(document: CpuDocument, first: EstimateDocument | None = None) -> str:
    """Return how long the same workload takes on a processor, and how much faster the first answer is."""
    if document.reason is not None:
        return f"{plain(document.name)}: {plain(document.reason)}"
    took = hours(document.total_time_h)
    took = f"{took} for the job" if took != UNKNOWN else f"{seconds(document.step_time_s)} a step"
    faster = (
        ""
        if first is None or first.speedup_over_cpu is None
        else f"; #1 is {speed_up(first.speedup_over_cpu)} as fast"
    )
    return f"{plain(document.name)} in {document.precision}: {took}{faster}"


def speed_up(quantity: Quantity | None) -> str:
    """Return how many times faster than the processor."""
    return interval(quantity, lambda value: f"{value:.2g} x" if value < 10 else f"{value:,.0f} x")


def gib(value: float) -> str:
    """Return GiB with one digit; small parts keep two."""
    return f"{value:.2f}" if 0 < value < 0.1 else f"{value:.1f}"


def memory(document: MemoryDocument) -> str:
    """Return needed and available memory: ``17.9 / 23.5``."""
    return f"{gib(document.required_gib.value)} / {gib(document.available_gib)}"


def verdict(estimate: EstimateDocument) -> str:
    """Return in words whether an estimate fits, and whether its interval does."""
    if not estimate.fits:
        return "does not fit"
    return "fits" if estimate.memory.required_gib.high <= estimate.memory.available_gib else "likely fits"


def required(estimate: EstimateDocument) -> str:
    """Return needed and available memory as a sentence."""
    document = estimate.memory
    needed = interval(document.required_gib, lambda value: f"{gib(value)} GiB")
    each = " on each GPU" if estimate.count > 1 else ""
    return f"{needed} needed of {gib(document.available_gib)} GiB available{each}"


def memory_parts(document: MemoryDocument) -> list[Part]:
    """Return the parts of the memory that are not empty."""
    parts = [Part(letter, name, getattr(document, field)) for letter, name, field in _PARTS]
    return [part for part in parts if part.gib > 0]


def duration(estimate: EstimateDocument) -> str:
    """Return the time that answers the question: of the whole job, of an output token, or of a step."""
    if estimate.total_time_h is not None:
        return hours(estimate.total_time_h)
    if estimate.time_per_output_token_s is not None:
        return f"{seconds(estimate.time_per_output_token_s)}"
    return seconds(estimate.step_time_s)


def duration_header(estimates: Sequence[EstimateDocument]) -> str:
    """Return what :func:`duration` shows for these estimates."""
    if any(estimate.total_time_h is not None for estimate in estimates):
        return "Time"
    if any(estimate.time_per_output_token_s is not None for estimate in estimates):
        return "Per token"
    return "Per step"


def cost(document: CostDocument) -> str:
    """Return the cost of the job and the way to it, or the price where there is no job to cost."""
    if document.total_usd is not None:
        guess = GUESS if document.total_by == "buy" and document.purchase_unverified else ""
        return f"{format_money(document.total_usd)}{guess} {document.total_by or ''}".rstrip()
    if document.purchase_usd is not None:
        return price(document)
    if document.rent_usd_per_gpu_h is not None:
        return f"{format_money(document.rent_usd_per_gpu_h)}/GPU-h"
    return UNKNOWN


def cost_header(estimates: Sequence[EstimateDocument]) -> str:
    """Return what :func:`cost` shows for these estimates."""
    return "Cost" if any(estimate.cost.total_usd is not None for estimate in estimates) else "Price"


def money(usd: float | None) -> str:
    """Return dollars, or the mark for what is not known."""
    return UNKNOWN if usd is None else format_money(usd)


def price(document: CostDocument | GpuDocument | PickDocument) -> str:
    """Return what buying costs, marked where it is a guess."""
    return money(document.purchase_usd) + (GUESS if document.purchase_unverified else "")


def layout(sharding: ShardingDocument) -> str:
    """Return how the GPUs share the work: ``none``, ``fsdp x8``, ``zero1 x2, tensor 4``."""
    parts = []
    if sharding.strategy != "none" or sharding.data > 1:
        parts.append(f"{sharding.strategy} x{sharding.data}")
    if sharding.tensor > 1:
        parts.append(f"tensor {sharding.tensor}")
    if sharding.pipeline > 1:
        parts.append(f"pipeline {sharding.pipeline}")
    return ", ".join(parts) or "none"


def precision(plan: PlanDocument) -> str:
    """Return the compute precision, with the format of the weights where it differs."""
    if plan.weight_precision == plan.precision:
        return plan.precision
    return f"{plan.precision}, {plan.weight_precision} weights"


def plan(document: PlanDocument) -> str:
    """Return a plan as a sentence."""
    micro = f"micro-batch {document.micro_batch}"
    if document.gradient_accumulation > 1:
        micro += f" x {document.gradient_accumulation} accumulation steps"
    checkpointing = {
        "none": "no activation checkpointing",
        "selective": "selective activation checkpointing",
        "full": "full activation checkpointing",
    }[document.checkpointing]
    sharding = layout(document.sharding)
    parts = (
        precision(document),
        f"{micro} (global batch {document.global_batch})" if document.global_batch > 1 else None,
        checkpointing if document.attention else None,
        f"{document.attention} attention" if document.attention else None,
        "one GPU does it all" if sharding == "none" else f"sharding {sharding}",
    )
    return "; ".join(part for part in parts if part)


def cost_lines(document: CostDocument, count: int) -> list[tuple[str, str]]:
    """Return what a job costs, item by item: label and sentence."""
    each = f" for {count} GPUs" if count > 1 else ""
    rows: list[tuple[str, str]] = []
    if document.total_usd is not None and document.total_by is not None:
        interval = document.total_interval_usd
        between = f" ({format_money(interval.low)} to {format_money(interval.high)})" if interval else ""
        rows.append(("total", f"{format_money(document.total_usd)}{between}, by {_WAYS[document.total_by]}"))
    purchase = _with_source(document.purchase_usd, each, document.purchase_price)
    rows.append(("purchase", purchase + _beyond(document, "buy", document.purchase_usd)))
    if document.host_usd is not None:
        rows.append(("machines", f"{format_money(document.host_usd)} of that: {plain(document.host or '')}"))
    if document.residual_usd:
        rows.append(("residual", f"{format_money(document.residual_usd)} of it at the end of the horizon"))
    if document.owned_usd is not None:
        rows.append(("owning", f"{format_money(document.owned_usd)} for this job{_electricity(document)}"))
    elif document.power_usd is not None:
        rows.append(("electricity", format_money(document.power_usd)))
    rent = _with_source(document.rent_usd_per_gpu_h, " per GPU and hour", document.rent_price)
    if document.rent_usd is not None:
        rent = f"{format_money(document.rent_usd)} for this job; {rent}"
    rows.append(("rent", rent + _beyond(document, "rent", document.rent_usd)))
    if document.spot_usd is not None:
        rows.append(("spot", _with_source(document.spot_usd, " for this job", document.spot_price)))
    rows.extend(_rates(document))
    if document.break_even_h is not None:
        between = _between(document.break_even)
        rows.append(
            (
                "break-even",
                f"owning is cheaper than renting after {hours_of_use(document.break_even_h)}{between}",
            )
        )
    rows.extend(
        ("it turns at" if place == 0 else "", flip.message) for place, flip in enumerate(document.flips)
    )
    if document.carbon_kg is not None:
        emitted = document.carbon_kg
        said = f"{emitted.value:,.3g} kg CO2e ({emitted.low:,.3g}-{emitted.high:,.3g})"
        rows.append(("carbon", said + _at_the_wall(document)))
    if document.prices_as_of is not None:
        rows.append(("prices as of", f"{plain(document.prices_as_of)} (the oldest that counts)"))
    return rows


def _beyond(document: CostDocument, way: str, usd: float | None) -> str:
    """Return that a way is over the budget, where it is."""
    over = document.within_budget is not None and way not in document.within_budget and usd is not None
    return "; over the budget" if over else ""


def _electricity(document: CostDocument) -> str:
    if document.power_usd is None:
        return ""
    idle = f" and {format_money(document.idle_power_usd)} for idle hours" if document.idle_power_usd else ""
    return f", of which {format_money(document.power_usd)} electricity{idle}"


def _between(hours: BreakEvenDocument | None) -> str:
    if hours is None:
        return ""
    return f" ({hours.low:,.0f} to {'never' if hours.high is None else f'{hours.high:,.0f}'})"


def _at_the_wall(document: CostDocument) -> str:
    if document.electricity_kwh is None:
        return ""
    idle = ", idle hours included" if document.idle_power_usd else ""
    return f", of {document.electricity_kwh.value:,.3g} kWh at the wall{idle}"


def _rates(document: CostDocument) -> list[tuple[str, str]]:
    """Return what a million tokens, a thousand samples and a year cost."""
    if document.usd_per_1m_tokens is not None:
        unit = f"{format_money(document.usd_per_1m_tokens)} per million tokens"
    elif document.usd_per_1k_samples is not None:
        unit = f"{format_money(document.usd_per_1k_samples)} per thousand samples"
    else:
        return []
    rows = [("unit cost", unit)]
    years = [
        f"{way} {format_money(usd)}"
        for way, usd in (("owning", document.owned_usd_per_year), ("renting", document.rent_usd_per_year))
        if usd is not None
    ]
    return [*rows, ("a year", f"{', '.join(years)} in such jobs at these hours of use")] if years else rows


_WAYS = {"buy": "buying (this job's share of the horizon, and electricity)", "rent": "renting"}


def hours_of_use(value: float) -> str:
    """Return hours of use with thousands separated."""
    return f"{value:,.0f} hours of use"


def _with_source(usd: float | None, suffix: str, source: str | None) -> str:
    text = "not known" if usd is None else f"{format_money(usd)}{suffix}"
    return text if source is None else f"{text} ({plain(source)})"


def evidence(document: EvidenceDocument) -> str:
    """Return one published measurement next to what the model says for it."""
    where = counted(document.gpu, document.count)
    values = (
        f"measured {format_count(document.measured)}, predicted {format_count(document.predicted)} "
        f"{plain(document.unit)}"
    )
    source = plain(document.source) + (f", {plain(document.date)}" if document.date else "")
    return f"{plain(document.model)} on {where}: {values}; {plain(document.similarity)} ({source})"


_FITTED_ON = {
    "both": "published runs on this GPU and of such models",
    "gpu": "published runs on this GPU, none of such models: the interval is wider",
    "family": "published runs of such models, none on this GPU: the interval is wider",
    "neither": "no published run on this GPU or of such models: the interval is widest",
}


def fitted_on(estimate: EstimateDocument) -> str | None:
    """Return which published runs stand behind the times."""
    calibration = estimate.calibration
    if calibration is not None and calibration.weight == 1.0:
        return f"the calibration of {calibration.relation} of {calibration.date}"
    return None if estimate.fitted_on is None else _FITTED_ON[estimate.fitted_on]


def why(estimate: EstimateDocument) -> str:
    """Return why a row stands where it does."""
    reasons = estimate.reasons if isinstance(estimate, RecommendationDocument) else ()
    return "; ".join(plain(reason) for reason in reasons) or plain(estimate.bottleneck or "")


def constraint_title(constraint: str) -> str:
    """Return a constraint as the words of a heading."""
    return _CONSTRAINTS.get(constraint, plain(constraint).replace("_", " "))


def groups(excluded: Iterable[ExcludedDocument]) -> list[Group]:
    """Return the GPUs left out, by constraint, the largest group first."""
    found: dict[str, dict[str, ExcludedDocument]] = {}
    for item in excluded:
        found.setdefault(item.constraint, {}).setdefault(item.gpu, item)
    listed = [
        Group(name, constraint_title(name), len(items), tuple(items.values())[:_EXAMPLES])
        for name, items in found.items()
    ]
    return sorted(listed, key=lambda group: (-group.number, group.constraint))


def ratio(value: float | None) -> str:
    """Return a ratio to the first column: ``1.83x``."""
    return UNKNOWN if value is None else f"{value:.2f}x"


def ratio_rows(ratios: Sequence[RatioDocument]) -> list[tuple[str, list[str]]]:
    """Return the ratios of a comparison, one row a quantity."""
    return [
        ("speed", [ratio(item.speed) for item in ratios]),
        ("memory", [ratio(item.memory) for item in ratios]),
        ("energy", [ratio(item.energy) for item in ratios]),
        ("cost", [ratio(item.total_cost) for item in ratios]),
    ]


def summary(answer: RecommendAnswer) -> str:
    """Return how many answers there are and how many of them are listed."""
    if not answer.qualified:
        return "No GPU satisfies all constraints"
    noun = "configuration qualifies" if answer.qualified == 1 else "configurations qualify"
    shown = (
        ""
        if answer.shown == answer.qualified
        else f"; the best {answer.shown} are shown (--top all shows all)"
    )
    return f"{answer.qualified} {noun}{shown}"


def objective(answer: RecommendAnswer) -> str:
    """Return what the ranking minimises."""
    explained = plain(answer.objective_explained)
    return explained if explained.startswith(answer.objective) else f"{answer.objective}: {explained}"


def pick(document: PickDocument) -> str:
    """Return one of the answers that people ask for by name."""
    ways = [
        text
        for text in (
            format_duration(document.total_time_h) if document.total_time_h is not None else "",
            f"{price(document)} to buy" if document.purchase_usd is not None else "",
            f"{format_money(document.rent_usd)} to rent" if document.rent_usd is not None else "",
            f"{format_money(document.rent_usd_per_h)} an hour to rent"
            if document.rent_usd is None and document.rent_usd_per_h is not None
            else "",
        )
        if text
    ]
    return f"{counted(document.name, document.count)} (#{document.rank}): {', '.join(ways)}"


def price_dates(gpus: Sequence[GpuDocument]) -> str:
    """Return from when to when the prices of devices are."""
    dates = sorted(gpu.prices_as_of for gpu in gpus if gpu.prices_as_of is not None)
    if not dates:
        return "no price is known"
    between = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return f"prices in US dollars, of {between} (gpu-advisor prices has the date of each)"


def tensor_rate(gpu: GpuDocument) -> str:
    """Return the dense rate of the 16-bit format that training would use, with the format."""
    for number_format in ("bf16", "fp16"):
        tflops = gpu.tensor_tflops.get(number_format)
        if tflops is not None:
            return f"{tflops:.0f} {number_format}"
    return UNKNOWN


def facts(entry: Mapping[str, object]) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return a catalog entry as (dotted field, value, number of its source) rows, and the sources."""
    given = entry.get("sources")
    known = given if isinstance(given, Mapping) else {}
    sources: dict[str, int] = {}
    rows = []
    for field, value in flatten(entry):
        if field.partition(".")[0] not in REMARKS:
            source = _source(field, known)
            number = str(sources.setdefault(source, len(sources) + 1)) if source else ""
            rows.append((field, value, number))
    return rows, list(sources)


REMARKS = ("sources", "exceptions", "doubts", "notes")
"""Fields of an entry that say something about its other fields."""


def remarks(entry: Mapping[str, object]) -> list[str]:
    """Return what a catalog entry says about itself: exceptions with their reasons, doubts, notes."""
    rows = [row for key in REMARKS[1:] for row in flatten(entry.get(key), key)]
    return [f"{field}: {value}" for field, value in rows]


COMPATIBILITY = "Will it work"


def compatibility(gpu: GpuDocument) -> list[str]:
    """Return where a device works, what needs care, and what does not work, the gravest first."""
    marks = {"works": "", "caution": "take care: ", "blocked": "not possible: "}
    return [
        f"{marks[each.level]}{plain(each.text)}{' (unverified)' if each.unverified else ''}"
        for each in gpu.compatibility
    ]


def flatten(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as dotted fields with their text; None and empty ones are left out."""
    if isinstance(value, Mapping):
        return [
            row
            for key, item in value.items()
            for row in flatten(item, f"{prefix}.{plain(str(key))}".lstrip("."))
        ]
    if isinstance(value, list | tuple):
        if any(isinstance(item, Mapping) for item in value):
            return [(f"{prefix}.{number}", _record(item)) for number, item in enumerate(value)]
        return [(prefix, ", ".join(_scalar(item) for item in value))] if value else []
    return [] if value is None else [(prefix, _scalar(value))]


def _record(item: object) -> str:
    if isinstance(item, Mapping) and item.keys() == {"format", "accumulate", "tflops"}:
        return f"{item['format']}/{item['accumulate']} {_scalar(item['tflops'])} TFLOP/s"
    return ", ".join(f"{field} {text}" for field, text in flatten(item))


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else plain(str(value))


def _source(field: str, sources: Mapping[str, object]) -> str:
    """Return the source of a field: its own, its parent's, or that of the rest."""
    parts = field.split(".")
    for length in range(len(parts), 0, -1):
        found = sources.get(".".join(parts[:length]))
        if found is not None:
            return plain(str(found))
    return plain(str(sources.get("*", "")))


def compare_rows(
    estimates: Sequence[EstimateDocument], ratios: Sequence[RatioDocument]
) -> list[tuple[str, list[str]]]:
    """Return a comparison as rows: a label and a text for each estimate; empty rows are left out."""
    rows: list[tuple[str, list[str]]] = [
        ("fits", ["yes" if item.fits else "no" for item in estimates]),
        ("memory GiB", [memory(item.memory) for item in estimates]),
        ("total time", [hours(item.total_time_h) for item in estimates]),
        ("step time", [seconds(item.step_time_s) for item in estimates]),
        ("throughput", [_per_second(item) for item in estimates]),
        ("first token", [seconds(item.time_to_first_token_s) for item in estimates]),
        ("each token", [seconds(item.time_per_output_token_s) for item in estimates]),
        ("over a CPU", [speed_up(item.speedup_over_cpu) for item in estimates]),
        (
            "energy",
            [f"{item.energy_kwh.value:,.3g} kWh" if item.energy_kwh else UNKNOWN for item in estimates],
        ),
        ("samples/s per W", [per_watt(item) for item in estimates]),
        ("cost", [money(item.cost.total_usd) for item in estimates]),
        ("by", [str(item.cost.total_by or UNKNOWN) for item in estimates]),
        ("purchase", [price(item.cost) for item in estimates]),
        ("rent/GPU-h", [money(item.cost.rent_usd_per_gpu_h) for item in estimates]),
        ("precision", [precision(item.plan) for item in estimates]),
        ("micro-batch", [str(item.plan.micro_batch) for item in estimates]),
        ("checkpointing", [str(item.plan.checkpointing) for item in estimates]),
        ("sharding", [layout(item.plan.sharding) for item in estimates]),
        ("limited by", [plain(item.bottleneck or UNKNOWN) for item in estimates]),
    ]
    relative = [(f"{label} ratio", cells) for label, cells in ratio_rows(ratios)]
    return [row for row in (*rows, *relative) if any(cell != UNKNOWN for cell in row[1])]


def _per_second(estimate: EstimateDocument) -> str:
    for quantity, unit in ((estimate.tokens_per_s, "tokens/s"), (estimate.samples_per_s, "samples/s")):
        if quantity is not None:
            return f"{format_count(quantity.value)} {unit}"
    return UNKNOWN


def workload_title(workload: Mapping[str, object]) -> str:
    """Return what a job is in a few words: ``llama-3.1-8b, lora finetune, 50M tokens``."""
    model = workload.get("model")
    source = model if isinstance(model, Mapping) else {}
    given = {key: value for key, value in source.items() if value is not None}
    name = _model_name(given)
    method, task = workload.get("method"), workload.get("task")
    method = None if method == "full" else method
    task = task or ("finetune" if method else "train")
    job = " ".join(str(word) for word in (method, task) if word)
    label = workload.get("name")
    pieces = [str(label)] if label else []
    return plain(", ".join([*pieces, name, job, *_amount(workload)]))


def _model_name(given: Mapping[str, object]) -> str:
    """Return what a model is called: its name, its file, its factory, or its kind."""
    code = given.get("torch")
    if isinstance(code, Mapping):
        parts = code.get("parts") or [code]
        return " + ".join(str(part.get("factory")) for part in parts if isinstance(part, Mapping))
    named = given.get("name") or given.get("huggingface") or given.get("table")
    return str(named or next(iter(given), "model")).replace("_", " ")


def _amount(workload: Mapping[str, object]) -> list[str]:
    data = workload.get("data")
    if workload.get("task") == "inference" or not isinstance(data, Mapping):
        return []
    pieces = [
        f"{format_count(float(data[unit]))} {unit}"
        for unit in ("tokens", "samples", "steps")
        if isinstance(data.get(unit), int | float)
    ]
    epochs = data.get("epochs")
    return [*pieces, f"{epochs:g} epochs"] if isinstance(epochs, int | float) else pieces
