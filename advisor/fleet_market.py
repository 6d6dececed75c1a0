"""From candidates and prices to the plain numbers that a fleet is decided on."""

from __future__ import annotations

from advisor.answers import time_spread
from advisor.candidates import Candidate
from advisor.cost_answers import PriceTags, described
from advisor.economics import Terms as CostTerms
from advisor.economics import energy_kwh
from advisor.execution import Constants
from advisor.fleet.market import Demand, Gpu, Limits, Machine, Offer, Terms, Tier
from advisor.fleet_file import Fleet, FleetJob
from advisor.problem import Problem
from advisor.procurement import Supply
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
        host_idle_kwh_per_h=_idle_kwh_per_h(candidate.prices.host_idle_w_per_gpu * candidate.count, terms),
        rent_usd_per_h=candidate.costs.hourly.rent,
        rent_delay=terms.spot_overhead if terms.spot else 0.0,
        minimum_rental_h=terms.minimum_rental_h,
        rent_price=described(tags.rent) or "",
        rent_date=tags.rent.date if tags.rent else "",
    )


def gpu_of(candidate: Candidate, supply: Supply) -> Gpu:
    """Return a kind of GPU as it is bought.

    Args:
        candidate: any number of it.
        supply: its prices, and the machines around it.
    """
    device, terms = candidate.device, candidate.terms
    each, own = device.board.devices_per_board, supply.host_usd_per_gpu
    return Gpu(
        id=device.id,
        name=device.name,
        tdp_w=device.board.tdp_w / each,
        tiers=tuple(
            Tier(
                minimum_count=bracket.minimum_count,
                maximum_count=bracket.maximum_count,
                unit_price_usd=bracket.price.price_usd,
                residual_usd=(bracket.price.price_usd + (own or 0.0)) * terms.residual_share,
                price=described(bracket.price) or "",
                date=bracket.price.date,
                lead_time_days=bracket.price.lead_time_days,
            )
            for bracket in supply.brackets
        ),
        host_usd=own or 0.0,
        idle_kwh_per_h=_idle_kwh_per_h(candidate.power.idle_w / candidate.count, terms),
        step=supply.together,
        machines=tuple(
            Machine(
                name=host.name,
                places=host.places * each,
                usd=host.usd if own is None else 0.0,
                residual_usd=host.usd * terms.residual_share if own is None else 0.0,
                idle_kwh_per_h=_idle_kwh_per_h(host.idle_power_w, terms),
            )
            for host in supply.hosts
        ),
    )


def _idle_kwh_per_h(idle_w: float, terms: CostTerms) -> float:
    """Return the energy of an hour out of use, on average: it is spent in a share of these hours alone."""
    return energy_kwh(idle_w, 1.0) * terms.pue * terms.idle_share


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
