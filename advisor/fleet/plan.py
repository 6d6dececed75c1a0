"""A fleet that was decided on: who runs where and what is bought, with its exact costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from advisor.fleet.market import Limits, Way
from advisor.fleet.options import CentsTier, Choices, Option, Supply, cents, least_cards

_WATT = 1e-6


@dataclass(frozen=True, slots=True)
class Bought:
    """Cards of one kind."""

    supply: Supply
    count: int

    @property
    def tier(self) -> CentsTier:
        """The volume break that holds."""
        return self.supply.tier_of(self.count)


@dataclass(frozen=True)
class Plan:
    """An option for each workload, and the cards that do the work of those that are bought."""

    options: tuple[Option, ...]
    bought: tuple[Bought, ...]
    proven: bool = True
    """False where the solver gave up before it had proven that nothing is cheaper."""

    @cached_property
    def purchase_cents(self) -> int:
        """Of the cards alone."""
        return sum(each.count * each.tier.unit_cents for each in self.bought)

    @cached_property
    def host_cents(self) -> int:
        """Of the machines around them."""
        return sum(each.count * each.supply.host_cents for each in self.bought)

    @cached_property
    def residual_cents(self) -> int:
        """What cards and machines still fetch."""
        return sum(each.count * each.tier.residual_cents for each in self.bought)

    @cached_property
    def rent_cents(self) -> int:
        """Over the horizon."""
        return sum(option.rent_cents for option in self.options)

    @cached_property
    def electricity_cents(self) -> int:
        """At work and idle."""
        idle = sum(each.count * each.supply.idle_cents for each in self.bought)
        return idle + sum(option.power_cents - option.idle_saved_cents for option in self.options)

    @property
    def outlay_cents(self) -> int:
        """What counts against the budget."""
        return self.purchase_cents + self.host_cents + self.rent_cents

    @property
    def total_cents(self) -> int:
        """Everything over the horizon."""
        return self.outlay_cents - self.residual_cents + self.electricity_cents

    @property
    def power_w(self) -> float:
        """Board power of all cards that are bought."""
        return sum(each.count * each.supply.gpu.tdp_w for each in self.bought)

    @property
    def sources(self) -> frozenset[tuple[str, Way]]:
        """Kinds of GPUs that are used, and how they are had."""
        return frozenset(option.source for option in self.options)

    @property
    def core(self) -> frozenset[tuple[str, Way]]:
        """What the plan rests on: all kinds that are bought, or else the kind whose rent costs most."""
        bought = frozenset(option.source for option in self.options if option.way == "buy")
        dearest = max(self.options, key=lambda option: (option.rent_cents, option.key))
        return bought or frozenset({dearest.source})

    @property
    def order(self) -> tuple[int, tuple[tuple[str, str, str, int], ...]]:
        """What makes one plan better than another: its cost, then the ids of what it uses."""
        return self.total_cents, tuple(option.key for option in self.options)

    def keeps(self, limits: Limits) -> bool:
        """Say whether budget and power are kept."""
        budget, power = limits.budget_usd, limits.max_power_w
        within = budget is None or self.outlay_cents <= cents(budget)
        return within and (power is None or self.power_w <= power + _WATT)

    def on(self, gpu: str) -> tuple[Option, ...]:
        """Return what runs on the bought cards of a kind."""
        return tuple(option for option in self.options if option.source == (gpu, "buy"))


def plan_of(
    options: Sequence[Option],
    choices: Choices,
    at_least: Mapping[str, int] | None = None,
    *,
    proven: bool = True,
) -> Plan:
    """Return the plan in which each workload has its option, with as many cards as that takes.

    More are bought only where a volume break makes more of them cost less.

    Args:
        options: one for each workload.
        choices: what can be bought.
        at_least: cards of each kind; without it the cheapest number is taken.
        proven: whether nothing is cheaper.
    """
    chosen = tuple(sorted(options, key=lambda option: option.key))
    bought = []
    for gpu in sorted({option.gpu for option in chosen if option.way == "buy"}):
        supply = choices.supplies[gpu]
        here = [option for option in chosen if option.source == (gpu, "buy")]
        least = least_cards(here, choices.capacity, choices.sizes)
        number = cheapest_number(supply, least) if at_least is None else max(least, at_least[gpu])
        bought.append(Bought(supply, number))
    return Plan(chosen, tuple(bought), proven)


def cheapest_number(supply: Supply, least: int) -> int:
    """Return how many cards to buy where ``least`` are needed: as many, or up to a break if that costs less."""
    numbers = [least, *(tier.minimum_count for tier in supply.tiers if tier.minimum_count > least)]
    possible = [number for number in numbers if number >= supply.tiers[0].minimum_count]
    return min(possible, key=lambda number: (number * supply.cost_cents(supply.tier_of(number)), number))
