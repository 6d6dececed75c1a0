"""Money: what a job costs on hardware that is bought or rented, and when buying pays. Pure functions of plain numbers.

All amounts are US dollars, energy is kWh; what the machine room's wall socket delivers is the energy times the PUE.

Owning costs, for each hour of use, the purchase less its residual value over all hours of use, electricity at work, and
electricity of the hours in which the hardware is on and idle. Renting costs the price of whole instances for the hours
that are billed: interruptions make a job longer, and no bill is for less than the shortest rental. Where the two are
equal, the advice flips: :func:`flips` solves that equation for one assumption after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from advisor.instances import billed_gpus
from advisor.units import HOURS_PER_WEEK, WEEKS_PER_YEAR

Way = Literal["buy", "rent"]
"""How hardware is acquired."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what terms hardware is bought, powered and rented; :class:`~advisor.workload.Economics`, none left open."""

    electricity_usd_per_kwh: float
    pue: float
    hours_per_week: float
    horizon_years: float
    residual_share: float = 0.0
    """Share of the purchase that the hardware still fetches at the end of the horizon, less than 1."""
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

    def times(self, purchase: float, rent: float) -> Prices:
        """Return the same with other prices of GPUs to buy and to rent; machines around them cost what they do."""
        return replace(
            self,
            purchase_usd=_times(self.purchase_usd, purchase),
            rent_usd_per_h=_times(self.rent_usd_per_h, rent),
            spot_usd_per_h=_times(self.spot_usd_per_h, rent),
        )


def _times(price: float | None, factor: float) -> float | None:
    return None if price is None else price * factor


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
    """On demand, or spot with what interruptions add where the terms say so, of whole instances."""
    rented: float | None
    """Everything that renting costs: the same, with what the shortest rental adds to a job."""
    power_kwh: float
    """At the wall, at work."""
    idle_kwh: float
    """At the wall, of the idle hours that come with an hour of use."""

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
    """Of the cheaper way, of those that are allowed."""
    total_by: Way | None
    break_even_h: float | None
    """Hours of use, in jobs of this length, after which owning is cheaper than renting."""
    electricity_kwh: float | None
    """At the wall: what ``power`` and ``idle`` pay for."""
    carbon_kg: float | None
    """Of the same electricity."""
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


def hourly_costs(
    prices: Prices, count: int, power: Power, terms: Terms, hours: float | None = None
) -> Hourly:
    """Return what an hour of use of ``count`` GPUs costs.

    Args:
        prices: of one GPU.
        count: GPUs used.
        power: of all of them.
        terms: tariff, use and horizon.
        hours: duration of a job, which the shortest rental is spread over; None leaves that out.
    """
    tariff = terms.electricity_usd_per_kwh
    idle_hours = terms.idle_share * (HOURS_PER_WEEK - terms.hours_per_week) / terms.hours_per_week
    power_kwh = energy_kwh(power.working_w + prices.host_power_w_per_gpu * count, 1.0) * terms.pue
    idle_kwh = energy_kwh(power.idle_w + prices.host_idle_w_per_gpu * count, idle_hours) * terms.pue
    net = None
    if prices.purchase_usd is not None:
        purchase = (prices.purchase_usd + prices.host_usd_per_gpu) * count
        net = purchase * (1 - terms.residual_share) / hours_of_use(terms)
    rent = rented = None
    instances = _instances_usd_per_h(prices, count, spot=terms.spot)
    if instances is not None:
        rent = instances * _taken_h(1.0, terms, spot=terms.spot)
        rented = rent if hours is None else instances * _billed_h(hours, terms, spot=terms.spot) / hours
    return Hourly(
        purchase=net,
        power=power_kwh * tariff,
        idle=idle_kwh * tariff,
        rent=rent,
        rented=rented,
        power_kwh=power_kwh,
        idle_kwh=idle_kwh,
    )


def _instances_usd_per_h(prices: Prices, count: int, *, spot: bool) -> float | None:
    """Return what an hour of ``count`` GPUs costs in whole instances; None where no price is known."""
    if spot:
        price, size = prices.spot_usd_per_h, prices.spot_billed_gpus
    else:
        price, size = prices.rent_usd_per_h, prices.billed_gpus
    return None if price is None else price * billed_gpus(count, size)


def _taken_h(hours: float, terms: Terms, *, spot: bool) -> float:
    """Return how long a rented machine takes for ``hours`` of work."""
    return hours * (1 + terms.spot_overhead) if spot else hours


def _billed_h(hours: float, terms: Terms, *, spot: bool) -> float:
    """Return the hours that are billed for a job of ``hours``."""
    return max(_taken_h(hours, terms, spot=spot), terms.minimum_rental_h)


def _rental_usd(prices: Prices, count: int, hours: float, terms: Terms, *, spot: bool) -> float | None:
    """Return what renting costs for a job; None where no price is known."""
    instances = _instances_usd_per_h(prices, count, spot=spot)
    return None if instances is None else instances * _billed_h(hours, terms, spot=spot)


def job_costs(
    prices: Prices,
    count: int,
    hours: float | None,
    power: Power,
    terms: Terms,
    acquire: Collection[Way] = ("buy", "rent"),
) -> Costs:
    """Return what a job costs.

    Args:
        prices: of one GPU.
        count: GPUs used.
        hours: duration of the job, more than 0; None gives prices without job costs.
        power: of all GPUs together.
        terms: tariff, PUE, use and horizon.
        acquire: the ways that the total may take.
    """
    hourly = hourly_costs(prices, count, power, terms, hours)
    host = prices.host_usd_per_gpu * count
    purchase = None if prices.purchase_usd is None else prices.purchase_usd * count + host
    residual = None if purchase is None else purchase * terms.residual_share
    break_even = None
    if purchase is not None and hourly.rented is not None and prices.no_purchase is None:
        break_even = break_even_hours(purchase * (1 - terms.residual_share), hourly.rented, hourly.running)
    if hours is None:
        return Costs(
            purchase=purchase, host=host, residual=residual, power=None, idle=None, rent=None, spot=None, owned=None,
            total=None, total_by=None, break_even_h=break_even, electricity_kwh=None, carbon_kg=None, hourly=hourly,
        )  # fmt: skip
    on_demand, spot = (_rental_usd(prices, count, hours, terms, spot=spot) for spot in (False, True))
    owned = None if hourly.owned is None else hourly.owned * hours
    rent = spot if terms.spot else on_demand
    known: dict[Way, float | None] = {"buy": owned if prices.no_purchase is None else None, "rent": rent}
    ways = [(cost, way) for way, cost in known.items() if cost is not None and way in acquire]
    total, total_by = min(ways) if ways else (None, None)
    electricity = (hourly.power_kwh + hourly.idle_kwh) * hours
    return Costs(
        purchase=purchase,
        host=host,
        residual=residual,
        power=hourly.power * hours,
        idle=hourly.idle * hours,
        rent=rent,
        spot=spot,
        owned=owned,
        total=total,
        total_by=total_by,
        break_even_h=break_even,
        electricity_kwh=electricity,
        carbon_kg=None if terms.carbon_g_per_kwh is None else electricity * terms.carbon_g_per_kwh / 1000,
        hourly=hourly,
    )


def flips(
    prices: Prices, count: int, power: Power, terms: Terms, hours: float | None = None
) -> Iterator[Flip]:
    """Yield for each assumption where it flips the advice, of those that can; nothing where a price is not known.

    Each is the root of "an hour owned costs as much as an hour rented", which is linear in every one of them, or in its
    inverse.

    Args:
        prices: of one GPU.
        count: GPUs used.
        power: of all of them.
        terms: as assumed now.
        hours: duration of the job; None leaves the shortest rental out.
    """
    now = hourly_costs(prices, count, power, terms, hours)
    if now.purchase is None or now.owned is None or now.rented is None or prices.purchase_usd is None:
        return
    if prices.no_purchase is not None:
        return
    use, saved = hours_of_use(terms), now.rented - now.running
    idle_all_week = replace(terms, hours_per_week=HOURS_PER_WEEK / 2)
    # At half the week there is one hour out of use for each hour of use.
    idle_per_h = hourly_costs(prices, count, power, idle_all_week).idle
    worth_an_hour = now.rented - now.power + idle_per_h
    if worth_an_hour > 0:
        weekly = now.purchase * terms.hours_per_week + HOURS_PER_WEEK * idle_per_h
        if (flip := weekly / worth_an_hour) <= HOURS_PER_WEEK:
            yield Flip("hours_per_week", terms.hours_per_week, flip, buy_above=True)
    rent = prices.spot_usd_per_h if terms.spot else prices.rent_usd_per_h
    if rent is not None:
        yield Flip("rent_usd_per_gpu_h", rent, rent * now.owned / now.rented, buy_above=True)
    if saved > 0:
        gross = prices.purchase_usd + prices.host_usd_per_gpu
        lost = 1 - terms.residual_share
        flip = saved * use / (lost * count) - prices.host_usd_per_gpu if lost > 0 else 0.0
        if flip > 0:
            yield Flip("purchase_usd_per_gpu", prices.purchase_usd, flip, buy_above=False)
        yield Flip(
            "horizon_years", terms.horizon_years, terms.horizon_years * now.purchase / saved, buy_above=True
        )
        if (share := 1 - saved * use / (gross * count)) > 0:
            yield Flip("residual_share", terms.residual_share, share, buy_above=True)
    if now.rented > now.purchase and (energy := now.power_kwh + now.idle_kwh) > 0:
        flip = (now.rented - now.purchase) / energy
        yield Flip("electricity_usd_per_kwh", terms.electricity_usd_per_kwh, flip, buy_above=False)


def outlays(costs: Costs, terms: Terms, points: int = 9) -> list[tuple[float, float | None, float | None]]:
    """Return (hours of use, cost of owning, cost of renting) up to the horizon, and where buying starts to pay.

    Owning starts with the purchase less its residual value. Rented are jobs of the length of this one.

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
            None if hourly.rented is None else hourly.rented * time,
        )
        for time in sorted(times)
    ]
