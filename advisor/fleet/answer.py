"""The decision about a fleet as the document that leaves the tool."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from advisor.documents import ExcludedDocument, RelaxDocument
from advisor.fleet.decision import Alternative, Decision, Relaxation, decide
from advisor.fleet.market import Demand, Market, Terms
from advisor.fleet.options import Option, planned_hours
from advisor.fleet.plan import Bought, Plan
from advisor.fleet.reasons import (
    NOT_SO_MANY,
    about_alternative,
    about_change,
    about_relaxation,
    described,
    why_dearer,
)
from advisor.fleet.remarks import assumptions_of, warnings_of
from advisor.fleet.unmet import excluded_documents, unmet_document
from advisor.fleet_documents import (
    FleetAlternativeDocument,
    FleetAnswer,
    FleetAssignmentDocument,
    FleetChangeDocument,
    FleetPurchaseDocument,
    FleetSummaryDocument,
    FleetTotalsDocument,
)
from advisor.units import HOURS_PER_WEEK

_NOTHING: Mapping[str, Sequence[ExcludedDocument]] = {}
_NO_ADVICE: Mapping[str, Sequence[RelaxDocument]] = {}


def fleet_answer(
    market: Market,
    *,
    name: str | None,
    as_of: datetime.date,
    excluded: Mapping[str, Sequence[ExcludedDocument]] = _NOTHING,
    relax: Mapping[str, Sequence[RelaxDocument]] = _NO_ADVICE,
    assumptions: Iterable[str] = (),
    warnings: Iterable[str] = (),
) -> FleetAnswer:
    """Decide on a fleet and say everything about it.

    Args:
        market: what is asked and offered.
        name: of the fleet.
        as_of: the day of the answer.
        excluded: by workload, GPUs that are no offer to it (too little memory, another vendor, ...).
        relax: by workload, what to change where nothing is an offer to it.
        assumptions: about prices, power and times, to stand before those of the planning.
        warnings: likewise.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    decision = decide(market)
    choices, best, terms = decision.choices, decision.best, market.terms
    names = {gpu.id: gpu.name for gpu in market.gpus}
    demands = {demand.name: demand for demand in market.demands}
    return FleetAnswer(
        name=name,
        as_of=as_of.isoformat(),
        prices_as_of=None if best is None else min(_dates(best), default=None),
        horizon_years=terms.horizon_years,
        utilisation=terms.planned_utilisation,
        cautious=terms.cautious,
        feasible=best is not None,
        fleet=None if best is None else described(best),
        purchases=() if best is None else tuple(_purchase(each, best) for each in best.bought),
        assignments=()
        if best is None
        else tuple(_assignment(option, demands[option.workload], names, terms) for option in best.options),
        totals=None if best is None else _totals(best, terms),
        runner_up=_runner_up(decision, terms),
        alternatives=tuple(_alternatives(decision)),
        changes=tuple(_changes(decision)),
        unmet=tuple(
            unmet_document(demands[workload], choices, excluded.get(workload, ()), relax.get(workload, ()))
            for workload in decision.unmet
        ),
        relax=tuple(_relax(decision)),
        excluded=tuple(excluded_documents(choices, excluded)),
        assumptions=(*assumptions, *assumptions_of(market, best)),
        warnings=(*warnings, *(() if best is None else warnings_of(market, choices, best))),
    )


def _usd(cents: int) -> float:
    return cents / 100


def _dates(plan: Plan) -> Iterator[str]:
    dates = [each.tier.tier.date for each in plan.bought]
    dates += [option.offer.rent_date for option in plan.options if option.way == "rent"]
    return (date for date in dates if date)


def _purchase(bought: Bought, plan: Plan) -> FleetPurchaseDocument:
    gpu, tier = bought.supply.gpu, bought.tier
    here = plan.on(gpu.id)
    busy = sum(option.busy_h_per_week * option.count for option in here)
    return FleetPurchaseDocument(
        gpu=gpu.id,
        name=gpu.name,
        count=bought.count,
        unit_price_usd=_usd(tier.unit_cents),
        price=tier.tier.price,
        purchase_usd=_usd(bought.count * tier.unit_cents),
        host=_host(bought),
        host_usd=_usd(bought.host_cents),
        residual_usd=_usd(bought.residual_cents),
        tdp_w=gpu.tdp_w,
        utilisation=busy / (bought.count * HOURS_PER_WEEK),
        lead_time_days=tier.tier.lead_time_days,
        used_by=tuple(option.workload for option in here),
    )


def _host(bought: Bought) -> str | None:
    if bought.housing is None:
        return None
    machine, number = bought.housing
    return f"{number} x {machine.machine.name}"


def _assignment(
    option: Option, demand: Demand, names: Mapping[str, str], terms: Terms
) -> FleetAssignmentDocument:
    offer = option.offer
    runs = demand.runs_per_year
    spent = option.rent_cents + option.power_cents
    return FleetAssignmentDocument(
        workload=option.workload,
        way=option.way,
        gpu=option.gpu,
        name=names[option.gpu],
        count=option.count,
        replicas=option.side_by_side,
        hours_per_run=offer.hours,
        runs_per_year=runs,
        deadline_h=demand.deadline_h,
        latest_h=None if runs is None else planned_hours(offer, option.way, cautious=True),
        requests_per_s=None
        if offer.requests_per_s is None
        else offer.requests_per_s.scaled(option.side_by_side),
        running_usd_per_run=None if runs is None else _usd(spent) / (runs * terms.horizon_years),
        running_usd_per_year=_usd(spent) / terms.horizon_years,
        energy_kwh_per_year=_kwh_per_week(option) * terms.horizon_weeks / terms.horizon_years,
        rent_price=offer.rent_price if option.way == "rent" else None,
    )


def _kwh_per_week(option: Option) -> float:
    return option.offer.energy_kwh_per_h * option.busy_h_per_week


def _totals(plan: Plan, terms: Terms) -> FleetTotalsDocument:
    weekly = sum(_kwh_per_week(option) for option in plan.options)
    for each in plan.bought:
        weekly += each.idle_kwh_per_week(plan.on(each.supply.gpu.id))
    energy = weekly * terms.horizon_weeks
    return FleetTotalsDocument(
        purchase_usd=_usd(plan.purchase_cents),
        host_usd=_usd(plan.host_cents),
        residual_usd=_usd(plan.residual_cents),
        rent_usd=_usd(plan.rent_cents),
        electricity_usd=_usd(plan.electricity_cents),
        total_usd=_usd(plan.total_cents),
        per_year_usd=_usd(plan.total_cents) / terms.horizon_years,
        energy_kwh=energy,
        co2_kg=None if terms.carbon_g_per_kwh is None else energy * terms.carbon_g_per_kwh / 1000,
        peak_power_w=plan.power_w,
        budget_used_usd=_usd(plan.outlay_cents),
    )


def _runner_up(decision: Decision, terms: Terms) -> FleetSummaryDocument | None:
    best, other = decision.best, decision.runner_up
    if best is None or other is None:
        return None
    return FleetSummaryDocument(
        fleet=described(other),
        totals=_totals(other, terms),
        difference_usd=_usd(other.total_cents - best.total_cents),
        why=why_dearer(best, other, decision.choices),
    )


def _alternatives(decision: Decision) -> Iterator[FleetAlternativeDocument]:
    best = decision.best
    for alternative in decision.alternatives:
        assert best is not None
        plan = alternative.plan
        yield FleetAlternativeDocument(
            label=_label(alternative),
            fleet=None if plan is None else described(plan),
            total_usd=None if plan is None else _usd(plan.total_cents),
            difference_usd=None if plan is None else _usd(plan.total_cents - best.total_cents),
            why=about_alternative(alternative, best, decision.choices),
        )


def _label(alternative: Alternative) -> Literal["all rented", "all bought"]:
    return "all rented" if alternative.way == "rent" else "all bought"


def _changes(decision: Decision) -> Iterator[FleetChangeDocument]:
    best = decision.best
    for change in decision.changes:
        assert best is not None
        yield FleetChangeDocument(
            constraint=change.limit,
            current=change.current,
            needed=change.needed,
            fleet=described(change.plan),
            total_usd=_usd(change.plan.total_cents),
            saved_usd=_usd(best.total_cents - change.plan.total_cents),
            message=about_change(change, best),
        )


def _relax(decision: Decision) -> Iterator[RelaxDocument]:
    for relaxation in decision.relaxations:
        yield from _relaxed(relaxation)
    if decision.best is None and not decision.unmet and not decision.relaxations:
        message = f"{NOT_SO_MANY}: add a quote for more of them, or let workloads be rented (acquire)"
        yield RelaxDocument(constraint="price", current=None, needed="a price", message=message)


def _relaxed(relaxation: Relaxation) -> Iterator[RelaxDocument]:
    message = about_relaxation(relaxation)
    for name, current, needed in relaxation.needed:
        yield RelaxDocument(constraint=name, current=current, needed=needed, message=message)
