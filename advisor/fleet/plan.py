"""A fleet that was decided on: who runs where and what is bought, with its exact costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from advisor.fleet.market import Limits
from advisor.fleet.options import (
    CentsMachine,
    CentsTier,
    Choices,
    Housing,
    Option,
    Supply,
    cents,
    housing,
    least_cards,
)
from advisor.units import HOURS_PER_WEEK
from advisor.workload import Way

_WATT = 1e-6


@dataclass(frozen=True, slots=True)
class Bought:
    """Cards of one kind."""

    supply: Supply
    tier: CentsTier
    """The volume break that holds."""
    count: int

    @property
    def housing(self) -> Housing | None:
        """The machines around them; None where these do not count."""
        return housing(self.supply.machines, self.count) if self.supply.machines else None

    @property
    def host_cents(self) -> int:
        """Of the machines around them."""
        own = self.count * self.supply.host_cents
        return own + self._machines(lambda machine: machine.outlay_cents)

    @property
    def residual_cents(self) -> int:
        """What cards and machines still fetch."""
        return self.count * self.tier.residual_cents + self._machines(lambda machine: machine.residual_cents)

    def idle_cents(self, here: Iterable[Option]) -> int:
        """Return the electricity of hours out of use, of cards and machines on which the options of ``here`` run.

        The work of an option replaces idle hours of the machines that it alone would take, as long as there are any:
        as if no two options ever worked in one machine at the same time, which overstates their electricity if any.
        """
        options = list(here)
        cards = self.count * self.supply.idle_cents - sum(option.idle_saved_cents for option in options)
        machines = self._machines(lambda machine: machine.idle_cents)
        return cards + max(0, machines - sum(option.host_saved_cents for option in options))

    def idle_kwh_per_week(self, here: Iterable[Option]) -> float:
        """Return the energy of these hours."""
        options, gpu = list(here), self.supply.gpu
        busy = sum(option.busy_h_per_week * option.count for option in options)
        cards = gpu.idle_kwh_per_h * (self.count * HOURS_PER_WEEK - busy)
        if self.housing is None:
            return cards
        machine, number = self.housing
        replaced = sum(option.offer.host_idle_kwh_per_h * option.busy_h_per_week for option in options)
        return cards + max(0.0, number * machine.machine.idle_kwh_per_h * HOURS_PER_WEEK - replaced)

    def _machines(self, cents_of: Callable[[CentsMachine], int]) -> int:
        if self.housing is None:
            return 0
        machine, number = self.housing
        return number * cents_of(machine)


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
        return sum(each.host_cents for each in self.bought)

    @cached_property
    def residual_cents(self) -> int:
        """What cards and machines still fetch."""
        return sum(each.residual_cents for each in self.bought)

    @cached_property
    def rent_cents(self) -> int:
        """Over the horizon."""
        return sum(option.rent_cents for option in self.options)

    @cached_property
    def electricity_cents(self) -> int:
        """At work and idle."""
        idle = sum(each.idle_cents(self.on(each.supply.gpu.id)) for each in self.bought)
        return idle + sum(option.power_cents for option in self.options)

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
) -> Plan | None:
    """Return the plan in which each workload has its option, with as many cards as that takes.

    More are bought only where a volume break makes more of them cost less, or no fewer are sold. None where so many
    have no price.

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
        these = None if at_least is None else max(least, at_least[gpu])
        cards = _cheapest(supply, least, here) if these is None else _these(supply, these)
        if cards is None:
            return None
        bought.append(cards)
    return Plan(chosen, tuple(bought), proven)


def _cheapest(supply: Supply, least: int, here: Sequence[Option]) -> Bought | None:
    """Return the cards to buy where ``least`` are needed: as many, or up to a break if that costs less."""

    def order(bought: Bought) -> tuple[int, int]:
        paid = bought.count * bought.tier.unit_cents + bought.host_cents
        return paid - bought.residual_cents + bought.idle_cents(here), bought.count

    possible = (Bought(supply, tier, number) for number, tier in supply.numbers(least))
    return min(possible, key=order, default=None)


def _these(supply: Supply, count: int) -> Bought | None:
    number = supply.stepped(count)
    tier = supply.tier_of(number)
    return None if tier is None else Bought(supply, tier, number)
