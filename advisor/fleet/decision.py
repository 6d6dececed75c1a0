"""What people ask about a fleet: the best, the next best, all rented or all bought, and which limit costs what."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from advisor.fleet.dominance import Aim
from advisor.fleet.market import Limits, Market
from advisor.fleet.options import Choices, choices_of, without_choice
from advisor.fleet.plan import Plan
from advisor.fleet.solver import Question, best_plan
from advisor.workload import Way

LimitName = Literal["budget_usd", "max_power_w"]

LIMITS: tuple[tuple[LimitName, Aim], ...] = (("budget_usd", "outlay"), ("max_power_w", "power"))
"""Limits, and what has to be small to keep them."""

WORTH_SAYING = 0.01
"""Share of the total that a larger limit must save to be worth a word."""

UTILISATION_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Alternative:
    """The best plan with one way alone; None where there is none within the limits."""

    way: Way
    plan: Plan | None
    unlimited: Plan | None
    """The same without limits; None where no price is known for as many GPUs as that takes."""
    impossible: tuple[str, ...]
    """Workloads that cannot be had this way at all."""


@dataclass(frozen=True, slots=True)
class Change:
    """A limit, the value from which a cheaper plan is possible, and that plan."""

    limit: LimitName
    current: float
    needed: float
    plan: Plan


@dataclass(frozen=True, slots=True)
class Relaxation:
    """Limits that together must give so that there is a plan; ``utilisation`` is one of them."""

    needed: tuple[tuple[Literal["budget_usd", "max_power_w", "utilisation"], float, float], ...]
    """Name, current value, needed value."""
    plan: Plan


@dataclass(frozen=True, slots=True)
class Decision:
    """All answers about one market."""

    choices: Choices
    unmet: tuple[str, ...]
    """Workloads that nothing can run."""
    best: Plan | None = None
    runner_up: Plan | None = None
    alternatives: tuple[Alternative, ...] = ()
    changes: tuple[Change, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()


def decide(market: Market) -> Decision:
    """Return the best fleet, and what else there is to know.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    choices, limits = choices_of(market), market.limits
    if unmet := tuple(without_choice(choices)):
        return Decision(choices, unmet)
    best = best_plan(choices, Question(limits))
    if best is None:
        return Decision(choices, (), relaxations=tuple(_relaxations(market, choices)))
    return Decision(
        choices,
        unmet=(),
        best=best,
        runner_up=best_plan(choices, Question(limits, without_one_of=best.core)),
        alternatives=(
            _alternative("rent", choices, limits, best),
            _alternative("buy", choices, limits, best),
        ),
        changes=tuple(_changes(choices, limits, best)),
    )


def _alternative(way: Way, choices: Choices, limits: Limits, best: Plan) -> Alternative:
    able = {option.workload for option in choices.options if option.way == way}
    impossible = tuple(name for name in choices.workloads if name not in able)
    if impossible:
        return Alternative(way, None, None, impossible)
    if {used for _, used in best.sources} == {way}:
        return Alternative(way, best, best, ())
    plan = best_plan(choices, Question(limits, ways=(way,)))
    return Alternative(way, plan, plan or best_plan(choices, Question(ways=(way,))), ())


def _changes(choices: Choices, limits: Limits, best: Plan) -> Iterator[Change]:
    """Yield for each limit from where on it would allow a plan that is cheaper by more than a trifle."""
    below = best.total_cents - max(1, math.ceil(WORTH_SAYING * best.total_cents))
    for name, aim in LIMITS:
        current = getattr(limits, name)
        if current is None:
            continue
        free = replace(limits, **{name: None})
        least = best_plan(choices, Question(free, aim=aim, below_cents=below))
        if least is not None:
            needed = _whole(least, name)
            plan = best_plan(choices, Question(replace(limits, **{name: needed})))
            assert plan is not None
            yield Change(name, current, needed, plan)


def _whole(plan: Plan, name: LimitName) -> float:
    """Return the limit that a plan needs, in whole dollars or watts."""
    exact = plan.outlay_cents / 100 if name == "budget_usd" else plan.power_w
    return float(math.ceil(exact - 1e-6))


def _relaxations(market: Market, choices: Choices) -> Iterator[Relaxation]:
    """Yield each limit that alone is in the way with the least value that would do; both where one is not enough."""
    limits = market.limits
    given = [(name, aim) for name, aim in LIMITS if getattr(limits, name) is not None]
    alone = False
    for name, aim in given:
        plan = best_plan(choices, Question(replace(limits, **{name: None}), aim=aim))
        if plan is not None:
            alone = True
            needed = _whole(plan, name)
            cheapest = best_plan(choices, Question(replace(limits, **{name: needed})))
            yield Relaxation(((name, getattr(limits, name), needed),), cheapest or plan)
    if (busier := _busier(market)) is not None:
        alone = True
        yield busier
    if not alone:
        plan = best_plan(choices, Question(aim="outlay"))
        if plan is None:  # no price for as many as it takes
            return
        wanted = tuple((name, getattr(limits, name), _whole(plan, name)) for name, _ in given)
        yield Relaxation(wanted, plan)


def _busier(market: Market) -> Relaxation | None:
    """Return the least utilisation, in steps, at which there is a plan within the limits."""
    now = market.terms.planned_utilisation
    steps = [step * UTILISATION_STEP for step in range(1, round(1 / UTILISATION_STEP) + 1)]
    higher = [round(step, 2) for step in steps if step > now + 1e-9]
    if not higher or _at(market, higher[-1]) is None:
        return None
    for utilisation in higher:
        plan = _at(market, utilisation)
        if plan is not None:
            return Relaxation((("utilisation", now, utilisation),), plan)
    return None


def _at(market: Market, utilisation: float) -> Plan | None:
    terms = replace(market.terms, utilisation=utilisation)
    return best_plan(choices_of(replace(market, terms=terms)), Question(market.limits))
