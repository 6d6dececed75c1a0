"""From candidates and prices to the plain numbers that a fleet is decided on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from advisor.answers import time_spread
from advisor.candidates import Candidate
from advisor.cost_answers import PriceTags, described
from advisor.economics import Terms as CostTerms
from advisor.economics import energy_kwh
from advisor.execution import Constants
from advisor.fleet.market import Demand, Gpu, Limits, Offer, Terms, Tier
from advisor.fleet_file import Fleet, FleetJob
from advisor.prices import PriceRecord
from advisor.problem import Problem
from advisor.quantity import Quantity


def demand_of(job: FleetJob) -> Demand:
    """Return what is asked of one workload."""
    return Demand(
        name=job.name,
        runs_per_year=job.runs_per_year,
        deadline_h=job.deadline_h,
        requests_per_s=job.requests_per_s,
        hours_per_week=job.hours_per_week,
        acquire=tuple(job.acquire),
    )


def offer_of(
    job: FleetJob, problem: Problem, candidate: Candidate, tags: PriceTags, constants: Constants
) -> Offer:
    """Return one way to run a workload.

    Args:
        job: the workload.
        problem: the same, described.
        candidate: a number of a GPU on which it fits.
        tags: the prices behind its costs.
        constants: for the spread of times.
    """
    spread = time_spread(problem, candidate.device, candidate.count, constants)
    served = job.requests_per_s is not None
    host_w = candidate.prices.host_power_w_per_gpu * candidate.count
    terms = candidate.terms
    return Offer(
        workload=job.name,
        gpu=candidate.device.id,
        count=candidate.count,
        hours=None if served else Quantity.spread(candidate.hours, spread),
        requests_per_s=Quantity.spread(candidate.samples_per_s, spread) if served else None,
        energy_kwh_per_h=energy_kwh(candidate.power.working_w + host_w, 1.0) * terms.pue,
        rent_usd_per_h=candidate.costs.hourly.rent,
        rent_delay=terms.spot_overhead if terms.spot else 0.0,
        minimum_rental_h=terms.minimum_rental_h,
        rent_price=described(tags.rent) or "",
        rent_date=tags.rent.date if tags.rent else "",
    )


def gpu_of(candidates: Sequence[Candidate], tiers: Iterable[PriceRecord]) -> Gpu:
    """Return a kind of GPU as it is bought.

    The host's share is that of the largest number of it that a workload would use together.

    Args:
        candidates: numbers of it on which something fits; at least one.
        tiers: prices to buy, with the number that each holds from.
    """
    largest = max(candidates, key=lambda candidate: candidate.count)
    device, prices, terms = largest.device, largest.prices, largest.terms
    idle_w = largest.power.idle_w / largest.count + prices.host_idle_w_per_gpu
    return Gpu(
        id=device.id,
        name=device.name,
        tdp_w=device.board.tdp_w / device.board.devices_per_board,
        tiers=tuple(
            Tier(
                minimum_count=tier.minimum_count,
                unit_price_usd=tier.price_usd,
                residual_usd=(tier.price_usd + prices.host_usd_per_gpu) * terms.residual_share,
                price=described(tier) or "",
                date=tier.date,
                lead_time_days=tier.lead_time_days,
            )
            for tier in tiers
        ),
        host_usd=prices.host_usd_per_gpu,
        idle_kwh_per_h=energy_kwh(idle_w, 1.0) * terms.pue * terms.idle_share,
    )


def fleet_terms(fleet: Fleet, terms: CostTerms) -> Terms:
    """Return what holds for all workloads."""
    return Terms(
        horizon_years=terms.horizon_years,
        electricity_usd_per_kwh=terms.electricity_usd_per_kwh,
        carbon_g_per_kwh=terms.carbon_g_per_kwh,
        utilisation=fleet.utilisation,
        cautious=fleet.cautious,
    )


def fleet_limits(fleet: Fleet) -> Limits:
    """Return the limits of all workloads together."""
    return Limits(budget_usd=fleet.constraints.budget_usd, max_power_w=fleet.constraints.max_power_w)
