"""From a candidate's costs to their document: totals by way, intervals, what would flip the advice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from advisor.candidates import Candidate
from advisor.documents import BreakEvenDocument, CostDocument, FlipDocument, OutlayDocument
from advisor.economics import Flip, flips, job_costs, outlays
from advisor.estimation.interval import combined
from advisor.hosts import HostShare
from advisor.plan import is_compact
from advisor.prices import PriceRecord
from advisor.problem import Problem
from advisor.quantity import Quantity
from advisor.units import WEEKS_PER_YEAR, format_money


@dataclass(frozen=True, slots=True)
class PriceTags:
    """The prices behind a candidate's costs, with where they come from."""

    purchase: PriceRecord | None
    rent: PriceRecord | None
    """On demand, or spot where the terms say so."""
    spot: PriceRecord | None = None
    host: HostShare | None = None
    """None where the machine around the GPUs is not counted."""
    purchase_spread: float = 1.0
    rent_spread: float = 1.0
    old: tuple[str, ...] = ()
    """Which of the prices are too old to rely on."""

    @property
    def as_of(self) -> str | None:
        """Date of the oldest price."""
        return min((tag.date for tag in (self.purchase, self.rent) if tag), default=None)


def described(record: PriceRecord | None) -> str | None:
    """Return kind, date and source of a price in one line."""
    if record is None:
        return None
    kinds = {
        "launch": "launch price", "street_new": "new, street price", "used": "used, average of sold listings",
        "cloud_on_demand": "on demand", "cloud_spot": "spot", "quote": "quote", "quote_rent": "quote",
    }  # fmt: skip
    note = f", {record.note}" if record.note else ""
    if record.kind.startswith("quote"):
        note = _conditions(record)
    source = record.source if len(record.source) <= 80 else record.source[:77] + "..."
    return f"{kinds[record.kind]}, {record.date}{note} ({source})"


def _conditions(record: PriceRecord) -> str:
    """Return in words whose quote it is, and under what conditions it holds."""
    found = [f" of {record.provider}" if record.provider else ""]
    if record.maximum_count is not None:
        found.append(f", for {record.minimum_count} to {record.maximum_count} pieces")
    elif record.minimum_count > 1:
        found.append(f", from {record.minimum_count} pieces")
    if record.price_in_currency is not None and record.currency != "USD":
        found.append(f", {record.price_in_currency:,.2f} {record.currency}")
    if record.valid_until is not None:
        found.append(f", valid until {record.valid_until.isoformat()}")
    if record.lead_time_days is not None:
        found.append(f", delivers in {record.lead_time_days} days")
    return "".join(found)


def outlay_documents(candidate: Candidate) -> tuple[OutlayDocument, ...]:
    """Return buying against renting over the hours of use; nothing where neither has a price."""
    costs = candidate.costs
    if not candidate.fits or (costs.purchase is None and costs.rent is None):
        return ()
    return tuple(
        OutlayDocument(hours=hours, buy_usd=buy, rent_usd=rent)
        for hours, buy, rent in outlays(costs, candidate.terms)
    )


def cost_document(
    problem: Problem, candidate: Candidate, tags: PriceTags, total_time: Quantity | None
) -> CostDocument:
    """Return the costs; those of the job are null where its length is not known.

    Args:
        problem: what is run.
        candidate: on what.
        tags: the prices behind its costs.
        total_time: of the job in hours; None where its length is not known.
    """
    costs, hourly = candidate.costs, candidate.costs.hourly
    known = total_time is not None and candidate.fits
    weekly = candidate.terms.hours_per_week * WEEKS_PER_YEAR
    document = CostDocument(
        purchase_usd=costs.purchase,
        purchase_price=described(tags.purchase),
        purchase_unverified=tags.purchase.unverified if tags.purchase else None,
        host_usd=costs.host if tags.host is not None else None,
        host=None if tags.host is None else _host_said(tags.host),
        residual_usd=costs.residual,
        power_usd=costs.power if known else None,
        idle_power_usd=costs.idle if known else None,
        rent_usd=costs.rent if known else None,
        spot_usd=costs.spot if known else None,
        rent_usd_per_gpu_h=tags.rent.price_usd if tags.rent else None,
        rent_usd_per_h=candidate.rent_usd_per_h,
        rent_price=described(tags.rent),
        spot_price=described(tags.spot),
        owned_usd=costs.owned if known else None,
        owned_usd_per_h=hourly.owned if candidate.fits else None,
        owned_usd_per_year=_times(hourly.owned, weekly) if candidate.fits else None,
        rent_usd_per_year=_times(hourly.rented, weekly) if candidate.fits else None,
        break_even_h=costs.break_even_h if candidate.fits else None,
        break_even=_break_even(candidate, tags) if candidate.fits else None,
        electricity_kwh=_over_time(costs.electricity_kwh, candidate, total_time),
        carbon_kg=_over_time(costs.carbon_kg, candidate, total_time),
        prices_as_of=tags.as_of,
        total_usd=None,
        total_by=None,
    )
    return by_way(problem, candidate, document, costs.total_by, total_time) if candidate.fits else document


def by_way(
    problem: Problem, candidate: Candidate, cost: CostDocument, way: str | None, total_time: Quantity | None
) -> CostDocument:
    """Return the costs with the totals of one way of acquiring.

    Args:
        problem: what is run.
        candidate: on what.
        cost: without totals.
        way: ``buy`` or ``rent``; None where neither is known.
        total_time: of the job in hours; None where its length is not known.
    """
    per_h = {"buy": candidate.costs.hourly.owned, "rent": candidate.costs.hourly.rented}.get(way or "")
    if per_h is None:
        return cost
    interval = None if total_time is None else _total(candidate, way, total_time)
    samples_per_h = candidate.samples_per_s * problem.subject.samples_in_one * 3600
    per_sample = per_h / samples_per_h
    tokens = _tokens_per_sample(problem, candidate)
    return cost.model_copy(
        update={
            "total_usd": None if interval is None else interval.value,
            "total_by": _way(way) if total_time is not None else None,
            "total_interval_usd": interval,
            "usd_per_1k_samples": 1e3 * per_sample,
            "usd_per_1m_tokens": None if tokens is None else 1e6 * per_sample / tokens,
        }
    )


def _total(candidate: Candidate, way: str | None, time: Quantity) -> Quantity | None:
    """Return what a job costs by one way, at both ends of its time: a short one costs the shortest rental."""

    def at(hours: float) -> float | None:
        costs = job_costs(candidate.prices, candidate.count, hours, candidate.power, candidate.terms)
        return costs.owned if way == "buy" else costs.rent

    low, value, high = at(time.low), at(time.value), at(time.high)
    if low is None or value is None or high is None:
        return None
    return Quantity(value=value, low=low, high=high)


def _over_time(amount: float | None, candidate: Candidate, time: Quantity | None) -> Quantity | None:
    """Return what goes with the length of a job; None where that is not known, or nothing fits."""
    if amount is None or time is None or not candidate.fits:
        return None
    return time.scaled(amount / candidate.hours)


def _tokens_per_sample(problem: Problem, candidate: Candidate) -> float | None:
    if not problem.subject.counts_tokens:
        return None
    group, layout = candidate.team.search.group, candidate.layout
    description = group.describe(layout.tensor, is_compact(layout) if problem.training else False)
    return description.tokens_per_sample + (group.new_tokens if problem.generates else 0)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _host_said(host: HostShare) -> str:
    doubt = f", {host.unverified}" if host.unverified else ""
    return f"{host.machines} x {host.host} ({host.date}{doubt})"


def _break_even(candidate: Candidate, tags: PriceTags) -> BreakEvenDocument | None:
    """Return the hours after which owning costs less, with what both prices may really be.

    Each end is where the equation is solved with either price at its own end, as the two are independent: their
    logarithmic distances from the value add up like the sides of a right angle.
    """
    value = candidate.costs.break_even_h
    if value is None:
        return None

    def at(purchase: float = 1.0, rent: float = 1.0) -> float:
        prices = candidate.prices.times(purchase, rent)
        costs = job_costs(prices, candidate.count, candidate.hours, candidate.power, candidate.terms)
        return math.inf if costs.break_even_h is None else costs.break_even_h

    sooner = at(purchase=1 / tags.purchase_spread), at(rent=tags.rent_spread)
    later = at(purchase=tags.purchase_spread), at(rent=1 / tags.rent_spread)
    high = math.inf if math.inf in later else value * combined(*(end / value for end in later))
    return BreakEvenDocument(
        value=value,
        low=value / combined(*(value / end for end in sooner)),
        high=None if math.isinf(high) else high,
    )


_FLIP_WORDS = {
    "hours_per_week": "hours of use a week",
    "rent_usd_per_gpu_h": "rent of a GPU and hour",
    "purchase_usd_per_gpu": "price of a GPU",
    "horizon_years": "years of use",
    "residual_share": "share of the price that is left at the end",
    "electricity_usd_per_kwh": "price of a kWh",
}


def flip_documents(candidate: Candidate) -> tuple[FlipDocument, ...]:
    """Return which assumptions would turn buying into renting, or renting into buying, and where."""
    if not candidate.fits:
        return ()
    found = flips(candidate.prices, candidate.count, candidate.power, candidate.terms, candidate.hours)
    return tuple(
        FlipDocument(
            assumption=flip.field, current=flip.current, flips_at=flip.flips_at,
            buy_when="above" if flip.buy_above else "below", message=_flip_said(flip),
        )
        for flip in found
    )  # fmt: skip


def _flip_said(flip: Flip) -> str:
    def shown(value: float) -> str:
        if flip.field == "residual_share":
            return f"{value:.0%}"
        return format_money(value) if "usd" in flip.field else f"{value:,.3g}"

    low, high = ("rent", "buy") if flip.buy_above else ("buy", "rent")
    what = _FLIP_WORDS[flip.field]
    return (
        f"{low} if under {shown(flip.flips_at)} {what}, {high} if over (counted with {shown(flip.current)})"
    )


def _way(name: str | None) -> Literal["buy", "rent"] | None:
    return "buy" if name == "buy" else "rent" if name == "rent" else None
