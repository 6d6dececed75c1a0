"""What renting is billed for, from price list to answer: whole instances, interruptions, the shortest rental."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import advisor
from advisor.documents import EstimateDocument
from advisor.economics import Costs, Power, Prices, Terms, job_costs
from advisor.errors import ExitCode
from advisor.fleet.market import Demand, Limits, Market, Offer
from advisor.fleet.market import Terms as FleetTerms
from advisor.fleet.options import choices_of
from advisor.instances import billed_gpus
from advisor.price_book import PriceBook
from advisor.prices import PriceKind, PriceRecord
from advisor.quantity import Quantity

TERMS = Terms(electricity_usd_per_kwh=0.1, pue=1.2, hours_per_week=40, horizon_years=3)
TODAY = datetime.date(2026, 8, 10)


def offer(
    price: float,
    size: int,
    provider: str = "a",
    kind: PriceKind = "cloud_on_demand",
    date: str = "2026-08-01",
) -> PriceRecord:
    return PriceRecord(
        gpu_id="x",
        kind=kind,
        provider=provider,
        gpus_per_instance=size,
        price_usd=price,
        date=date,
        source="s",
    )


def rented(offers: list[PriceRecord], count: int, *, spot: bool = False) -> Costs:
    """Return the costs of an hour, from the offers through the book."""
    book = PriceBook(offers, today=TODAY)
    found = book.spot_price("x", count) if spot else book.rent_price("x", count)
    assert found is not None
    prices = Prices(
        None, None if spot else found.price_usd, found.gpus_per_instance,
        spot_usd_per_h=found.price_usd if spot else None, spot_billed_gpus=found.gpus_per_instance,
    )  # fmt: skip
    return job_costs(prices, count, 1.0, Power(100.0), dataclasses.replace(TERMS, spot=spot))


@pytest.mark.parametrize(("count", "billed"), [(1, 8), (8, 8), (9, 16), (12, 16), (16, 16)])
@pytest.mark.parametrize("kind", ["cloud_on_demand", "quote_rent", "cloud_spot"])
def test_machines_of_eight_are_billed_whole(kind: PriceKind, count: int, billed: int) -> None:
    spot = kind == "cloud_spot"
    assert billed_gpus(count, 8) == billed
    assert rented([offer(2.0, 8, kind=kind)], count, spot=spot).rent == 2.0 * billed
    if kind != "quote_rent":
        # The median of three: the one in the middle.
        three = [offer(price, 8, provider, kind) for provider, price in (("a", 2.0), ("b", 3.0), ("c", 1.0))]
        assert rented(three, count, spot=spot).rent == 2.0 * billed


@pytest.mark.parametrize(
    ("count", "usd"),
    # Eights at $2.00 against single GPUs at $2.50: two machines of eight cost $32.
    [(1, 2.5), (6, 15.0), (7, 16.0), (8, 16.0), (9, 22.5), (10, 25.0), (12, 30.0), (13, 32.0), (16, 32.0)],
)
def test_the_quote_that_costs_least_for_so_many_counts(count: int, usd: float) -> None:
    quotes = [offer(2.0, 8, "eight", "quote_rent"), offer(2.5, 1, "one", "quote_rent")]
    for order in (quotes, quotes[::-1]):
        assert rented(order, count).rent == pytest.approx(usd)


def test_the_median_is_of_what_so_many_cost_in_each_cloud() -> None:
    offers = [offer(2.0, 8, "a"), offer(3.0, 1, "b"), offer(2.6, 4, "c")]
    # 9 GPUs: 16 x 2.00 = 32.00, 9 x 3.00 = 27.00, 12 x 2.60 = 31.20
    assert rented(offers, 9).rent == pytest.approx(31.20)
    # 16 GPUs: 32.00, 48.00, 41.60
    assert rented(offers, 16).rent == pytest.approx(41.60)
    nine, sixteen = (PriceBook(offers, today=TODAY).rent_price("x", count) for count in (9, 16))
    assert nine is not None
    assert sixteen is not None
    assert "whole instances" in (nine.note or "")
    assert "whole instances" not in (sixteen.note or "")
    # Of one or two only those that do not hold more count.
    assert rented(offers, 2).rent == pytest.approx(6.00)


def test_of_one_cloud_the_machine_that_is_filled_counts_else_the_cheapest() -> None:
    offers = [offer(3.0, 8), offer(2.5, 1), offer(2.7, 4)]
    assert rented(offers, 8).rent == pytest.approx(24.0), "GPUs of one machine, not eight machines"
    assert rented(offers, 12).rent == pytest.approx(12 * 2.7)
    assert rented(offers, 9).rent == pytest.approx(9 * 2.5)
    assert rented([offer(1.0, 8), offer(2.5, 1)], 9).rent == pytest.approx(16.0)


@given(
    offers=st.lists(
        st.tuples(st.integers(1, 1000), st.sampled_from((1, 2, 4, 8)), st.sampled_from("abcde")), min_size=1
    ),
    count=st.integers(1, 40),
)  # fmt: skip
def test_what_is_billed_lies_among_what_the_offers_ask(
    offers: list[tuple[int, int, str]], count: int
) -> None:
    """No median is less than the cheapest offer for so many whole instances, or more than the dearest."""
    found = rented([offer(cents / 100, size, provider) for cents, size, provider in offers], count).rent
    asked = [cents / 100 * billed_gpus(count, size) for cents, size, _ in offers]
    assert found is not None
    assert min(asked) - 1e-5 <= found <= max(asked) + 1e-5


@pytest.mark.parametrize(("count", "usd_per_h"), [(8, 16.0), (9, 32.0)])
def test_an_answer_warns_of_what_is_billed_and_not_used(
    run, tmp_path: Path, count: int, usd_per_h: float
) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_text(
        "vendor,gpu,price per gpu hour,currency,gpus per node\nX,H100 SXM5 80GB,2.00,USD,8\n", "utf-8"
    )
    job = ["resnet50", "--samples", "3e6", "--batch", "288", "--gpu", "h100-sxm5-80gb", "--count", str(count)]
    code, out, err = run("estimate", *job, "--quotes", str(quotes), "--json")
    assert (code, err) == (ExitCode.ANSWERED, "")
    (found,) = json.loads(out)["estimates"]
    assert found["cost"]["rent_usd_per_h"] == usd_per_h
    said = "rented only in instances of 8 GPUs"
    assert (said in found["warnings"]) == (count == 9)


def estimated(gpu: str, economics: dict[str, object], **fields: Any) -> EstimateDocument:
    (found,) = advisor.estimate("resnet50", gpus=[gpu], economics=economics, **fields).estimates
    return found


def test_a_job_shorter_than_the_shortest_rental_costs_that_whatever_its_time() -> None:
    job = {"data": {"samples": 3e6}, "constraints": {"acquire": ["rent"]}}
    found = estimated("rtx-3090", {"minimum_rental_h": 24}, **job)
    cost, hours = found.cost, found.total_time_h
    assert hours is not None
    assert hours.high < 24
    assert cost.rent_usd_per_h is not None
    assert cost.rent_usd == pytest.approx(24 * cost.rent_usd_per_h)
    assert (cost.total_usd, cost.total_by) == (cost.rent_usd, "rent"), "buying is not allowed"
    assert cost.total_interval_usd == Quantity(value=cost.rent_usd, low=cost.rent_usd, high=cost.rent_usd)
    assert cost.usd_per_1k_samples == pytest.approx(cost.rent_usd / 3e3)


def test_where_only_a_slow_run_is_longer_than_the_shortest_rental_the_interval_starts_there() -> None:
    job = {"data": {"samples": 3e6}, "constraints": {"acquire": ["rent"]}}
    hours = estimated("rtx-3090", {}, **job).total_time_h
    assert hours is not None
    shortest = (hours.value + hours.high) / 2
    cost = estimated("rtx-3090", {"minimum_rental_h": shortest}, **job).cost
    assert cost.total_interval_usd is not None
    assert cost.rent_usd_per_h is not None
    assert cost.total_interval_usd.low == pytest.approx(shortest * cost.rent_usd_per_h)
    assert cost.total_interval_usd.value == pytest.approx(shortest * cost.rent_usd_per_h)
    assert cost.total_interval_usd.high == pytest.approx(hours.high * cost.rent_usd_per_h)


def test_the_advice_is_one() -> None:
    """What turns the advice, where it pays off, what a year costs and the total agree."""
    economics = {"minimum_rental_h": 24, "hours_per_week": 5}
    cost = estimated("rtx-3090", economics, data={"samples": 3e6}).cost
    assert cost.total_by == "buy"
    assert cost.owned_usd_per_year is not None
    assert cost.rent_usd_per_year is not None
    assert cost.owned_usd_per_year < cost.rent_usd_per_year
    (week,) = (flip for flip in cost.flips if flip.assumption == "hours_per_week")
    assert (week.buy_when, week.flips_at < 5) == ("above", True)
    assert cost.break_even_h is not None
    assert cost.break_even_h < 5 * 52 * 3
    last = cost.over_time[-1]
    assert last.buy_usd is not None
    assert last.rent_usd is not None
    assert last.buy_usd < last.rent_usd


def test_a_job_of_unknown_length_is_no_number_of_rentals() -> None:
    plain, least = (estimated("rtx-3090", {"minimum_rental_h": hours}) for hours in (0, 24))
    assert least.cost == plain.cost
    assert any("shortest rental does not count" in said for said in least.assumptions)
    assert not any("shortest rental" in said for said in plain.assumptions)


def test_a_fleet_bills_a_run_as_an_estimate_does() -> None:
    """Half an hour of work at 20 % more time: an hour is billed at $1, not at $1.20."""
    terms = dataclasses.replace(TERMS, spot=True, spot_overhead=0.2, minimum_rental_h=1.0)
    for hours in (0.5, 0.9, 2.0):
        costs = job_costs(Prices(None, None, spot_usd_per_h=1.0), 1, hours, Power(0.0), terms)
        offered = Offer(
            "a", "x", 1, hours=Quantity.spread(hours, 1.0), rent_usd_per_h=costs.hourly.rent,
            rent_delay=terms.spot_overhead, minimum_rental_h=terms.minimum_rental_h,
        )  # fmt: skip
        market = Market(
            demands=[Demand("a", runs_per_year=100)], gpus=[], offers=[offered],
            terms=FleetTerms(horizon_years=1, electricity_usd_per_kwh=0.1), limits=Limits(),
        )  # fmt: skip
        (option,) = [each for each in choices_of(market).options if each.way == "rent"]
        assert costs.rent is not None
        assert option.rent_cents == round(100 * 100 * costs.rent)
