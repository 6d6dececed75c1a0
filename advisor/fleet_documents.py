"""The document of ``gpu-advisor fleet --json``: what to buy and rent for several workloads together, and why."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from advisor.documents import Document, RelaxDocument
from advisor.quantity import Model, Quantity


class FleetPurchaseDocument(Model):
    """Cards of one kind to buy."""

    gpu: str
    name: str
    count: int
    unit_price_usd: float
    price: str
    """Kind, date and source of the price."""
    purchase_usd: float
    """Of all these cards, without their hosts."""
    host: str | None
    """The machines around them, such as "2 x desktop"; null where these do not count."""
    host_usd: float
    """Of these machines, or what the user says that they cost."""
    residual_usd: float
    """What cards and machines still fetch at the end of the horizon."""
    tdp_w: float
    """Board power of one card."""
    utilisation: float
    """Share of all hours of a week in which the cards work."""
    lead_time_days: int | None
    used_by: tuple[str, ...]


class FleetAssignmentDocument(Model):
    """Where one workload runs.

    What running costs is rent where it is rented. Where it is bought it is electricity at work alone: what was paid for
    the cards stands in ``purchases``, since several workloads share them, and electricity of idle hours in ``totals``.
    """

    workload: str
    way: Literal["buy", "rent"]
    gpu: str
    name: str
    count: int
    """GPUs of one run, or of one replica."""
    replicas: int
    """Runs, or replicas of a served model, that are side by side."""
    hours_per_run: Quantity | None
    """Null for a served model."""
    runs_per_year: float | None
    deadline_h: float | None
    latest_h: float | None
    """Upper end of the time that a run takes, interruptions of a rented machine included."""
    requests_per_s: Quantity | None
    """Of all replicas together; null for runs."""
    running_usd_per_run: float | None
    running_usd_per_year: float
    energy_kwh_per_year: float
    """At the wall."""
    rent_price: str | None
    """Kind, date and source of the price of an hour."""


class FleetTotalsDocument(Model):
    """Over the whole horizon. ``total_usd`` is purchase, host, rent and electricity less residual."""

    purchase_usd: float
    host_usd: float
    residual_usd: float
    rent_usd: float
    electricity_usd: float
    """Of bought cards, at work and idle."""
    total_usd: float
    per_year_usd: float
    energy_kwh: float
    """At the wall, of bought cards at work and idle and of rented ones at work."""
    co2_kg: float | None
    """Of that energy."""
    peak_power_w: float
    """Board power of all bought cards."""
    budget_used_usd: float
    """Purchases, hosts and rents: what the budget limits."""


class FleetSummaryDocument(Model):
    """Another fleet in short."""

    fleet: str
    totals: FleetTotalsDocument
    difference_usd: float
    """How much more it costs over the horizon than the best."""
    why: str


class FleetAlternativeDocument(Model):
    """What it costs to rent everything, or to buy everything."""

    label: Literal["all rented", "all bought"]
    fleet: str | None
    """Null where it is not possible."""
    total_usd: float | None
    difference_usd: float | None
    why: str


class FleetChangeDocument(Model):
    """A limit without which a cheaper fleet would be possible, and from which value on."""

    constraint: Literal["budget_usd", "max_power_w"]
    current: float
    needed: float
    fleet: str
    total_usd: float
    saved_usd: float
    message: str


class UnmetDocument(Model):
    """A workload that nothing can run."""

    workload: str
    reasons: tuple[str, ...]
    relax: tuple[RelaxDocument, ...]


class FleetExcludedDocument(Model):
    """How many GPUs are no choice for a workload for one reason."""

    workload: str
    constraint: str
    gpus: int


class FleetAnswer(Document):
    """What ``fleet --json`` writes."""

    schema_: Literal["gpu-advisor/fleet/1"] = Field(default="gpu-advisor/fleet/1", alias="schema")
    name: str | None
    as_of: str
    """The day of the answer."""
    prices_as_of: str | None
    """Date of the oldest price that the answer uses."""
    horizon_years: float
    utilisation: float
    """Largest share of a week that bought cards are planned busy."""
    cautious: bool
    """Whether it is planned with the upper end of times."""
    feasible: bool
    fleet: str | None
    """In one line; null where nothing is feasible."""
    purchases: tuple[FleetPurchaseDocument, ...]
    assignments: tuple[FleetAssignmentDocument, ...]
    totals: FleetTotalsDocument | None
    runner_up: FleetSummaryDocument | None
    """The best fleet without one of the kinds of GPUs that are bought; where all is rented, without the kind whose rent
    costs most."""
    alternatives: tuple[FleetAlternativeDocument, ...]
    changes: tuple[FleetChangeDocument, ...]
    unmet: tuple[UnmetDocument, ...]
    relax: tuple[RelaxDocument, ...]
    """What to change so that there is a fleet; empty where there is one."""
    excluded: tuple[FleetExcludedDocument, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
