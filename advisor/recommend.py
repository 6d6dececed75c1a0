"""Filter, rank, mark the Pareto front, and say why: of what is left out, and of what would have to give."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from advisor.candidates import Candidate
from advisor.documents import ExcludedDocument, RelaxDocument
from advisor.hardware import Device
from advisor.units import GIB, format_duration, format_money
from advisor.workload import Constraints

Objective = Literal["balanced", "cost", "time", "energy", "value"]

EXPLANATIONS: dict[Objective, str] = {
    "balanced": "balanced: least (total cost x time x number of GPUs), so that a faster answer may cost in proportion",
    "cost": "least total cost: the cheaper of renting, and of the share of a purchase that the job uses up plus power",
    "time": "least time",
    "energy": "least energy",
    "value": "most work per dollar of purchase (of 1,000 h of rent where only rent is known)",
}

RENT_HOURS_FOR_VALUE = 1000.0


@dataclass(frozen=True, slots=True)
class Refused:
    """A candidate that breaks a constraint; ``excess`` orders refusals by how far off they are (1 = just)."""

    candidate: Candidate
    constraint: str
    reason: str
    excess: float


def excluded_before(device: Device, constraints: Constraints) -> tuple[str, str] | None:
    """Return (constraint, reason) where the device itself is not wanted, None where it is."""
    if constraints.vendors and device.vendor not in constraints.vendors:
        return "vendors", f"vendor {device.vendor} not asked for"
    if constraints.segments and device.segment not in constraints.segments:
        return "segments", f"segment {device.segment} not asked for"
    if constraints.ecc and not device.memory.ecc:
        return "ecc", "no ECC memory" if device.memory.ecc is False else "ECC not known"
    least = constraints.min_memory_gib
    if least is not None and device.memory.size_gib < least:
        return "min_memory_gib", f"{device.memory.size_gib:g} GiB of memory, {least:g} asked for"
    return None


def refused(candidate: Candidate, constraints: Constraints, *, whole_job: bool) -> Refused | None:
    """Return the first constraint that a candidate breaks, None where it satisfies all."""
    if not candidate.fits:
        return Refused(
            candidate, "memory", _memory_reason(candidate), candidate.required_bytes / candidate.available_bytes
        )
    watts = candidate.count * candidate.device.board.tdp_w / candidate.device.board.devices_per_board
    if constraints.max_power_w is not None and watts > constraints.max_power_w:
        reason = f"{watts:,.0f} W, {constraints.max_power_w:,.0f} W allowed"
        return Refused(candidate, "max_power_w", reason, watts / constraints.max_power_w)
    if whole_job and constraints.deadline_h is not None and candidate.hours > constraints.deadline_h:
        reason = f"takes {format_duration(candidate.hours)}, deadline {format_duration(constraints.deadline_h)}"
        return Refused(candidate, "deadline_h", reason, candidate.hours / constraints.deadline_h)
    return _refused_for_money(candidate, constraints, whole_job)


def _memory_reason(candidate: Candidate) -> str:
    need, has = candidate.required_bytes / GIB, candidate.available_bytes / GIB
    how = f"micro-batch {candidate.micro_batch}"
    if candidate.checkpointing != "none":
        how += f", {candidate.checkpointing} checkpointing"
    if candidate.layout.strategy != "none":
        how += f", {candidate.layout.strategy}"
    each = " on each GPU" if candidate.count > 1 else ""
    return f"needs {need:,.1f} GiB{each} at least ({how}), has {has:,.1f}"


def ways(candidate: Candidate, constraints: Constraints, *, whole_job: bool) -> dict[str, float]:
    """Return the outlay by way of acquiring that is allowed and known: purchase price, or rent of the job."""
    found = {}
    if "buy" in constraints.acquire and candidate.costs.purchase is not None:
        found["buy"] = candidate.costs.purchase
    if "rent" in constraints.acquire and candidate.costs.rent is not None:
        found["rent"] = candidate.costs.rent if whole_job else 0.0
    return found


def _refused_for_money(candidate: Candidate, constraints: Constraints, whole_job: bool) -> Refused | None:
    budget = constraints.budget_usd
    outlays = ways(candidate, constraints, whole_job=whole_job)
    if not outlays and (budget is not None or len(constraints.acquire) == 1):
        wanted = " or ".join(constraints.acquire)
        return Refused(candidate, "price", f"no price known to {wanted}", math.inf)
    if budget is None or not outlays:
        return None
    least = min(outlays.values())
    if least <= budget:
        return None
    spent = {"buy": "costs {} to buy", "rent": "costs {} to rent for the job"}
    texts = " and ".join(spent[way].format(format_money(outlay)) for way, outlay in outlays.items())
    return Refused(candidate, "budget_usd", f"{texts}, budget {format_money(budget)}", least / budget)


def affordable_cost(
    candidate: Candidate, constraints: Constraints, *, whole_job: bool
) -> tuple[float, str] | None:
    """Return (total cost, way) of the cheapest way that is allowed and within budget; None where no price is known."""
    budget = constraints.budget_usd or math.inf
    outlays = ways(candidate, constraints, whole_job=whole_job)
    totals = {"buy": candidate.costs.owned, "rent": candidate.costs.rent}
    found = [
        (total, way)
        for way, outlay in outlays.items()
        if outlay <= budget and (total := totals[way]) is not None
    ]
    return min(found, default=None)


def score(candidate: Candidate, objective: Objective, cost: float | None) -> float:
    """Return what the objective minimises; infinite where it is not known."""
    time = 1.0 / candidate.samples_per_s
    energy = candidate.power_w * time
    if objective == "time":
        return time
    if objective == "energy":
        return energy
    if objective == "value":
        price = candidate.costs.purchase
        if price is None and candidate.costs.rent is not None and candidate.hours > 0:
            price = candidate.costs.rent / candidate.hours * RENT_HOURS_FOR_VALUE
        return math.inf if price is None else price * time
    if cost is None:
        return math.inf
    return cost if objective == "cost" else cost * time * candidate.count


def pareto(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Say of each (time, cost) whether no other point is at least as good in both and better in one."""
    best, found = math.inf, [False] * len(points)
    for index in sorted(range(len(points)), key=lambda i: points[i]):
        if points[index][1] < best:
            best = points[index][1]
            found[index] = True
    return found


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate in its place."""

    candidate: Candidate
    pareto: bool
    cost: float | None
    way: str | None


def rank(
    qualified: Sequence[Candidate], objective: Objective, constraints: Constraints, *, whole_job: bool
) -> list[Ranked]:
    """Return the answers in order: of each GPU the count that the objective likes best, and the Pareto front.

    Except for the objective ``time`` a GPU is proposed in the smallest number that satisfies the constraints; larger
    numbers are added where they are on the front of total cost against time.
    """
    priced = [(item, affordable_cost(item, constraints, whole_job=whole_job)) for item in qualified]
    points = [
        (1.0 / item.samples_per_s, math.inf if cost is None else cost[0]) for item, cost in priced
    ]
    front = pareto(points)
    scored = [
        (score(item, objective, cost[0] if cost else None), item, on_front, cost)
        for (item, cost), on_front in zip(priced, front, strict=True)
    ]
    kept: dict[tuple[str, int], tuple[float, Candidate, bool, tuple[float, str] | None]] = {}
    best: dict[str, tuple[float, Candidate, bool, tuple[float, str] | None]] = {}
    for row in scored:
        item = row[1]
        if row[2]:
            kept[item.device.id, item.count] = row
        other = best.get(item.device.id)
        better = other is None or (
            row[0] < other[0] if objective == "time" else item.count < other[1].count
        )
        if better:
            best[item.device.id] = row
    for row in best.values():
        kept[row[1].device.id, row[1].count] = row
    ordered = sorted(
        kept.values(), key=lambda row: (row[0], 1.0 / row[1].samples_per_s, row[1].device.id, row[1].count)
    )
    return [
        Ranked(item, on_front, cost[0] if cost else None, cost[1] if cost else None)
        for _, item, on_front, cost in ordered
    ]


def excluded_documents(refusals: Iterable[Refused], shown: set[str]) -> list[ExcludedDocument]:
    """Return for each GPU without any answer the refusal that was nearest to passing."""
    nearest: dict[str, Refused] = {}
    for refusal in refusals:
        device = refusal.candidate.device
        if device.id in shown:
            continue
        other = nearest.get(device.id)
        if other is None or refusal.excess < other.excess:
            nearest[device.id] = refusal
    return [
        ExcludedDocument(
            gpu=gpu,
            name=refusal.candidate.device.name,
            count=refusal.candidate.count,
            reason=refusal.reason,
            constraint=refusal.constraint,
        )
        for gpu, refusal in nearest.items()
    ]


def relaxations(refusals: Sequence[Refused], constraints: Constraints) -> list[RelaxDocument]:
    """Return, constraint by constraint, how far it must give so that one answer qualifies, and which."""
    found = []
    for constraint in ("memory", "max_power_w", "deadline_h", "budget_usd", "price"):
        own = [refusal for refusal in refusals if refusal.constraint == constraint]
        if not own:
            continue
        nearest = min(own, key=lambda refusal: (refusal.excess, refusal.candidate.count))
        found.append(_relaxation(nearest, constraint, constraints))
    return found


def _relaxation(refusal: Refused, constraint: str, constraints: Constraints) -> RelaxDocument:
    candidate = refusal.candidate
    who = candidate.device.name if candidate.count == 1 else f"{candidate.count} x {candidate.device.name}"
    current: float | str | None = None
    needed: float | str
    if constraint == "memory":
        needed = round(candidate.required_bytes / GIB, 2)
        current = round(candidate.available_bytes / GIB, 2)
        text = f"nothing fits: {who} comes nearest, it {refusal.reason}; allow more GPUs (constraints.max_count) or a smaller job"
    elif constraint == "budget_usd":
        current = constraints.budget_usd
        needed = math.ceil((current or 0.0) * refusal.excess)
        text = f"raise constraints.budget_usd to {format_money(float(needed))}: then {who} qualifies ({refusal.reason})"
    elif constraint == "deadline_h":
        current, needed = constraints.deadline_h, round(candidate.hours, 2)
        text = f"move constraints.deadline_h to {candidate.hours:.2f}: then {who} qualifies ({refusal.reason})"
    elif constraint == "max_power_w":
        current = constraints.max_power_w
        needed = math.ceil((current or 0.0) * refusal.excess)
        text = f"raise constraints.max_power_w to {needed}: then {who} qualifies ({refusal.reason})"
    else:
        current, needed = ", ".join(constraints.acquire), "buy, rent"
        text = f"{who}: {refusal.reason}; allow the other way (constraints.acquire) or add a price"
    return RelaxDocument(
        constraint=constraint, current=current, needed=needed, message=text, gpu=candidate.device.id
    )
