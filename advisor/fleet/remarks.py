"""What the planning of a fleet assumes, and what may go wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from advisor.fleet.market import Market
from advisor.fleet.options import Choices, choices_of, least_cards, planned_hours
from advisor.fleet.plan import Plan


def assumptions_of(market: Market, best: Plan | None) -> Iterator[str]:
    """Yield what the planning takes for granted."""
    terms = market.terms
    assumed = " (assumed; utilisation in the file)" if terms.utilisation is None else ""
    yield f"bought GPUs are planned busy for at most {terms.planned_utilisation:.0%} of a week{assumed}"
    yield (
        "runs on shared GPUs wait for each other: a deadline is that of a run from its start, and what is kept free "
        "of each week is the room for waiting"
    )
    yield "all runs of a workload use the same number of the same GPU; bought GPUs of one kind can work together"
    if any(demand.requests_per_s is not None for demand in market.demands):
        yield "served models run at the same hours of a week, and other runs in the hours that they leave"
    if terms.cautious:
        yield "times are planned at the upper end of their 80 % interval"
    yield f"prices stay as they are for {terms.horizon_years:g} years"
    if market.limits.budget_usd is not None:
        yield "the budget counts purchases and rents over the horizon, not electricity"
    if best is not None and best.rent_cents:
        yield "energy and CO2 of rented GPUs are counted as if they stood in the same machine room"


def warnings_of(market: Market, choices: Choices, best: Plan) -> Iterator[str]:
    """Yield what breaks where times come out at their upper end, and other doubts about a plan."""
    demands = {demand.name: demand for demand in market.demands}
    for option in best.options:
        deadline = demands[option.workload].deadline_h
        if deadline is not None:
            latest = planned_hours(option.offer, option.way, cautious=True)
            if latest > deadline:
                yield (
                    f"{option.workload}: at the upper end of its time a run takes {latest:.3g} h, past its deadline of "
                    f"{deadline:g} h; cautious: true plans for that"
                )
    yield from _if_slower(market, choices, best)
    for each in best.bought:
        here, name = best.on(each.supply.gpu.id), each.supply.gpu.id
        least = least_cards(here, choices.capacity, choices.sizes)
        if each.count > each.supply.stepped(least):
            yield f"{each.count} x {name} are bought for the volume price; {least} do the work"
        elif each.count > least:
            sold = f"{name} is sold by {each.supply.step}"
            yield f"{each.count} x {name} are bought, {least} do the work: {sold}"
        counts = sorted({option.count for option in here})
        if any(larger % smaller for smaller, larger in pairwise(counts)):
            sizes = ", ".join(str(count) for count in counts)
            yield f"jobs of {sizes} GPUs share the {name}: they may not fit beside each other as planned"
    if not best.proven:
        yield "the solver gave up before it had proven that nothing is cheaper"


def _if_slower(market: Market, choices: Choices, best: Plan) -> Iterator[str]:
    """Yield for which cards there is too much to do at the upper end of all times."""
    slow = replace(
        market,
        demands=[replace(demand, deadline_h=None) for demand in market.demands],
        # More may be needed than have a price.
        gpus=[
            replace(gpu, tiers=tuple(replace(tier, maximum_count=None) for tier in gpu.tiers))
            for gpu in market.gpus
        ],
        terms=replace(market.terms, cautious=True),
    )
    slower = {option.key: option for option in choices_of(slow).options}
    for each in best.bought:
        here = [slower[option.key] for option in best.on(each.supply.gpu.id)]
        needed = least_cards(here, choices.capacity, choices.sizes)
        if needed > each.count:
            yield (
                f"{each.supply.gpu.id}: at the upper end of all times {needed} are needed, {each.count} are "
                "planned; cautious: true plans for that"
            )
