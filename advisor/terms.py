"""The terms of a workload with nothing left open: tariff and carbon of its country, or of the world."""

from __future__ import annotations

from collections.abc import Mapping

from advisor.economics import Terms, hours_of_use
from advisor.places import WORLD, DatedIntensity, DatedPrice, Place, place
from advisor.workload import Economics


def terms_of(economics: Economics, places: Mapping[str, Place]) -> Terms:
    """Return the terms.

    Args:
        economics: as the user gave them.
        places: tariffs and grids, with those of the world.

    Raises:
        InputError: no such country.
    """
    where = _place_of(economics, places)
    tariff, grid = economics.electricity_usd_per_kwh, economics.carbon_g_per_kwh
    return Terms(
        electricity_usd_per_kwh=_tariff(where, places).usd_per_kwh if tariff is None else tariff,
        pue=economics.pue,
        hours_per_week=economics.hours_per_week,
        horizon_years=economics.horizon_years,
        residual_share=economics.residual_share,
        idle_share=economics.idle_share,
        spot=economics.spot,
        spot_overhead=economics.spot_overhead,
        minimum_rental_h=economics.minimum_rental_h,
        carbon_g_per_kwh=_grid(where, places).g_per_kwh if grid is None else grid,
    )


def described_terms(
    economics: Economics, terms: Terms, places: Mapping[str, Place], *, fleet: bool = False
) -> list[str]:
    """Return in words under what terms costs were counted, and which of them are nobody's but ours.

    Args:
        economics: as the user gave them.
        terms: the same with nothing left open.
        places: tariffs and grids.
        fleet: whether hours of use follow from the workloads.
    """
    where = _place_of(economics, places)
    return [
        f"electricity ${terms.electricity_usd_per_kwh:.4g}/kWh{_tariff_said(economics, where, places)}, "
        f"PUE {terms.pue:g}{_grid_said(economics, terms, where, places)}",
        f"bought hardware {_use(terms, fleet)}, {_out_of_use(terms)}, and fetches "
        f"{f'{terms.residual_share:.0%} of its price' if terms.residual_share else 'nothing'} at the end",
        *_machines(economics),
        *_renting(economics, terms),
    ]


def _use(terms: Terms, fleet: bool) -> str:
    years = f"for {terms.horizon_years:g} years"
    if fleet:
        return f"is used {years} as the workloads need it"
    return f"works {terms.hours_per_week:g} h a week {years} ({hours_of_use(terms):,.0f} h)"


def _machines(economics: Economics) -> list[str]:
    host = economics.host_usd_per_gpu
    if host == "none":
        return []
    how = "at what such machines cost (economics.host_usd_per_gpu: none leaves them out)"
    return [f"the machines around bought GPUs count {how if host == 'auto' else f'at ${host:,.0f} a GPU'}"]


def _out_of_use(terms: Terms) -> str:
    if terms.idle_share == 0 or terms.hours_per_week >= 168:
        return "is off in other hours"
    return f"is on and idle in {terms.idle_share:.0%} of the other hours"


def _renting(economics: Economics, terms: Terms) -> list[str]:
    found = []
    if terms.spot:
        found.append(f"rented at spot prices; interruptions add {terms.spot_overhead:.0%} of the time")
    if terms.minimum_rental_h:
        found.append(f"a rental is billed for at least {terms.minimum_rental_h:g} h")
    elif economics.minimum_rental_h:
        found.append("the length of the job is not known, so that the shortest rental does not count")
    return found


def _place_of(economics: Economics, places: Mapping[str, Place]) -> Place:
    return places[WORLD] if economics.country is None else place(economics.country, places)


def _tariff(where: Place, places: Mapping[str, Place]) -> DatedPrice:
    found = where.electricity or places[WORLD].electricity
    assert found is not None, "the world has a tariff"
    return found


def _grid(where: Place, places: Mapping[str, Place]) -> DatedIntensity:
    found = where.carbon or places[WORLD].carbon
    assert found is not None, "the world has a grid"
    return found


def _tariff_said(economics: Economics, where: Place, places: Mapping[str, Place]) -> str:
    if economics.electricity_usd_per_kwh is not None:
        return ""
    fact = _tariff(where, places)
    return f" ({_whose(economics, where)}{fact.sector}, {fact.date}{_doubt(fact.unverified)})"


def _grid_said(economics: Economics, terms: Terms, where: Place, places: Mapping[str, Place]) -> str:
    said = f"; grid {terms.carbon_g_per_kwh:.0f} g CO2e/kWh"
    if economics.carbon_g_per_kwh is not None:
        return said
    fact = _grid(where, places)
    return f"{said} ({_whose(economics, where)}{fact.date}{_doubt(fact.unverified)})"


def _whose(economics: Economics, where: Place) -> str:
    return "world, " if economics.country is None else f"{where.name}, "


def _doubt(unverified: str | None) -> str:
    return f", {unverified}" if unverified else ""
