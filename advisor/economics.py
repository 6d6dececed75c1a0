"""Money: what a job costs on hardware that is bought or rented, and when buying pays. Pure functions of plain numbers.

All amounts are US dollars, energy is kWh at the wall socket of the machine room (after PUE).
"""

from __future__ import annotations

from dataclasses import dataclass

from advisor.workload import Economics

WEEKS_PER_YEAR = 365.25 / 7


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of one GPU; None is not known or not wanted."""

    purchase_usd: float | None
    rent_usd_per_h: float | None
    billed_gpus: int = 1
    """GPUs of the smallest instance that is rented; fewer are billed as many."""


NO_PRICES = Prices(purchase_usd=None, rent_usd_per_h=None)


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one job on ``count`` GPUs; None where a price or the duration is not known.

    ``owned`` is the share of the purchase that the job uses up over the horizon, plus its electricity.
    """

    purchase: float | None
    power: float | None
    rent: float | None
    owned: float | None
    total: float | None
    total_by: str | None
    break_even_h: float | None


def energy_kwh(power_w: float, hours: float) -> float:
    """Return the energy that GPUs drawing ``power_w`` together use in ``hours``, without PUE."""
    return power_w * hours / 1000.0


def hours_of_use(economics: Economics) -> float:
    """Return the hours that bought hardware works over its horizon."""
    return economics.hours_per_week * WEEKS_PER_YEAR * economics.horizon_years


def break_even_hours(purchase: float, rent_per_h: float, power_per_h: float) -> float | None:
    """Return the hours of use after which owning is cheaper than renting; None if it never is."""
    saved = rent_per_h - power_per_h
    return purchase / saved if saved > 0 else None


def job_costs(prices: Prices, count: int, hours: float | None, power_w: float, economics: Economics) -> Costs:
    """Return what a job costs.

    Args:
        prices: of one GPU.
        count: GPUs used.
        hours: duration of the job; None gives prices without job costs.
        power_w: average draw of all GPUs together.
        economics: tariff, PUE, use and horizon.
    """
    power_per_h = energy_kwh(power_w, 1.0) * economics.pue * economics.electricity_usd_per_kwh
    purchase = None if prices.purchase_usd is None else prices.purchase_usd * count
    rent_per_h = (
        None if prices.rent_usd_per_h is None else prices.rent_usd_per_h * max(count, prices.billed_gpus)
    )
    break_even = None
    if purchase is not None and rent_per_h is not None:
        break_even = break_even_hours(purchase, rent_per_h, power_per_h)
    if hours is None:
        return Costs(purchase, None, None, None, None, None, break_even)
    power = power_per_h * hours
    owned = None if purchase is None else purchase * hours / hours_of_use(economics) + power
    rent = None if rent_per_h is None else rent_per_h * hours
    ways = [(cost, way) for cost, way in ((owned, "buy"), (rent, "rent")) if cost is not None]
    total, total_by = min(ways) if ways else (None, None)
    return Costs(purchase, power, rent, owned, total, total_by, break_even)


def outlays(
    costs: Costs, hours: float, economics: Economics, points: int = 9
) -> list[tuple[float, float | None, float | None]]:
    """Return (hours of use, outlay when bought, outlay when rented) up to the horizon, and where buying starts to pay.

    Args:
        costs: of a job.
        hours: that the job takes; more than 0.
        economics: use and horizon.
        points: evenly spaced, both ends among them.
    """
    end = hours_of_use(economics)
    times = {end * step / (points - 1) for step in range(points)}
    if costs.break_even_h is not None and costs.break_even_h < end:
        times.add(costs.break_even_h)

    def grown(at_start: float | None, per_job: float | None, time: float) -> float | None:
        return None if at_start is None or per_job is None else at_start + per_job / hours * time

    return [
        (time, grown(costs.purchase, costs.power, time), grown(0.0, costs.rent, time))
        for time in sorted(times)
    ]
