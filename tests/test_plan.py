"""The plan search: what the user fixed stays fixed, and nothing better than the proposed plan exists."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import advisor
from advisor.catalog import shipped_devices
from advisor.describe.named import load_named
from advisor.describe.subject import TransformerSubject
from advisor.efficiency import load_constants
from advisor.errors import InputError
from advisor.execution import CHECKPOINTING, Constants, Layout
from advisor.operators import Phase
from advisor.plan import (
    NEARLY_AS_FAST,
    Choices,
    Freedom,
    Search,
    burden,
    counts,
    layouts,
    micro_batches,
)
from advisor.problem import problem_of, teams
from advisor.workload import Parallelism, Workload
from advisor.yaml_io import data_root

CATALOG = {device.id: device for device in shipped_devices()}


@cache
def constants() -> Constants:
    return load_constants(data_root())


def search_for(gpu: str, model: str = "llama-3.2-1b", **fields: Any) -> Search:
    named = load_named(data_root(), model)
    job = Workload.model_validate({"model": {"name": model}, **fields})
    problem = problem_of(
        job, TransformerSubject(named.transformer, named.name, named.family, named.sequence_length)
    )
    return teams(problem, [CATALOG[gpu]], constants())[0].search


def chosen(choices: Choices) -> tuple[Layout, float, str]:
    return (
        choices.layouts[int(choices.layout[0])], float(choices.micro_batch[0]),
        CHECKPOINTING[int(choices.checkpointing[0])],
    )  # fmt: skip


FREE = Freedom(
    global_batch=64, global_is_fixed=True, micro_batch=None, checkpointing=None, sharding=None, heads=32, layers=32,
    training=True,
)  # fmt: skip


# Layouts and micro-batches


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 8, 16, 64])
@pytest.mark.parametrize("training", [True, False])
def test_layouts_use_every_gpu_and_split_what_divides(count: int, training: bool) -> None:
    found = list(layouts(count, replace(FREE, training=training, heads=12, layers=30)))
    assert found
    assert len(set(found)) == len(found)
    for layout in found:
        assert layout.count == count == layout.data * layout.tensor * layout.pipeline
        assert 12 % layout.tensor == 0
        assert 30 % layout.pipeline == 0
        assert (layout.data > 1) == (layout.strategy != "none") or not training
    if count == 1:
        assert found == [Layout(1, "none")]


def test_a_layout_that_the_user_fixed_is_the_only_one() -> None:
    fixed = replace(FREE, sharding=Parallelism(data=2, tensor=2, pipeline=2, strategy="zero1"))
    assert list(layouts(8, fixed)) == [Layout(8, "zero1", 2, 2, 2)]
    assert list(layouts(4, fixed)) == []
    for strategy in ("ddp", "zero1", "zero2"):
        found = list(layouts(4, replace(FREE, sharding=strategy)))
        assert found == [Layout(4, strategy, data=4)]
    assert {layout.strategy for layout in layouts(4, replace(FREE, sharding="fsdp"))} <= {"fsdp", "none"}
    assert list(layouts(2, replace(FREE, sharding="none"))) == []


@given(total=st.integers(1, 5000))
def test_micro_batches_stay_within_the_batch(total: int) -> None:
    free = replace(FREE, global_batch=total, global_is_fixed=False)
    found = micro_batches(free)
    assert found.min() == 1
    assert found.max() <= total
    assert len(set(found)) == len(found)
    assert all(size == total or math.log2(size).is_integer() for size in found)
    assert micro_batches(replace(free, micro_batch=3)).tolist() == [3.0]
    assert micro_batches(replace(free, training=False)).tolist() == [float(total)]


@given(total=st.integers(1, 1024))
def test_a_fixed_batch_is_tried_in_every_size_that_divides_it(total: int) -> None:
    """25 samples on each of 4 GPUs is the best share of 100, and no power of two."""
    found = micro_batches(replace(FREE, global_batch=total, global_is_fixed=True))
    assert found.tolist() == [float(size) for size in range(1, total + 1) if total % size == 0]


@given(limit=st.integers(1, 20_000))
def test_counts_reach_the_limit_and_no_further(limit: int) -> None:
    found = list(counts(limit))
    assert found == sorted(set(found))
    assert found[0] == 1
    assert found[-1] == limit
    assert set(range(1, min(limit, 8) + 1)) <= set(found)
    assert all(number % 8 == 0 for number in found if number > 8 and number != limit)


def test_counts_by_hand() -> None:
    assert list(counts(1)) == [1]
    assert list(counts(8)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert list(counts(40)) == [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 40]


# The best plan


def one_gpu_by_hand(search: Search) -> Iterator[tuple[float, float, float, str]]:
    """Yield (seconds a sample, bytes, micro-batch, checkpointing) of every plan of one GPU, in plain Python."""
    group, total = search.group, search.freedom.global_batch
    layout = Layout(1, "none")
    times, memory = search.times(layout), search.memory(layout)
    for m, micro in enumerate(search.micro):
        if total % micro:
            continue
        for c, name in enumerate(CHECKPOINTING):
            kernels = times.device[0, m] + times.device_recompute[0, m, c]
            host = times.host[0, m] + times.host_recompute[0, m, c]
            power = search.constants.software.overlap_exponent
            optimizer = (times.device_optimizer[0], times.host_optimizer[0])
            backward = (times.device_backward[0, m], times.host_backward[0, m])
            forward = (kernels - backward[0], host - backward[1])
            passes = [
                sum(each**power for each in both) ** (1 / power) for both in (forward, backward, optimizer)
            ]
            step = total / micro * (passes[0] + passes[1]) + passes[2]
            yield step * group.software.overhead / total, memory.required[m, c], micro, name


@pytest.mark.parametrize("gpu", ["rtx-4090", "a100-sxm4-40gb", "t4"])
@pytest.mark.parametrize(
    "job",
    [
        {"batch": {"global": 48}, "data": {"sequence_length": 1024}},
        {"batch": {"global": 7}, "data": {"sequence_length": 512}, "method": "lora"},
        {"batch": {"global": 256}, "data": {"sequence_length": 4096}, "method": "qlora"},
    ],
)
def test_one_gpu_against_a_plain_loop(gpu: str, job: dict[str, Any]) -> None:
    search = search_for(gpu, **job)
    choices = search.best(1)
    every = list(one_gpu_by_hand(search))
    assert choices.evaluated == len(every)
    fitting = [plan for plan in every if plan[1] <= search.group.available[0]]
    assert bool(choices.fits[0]) == bool(fitting)
    if not fitting:
        expected = min(every, key=lambda plan: plan[1])
    else:
        fastest = min(plan[0] for plan in fitting)
        expected = min(
            (plan for plan in fitting if plan[0] <= fastest * NEARLY_AS_FAST), key=lambda plan: plan[1]
        )
    assert chosen(choices)[1:] == expected[2:]
    assert choices.required[0] == expected[1]
    assert choices.step_s[0] / choices.samples[0] == pytest.approx(expected[0])


def every_plan(free: Search, count: int) -> Iterator[tuple[Layout, float, float]]:
    """Yield (layout, seconds a sample, bytes) of the plans found when the user fixes every choice."""
    for layout, micro, checkpointing in itertools.product(
        layouts(count, free.freedom), free.micro, CHECKPOINTING
    ):
        sharding = Parallelism(
            data=layout.data, tensor=layout.tensor, pipeline=layout.pipeline,
            strategy="ddp" if layout.strategy == "none" else layout.strategy,
        )  # fmt: skip
        freedom = replace(
            free.freedom, micro_batch=int(micro), checkpointing=checkpointing,
            sharding=sharding if count > 1 else None,
        )  # fmt: skip
        try:
            choices = Search(free.group, freedom, constants()).best(count)
        except LookupError:
            continue
        assert chosen(choices) == (layout, micro, checkpointing)
        yield layout, float(choices.step_s[0] / choices.samples[0]), float(choices.required[0])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("gpu", ["rtx-4090", "h100-sxm5-80gb"])
@pytest.mark.parametrize("model", ["llama-3.2-1b", "llama-3.1-8b"])
def test_search_against_all_plans_with_every_choice_fixed(gpu: str, model: str, count: int) -> None:
    job = {"precision": "bf16", "batch": {"global": 24}, "data": {"sequence_length": 2048}}
    search = search_for(gpu, model, **job)
    choices = search.best(count)
    every = list(every_plan(search, count))
    available = search.group.available[0]
    plain = [plan for plan in every if plan[0].tensor * plan[0].pipeline == 1]
    if any(plan[2] <= available for plan in plain):
        every = plain
    fitting = [plan for plan in every if plan[2] <= available]
    assert bool(choices.fits[0]) == bool(fitting)
    if not fitting:
        assert choices.required[0] == pytest.approx(min(plan[2] for plan in every))
        return

    def weighed(plan: tuple[Layout, float, float]) -> float:
        return plan[1] * burden(plan[0])

    fastest = min(weighed(plan) for plan in fitting)
    near = [plan for plan in fitting if weighed(plan) <= fastest * NEARLY_AS_FAST * (1 + 1e-9)]
    assert choices.required[0] == pytest.approx(min(plan[2] for plan in near))
    assert choices.step_s[0] / choices.samples[0] <= fastest * NEARLY_AS_FAST * (1 + 1e-9)


@settings(max_examples=25, deadline=None)
@given(
    total=st.integers(1, 300), count=st.sampled_from([1, 2, 3, 4, 8]),
    gpu=st.sampled_from(["rtx-4090", "mi300x", "l4"]), method=st.sampled_from(["full", "lora"]),
)  # fmt: skip
def test_a_fixed_global_batch_is_reached_exactly(total: int, count: int, gpu: str, method: str) -> None:
    search = search_for(gpu, batch={"global": total}, method=method, data={"sequence_length": 256})
    try:
        choices = search.best(count)
    except LookupError:
        assert total % count, "a batch that the GPUs divide can be run"
        return
    layout, micro, _ = chosen(choices)
    assert choices.samples[0] == total
    assert total % (micro * layout.data) == 0


@settings(max_examples=25, deadline=None)
@given(
    micro=st.integers(1, 8), steps=st.integers(1, 8), checkpointing=st.sampled_from(CHECKPOINTING),
    sharding=st.sampled_from(["ddp", "zero1", "zero2", "fsdp"]), precision=st.sampled_from(["bf16", "fp16", "tf32"]),
)  # fmt: skip
def test_what_the_user_fixed_stays_fixed(
    micro: int, steps: int, checkpointing: str, sharding: str, precision: str
) -> None:
    row = advisor.estimate(
        "llama-3.2-1b", gpus=["a100-sxm4-80gb"], count=2, batch={"global": 2 * micro * steps, "micro": micro},
        checkpointing=checkpointing, sharding=sharding, precision=precision,
        data={"sequence_length": 256, "tokens": 10**7},
    ).estimates[0]  # fmt: skip
    plan = row.plan
    assert row.count == 2
    assert plan.micro_batch == micro
    assert plan.checkpointing == checkpointing
    assert plan.precision == precision
    assert (
        plan.global_batch
        == 2 * micro * steps
        == plan.micro_batch * plan.gradient_accumulation * plan.sharding.data
    )
    if sharding != "fsdp":
        assert (plan.sharding.strategy, plan.sharding.data) == (sharding, 2)


def test_a_fixed_layout_sets_the_count() -> None:
    layout = {"data": 2, "tensor": 4, "pipeline": 1, "strategy": "fsdp"}
    row = advisor.estimate("llama-3.1-8b", gpus=["h100-sxm5-80gb"], sharding=layout).estimates[0]
    assert row.count == 8
    assert row.plan.sharding.model_dump() == layout
    with pytest.raises(InputError):
        advisor.estimate("llama-3.1-8b", gpus=["h100-sxm5-80gb"], sharding=layout, count=4)


@pytest.mark.parametrize("gpu", ["h100-sxm5-80gb", "rtx-3060-12gb"])
@pytest.mark.parametrize("count", [3, 5, 7])
def test_a_batch_that_the_gpus_do_not_divide_is_refused(gpu: str, count: int) -> None:
    with pytest.raises(LookupError):
        search_for(gpu, method="lora", batch={"global": 8, "micro": 4}).best(count)
    with pytest.raises(InputError, match="8 samples a step"):
        advisor.estimate(
            "llama-3.2-1b", gpus=[gpu], count=count, method="lora", batch={"global": 8, "micro": 4}
        )


@pytest.mark.parametrize("count", [4, 8])
def test_whether_a_batch_is_refused_does_not_depend_on_the_memory_of_the_card(count: int) -> None:
    """Two micro-batches of 4 cannot be dealt to more than two replicas; tensor parallelism may do it, on every card."""
    refused = set()
    for gpu in ("h100-sxm5-80gb", "rtx-3060-12gb", "rtx-4090"):
        try:
            advisor.estimate(
                "llama-3.1-8b", gpus=[gpu], count=count, method="lora", batch={"global": 8, "micro": 4}
            )
            refused.add(False)
        except InputError:
            refused.add(True)
    assert len(refused) == 1


def test_micro_batch_that_does_not_divide_the_global_batch_is_refused() -> None:
    with pytest.raises(InputError, match="does not divide"):
        advisor.estimate("gpt2", gpus=["rtx-4090"], batch={"global": 10, "micro": 4})


def test_without_a_fixed_global_batch_every_count_works() -> None:
    for count in range(1, 9):
        row = advisor.estimate(
            "gpt2", gpus=["rtx-4090"], count=count, data={"sequence_length": 1024}
        ).estimates[0]
        assert row.fits
        plan = row.plan
        assert plan.global_batch == plan.micro_batch * plan.gradient_accumulation * plan.sharding.data


def test_serving_takes_the_batch_as_it_is() -> None:
    for count in (1, 2, 4):
        row = advisor.estimate(
            "llama-3.1-8b", gpus=["a100-sxm4-80gb"], count=count, task="inference", inference={"batch": 12}
        ).estimates[0]
        assert row.fits
        assert row.plan.global_batch == 12
        assert row.plan.checkpointing == "none"
        assert row.plan.sharding.strategy == "none"


def test_more_gpus_never_make_the_best_serving_slower_to_the_first_token() -> None:
    firsts = [
        search_for("h100-sxm5-80gb", "llama-3.1-8b", task="inference", inference={"batch": 8})
        .best(count)
        .step_s[0]
        for count in (1, 2, 4, 8)
    ]
    assert all(np.isfinite(firsts))
    assert min(firsts) < firsts[0]


def test_shares_of_time_are_shares() -> None:
    for count in (1, 2, 8):
        for job in ({}, {"method": "lora"}, {"task": "inference"}):
            choices = search_for("rtx-4090", **job).best(count)
            assert (choices.matrix_share >= 0).all()
            assert (choices.matrix_share <= 1).all()
            assert (choices.busy_share > 0).all()
            assert (choices.busy_share <= 1).all()


def test_forward_only_has_no_backward() -> None:
    table = search_for("rtx-4090", task="inference").group.describe(1, False).table
    assert set(table.phase.tolist()) == {Phase.FORWARD}
