"""Money, worked out by hand to the cent, and sums that must hold for all prices."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.economics import (
    Costs,
    Flip,
    Power,
    Prices,
    Terms,
    Way,
    break_even_hours,
    energy_kwh,
    flips,
    hourly_costs,
    hours_of_use,
    job_costs,
    outlays,
)
from advisor.units import WEEKS_PER_YEAR

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
class Situation:
    """A job, and everything that its costs depend on."""

    prices: Prices
    count: int
    hours: float
    power: Power
    terms: Terms

    def costs(self, acquire: tuple[Way, ...] = ("buy", "rent")) -> Costs:
        return job_costs(self.prices, self.count, self.hours, self.power, self.terms, acquire)

    def flips(self) -> list[Flip]:
        return list(flips(self.prices, self.count, self.power, self.terms, self.hours))

    def at(self, field: str, value: float) -> Situation:
        """Return the same with one assumption of :func:`flips` changed."""
        renting = "spot_usd_per_h" if self.terms.spot else "rent_usd_per_h"
        name = {"rent_usd_per_gpu_h": renting, "purchase_usd_per_gpu": "purchase_usd"}.get(field)
        if name is None:
            return dataclasses.replace(self, terms=dataclasses.replace(self.terms, **{field: value}))
        return dataclasses.replace(self, prices=dataclasses.replace(self.prices, **{name: value}))

    def ratio(self) -> float:
        """Return what owning costs over what renting costs."""
        costs = self.costs()
        assert costs.owned is not None
        assert costs.rent is not None
        return costs.owned / costs.rent


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Draw jobs on spot or on demand, in whole instances, with a shortest rental, hosts, idle hours and resale."""
    spot = draw(st.booleans())
    rent, size = draw(st.floats(0.05, 20)), draw(st.sampled_from((1, 2, 4, 8)))
    prices = Prices(
        purchase_usd=draw(st.floats(50, 50_000)),
        rent_usd_per_h=None if spot else rent,
        billed_gpus=1 if spot else size,
        spot_usd_per_h=rent if spot else None,
        spot_billed_gpus=size if spot else 1,
        host_usd_per_gpu=draw(st.just(0.0) | st.floats(0, 12_000)),
        host_power_w_per_gpu=20.0,
        host_idle_w_per_gpu=10.0,
    )
    terms = Terms(
        electricity_usd_per_kwh=draw(st.just(0.0) | st.floats(0.01, 1)),
        pue=draw(st.floats(1, 2)),
        hours_per_week=draw(st.floats(0.5, 168)),
        horizon_years=draw(st.floats(0.5, 10)),
        residual_share=draw(st.just(0.0) | st.floats(0, 0.9)),
        idle_share=draw(st.just(0.0) | st.floats(0, 1)),
        spot=spot,
        spot_overhead=draw(st.floats(0, 1)),
        minimum_rental_h=draw(st.sampled_from((0.0, 1.0, 24.0, 720.0))),
        carbon_g_per_kwh=400.0,
    )
    power = Power(draw(st.floats(10, 5000)), draw(st.floats(0, 500)))
    return Situation(prices, draw(st.integers(1, 20)), draw(st.floats(0.01, 2000)), power, terms)


@given(situations())
def test_at_a_flip_owning_and_renting_cost_the_same_and_beside_it_the_advice_turns(
    situation: Situation,
) -> None:
    now = situation.ratio()
    for flip in situation.flips():
        assert situation.at(flip.field, flip.flips_at).ratio() == pytest.approx(1, rel=1e-6), flip
        if not math.isclose(now, 1, rel_tol=1e-9):
            assert (now < 1) == ((flip.current > flip.flips_at) == flip.buy_above), flip
            assert situation.costs().total_by == ("buy" if now < 1 else "rent")
        for factor in (0.98, 1.02):
            if flip.field == "hours_per_week" and flip.flips_at * factor > 168:
                continue
            if flip.field == "residual_share" and flip.flips_at * factor >= 1:
                continue
            beside = situation.at(flip.field, flip.flips_at * factor)
            if not math.isclose(beside.ratio(), 1, rel_tol=1e-9):
                way = "buy" if (factor > 1) == flip.buy_above else "rent"
                assert beside.costs().total_by == way, flip


@given(situations())
def test_what_is_not_said_to_flip_does_not(situation: Situation) -> None:
    said = {flip.field for flip in situation.flips()}
    ends = {
        "hours_per_week": (1e-3, 168.0),
        "rent_usd_per_gpu_h": (1e-9, 1e9),
        "purchase_usd_per_gpu": (1e-9, 1e9),
        "horizon_years": (1e-6, 1e9),
        "residual_share": (0.0, 1 - 1e-9),
        "electricity_usd_per_kwh": (0.0, 1e9),
    }
    for field in set(ends) - said:
        low, high = (situation.at(field, end).ratio() - 1 for end in ends[field])
        assert low * high > 0 or min(abs(low), abs(high)) < 1e-6, field


@given(situations())
def test_parts_add_up_and_the_total_is_the_least_of_what_is_allowed(situation: Situation) -> None:
    costs = situation.costs()
    assert costs.purchase is not None
    assert costs.residual is not None
    assert costs.power is not None
    assert costs.idle is not None
    assert costs.owned is not None
    assert costs.rent is not None
    used_up = (costs.purchase - costs.residual) * situation.hours / hours_of_use(situation.terms)
    assert costs.owned == pytest.approx(used_up + costs.power + costs.idle)
    assert costs.electricity_kwh is not None
    paid = costs.electricity_kwh * situation.terms.electricity_usd_per_kwh
    assert paid == pytest.approx(costs.power + costs.idle), "what is billed is what is counted"
    assert costs.carbon_kg == pytest.approx(costs.electricity_kwh * 0.4)
    assert costs.total == min(costs.owned, costs.rent)
    bought, rented = situation.costs(("buy",)), situation.costs(("rent",))
    assert (bought.total, bought.total_by) == (costs.owned, "buy")
    assert (rented.total, rented.total_by) == (costs.rent, "rent")
    prices = dataclasses.replace(situation.prices, no_purchase="not for sale")
    refused = dataclasses.replace(situation, prices=prices)
    assert (refused.costs().total, refused.costs().total_by) == (costs.rent, "rent")
    assert refused.costs().break_even_h is None
    assert refused.flips() == []
    assert refused.costs(("buy",)).total is None


@given(situations())
def test_after_the_break_even_both_ways_have_cost_the_same(situation: Situation) -> None:
    """As many jobs as take those hours, each rented anew, against the purchase and their electricity."""
    costs = situation.costs()
    assert costs.rent is not None
    assert costs.purchase is not None
    assert costs.residual is not None
    assert costs.power is not None
    assert costs.idle is not None
    if costs.break_even_h is None:
        assert costs.rent <= (costs.power + costs.idle) * (1 + 1e-9)
        return
    jobs = costs.break_even_h / situation.hours
    owning = costs.purchase - costs.residual + jobs * (costs.power + costs.idle)
    assert jobs * costs.rent == pytest.approx(owning, rel=1e-6)
    use = hours_of_use(situation.terms)
    if not math.isclose(costs.break_even_h, use, rel_tol=1e-9):
        assert costs.total_by == ("buy" if costs.break_even_h < use else "rent")


@given(situations(), st.floats(1, 3))
def test_what_costs_more_makes_nothing_cheaper(situation: Situation, factor: float) -> None:
    before = situation.costs()
    prices, terms = situation.prices, situation.terms
    dearer = {
        "owned": dataclasses.replace(
            situation, prices=dataclasses.replace(prices, purchase_usd=(prices.purchase_usd or 0) * factor)
        ),
        "power": situation.at("electricity_usd_per_kwh", terms.electricity_usd_per_kwh * factor),
        "rent": situation.at("rent_usd_per_gpu_h", factor * (prices.spot_usd_per_h or prices.rent_usd_per_h or 0)),
        "minimum": situation.at("minimum_rental_h", terms.minimum_rental_h * factor),
        "longer": dataclasses.replace(situation, hours=situation.hours * factor),
    }  # fmt: skip
    slack = 1 - 1e-9
    for changed in dearer.values():
        after = changed.costs()
        for name in ("owned", "rent", "total", "power", "idle", "electricity_kwh", "carbon_kg"):
            assert getattr(after, name) >= getattr(before, name) * slack, name
    for way, other in (("owned", "rent"), ("rent", "owned")):
        assert getattr(dearer[way].costs(), other) == getattr(before, other)
    later, sooner = dearer["owned"].costs().break_even_h, dearer["rent"].costs().break_even_h
    if before.break_even_h is not None:
        assert later is not None
        assert sooner is not None
        assert sooner * slack <= before.break_even_h <= later / slack


def test_the_advice_of_a_day_billed_for_an_hour_is_one_advice() -> None:
    """$704 and $0.275 an hour, a day at least: an hour costs $6.60, so that buying pays from 0.69 h a week on."""
    prices, power = Prices(704.0, 0.275), Power(271.0)
    terms = Terms(0.18, 1.2, 5.0, 3.0, minimum_rental_h=24.0)
    costs = job_costs(prices, 1, 1.0, power, terms)
    assert (cents(costs.rent), costs.total_by) == (6.60, "buy")
    found = {flip.field: flip for flip in flips(prices, 1, power, terms, 1.0)}
    # 704 / (3 x 52.18) / (6.60 - 0.271 x 1.2 x 0.18)
    assert found["hours_per_week"].flips_at == pytest.approx(704 / (3 * 365.25 / 7) / (6.60 - 0.0585360))
    assert costs.break_even_h == pytest.approx(704 / (6.60 - 0.0585360))
    last = outlays(costs, terms)[-1]
    assert last[2] == pytest.approx(6.60 * hours_of_use(terms))


def test_interruptions_count_towards_the_shortest_rental() -> None:
    """Half an hour of work takes 0.6 h of a spot instance; an hour is billed, not an hour and a fifth."""
    spot = Prices(None, None, spot_usd_per_h=1.0)
    terms = Terms(0.1, 1.0, 40, 3, spot=True, spot_overhead=0.2, minimum_rental_h=1.0)
    assert [cents(job_costs(spot, 1, hours, Power(0.0), terms).rent) for hours in (0.5, 0.9, 2.0)] == [
        1.00,
        1.08,
        2.40,
    ]


def test_idle_hours_are_on_the_bill_and_in_the_air() -> None:
    """100 h of 400 W, and 1,580 idle hours of 100 W: 40 + 158 = 198 kWh, 99 kg at 500 g."""
    terms = Terms(0.2, 1.0, 10, 3, idle_share=1.0, carbon_g_per_kwh=500)
    costs = job_costs(Prices(10_000.0, 1.0), 1, 100, Power(400, 100), terms)
    assert costs.electricity_kwh == pytest.approx(198)
    assert cents((costs.power or 0) + (costs.idle or 0)) == 39.60
    assert costs.carbon_kg == pytest.approx(99)


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


HOSTED = Prices(
    3000.0, 2.0, 4, spot_usd_per_h=0.5, spot_billed_gpus=2, host_usd_per_gpu=1000.0, host_power_w_per_gpu=100.0,
    host_idle_w_per_gpu=50.0,
)  # fmt: skip


def test_spot_and_host_stand_beside_what_is_counted() -> None:
    """Three GPUs: four are rented on demand at $2, four as spot at $0.50 and a tenth more; hosts of $1,000."""
    terms = Terms(0.20, 1.0, 60.0, 2.0, residual_share=0.25, spot_overhead=0.1, minimum_rental_h=10.0)
    short, long = (job_costs(HOSTED, 3, hours, Power(700.0, 0.0), terms) for hours in (4.0, 40.0))
    assert short.host == long.host == 3000.0
    assert (short.purchase, short.residual) == (12_000.0, 3000.0)
    assert (short.spot, long.spot) == pytest.approx((4 * 0.5 * 10, 4 * 0.5 * 1.1 * 40))
    assert (short.rent, long.rent) == pytest.approx((80, 320))
    # 700 W and 100 W for each host are 1 kW: 0.8 and 8 dollars.
    assert (short.power, long.power) == pytest.approx((0.8, 8.0))
    assert long.carbon_kg is None
    spot = job_costs(HOSTED, 3, 40.0, Power(700.0), dataclasses.replace(terms, spot=True))
    assert spot.rent == pytest.approx(long.spot)
    green = job_costs(
        HOSTED, 3, 40.0, Power(700.0), dataclasses.replace(terms, pue=1.5, carbon_g_per_kwh=500.0)
    )
    assert green.carbon_kg == pytest.approx(40 * 1.5 * 0.5)
    assert job_costs(Prices(3000.0, 2.0), 3, 40.0, Power(700.0), terms).spot is None


def test_without_a_duration_prices_are_known_all_the_same() -> None:
    terms = Terms(0.20, 1.0, 60.0, 2.0, residual_share=0.25)
    costs = job_costs(HOSTED, 3, None, Power(700.0), terms)
    assert (costs.purchase, costs.host, costs.residual) == (12_000.0, 3000.0, 3000.0)
    assert costs.hourly == hourly_costs(HOSTED, 3, Power(700.0), terms)
    # $9,000 are lost; an hour of four rented GPUs saves $8 less 1 kW at $0.20 and 150 W of hosts that never idle.
    assert costs.break_even_h == pytest.approx(9000 / 7.8)
    assert (costs.idle, costs.total_by, costs.carbon_kg, costs.spot) == (None, None, None, None)


def test_what_cannot_be_bought_is_rented_however_dear() -> None:
    closed = dataclasses.replace(HOSTED, no_purchase="sold in servers only")
    costs = job_costs(closed, 1, 10_000.0, Power(300.0), HOUSE)
    assert costs.owned is not None
    assert costs.rent is not None
    assert costs.owned < costs.rent
    assert (costs.total, costs.total_by) == (costs.rent, "rent")
    assert costs.break_even_h is None
    assert list(flips(closed, 1, Power(300.0), HOUSE)) == []


def test_flips_of_rent_electricity_and_what_is_left() -> None:
    """$3,000, half of it left after 2 years of 60 h a week, $1 an hour, 500 W at $0.20: an hour saves $0.90."""
    terms, power = Terms(0.20, 1.0, 60.0, 2.0, residual_share=0.5), Power(500.0)
    prices = Prices(3000.0, 1.0, spot_usd_per_h=0.25)
    hours = 60 * 365.25 / 7 * 2
    owned = 1500 / hours + 0.1
    found = {flip.field: flip for flip in flips(prices, 1, power, terms)}
    assert {name: flip.current for name, flip in found.items()} == {
        "hours_per_week": 60.0, "rent_usd_per_gpu_h": 1.0, "purchase_usd_per_gpu": 3000.0, "horizon_years": 2.0,
        "electricity_usd_per_kwh": 0.20,
    }  # fmt: skip
    assert found["rent_usd_per_gpu_h"].flips_at == pytest.approx(owned)
    assert found["purchase_usd_per_gpu"].flips_at == pytest.approx(0.9 * hours / 0.5)
    assert found["horizon_years"].flips_at == pytest.approx(2 * (1500 / hours) / 0.9)
    assert found["electricity_usd_per_kwh"].flips_at == pytest.approx((1 - 1500 / hours) / 0.5)
    assert {name for name, flip in found.items() if not flip.buy_above} == {
        "purchase_usd_per_gpu", "electricity_usd_per_kwh",
    }  # fmt: skip
    # Interruptible instances at a quarter of the price: rent flips at what an hour owned costs all the same.
    spot = {flip.field: flip for flip in flips(prices, 1, power, dataclasses.replace(terms, spot=True))}
    assert (spot["rent_usd_per_gpu_h"].current, spot["rent_usd_per_gpu_h"].flips_at) == pytest.approx(
        (0.25, owned)
    )
    # At $20,000 the purchase never pays unless more of it is left: 20,000 x (1 - share) = 0.90 x 6,261.
    dear = {
        flip.field: flip
        for flip in flips(dataclasses.replace(prices, purchase_usd=20_000.0), 1, power, terms)
    }
    assert dear["residual_share"].flips_at == pytest.approx(1 - 0.9 * hours / 20_000)
    assert (dear["residual_share"].current, dear["residual_share"].buy_above) == (0.5, True)
    assert "electricity_usd_per_kwh" not in dear, "free electricity does not save it"
    assert "hours_per_week" in dear


def test_assumptions_that_cannot_flip_are_left_out() -> None:
    terms, power = Terms(0.20, 1.0, 60.0, 2.0), Power(500.0)

    def fields(prices: Prices, terms: Terms = terms) -> set[str]:
        return {flip.field for flip in flips(prices, 1, power, terms)}

    assert fields(Prices(None, 1.0)) == fields(Prices(3000.0, None)) == set()
    assert fields(Prices(3000.0, None, spot_usd_per_h=1.0)) == set()
    # Electricity costs more than rent: neither a gift nor more hours help, only dearer rent and cheaper power.
    assert fields(Prices(1.0, 0.09)) == {"rent_usd_per_gpu_h", "electricity_usd_per_kwh"}
    # The host alone costs more than renting would.
    assert "purchase_usd_per_gpu" not in fields(Prices(10.0, 0.5, host_usd_per_gpu=1e6))
    # $200,000 are not earned in all hours of a week.
    assert "hours_per_week" not in fields(Prices(200_000.0, 1.0))
    assert "electricity_usd_per_kwh" not in fields(Prices(3000.0, 1.0), dataclasses.replace(terms, pue=0.0))
    # What fetches its whole price again costs its electricity only.
    lent = fields(Prices(3000.0, 1.0), dataclasses.replace(terms, residual_share=1.0))
    assert lent == {"hours_per_week", "rent_usd_per_gpu_h", "horizon_years", "electricity_usd_per_kwh"}


def test_outlays_by_hand() -> None:
    terms = Terms(0.20, 1.0, 60.0, 2.0, residual_share=0.5)
    end = 60 * 365.25 / 7 * 2
    costs = job_costs(Prices(3000.0, 1.0), 1, 10.0, Power(500.0), terms)
    found = outlays(costs, terms, points=3)
    assert [hours for hours, _, _ in found] == pytest.approx([0, 1500 / 0.9, end / 2, end])
    assert [buy for _, buy, _ in found] == pytest.approx([1500 + 0.1 * hours for hours, _, _ in found])
    assert [rent for _, _, rent in found] == pytest.approx([hours for hours, _, _ in found])
    assert len(outlays(costs, terms)) == 9 + 1
    never = job_costs(Prices(3000.0, 0.05), 1, 10.0, Power(500.0), terms)
    assert len(outlays(never, terms)) == 9
    late = job_costs(Prices(30_000.0, 1.0), 1, 10.0, Power(500.0), terms)
    assert [hours for hours, _, _ in outlays(late, terms, points=2)] == pytest.approx([0, end])
    bought = outlays(job_costs(Prices(3000.0, None), 1, 10.0, Power(500.0), terms), terms, points=2)
    assert [rent for _, _, rent in bought] == [None, None]
    rented = outlays(job_costs(Prices(None, 1.0), 1, 10.0, Power(500.0), terms), terms, points=2)
    assert [(buy, rent) for _, buy, rent in rented] == [(None, 0.0), (None, pytest.approx(end))]


def test_other_prices_leave_the_machine_as_it_is() -> None:
    prices = Prices(3000.0, 2.0, spot_usd_per_h=1.0, host_usd_per_gpu=500.0, host_power_w_per_gpu=50.0)
    assert prices.times(0.5, 3.0) == dataclasses.replace(
        prices, purchase_usd=1500.0, rent_usd_per_h=6.0, spot_usd_per_h=3.0
    )
    assert Prices(None, None).times(0.5, 3.0) == Prices(None, None)


def test_an_hour_of_several_gpus_by_hand() -> None:
    """Four cards with 25 W of idle machine each, half on in the 108 h beside 60; spot adds a tenth."""
    terms = Terms(0.20, 1.5, 60.0, 2.0, idle_share=0.5, spot=True, spot_overhead=0.1)
    prices = Prices(3000.0, 2.0, spot_usd_per_h=1.0, host_idle_w_per_gpu=25.0)
    hourly = hourly_costs(prices, 4, Power(1000.0, 300.0), terms)
    assert hourly.idle_kwh == pytest.approx(0.4 * 0.5 * 108 / 60 * 1.5)
    assert hourly.rent == hourly.rented == pytest.approx(4 * 1.0 * 1.1)
    assert hourly_costs(prices, 4, Power(1000.0), terms, hours=10.0).rent == pytest.approx(4.4)
