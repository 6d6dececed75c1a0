"""Money, worked out by hand to the cent, and sums that must hold for all prices."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.economics import (
    Costs,
    Power,
    Prices,
    Terms,
    break_even_hours,
    energy_kwh,
    flips,
    hourly_costs,
    hours_of_use,
    job_costs,
    outlays,
)
from advisor.units import WEEKS_PER_YEAR

CENT = Decimal("0.01")

HOUSE = Terms(electricity_usd_per_kwh=0.30, pue=1.0, hours_per_week=40, horizon_years=2)
HALL = Terms(electricity_usd_per_kwh=0.10, pue=1.5, hours_per_week=168, horizon_years=4)


def cents(amount: float | None) -> float | None:
    return None if amount is None else round(amount, 2)


def test_hours_of_use() -> None:
    assert hours_of_use(Terms(0.1, 1.0, hours_per_week=168, horizon_years=1)) == pytest.approx(8766)
    assert hours_of_use(HOUSE) == pytest.approx(40 * 365.25 / 7 * 2)
    assert pytest.approx(52.1786, abs=1e-4) == WEEKS_PER_YEAR


def test_a_card_at_home() -> None:
    """One card of $1,600 and 450 W for 100 h at $0.30/kWh; renting one costs $0.40 an hour."""
    costs = job_costs(Prices(1600.0, 0.40), 1, 100.0, Power(450.0), HOUSE)
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
    costs = job_costs(Prices(30_000.0, 2.50, 8), 8, 1000.0, Power(5600.0), HALL)
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
    costs = job_costs(Prices(None, 1.10, 8), 2, 10.0, Power(800.0), HALL)
    assert cents(costs.rent) == 88.00
    assert cents(costs.power) == 1.20
    assert costs.purchase is None
    assert costs.owned is None
    assert costs.break_even_h is None
    assert (cents(costs.total), costs.total_by) == (88.00, "rent")
    assert cents(job_costs(Prices(None, 1.10, 8), 16, 10.0, Power(800.0), HALL).rent) == 176.00
    assert cents(job_costs(Prices(None, 1.10, 8), 9, 10.0, Power(800.0), HALL).rent) == 176.00, (
        "two instances"
    )


def test_buying_never_pays_where_power_costs_more_than_rent() -> None:
    dear = Terms(2.0, 1.5, 60.0, 3.0)
    costs = job_costs(Prices(500.0, 0.20), 1, 10.0, Power(300.0), dear)
    # 0.3 kW x 1.5 x 2.00 = 0.90 an hour
    assert costs.break_even_h is None
    assert cents(costs.power) == 9.00
    assert costs.total_by == "rent"
    assert break_even_hours(500.0, 0.90, 0.90) is None


def test_nothing_known_is_nothing_said() -> None:
    costs = job_costs(Prices(None, None), 4, 10.0, Power(1000.0), HALL)
    assert cents(costs.power) == 1.50
    assert costs.total is None
    assert costs.total_by is None
    without_hours = job_costs(Prices(100.0, 1.0), 4, None, Power(1000.0), HALL)
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
    economics = Terms(electricity_usd_per_kwh=tariff, pue=pue, hours_per_week=weekly, horizon_years=years)
    costs = job_costs(Prices(purchase, rent, billed), count, hours, Power(watts), economics)
    assert costs.power == pytest.approx(energy_kwh(watts, hours) * pue * tariff)
    known = [amount for amount in (costs.owned, costs.rent) if amount is not None]
    assert costs.total == min(known, default=None)
    assert (costs.total_by is None) == (not known)
    if purchase is not None:
        assert costs.purchase == pytest.approx(purchase * count)
        share = hours / (weekly * 365.25 / 7 * years)
        assert costs.owned == pytest.approx(costs.purchase * share + costs.power)
    if rent is not None:
        assert costs.rent == pytest.approx(rent * math.ceil(count / billed) * billed * hours)
    if costs.break_even_h is not None:
        # After that many hours the outlay is the same both ways.
        at = job_costs(Prices(purchase, rent, billed), count, costs.break_even_h, Power(watts), economics)
        assert math.isclose(at.rent or 0.0, (at.purchase or 0.0) + (at.power or 0.0), rel_tol=1e-6)


@given(hours=st.floats(0.01, 1e4), factor=st.floats(1, 100))
def test_costs_of_a_job_grow_linearly_with_its_length(hours: float, factor: float) -> None:
    one = job_costs(Prices(1000.0, 1.0), 2, hours, Power(600.0), HOUSE)
    many = job_costs(Prices(1000.0, 1.0), 2, hours * factor, Power(600.0), HOUSE)
    for name in ("power", "rent", "owned", "total"):
        assert getattr(many, name) == pytest.approx(factor * getattr(one, name))
    assert many.break_even_h == one.break_even_h


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A purchase worked out as an accountant would in a spreadsheet: a year in whole weeks, line by line, in cents.

    It shares no code with the package; ``WEEKS`` is the Julian year's.
    """

    cards: int
    card_usd: str
    host_usd: str
    residual: str
    weekly_hours: str
    years: str
    working_w: str
    idle_w: str
    idle_share: str
    pue: str
    tariff: str
    rent_usd: str
    billed: int
    job_hours: str
    host_w: str = "0"
    spot_overhead: str = "0"
    minimum_h: str = "0"
    carbon_g: str = "400"

    def lines(self) -> dict[str, Decimal]:
        """Return the amounts of the job."""
        d = {name: Decimal(str(value)) for name, value in dataclasses.asdict(self).items()}
        weeks = Decimal("365.25") / 7 * d["years"]
        used_hours = d["weekly_hours"] * weeks
        idle_hours = (168 - d["weekly_hours"]) * weeks * d["idle_share"]
        purchase = d["cards"] * (d["card_usd"] + d["host_usd"])
        depreciation = purchase - purchase * d["residual"]
        working_kw = (d["working_w"] + d["cards"] * d["host_w"]) / 1000
        idle_kw = (d["idle_w"] + d["cards"] * d["host_w"]) / 1000
        job_kwh = working_kw * d["job_hours"] * d["pue"]
        share = d["job_hours"] / used_hours
        idle_cost = idle_kw * idle_hours * d["pue"] * d["tariff"] * share
        rental_hours = max(d["job_hours"], d["minimum_h"]) * (1 + d["spot_overhead"])
        return {
            "purchase": purchase,
            "residual": purchase * d["residual"],
            "power": job_kwh * d["tariff"],
            "idle": idle_cost,
            "owned": depreciation * share + job_kwh * d["tariff"] + idle_cost,
            "rent": d["rent_usd"] * -(-self.cards // self.billed) * self.billed * rental_hours,
            "carbon_kg": job_kwh * d["carbon_g"] / 1000,
        }

    def ours(self) -> Costs:
        """Return what the package says."""
        spot = self.spot_overhead != "0"
        rent = float(self.rent_usd)
        prices = Prices(
            float(self.card_usd), None if spot else rent, self.billed,
            spot_usd_per_h=rent if spot else None, spot_billed_gpus=self.billed,
            host_usd_per_gpu=float(self.host_usd), host_power_w_per_gpu=float(self.host_w),
            host_idle_w_per_gpu=float(self.host_w),
        )  # fmt: skip
        terms = Terms(
            float(self.tariff), float(self.pue), float(self.weekly_hours), float(self.years),
            float(self.residual), float(self.idle_share), spot, float(self.spot_overhead), float(self.minimum_h),
            float(self.carbon_g),
        )  # fmt: skip
        power = Power(float(self.working_w), float(self.idle_w))
        return job_costs(prices, self.cards, float(self.job_hours), power, terms)


SHEETS = {
    "a card at home": Sheet(
        1, "1599", "0", "0", "40", "3", "410", "21", "0", "1", "0.31", "0.44", 1, "57.3", carbon_g="381"
    ),
    "two cards in a workstation that stays on": Sheet(
        2, "2150.50", "1800", "0.25", "55", "4", "700", "55", "1", "1.1", "0.228", "0.69", 1, "312.25", host_w="90"
    ),
    "a node of eight, rented whole": Sheet(
        8, "31250", "11875", "0.1", "168", "5", "5210", "800", "0", "1.35", "0.092", "2.79", 8, "1999.5", host_w="350"
    ),
    "three of eight, the whole instance is billed": Sheet(
        3, "8999.99", "2500", "0", "80", "3", "820", "90", "0.5", "1.58", "0.135", "1.212", 8, "24", host_w="120"
    ),
    "spot with interruptions and a shortest rental": Sheet(
        4, "5000", "0", "0.3", "100", "2", "1100", "140", "0.2", "1.2", "0.18", "0.87", 4, "0.4",
        spot_overhead="0.15", minimum_h="1", carbon_g="56",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHEETS)
def test_totals_agree_to_the_cent_with_a_spreadsheet(name: str) -> None:
    sheet = SHEETS[name]
    lines, costs = sheet.lines(), sheet.ours()
    for line, expected in lines.items():
        assert Decimal(repr(getattr(costs, line))).quantize(CENT) == expected.quantize(CENT), line
    best = min(lines["owned"], lines["rent"])
    assert costs.total is not None
    assert Decimal(repr(costs.total)).quantize(CENT) == best.quantize(CENT)
    assert costs.total_by == ("buy" if lines["owned"] <= lines["rent"] else "rent")


@given(
    card=st.floats(50, 50_000), rent=st.floats(0.05, 20), host=st.floats(0, 5000), working=st.floats(10, 5000),
    idle=st.floats(0, 500), tariff=st.floats(0.01, 1), weekly=st.floats(1, 167), years=st.floats(0.5, 10),
    residual=st.floats(0, 0.9), idle_share=st.floats(0, 1), count=st.integers(1, 8), spot=st.booleans(),
)  # fmt: skip
def test_at_a_flip_owning_and_renting_cost_the_same(
    card: float, rent: float, host: float, working: float, idle: float, tariff: float, weekly: float, years: float,
    residual: float, idle_share: float, count: int, spot: bool,
) -> None:  # fmt: skip
    prices = Prices(
        card, None if spot else rent, spot_usd_per_h=rent if spot else None, host_usd_per_gpu=host,
        host_power_w_per_gpu=20.0, host_idle_w_per_gpu=10.0,
    )  # fmt: skip
    terms = Terms(tariff, 1.2, weekly, years, residual, idle_share, spot, 0.15 if spot else 0.0)
    power = Power(working, idle)
    for flip in flips(prices, count, power, terms):
        changed_prices, changed_terms = prices, terms
        if flip.field == "rent_usd_per_gpu_h":
            name = "spot_usd_per_h" if spot else "rent_usd_per_h"
            changed_prices = dataclasses.replace(prices, **{name: flip.flips_at})
        elif flip.field == "purchase_usd_per_gpu":
            changed_prices = dataclasses.replace(prices, purchase_usd=flip.flips_at)
        else:
            changed_terms = dataclasses.replace(terms, **{flip.field: flip.flips_at})
        hourly = hourly_costs(changed_prices, count, power, changed_terms)
        assert hourly.owned == pytest.approx(hourly.rent, rel=1e-6), flip
        now = hourly_costs(prices, count, power, terms)
        assert now.owned is not None
        assert now.rent is not None
        if not math.isclose(now.owned, now.rent, rel_tol=1e-6):
            assert (now.owned < now.rent) == ((flip.current > flip.flips_at) == flip.buy_above), flip


def test_flips_by_hand() -> None:
    """$3,000 over 2 years, $1 an hour, 500 W at $0.20: 3000 / 104.357 / 0.90 = 31.94 h a week."""
    prices, terms = Prices(3000.0, 1.0), Terms(0.20, 1.0, 60.0, 2.0)
    found = {flip.field: flip for flip in flips(prices, 1, Power(500.0), terms)}
    assert found["hours_per_week"].flips_at == pytest.approx(3000 / (2 * 365.25 / 7) / 0.9)
    assert found["hours_per_week"].buy_above
    assert found["purchase_usd_per_gpu"].flips_at == pytest.approx(0.9 * 60 * 2 * 365.25 / 7)
    assert not found["purchase_usd_per_gpu"].buy_above
    assert "residual_share" not in found
    assert list(flips(Prices(None, 1.0), 1, Power(500.0), terms)) == []


def test_outlays_meet_where_buying_starts_to_pay() -> None:
    prices, terms = Prices(3000.0, 1.0), Terms(0.20, 1.0, 60.0, 2.0, residual_share=0.5)
    costs = job_costs(prices, 1, 10.0, Power(500.0), terms)
    assert costs.break_even_h == pytest.approx(1500 / 0.9)
    meeting = [(buy, rent) for hours, buy, rent in outlays(costs, terms) if hours == costs.break_even_h]
    assert meeting
    assert meeting[0][0] == pytest.approx(meeting[0][1])
