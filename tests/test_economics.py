"""Money, worked out by hand to the cent, and sums that must hold for all prices."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.economics import WEEKS_PER_YEAR, Prices, break_even_hours, energy_kwh, hours_of_use, job_costs
from advisor.workload import Economics

HOUSE = Economics(electricity_usd_per_kwh=0.30, pue=1.0, hours_per_week=40, horizon_years=2)
HALL = Economics(electricity_usd_per_kwh=0.10, pue=1.5, hours_per_week=168, horizon_years=4)


def cents(amount: float | None) -> float | None:
    return None if amount is None else round(amount, 2)


def test_hours_of_use() -> None:
    assert hours_of_use(Economics(hours_per_week=168, horizon_years=1)) == pytest.approx(8766)
    assert hours_of_use(HOUSE) == pytest.approx(40 * 365.25 / 7 * 2)
    assert pytest.approx(52.1786, abs=1e-4) == WEEKS_PER_YEAR


def test_a_card_at_home() -> None:
    """One card of $1,600 and 450 W for 100 h at $0.30/kWh; renting one costs $0.40 an hour."""
    costs = job_costs(Prices(1600.0, 0.40), 1, 100.0, 450.0, HOUSE)
    # 0.45 kW x 100 h x 0.30 = 13.50; 4,174.29 h of use: 1600 x 100 / 4174.29 = 38.33
    assert cents(costs.purchase) == 1600.00
    assert cents(costs.power) == 13.50
    assert cents(costs.rent) == 40.00
    assert cents(costs.owned) == 51.83
    assert (cents(costs.total), costs.total_by) == (40.00, "rent")
    # 1600 / (0.40 - 0.135) = 6,037.74 h
    assert cents(costs.break_even_h) == 6037.74


def test_a_node_in_a_hall_with_pue() -> None:
    """Eight GPUs of $30,000, 5,600 W together, for 1,000 h at $0.10/kWh and PUE 1.5; $2.50 a GPU and hour."""
    costs = job_costs(Prices(30_000.0, 2.50, 8), 8, 1000.0, 5600.0, HALL)
    # 5.6 kW x 1.5 x 0.10 = 0.84 an hour; 168 x 52.17857 x 4 = 35,064 h: 240,000 x 1000 / 35,064 = 6,844.63
    assert cents(costs.purchase) == 240_000.00
    assert cents(costs.power) == 840.00
    assert cents(costs.rent) == 20_000.00
    assert cents(costs.owned) == 7684.63
    assert (cents(costs.total), costs.total_by) == (7684.63, "buy")
    # 240,000 / (20 - 0.84) = 12,526.10 h
    assert cents(costs.break_even_h) == 12_526.10


def test_an_instance_is_billed_whole() -> None:
    """Two GPUs are wanted, eight are rented: 8 x $1.10 x 10 h; there is nothing to buy."""
    costs = job_costs(Prices(None, 1.10, 8), 2, 10.0, 800.0, HALL)
    assert cents(costs.rent) == 88.00
    assert cents(costs.power) == 1.20
    assert costs.purchase is None
    assert costs.owned is None
    assert costs.break_even_h is None
    assert (cents(costs.total), costs.total_by) == (88.00, "rent")
    assert cents(job_costs(Prices(None, 1.10, 8), 16, 10.0, 800.0, HALL).rent) == 176.00


def test_buying_never_pays_where_power_costs_more_than_rent() -> None:
    dear = Economics(electricity_usd_per_kwh=2.0, pue=1.5)
    costs = job_costs(Prices(500.0, 0.20), 1, 10.0, 300.0, dear)
    # 0.3 kW x 1.5 x 2.00 = 0.90 an hour
    assert costs.break_even_h is None
    assert cents(costs.power) == 9.00
    assert costs.total_by == "rent"
    assert break_even_hours(500.0, 0.90, 0.90) is None


def test_nothing_known_is_nothing_said() -> None:
    costs = job_costs(Prices(None, None), 4, 10.0, 1000.0, HALL)
    assert cents(costs.power) == 1.50
    assert costs.total is None
    assert costs.total_by is None
    without_hours = job_costs(Prices(100.0, 1.0), 4, None, 1000.0, HALL)
    assert without_hours.purchase == 400.0
    assert without_hours.break_even_h is not None
    assert without_hours.rent is without_hours.power is without_hours.owned is without_hours.total is None


PRICE = st.none() | st.floats(0.01, 1e6)


@given(
    purchase=PRICE, rent=PRICE, billed=st.integers(1, 16), count=st.integers(1, 64), hours=st.floats(0.001, 1e5),
    watts=st.floats(1, 1e5), tariff=st.floats(0, 10), pue=st.floats(1, 5), weekly=st.floats(0.1, 168),
    years=st.floats(0.1, 30),
)  # fmt: skip
def test_costs_add_up(
    purchase: float | None, rent: float | None, billed: int, count: int, hours: float, watts: float, tariff: float,
    pue: float, weekly: float, years: float,
) -> None:  # fmt: skip
    economics = Economics(electricity_usd_per_kwh=tariff, pue=pue, hours_per_week=weekly, horizon_years=years)
    costs = job_costs(Prices(purchase, rent, billed), count, hours, watts, economics)
    assert costs.power == pytest.approx(energy_kwh(watts, hours) * pue * tariff)
    known = [amount for amount in (costs.owned, costs.rent) if amount is not None]
    assert costs.total == min(known, default=None)
    assert (costs.total_by is None) == (not known)
    if purchase is not None:
        assert costs.purchase == pytest.approx(purchase * count)
        share = hours / (weekly * 365.25 / 7 * years)
        assert costs.owned == pytest.approx(costs.purchase * share + costs.power)
    if rent is not None:
        assert costs.rent == pytest.approx(rent * max(count, billed) * hours)
    if costs.break_even_h is not None:
        # After that many hours the outlay is the same both ways.
        at = job_costs(Prices(purchase, rent, billed), count, costs.break_even_h, watts, economics)
        assert math.isclose(at.rent or 0.0, (at.purchase or 0.0) + (at.power or 0.0), rel_tol=1e-6)


@given(hours=st.floats(0.01, 1e4), factor=st.floats(1, 100))
def test_costs_of_a_job_grow_linearly_with_its_length(hours: float, factor: float) -> None:
    one = job_costs(Prices(1000.0, 1.0), 2, hours, 600.0, HOUSE)
    many = job_costs(Prices(1000.0, 1.0), 2, hours * factor, 600.0, HOUSE)
    for name in ("power", "rent", "owned", "total"):
        assert getattr(many, name) == pytest.approx(factor * getattr(one, name))
    assert many.break_even_h == one.break_even_h
