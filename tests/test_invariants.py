"""What must hold for every workload and every GPU, whatever the numbers: drawn jobs on drawn variants of real cards."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from advisor import service
from advisor.candidates import candidates
from advisor.catalog import shipped_devices
from advisor.describe.shipped_networks import shipped_networks
from advisor.describe.subject import Subject
from advisor.documents import EstimateAnswer, EstimateDocument, RecommendAnswer
from advisor.economics import Prices, Terms
from advisor.efficiency import load_constants
from advisor.errors import InputError
from advisor.execution import Constants
from advisor.hardware import Device, discrepancies
from advisor.models import CodePolicy, subject_of
from advisor.operators import Floats
from advisor.plan import NEARLY_AS_FAST, Choices, burden, layouts
from advisor.problem import Team, problem_of, refusal, teams
from advisor.ranking import is_awkward, rank
from advisor.units import (
    HOUR_S,
    format_count,
    format_duration,
    format_money,
    format_seconds,
    parse_count,
)
from advisor.workload import Constraints, Workload
from advisor.workload_file import build_workload, parse_hours
from advisor.yaml_io import data_root

GPUS = {device.id: device for device in shipped_devices() if device.kind == "gpu"}
OBJECTIVES = ("balanced", "cost", "time", "energy", "value")
CASES = settings(
    max_examples=40, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)  # fmt: skip
FEW = settings(CASES, max_examples=12)
MANY = settings(CASES, max_examples=300)
LAST_DIGITS = 1 - 1e-9
"""Sums in another order differ in their last digits."""


@cache
def constants() -> Constants:
    return load_constants(data_root())


# Drawn work


@st.composite
def transformers(draw: st.DrawFn) -> dict[str, Any]:
    heads = draw(st.sampled_from([1, 2, 4, 6, 8, 16]))
    size = draw(st.sampled_from([16, 64, 128]))
    hidden = heads * size
    found: dict[str, Any] = {
        "kind": draw(st.sampled_from(["decoder", "decoder", "encoder", "encoder-decoder"])),
        "layers": draw(st.integers(1, 12)),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": draw(st.sampled_from([each for each in (1, 2, 4, 8, 16) if heads % each == 0])),
        "ffn": draw(st.integers(1, 4 * hidden)),
        "vocab": draw(st.integers(1, 150_000)),
        "gated_ffn": draw(st.booleans()),
        "tied_embeddings": draw(st.booleans()),
    }
    if found["kind"] == "encoder-decoder":
        found["decoder_layers"] = draw(st.integers(1, 6))
    elif draw(st.booleans()):
        experts = draw(st.integers(1, 16))
        found |= {"experts": experts, "active_experts": draw(st.integers(1, experts))}
        found |= {
            "shared_expert_ffn": draw(st.sampled_from([0, 256])),
            "dense_layers": draw(st.integers(0, 1)),
        }
    if draw(st.booleans()):
        found["sliding_window"] = draw(st.integers(1, 2000))
        found["global_layers_every"] = draw(st.integers(0, 4))
    found["position"] = draw(st.sampled_from(["rotary", "relative", "none"]))
    if found["position"] == "relative":
        found["relative_buckets"] = 32
    return found


ROWS = st.integers(1000, 10**8)
LEARNERS = st.one_of(
    st.fixed_dictionaries(
        {"trees": st.fixed_dictionaries(
            {"rows": ROWS, "features": st.integers(1, 2000), "trees": st.integers(1, 500),
             "library": st.sampled_from(["xgboost", "lightgbm", "catboost"])})}
    ),
    st.fixed_dictionaries(
        {"kmeans": st.fixed_dictionaries(
            {"rows": ROWS, "features": st.integers(1, 2000), "clusters": st.integers(1, 500)})}
    ),
    st.fixed_dictionaries(
        {"pca": st.fixed_dictionaries({"rows": ROWS, "features": st.integers(1, 2000)})}
    ),
)  # fmt: skip


@st.composite
def trained(draw: st.DrawFn, model: dict[str, Any], *, whole: bool = True) -> dict[str, Any]:
    """A training of a network; ``whole`` for networks that are no transformers, which know no adapters."""
    job: dict[str, Any] = {"model": model}
    if not whole:
        job["method"] = draw(st.sampled_from(["full", "full", "lora", "qlora"]))
        job["attention"] = draw(st.sampled_from(["auto", "eager", "flash"]))
        job["checkpointing"] = draw(st.sampled_from(["auto", "none", "selective", "full"]))
        job["data"] = {"sequence_length": draw(st.integers(1, 4096))}
        job["lora"] = {"rank": draw(st.sampled_from([1, 16, 256]))}
        job["software"] = {
            "trainer": draw(st.sampled_from(["common", "tuned"])),
            "fused_loss": draw(st.booleans()),
            "version": draw(st.sampled_from([None, "1.9", "2.6"])),
        }
    job["precision"] = draw(st.sampled_from(["auto", "auto", "fp32", "fp16", "bf16"]))
    job["optimizer"] = draw(
        st.sampled_from(["sgd", "sgd-momentum", "adamw", "adamw-8bit", "adafactor", "lion"])
    )
    job["compile"] = draw(st.booleans())
    micro = draw(st.none() | st.integers(1, 32))
    times = draw(st.none() | st.integers(1, 16))
    if micro is not None:
        job["batch"] = {"micro": micro} | ({} if times is None else {"global": micro * times * 8})
    elif times is not None:
        job["batch"] = {"global": times * 8}
    return job


@st.composite
def served(draw: st.DrawFn, model: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": model,
        "task": "inference",
        "precision": draw(st.sampled_from(["auto", "fp16", "int8", "int4"])),
        "inference": {
            "batch": draw(st.integers(1, 64)),
            "prompt_tokens": draw(st.integers(1, 2000)),
            "new_tokens": draw(st.sampled_from([0, 1, 100])),
            "kv_cache": draw(st.sampled_from(["auto", "fp8"])),
        },
    }


@st.composite
def transformer_jobs(draw: st.DrawFn, training: bool | None = None) -> dict[str, Any]:
    model = {"transformer": draw(transformers())}
    if training if training is not None else draw(st.integers(0, 2)) > 0:
        return draw(trained(model, whole=False))
    return draw(served(model))


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["transformer", "transformer", "network", "learner"]))
    if kind == "transformer":
        return draw(transformer_jobs())
    if kind == "network":
        return draw(trained({"name": draw(st.sampled_from(networks()))}))
    return {"model": draw(LEARNERS)}


@cache
def networks() -> tuple[str, ...]:
    names = list(shipped_networks(data_root()))
    return tuple(sorted(names)[::7])


# Drawn cards


def changed(device: Device, group: str, **fields: Any) -> Device:
    return device.model_copy(update={group: getattr(device, group).model_copy(update=fields)})


def with_memory(device: Device, factor: float) -> Device:
    reported = device.memory.reported_mib
    return changed(
        device, "memory", size_gib=device.memory.size_gib * factor,
        reported_mib=None if reported is None else math.ceil(reported * factor),
    )  # fmt: skip


def with_bandwidth(device: Device, factor: float) -> Device:
    return changed(device, "memory", bandwidth_gb_s=device.memory.bandwidth_gb_s * factor)


def with_arithmetic(device: Device, factor: float) -> Device:
    compute = device.compute
    device = changed(
        device, "compute", fp32_tflops=compute.fp32_tflops * factor,
        fp16_tflops=None if compute.fp16_tflops is None else compute.fp16_tflops * factor,
        boost_clock_mhz=None if compute.boost_clock_mhz is None else compute.boost_clock_mhz * factor,
    )  # fmt: skip
    if device.tensor is None:
        return device
    rates = tuple(rate.model_copy(update={"tflops": rate.tflops * factor}) for rate in device.tensor.rates)
    return changed(device, "tensor", rates=rates)


def with_links(device: Device, factor: float) -> Device:
    nvlink = device.links.nvlink_gb_s
    lanes = device.links.pcie_lanes
    return changed(
        device, "links", nvlink_gb_s=None if nvlink is None else nvlink * factor,
        pcie_lanes=None if lanes is None else math.ceil(lanes * factor),
    )  # fmt: skip


def with_cache(device: Device, factor: float) -> Device:
    return changed(device, "compute", l2_mib=(device.compute.l2_mib or 1.0) * factor)


FASTER: dict[str, Callable[[Device, float], Device]] = {
    "bandwidth": with_bandwidth, "arithmetic": with_arithmetic, "links": with_links, "cache": with_cache,
}  # fmt: skip

FACTORS = st.floats(1.0, 8.0)
CARDS = st.builds(
    lambda name, memory, bandwidth, arithmetic: with_arithmetic(
        with_bandwidth(with_memory(GPUS[name], memory), bandwidth), arithmetic
    ),
    st.sampled_from(sorted(GPUS)), st.floats(0.1, 10), st.floats(0.2, 5), st.floats(0.2, 5),
)  # fmt: skip
COUNTS = st.sampled_from([1, 1, 2, 4, 8, 16])


# Plans


@cache
def subject(model: str) -> Subject:
    workload = Workload.model_validate({"model": json.loads(model)})
    return subject_of(workload, data_root(), constants().learners, CodePolicy())


def solved(job: dict[str, Any], device: Device, count: int = 1) -> tuple[Team, Choices] | None:
    """Return the search and its plan; None where the job cannot be put to this many of the device at all."""
    try:
        workload = build_workload(job, "drawn", None)
        problem = problem_of(workload, subject(json.dumps(job["model"])))
    except InputError:
        return None
    if refusal(problem, device):
        return None
    (team,) = teams(problem, [device], constants())
    try:
        return team, team.search.best(count)
    except LookupError:
        return None


def per_sample(choices: Choices) -> float:
    return float(choices.step_s[0] / choices.samples[0])


def counted(choices: Choices) -> float:
    """Seconds a sample as the search counts them: what is harder to set up counts as slower."""
    return per_sample(choices) * burden(choices.layouts[int(choices.layout[0])])


def least(team: Team, count: int) -> dict[Any, float]:
    """Return the least memory of each layout over micro-batches and checkpointing, bytes."""
    search = team.search
    found = {}
    for layout in layouts(count, search.freedom):
        steps = search._accumulation(layout)
        if steps is not None:
            required = np.where(
                np.isfinite(steps)[:, None] & search.allowed, search.memory(layout).required, np.inf
            )
            found[layout] = float(required.min())
    return found


@CASES
@given(job=jobs(), card=CARDS, count=COUNTS, factor=FACTORS)
def test_more_memory_never_takes_a_fit_away(
    job: dict[str, Any], card: Device, count: int, factor: float
) -> None:
    before, after = solved(job, card, count), solved(job, with_memory(card, factor), count)
    assert (before is None) == (after is None)
    if before is None or after is None:
        return
    assert after[1].fits[0] >= before[1].fits[0]
    # What a plan needs is the same on every size of card.
    assert least(after[0], count) == least(before[0], count)


@CASES
@given(job=jobs(), card=CARDS, count=COUNTS, factor=FACTORS, what=st.sampled_from(sorted(FASTER)))
def test_a_faster_card_is_never_slower(
    job: dict[str, Any], card: Device, count: int, factor: float, what: str
) -> None:
    """Of proposed plans the one that needs least memory counts among those within 2 %, so that much may be lost."""
    before, after = solved(job, card, count), solved(job, FASTER[what](card, factor), count)
    assume(before is not None and after is not None)
    assert before is not None
    assert after is not None
    assert after[1].fits[0] == before[1].fits[0]
    if before[1].fits[0]:
        assert counted(after[1]) * LAST_DIGITS <= counted(before[1]) * NEARLY_AS_FAST
    # Every fixed plan, not only the proposed one, is at least as fast; without any such slack.
    for layout in layouts(count, before[0].search.freedom):
        slow, fast = (steps_of(team, layout) for team, _ in (before, after))
        if slow is not None and fast is not None:
            known = np.isfinite(slow)
            assert (fast[known] * LAST_DIGITS <= slow[known]).all()


def steps_of(team: Team, layout: Any) -> Floats | None:
    steps = team.search._accumulation(layout)
    return None if steps is None else team.search._step(layout, steps)


# Larger work


SLOWING = ("layers", "ffn", "vocab", "heads", "rank", "sequence_length", "prompt_tokens", "new_tokens")
"""Sizes of which more leaves the number of micro-batches of a step alone."""
GROWING = (*SLOWING, "micro", "batch", "experts")
"""More experts hold more, but deal the same tokens out anew, which may fill the tiles of products better."""


def grown(job: dict[str, Any], what: str, by: int) -> dict[str, Any] | None:
    """Return the job with one size larger; None where it has no such size."""
    job = json.loads(json.dumps(job))
    model = job["model"]["transformer"]
    if what in ("layers", "ffn", "vocab"):
        model[what] += by
    elif what == "heads":
        model["head_dim"] = model["hidden"] // model["heads"]
        model["heads"] *= 1 + by % 3
    elif what == "experts":
        if not model.get("experts"):
            return None
        model["experts"] += by
    elif what == "rank":
        if job.get("method", "full") == "full":
            return None
        job["lora"]["rank"] *= 1 + by
    elif what == "sequence_length":
        if job.get("task") == "inference":
            return None
        job["data"]["sequence_length"] += by
    elif what == "micro":
        if "micro" not in job.get("batch", {}):
            return None
        job["batch"]["micro"] *= 1 + by % 3
        if "global" in job["batch"]:
            job["batch"]["global"] *= 1 + by % 3
    elif what in ("prompt_tokens", "new_tokens", "batch"):
        if job.get("task") != "inference":
            return None
        # A batch that grows by a factor can still be divided as before.
        job["inference"][what] = (
            job["inference"][what] * (1 + by % 3) if what == "batch" else job["inference"][what] + by
        )
    return job


@CASES
@given(
    job=transformer_jobs(), card=CARDS, count=COUNTS, what=st.sampled_from(GROWING), by=st.integers(1, 300)
)
@example(
    job={
        "model": {"transformer": {"layers": 2, "hidden": 128, "heads": 2, "ffn": 256, "vocab": 1000}},
        "method": "lora",
        "lora": {"rank": 128},
        "data": {"sequence_length": 64},
        "batch": {"micro": 1},
    },
    card=GPUS["rtx-4090"],
    count=1,
    what="rank",
    by=1,
).via("adapters of more parameters than their base had nothing of its loading to carry")
def test_larger_work_never_needs_less_memory_or_time(
    job: dict[str, Any], card: Device, count: int, what: str, by: int
) -> None:
    """On each layout that runs both; another layout may need less of larger work that it alone can divide."""
    larger = grown(job, what, by)
    assume(larger is not None)
    assert larger is not None
    small, large = solved(job, card, count), solved(larger, card, count)
    assume(small is not None and large is not None)
    assert small is not None
    assert large is not None
    needs, more = least(small[0], count), least(large[0], count)
    for layout in needs.keys() & more.keys():
        assert more[layout] >= needs[layout] * LAST_DIGITS, layout
        if what in SLOWING and small[0].search.freedom.global_batch == large[0].search.freedom.global_batch:
            before, after = (steps_of(team, layout) for team, _ in (small, large))
            assert before is not None
            assert after is not None
            known = np.isfinite(before) & np.isfinite(after)
            assert (after[known] >= before[known] * LAST_DIGITS).all(), layout
    if needs.keys() == more.keys():
        assert small[1].fits[0] >= large[1].fits[0]


@pytest.mark.parametrize("experts", [3, 4, 9])
def test_experts_that_every_token_passes_start_as_many_products_as_others(experts: int) -> None:
    """Two of two were two products where two of three are one grouped product."""
    starts = []
    for number in (2, experts):
        sizes = {"layers": 3, "hidden": 64, "heads": 2, "ffn": 96, "vocab": 100}
        job = {"model": {"transformer": {**sizes, "experts": number, "active_experts": 2}}}
        found = solved(job, GPUS["a10"])
        assert found is not None
        table = found[0].search.group.describe(1, False).table
        products = [name.startswith("expert.") for name in table.names]
        starts.append(float((table.repeat * table.launches)[products].sum()))
    assert starts[0] == starts[1]


@st.composite
def table_jobs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A network with a batch, or a learner with a table, and the same with more of one thing."""
    by = draw(st.integers(2, 9))
    if draw(st.booleans()):
        job = draw(trained({"name": draw(st.sampled_from(networks()))}))
        micro = draw(st.integers(1, 64))
        # As many micro-batches a step in both.
        batches = ({"micro": size, "global": 16 * size} for size in (micro, micro * by))
        one, many = ({**job, "batch": batch} for batch in batches)
        return one, many
    model = draw(LEARNERS)
    ((kind, sizes),) = model.items()
    what = draw(st.sampled_from(sorted(name for name, value in sizes.items() if isinstance(value, int))))
    return {"model": model}, {"model": {kind: {**sizes, what: sizes[what] * by}}}


@CASES
@given(pair=table_jobs(), card=CARDS, count=COUNTS)
def test_larger_batches_and_tables_never_need_less_memory_or_time(
    pair: tuple[dict[str, Any], dict[str, Any]], card: Device, count: int
) -> None:
    small, large = (solved(job, card, count) for job in pair)
    assume(small is not None and large is not None)
    assert small is not None
    assert large is not None
    needs, more = least(small[0], count), least(large[0], count)
    for layout in needs.keys() & more.keys():
        assert more[layout] >= needs[layout] * LAST_DIGITS
        before, after = (steps_of(team, layout) for team, _ in (small, large))
        assert before is not None
        assert after is not None
        # A learner's step is its whole training.
        if np.isfinite(before).sum() == np.isfinite(after).sum() == 1:
            assert np.nanmin(after) >= np.nanmin(before) * LAST_DIGITS


# Through the whole advisor


TODAY = datetime.date(2026, 11, 1)


@cache
def adviser() -> service.Advisor:
    return service.open_advisor(today=TODAY)


def entry(device: Device, **fields: Any) -> dict[str, Any]:
    """Return a device as a file of the user's catalog holds it."""
    raw = device.model_dump(mode="json", exclude_unset=True)
    for name in ("id", "origin", "overrides", "identifiers", "launch_price", "doubts"):
        raw.pop(name, None)
    reasons = {check: "made up for a test" for check, _, _ in discrepancies(device)}
    return {**raw, "exceptions": {**device.exceptions, **reasons}, **fields}


def advisor_with(folder: Path, files: dict[str, dict[str, Any]]) -> service.Advisor:
    for name, devices in files.items():
        (folder / name).write_text(json.dumps({"devices": devices}), "utf-8")
    return service.open_advisor([folder], today=TODAY)


def quantities(document: Any) -> Iterator[dict[str, float | None]]:
    if isinstance(document, dict):
        if document.keys() == {"value", "low", "high"}:
            yield document
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from quantities(each)


def asked(
    job: dict[str, Any], gpu: str, count: int, by: service.Advisor | None = None
) -> EstimateDocument | None:
    try:
        workload = build_workload(job, "drawn", None)
        return (by or adviser()).estimate(workload, gpus=[gpu], count=count).estimates[0]
    except InputError:
        return None


AMOUNTS = st.one_of(
    st.fixed_dictionaries({"samples": st.integers(1, 10**9)}),
    st.fixed_dictionaries({"samples": st.integers(1, 10**9), "epochs": st.floats(0.01, 1000)}),
    st.fixed_dictionaries({"tokens": st.integers(1, 10**13)}),
    st.fixed_dictionaries({"tokens": st.integers(1, 10**13), "epochs": st.floats(0.01, 1000)}),
    st.fixed_dictionaries({"steps": st.integers(1, 10**8)}),
)
NAMES = st.sampled_from(sorted(GPUS))


def with_data(job: dict[str, Any], amount: dict[str, Any], factor: int = 1, of: str = "") -> dict[str, Any]:
    scaled = {name: value * factor if name == of else value for name, value in amount.items()}
    return {**job, "data": {**job.get("data", {}), **scaled}}


@CASES
@given(job=jobs(), amount=AMOUNTS, factor=st.integers(2, 9), gpu=NAMES, count=COUNTS, data=st.data())
def test_time_energy_and_cost_are_linear_in_the_data(
    job: dict[str, Any], amount: dict[str, Any], factor: int, gpu: str, count: int, data: st.DataObject
) -> None:
    of = data.draw(st.sampled_from(sorted(amount)))
    assume(amount[of] * factor <= 1e9 or of != "epochs")
    one = asked(with_data(job, amount), gpu, count)
    many = asked(with_data(job, amount, factor, of), gpu, count)
    assert (one is None) == (many is None)
    assume(one is not None)
    assert one is not None
    assert many is not None
    assert many.memory == one.memory
    assert many.plan == one.plan
    assert many.step_time_s == one.step_time_s
    assert (one.total_time_h is None) == (not one.fits)
    if not one.fits or one.total_time_h is None:
        return
    for name in ("total_time_h", "energy_kwh"):
        before, after = getattr(one, name), getattr(many, name)
        for end in ("low", "value", "high"):
            assert getattr(after, end) == pytest.approx(factor * getattr(before, end), rel=1e-9), name
    for name in ("power_usd", "idle_power_usd", "rent_usd", "spot_usd", "owned_usd", "total_usd"):
        before, after = getattr(one.cost, name), getattr(many.cost, name)
        assert (before is None) == (after is None)
        if before is not None:
            assert after == pytest.approx(factor * before, rel=1e-9), name


ECONOMICS = st.fixed_dictionaries(
    {},
    optional={
        "country": st.sampled_from(["DE", "US", "IN"]),
        "electricity_usd_per_kwh": st.floats(0, 10),
        "pue": st.floats(1, 5),
        "hours_per_week": st.floats(0.5, 168),
        "horizon_years": st.floats(0.1, 30),
        "residual_share": st.floats(0, 0.99),
        "idle_share": st.floats(0, 1),
        "host_usd_per_gpu": st.one_of(st.sampled_from(["none", "auto"]), st.floats(0, 1e5)),
        "spot": st.booleans(),
        "spot_overhead": st.floats(0, 10),
        "minimum_rental_h": st.floats(0, 100),
    },
)


@CASES
@given(job=jobs(), amount=AMOUNTS, economics=ECONOMICS, gpu=NAMES, count=COUNTS)
@example(
    job={"model": {"name": "gpt2"}}, amount={"samples": 1}, economics={}, gpu="b200-sxm-180gb", count=1
).via("a part that is sold in servers only")
def test_parts_add_up_and_intervals_hold_their_value(
    job: dict[str, Any], amount: dict[str, Any], economics: dict[str, Any], gpu: str, count: int
) -> None:
    found = asked({**with_data(job, amount), "economics": economics}, gpu, count)
    assume(found is not None)
    assert found is not None
    for each in quantities(found.model_dump(mode="json")):
        # Hours until owning pays may be without an end: then the upper one is not known.
        high = each["value"] if each["high"] is None else each["high"]
        assert 0 <= each["low"] <= each["value"] <= high
        assert math.isfinite(high)
    memory = found.memory
    parts = (
        memory.parameters_gib, memory.gradients_gib, memory.optimizer_gib, memory.activations_gib,
        memory.temporary_gib,
    )  # fmt: skip
    assert min(parts) >= 0
    assert memory.allocated_gib == pytest.approx(sum(parts))
    whole = memory.allocated_gib + memory.overhead_gib + memory.margin_gib
    assert memory.required_gib.value == pytest.approx(whole)
    cost = found.cost
    if found.step_time_s is None:
        assert not found.fits
        assert cost.total_usd is None
        return
    step = found.step_time_s.value
    assert sum(row.time_s for row in found.breakdown) == pytest.approx(step, rel=0.02)
    assert sum(row.share for row in found.breakdown) <= 1 + 1e-9
    assert found.power_w is not None
    assert found.samples_per_s is not None
    batch = found.samples_per_s.value * step
    assert found.total_time_h is not None
    assert found.energy_kwh is not None
    assert found.energy_kwh.value == pytest.approx(found.total_time_h.value * found.power_w / 1000)
    assert found.samples_per_s.low == pytest.approx(batch / found.step_time_s.high)
    hours = found.total_time_h.value
    if cost.owned_usd is not None:
        assert cost.purchase_usd is not None
        assert cost.residual_usd is not None
        assert cost.power_usd is not None
        assert cost.idle_power_usd is not None
        terms = {"hours_per_week": 60.0, "horizon_years": 3.0} | economics
        of_use = terms["hours_per_week"] * 365.25 / 7 * terms["horizon_years"]
        share = (cost.purchase_usd - cost.residual_usd) * hours / of_use
        assert cost.owned_usd == pytest.approx(share + cost.power_usd + cost.idle_power_usd)
        assert cost.owned_usd_per_h == pytest.approx(cost.owned_usd / hours)
    if cost.rent_usd is not None:
        # An hour of work on an interruptible machine is billed with what interruptions add.
        taken = 1 + economics.get("spot_overhead", 0.15) if economics.get("spot") else 1.0
        billed = max(hours, economics.get("minimum_rental_h", 0.0) / taken)
        assert cost.rent_usd_per_h is not None
        assert cost.rent_usd == pytest.approx(cost.rent_usd_per_h * billed)
    workload = build_workload({**with_data(job, amount), "economics": economics}, "drawn", None)
    # Parts that are sold in servers only are not bought for a machine of one's own.
    sold = adviser()._procurement.prices(workload, GPUS[gpu], count).no_purchase is None
    known = [each for each in (cost.owned_usd if sold else None, cost.rent_usd) if each is not None]
    assert cost.total_usd == (pytest.approx(min(known)) if known else None)
    if cost.total_usd is not None:
        assert cost.total_usd == pytest.approx(cost.owned_usd if cost.total_by == "buy" else cost.rent_usd)


CONSTRAINTS = st.fixed_dictionaries(
    {"segments": st.just(["laptop", "embedded"])},
    optional={
        "budget_usd": st.floats(0.01, 5000),
        "deadline_h": st.floats(0.01, 1000),
        "max_power_w": st.floats(10, 1000),
        "max_count": st.integers(1, 4),
        "acquire": st.sampled_from([["buy"], ["rent"], ["buy", "rent"]]),
    },
)


@FEW
@given(job=jobs(), amount=st.none() | AMOUNTS, constraints=CONSTRAINTS, objective=st.sampled_from(OBJECTIVES))
def test_documents_survive_json(
    job: dict[str, Any], amount: dict[str, Any] | None, constraints: dict[str, Any], objective: Any
) -> None:
    job = job if amount is None else with_data(job, amount)
    try:
        workload = build_workload({**job, "constraints": constraints}, "drawn", None)
    except InputError:
        return
    assert Workload.model_validate_json(workload.model_dump_json(by_alias=True)) == workload
    written = workload.model_dump_json(by_alias=True, exclude_unset=True)
    assert Workload.model_validate_json(written) == workload
    try:
        answer = adviser().recommend(workload, objective=objective)
    except InputError:
        return
    assert RecommendAnswer.model_validate_json(answer.model_dump_json()) == answer
    if answer.recommendations:
        first = answer.recommendations[0]
        estimate = adviser().estimate(workload, gpus=[first.gpu], count=first.count)
        assert EstimateAnswer.model_validate_json(estimate.model_dump_json()) == estimate


def test_lists_and_comparisons_survive_json() -> None:
    advisor = adviser()
    workload = Workload.model_validate({"model": {"name": "gpt2"}, "data": {"tokens": 10**9}})
    answers: list[BaseModel] = [
        advisor.gpus("rtx"), advisor.gpu("h100-sxm5-80gb"), advisor.models("llama"), advisor.price_list(),
        advisor.price_list("rtx-4090"), advisor.calibrations(),
        advisor.compare(workload, gpus=["rtx-4090", "h100-sxm5-80gb"], cpu=constants().baseline.cpu),
        advisor.describe(Workload.model_validate({"model": {"name": "resnet-50"}})),
    ]  # fmt: skip
    for answer in answers:
        assert type(answer).model_validate_json(answer.model_dump_json()) == answer


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_catalog_entries_survive_json(kind: str) -> None:
    for device in shipped_devices():
        if device.kind == kind:
            assert Device.model_validate_json(device.model_dump_json()) == device


# Twins: two cards that differ in nothing but their price


@st.composite
def twins(draw: st.DrawFn) -> tuple[str, dict[str, dict[str, Any]], str, str]:
    """Two entries of one card; returns (real card, entries, id of the cheaper, id of the dearer)."""
    name = draw(NAMES)
    cheap = draw(st.floats(10, 50_000).map(lambda usd: round(usd, 2)))
    dear = round(cheap * draw(st.floats(1.01, 20)), 2)
    ids = draw(st.permutations(["made-up-a", "made-up-b"]))
    entries = {
        each: entry(
            GPUS[name], name=each.replace("-", " ").title(),
            launch_price={"usd": usd, "date": "2026-10", "source": "made up"},
        )
        for each, usd in zip(ids, (cheap, dear), strict=True)
    }  # fmt: skip
    return name, entries, ids[0], ids[1]


@FEW
@given(
    pair=twins(), job=jobs(), amount=st.none() | AMOUNTS, economics=ECONOMICS, objective=st.sampled_from(OBJECTIVES),
    constraints=CONSTRAINTS,
)  # fmt: skip
def test_the_cheaper_of_two_equal_gpus_never_ranks_lower_in_the_whole_catalog(
    tmp_path_factory: pytest.TempPathFactory, pair: Any, job: dict[str, Any], amount: dict[str, Any] | None,
    economics: dict[str, Any], objective: Any, constraints: dict[str, Any],
) -> None:  # fmt: skip
    name, entries, cheap, dear = pair
    job = job if amount is None else with_data(job, amount)
    job = {**job, "economics": economics, "constraints": {**constraints, "segments": [GPUS[name].segment]}}
    with_twins = advisor_with(tmp_path_factory.mktemp("twins"), {"twins.json": entries})
    try:
        answer = with_twins.recommend(build_workload(job, "drawn", None), objective=objective, limit=None)
    except InputError:
        return
    places = {row.gpu: row.rank for row in answer.recommendations}
    counts = {row.gpu: row.count for row in answer.recommendations}
    if dear in places:
        assert cheap in places
        # A budget may let fewer of the cheaper card qualify, which is another answer.
        if counts[cheap] == counts[dear]:
            assert places[cheap] < places[dear]


@FEW
@given(
    name=NAMES, factor=st.floats(0.05, 1), more=FACTORS, job=jobs(), objective=st.sampled_from(OBJECTIVES),
    limit=st.integers(1, 16), acquire=st.sampled_from([["buy"], ["buy", "rent"]]),
)  # fmt: skip
def test_more_memory_never_takes_a_recommendation_away(
    tmp_path_factory: pytest.TempPathFactory, name: str, factor: float, more: float, job: dict[str, Any],
    objective: Any, limit: int, acquire: list[str],
) -> None:  # fmt: skip
    """Up to a number of GPUs that the user names; without one, whole nodes are tried for cards too small for one."""
    price = {"launch_price": {"usd": 1000.0, "date": "2026-10", "source": "made up"}}
    small = with_memory(GPUS[name], factor)
    entries = {
        "made-up-large": entry(with_memory(small, more), name="Made Up Large", **price),
        "made-up-small": entry(small, name="Made Up Small", **price),
    }
    constraints = {"segments": [small.segment], "max_count": limit, "acquire": acquire}
    advisor = advisor_with(tmp_path_factory.mktemp("memory"), {"memory.json": entries})
    try:
        workload = build_workload({**job, "constraints": constraints}, "drawn", None)
        answer = advisor.recommend(workload, objective=objective, limit=None)
    except InputError:
        return
    counts = {row.gpu: row.count for row in answer.recommendations}
    if "made-up-small" in counts:
        assert "made-up-large" in counts
        if objective != "time":
            assert is_awkward(counts["made-up-large"]) <= is_awkward(counts["made-up-small"])
            assert counts["made-up-large"] <= counts["made-up-small"]


PRICE = st.none() | st.floats(1, 1e5)


@CASES
@given(
    purchase=PRICE, rent=PRICE, lower=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)),
    names=st.permutations(["a", "z"]), objective=st.sampled_from(OBJECTIVES), tokens=st.integers(10**5, 10**12),
)  # fmt: skip
@example(
    purchase=2000.0, rent=1e-4, lower=(0.5, 1.0), names=["z", "a"], objective="balanced", tokens=10**7
).via("where renting is cheaper for both, the price of the card decided nothing")
@example(purchase=2000.0, rent=None, lower=(0.5, 1.0), names=["z", "a"], objective="time", tokens=10**7).via(
    "where money is not asked for, the name decided"
)
def test_of_equal_gpus_one_that_costs_less_in_any_way_ranks_first(
    purchase: float | None, rent: float | None, lower: tuple[float, float], names: list[str], objective: Any,
    tokens: int,
) -> None:  # fmt: skip
    assume(purchase is not None or rent is not None)
    assume(min(lower) < 0.999)
    cheap, dear = names
    job = {"model": {"name": "gpt2"}, "method": "lora", "data": {"tokens": tokens, "sequence_length": 128}}
    workload = Workload.model_validate(job)
    problem = problem_of(workload, subject(json.dumps(job["model"])))
    devices = [GPUS["rtx-4090"].model_copy(update={"id": name, "name": name}) for name in sorted(names)]
    (team,) = teams(problem, devices, constants())
    prices = {
        dear: Prices(purchase, rent),
        cheap: Prices(
            None if purchase is None else purchase * lower[0], None if rent is None else rent * lower[1]
        ),
    }
    terms = Terms(0.2, 1.2, 60.0, 3.0)
    found = candidates(problem, team, 1, team.search.best(1), prices, terms, constants())
    rows = rank(found, objective, Constraints(), whole_job=True, time_factor=lambda _: 1.0)
    assume(prices[cheap] != prices[dear])
    assert [row.candidate.device.id for row in rows] == [cheap, dear]


# The order of files


@FEW
@given(
    names=st.lists(NAMES, min_size=2, max_size=6, unique=True), order=st.randoms(use_true_random=False), job=jobs(),
    amount=st.none() | AMOUNTS, objective=st.sampled_from(OBJECTIVES), constraints=CONSTRAINTS,
)  # fmt: skip
def test_the_order_of_catalog_files_and_of_their_entries_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], order: Any, job: dict[str, Any],
    amount: dict[str, Any] | None, objective: Any, constraints: dict[str, Any],
) -> None:  # fmt: skip
    entries = [(f"made-up-{each}", entry(GPUS[each], name=f"Made Up {each}")) for each in names]
    job = job if amount is None else with_data(job, amount)
    segments = sorted({GPUS[each].segment for each in names})
    job = {**job, "constraints": {**constraints, "segments": segments}}
    answers = []
    for _ in range(2):
        files: dict[str, dict[str, Any]] = {}
        for number, (gpu, raw) in enumerate(entries):
            files.setdefault(f"{number % 2}.json", {})[gpu] = raw
        advisor = advisor_with(tmp_path_factory.mktemp("order"), files)
        try:
            answer = advisor.recommend(build_workload(job, "drawn", None), objective=objective, limit=None)
        except InputError as error:
            answers.append(str(error))
        else:
            # Where an entry is from, an answer says; the two folders are not the same.
            text = answer.model_dump_json()
            for place in advisor._folders:
                for each in files:
                    text = text.replace(json.dumps(str(place / each))[1:-1], "FILE")
            answers.append(text)
        order.shuffle(entries)
    assert answers[0] == answers[1]


# Units


@MANY
@given(value=st.floats(1e-6, 1e18), negative=st.booleans())
@example(value=999_950.0, negative=False)
@example(value=1e15, negative=False)
def test_counts_are_read_as_they_are_written(value: float, negative: bool) -> None:
    value = -value if negative else value
    text = format_count(value)
    assert "e" not in text or abs(value) < 1e-3 or abs(value) >= 9.995e14
    assert parse_count(text) == pytest.approx(value, rel=5.01e-3)


@MANY
@given(number=st.integers(0, 10**18), suffix=st.sampled_from(["", "k", "M", "B", "T", " million"]))
def test_whole_numbers_are_read_exactly(number: int, suffix: str) -> None:
    times = {"": 1, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, " million": 1e6}[suffix]
    assert parse_count(f"{number}{suffix}") == float(number) * times
    assert parse_count(f"{number:,}{suffix}") == float(number) * times
    assert parse_count(f"{number:_}{suffix}") == float(number) * times


DURATIONS = {"ms": 1e-3 / HOUR_S, "s": 1 / HOUR_S, "min": 1 / 60, "h": 1.0, "d": 24.0, "y": 8766.0}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@MANY
@given(hours=st.floats(1e-7, 1e7))
@example(hours=0.9996 / HOUR_S)
def test_durations_mean_what_they_say(hours: float) -> None:
    number, unit = format_duration(hours).split(" ")
    assert "e" not in number
    # Right to half of the last digit that is shown; a duration that is read again is the same.
    half = 0.501 * DURATIONS[unit] * 10.0 ** -len(number.partition(".")[2])
    assert float(number) * DURATIONS[unit] == pytest.approx(hours, abs=half)
    if unit in ("h", "d", "min"):
        assert parse_hours(number + unit) == pytest.approx(hours, abs=half)


@MANY
@given(seconds=st.floats(1e-8, 1e6))
def test_short_times_mean_what_they_say(seconds: float) -> None:
    number, unit = format_seconds(seconds).split(" ")
    assert float(number.replace(",", "")) * SECONDS[unit] == pytest.approx(seconds, rel=0.0051)


@MANY
@given(usd=st.floats(0, 1e12))
@example(usd=999_999.7)
def test_money_means_what_it_says(usd: float) -> None:
    text = format_money(usd)
    assert text.startswith("$")
    value = parse_count(text[1:])
    assert value == pytest.approx(usd, abs=0.00501, rel=0.0051)
