"""What a fleet must do and what it can be made of: plain numbers, whatever they were estimated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from advisor.quantity import Quantity
from advisor.units import HOURS_PER_WEEK, WEEKS_PER_YEAR
from advisor.workload import Way

DEFAULT_UTILISATION = 0.8
"""Share of a week that is planned busy where the user does not say. A guess: it leaves a day in five for queueing,
failed runs and maintenance."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One workload: runs of a job, or a model that is served. Exactly one of the rates is given."""

    name: str
    runs_per_year: float | None = None
    deadline_h: float | None = None
    """Of each run, from its start."""
    requests_per_s: float | None = None
    hours_per_week: float = HOURS_PER_WEEK
    """In which a model is served."""
    acquire: tuple[Way, ...] = ("buy", "rent")


@dataclass(frozen=True, slots=True)
class Tier:
    """What each card costs where ``minimum_count`` to ``maximum_count`` are bought."""

    minimum_count: int
    unit_price_usd: float
    residual_usd: float = 0.0
    """What a card, with ``Gpu.host_usd``, still fetches at the end of the horizon."""
    price: str = ""
    """Kind, date and source of the price."""
    date: str = ""
    lead_time_days: int | None = None
    maximum_count: int | None = None
    """None holds up to the next tier."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine around cards. A place that stays empty is paid for."""

    name: str
    places: int
    """Cards that fit in."""
    usd: float
    residual_usd: float = 0.0
    idle_kwh_per_h: float = 0.0
    """At the wall, on average over the hours in which it does nothing."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of GPU; without tiers it cannot be bought."""

    id: str
    name: str
    tdp_w: float
    tiers: tuple[Tier, ...] = ()
    """Of numbers that are in none there is no price."""
    host_usd: float = 0.0
    """Share of the machine around a card, where the user says what it is."""
    idle_kwh_per_h: float = 0.0
    """At the wall, on average over the hours in which a bought card does nothing."""
    step: int = 1
    """Only multiples of it are sold: the cards of a board."""
    machines: tuple[Machine, ...] = ()
    """With rising places and prices. All cards of a kind can work together, so they stand in the fewest machines that
    hold them, and of those in the smallest."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A number of one GPU on which one workload runs; exactly one of ``hours`` and ``requests_per_s`` is given."""

    workload: str
    gpu: str
    count: int
    hours: Quantity | None = None
    """Of one run."""
    requests_per_s: Quantity | None = None
    """Of one replica of a served model."""
    energy_kwh_per_h: float = 0.0
    """At the wall, of all these GPUs at work with their hosts."""
    host_idle_kwh_per_h: float = 0.0
    """At the wall, of these hosts on average over the hours in which they do nothing: an hour of work replaces it."""
    rent_usd_per_h: float | None = None
    """Of all these GPUs, in whole instances, with what interruptions add; None cannot be rented."""
    rent_delay: float = 0.0
    """Share of time that interruptions add to a rented run."""
    minimum_rental_h: float = 0.0
    rent_price: str = ""
    """Kind, date and source of the price."""
    rent_date: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all workloads."""

    horizon_years: float
    electricity_usd_per_kwh: float
    carbon_g_per_kwh: float | None = None
    utilisation: float | None = None
    """Largest share of a week that bought GPUs may be planned busy; None where the user does not say."""
    cautious: bool = False
    """Whether to plan with the upper end of times (the lower of throughput) instead of the value."""

    @property
    def planned_utilisation(self) -> float:
        """The utilisation that counts."""
        return DEFAULT_UTILISATION if self.utilisation is None else self.utilisation

    @property
    def horizon_weeks(self) -> float:
        """Weeks of the horizon."""
        return self.horizon_years * WEEKS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the whole fleet; None is no limit."""

    budget_usd: float | None = None
    """Of purchases and of rents over the horizon; electricity does not count."""
    max_power_w: float | None = None
    """Of all bought cards together at their board power."""


@dataclass(frozen=True, slots=True)
class Market:
    """Everything a fleet is decided on."""

    demands: Sequence[Demand]
    gpus: Sequence[Gpu]
    offers: Sequence[Offer]
    terms: Terms
    limits: Limits = field(default_factory=Limits)
