"""From how many hours on buying pays, with what both prices may really be."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import advisor
from advisor import service
from advisor.documents import CostDocument, EstimateDocument
from advisor.errors import ExitCode
from advisor.render.words import cost_lines

JOB = {"data": {"samples": 1e7}}
GPU = "rtx-3090"


def estimated(tariff: float, **economics: object) -> EstimateDocument:
    terms = {"electricity_usd_per_kwh": tariff, "pue": 1.0, "hours_per_week": 100, **economics}
    (found,) = advisor.estimate("resnet50", gpus=[GPU], economics=terms, **JOB).estimates
    return found


def running(found: EstimateDocument) -> float:
    """Return the electricity of an hour of use."""
    assert found.total_time_h is not None
    assert found.cost.power_usd is not None
    assert found.cost.idle_power_usd is not None
    return (found.cost.power_usd + found.cost.idle_power_usd) / found.total_time_h.value


def spreads() -> tuple[float, float]:
    """Return by what factors the prices of the GPU vary: to buy, to rent."""
    book = service.open_advisor().prices
    buy, rent = book.buy_price(GPU), book.rent_price(GPU)
    assert buy is not None
    assert rent is not None
    return book.purchase_spread(buy), book.rent_spread(rent)


def solved(cost: CostDocument, power: float, purchase: float = 1.0, rent: float = 1.0) -> float:
    """Return the break-even of other prices to buy and to rent."""
    assert cost.purchase_usd is not None
    assert cost.residual_usd is not None
    assert cost.rent_usd_per_h is not None
    net = cost.purchase_usd * purchase - cost.residual_usd * purchase
    return net / (rent * cost.rent_usd_per_h - power)


@pytest.mark.parametrize("terms", [{}, {"residual_share": 0.3, "idle_share": 0.2}])
def test_the_interval_solves_the_equation_at_the_ends_of_the_prices(terms: dict[str, float]) -> None:
    found = estimated(0.25, **terms)
    cost, power, (buying, renting) = found.cost, running(found), spreads()
    assert buying > 1
    assert renting > 1
    even = cost.break_even
    assert even is not None
    assert even.high is not None
    assert even.value == cost.break_even_h == pytest.approx(solved(cost, power))
    for end, purchase, rent in ((even.low, 1 / buying, renting), (even.high, buying, 1 / renting)):
        # Independent: neither end of one price alone reaches so far, and not both together.
        alone = [solved(cost, power, purchase=purchase), solved(cost, power, rent=rent)]
        sides = [math.log(each / even.value) for each in alone]
        assert math.log(end / even.value) ** 2 == pytest.approx(sum(side**2 for side in sides))
        together = solved(cost, power, purchase, rent)
        assert abs(math.log(end / even.value)) < abs(math.log(together / even.value))
    # Electricity does not get cheaper with the rent, so that the upper end is farther off than the lower.
    assert even.high / even.value > even.value / even.low


def test_where_cheap_rents_cost_no_more_than_electricity_buying_may_never_pay() -> None:
    cheap = estimated(0.25)
    _, renting = spreads()
    assert cheap.cost.rent_usd_per_h is not None
    # Between the rent that is counted and the cheapest of ten.
    tariff = 0.25 * cheap.cost.rent_usd_per_h * (1 + 1 / renting) / 2 / running(cheap)
    found = estimated(tariff)
    even = found.cost.break_even
    assert running(found) < (found.cost.rent_usd_per_h or 0) < running(found) * renting
    assert even is not None
    assert (even.high, even.low < even.value) == (None, True)
    assert "never" in dict(cost_lines(found.cost, 1))["break-even"]
    assert estimated(4 * tariff).cost.break_even is None


def test_a_quote_is_what_it_says(run, tmp_path: Path) -> None:
    buy, rent = tmp_path / "buy.csv", tmp_path / "rent.csv"
    buy.write_text("vendor,gpu,unit price,currency\nShop,RTX 3090,700,USD\n", "utf-8")
    rent.write_text("vendor,gpu,price per gpu hour,currency\nCloud,RTX 3090,0.40,USD\n", "utf-8")
    quotes = ["--quotes", str(buy), "--quotes", str(rent)]
    code, out, err = run("estimate", "resnet50", "--samples", "1e7", "--gpu", GPU, *quotes, "--json")
    assert (code, err) == (ExitCode.ANSWERED, "")
    even = json.loads(out)["estimates"][0]["cost"]["break_even"]
    assert even["low"] == even["value"] == even["high"]
