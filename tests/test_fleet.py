"""A fleet: its document, the cheapest set of GPUs against every other set, and what is said about it."""

from __future__ import annotations

import datetime
import itertools
import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.documents import ExcludedDocument, RelaxDocument
from advisor.errors import InputError, MissingExtraError
from advisor.fleet.answer import fleet_answer
from advisor.fleet.dominance import pruned
from advisor.fleet.market import Demand, Gpu, Limits, Machine, Market, Offer, Terms, Tier
from advisor.fleet.options import Choices, Option, choices_of, least_cards
from advisor.fleet.plan import Bought, Plan
from advisor.fleet.solver import Question, best_plan
from advisor.fleet_documents import FleetAnswer
from advisor.fleet_file import Fleet, build_fleet, read_fleet
from advisor.quantity import Model, Quantity
from advisor.render.fleet import render
from advisor.render.table import Page
from advisor.units import WEEKS_PER_YEAR

TODAY = datetime.date(2026, 11, 23)
FREE = Terms(horizon_years=1, electricity_usd_per_kwh=0.0, utilisation=1.0)
"""A year in which electricity costs nothing and GPUs may work all week."""


SMALL, MIDDLE, LARGE = (
    Machine("small", 2, 400.0, 40.0, 0.06),
    Machine("middle", 4, 1800.0, 180.0, 0.15),
    Machine("large", 8, 5000.0, 500.0, 0.45),
)
MACHINES = (
    (),
    (SMALL,),
    (SMALL, MIDDLE),
    (SMALL, MIDDLE, LARGE),
    (LARGE,),
    (Machine("odd", 3, 900.0), LARGE),
)


def hours(value: float) -> Quantity:
    return Quantity.spread(value, 1.25)


def weekly(name: str, runs: float, **rest: object) -> Demand:
    return Demand(name, runs_per_year=runs * WEEKS_PER_YEAR, **rest)  # type: ignore[arg-type]


def card(name: str, usd: float, tdp_w: float = 300, **rest: object) -> Gpu:
    return Gpu(name, name.upper(), tdp_w, (Tier(1, usd, price="list", date="2026-08"),), **rest)  # type: ignore[arg-type]


def answer(market: Market) -> FleetAnswer:
    return fleet_answer(market, name="ours", as_of=TODAY)


def best(market: Market) -> Plan:
    plan = best_plan(choices_of(market), Question(market.limits))
    assert plan is not None
    return plan


def cards(plan: Plan) -> dict[str, int]:
    return {each.supply.gpu.id: each.count for each in plan.bought}


# The document of the user.


def test_a_fleet_with_a_document_a_file_and_a_shipped_model(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "model: {name: bert-base}\ndata: {tokens: 1e9}\nconstraints: {budget_usd: 9, min_memory_gib: 20}\n"
        "economics: {pue: 1.5}\n"
    )
    path = tmp_path / "fleet.yaml"
    path.write_text(
        """
name: our year
workloads:
  - workload: llama-3.1-8b
    runs_per_week: 7
    deadline_h: 12
  - {name: big, workload: job.yaml, runs: 30, acquire: [rent]}
  - workload: {name: chat, model: {name: llama-3.1-8b}, task: inference}
    requests_per_s: 5
    hours_per_week: 60
constraints: {budget_usd: 5e4, min_memory_gib: 16, deadline_h: 100}
economics: {pue: 1.1, horizon_years: 2}
cautious: true
"""
    )
    fleet = read_fleet(str(path))
    first, big, chat = fleet.jobs
    assert [job.name for job in fleet.jobs] == ["llama-3.1-8b", "big", "chat"]
    assert first.runs_per_year == pytest.approx(365.25)
    assert big.runs_per_year == 15
    assert (chat.runs_per_year, chat.requests_per_s, chat.hours_per_week) == (None, 5, 60)
    assert (first.deadline_h, big.deadline_h, chat.deadline_h) == (12, 100, None)
    assert (first.acquire, big.acquire) == (("buy", "rent"), ("rent",))
    assert big.workload.constraints.min_memory_gib == 20
    assert big.workload.constraints.budget_usd is None
    assert {job.workload.economics.pue for job in fleet.jobs} == {1.1}
    assert fleet.constraints.budget_usd == 5e4
    assert fleet.cautious
    assert len(fleet.notes) == 2
    assert all(note.startswith("big: its own") for note in fleet.notes)


@pytest.mark.parametrize(
    ("text", "words", "field", "line"),
    [
        ("workloads:\n- workload: a\n  runs: 3\n  runs_per_week: 1", "exactly one of", "workloads.0", 2),
        ("workloads:\n- workload: a", "got none", "workloads.0", 2),
        ("workloads: []", "not an accepted value", "workloads", 1),
        ("workloads:\n- workload: ''\n  runs: 1", "not an accepted value", "workloads.0.workload", 2),
        ("workloads:\n- workload: a\n  runs: 0", "not an accepted value", "workloads.0.runs", 3),
        ("workloads:\n- workload: a\n  run: 1", "unknown field", "workloads.0.run", 3),
        (
            "workloads:\n- workload: a\n  runs: 1\n- workload: a\n  runs: 2",
            "two workloads",
            "workloads.1.name",
            4,
        ),
        ("workloads:\n- workload: no.yaml\n  runs: 1", "no such file", "workloads.0.workload", 2),
        (
            "workloads:\n- workload:\n    model: {name: a}\n    dataa: {}\n  runs: 1",
            "unknown field",
            "workloads.0.workload.dataa",
            4,
        ),
        ("workloads:\n- workload: a\n  requests_per_s: 1", "served model", "workloads.0.requests_per_s", 3),
        ("workloads:\n- workload: a\n  runs: 1\n  hours_per_week: 9", "served models", "workloads.0", 2),
        ("workloads:\n- workload: a\n  runs: 1\nutilisation: 1.1", "not an accepted", "utilisation", 4),
        (
            "workloads:\n- workload: a\n  runs: 1\neconomics: {hours_per_week: 9}",
            "follow from its workloads",
            "economics.hours_per_week",
            4,
        ),
        (
            "workloads:\n- workload: {model: {name: a}, constraints: {acquire: [buy]}}\n  runs: 1\n"
            "constraints: {acquire: [rent]}",
            "exclude each other",
            "workloads.0.workload",
            2,
        ),
    ],
)
def test_a_wrong_document_is_refused_with_file_line_and_field(
    text: str, words: str, field: str, line: int
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        build_fleet(text, "fleet.yaml")
    assert (caught.value.source, caught.value.field, caught.value.line) == ("fleet.yaml", field, line)


def test_a_fault_in_a_workloads_own_file_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("model: {name: a}\ndata: {tokenz: 3}\n")
    with pytest.raises(InputError) as caught:
        build_fleet("workloads: [{workload: job.yaml, runs: 1}]", "fleet.yaml", folder=tmp_path)
    assert caught.value.source == str(tmp_path / "job.yaml")
    assert caught.value.line == 2


def test_a_later_error_about_a_workload_is_given_its_place() -> None:
    fleet: Fleet = build_fleet("workloads:\n- {workload: a, runs: 1}\n- {workload: b, runs: 1}", "fleet.yaml")
    error = fleet.jobs[1].blamed(InputError("no such model", field="model.name"))
    assert (error.source, error.line, error.field) == ("fleet.yaml", 3, "workloads.1.workload.model.name")


# The optimum, by hand.


def test_two_workloads_share_a_card_that_neither_would_pay_for() -> None:
    """70 h a week each, an hour rented 0.20: 730.50 a year each; a card of 1,000 does both."""
    demands = [weekly("a", 7), weekly("b", 7)]
    offers = [Offer(name, "x", 1, hours=hours(10), rent_usd_per_h=0.2) for name in "ab"]
    market = Market(demands, [card("x", 1000)], offers, FREE)
    plan = best(market)
    assert cards(plan) == {"x": 1}
    assert plan.total_cents == 100_000
    alone = best(replace(market, demands=demands[:1], offers=offers[:1]))
    assert cards(alone) == {}
    assert alone.total_cents == 73_050


def test_every_part_of_the_cost_by_hand() -> None:
    """52.18 weeks of 42 h busy on 1 of 168 h: electricity at work and idle, host, residual."""
    gpu = Gpu("x", "X", 400, (Tier(1, 2000, 300.0),), host_usd=500, idle_kwh_per_h=0.05)
    terms = Terms(2, 0.2, carbon_g_per_kwh=400)
    demand = weekly("a", 7, acquire=("buy",))
    offer = Offer("a", "x", 1, hours=hours(6), energy_kwh_per_h=0.6)
    found = answer(Market([demand], [gpu], [offer], terms))
    totals = found.totals
    assert totals is not None
    work_kwh = 2 * 365.25 / 7 * 42 * 0.6
    idle_kwh = 2 * 365.25 / 7 * 126 * 0.05
    assert totals.purchase_usd == 2000
    assert totals.host_usd == 500
    assert totals.residual_usd == 300
    assert totals.rent_usd == 0
    assert totals.electricity_usd == pytest.approx(0.2 * (work_kwh + idle_kwh), abs=0.02)
    assert totals.energy_kwh == pytest.approx(work_kwh + idle_kwh)
    assert totals.co2_kg == pytest.approx(0.4 * totals.energy_kwh)
    assert totals.peak_power_w == 400
    assert totals.budget_used_usd == 2500
    assert totals.per_year_usd == totals.total_usd / 2
    (bought,) = found.purchases
    assert bought.utilisation == pytest.approx(0.25)
    (row,) = found.assignments
    assert row.running_usd_per_run == pytest.approx(6 * 0.6 * 0.2, rel=1e-4)
    assert row.energy_kwh_per_year == pytest.approx(work_kwh / 2)
    assert row.latest_h == pytest.approx(7.5)


def test_a_job_of_several_gpus_needs_whole_blocks() -> None:
    """150 h a week of 4 GPUs where 134.4 h may be planned: 4.46 GPUs of work, but 8 GPUs."""
    offer = Offer("a", "x", 4, hours=hours(150))
    market = Market([weekly("a", 1)], [card("x", 100)], [offer], replace(FREE, utilisation=0.8))
    assert cards(best(market)) == {"x": 8}
    assert answer(market).assignments[0].replicas == 2


def test_smaller_jobs_use_what_larger_ones_leave() -> None:
    """Blocks of 4 are busy half the week; 4 x 84 h of single cards are left for jobs of 1."""
    offers = [Offer("big", "x", 4, hours=hours(84)), Offer("small", "x", 1, hours=hours(84))]
    for runs, needed in ((4, 4), (5, 5)):
        market = Market([weekly("big", 1), weekly("small", runs)], [card("x", 100)], offers, FREE)
        assert cards(best(market)) == {"x": needed}


def test_a_served_model_has_its_replicas_at_the_same_time_and_leaves_its_nights() -> None:
    """10 requests/s at 0.8 x 5: 3 replicas for 60 h of a week; two of those side by side are not 3 cards for 36 h."""
    served = Demand("chat", requests_per_s=10, hours_per_week=60)
    offers = [
        Offer("chat", "x", 1, requests_per_s=Quantity.spread(5, 1.2)),
        Offer("a", "x", 1, hours=hours(10)),
    ]
    terms = replace(FREE, utilisation=0.8)
    market = Market([served, weekly("a", 25)], [card("x", 100)], offers, terms)
    plan = best(market)
    # 3 cards x 134.4 h planned, less 3 x 48 h planned for replicas, leave 259.2 h for 250 h of runs.
    assert cards(plan) == {"x": 3}
    more = replace(market, demands=[served, weekly("a", 26)])
    assert cards(best(more)) == {"x": 4}
    chat = next(row for row in answer(market).assignments if row.workload == "chat")
    assert (chat.replicas, chat.hours_per_run, chat.running_usd_per_run) == (3, None, None)
    assert chat.requests_per_s is not None
    assert chat.requests_per_s.value == 15


def test_two_served_models_stand_beside_each_other() -> None:
    demands = [Demand(name, requests_per_s=1, hours_per_week=40) for name in "ab"]
    offers = [Offer(name, "x", 1, requests_per_s=Quantity.spread(2, 1.1)) for name in "ab"]
    assert cards(best(Market(demands, [card("x", 100)], offers, FREE))) == {"x": 2}


def test_a_volume_break_can_make_more_cards_cheaper() -> None:
    """8 cards at 1,000 are 8,000; 10 at 700 are 7,000."""
    gpu = Gpu("x", "X", 100, (Tier(1, 1000), Tier(10, 700, price="a quote")))
    market = Market([weekly("a", 8, acquire=("buy",))], [gpu], [Offer("a", "x", 1, hours=hours(168))], FREE)
    found = answer(market)
    assert found.totals is not None
    assert (found.purchases[0].count, found.purchases[0].price) == (10, "a quote")
    assert found.totals.purchase_usd == 7000
    assert any("10 x x are bought for the volume price; 8 do the work" in text for text in found.warnings)
    limited = best(replace(market, limits=Limits(max_power_w=950)))
    assert (cards(limited), limited.total_cents) == ({"x": 8}, 800_000)


def test_a_quote_for_many_only_is_bought_in_that_number() -> None:
    gpu = Gpu("x", "X", 100, (Tier(4, 100),))
    market = Market([weekly("a", 1, acquire=("buy",))], [gpu], [Offer("a", "x", 1, hours=hours(1))], FREE)
    assert cards(best(market)) == {"x": 4}


def test_machines_are_bought_whole_and_for_what_is_bought() -> None:
    """Three cards take the fewest machines that hold them, of those the smallest; the largest job decides nothing."""
    gpu = card("x", 1000, machines=(SMALL, MIDDLE, LARGE))
    offers = [Offer("a", "x", count, hours=hours(160 / count)) for count in (1, 2, 8)]
    for runs, number, host, usd in (
        (1, 1, "1 x small", 400),
        (2, 2, "1 x small", 400),
        (3, 3, "1 x middle", 1800),
        (5, 5, "1 x large", 5000),
        (9, 9, "2 x large", 10000),
    ):
        for tried in (offers[:1], offers):
            found = answer(Market([weekly("a", runs, acquire=("buy",))], [gpu], tried, FREE))
            (row,) = found.purchases
            assert (row.count, row.host, row.host_usd) == (number, host, usd)


def test_more_numbers_to_try_never_cost_more() -> None:
    gpus = [card("x", 1000, machines=(SMALL, MIDDLE, LARGE)), card("y", 1900, machines=(LARGE,))]
    demands = [weekly(name, runs) for name, runs in (("a", 1), ("b", 3))]
    costs = []
    for most in (1, 2, 4, 8):
        offers = [
            Offer(name, gpu.id, count, hours=hours(60 / count**0.9))
            for name in "ab"
            for gpu in gpus
            for count in (1, 2, 4, 8)
            if count <= most
        ]
        costs.append(best(Market(demands, gpus, offers, FREE)).total_cents)
    assert costs == sorted(costs, reverse=True)


def test_idle_machines_draw_power_in_the_hours_that_no_work_replaces() -> None:
    """A week of 168 h, 42 h of work: the other 126 h of card and machine, and the machine's resale."""
    gpu = card("x", 1000, machines=(SMALL,), idle_kwh_per_h=0.05)
    offer = Offer("a", "x", 1, hours=hours(42), energy_kwh_per_h=0.5, host_idle_kwh_per_h=0.06)
    found = answer(Market([weekly("a", 1, acquire=("buy",))], [gpu], [offer], Terms(1, 0.2)))
    assert found.totals is not None
    kwh = WEEKS_PER_YEAR * (42 * 0.5 + 126 * (0.05 + 0.06))
    assert found.totals.energy_kwh == pytest.approx(kwh)
    assert found.totals.electricity_usd == pytest.approx(0.2 * kwh, abs=0.02)
    assert found.totals.residual_usd == 40
    assert found.totals.budget_used_usd == 1400


def test_only_what_is_sold_together_is_bought() -> None:
    gpu = card("x", 1000, step=4)
    found = answer(
        Market([weekly("a", 5, acquire=("buy",))], [gpu], [Offer("a", "x", 1, hours=hours(168))], FREE)
    )
    assert found.purchases[0].count == 8
    assert "8 x x are bought, 5 do the work: x is sold by 4" in found.warnings


def test_a_price_that_ends_at_a_number_is_no_price_of_more() -> None:
    def found(runs: float, *tiers: Tier, **rest: object) -> FleetAnswer:
        demand = weekly("a", runs, acquire=("buy",))
        offer = Offer("a", "x", 1, hours=hours(168))
        return answer(Market([demand], [Gpu("x", "X", 100, tiers)], [offer], FREE, **rest))  # type: ignore[arg-type]

    rising = Tier(1, 1000, maximum_count=4), Tier(5, 1500)
    assert [found(runs, *rising).purchases[0].purchase_usd for runs in (4, 5)] == [4000, 7500]
    assert found(4, rising[0]).feasible
    unmet = found(5, rising[0])
    assert unmet.unmet[0].reasons == ("1 GPU can run it, but no price is known to buy them",)


def test_together_two_workloads_may_need_more_cards_than_have_a_price() -> None:
    demands = [weekly(name, 3, acquire=("buy",)) for name in "ab"]
    offers = [Offer(name, "x", 1, hours=hours(168)) for name in "ab"]
    gpu = Gpu("x", "X", 100, (Tier(1, 1000, maximum_count=4),))
    found = answer(Market(demands, [gpu], offers, FREE))
    assert (found.feasible, found.unmet) == (False, ())
    assert found.relax[0].message.startswith("no price is known to buy as many GPUs as that takes")
    assert "What to relax" in render(found, Page(80))


def test_interruptions_count_against_the_deadline_of_rented_runs_alone() -> None:
    offer = Offer("a", "x", 1, hours=hours(10), rent_usd_per_h=0.01, rent_delay=0.15)
    market = Market([weekly("a", 1, deadline_h=11)], [card("x", 1000)], [offer], FREE)
    assert cards(best(market)) == {"x": 1}
    assert cards(best(replace(market, demands=[weekly("a", 1, deadline_h=12)]))) == {}


def test_the_shortest_rental_is_billed() -> None:
    offer = Offer("a", "x", 1, hours=hours(0.25), rent_usd_per_h=2.0, minimum_rental_h=1.0)
    plan = best(Market([Demand("a", runs_per_year=100)], [card("x", 1e6)], [offer], FREE))
    assert plan.rent_cents == 20_000


def test_cautious_planning_takes_the_upper_end_of_times() -> None:
    """10 h at most 12.5 h: over a deadline of 12 h and 14 x 12.5 h are more than a week."""
    offer = Offer("a", "x", 1, hours=hours(10))
    market = Market([weekly("a", 14, deadline_h=12)], [card("x", 100)], [offer], FREE)
    plain = answer(market)
    assert plain.feasible
    assert any("past its deadline of 12 h" in text for text in plain.warnings)
    assert any("at the upper end of all times 2 are needed" in text for text in plain.warnings)
    careful = replace(market, terms=replace(FREE, cautious=True))
    assert not answer(careful).feasible
    later = answer(replace(careful, demands=[weekly("a", 14, deadline_h=13)]))
    assert later.purchases[0].count == 2
    assert not later.warnings


# What is said besides the best.


def choice_of_two(limits: Limits = Limits()) -> Market:  # noqa: B008
    """Return one workload that is cheaper on one card than on another, and dearer to rent."""
    offers = [
        Offer(
            "a", "cheap", 1, hours=hours(100), energy_kwh_per_h=0.5, rent_usd_per_h=1.0, rent_date="2026-03"
        ),
        Offer("a", "dear", 1, hours=hours(50), energy_kwh_per_h=0.5, rent_usd_per_h=3.0, rent_date="2026-04"),
    ]
    gpus = [card("cheap", 2000, 200), card("dear", 3000, 500)]
    return Market([weekly("a", 1)], gpus, offers, replace(FREE, electricity_usd_per_kwh=0.2), limits)


def test_the_runner_up_says_what_makes_it_dearer() -> None:
    found = answer(choice_of_two())
    assert found.fleet == "buy cheap"
    assert found.runner_up is not None
    assert found.runner_up.fleet == "buy dear"
    # 52.18 weeks x 50 h less at 0.5 kWh and 0.20 a kWh
    assert found.runner_up.difference_usd == pytest.approx(1000 - 260.89, abs=0.02)
    assert found.runner_up.why == "costs $739 (29.3%) more: purchases $1,000 more, electricity $261 less"
    assert found.prices_as_of == "2026-08"
    rented, bought = found.alternatives
    assert (rented.label, rented.fleet) == ("all rented", "rent cheap for a")
    assert rented.total_usd == pytest.approx(5217.86)
    assert bought.difference_usd == 0
    assert bought.why == "this is the best fleet"


def test_a_runner_up_with_more_cards_says_which_workload_needs_them() -> None:
    offers = [
        *(Offer("busy", name, 1, hours=hours(each)) for name, each in (("fast", 100), ("slow", 300))),
        *(Offer("idle", name, 1, hours=hours(each)) for name, each in (("fast", 10), ("slow", 30))),
    ]
    demands = [weekly("busy", 1), weekly("idle", 1)]
    found = answer(Market(demands, [card("fast", 1000), card("slow", 900)], offers, FREE))
    assert found.fleet == "buy fast"
    assert found.runner_up is not None
    assert found.runner_up.fleet == "buy 2 x slow"
    assert found.runner_up.why.endswith("purchases $800 more, 1 of 2 x slow because of busy")


def test_a_power_limit_that_decides_names_the_value_from_which_another_fleet_is_possible() -> None:
    market = choice_of_two()
    dear_and_strong = replace(market, gpus=[card("cheap", 2000, 600), card("dear", 3000, 500)])
    found = answer(replace(dear_and_strong, limits=Limits(max_power_w=550)))
    assert found.fleet == "buy dear"
    (change,) = found.changes
    assert (change.constraint, change.current, change.needed, change.fleet) == (
        "max_power_w",
        550,
        600,
        "buy cheap",
    )
    assert change.saved_usd == pytest.approx(739.11, abs=0.02)
    assert not answer(dear_and_strong).changes


def test_a_budget_that_decides_names_the_amount_from_which_another_fleet_is_possible() -> None:
    offers = [Offer("a", "x", 1, hours=hours(100), energy_kwh_per_h=1.0, rent_usd_per_h=0.2)]
    offers += [Offer("a", "y", 1, hours=hours(10), energy_kwh_per_h=0.1)]
    terms = replace(FREE, electricity_usd_per_kwh=0.2)
    market = Market([weekly("a", 1)], [card("x", 500), card("y", 1012.5)], offers, terms)
    found = answer(replace(market, limits=Limits(budget_usd=900)))
    assert found.fleet == "buy x"
    (change,) = found.changes
    assert (change.needed, change.fleet) == (1013, "buy y")
    assert not answer(replace(market, limits=Limits(budget_usd=1013))).changes
    assert answer(replace(market, limits=Limits(budget_usd=1013))).fleet == "buy y"


def test_a_budget_too_small_for_anything_names_the_least_that_does() -> None:
    found = answer(choice_of_two(Limits(budget_usd=500.0)))
    assert (found.feasible, found.totals, found.fleet, found.purchases) == (False, None, None, ())
    (relax,) = found.relax
    assert (relax.constraint, relax.current, relax.needed) == ("budget_usd", 500, 2000)
    assert relax.message == "raise constraints.budget_usd to 2000: enough to buy cheap"
    assert answer(choice_of_two(Limits(budget_usd=2000.0))).feasible
    assert not answer(choice_of_two(Limits(budget_usd=1999.99))).feasible


def test_budget_and_power_are_named_together_where_neither_alone_does() -> None:
    market = choice_of_two(Limits(budget_usd=500, max_power_w=100))
    found = answer(replace(market, demands=[weekly("a", 1, acquire=("buy",))]))
    assert [(item.constraint, item.needed) for item in found.relax] == [
        ("budget_usd", 2000),
        ("max_power_w", 200),
    ]
    assert found.relax[0].message == found.relax[1].message


def test_a_higher_utilisation_is_named_where_it_does() -> None:
    offer = Offer("a", "x", 1, hours=hours(150))
    terms = replace(FREE, utilisation=0.8)
    market = Market([weekly("a", 1)], [card("x", 100)], [offer], terms, Limits(budget_usd=150))
    found = {item.constraint: item.needed for item in answer(market).relax}
    assert found == {"budget_usd": 200, "utilisation": 0.9}


def test_a_workload_that_nothing_finishes_in_time_says_what_comes_nearest() -> None:
    offers = [Offer("a", "x", count, hours=hours(each)) for count, each in ((1, 30.02), (2, 16.34))]
    offers += [Offer("b", "x", 1, hours=hours(1))]
    demands = [weekly("a", 1, deadline_h=12), weekly("b", 1)]
    found = answer(Market(demands, [card("x", 100)], offers, FREE))
    (unmet,) = found.unmet
    assert unmet.workload == "a"
    assert unmet.reasons == ("2 x x comes nearest: takes 16.3 h, deadline 12 h",)
    assert (unmet.relax[0].constraint, unmet.relax[0].needed) == ("deadline_h", 16.4)
    assert [(each.workload, each.constraint, each.gpus) for each in found.excluded] == [
        ("a", "deadline_h", 1)
    ]
    assert "2 x x comes nearest" in render(found, Page(80))


def test_a_workload_without_an_offer_passes_on_why() -> None:
    document = ExcludedDocument(
        gpu="x", name="X", reason="needs 90 GiB at least, has 24", constraint="memory"
    )
    advice = RelaxDocument(constraint="memory", current=24.0, needed=90.0, message="allow more GPUs")
    found = fleet_answer(
        Market([weekly("a", 1)], [card("x", 100)], [], FREE),
        name=None,
        as_of=TODAY,
        excluded={"a": [document]},
        relax={"a": [advice]},
    )
    (unmet,) = found.unmet
    assert unmet.reasons == ("X: needs 90 GiB at least, has 24",)
    assert unmet.relax == (advice,)
    assert found.excluded[0].constraint == "memory"


def test_no_price_in_the_way_that_is_allowed_is_said() -> None:
    offer = Offer("a", "x", 1, hours=hours(1))
    found = answer(Market([weekly("a", 1, acquire=("rent",))], [card("x", 100)], [offer], FREE))
    assert found.unmet[0].reasons == ("1 GPU can run it, but no price is known to rent them",)
    assert found.unmet[0].relax[0].constraint == "acquire"


def test_jobs_whose_sizes_do_not_divide_each_other_are_warned_about() -> None:
    offers = [Offer("a", "x", 3, hours=hours(50)), Offer("b", "x", 2, hours=hours(50))]
    found = answer(Market([weekly("a", 1), weekly("b", 1)], [card("x", 100)], offers, FREE))
    assert any("jobs of 2, 3 GPUs share the x" in text for text in found.warnings)


def test_an_assumed_utilisation_is_labelled() -> None:
    market = choice_of_two()
    assert not any("assumed" in text for text in answer(market).assumptions)
    left_open = answer(replace(market, terms=replace(market.terms, utilisation=None)))
    assert left_open.utilisation == 0.8
    assert any("80% of a week (assumed" in text for text in left_open.assumptions)


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingExtraError, match="scipy") as caught:
        answer(choice_of_two())
    assert caught.value.hint is not None
    assert "gpu-advisor[fleet]" in caught.value.hint


# Against every other set, and what must hold for any.


def every_plan(choices: Choices) -> Iterable[Plan]:
    """Yield every choice of options with every number of cards that is sold, from what they need up to a pack more."""
    for options in itertools.product(*(choices.of(name) for name in choices.workloads)):
        gpus = sorted({option.gpu for option in options if option.way == "buy"})
        purchases = []
        for gpu in gpus:
            supply = choices.supplies[gpu]
            here = [option for option in options if option.source == (gpu, "buy")]
            needed = least_cards(here, choices.capacity, choices.sizes)
            most = max(needed, *(tier.minimum_count for tier in supply.tiers)) + supply.step
            purchases.append(
                [
                    Bought(supply, tier, number)
                    for number in range(needed, most + 1)
                    for tier in supply.tiers
                    if number % supply.step == 0
                    and tier.tier.minimum_count <= number
                    and number <= (tier.tier.maximum_count or number)
                    and not any(number >= other.minimum_count > tier.minimum_count for other in supply.tiers)
                ]
            )
        for bought in itertools.product(*purchases):
            yield Plan(tuple(options), tuple(bought))


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Draw a market of at most 3 workloads, 3 kinds of GPU and 2 sizes of jobs."""
    usd = st.integers(100, 400_000).map(lambda cents: cents / 100)
    gpus = []
    for number in range(draw(st.integers(1, 3))):
        first = draw(usd)
        tiers = [Tier(1, first, first / 10, maximum_count=draw(st.sampled_from([None, None, 3])))]
        if draw(st.booleans()):
            share = draw(st.sampled_from([0.8, 1.3]))
            tiers.append(Tier(draw(st.integers(2, 6)), round(share * first, 2), first / 20))
        idle = draw(st.sampled_from([0.0, 0.03]))
        watts = draw(st.sampled_from([100.0, 300.0, 450.0]))
        gpus.append(
            Gpu(
                f"g{number}",
                f"G{number}",
                watts,
                tuple(tiers),
                draw(st.sampled_from([0.0, 250.0])),
                idle,
                draw(st.sampled_from([1, 1, 2, 4])),
                draw(st.sampled_from(MACHINES)),
            )
        )
    demands, offers = [], []
    for number in range(draw(st.integers(1, 3))):
        name = f"w{number}"
        served = draw(st.integers(0, 3)) == 0
        if served:
            demands.append(
                Demand(
                    name,
                    requests_per_s=draw(st.floats(0.5, 9)),
                    hours_per_week=draw(st.sampled_from([40.0, 168.0])),
                )
            )
        else:
            demands.append(
                weekly(
                    name,
                    draw(st.sampled_from([0.25, 1.0, 7.0])),
                    deadline_h=draw(st.sampled_from([None, 30.0])),
                )
            )
        for gpu in gpus:
            for count in draw(st.sampled_from([(1,), (1, 2), (2, 3), (4,)])):
                rent = draw(st.one_of(st.none(), st.floats(0.05, 5)))
                energy = draw(st.floats(0.1, 1)) * count
                amount = hours(draw(st.floats(0.5, 60)))
                of = {"requests_per_s": amount} if served else {"hours": amount}
                offers.append(
                    Offer(
                        name,
                        gpu.id,
                        count,
                        energy_kwh_per_h=energy,
                        host_idle_kwh_per_h=draw(st.sampled_from([0.0, 0.02])),
                        rent_usd_per_h=rent,
                        **of,
                    )
                )
    return Market(demands, gpus, offers, Terms(2, 0.25, utilisation=draw(st.sampled_from([0.5, 0.8, 1.0]))))


def least(plans: Iterable[Plan]) -> int | None:
    return min((plan.total_cents for plan in plans), default=None)


@settings(max_examples=60, deadline=None)
@given(market=markets(), tightness=st.floats(0.5, 1.1), watts=st.sampled_from([None, 500.0, 1000.0]))
def test_no_other_set_is_cheaper_within_the_limits(
    market: Market, tightness: float, watts: float | None
) -> None:
    choices = choices_of(market)
    plans = list(every_plan(choices))
    free = best_plan(choices, Question())
    assert (free.total_cents if free else None) == least(plans)
    if free is None:
        return
    limits = Limits(round(tightness * free.outlay_cents / 100, 2) or None, watts)
    allowed = [plan for plan in plans if plan.keeps(limits)]
    found = best_plan(choices, Question(limits))
    assert (found.total_cents if found else None) == least(allowed)
    if found is None:
        return
    assert found.keeps(limits)
    second = best_plan(choices, Question(limits, without_one_of=found.core))
    others = least(plan for plan in allowed if not found.core <= plan.sources)
    assert (second.total_cents if second else None) == others


@settings(max_examples=30, deadline=None)
@given(market=markets(), seed=st.integers(0, 2**16))
def test_the_order_of_the_input_changes_nothing(market: Market, seed: int) -> None:
    shuffle = random.Random(seed)

    def mixed(items: Sequence[object]) -> list[object]:
        return shuffle.sample(list(items), len(items))

    other = replace(
        market, demands=mixed(market.demands), gpus=mixed(market.gpus), offers=mixed(market.offers)
    )
    assert answer(market).model_dump_json() == answer(other).model_dump_json()


@settings(max_examples=30, deadline=None)
@given(market=markets(), factor=st.floats(0.3, 1.0))
def test_a_lower_price_or_a_larger_budget_never_costs_more(market: Market, factor: float) -> None:
    plan = best_plan(choices_of(market), Question())
    if plan is None:
        return
    cheaper = [
        replace(
            gpu, tiers=tuple(replace(tier, unit_price_usd=factor * tier.unit_price_usd) for tier in gpu.tiers)
        )
        for gpu in market.gpus
    ]
    residual_free = [
        replace(gpu, tiers=tuple(replace(t, residual_usd=0.0) for t in gpu.tiers)) for gpu in cheaper
    ]
    before = best(replace(market, gpus=[
        replace(gpu, tiers=tuple(replace(t, residual_usd=0.0) for t in gpu.tiers)) for gpu in market.gpus
    ]))  # fmt: skip
    assert best(replace(market, gpus=residual_free)).total_cents <= before.total_cents
    smaller = best_plan(
        choices_of(market), Question(Limits(budget_usd=max(0.01, factor * plan.outlay_cents / 100)))
    )
    assert smaller is None or smaller.total_cents >= plan.total_cents


@settings(max_examples=30, deadline=None)
@given(market=markets())
def test_totals_are_the_sum_of_their_parts_to_the_cent(market: Market) -> None:
    found = answer(market)
    if found.totals is None:
        return

    def cents(usd: float) -> int:
        assert abs(100 * usd - round(100 * usd)) < 1e-6
        return round(100 * usd)

    totals = found.totals
    parts = cents(totals.purchase_usd) + cents(totals.host_usd) + cents(totals.rent_usd)
    assert cents(totals.budget_used_usd) == parts
    assert cents(totals.total_usd) == parts - cents(totals.residual_usd) + cents(totals.electricity_usd)
    assert cents(totals.purchase_usd) == sum(cents(row.purchase_usd) for row in found.purchases)
    assert cents(totals.residual_usd) == sum(cents(row.residual_usd) for row in found.purchases)
    yearly = sum(row.running_usd_per_year for row in found.assignments)
    assert 2 * yearly <= totals.rent_usd + totals.electricity_usd + 0.011
    assert totals.electricity_usd >= 0
    assert {name for row in found.purchases for name in row.used_by} == {
        row.workload for row in found.assignments if row.way == "buy"
    }
    assert all(0 < row.utilisation <= 1 + 1e-9 for row in found.purchases)


def test_what_is_pruned_is_never_missed() -> None:
    """Of ten kinds that are each worse than the one before, the best needs one, and a runner-up at most two more."""
    gpus = [card(f"g{number}", 1000 + number) for number in range(10)]
    offers = [Offer("a", gpu.id, count, hours=hours(10)) for gpu in gpus for count in (1, 2)]
    choices = choices_of(Market([weekly("a", 1)], gpus, offers, FREE))

    def kept(options: Iterable[Option]) -> list[tuple[str, int]]:
        return [(option.gpu, option.count) for option in options]

    assert kept(pruned(choices, 1, ["cost"])) == [("g0", 1)]
    assert kept(pruned(choices, 2, ["cost"])) == [("g0", 1), ("g1", 1)]


def test_of_equal_answers_the_first_id_is_taken() -> None:
    gpus = [card(name, 1000) for name in ("c", "a", "b")]
    offers = [Offer(job, gpu.id, 1, hours=hours(1), rent_usd_per_h=100) for job in "xy" for gpu in gpus]
    plan = best(Market([weekly("x", 1), weekly("y", 1)], gpus, offers, FREE))
    assert cards(plan) == {"a": 1}
    rented = best(Market([weekly("x", 1, acquire=("rent",))], gpus, offers[:3], FREE))
    assert [option.gpu for option in rented.options] == ["a"]


# How it is shown.


def test_the_table_holds_what_a_buyer_needs_and_keeps_to_its_width() -> None:
    market = choice_of_two(Limits(budget_usd=1e5))
    rate = Quantity.spread(6, 1.2)
    chat = Offer("chat", "dear", 1, requests_per_s=rate, rent_usd_per_h=0.3, rent_price="on demand")
    demands = [*market.demands, Demand("chat", requests_per_s=4)]
    market = replace(market, demands=demands, offers=[*market.offers, chat])
    found = answer(market)
    for width in (80, 120):
        text = render(found, Page(width, ascii=True))
        assert all(len(line) <= width for line in text.splitlines())
        for words in ("CHEAP", "2,000", "for a; list", "own CHEAP", "52.2 runs a year", "rent DEAR", "1 replica",
                      "runner-up", "all rented", "all bought", "total", "Assumptions"):  # fmt: skip
            assert words in text, words
    with pytest.raises(TypeError):
        render(Model(), Page())


def test_the_document_keeps_its_schema_and_can_be_read_again() -> None:
    found = answer(choice_of_two())
    text = found.model_dump_json(by_alias=True)
    assert json.loads(text)["schema"] == "gpu-advisor/fleet/1"
    assert FleetAnswer.model_validate_json(text) == found
