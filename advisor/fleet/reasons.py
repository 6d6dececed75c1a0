"""Fleets and their differences in words; GPUs by id, which is short and what ``--gpu`` takes."""

from __future__ import annotations

from collections.abc import Iterable

from advisor.fleet.decision import Alternative, Change, Relaxation
from advisor.fleet.options import Choices, least_cards
from advisor.fleet.plan import Plan
from advisor.units import format_money

NOT_SO_MANY = "no price is known to buy as many GPUs as that takes"


def money(cents: int) -> str:
    """Return whole cents as people write them."""
    return format_money(cents / 100)


def described(plan: Plan) -> str:
    """Return ``buy 2 x rtx-4090; rent 4 x h100-sxm-80gb for pretraining``."""
    parts = []
    if plan.bought:
        parts.append("buy " + ", ".join(counted(each.count, each.supply.gpu.id) for each in plan.bought))
    rented = [
        f"{counted(option.count * option.side_by_side, option.gpu)} for {option.workload}"
        for option in plan.options
        if option.way == "rent"
    ]
    if rented:
        parts.append("rent " + ", ".join(rented))
    return "; ".join(parts)


def counted(count: int, name: str) -> str:
    """Return ``rtx-4090`` or ``2 x rtx-4090``."""
    return name if count == 1 else f"{count} x {name}"


def why_dearer(best: Plan, other: Plan, choices: Choices) -> str:
    """Say in one sentence what makes another plan cost more than the best.

    The parts of the cost that differ come first, the largest first; where more cards are bought, the workload that
    asks for the most of them follows.
    """
    difference = other.total_cents - best.total_cents
    if difference == 0:
        return "costs the same; the order of ids decides"
    parts = {
        "purchases": _net(other) - _net(best),
        "rents": other.rent_cents - best.rent_cents,
        "electricity": other.electricity_cents - best.electricity_cents,
    }
    ordered = sorted((item for item in parts.items() if item[1]), key=lambda item: -item[1])
    share = f" ({difference / best.total_cents:.1%})" if best.total_cents else ""
    changes = [f"{name} {money(abs(cents))} {'more' if cents > 0 else 'less'}" for name, cents in ordered]
    more = _more_cards(best, other, choices)
    return f"costs {money(difference)}{share} more: {', '.join([*changes, *more])}"


def _net(plan: Plan) -> int:
    """Return purchases with hosts, less what they still fetch."""
    return plan.purchase_cents + plan.host_cents - plan.residual_cents


def _more_cards(best: Plan, other: Plan, choices: Choices) -> Iterable[str]:
    if not best.bought or sum(each.count for each in other.bought) <= sum(each.count for each in best.bought):
        return
    most = max(other.bought, key=lambda each: (each.count, each.supply.gpu.id))
    here = other.on(most.supply.gpu.id)

    def without(workload: str) -> int:
        rest = (option for option in here if option.workload != workload)
        return least_cards(rest, choices.capacity, choices.sizes)

    needed = least_cards(here, choices.capacity, choices.sizes)
    if most.supply.stepped(needed) < most.count:
        yield f"{most.count} x {most.supply.gpu.id} for the volume price, {needed} needed"
        return
    busiest = min(here, key=lambda option: (without(option.workload), option.workload))
    saved = needed - without(busiest.workload)
    if saved:
        yield f"{saved} of {needed} x {most.supply.gpu.id} because of {busiest.workload}"


def about_alternative(alternative: Alternative, best: Plan, choices: Choices) -> str:
    """Say what one way alone costs, or why it is not possible."""
    if alternative.impossible:
        verb = "rented" if alternative.way == "rent" else "bought"
        return f"nothing that can and may be {verb} runs {', '.join(alternative.impossible)}"
    if alternative.plan is not None:
        if alternative.plan is best:
            return "this is the best fleet"
        return why_dearer(best, alternative.plan, choices)
    unlimited = alternative.unlimited
    if unlimited is None:
        return NOT_SO_MANY
    return (
        f"not within the limits: the cheapest without them ({described(unlimited)}) needs "
        f"{money(unlimited.outlay_cents)} and {unlimited.power_w:,.0f} W"
    )


def about_change(change: Change, best: Plan) -> str:
    """Say from where on a limit would allow a cheaper fleet."""
    unit = "$" if change.limit == "budget_usd" else ""
    watts = "" if change.limit == "budget_usd" else " W"
    return (
        f"constraints.{change.limit} decides: from {unit}{change.needed:,.0f}{watts} instead of "
        f"{unit}{change.current:,.0f}{watts} one could {described(change.plan)} and save "
        f"{money(best.total_cents - change.plan.total_cents)}"
    )


def about_relaxation(relaxation: Relaxation) -> str:
    """Say what to change so that there is a fleet."""
    wanted = " and ".join(
        f"{'' if name == 'utilisation' else 'constraints.'}{name} to {needed:.10g}"
        for name, _, needed in relaxation.needed
    )
    return f"raise {wanted}: enough to {described(relaxation.plan)}"
