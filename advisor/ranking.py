"""Filter, rank, mark the Pareto front, and say why: of what is left out, and of what would have to give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from advisor.candidates import Candidate
from advisor.documents import ExcludedDocument, RelaxDocument
from advisor.hardware import Device, Segment
from advisor.objective import Objective
from advisor.units import GIB, format_duration, format_money
from advisor.workload import Constraints

_CAUTION = "For the order, times count at the upper end of their interval, more where a platform is supported in part."

EXPLANATIONS: dict[Objective, str] = {
    "balanced": "least (total cost x time x number of GPUs): a faster answer may cost in proportion. "
    + _CAUTION,
    "cost": "least total cost: renting, or the share of a purchase that the job uses up plus power. "
    + _CAUTION,
    "time": "least time. " + _CAUTION,
    "energy": "least energy. " + _CAUTION,
    "value": "most work per dollar of purchase (of 1,000 h of rent where only that is known). " + _CAUTION,
}

RENT_HOURS_FOR_VALUE = 1000.0

LEAST_MEMORY_OF_CLUSTERS_GIB = 32.0

LARGEST_COUNTS: dict[Segment, int] = {
    "consumer": 4, "workstation": 8, "datacenter": 8, "laptop": 1, "embedded": 1, "apple": 1,
}  # fmt: skip
"""How many of a GPU people put into one machine; the user's limit replaces it where machines of several exist."""


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


def broken(candidate: Candidate, constraints: Constraints, *, whole_job: bool) -> tuple[Refused, ...]:
    """Return every constraint that a candidate breaks; where it does not fit in memory, that alone."""
    if not candidate.fits:
        excess = candidate.required_bytes / candidate.available_bytes
        return (Refused(candidate, "memory", _memory_reason(candidate), excess),)
    found = []
    watts = candidate.count * candidate.device.board.tdp_w / candidate.device.board.devices_per_board
    if constraints.max_power_w is not None and watts > constraints.max_power_w:
        reason = f"{watts:,.0f} W, {constraints.max_power_w:,.0f} W allowed"
        found.append(Refused(candidate, "max_power_w", reason, watts / constraints.max_power_w))
    if whole_job and constraints.deadline_h is not None and candidate.hours > constraints.deadline_h:
        reason = (
            f"takes {format_duration(candidate.hours)}, deadline {format_duration(constraints.deadline_h)}"
        )
        found.append(Refused(candidate, "deadline_h", reason, candidate.hours / constraints.deadline_h))
    money = _refused_for_money(candidate, constraints, whole_job)
    return (*found, money) if money else tuple(found)


def _memory_reason(candidate: Candidate) -> str:
    need, has = candidate.required_bytes / GIB, candidate.available_bytes / GIB
    how = f"micro-batch {candidate.micro_batch}"
    if candidate.checkpointing != "none":
        how += f", {candidate.checkpointing} checkpointing"
    if candidate.layout.strategy != "none":
        how += f", {candidate.layout.strategy}"
    each = " on each GPU" if candidate.count > 1 else ""
    return f"needs {need:,.2f} GiB{each} at least ({how}), has {has:,.2f}"


def ways(candidate: Candidate, constraints: Constraints, *, whole_job: bool) -> dict[str, float]:
    """Return the outlay by way of acquiring that is allowed and known: purchase price, or rent of the job."""
    found = {}
    purchase = None if candidate.prices.no_purchase is not None else candidate.costs.purchase
    if "buy" in constraints.acquire and purchase is not None:
        found["buy"] = purchase
    if "rent" in constraints.acquire and candidate.costs.rent is not None:
        found["rent"] = candidate.costs.rent if whole_job else 0.0
    return found


def _refused_for_money(candidate: Candidate, constraints: Constraints, whole_job: bool) -> Refused | None:
    budget = constraints.budget_usd
    outlays = ways(candidate, constraints, whole_job=whole_job)
    why = candidate.prices.no_purchase
    if not outlays and why is not None and "buy" in constraints.acquire:
        return Refused(candidate, "purchase", why, math.inf)
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


def score(candidate: Candidate, objective: Objective, cost: float | None, time_factor: float) -> float:
    """Return what the objective minimises; infinite where it is not known.

    Args:
        candidate: the answer.
        objective: what to minimise.
        cost: total cost of the job by the cheapest way that is allowed.
        time_factor: how much longer than estimated it counts as taking.
    """
    time = time_factor / candidate.samples_per_s
    energy = candidate.power_w * time
    if objective == "time":
        return time
    if objective == "energy":
        return energy
    if objective == "value":
        price = candidate.costs.purchase
        if price is None and candidate.costs.rent is not None and candidate.hours > 0:
            price = (candidate.costs.hourly.rent or math.inf) * RENT_HOURS_FOR_VALUE
        return math.inf if price is None else price * time
    if cost is None:
        return math.inf
    cost = cost * time_factor
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
    time_factor: float


def largest_count(device: Device, limit: int | None) -> int:
    """Return how many of a device one would put to work together: the user's limit, else what its segment allows."""
    sensible = LARGEST_COUNTS[device.segment]
    return sensible if limit is None or sensible == 1 else limit


def joins_nodes(device: Device) -> bool:
    """Say whether several nodes of a device are put to work on one job: datacenter GPUs of today's sizes."""
    return device.segment == "datacenter" and device.memory.size_gib >= LEAST_MEMORY_OF_CLUSTERS_GIB


def rank(
    qualified: Sequence[Candidate],
    objective: Objective,
    constraints: Constraints,
    *,
    whole_job: bool,
    time_factor: Callable[[Candidate], float],
) -> list[Ranked]:
    """Return the answers in order, one number of each GPU, with the Pareto front of total cost against time marked.

    The number is the smallest power of two that satisfies the constraints (the smallest, if none does), since more GPUs
    than needed are another question; for the objective ``time`` it is the fastest. Of answers that the objective does
    not tell apart the one that costs less comes first.
    """
    scored = []
    for item in _one_count_each(qualified, objective):
        cost = affordable_cost(item, constraints, whole_job=whole_job)
        factor = time_factor(item)
        scored.append((score(item, objective, cost[0] if cost else None, factor), item, cost, factor))
    front = pareto(
        [(1.0 / item.samples_per_s, math.inf if cost is None else cost[0]) for _, item, cost, _ in scored]
    )
    rows = [
        (
            (value, 1.0 / item.samples_per_s, *_dearness(item, cost), item.device.id),
            _place(item, on_front, cost, factor),
        )
        for (value, item, cost, factor), on_front in zip(scored, front, strict=True)
    ]
    return [place for _, place in sorted(rows, key=lambda row: row[0])]


def _dearness(item: Candidate, cost: tuple[float, str] | None) -> tuple[float, float, float]:
    """Order equals by money: cost of the job, purchase, rent; what is not known comes last."""
    known = (cost[0] if cost else None, item.costs.purchase, item.costs.hourly.rent)
    job, purchase, rent = (math.inf if each is None else each for each in known)
    return job, purchase, rent


def _place(item: Candidate, on_front: bool, cost: tuple[float, str] | None, factor: float) -> Ranked:
    total, way = cost or (None, None)
    return Ranked(item, on_front, total, way, factor)


def _one_count_each(qualified: Sequence[Candidate], objective: Objective) -> Iterable[Candidate]:
    best: dict[str, Candidate] = {}
    for item in qualified:
        other = best.get(item.device.id)
        if other is None:
            best[item.device.id] = item
        elif objective == "time":
            if item.samples_per_s > other.samples_per_s:
                best[item.device.id] = item
        elif _awkwardness(item.count) < _awkwardness(other.count):
            best[item.device.id] = item
    return best.values()


def is_awkward(count: int) -> bool:
    """Say whether a number of GPUs is no power of two, in which machines are built and rented."""
    return count & (count - 1) != 0


def _awkwardness(count: int) -> tuple[bool, int]:
    """Order numbers of GPUs: powers of two first, then the fewest."""
    return is_awkward(count), count


def picks(
    ranking: Sequence[Ranked], constraints: Constraints, objective: Objective
) -> list[tuple[str, Ranked]]:
    """Return the answers that people ask for by name: best to rent, best to buy, cheapest to buy, fastest."""
    found: list[tuple[str, Ranked]] = []
    budget = constraints.budget_usd or math.inf

    def best(rows: list[Ranked], way: str) -> None:
        if rows:
            found.append((f"best to {way}", min(rows, key=lambda row: _score_by(row, way, objective))))

    if "rent" in constraints.acquire:
        best([row for row in ranking if _within(row.candidate.costs.rent, budget)], "rent")
    if "buy" in constraints.acquire:
        bought = [row for row in ranking if _within(row.candidate.costs.purchase, budget)]
        best(bought, "buy")
        if bought:
            found.append(
                ("cheapest to buy", min(bought, key=lambda row: row.candidate.costs.purchase or 0.0))
            )
    if ranking:
        found.append(("fastest", max(ranking, key=lambda row: row.candidate.samples_per_s)))
    return found


def _within(outlay: float | None, budget: float) -> bool:
    return outlay is not None and outlay <= budget


def _score_by(row: Ranked, way: str, objective: Objective) -> float:
    """Return what the objective minimises if an answer is acquired in one way: the ranking's own rule."""
    costs = row.candidate.costs
    return score(row.candidate, objective, costs.owned if way == "buy" else costs.rent, row.time_factor)


def within_budget(
    candidate: Candidate, constraints: Constraints, *, whole_job: bool
) -> tuple[Literal["buy", "rent"], ...] | None:
    """Return the ways of acquiring whose outlay is within the budget; None where there is no budget."""
    if constraints.budget_usd is None:
        return None
    outlays = ways(candidate, constraints, whole_job=whole_job)
    budget = constraints.budget_usd
    return tuple(way for way in ("buy", "rent") if way in outlays and outlays[way] <= budget)


def excluded_documents(refusals: Iterable[tuple[Refused, ...]], shown: set[str]) -> list[ExcludedDocument]:
    """Return for each GPU without any answer the refusal that was nearest to passing."""
    nearest: dict[str, tuple[Refused, ...]] = {}
    for refusal in refusals:
        device = refusal[0].candidate.device
        if device.id not in shown and _farness(refusal) < _farness(nearest.get(device.id, ())):
            nearest[device.id] = refusal
    return [
        ExcludedDocument(
            gpu=gpu,
            name=refusal[0].candidate.device.name,
            count=refusal[0].candidate.count,
            reason="; ".join(each.reason for each in refusal),
            constraint=refusal[0].constraint,
        )
        for gpu, refusal in nearest.items()
    ]


def _farness(refusal: Sequence[Refused]) -> tuple[bool, float, float, int]:
    """Order refusals: what fits first, then the fewest constraints broken, the least excess, the fewest GPUs.

    Too little memory is the reason only where no number of the GPU fits.
    """
    if not refusal:
        return True, math.inf, math.inf, 0
    excess = math.prod(each.excess for each in refusal)
    return refusal[0].constraint == "memory", len(refusal), excess, refusal[0].candidate.count


def relaxations(refusals: Sequence[tuple[Refused, ...]], constraints: Constraints) -> list[RelaxDocument]:
    """Return how far constraints must give so that one answer qualifies, and which.

    A constraint that is the only one in the way of some GPU is listed alone; where each GPU breaks several, those of
    the one that comes nearest are listed together. Memory is named only where nothing fits at all.
    """
    fitting = [refusal for refusal in refusals if refusal[0].constraint != "memory"]
    if not fitting:
        nearest = min(refusals, key=_farness, default=())
        return [_relaxation(each, constraints, alone=True) for each in nearest]
    found = []
    for constraint in ("max_power_w", "deadline_h", "budget_usd", "price", "purchase"):
        alone = [refusal for refusal in fitting if [each.constraint for each in refusal] == [constraint]]
        if alone:
            found.append(_relaxation(min(alone, key=_farness)[0], constraints, alone=True))
    if found:
        return found
    return [_relaxation(each, constraints, alone=False) for each in min(fitting, key=_farness)]


def _rounded_up(value: float) -> float:
    """Return a value that is at least as large, with three significant digits."""
    digits = 2 - math.floor(math.log10(value))
    rounded = round(value, digits)
    return rounded if rounded >= value else round(value + 10.0**-digits, digits)


def _relaxation(refusal: Refused, constraints: Constraints, *, alone: bool) -> RelaxDocument:
    candidate, constraint = refusal.candidate, refusal.constraint
    who = candidate.device.name if candidate.count == 1 else f"{candidate.count} x {candidate.device.name}"
    then = f"then {who} qualifies" if alone else f"one of the changes that {who} needs"
    current: float | str | None = None
    needed: float | str
    if constraint == "memory":
        needed = _rounded_up(candidate.required_bytes / GIB)
        current = round(candidate.available_bytes / GIB, 2)
        text = f"nothing fits; {who} comes nearest: {refusal.reason}. Allow more GPUs (constraints.max_count)"
    elif constraint == "purchase":
        current, needed = "buy", "rent, another machine, or a quote"
        text = f"{who}: {refusal.reason}; or allow to rent (constraints.acquire)"
    elif constraint == "price":
        current = ", ".join(constraints.acquire)
        needed = "buy, rent" if len(constraints.acquire) == 1 else f"a price of {candidate.device.id}"
        text = f"{who}: {refusal.reason}; allow the other way (constraints.acquire) or another GPU"
    else:
        limit = float(getattr(constraints, constraint))
        current = limit
        exact = candidate.hours if constraint == "deadline_h" else limit * refusal.excess
        needed = _rounded_up(exact)
        text = f"raise constraints.{constraint} to {needed:g}: {then} ({refusal.reason})"
    return RelaxDocument(
        constraint=constraint, current=current, needed=needed, message=text, gpu=candidate.device.id
    )
