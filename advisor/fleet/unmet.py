"""Why workloads, or GPUs for them, are left out of a fleet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from advisor.documents import ExcludedDocument, RelaxDocument
from advisor.fleet.market import Demand
from advisor.fleet.options import Choices, Refusal
from advisor.fleet.reasons import counted
from advisor.fleet_documents import FleetExcludedDocument, UnmetDocument

_REASONS = 3


def unmet_document(
    demand: Demand,
    choices: Choices,
    excluded: Sequence[ExcludedDocument],
    relax: Sequence[RelaxDocument],
) -> UnmetDocument:
    """Return why nothing runs a workload: what comes nearest of its offers, or what kept GPUs from being offers."""
    mine = [refusal for refusal in choices.refusals if refusal.offer.workload == demand.name]
    late = [refusal for refusal in mine if refusal.constraint == "deadline_h"]
    reasons: list[str] = []
    advice = list(relax)
    if late:
        nearest = min(late, key=_farness)
        reasons.append(f"{_who(nearest)} comes nearest: {nearest.reason}")
        advice.append(_later(demand, nearest))
    elif mine:
        others = [way for way in ("buy", "rent") if way not in demand.acquire]
        number, ways = len({refusal.offer.gpu for refusal in mine}), " or ".join(demand.acquire)
        reasons.append(
            f"{number} GPU{'' if number == 1 else 's'} can run it, but no price is known to {ways} them"
        )
        advice.append(
            RelaxDocument(
                constraint="acquire" if others else "price",
                current=", ".join(demand.acquire),
                needed="buy, rent" if others else "a price",
                message="allow the other way (acquire)" if others else "add a quote for one of them",
                gpu=min(mine, key=_farness).offer.gpu,
            )
        )
    else:
        reasons += [f"{each.name}: {each.reason}" for each in excluded[:_REASONS]]
    return UnmetDocument(workload=demand.name, reasons=tuple(reasons), relax=tuple(advice))


def _farness(refusal: Refusal) -> tuple[float, str, int]:
    return refusal.excess, refusal.offer.gpu, refusal.offer.count


def _who(refusal: Refusal) -> str:
    return counted(refusal.offer.count, refusal.offer.gpu)


def _later(demand: Demand, refusal: Refusal) -> RelaxDocument:
    needed = math.ceil(10 * float(refusal.needed)) / 10
    return RelaxDocument(
        constraint="deadline_h",
        current=demand.deadline_h,
        needed=needed,
        message=f"raise deadline_h of {demand.name} to {needed:.10g}: then {_who(refusal)} does it",
        gpu=refusal.offer.gpu,
    )


def excluded_documents(
    choices: Choices, excluded: Mapping[str, Sequence[ExcludedDocument]]
) -> Iterator[FleetExcludedDocument]:
    """Yield how many GPUs are out of question for each workload, by reason."""
    able = {(option.workload, option.gpu) for option in choices.options}
    for workload in choices.workloads:
        reasons = {each.gpu: each.constraint for each in excluded.get(workload, ())}
        for refusal in sorted(choices.refusals, key=_farness):
            offer = refusal.offer
            if offer.workload == workload and (workload, offer.gpu) not in able:
                reasons.setdefault(offer.gpu, refusal.constraint)
        for constraint in sorted(set(reasons.values())):
            number = sum(1 for each in reasons.values() if each == constraint)
            yield FleetExcludedDocument(workload=workload, constraint=constraint, gpus=number)
