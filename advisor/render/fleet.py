"""A fleet as a table for a terminal, and its cells and sentences for other formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from advisor.fleet_documents import (
    FleetAlternativeDocument,
    FleetAnswer,
    FleetAssignmentDocument,
    FleetExcludedDocument,
    FleetPurchaseDocument,
    FleetTotalsDocument,
)
from advisor.quantity import Model
from advisor.render import words
from advisor.render.table import Column, Page, Writer
from advisor.units import format_duration, format_money, plain

PURCHASE_HEADER = ("Buy", "Cards", "Each", "Together", "Busy", "Delivery")
ASSIGNMENT_HEADER = ("Workload", "Runs on", "Deadline", "Running, a year")


def render(answer: Model, page: Page) -> str:
    """Return a fleet as text for a terminal of the width of ``page``.

    Raises:
        TypeError: it is no fleet.
    """
    if not isinstance(answer, FleetAnswer):
        raise TypeError(f"no table of a fleet for {type(answer).__name__}")
    writer = Writer(page)
    writer.line((title(answer), "bold"))
    writer.line(summary(answer))
    if answer.purchases:
        writer.blank()
        _grid(
            writer, PURCHASE_HEADER, purchase_cells(answer), [purchase_note(row) for row in answer.purchases]
        )
    if answer.assignments:
        writer.blank()
        notes = [assignment_note(row) for row in answer.assignments]
        _grid(writer, ASSIGNMENT_HEADER, assignment_cells(answer), notes)
        writer.line(
            (
                "(a-b): 80 % interval. Running: rent, or electricity of own cards at work.",
                "dim",
            )
        )
    for heading, lines in sections(answer):
        writer.heading(heading)
        for label, text in lines:
            writer.labelled(label, text)
    for heading, items in lists(answer):
        writer.heading(heading)
        writer.bullets(items, style="yellow" if heading == "Warnings" else "")
    return writer.text()


def _grid(writer: Writer, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
    left = 1 if header is PURCHASE_HEADER else 2
    writer.grid(
        [
            Column(name, [row[place] for row in rows], "left" if place < left else "right", place == 0)
            for place, name in enumerate(header)
        ],
        under=notes,
    )


def title(answer: FleetAnswer) -> str:
    """Return the fleet's name and what it is made of."""
    name = plain(answer.name or "the fleet")
    return f"{name}: {plain(answer.fleet) if answer.fleet else 'no fleet does it'}"


def summary(answer: FleetAnswer) -> str:
    """Return what the fleet costs, in a sentence."""
    if answer.totals is None:
        return "No set of GPUs meets all deadlines within the limits."
    years = f"{answer.horizon_years:g} year{'' if answer.horizon_years == 1 else 's'}"
    dated = "" if answer.prices_as_of is None else f", the oldest price of {plain(answer.prices_as_of)}"
    return (
        f"The cheapest that meets all deadlines: {format_money(answer.totals.total_usd)} over {years}, "
        f"{format_money(answer.totals.per_year_usd)} a year{dated}."
    )


def purchase_cells(answer: FleetAnswer) -> list[tuple[str, ...]]:
    """Return a row for each kind of GPU that is bought."""
    return [
        (
            words.short_name(row.name),
            str(row.count),
            format_money(row.unit_price_usd),
            format_money(row.purchase_usd),
            f"{row.utilisation:.0%}",
            words.UNKNOWN if row.lead_time_days is None else f"{row.lead_time_days} d",
        )
        for row in answer.purchases
    ]


def purchase_note(row: FleetPurchaseDocument) -> str:
    """Return what cards are for, what they stand in, and where their price is from."""
    used = f"for {', '.join(row.used_by)}" if row.used_by else None
    host = f"in {row.host} ({format_money(row.host_usd)})" if row.host and row.host_usd else None
    return plain("; ".join(part for part in (used, host, row.price) if part))


def assignment_cells(answer: FleetAnswer) -> list[tuple[str, ...]]:
    """Return a row for each workload."""
    return [
        (
            plain(row.workload),
            f"{_way(row)} {words.counted(row.name, row.count)}",
            words.UNKNOWN if row.deadline_h is None else format_duration(row.deadline_h),
            format_money(row.running_usd_per_year),
        )
        for row in answer.assignments
    ]


def _way(row: FleetAssignmentDocument) -> str:
    return "own" if row.way == "buy" else "rent"


def assignment_note(row: FleetAssignmentDocument) -> str:
    """Return how often a workload runs, and where its rent is from."""
    if row.runs_per_year is not None:
        digits = 1 if row.runs_per_year < 100 else 0
        often = f"{row.runs_per_year:,.{digits}f} runs a year of {words.hours(row.hours_per_run)}"
        of = "electricity" if row.way == "buy" else "rent"
        parts = [f"{often} at {words.money(row.running_usd_per_run)} of {of}"]
        if row.replicas > 1:
            parts.append(f"{row.replicas} at a time")
    else:
        rate = words.interval(row.requests_per_s, lambda value: f"{value:.3g} requests/s")
        parts = [f"{row.replicas} replica{'' if row.replicas == 1 else 's'}, up to {rate}"]
    if row.rent_price:
        parts.append(plain(row.rent_price))
    return "; ".join(parts)


def sections(answer: FleetAnswer) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return headings with labelled lines: the money, what else there was, what would change the decision."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    if answer.totals is not None:
        found.append((f"Over {answer.horizon_years:g} years", totals(answer.totals)))
        others: list[tuple[str, str]] = [(item.label, _alternative(item)) for item in answer.alternatives]
        if answer.runner_up is not None:
            other = answer.runner_up
            others.insert(0, ("runner-up", plain(f"{other.fleet}: {other.why}")))
        found.append(("Other fleets", others))
    if answer.unmet:
        lines = [
            (plain(item.workload), plain(text))
            for item in answer.unmet
            for text in (*item.reasons, *(each.message for each in item.relax))
        ]
        found.append(("Workloads that nothing runs", lines))
    return found


def totals(document: FleetTotalsDocument) -> list[tuple[str, str]]:
    """Return the parts of the cost, and the energy, as labelled lines; parts of nothing are left out."""
    parts = [
        ("purchase", document.purchase_usd),
        ("hosts", document.host_usd),
        ("resale", -document.residual_usd),
        ("rent", document.rent_usd),
        ("electricity", document.electricity_usd),
    ]
    lines = [(label, _signed(usd)) for label, usd in parts if usd]
    lines.append(("total", format_money(document.total_usd)))
    lines.append(
        ("budget", f"{format_money(document.budget_used_usd)} used: purchases and rents, not electricity")
    )
    carbon = "" if document.co2_kg is None else f", {document.co2_kg:,.0f} kg of CO2"
    lines.append(("energy", f"{document.energy_kwh:,.0f} kWh{carbon}"))
    lines.append(("power", f"{document.peak_power_w:,.0f} W at most, of bought cards"))
    return lines


def _signed(usd: float) -> str:
    return f"-{format_money(-usd)}" if usd < 0 else format_money(usd)


def _alternative(item: FleetAlternativeDocument) -> str:
    if item.fleet is None or item.total_usd is None:
        return plain(item.why)
    return plain(f"{format_money(item.total_usd)} ({item.fleet}); {item.why}")


def _left_out(excluded: Sequence[FleetExcludedDocument]) -> Iterator[str]:
    """Yield how many GPUs are no choice for what reason, and for which workloads that holds."""
    reasons: dict[str, list[str]] = {}
    for item in excluded:
        reasons.setdefault(item.workload, []).append(f"{item.gpus} {words.constraint_title(item.constraint)}")
    alike: dict[str, list[str]] = {}
    for workload, each in reasons.items():
        alike.setdefault(", ".join(each), []).append(workload)
    for text, workloads in alike.items():
        yield plain(f"{'; '.join(workloads)}: {text}")


def lists(answer: FleetAnswer) -> list[tuple[str, Sequence[str]]]:
    """Return headings with items: limits, left out, assumptions, warnings; without those that have none."""
    found = [
        ("What to relax", tuple(dict.fromkeys(item.message for item in answer.relax))),
        ("What would change the decision", tuple(item.message for item in answer.changes)),
        ("GPUs left out", tuple(_left_out(answer.excluded))),
        ("Assumptions", answer.assumptions),
        ("Warnings", answer.warnings),
    ]  # fmt: skip
    return [(heading, items) for heading, items in found if items]
