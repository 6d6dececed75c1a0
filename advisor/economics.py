"""Money: what a job costs on hardware that is bought or rented, and when buying pays. Pure functions of plain numbers.

All amounts are US dollars, energy is kWh; what the machine room's wall socket delivers is the energy times the PUE.

Owning costs, for each hour of use, the purchase less its residual value over all hours of use, electricity at work, and
electricity of the hours in which the hardware is on and idle. Renting costs its price for an hour. Where the two are
equal, the advice flips: :func:`flips` solves that equation for one assumption after the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from advisor.units import HOURS_PER_WEEK, WEEKS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what terms hardware is bought, powered and rented; :class:`~advisor.workload.Economics`, none left open."""

    electricity_usd_per_kwh: float
    pue: float
    hours_per_week: float
    horizon_years: float
    residual_share: float = 0.0
    """Share of the purchase that the hardware still fetches at the end of the horizon."""
    idle_share: float = 0.0
    """Share of the hours out of use in which it is switched on."""
    spot: bool = False
    """Whether rent means interruptible instances."""
    spot_overhead: float = 0.0
    """Share of time that interruptions add to a job."""
    minimum_rental_h: float = 0.0
    """The shortest rental that is billed."""
    carbon_g_per_kwh: float | None = None
    """Of the grid, in grams of CO2 equivalents."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of one GPU; None is not known or not wanted."""

    purchase_usd: float | None
    rent_usd_per_h: float | None
    billed_gpus: int = 1
    """GPUs of the smallest instance that is rented; fewer are billed as many."""
    spot_usd_per_h: float | None = None
    spot_billed_gpus: int = 1
    host_usd_per_gpu: float = 0.0
    """Share of the machine around the GPU that is bought with it."""
    host_power_w_per_gpu: float = 0.0
    """What that machine draws at work."""
    host_idle_w_per_gpu: float = 0.0
    no_purchase: str | None = None
    """Why the GPUs cannot be bought for the user's machine, or in the user's country."""


NO_PRICES = Prices(purchase_usd=None, rent_usd_per_h=None)

NO_TERMS = Terms(electricity_usd_per_kwh=0.0, pue=1.0, hours_per_week=HOURS_PER_WEEK, horizon_years=1.0)
"""For questions in which no money is asked about."""


@dataclass(frozen=True, slots=True)
class Power:
    """Watts of all GPUs of a job together, without their hosts."""

    working_w: float
    idle_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Hourly:
    """What an hour of use costs; None where a price is not known."""

    purchase: float | None
    """Share of the purchase less residual value."""
    power: float
    """Electricity at work."""
    idle: float
    """Electricity of the idle hours that come with an hour of use."""
    rent: float | None
    """On demand, or spot where the terms say so, of whole instances."""

    @property
    def running(self) -> float:
        """Electricity, idle hours included."""
        return self.power + self.idle

    @property
    def owned(self) -> float | None:
        """Everything that owning costs."""
        return None if self.purchase is None else self.purchase + self.running


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one job; None where a price or the duration is not known.

    ``owned`` is the share of the purchase that the job uses up over the horizon, plus its electricity.
    """

    purchase: float | None
    """Of all GPUs, with their hosts where these are counted."""
    host: float
    residual: float | None
    power: float | None
    idle: float | None
    rent: float | None
    spot: float | None
    """Renting interruptible instances, what interruptions add included; for comparison where ``rent`` is on demand."""
    owned: float | None
    total: float | None
    total_by: str | None
    break_even_h: float | None
    carbon_kg: float | None
    hourly: Hourly


@dataclass(frozen=True, slots=True)
class Flip:
    """Where one assumption, all others as they are, makes owning and renting cost the same."""

    field: str
    current: float
    flips_at: float
    buy_above: bool
    """Whether buying is the cheaper way above ``flips_at``; below it where False."""


def energy_kwh(power_w: float, hours: float) -> float:
    """Return the energy that GPUs drawing ``power_w`` together use in ``hours``, without PUE."""
    return power_w * hours / 1000.0


def hours_of_use(terms: Terms) -> float:
    """Return the hours that bought hardware works over its horizon."""
    return terms.hours_per_week * WEEKS_PER_YEAR * terms.horizon_years


def break_even_hours(purchase: float, rent_per_h: float, power_per_h: float) -> float | None:
    """Return the hours of use after which owning is cheaper than renting; None if it never is."""
    saved = rent_per_h - power_per_h
    return purchase / saved if saved > 0 else None


def hourly_costs(prices: Prices, count: int, power: Power, terms: Terms) -> Hourly:
    """Return what an hour of use of ``count`` GPUs costs.

    Args:
        prices: of one GPU.
        count: GPUs used.
        power: of all of them.
        terms: tariff, use and horizon.
    """
    tariff = terms.pue * terms.electricity_usd_per_kwh
    idle_hours = terms.idle_share * (HOURS_PER_WEEK - terms.hours_per_week) / terms.hours_per_week
    net = None
    if prices.purchase_usd is not None:
        purchase = (prices.purchase_usd + prices.host_usd_per_gpu) * count
        net = purchase * (1 - terms.residual_share) / hours_of_use(terms)
    return Hourly(
        purchase=net,
        power=energy_kwh(power.working_w + prices.host_power_w_per_gpu * count, 1.0) * tariff,
        idle=energy_kwh(power.idle_w + prices.host_idle_w_per_gpu * count, idle_hours) * tariff,
        rent=_spot_per_h(prices, count, terms) if terms.spot else _on_demand_per_h(prices, count),
    )


def _on_demand_per_h(prices: Prices, count: int) -> float | None:
    return (
        None if prices.rent_usd_per_h is None else prices.rent_usd_per_h * _billed(count, prices.billed_gpus)
    )


def _spot_per_h(prices: Prices, count: int, terms: Terms) -> float | None:
    if prices.spot_usd_per_h is None:
        return None
    return prices.spot_usd_per_h * _billed(count, prices.spot_billed_gpus) * (1 + terms.spot_overhead)


def _billed(count: int, instance: int) -> int:
    """Return the GPUs that are paid for where only whole instances are rented."""
    return math.ceil(count / instance) * instance


def job_costs(prices: Prices, count: int, hours: float | None, power: Power, terms: Terms) -> Costs:
    """Return what a job costs.

    Args:
        prices: of one GPU.
        count: GPUs used.
        hours: duration of the job; None gives prices without job costs.
        power: of all GPUs together.
        terms: tariff, PUE, use and horizon.
    """
    hourly = hourly_costs(prices, count, power, terms)
    host = prices.host_usd_per_gpu * count
    purchase = None if prices.purchase_usd is None else prices.purchase_usd * count + host
    residual = None if purchase is None else purchase * terms.residual_share
    break_even = None
    if purchase is not None and hourly.rent is not None and prices.no_purchase is None:
        break_even = break_even_hours(purchase * (1 - terms.residual_share), hourly.rent, hourly.running)
    if hours is None:
        return Costs(
            purchase, host, residual, None, None, None, None, None, None, None, break_even, None, hourly
        )
    billed = max(hours, terms.minimum_rental_h)
    spot_per_h = _spot_per_h(prices, count, terms)
    owned = None if hourly.owned is None else hourly.owned * hours
    rent = None if hourly.rent is None else hourly.rent * billed
    bought = owned if prices.no_purchase is None else None
    ways = [(cost, way) for cost, way in ((bought, "buy"), (rent, "rent")) if cost is not None]
    total, total_by = min(ways) if ways else (None, None)
    wall_kwh = energy_kwh(power.working_w + prices.host_power_w_per_gpu * count, hours) * terms.pue
    return Costs(
        purchase=purchase,
        host=host,
        residual=residual,
        power=hourly.power * hours,
        idle=hourly.idle * hours,
        rent=rent,
        spot=None if spot_per_h is None else spot_per_h * billed,
        owned=owned,
        total=total,
        total_by=total_by,
        break_even_h=break_even,
        carbon_kg=None if terms.carbon_g_per_kwh is None else wall_kwh * terms.carbon_g_per_kwh / 1000,
        hourly=hourly,
    )


def flips(prices: Prices, count: int, power: Power, terms: Terms) -> Iterator[Flip]:
    """Yield for each assumption where it flips the advice, of those that can; nothing where a price is not known.

    Each is the root of "an hour owned costs as much as an hour rented", which is linear in every one of them, or in its
    inverse.
    """
    now = hourly_costs(prices, count, power, terms)
    if now.purchase is None or now.owned is None or now.rent is None or prices.purchase_usd is None:
        return
    if prices.no_purchase is not None:
        return
    hours, saved = hours_of_use(terms), now.rent - now.running
    net = now.purchase * hours
    idle_all_week = replace(terms, hours_per_week=HOURS_PER_WEEK / 2)
    # At half the week there is one hour out of use for each hour of use.
    idle_per_h = hourly_costs(prices, count, power, idle_all_week).idle
    worth_an_hour = now.rent - now.power + idle_per_h
    if worth_an_hour > 0:
        weekly = net / (WEEKS_PER_YEAR * terms.horizon_years) + HOURS_PER_WEEK * idle_per_h
        if (flip := weekly / worth_an_hour) <= HOURS_PER_WEEK:
            yield Flip("hours_per_week", terms.hours_per_week, flip, buy_above=True)
    rent = prices.spot_usd_per_h if terms.spot else prices.rent_usd_per_h
    if rent is not None:
        yield Flip("rent_usd_per_gpu_h", rent, rent * now.owned / now.rent, buy_above=True)
    if saved > 0:
        affordable = saved * hours / ((1 - terms.residual_share) * count) if terms.residual_share < 1 else 0.0
        if affordable > prices.host_usd_per_gpu:
            flip = affordable - prices.host_usd_per_gpu
            yield Flip("purchase_usd_per_gpu", prices.purchase_usd, flip, buy_above=False)
        yield Flip(
            "horizon_years", terms.horizon_years, terms.horizon_years * now.purchase / saved, buy_above=True
        )
        gross = net / (1 - terms.residual_share) if terms.residual_share < 1 else 0.0
        if gross > 0 and (share := 1 - saved * hours / gross) > 0:
            yield Flip("residual_share", terms.residual_share, share, buy_above=True)
    if now.running > 0 and now.rent > now.purchase:
        tariff = terms.electricity_usd_per_kwh
        flip = tariff * (now.rent - now.purchase) / now.running
        yield Flip("electricity_usd_per_kwh", tariff, flip, buy_above=False)


def outlays(costs: Costs, terms: Terms, points: int = 9) -> list[tuple[float, float | None, float | None]]:
    """Return (hours of use, cost of owning, cost of renting) up to the horizon, and where buying starts to pay.

    Owning starts with the purchase less its residual value.

    Args:
        costs: of a job.
        terms: use and horizon.
        points: evenly spaced, both ends among them.
    """
    end = hours_of_use(terms)
    times = {end * step / (points - 1) for step in range(points)}
    if costs.break_even_h is not None and costs.break_even_h < end:
        times.add(costs.break_even_h)
    hourly = costs.hourly
    start = None if costs.purchase is None or costs.residual is None else costs.purchase - costs.residual
    return [
        (
            time,
            None if start is None else start + hourly.running * time,
            None if hourly.rent is None else hourly.rent * time,
        )
        for time in sorted(times)
    ]
