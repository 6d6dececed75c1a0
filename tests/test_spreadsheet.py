"""Costs against a worksheet as an accountant keeps one: exact decimals, line by line, in cents.

The worksheet shares no code and no formula with the package; it says in decimals what the README says in words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.economics import Costs, Power, Prices, Terms, job_costs
from advisor.errors import ExitCode

CENT = Decimal("0.01")
WEEKS_OF_A_YEAR = Decimal("365.25") / 7


def dollars(amount: Decimal | float) -> str:
    """Return an amount in dollars and cents, as a bill says it."""
    return str(Decimal(str(amount)).quantize(CENT, ROUND_HALF_UP))


@dataclass(frozen=True)
class Sheet:
    """One job. Amounts are texts, as they stand in the cells."""

    cards: int
    job_hours: str
    card_usd: str
    rent_usd: str
    """Of a GPU and hour; of a spot instance where there is an overhead."""
    working_w: str
    """Of all cards together; likewise ``idle_w``."""
    tariff: str
    pue: str
    weekly_hours: str
    years: str
    machine: int = 1
    """GPUs of a rented machine."""
    host_usd: str = "0"
    host_w: str = "0"
    """Of a card's share of the host, at work."""
    host_idle_w: str = "0"
    residual: str = "0"
    idle_w: str = "0"
    idle_share: str = "0"
    spot_overhead: str = "0"
    shortest_h: str = "0"
    carbon_g: str = "400"

    def machines(self) -> int:
        """Return how many machines are rented: one after the other, until all cards are there."""
        found = had = 0
        while had < self.cards:
            found, had = found + 1, had + self.machine
        return found

    def hours_billed(self) -> Decimal:
        """Return the hours on the bill of a rental."""
        interrupted = Decimal(self.job_hours) * Decimal(self.spot_overhead)
        hours = Decimal(self.job_hours) + interrupted
        return Decimal(self.shortest_h) if hours < Decimal(self.shortest_h) else hours

    def lines(self) -> dict[str, Decimal]:
        """Return the amounts of the job: the life of the purchase, and the job's part of it."""
        weeks = WEEKS_OF_A_YEAR * Decimal(self.years)
        worked = Decimal(self.weekly_hours) * weeks
        jobs_in_a_life = worked / Decimal(self.job_hours)
        bought = self.cards * Decimal(self.card_usd)
        hosts = self.cards * Decimal(self.host_usd)
        resale = (bought + hosts) * Decimal(self.residual)
        at_work_kw = (Decimal(self.working_w) + self.cards * Decimal(self.host_w)) / 1000
        idle_kw = (Decimal(self.idle_w) + self.cards * Decimal(self.host_idle_w)) / 1000
        idle_hours = (7 * 24 * weeks - worked) * Decimal(self.idle_share)
        work_kwh = at_work_kw * worked * Decimal(self.pue) / jobs_in_a_life
        idle_kwh = idle_kw * idle_hours * Decimal(self.pue) / jobs_in_a_life
        tariff = Decimal(self.tariff)
        electricity = (work_kwh + idle_kwh) * tariff
        return {
            "purchase": bought + hosts,
            "host": hosts,
            "residual": resale,
            "power": work_kwh * tariff,
            "idle": idle_kwh * tariff,
            "owned": (bought + hosts - resale) / jobs_in_a_life + electricity,
            "rent": self.machines() * self.machine * Decimal(self.rent_usd) * self.hours_billed(),
            "electricity_kwh": work_kwh + idle_kwh,
            "carbon_kg": (work_kwh + idle_kwh) * Decimal(self.carbon_g) / 1000,
        }

    def ours(self) -> Costs:
        """Return what the package says."""
        spot = self.spot_overhead != "0"
        rent = float(self.rent_usd)
        prices = Prices(
            purchase_usd=float(self.card_usd), host_usd_per_gpu=float(self.host_usd),
            rent_usd_per_h=None if spot else rent, billed_gpus=1 if spot else self.machine,
            spot_usd_per_h=rent if spot else None, spot_billed_gpus=self.machine if spot else 1,
            host_power_w_per_gpu=float(self.host_w), host_idle_w_per_gpu=float(self.host_idle_w),
        )  # fmt: skip
        terms = Terms(
            electricity_usd_per_kwh=float(self.tariff), pue=float(self.pue),
            hours_per_week=float(self.weekly_hours), horizon_years=float(self.years),
            residual_share=float(self.residual), idle_share=float(self.idle_share), spot=spot,
            spot_overhead=float(self.spot_overhead), minimum_rental_h=float(self.shortest_h),
            carbon_g_per_kwh=float(self.carbon_g),
        )  # fmt: skip
        power = Power(float(self.working_w), float(self.idle_w))
        return job_costs(prices, self.cards, float(self.job_hours), power, terms)


SHEETS: dict[str, tuple[Sheet, dict[str, str]]] = {
    "a card at home": (
        Sheet(
            1, "57.3", "1599", "0.44", "410", tariff="0.31", pue="1", weekly_hours="40", years="3", carbon_g="381"
        ),
        {
            "purchase": "1599.00", "host": "0.00", "residual": "0.00", "power": "7.28", "idle": "0.00",
            "owned": "21.92", "rent": "25.21", "electricity_kwh": "23.49", "carbon_kg": "8.95",
        },
    ),
    "two cards in a workstation that stays on": (
        Sheet(
            2, "312.25", "2150.50", "0.69", "700", tariff="0.228", pue="1.1", weekly_hours="55", years="4",
            host_usd="1800", host_w="90", host_idle_w="60", residual="0.25", idle_w="55", idle_share="1",
        ),
        {
            "purchase": "7901.00", "host": "3600.00", "residual": "1975.25", "power": "68.91", "idle": "28.16",
            "owned": "258.26", "rent": "430.91", "electricity_kwh": "425.75", "carbon_kg": "170.30",
        },
    ),
    "a node of eight in a hall, rented whole": (
        Sheet(
            8, "1999.5", "31250", "2.79", "5210", tariff="0.092", pue="1.35", weekly_hours="168", years="5",
            machine=8, host_usd="11875", host_w="350", host_idle_w="200", residual="0.1", idle_w="800",
        ),
        {
            "purchase": "345000.00", "host": "95000.00", "residual": "34500.00", "power": "1989.19", "idle": "0.00",
            "owned": "16154.02", "rent": "44628.84", "electricity_kwh": "21621.59", "carbon_kg": "8648.64",
        },
    ),
    "three of eight, the whole machine is billed": (
        Sheet(
            3, "24", "8999.99", "1.212", "820", tariff="0.135", pue="1.58", weekly_hours="80", years="3",
            machine=8, host_usd="2500", host_w="120", host_idle_w="75", idle_w="90", idle_share="0.5",
        ),
        {
            "purchase": "34499.97", "host": "7500.00", "residual": "0.00", "power": "6.04", "idle": "0.89",
            "owned": "73.05", "rent": "232.70", "electricity_kwh": "51.32", "carbon_kg": "20.53",
        },
    ),
    "nine in machines of eight are sixteen": (
        Sheet(
            9, "100", "27000", "2.00", "6200", tariff="0.11", pue="1.4", weekly_hours="120", years="3",
            machine=8, host_usd="9000", host_w="200", host_idle_w="130", residual="0.15", idle_w="630",
            idle_share="0.25",
        ),
        {
            "purchase": "324000.00", "host": "81000.00", "residual": "48600.00", "power": "123.20", "idle": "2.77",
            "owned": "1592.09", "rent": "3200.00", "electricity_kwh": "1145.20", "carbon_kg": "458.08",
        },
    ),
    "spot, shorter than the shortest rental with its interruptions": (
        Sheet(
            4, "0.4", "5000", "0.87", "1100", tariff="0.18", pue="1.2", weekly_hours="100", years="2", machine=4,
            residual="0.3", idle_w="140", idle_share="0.2", spot_overhead="0.15", shortest_h="1", carbon_g="56",
        ),
        {
            "purchase": "20000.00", "host": "0.00", "residual": "6000.00", "power": "0.10", "idle": "0.00",
            "owned": "0.63", "rent": "3.48", "electricity_kwh": "0.54", "carbon_kg": "0.03",
        },
    ),
    "spot, longer than the shortest rental only with its interruptions": (
        Sheet(
            4, "0.9", "5000", "0.87", "1100", tariff="0.18", pue="1.2", weekly_hours="100", years="2", machine=4,
            residual="0.3", idle_w="140", idle_share="0.2", spot_overhead="0.15", shortest_h="1", carbon_g="56",
        ),
        {
            "purchase": "20000.00", "host": "0.00", "residual": "6000.00", "power": "0.21", "idle": "0.00",
            "owned": "1.42", "rent": "3.60", "electricity_kwh": "1.21", "carbon_kg": "0.07",
        },
    ),
    "an hour on a day's rental": (
        Sheet(
            1, "1", "704", "0.275", "300", tariff="0.18", pue="1.2", weekly_hours="5", years="3", shortest_h="24"
        ),
        {
            "purchase": "704.00", "host": "0.00", "residual": "0.00", "power": "0.06", "idle": "0.00",
            "owned": "0.96", "rent": "6.60", "electricity_kwh": "0.36", "carbon_kg": "0.14",
        },
    ),
}  # fmt: skip
"""Worksheets, and the cents that stand under them."""


@pytest.mark.parametrize("name", SHEETS)
def test_totals_agree_to_the_cent_with_a_spreadsheet(name: str) -> None:
    sheet, written = SHEETS[name]
    lines, costs = sheet.lines(), sheet.ours()
    assert {line: dollars(amount) for line, amount in lines.items()} == written
    for line, cents in written.items():
        assert dollars(getattr(costs, line)) == cents, line
    assert costs.total is not None
    assert dollars(costs.total) == dollars(min(lines["owned"], lines["rent"]))
    assert costs.total_by == ("buy" if lines["owned"] <= lines["rent"] else "rent")
    assert (costs.spot is None) == (sheet.spot_overhead == "0")


@given(
    cards=st.integers(1, 33), machine=st.sampled_from((1, 2, 4, 8)), job_hours=st.decimals("0.01", "5000", places=2),
    card=st.decimals("50", "50000", places=2), rent=st.decimals("0.05", "20", places=3),
    watts=st.decimals("10", "50000", places=0), idle_w=st.decimals("0", "9000", places=0),
    tariff=st.decimals("0", "1", places=3), weekly=st.decimals("1", "168", places=1), years=st.sampled_from("1235"),
    host=st.decimals("0", "12000", places=2), share=st.decimals("0", "1", places=2),
    residual=st.decimals("0", "0.95", places=2), overhead=st.sampled_from(("0", "0.15", "0.5")),
    shortest=st.sampled_from(("0", "1", "24", "720")),
)  # fmt: skip
def test_any_job_costs_what_the_worksheet_says(
    cards: int, machine: int, job_hours: Decimal, card: Decimal, rent: Decimal, watts: Decimal, idle_w: Decimal,
    tariff: Decimal, weekly: Decimal, years: str, host: Decimal, share: Decimal, residual: Decimal, overhead: str,
    shortest: str,
) -> None:  # fmt: skip
    sheet = Sheet(
        cards, str(job_hours), str(card), str(rent), str(watts), str(tariff), "1.2", str(weekly), years, machine,
        host_usd=str(host), host_w="150", host_idle_w="90", residual=str(residual), idle_w=str(idle_w),
        idle_share=str(share), spot_overhead=overhead, shortest_h=shortest,
    )  # fmt: skip
    costs = sheet.ours()
    for line, amount in sheet.lines().items():
        # Floating point keeps some fifteen digits of amounts that can be millions.
        assert getattr(costs, line) == pytest.approx(float(amount), rel=1e-11, abs=1e-9), line


def test_the_document_bills_what_the_worksheet_says(run, tmp_path: Path) -> None:
    """From two quotes to the JSON document: 9 cards, machines of 8, a day at least, in euros, with residual value."""
    shop, cloud = tmp_path / "shop.csv", tmp_path / "cloud.csv"
    shop.write_text("vendor,gpu,unit price,currency\nShop,RTX 4090,1650.00,EUR\n", "utf-8")
    cloud.write_text(
        "vendor,gpu,price per gpu hour,currency,gpus per node\nCloud,RTX 4090,0.40,EUR,8\n", "utf-8"
    )
    quotes = ["--quotes", str(shop), "--quotes", str(cloud), "--rate", "EUR=1.08"]
    terms = {
        "electricity_usd_per_kwh": "0.27", "pue": "1.3", "hours_per_week": "35", "horizon_years": "4",
        "residual_share": "0.2", "minimum_rental_h": "24", "carbon_g_per_kwh": "350",
    }  # fmt: skip
    said = [word for name, value in terms.items() for word in ("--set", f"economics.{name}={value}")]
    job = ["resnet50", "--samples", "20e6", "--batch", "288", "--gpu", "rtx-4090", "--count", "9", *said]
    code, out, err = run("estimate", *job, *quotes, "--json")
    assert (code, err) == (ExitCode.ANSWERED, "")
    (found,) = json.loads(out)["estimates"]
    hours, watts, cost = found["total_time_h"], found["power_w"], found["cost"]
    assert hours["high"] < 24, "otherwise the shortest rental does not show"
    # 1,650.00 EUR are $1,782.00, 0.40 EUR are $0.432.
    sheet = Sheet(
        9, str(hours["value"]), "1782.00", "0.432", str(watts), "0.27", "1.3", "35", "4", machine=8,
        residual="0.2", shortest_h="24", carbon_g="350",
    )  # fmt: skip
    lines = sheet.lines()
    documented = {
        "purchase": "purchase_usd", "residual": "residual_usd", "power": "power_usd", "idle": "idle_power_usd",
        "owned": "owned_usd", "rent": "rent_usd",
    }  # fmt: skip
    for line, field in documented.items():
        assert dollars(cost[field]) == dollars(lines[line]), line
    # Two machines of eight for a day: 16 x 24 x 0.432
    assert dollars(cost["rent_usd"]) == "165.89"
    assert dollars(cost["total_usd"]) == dollars(min(lines["owned"], lines["rent"]))
    assert cost["electricity_kwh"]["value"] == pytest.approx(float(lines["electricity_kwh"]))
    assert cost["carbon_kg"]["value"] == pytest.approx(float(lines["carbon_kg"]))
