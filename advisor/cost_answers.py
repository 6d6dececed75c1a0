"""From a candidate's costs to their document: totals by way, intervals, what would flip the advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from advisor.candidates import Candidate
from advisor.documents import CostDocument, FlipDocument, OutlayDocument
from advisor.economics import Flip, flips, outlays
from advisor.estimation.interval import combined
from advisor.hosts import HostShare
from advisor.plan import is_compact
from advisor.prices import PriceRecord
from advisor.problem import Problem
from advisor.quantity import Quantity
from advisor.units import WEEKS_PER_YEAR


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
        rent_usd_per_year=_times(hourly.rent, weekly) if candidate.fits else None,
        break_even_h=costs.break_even_h if candidate.fits else None,
        break_even=_break_even(candidate, tags) if candidate.fits else None,
        carbon_kg=total_time.scaled(_times(costs.carbon_kg, 1 / candidate.hours) or 0.0)
        if known and total_time is not None and costs.carbon_kg is not None
        else None,
        prices_as_of=tags.as_of,
        total_usd=None,
        total_by=None,
    )
    owned = hourly.owned if candidate.prices.no_purchase is None else None
    ways = [(cost, way) for cost, way in ((owned, "buy"), (hourly.rent, "rent")) if cost is not None]
    if not candidate.fits or not ways:
        return document
    way = costs.total_by if known else min(ways)[1]
    return by_way(problem, candidate, document, way, total_time)


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
    per_h = {"buy": candidate.costs.hourly.owned, "rent": candidate.costs.hourly.rent}.get(way or "")
    if per_h is None:
        return cost
    total = {"buy": candidate.costs.owned, "rent": candidate.costs.rent}[way or ""]
    if total_time is None or total is None:
        total_usd, interval = None, None
    else:
        total_usd, interval = (
            total,
            Quantity(
                value=total,
                low=total * total_time.low / total_time.value,
                high=total * total_time.high / total_time.value,
            ),
        )
    samples_per_h = candidate.samples_per_s * problem.subject.samples_in_one * 3600
    per_sample = per_h / samples_per_h
    tokens = _tokens_per_sample(problem, candidate)
    return cost.model_copy(
        update={
            "total_usd": total_usd,
            "total_by": _way(way) if total_time is not None else None,
            "total_interval_usd": interval,
            "usd_per_1k_samples": 1e3 * per_sample,
            "usd_per_1m_tokens": None if tokens is None else 1e6 * per_sample / tokens,
        }
    )


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


def _break_even(candidate: Candidate, tags: PriceTags) -> Quantity | None:
    """Return the hours after which owning costs less, with what both prices may really be.

    The logarithms of the two prices are taken as independent; electricity is a small part of an hour.
    """
    value = candidate.costs.break_even_h
    if value is None:
        return None
    return Quantity.spread(value, combined(tags.purchase_spread, tags.rent_spread))


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
    found = flips(candidate.prices, candidate.count, candidate.power, candidate.terms)
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
        return f"${value:,.4g}" if "usd" in flip.field else f"{value:,.3g}"

    low, high = ("rent", "buy") if flip.buy_above else ("buy", "rent")
    what = _FLIP_WORDS[flip.field]
    return (
        f"{low} if under {shown(flip.flips_at)} {what}, {high} if over (counted with {shown(flip.current)})"
    )


def _way(name: str | None) -> Literal["buy", "rent"] | None:
    return "buy" if name == "buy" else "rent" if name == "rent" else None
