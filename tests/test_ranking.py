"""Ranking: the Pareto front, every reason for an exclusion, and relaxations that are enough."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from advisor import service
from advisor.candidates import Candidate, candidates
from advisor.catalog import shipped_devices
from advisor.describe.named import load_named
from advisor.describe.subject import TransformerSubject
from advisor.documents import RecommendAnswer
from advisor.economics import Prices
from advisor.efficiency import load_constants
from advisor.hardware import Device
from advisor.places import load_places
from advisor.problem import problem_of, teams
from advisor.ranking import (
    EXPLANATIONS,
    LARGEST_COUNTS,
    affordable_cost,
    broken,
    excluded_before,
    excluded_documents,
    largest_count,
    pareto,
    picks,
    rank,
    relaxations,
    score,
)
from advisor.terms import terms_of
from advisor.workload import Constraints, Workload
from advisor.yaml_io import data_root

CATALOG = {device.id: device for device in shipped_devices()}
OBJECTIVES = tuple(EXPLANATIONS)
LORA = {"model": {"name": "llama-3.1-8b"}, "method": "lora", "data": {"tokens": 50_000_000}}


def copies(device: Device, *names: str) -> list[Device]:
    return [device.model_copy(update={"id": name, "name": name}) for name in names]


def contenders(
    devices: Sequence[Device], prices: Sequence[Prices], counts: Sequence[int] = (1,), **fields: Any
) -> list[Candidate]:
    """Return the candidates of one team for a LoRA job on a small model."""
    named = load_named(data_root(), "llama-3.2-1b")
    job = Workload.model_validate(
        {"model": {"name": "llama-3.2-1b"}, "method": "lora", "data": {"tokens": 10**7}, **fields}
    )
    constants = load_constants(data_root())
    problem = problem_of(
        job, TransformerSubject(named.transformer, named.name, named.family, named.sequence_length)
    )
    terms = terms_of(job.economics, load_places(data_root()))
    by_id = dict(zip([device.id for device in devices], prices, strict=True))
    found = []
    for team in teams(problem, devices, constants):
        tags = {device.id: by_id[device.id] for device in team.devices}
        for count in counts:
            found += candidates(problem, team, count, team.search.best(count), tags, terms, constants)
    return found


def ranked(found: Sequence[Candidate], objective: Any, constraints: Constraints | None = None) -> list[str]:
    rows = rank(found, objective, constraints or Constraints(), whole_job=True, time_factor=lambda _: 1.0)
    return [row.candidate.device.id for row in rows]


# The front


POINTS = st.lists(st.tuples(st.integers(0, 12).map(float), st.integers(0, 12).map(float)), max_size=30)


@given(points=POINTS)
def test_pareto_front_by_brute_force(points: list[tuple[float, float]]) -> None:
    front = pareto(points)
    for point, marked in zip(points, front, strict=True):
        better = any(other[0] <= point[0] and other[1] <= point[1] and other != point for other in points)
        if marked:
            assert not better
        else:
            # Of equal points one is enough.
            assert better or any(on and other == point for other, on in zip(points, front, strict=True))


def test_an_answer_without_a_cost_is_on_no_front() -> None:
    assert pareto([(1.0, float("inf")), (2.0, 5.0)]) == [False, True]


# Order


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=15, deadline=None)
@given(
    cheap=st.floats(10, 10_000),
    more=st.floats(1.0, 100.0),
    names=st.permutations(["a", "z"]),
    rent=st.booleans(),
)
def test_the_cheaper_of_two_equal_gpus_never_ranks_lower(
    objective: str, cheap: float, more: float, names: list[str], rent: bool
) -> None:
    prices = [Prices(amount, amount / 1000 if rent else None) for amount in (cheap, cheap * (1 + more))]
    found = contenders(copies(CATALOG["rtx-4090"], *names), prices)
    order = ranked(found, objective)
    assert sorted(order) == ["a", "z"]
    if objective in ("balanced", "cost", "value"):
        assert order[0] == names[0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_order_does_not_depend_on_the_order_of_the_candidates(objective: str) -> None:
    devices = [CATALOG[name] for name in ("rtx-4090", "l4", "a100-sxm4-80gb", "rtx-3090", "t4")]
    prices = [
        Prices(1600.0, 0.4),
        Prices(2500.0, 0.6),
        Prices(None, 1.2),
        Prices(800.0, None),
        Prices(None, None),
    ]
    found = contenders(devices, prices, counts=(1, 2))
    first = ranked(found, objective)
    assert len(first) == 5
    for shuffled in itertools.islice(itertools.permutations(found), 0, 3_000, 301):
        assert ranked(shuffled, objective) == first


def test_scores_by_hand() -> None:
    one = contenders([CATALOG["rtx-4090"]], [Prices(1600.0, 0.4)])[0]
    one = replace(one, samples=32.0, step_s=2.0, power_w=300.0, hours=10.0)
    assert one.samples_per_s == 16.0
    assert score(one, "time", None, 1.5) == 1.5 / 16
    assert score(one, "energy", None, 1.0) == 300 / 16
    assert score(one, "value", None, 1.0) == 1600 / 16
    assert score(one, "cost", 7.0, 2.0) == 14.0
    assert score(one, "balanced", 7.0, 1.0) == 7.0 / 16
    assert score(one, "cost", None, 1.0) == float("inf")


def test_one_number_of_each_gpu_and_the_fewest_that_do() -> None:
    found = contenders([CATALOG["rtx-4090"]], [Prices(1600.0, 0.4)], counts=(4, 2, 3, 1))
    for objective in OBJECTIVES:
        rows = rank(found, objective, Constraints(), whole_job=True, time_factor=lambda _: 1.0)
        assert len(rows) == 1
        expected = max(found, key=lambda each: each.samples_per_s).count if objective == "time" else 1
        assert rows[0].candidate.count == expected
    awkward = [each for each in found if each.count in (3, 4)]
    rows = rank(awkward, "cost", Constraints(), whole_job=True, time_factor=lambda _: 1.0)
    assert rows[0].candidate.count == 4


def test_largest_counts() -> None:
    assert largest_count(CATALOG["rtx-4090"], None) == LARGEST_COUNTS["consumer"] == 4
    assert largest_count(CATALOG["rtx-4090"], 8) == 8
    assert largest_count(CATALOG["h100-sxm5-80gb"], 2) == 2
    laptop = next(device for device in CATALOG.values() if device.segment == "laptop")
    assert largest_count(laptop, 8) == 1


def test_picks_stay_within_the_budget_and_the_ways() -> None:
    devices = [CATALOG[name] for name in ("rtx-4090", "l4", "rtx-3090")]
    prices = [Prices(1600.0, 0.4), Prices(2500.0, 0.6), Prices(800.0, None)]
    found = contenders(devices, prices)

    def labels(**fields: Any) -> dict[str, str]:
        constraints = Constraints(**fields)
        rows = rank(found, "balanced", constraints, whole_job=True, time_factor=lambda _: 1.0)
        return {label: row.candidate.device.id for label, row in picks(rows, constraints, "balanced")}

    everything = labels()
    assert everything["cheapest to buy"] == "rtx-3090"
    assert everything["fastest"] == "rtx-4090"
    assert everything["best to rent"] in ("rtx-4090", "l4")
    assert "best to rent" not in labels(acquire=("buy",))
    assert set(labels(acquire=("rent",))) == {"best to rent", "fastest"}
    assert labels(acquire=("buy",), budget_usd=1000)["best to buy"] == "rtx-3090"


def test_the_first_of_the_ranking_is_the_best_of_its_own_way() -> None:
    devices = [CATALOG[name] for name in ("rtx-4090", "l4", "rtx-3090")]
    for rents in ((0.01, 0.6, 0.9), (9.0, 9.0, 9.0), (9.0, 0.02, None)):
        prices = [Prices(card, rent) for card, rent in zip((1600.0, 2500.0, 800.0), rents, strict=True)]
        rows = rank(
            contenders(devices, prices), "cost", Constraints(), whole_job=True, time_factor=lambda _: 1.0
        )
        best = dict(picks(rows, Constraints(), "cost"))
        assert best[f"best to {rows[0].way}"] is rows[0]


# Exclusions


@pytest.mark.parametrize(
    ("constraints", "gpu", "constraint"),
    [
        ({"vendors": ("amd",)}, "rtx-4090", "vendors"),
        ({"segments": ("datacenter",)}, "rtx-4090", "segments"),
        ({"ecc": True}, "rtx-3090", "ecc"),
        ({"min_memory_gib": 32}, "rtx-4090", "min_memory_gib"),
    ],
)
def test_devices_that_are_not_asked_for(constraints: dict[str, Any], gpu: str, constraint: str) -> None:
    why = excluded_before(CATALOG[gpu], Constraints(**constraints))
    assert why is not None
    assert why[0] == constraint
    assert why[1]
    assert excluded_before(CATALOG[gpu], Constraints()) is None


def test_memory_that_is_asked_for_counts_as_sold() -> None:
    assert excluded_before(CATALOG["rtx-4090"], Constraints(min_memory_gib=24)) is None


@pytest.mark.parametrize(
    ("prices", "constraints", "constraint"),
    [
        (Prices(1600.0, 0.4), {"max_power_w": 400}, "max_power_w"),
        (Prices(1600.0, 0.4), {"deadline_h": 1e-6}, "deadline_h"),
        (Prices(1600.0, None), {"budget_usd": 1500}, "budget_usd"),
        (Prices(None, None), {"budget_usd": 1e9}, "price"),
        (Prices(1600.0, None), {"acquire": ("rent",)}, "price"),
        (Prices(None, 0.4), {"acquire": ("buy",)}, "price"),
        (Prices(1600.0, 0.4), {}, None),
        (Prices(None, None), {}, None),
        (Prices(1600.0, 0.4), {"max_power_w": 450, "budget_usd": 1600, "acquire": ("buy",)}, None),
    ],
)
def test_every_reason_to_refuse(prices: Prices, constraints: dict[str, Any], constraint: str | None) -> None:
    candidate = contenders([CATALOG["rtx-4090"]], [prices])[0]
    found = broken(candidate, Constraints(**constraints), whole_job=True)
    assert [each.constraint for each in found] == ([constraint] if constraint else [])
    for each in found:
        assert each.reason
        assert each.excess >= 1
        again = excluded_documents([found], set())
        assert [(row.gpu, row.constraint, row.reason) for row in again] == [
            ("rtx-4090", constraint, each.reason)
        ]
        assert excluded_documents([found], {"rtx-4090"}) == []


def test_all_constraints_that_are_broken_are_named() -> None:
    candidate = contenders([CATALOG["rtx-4090"]], [Prices(1600.0, None)])[0]
    constraints = Constraints(max_power_w=100, budget_usd=1000)
    found = broken(candidate, constraints, whole_job=True)
    assert [each.constraint for each in found] == ["max_power_w", "budget_usd"]
    together = relaxations([found], constraints)
    assert [each.constraint for each in together] == ["max_power_w", "budget_usd"]
    assert not any("qualifies" in each.message for each in together)


def test_what_does_not_fit_is_refused_for_memory() -> None:
    candidate = contenders([CATALOG["gtx-1050-2gb"]], [Prices(100.0, None)])[0]
    (found,) = broken(candidate, Constraints(max_power_w=1), whole_job=True)
    assert found.constraint == "memory"
    assert found.excess == pytest.approx(candidate.required_bytes / candidate.available_bytes)
    assert "GiB" in found.reason


def test_rent_within_the_budget_is_enough() -> None:
    candidate = contenders([CATALOG["rtx-4090"]], [Prices(1600.0, 0.4)])[0]
    constraints = Constraints(budget_usd=candidate.costs.rent * 1.01)
    assert broken(candidate, constraints, whole_job=True) == ()
    assert affordable_cost(candidate, constraints, whole_job=True) == (candidate.costs.rent, "rent")
    assert affordable_cost(candidate, Constraints(acquire=("buy",)), whole_job=True) == (
        candidate.costs.owned,
        "buy",
    )


def test_the_nearest_miss_is_named() -> None:
    found = contenders([CATALOG["rtx-4090"]], [Prices(1000.0, None)], counts=(1, 2, 4))
    constraints = Constraints(budget_usd=500)
    refusals = [broken(each, constraints, whole_job=True) for each in found]
    assert all(refusals)
    documents = excluded_documents(refusals, set())
    assert [row.count for row in documents] == [1]
    (relax,) = relaxations(refusals, constraints)
    assert (relax.constraint, relax.current, relax.needed, relax.gpu) == ("budget_usd", 500, 1000, "rtx-4090")


# Relaxations through the whole advisor


@cache
def adviser() -> service.Advisor:
    return service.open_advisor()


def ask(constraints: dict[str, Any], **fields: Any) -> RecommendAnswer:
    return adviser().recommend(
        Workload.model_validate({**LORA, **fields, "constraints": constraints}), limit=None
    )


LIMITS: dict[str, Any] = {
    "budget_usd": st.floats(0.05, 30).map(lambda value: round(value, 2)),
    "deadline_h": st.floats(0.001, 3),
    "max_power_w": st.floats(5, 300),
}
SLOW = settings(max_examples=20, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
SEGMENT = st.sampled_from([("consumer",), ("workstation",), ("datacenter",)])


@SLOW
@given(data=st.data(), constraint=st.sampled_from(sorted(LIMITS)), segments=SEGMENT)
def test_one_constraint_relaxed_as_told_gives_an_answer(
    data: st.DataObject, constraint: str, segments: Any
) -> None:
    constraints = {constraint: data.draw(LIMITS[constraint]), "segments": segments, "max_count": 4}
    answer = ask(constraints)
    if answer.recommendations:
        assert answer.relax == ()
        return
    told = [row for row in answer.relax if row.constraint == constraint]
    assert len(told) == 1
    assert told[0].current == constraints[constraint]
    relaxed = ask({**constraints, constraint: told[0].needed})
    assert relaxed.recommendations, f"{told[0].message} is not enough"
    assert told[0].gpu in {row.gpu for row in relaxed.recommendations}


@SLOW
@given(
    data=st.data(), pair=st.sampled_from(list(itertools.combinations(sorted(LIMITS), 2))), segments=SEGMENT
)
def test_what_a_relaxation_promises_holds_with_several_constraints(
    data: st.DataObject, pair: tuple[str, str], segments: Any
) -> None:
    constraints = {name: data.draw(LIMITS[name]) for name in pair} | {"segments": segments, "max_count": 4}
    answer = ask(constraints)
    if answer.recommendations:
        return
    assert answer.relax
    everything = dict(constraints)
    for told in answer.relax:
        if told.constraint not in pair:
            continue
        everything[told.constraint] = told.needed
        if "qualifies" in told.message:
            one = ask({**constraints, told.constraint: told.needed})
            assert one.recommendations, f"{told.message} is not enough under {constraints}"
    if set(everything.items()) != set(constraints.items()):
        assert ask(everything).recommendations, (
            f"all of {[row.message for row in answer.relax]} are not enough"
        )


@pytest.mark.parametrize("tokens", [100_000, 1_000_000, 7_000_000, 50_000_000])
def test_a_deadline_relaxed_as_told_is_long_enough(tokens: int) -> None:
    """Rounding must not cut the hours that are needed, however short the job is."""
    data = {"tokens": tokens}
    (told,) = (row for row in ask({"deadline_h": 1e-6}, data=data).relax if row.constraint == "deadline_h")
    assert ask({"deadline_h": told.needed}, data=data).recommendations, told.message


@pytest.mark.parametrize(
    "constraints",
    [
        {"vendors": ["apple"], "segments": ["datacenter"]},
        {"min_memory_gib": 100_000},
        {"vendors": ["apple"], "ecc": True},
        {"budget_usd": 0.01},
        {"deadline_h": 0.0001},
        {"max_power_w": 1},
    ],
)
def test_no_answer_always_says_what_to_relax(constraints: dict[str, Any]) -> None:
    answer = ask(constraints)
    assert answer.recommendations == ()
    assert answer.qualified == 0
    assert answer.relax
    named = {row.constraint for row in answer.relax}
    assert named & set(constraints), named
    for row in answer.relax:
        assert row.current != row.needed, row.message


@pytest.mark.parametrize("constraints", [{"deadline_h": 0.0001}, {"max_power_w": 1}, {"budget_usd": 0.01}])
def test_no_relaxation_says_that_nothing_fits_where_something_does(constraints: dict[str, Any]) -> None:
    assert not [row.message for row in ask(constraints).relax if "nothing fits" in row.message]


def test_a_relaxed_price_is_a_change() -> None:
    """Where both ways are allowed and neither price is known, allowing both ways is no advice."""
    for row in ask({"budget_usd": 5, "max_power_w": 50}).relax:
        assert row.current != row.needed, row.message
