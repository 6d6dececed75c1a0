"""The choices of each workload in whole cents and whole minutes a week, so that every sum is exact."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from advisor.fleet.market import HOURS_PER_WEEK, Demand, Gpu, Market, Offer, Terms, Tier, Way

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
    """Electricity of idle hours that the work replaces."""

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
        """Over the horizon, without purchases."""
        return self.rent_cents + self.power_cents - self.idle_saved_cents

    def blocks(self, size: int) -> int:
        """Return how many blocks of ``size`` GPUs one of its jobs occupies; 0 where the job is smaller."""
        return self.count // size


@dataclass(frozen=True, slots=True)
class CentsTier:
    """A volume break in cents."""

    tier: Tier
    unit_cents: int
    residual_cents: int

    @property
    def minimum_count(self) -> int:
        """The fewest cards for which it holds."""
        return self.tier.minimum_count


@dataclass(frozen=True)
class Supply:
    """A kind of GPU to buy, in cents over the horizon."""

    gpu: Gpu
    tiers: tuple[CentsTier, ...]
    """With falling outlay and falling cost; the later holds where its number is reached."""
    host_cents: int
    idle_cents: int
    """Electricity of one card that would always be idle."""

    def outlay_cents(self, tier: CentsTier) -> int:
        """Return what a card costs with its share of the host."""
        return tier.unit_cents + self.host_cents

    def cost_cents(self, tier: CentsTier) -> int:
        """Return what a card costs over the horizon, always idle."""
        return self.outlay_cents(tier) - tier.residual_cents + self.idle_cents

    def tier_of(self, count: int) -> CentsTier:
        """Return the tier that holds for ``count`` cards."""
        return [tier for tier in self.tiers if tier.minimum_count <= count][-1]

    @cached_property
    def largest_minimum(self) -> int:
        """The number of cards from which no further break is known."""
        return self.tiers[-1].minimum_count


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
            found = _option(demand, offer, way, supplies.get(offer.gpu), terms, capacity)
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
    host = cents(gpu.host_usd)
    tiers: list[CentsTier] = []
    for tier in sorted(gpu.tiers, key=lambda each: each.minimum_count):
        found = CentsTier(tier, cents(tier.unit_price_usd), cents(tier.residual_usd))
        if not tiers or _cheaper(found, tiers[-1]):
            tiers.append(found)
    hours = terms.horizon_weeks * HOURS_PER_WEEK
    idle = cents(gpu.idle_kwh_per_h * hours * terms.electricity_usd_per_kwh)
    return Supply(gpu, tuple(tiers), host, idle)


def _cheaper(tier: CentsTier, other: CentsTier) -> bool:
    """Say whether a card costs less to buy, and no more over the horizon."""
    kept = tier.unit_cents - tier.residual_cents
    return tier.unit_cents < other.unit_cents and kept <= other.unit_cents - other.residual_cents


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
    rent = power = saved = 0
    if way == "rent":
        assert offer.rent_usd_per_h is not None
        rent = cents(offer.rent_usd_per_h * billed)
    else:
        assert supply is not None
        tariff = terms.electricity_usd_per_kwh
        power = cents(offer.energy_kwh_per_h * weekly * terms.horizon_weeks * tariff)
        # Rounded down, so that idle hours never cost less than nothing.
        saved = math.floor(supply.idle_cents * offer.count * weekly / HOURS_PER_WEEK)
    return Option(
        workload=offer.workload, gpu=offer.gpu, count=offer.count, way=way, offer=offer, minutes=minutes,
        side_by_side=side_by_side, served=served, busy_h_per_week=weekly, rent_cents=rent, power_cents=power,
        idle_saved_cents=saved,
    )  # fmt: skip


def without_choice(choices: Choices) -> Sequence[str]:
    """Return the workloads that nothing can run."""
    able = {option.workload for option in choices.options}
    return [name for name in choices.workloads if name not in able]
