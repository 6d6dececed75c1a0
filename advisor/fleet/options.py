"""The choices of each workload in whole cents and whole minutes a week, so that every sum is exact."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from advisor.fleet.market import Demand, Gpu, Machine, Market, Offer, Terms, Tier
from advisor.units import HOURS_PER_WEEK
from advisor.workload import Way

MINUTES_PER_WEEK = 60 * 168
_ROUNDING = 1e-6
"""Of a minute: what floating point may add to a product of plain numbers."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an offer is no choice for a workload; ``excess`` orders refusals by how far off they are."""

    offer: Offer
    constraint: str
    reason: str
    needed: float | str
    excess: float


@dataclass(frozen=True, slots=True)
class Option:
    """One way to have one workload done.

    ``minutes`` of a week are planned for it, each on ``count`` GPUs side by side. ``side_by_side`` jobs run at the same
    time: replicas of a served model, or runs that do not fit into a week one after the other.
    """

    workload: str
    gpu: str
    count: int
    way: Way
    offer: Offer
    minutes: int
    side_by_side: int
    served: bool
    busy_h_per_week: float
    """Of one block of ``count`` GPUs, or summed over those side by side; without what is kept free."""
    rent_cents: int
    """Over the horizon."""
    power_cents: int
    """Electricity at work over the horizon where the GPUs are bought."""
    idle_saved_cents: int
    """Electricity of idle hours of these GPUs that the work replaces."""
    host_saved_cents: int
    """The same of the machines around them, of which no more can be replaced than they have."""

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What orders options, and breaks ties."""
        return self.workload, self.gpu, self.way, self.count

    @property
    def source(self) -> tuple[str, Way]:
        """The kind of GPU, and how it is had."""
        return self.gpu, self.way

    @property
    def cost_cents(self) -> int:
        """Over the horizon, without purchases and what bought machines draw idle."""
        return self.rent_cents + self.power_cents - self.idle_saved_cents

    def blocks(self, size: int) -> int:
        """Return how many blocks of ``size`` GPUs one of its jobs occupies; 0 where the job is smaller."""
        return self.count // size


@dataclass(frozen=True, slots=True)
class CentsTier:
    """A bracket of numbers with one price, in cents."""

    tier: Tier
    unit_cents: int
    residual_cents: int
    maximum_count: int | None
    """None is without end."""

    @property
    def minimum_count(self) -> int:
        """The fewest cards for which it holds."""
        return self.tier.minimum_count

    def holds_for(self, count: int) -> bool:
        """Say whether it is the price of so many."""
        return self.minimum_count <= count and (self.maximum_count is None or count <= self.maximum_count)


@dataclass(frozen=True, slots=True)
class CentsMachine:
    """A kind of machine in cents over the horizon."""

    machine: Machine
    outlay_cents: int
    residual_cents: int
    idle_cents: int
    """Electricity of one that would always be idle."""

    @property
    def places(self) -> int:
        """Cards that fit in."""
        return self.machine.places

    @property
    def kept_cents(self) -> int:
        """What of its price is not fetched again."""
        return self.outlay_cents - self.residual_cents


Housing = tuple[CentsMachine, int]
"""Machines of one kind, and how many."""


def housing(machines: Sequence[CentsMachine], count: int) -> Housing:
    """Return the fewest machines that hold ``count`` cards, of those the smallest.

    Args:
        machines: with rising places and prices, at least one.
        count: cards, at least 1.
    """
    number = math.ceil(count / machines[-1].places)
    return next(each for each in machines if each.places * number >= count), number


EXPLICIT_MACHINES = 6
"""Up to so many machines around cards of one kind the solver is given each number of them as a choice of its own."""


class Piece(NamedTuple):
    """Numbers of cards with one price of a card, in one set of machines."""

    tier: CentsTier
    least: int
    most: int
    machine: CentsMachine | None
    """None where machines do not count."""
    number: int | None
    """Of machines; None as many as the cards take."""


def pieces(supply: Supply, tiers: Sequence[CentsTier], most: int) -> Iterator[Piece]:
    """Yield all numbers of cards up to ``most`` that are sold, as pieces; no number is in two.

    Args:
        supply: a kind of GPU.
        tiers: of it.
        most: the largest number.
    """
    for least, last, machine, number in _spans(supply.machines, most):
        for tier in tiers:
            first = supply.stepped(max(least, tier.minimum_count))
            end = min(last, most if tier.maximum_count is None else tier.maximum_count)
            end -= end % supply.step
            if first <= end:
                yield Piece(tier, first, end, machine, number)


def _spans(
    machines: Sequence[CentsMachine], most: int
) -> Iterator[tuple[int, int, CentsMachine | None, int | None]]:
    """Yield the numbers of cards that take the same machines: from, to, which and how many."""
    if not machines:
        yield 1, most, None, None
        return
    largest = machines[-1].places
    # From here on only the largest machines hold as many cards as one of them fewer does not.
    others = largest - machines[-2].places if len(machines) > 1 else largest
    explicit = max(EXPLICIT_MACHINES, math.ceil(largest / others))
    start = 1
    for number in range(1, explicit + 1):
        for machine in machines:
            last = min(machine.places * number, most)
            if start <= last:
                yield start, last, machine, number
                start = last + 1
    if start <= most:
        yield start, most, machines[-1], None


class MachineCents(NamedTuple):
    """Cents of machines over the horizon, or of cards with their machines."""

    outlay: int
    """To buy."""
    kept: int
    """What of that is not fetched again; of cards with their idle hours."""
    idle: int
    """Electricity of machines that would always be idle."""


def machine_cents(machines: Sequence[CentsMachine], count: int) -> MachineCents:
    """Return what the machines around ``count`` cards cost."""
    if not machines:
        return MachineCents(0, 0, 0)
    machine, number = housing(machines, count)
    return MachineCents(
        number * machine.outlay_cents, number * machine.kept_cents, number * machine.idle_cents
    )


@dataclass(frozen=True)
class Supply:
    """A kind of GPU to buy, in cents over the horizon."""

    gpu: Gpu
    tiers: tuple[CentsTier, ...]
    """With rising numbers, of which none is in two."""
    machines: tuple[CentsMachine, ...]
    host_cents: int
    """Of each card, besides machines."""
    idle_cents: int
    """Electricity of one card that would always be idle."""

    @property
    def step(self) -> int:
        """Only multiples of it are sold."""
        return self.gpu.step

    def stepped(self, count: int) -> int:
        """Return the fewest cards that are sold together and are not fewer than ``count``."""
        return math.ceil(count / self.step) * self.step

    def tier_of(self, count: int) -> CentsTier | None:
        """Return the tier that holds for ``count`` cards; None where they have no price."""
        return next((tier for tier in self.tiers if tier.holds_for(count)), None)

    def unit_outlay_cents(self, tier: CentsTier) -> int:
        """Return what a card costs without machines."""
        return tier.unit_cents + self.host_cents

    def unit_cost_cents(self, tier: CentsTier) -> int:
        """Return what a card costs over the horizon without machines, always idle."""
        return self.unit_outlay_cents(tier) - tier.residual_cents + self.idle_cents

    def cents(self, tier: CentsTier, count: int) -> MachineCents:
        """Return what ``count`` cards, for which ``tier`` holds, cost with their machines, always idle."""
        around = machine_cents(self.machines, count)
        return MachineCents(
            outlay=count * self.unit_outlay_cents(tier) + around.outlay,
            kept=count * self.unit_cost_cents(tier) + around.kept,
            idle=around.idle,
        )

    def numbers(self, least: int) -> list[tuple[int, CentsTier]]:
        """Return the numbers of cards that can be the cheapest from ``least`` on: in each tier the fewest."""
        found = []
        for tier in self.tiers:
            number = self.stepped(max(least, tier.minimum_count))
            if tier.holds_for(number):
                found.append((number, tier))
        return found


@dataclass(frozen=True)
class Choices:
    """All options, in order, and what can be bought for them."""

    workloads: tuple[str, ...]
    options: tuple[Option, ...]
    supplies: Mapping[str, Supply]
    capacity: int
    """Minutes of a week that may be planned on a GPU."""
    refusals: tuple[Refusal, ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of GPUs that a job may occupy where they are bought, 1 among them."""
        return tuple(sorted({1, *(option.count for option in self.options if option.way == "buy")}))

    def of(self, workload: str) -> tuple[Option, ...]:
        """Return the options of a workload."""
        return tuple(option for option in self.options if option.workload == workload)


def cents(usd: float) -> int:
    """Return dollars in whole cents."""
    return round(100 * usd)


def least_cards(options: Iterable[Option], capacity: int, sizes: Iterable[int]) -> int:
    """Return how many cards of one kind do the work of ``options``.

    Jobs of c GPUs need whole blocks of c: of N cards there are N // c. For each size c, the work of all jobs of at
    least that size must fit into those blocks, in minutes a week, and all replicas of served models, which run at the
    same hours, beside each other. Where each size divides the larger ones (1, 2, 4, 8, ...) large jobs can be packed
    first and the smaller into what they leave, so that this is enough; of other sizes it may ask for too few.

    Args:
        options: what runs on them.
        capacity: minutes of a week that may be planned on a card.
        sizes: of blocks that are looked at.
    """
    chosen = list(options)
    least = 0
    for size in sizes:
        minutes = sum(option.minutes * option.blocks(size) for option in chosen)
        together = sum(option.side_by_side * option.blocks(size) for option in chosen if option.served)
        least = max(least, size * max(math.ceil(minutes / capacity), together))
    return least


def choices_of(market: Market) -> Choices:
    """Return the options of every workload, and why offers are none, in an order that input order does not change."""
    terms = market.terms
    capacity = max(1, math.floor(MINUTES_PER_WEEK * terms.planned_utilisation + _ROUNDING))
    gpus = {gpu.id: gpu for gpu in market.gpus}
    supplies = {name: _supply(gpu, terms) for name, gpu in sorted(gpus.items()) if gpu.tiers}
    demands = {demand.name: demand for demand in sorted(market.demands, key=lambda each: each.name)}
    options: list[Option] = []
    refusals: list[Refusal] = []
    for offer in market.offers:
        demand = demands[offer.workload]
        for way in dict.fromkeys(demand.acquire):
            supply = supplies.get(offer.gpu)
            found = _option(demand, offer, way, supply, terms, capacity)
            if isinstance(found, Option) and way == "buy" and supply is not None:
                found = _affordable(found, supply, capacity)
            if isinstance(found, Option):
                options.append(found)
            else:
                refusals.append(found)
    return Choices(
        workloads=tuple(demands),
        options=tuple(sorted(options, key=lambda option: option.key)),
        supplies=supplies,
        capacity=capacity,
        refusals=tuple(refusals),
    )


def _supply(gpu: Gpu, terms: Terms) -> Supply:
    tiers = sorted(gpu.tiers, key=lambda each: each.minimum_count)
    ends = [*(each.minimum_count - 1 for each in tiers[1:]), None]
    return Supply(
        gpu=gpu,
        tiers=tuple(
            CentsTier(
                tier,
                cents(tier.unit_price_usd),
                cents(tier.residual_usd),
                min((most for most in (tier.maximum_count, end) if most is not None), default=None),
            )
            for tier, end in zip(tiers, ends, strict=True)
        ),
        machines=tuple(
            CentsMachine(each, cents(each.usd), cents(each.residual_usd), _idle(each.idle_kwh_per_h, terms))
            for each in gpu.machines
        ),
        host_cents=cents(gpu.host_usd),
        idle_cents=_idle(gpu.idle_kwh_per_h, terms),
    )


def _idle(kwh_per_h: float, terms: Terms) -> int:
    """Return the electricity of the whole horizon in cents."""
    return cents(kwh_per_h * terms.horizon_weeks * HOURS_PER_WEEK * terms.electricity_usd_per_kwh)


def planned_hours(offer: Offer, way: Way, *, cautious: bool) -> float:
    """Return how long a run takes, with what interruptions of a rented machine add."""
    assert offer.hours is not None
    hours = offer.hours.high if cautious else offer.hours.value
    return hours * (1 + offer.rent_delay) if way == "rent" else hours


def _option(
    demand: Demand, offer: Offer, way: Way, supply: Supply | None, terms: Terms, capacity: int
) -> Option | Refusal:
    if way == "buy" and supply is None:
        return Refusal(offer, "price", "no price known to buy", "a price", math.inf)
    if way == "rent" and offer.rent_usd_per_h is None:
        return Refusal(offer, "price", "no price known to rent", "a price", math.inf)
    if demand.requests_per_s is not None:
        return _serving(demand, offer, way, supply, terms, capacity)
    hours = planned_hours(offer, way, cautious=terms.cautious)
    if demand.deadline_h is not None and hours > demand.deadline_h:
        reason = f"takes {hours:.3g} h, deadline {demand.deadline_h:g} h"
        return Refusal(offer, "deadline_h", reason, hours, hours / demand.deadline_h)
    return _running(demand, offer, way, supply, terms, capacity)


def _affordable(option: Option, supply: Supply, capacity: int) -> Option | Refusal:
    """Return the option where as many cards as it takes alone have a price."""
    least = least_cards([option], capacity, {1, option.count})
    if supply.numbers(least):
        return option
    return Refusal(option.offer, "price", f"no price known to buy {least}", "a price", math.inf)


def _running(
    demand: Demand, offer: Offer, way: Way, supply: Supply | None, terms: Terms, capacity: int
) -> Option:
    assert demand.runs_per_year is not None
    assert offer.hours is not None
    hours = offer.hours.high if terms.cautious else offer.hours.value
    runs = demand.runs_per_year * terms.horizon_years
    weekly = runs * hours / terms.horizon_weeks
    minutes = max(1, math.ceil(60 * weekly - _ROUNDING))
    # The price of an hour holds what interruptions add; they count towards the shortest rental.
    billed = runs * max(hours, offer.minimum_rental_h / (1 + offer.rent_delay))
    side_by_side = math.ceil(minutes / capacity)
    return _priced(offer, way, supply, terms, minutes, side_by_side, weekly, billed, served=False)


def _serving(
    demand: Demand, offer: Offer, way: Way, supply: Supply | None, terms: Terms, capacity: int
) -> Option:
    """Return the replicas that keep up; what is kept free is in their number, so their hours count in full.

    A replica that serves the whole week takes a block's whole capacity.
    """
    replicas = replicas_of(demand, offer, terms)
    weekly = replicas * demand.hours_per_week
    minutes = replicas * math.ceil(capacity * demand.hours_per_week / HOURS_PER_WEEK - _ROUNDING)
    billed = weekly * terms.horizon_weeks
    return _priced(offer, way, supply, terms, minutes, replicas, weekly, billed, served=True)


def replicas_of(demand: Demand, offer: Offer, terms: Terms) -> int:
    """Return how many replicas keep up with the requests at the utilisation that is planned."""
    assert demand.requests_per_s is not None
    assert offer.requests_per_s is not None
    rate = offer.requests_per_s.low if terms.cautious else offer.requests_per_s.value
    return max(1, math.ceil(demand.requests_per_s / (terms.planned_utilisation * rate) - _ROUNDING))


def _priced(
    offer: Offer,
    way: Way,
    supply: Supply | None,
    terms: Terms,
    minutes: int,
    side_by_side: int,
    weekly: float,
    billed: float,
    *,
    served: bool,
) -> Option:
    rent = power = saved = host_saved = 0
    if way == "rent":
        assert offer.rent_usd_per_h is not None
        rent = cents(offer.rent_usd_per_h * billed)
    else:
        assert supply is not None
        tariff = terms.electricity_usd_per_kwh
        power = cents(offer.energy_kwh_per_h * weekly * terms.horizon_weeks * tariff)
        # Rounded down, so that idle hours never cost less than nothing.
        saved = math.floor(supply.idle_cents * offer.count * weekly / HOURS_PER_WEEK)
        host_saved = math.floor(_idle(offer.host_idle_kwh_per_h, terms) * weekly / HOURS_PER_WEEK)
    return Option(
        workload=offer.workload, gpu=offer.gpu, count=offer.count, way=way, offer=offer, minutes=minutes,
        side_by_side=side_by_side, served=served, busy_h_per_week=weekly, rent_cents=rent, power_cents=power,
        idle_saved_cents=saved, host_saved_cents=host_saved,
    )  # fmt: skip


def without_choice(choices: Choices) -> Sequence[str]:
    """Return the workloads that nothing can run."""
    able = {option.workload for option in choices.options}
    return [name for name in choices.workloads if name not in able]
