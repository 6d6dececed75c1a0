"""Memory, time, network and power: hand-worked numbers and what must hold for every device and model."""

from __future__ import annotations

import random
from collections.abc import Sequence
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
from advisor.describe.transformer import describe_training
from advisor.describe.variant import Variant
from advisor.describe.weights import parameter_count
from advisor.efficiency import load_constants
from advisor.estimation.devices import (
    automatic_precision,
    available_bytes,
    device_rates,
    half_precision,
    matrix_peak_tflops,
    sustained,
    unsupported,
)
from advisor.estimation.interval import combined
from advisor.estimation.memory import Precisions, inference_memory, memory_interval, training_memory
from advisor.estimation.network import gather_time, links
from advisor.estimation.power import average_power_w, draw_of
from advisor.estimation.time import SoftwareSpeed, row_times, step_times
from advisor.execution import CHECKPOINTING, NOT_CALIBRATED, Constants, Layout
from advisor.hardware import Device
from advisor.operators import Affine, Kind, Operator, OperatorTable, Phase
from advisor.plan import BURDENS, NEARLY_AS_FAST, SPLIT_BURDEN, Choices, Search
from advisor.problem import Team, problem_of, teams
from advisor.units import GIB
from advisor.workload import Transformer, Workload
from advisor.yaml_io import data_root

CATALOG = {device.id: device for device in shipped_devices()}
QUICK = settings(max_examples=25, deadline=None)


@cache
def constants() -> Constants:
    return load_constants(data_root())


def card(name: str, **fields: Any) -> Device:
    return Device.model_validate({"id": name, "name": name.title(), "sources": {"*": "made up"}, **fields})


GAMER = card(
    "gamer", vendor="nvidia", architecture="Ada", segment="consumer", compute_capability="8.9",
    memory={"size_gib": 24, "type": "GDDR6X", "bandwidth_gb_s": 1000},
    compute={"multiprocessors": 100, "l2_mib": 64, "fp32_tflops": 80, "fp16_tflops": 80},
    tensor={
        "generation": "4", "half_rate_fp32_accumulate": True,
        "rates": {"bf16/fp32": 160, "fp16/fp32": 160, "fp16/fp16": 320, "tf32/fp32": 80, "int8/int32": 640},
    },
    board={"tdp_w": 450}, links={"pcie_generation": 4, "pcie_lanes": 16},
)  # fmt: skip
SERVER = card(
    "server", vendor="nvidia", architecture="Hopper", segment="datacenter", compute_capability="9.0",
    memory={"size_gib": 80, "type": "HBM3", "bandwidth_gb_s": 3000, "ecc": True},
    compute={"multiprocessors": 132, "l2_mib": 50, "fp32_tflops": 67, "fp16_tflops": 134},
    tensor={"generation": "4", "rates": {"bf16/fp32": 990, "fp16/fp32": 990, "fp8/fp32": 1980, "tf32/fp32": 495}},
    board={"tdp_w": 700, "form_factor": "SXM5"},
    links={"pcie_generation": 5, "pcie_lanes": 16, "nvlink_gb_s": 900},
)  # fmt: skip
OLDER = card(
    "older", vendor="nvidia", architecture="Turing", segment="datacenter", compute_capability="7.5",
    memory={"size_gib": 16, "type": "GDDR6", "bandwidth_gb_s": 320, "ecc": True},
    compute={"multiprocessors": 40, "l2_mib": 4, "fp32_tflops": 8, "fp16_tflops": 16},
    tensor={"generation": "2", "rates": {"fp16/fp32": 65, "int8/int32": 130}},
    board={"tdp_w": 70}, links={"pcie_generation": 3, "pcie_lanes": 16},
)  # fmt: skip
PLAIN = card(
    "plain", vendor="nvidia", architecture="Pascal", segment="consumer", compute_capability="6.1",
    memory={"size_gib": 11, "type": "GDDR5X", "bandwidth_gb_s": 484},
    compute={"multiprocessors": 28, "l2_mib": 2.75, "fp32_tflops": 11.3, "fp16_tflops": 11.3 / 64},
    board={"tdp_w": 250}, links={"pcie_generation": 3, "pcie_lanes": 16},
)  # fmt: skip
DEVICES = (GAMER, SERVER, OLDER, PLAIN)


def changed(device: Device, group: str, **fields: Any) -> Device:
    return device.model_copy(update={group: getattr(device, group).model_copy(update=fields)})


def with_rates(device: Device, factor: float) -> Device:
    """The same device with all its arithmetic ``factor`` times as fast."""
    device = changed(
        device, "compute", fp32_tflops=device.compute.fp32_tflops * factor,
        fp16_tflops=(device.compute.fp16_tflops or 0.0) * factor,
    )  # fmt: skip
    if device.tensor is None:
        return device
    rates = tuple(rate.model_copy(update={"tflops": rate.tflops * factor}) for rate in device.tensor.rates)
    return changed(device, "tensor", rates=rates)


def decoder(layers: int = 8, hidden: int = 1024, **fields: Any) -> Transformer:
    return Transformer(
        layers=layers,
        hidden=hidden,
        heads=16,
        kv_heads=4,
        ffn=4 * hidden,
        vocab=32000,
        gated_ffn=True,
        **fields,
    )


def workload(**fields: Any) -> Workload:
    return Workload.model_validate({"model": {"transformer": decoder().model_dump()}, **fields})


def solve(
    job: Workload, devices: Sequence[Device], count: int = 1, transformer: Transformer | None = None
) -> dict[str, tuple[Team, int, Choices]]:
    problem = problem_of(job, TransformerSubject(transformer or decoder(), "made up", "custom"))
    found = {}
    for team in teams(problem, devices, constants()):
        choices = team.search.best(count)
        for index, device in enumerate(team.devices):
            found[device.id] = (team, index, choices)
    return found


def plans(job: Workload, devices: Sequence[Device], count: int = 1) -> dict[str, tuple[object, ...]]:
    return {
        name: (
            bool(choices.fits[index]), choices.layouts[choices.layout[index]], choices.micro_batch[index],
            choices.checkpointing[index], choices.step_s[index], choices.required[index],
        )
        for name, (_, index, choices) in solve(job, devices, count).items()
    }  # fmt: skip


def per_sample(job: Workload, device: Device, count: int = 1) -> float:
    _, index, choices = solve(job, [device], count)[device.id]
    return float(choices.step_s[index] / choices.samples[index])


# Time of one operator


def product(m: int, n: int, k: int, moved: float | None = None) -> OperatorTable:
    moved = 2.0 * (m * k + n * k + m * n) if moved is None else moved
    row = Operator(
        "product", Kind.GEMM, Phase.FORWARD, flops=Affine(2.0 * m * n * k), bytes=Affine(moved), rows=Affine(m),
        columns=n, inner=Affine(k),
    )  # fmt: skip
    return OperatorTable.of([row])


def seconds(table: OperatorTable, devices: Sequence[Device] = DEVICES) -> np.ndarray:
    rates = device_rates(devices, [half_precision(device) for device in devices], constants())
    return row_times(table, rates, np.array([1.0]), constants().kernel, SoftwareSpeed())[0, :, 0]


SIZES = st.integers(1, 20_000)


@QUICK
@given(m=SIZES, n=SIZES, k=SIZES)
def test_no_product_is_faster_than_the_peak_or_its_traffic(m: int, n: int, k: int) -> None:
    took = seconds(product(m, n, k))
    for device, time in zip(DEVICES, took, strict=True):
        peak, _ = matrix_peak_tflops(device, half_precision(device))
        assert time >= 2.0 * m * n * k / (peak * 1e12)
        moved = 2.0 * (m * k + n * k + m * n)
        if moved > (device.compute.l2_mib or 0.0) * 2**20:
            assert time >= moved / (device.memory.bandwidth_gb_s * 1e9)


@QUICK
@given(m=SIZES, n=SIZES, k=SIZES, grown=st.sampled_from("mnk"), by=st.integers(1, 3000))
def test_a_larger_product_never_takes_less_time(m: int, n: int, k: int, grown: str, by: int) -> None:
    sizes = {"m": m, "n": n, "k": k}
    small = seconds(product(**sizes, moved=0.0))
    large = seconds(product(**{**sizes, grown: sizes[grown] + by}, moved=0.0))
    assert (large >= small * (1 - 1e-12)).all()


def test_wave_quantisation_shows_as_steps() -> None:
    took = [float(seconds(product(m, 4096, 4096, moved=0.0), [GAMER])[0]) for m in range(64, 4097, 16)]
    assert took == sorted(took)
    levels = len({round(time * 1e9, 3) for time in took})
    assert levels < len(took) / 2
    by_flops = [time / m for time, m in zip(took, range(64, 4097, 16), strict=True)]
    assert max(by_flops) > 1.2 * min(by_flops)


@pytest.mark.parametrize("kind", [Kind.POINTWISE, Kind.NORM, Kind.EMBEDDING, Kind.COPY])
def test_memory_bound_operators_run_at_the_bandwidth(kind: Kind) -> None:
    table = OperatorTable.of([Operator("move", kind, Phase.FORWARD, bytes=Affine(1e10))])
    for device, time in zip(DEVICES, seconds(table), strict=True):
        full = 1e10 / (device.memory.bandwidth_gb_s * 1e9)
        assert full <= time <= 2 * full


def test_no_kernel_is_shorter_than_the_shortest() -> None:
    table = OperatorTable.of([Operator("nothing", Kind.COPY, Phase.FORWARD, repeat=10, launches=3)])
    rates = device_rates(DEVICES, ["fp32"] * 4, constants())
    assert seconds(table) == pytest.approx(30 * rates.kernel_s)


def test_fused_attention_is_never_faster_than_the_peak_and_short_ones_are_less_efficient() -> None:
    def attention(keys: float) -> float:
        row = Operator(
            "core", Kind.ATTENTION, Phase.FORWARD, flops=Affine(1e13), rows=Affine(keys), columns=keys,
            inner=Affine(128.0),
        )  # fmt: skip
        return float(seconds(OperatorTable.of([row]), [SERVER])[0])

    assert attention(128) > attention(1024) > attention(65536) > 1e13 / 990e12


def test_host_and_phases_add_up() -> None:
    description = describe_training(decoder(), 256, Variant())
    rates = device_rates(DEVICES, [half_precision(device) for device in DEVICES], constants())
    micro = np.array([1.0, 4.0])
    times = step_times(description.table, rates, micro, constants().kernel, SoftwareSpeed(0.5, 0.5, 0.5))
    rows = row_times(description.table, rates, micro, constants().kernel, SoftwareSpeed())
    steps = description.table.phase != Phase.OPTIMIZER
    assert times.device == pytest.approx(rows[steps].sum(axis=0))
    assert (times.device_backward < times.device).all()
    assert (times.matrix <= times.device).all()
    assert (times.device_recompute[:, :, 0] == 0).all()
    assert (times.device_recompute[:, :, 1] <= times.device_recompute[:, :, 2]).all()
    launches = float((description.table.repeat * description.table.launches)[steps].sum())
    assert times.host[:, 0] == pytest.approx(0.5 * launches * rates.launch_s)
    assert (times.host[:, 0] == times.host[:, 1]).all()


@QUICK
@given(
    factor=st.floats(1.0, 4.0), which=st.sampled_from(DEVICES), what=st.sampled_from(["bandwidth", "rates"])
)
def test_more_bandwidth_or_arithmetic_makes_no_operator_slower(
    factor: float, which: Device, what: str
) -> None:
    better = (
        with_rates(which, factor)
        if what == "rates"
        else changed(which, "memory", bandwidth_gb_s=which.memory.bandwidth_gb_s * factor)
    )
    table = describe_training(decoder(2), 512, Variant()).table
    pair = [which, better]
    rates = device_rates(pair, [half_precision(device) for device in pair], constants())
    took = row_times(table, rates, np.array([1.0, 8.0]), constants().kernel, SoftwareSpeed())
    assert (took[:, 1] <= took[:, 0] * (1 + 1e-9)).all()


# Rates


def test_a_power_limit_takes_a_share_of_the_clock() -> None:
    assert sustained(300, 100, 2.0, 0.5) == 1.0
    assert sustained(50, 100, 2.0, 0.5) == pytest.approx(0.5)
    assert sustained(50, 100, 0.0, 0.5) == 1.0
    for device in DEVICES:
        starved = changed(device, "board", tdp_w=device.board.tdp_w / 20)
        rates = device_rates([device, starved], [half_precision(device)] * 2, constants())
        assert rates.matrix_flops[1] < 0.8 * rates.matrix_flops[0]
        assert rates.bandwidth[1] == rates.bandwidth[0]


def test_a_board_of_two_devices_shares_its_power() -> None:
    one = changed(OLDER, "board", tdp_w=60)
    half = changed(OLDER, "board", tdp_w=120, devices_per_board=2)
    rates = device_rates([one, half], ["fp16", "fp16"], constants())
    assert rates.matrix_flops[0] == rates.matrix_flops[1]


@pytest.mark.parametrize("device", shipped_devices(), ids=lambda device: device.id)
def test_no_shipped_device_exceeds_its_datasheet(device: Device) -> None:
    for precision in ("fp32", "tf32", "fp16", "bf16", "fp8", "int8", "int4", "fp4"):
        if unsupported(device, precision):
            continue
        rates = device_rates([device], [precision], constants())
        assert 0 < rates.matrix_flops[0] <= rates.peak_flops[0]
        assert 0 < rates.bandwidth[0] <= device.memory.bandwidth_gb_s * 1e9


@pytest.mark.parametrize(
    ("name", "precision", "tflops"),
    [
        ("rtx-3090", "bf16", 71.2), ("rtx-3090", "fp16", 71.2), ("rtx-4090", "bf16", 165.2), ("t4", "fp16", 65.1),
        ("a100-sxm4-80gb", "bf16", 312.0), ("h100-sxm5-80gb", "bf16", 989.0), ("rtx-3090", "fp32", 35.58),
        ("gtx-1080-ti", "fp16", 11.3), ("h100-sxm5-80gb", "int4", 989.0),
    ],
)  # fmt: skip
def test_peaks_accumulate_in_fp32(name: str, precision: Any, tflops: float) -> None:
    peak, _ = matrix_peak_tflops(CATALOG[name], precision)
    assert peak == pytest.approx(tflops, rel=0.02)


@pytest.mark.parametrize("name", ["t4", "v100-sxm2-16gb", "titan-rtx", "gtx-1080-ti"])
def test_bf16_is_refused_before_ampere(name: str) -> None:
    assert unsupported(CATALOG[name], "bf16")
    assert half_precision(CATALOG[name]) == "fp16"
    assert unsupported(CATALOG[name], "fp16") is None


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("t4", "fp16"), ("v100-sxm2-16gb", "fp16"), ("rtx-3090", "bf16"), ("a100-sxm4-80gb", "bf16"),
        ("gtx-1080-ti", "fp32"), ("mi300x", "bf16"),
    ],
)  # fmt: skip
def test_automatic_precision_is_what_a_practitioner_picks(name: str, precision: str) -> None:
    assert automatic_precision(CATALOG[name], training=True, mixed_only=False) == precision


def test_frozen_weights_are_held_in_sixteen_bits_everywhere() -> None:
    assert automatic_precision(CATALOG["gtx-1080-ti"], training=True, mixed_only=True) == "fp16"
    assert automatic_precision(CATALOG["gtx-1080-ti"], training=False, mixed_only=False) == "fp16"


@pytest.mark.parametrize("device", shipped_devices(), ids=lambda device: device.id)
def test_programs_get_less_than_the_nominal_memory(device: Device) -> None:
    share = available_bytes(device, constants()) / GIB / device.memory.size_gib
    assert 0.4 < share < 1.0
    if device.memory.size_gib == 24 and device.vendor == "nvidia":
        assert 22.0 < available_bytes(device, constants()) / GIB < 24.0


# Network


def test_collectives_move_what_rings_move() -> None:
    link = links([SERVER], constants().network)
    for count in (2, 4, 8):
        latency = link.latency_s * np.log2(count)
        took = float(gather_time(8e9, count, link)[0]) - latency
        assert took == pytest.approx(8e9 * (count - 1) / count / float(link.inside[0]))
    assert float(gather_time(8e9, 1, link)[0]) == 0.0
    # NVLink's total counts both directions; nobody sends more than half of it.
    assert float(link.inside[0]) <= 450e9


def test_cards_that_stage_through_the_host_share_it() -> None:
    link = links([GAMER], constants().network)
    two, eight = (float(gather_time(1e10, count, link)[0]) for count in (2, 8))
    fair = (7 / 8) / (1 / 2)
    assert eight > 2 * fair * two


def test_between_nodes_the_slower_link_counts() -> None:
    link = links([SERVER, GAMER], constants().network)
    inside, across = gather_time(1e10, 8, link), gather_time(1e10, 16, link)
    assert (across > inside).all()
    # The eight GPUs of a node send through eight network cards, or the share of one that each has.
    assert (1e10 * 15 / 16 / across <= 8 * link.between).all()
    strided = gather_time(1e10, 16, link, spread=8)
    assert (1e10 * 15 / 16 / strided <= link.between).all()


def test_sizes_can_be_an_array() -> None:
    link = links([SERVER, GAMER], constants().network)
    table = gather_time(np.array([1e6, 1e9, 1e10]), 4, link)
    assert table.shape == (2, 3)
    assert table[:, 1] == pytest.approx(gather_time(1e9, 4, link))


def test_gradients_are_reduced_once_a_step() -> None:
    """DDP's step is at least the part of an all-reduce of all gradients that cannot hide."""
    network = constants().network
    ddp = workload(
        precision="bf16", batch={"global": 64, "micro": 1}, sharding="ddp", data={"sequence_length": 128}
    )
    team, index, choices = solve(ddp, [GAMER], 8)["gamer"]
    trainable = parameter_count(decoder())
    link = links([GAMER], network)
    reduce = 2 * float(gather_time(trainable * 4.0, 8, link)[0])
    alone = per_sample(replaced(ddp, sharding="none", batch={"global": 8, "micro": 1}), GAMER) * 8
    step = float(choices.step_s[index])
    assert choices.layouts[choices.layout[index]] == Layout(8, "ddp", data=8)
    assert step - alone >= (1 - network.overlap_data) * reduce * 0.99
    assert step - alone <= reduce * 1.01
    assert team.search.group.precisions(Layout(8, "ddp", data=8)).gradient == 4.0


def replaced(job: Workload, **fields: Any) -> Workload:
    return Workload.model_validate({**job.model_dump(by_alias=True, exclude_unset=True), **fields})


def scaling(gpu: str, count: int, **fields: Any) -> float:
    job = {
        "model": {"name": "llama-3.1-8b"},
        "method": "lora",
        "data": {"tokens": 1e8, "sequence_length": 2048},
    }
    one, many = (
        advisor.estimate({**job, "batch": {"global": 64}, **extra}, gpus=[gpu], count=number).estimates[0]
        for number, extra in ((1, {}), (count, fields))
    )
    assert one.samples_per_s is not None
    assert many.samples_per_s is not None
    return many.samples_per_s.value / one.samples_per_s.value


def test_consumer_cards_scale_worse_than_linked_ones() -> None:
    consumer = scaling("rtx-4090", 8, sharding="fsdp")
    linked = scaling("h100-sxm5-80gb", 8, sharding="fsdp")
    assert consumer < 0.95 * 8
    assert consumer < linked <= 8.0


# Memory


def sizes(**fields: float) -> Precisions:
    base = Precisions(
        trainable=4,
        compute=0,
        gradient=4,
        state=8,
        frozen=2,
        gathered=2.0,
        quantised=2,
        optimizer_temporary=4,
    )
    return replace(base, **fields)


HALF = {"compute": 2.0, "gradient": 2.0}
ONE = np.array([1.0])


@pytest.mark.parametrize(
    ("strategy", "held", "parameters", "gradients", "optimizer"),
    [
        # Bytes for one parameter: mixed precision Adam on 8 GPUs (Rajbhandari et al. 2020, figure 1, and FSDP).
        ("ddp", {}, 4, 4, 8),
        ("zero1", HALF, 2 + 4 / 8, 2, 8 / 8),
        ("zero2", HALF, 2 + 4 / 8, 2 / 8, 8 / 8),
        ("fsdp", {}, 4 / 8, 4 / 8, 8 / 8),
    ],
)  # fmt: skip
def test_zero_divides_the_states_of_seven_billion_parameters(
    strategy: Any, held: dict[str, float], parameters: float, gradients: float, optimizer: float
) -> None:
    llama = load_named(data_root(), "llama-2-7b").transformer
    described = describe_training(llama, 512, Variant())
    parts = training_memory(described, sizes(**held), Layout(8, strategy, data=8), ONE, constants().memory)
    each = 6_738_415_616
    assert parts.parameters == pytest.approx(each * parameters)
    assert parts.gradients == pytest.approx(each * gradients)
    assert parts.optimizer == pytest.approx(each * optimizer)


def test_the_search_holds_the_states_that_trainers_hold() -> None:
    """bf16 mixed precision: 16 bytes a parameter on every GPU with DDP, an eighth of 16 with FSDP over 8."""
    llama = load_named(data_root(), "llama-2-7b").transformer
    totals = {}
    for strategy in ("ddp", "zero1", "zero2", "fsdp"):
        job = workload(
            precision="bf16", sharding=strategy, batch={"global": 8}, data={"sequence_length": 512}
        )
        team = solve(job, [SERVER], 8, llama)["server"][0]
        parts = team.search.memory(Layout(8, strategy, data=8))
        totals[strategy] = (parts.parameters + parts.gradients + parts.optimizer) / 6_738_415_616
    assert totals["ddp"] == pytest.approx(16)
    assert totals["zero1"] == pytest.approx(2 + 2 + 12 / 8)
    assert totals["zero2"] == pytest.approx(2 + 14 / 8)
    assert totals["fsdp"] == pytest.approx(16 / 8)


@pytest.mark.parametrize(
    ("optimizer", "master", "state"),
    [
        ("sgd", "fp32", 0), ("sgd-momentum", "fp32", 4), ("adam", "fp32", 8), ("adamw", "fp32", 8),
        ("lion", "fp32", 4), ("adamw", "none", 4), ("adamw-8bit", "fp32", 2), ("adafactor", "fp32", 0),
    ],
)  # fmt: skip
def test_state_of_each_optimizer(optimizer: str, master: str, state: float) -> None:
    job = workload(precision="bf16", optimizer=optimizer, master_weights=master, data={"sequence_length": 64})
    team = solve(job, [SERVER])["server"][0]
    parts = team.search.memory(Layout(1, "none"))
    count = parameter_count(decoder())
    assert parts.optimizer / count == pytest.approx(state, abs=0.05)
    assert parts.parameters / count == pytest.approx(2 if master == "none" else 4)


def test_without_an_optimizer_backward_makes_gradients_all_the_same() -> None:
    job = workload(
        optimizer="none",
        precision="bf16",
        data={"sequence_length": 64},
        batch={"global": 4, "micro": 1},
        checkpointing="none",
    )
    team = solve(job, [SERVER])["server"][0]
    parts = team.search.memory(Layout(1, "none"))
    assert parts.optimizer == 0.0
    assert (parts.gradients == 4.0 * parameter_count(decoder())).all()


@pytest.mark.parametrize("layout", [Layout(4, "none", tensor=4), Layout(4, "none", pipeline=4)])
def test_model_parallelism_divides_the_states(layout: Layout) -> None:
    model = decoder(16)
    whole = training_memory(
        describe_training(model, 256, Variant()), sizes(), Layout(1, "none"), ONE, constants().memory
    )
    described = describe_training(model, 256, Variant(tensor=layout.tensor))
    part = training_memory(described, sizes(), layout, ONE, constants().memory)
    total, outside = parameter_count(model), 32000 * 1024
    layered = total - 2 * outside
    assert whole.optimizer == 8.0 * total
    # One stage also holds the embedding or the head.
    assert 8.0 * layered / 4 <= part.optimizer <= 8.0 * (layered / 4 + 1.25 * outside) * 1.01
    for level in range(3):
        assert part.required[0, level] < whole.required[0, level]


def test_parts_add_up_and_overhead_is_named() -> None:
    described = describe_training(decoder(), 512, Variant(autocast=True))
    micro = np.array([1.0, 2.0, 8.0])
    parts = training_memory(described, sizes(), Layout(2, "ddp", data=2), micro, constants().memory)
    assert parts.required.shape == (3, len(CHECKPOINTING))
    by_hand = parts.parameters + parts.gradients + parts.optimizer + parts.activations + parts.temporary
    assert parts.allocated == pytest.approx(by_hand)
    assert (parts.overhead >= constants().memory.collective_mib * 2**20).all()
    assert (np.diff(parts.required, axis=0) > 0).all(), "more samples need more memory"
    assert (np.diff(parts.activations, axis=1) < 0).all(), "more checkpointing keeps less"


def test_gradients_and_activations_share_memory_where_gradients_are_freed() -> None:
    """Backward frees activations as it makes gradients, unless a micro-batch before it left its own."""
    described = describe_training(decoder(), 4096, Variant())
    micro, memory = np.array([16.0]), constants().memory
    freed = sizes(gradients_persist=False)
    first, later = (
        training_memory(described, freed, Layout(1, "none"), micro, memory, np.array([number]))
        for number in (1.0, 2.0)
    )
    kept = training_memory(described, sizes(), Layout(1, "none"), micro, memory, np.array([1.0]))
    assert (later.allocated == kept.allocated).all()
    held = 4.0 * (described.states.trainable - described.states.largest_tensor)
    assert later.allocated[0, 0] - first.allocated[0, 0] == pytest.approx(held)
    states = first.parameters + first.optimizer + 4.0 * described.states.trainable
    assert (first.allocated >= states).all(), "the optimizer's step needs all gradients"


def test_each_way_of_dividing_has_buffers_of_its_own() -> None:
    described = describe_training(decoder(), 512, Variant())
    one, two = (
        training_memory(described, sizes(), layout, ONE, constants().memory)
        for layout in (Layout(8, "none", pipeline=8), Layout(8, "zero1", data=4, pipeline=2))
    )
    each = constants().memory.collective_mib * 2**20
    assert (one.overhead >= each).all()
    assert (two.overhead >= 2 * each).all()


def test_a_master_copy_is_held_beside_half_precision_weights() -> None:
    parts = {}
    for master in ("fp32", "copy"):
        job = workload(
            precision="fp16", master_weights=master, batch={"global": 8, "micro": 4},
            data={"sequence_length": 1024}, attention="eager",
        )  # fmt: skip
        parts[master] = solve(job, [SERVER])["server"][0].search.memory(Layout(1, "none"))
    count = parameter_count(decoder())
    assert parts["fp32"].parameters == 4.0 * count
    assert parts["copy"].parameters == 6.0 * count
    assert (parts["copy"].gradients == 2.0 * count).all()
    assert parts["copy"].activations[0, 0] < parts["fp32"].activations[0, 0], "nothing flows in fp32"


@pytest.mark.parametrize("fixed", [True, False])
def test_a_proposed_plan_keeps_a_margin_and_a_fixed_one_is_judged_by_what_it_takes(fixed: bool) -> None:
    """A device with room for the estimate and not for the margin runs a plan that its user fixed."""
    fields: dict[str, Any] = {"batch": {"global": 4, "micro": 4}, "data": {"sequence_length": 2048}}
    if fixed:
        fields |= {"checkpointing": "none"}
    search = solve(workload(precision="bf16", attention="flash", **fields), [SERVER])["server"][0].search
    parts = search.memory(Layout(1, "none"))
    least = (0, 0) if fixed else (0, int(parts.required[0].argmin()))
    between = float(parts.reserved[least] + parts.required[least]) / 2
    narrow = replace(search.group, available=np.array([between]))
    choices = Search(narrow, search.freedom, constants()).best(1)
    assert bool(choices.fits[0]) == fixed


@QUICK
@given(
    counted=st.floats(0, 1e12), estimated=st.floats(0, 1e12), traced=st.booleans(),
)  # fmt: skip
def test_the_interval_of_memory_holds_the_estimate(counted: float, estimated: float, traced: bool) -> None:
    low, high = memory_interval(counted, estimated, constants().memory, traced=traced)
    assert low <= counted + estimated <= high


@QUICK
@given(
    layers=st.integers(1, 12), sequence=st.integers(16, 4096), micro=st.integers(1, 64),
    grown=st.sampled_from(["layers", "sequence", "micro"]), by=st.integers(1, 500),
    strategy=st.sampled_from(["ddp", "zero1", "zero2", "fsdp"]), attention=st.sampled_from(["eager", "flash"]),
    method=st.sampled_from(["full", "lora"]),
)  # fmt: skip
def test_larger_work_never_needs_less_memory(
    layers: int, sequence: int, micro: int, grown: str, by: int, strategy: Any, attention: Any, method: Any
) -> None:
    def required(**size: int) -> np.ndarray:
        variant = Variant(attention=attention, method=method)
        described = describe_training(decoder(size["layers"]), size["sequence"], variant)
        layout = Layout(4, strategy, data=4)
        return training_memory(
            described, sizes(), layout, np.array([float(size["micro"])]), constants().memory
        ).required

    work = {"layers": layers, "sequence": sequence, "micro": micro}
    assert (required(**{**work, grown: work[grown] + by}) >= required(**work) * (1 - 1e-12)).all()


@QUICK
@given(
    prompt=st.integers(1, 4000), new=st.integers(1, 2000), batch=st.integers(1, 64), by=st.integers(1, 1000)
)
def test_serving_holds_weights_and_cache(prompt: int, new: int, batch: int, by: int) -> None:
    def parts(prompt: int, new: int, batch: int) -> Any:
        job = workload(
            task="inference", precision="bf16",
            inference={"prompt_tokens": prompt, "new_tokens": new, "batch": batch},
        )  # fmt: skip
        return solve(job, [SERVER])["server"][0].search.memory(Layout(1, "none"))

    held = parts(prompt, new, batch)
    assert held.parameters == 2.0 * parameter_count(decoder())
    assert held.activations[0, 0] == 2.0 * 8 * 4 * 64 * 2 * (prompt + new) * batch
    assert parts(prompt + by, new, batch).required[0, 0] > held.required[0, 0]
    assert parts(prompt, new + by, batch).required[0, 0] > held.required[0, 0]
    assert parts(prompt, new, batch + by).required[0, 0] > held.required[0, 0]


def test_serving_over_stages_divides_weights_and_cache() -> None:
    from advisor.describe.transformer import describe_inference

    described = describe_inference(
        decoder(), "prefill", prompt_tokens=512, new_tokens=128, cache_element_bytes=2.0,
        variant=Variant(optimizer="none"),
    )  # fmt: skip
    one, four = (
        inference_memory(described, sizes(), Layout(n, "none", pipeline=n), ONE, constants().memory)
        for n in (1, 4)
    )
    assert four.activations[0, 0] == one.activations[0, 0] / 4
    assert one.parameters / 4 <= four.parameters < one.parameters / 2


# Answers


def test_spreads_combine_as_independent_errors() -> None:
    assert combined(1.2) == pytest.approx(1.2)
    assert combined() == 1.0
    assert combined(1.0, 1.3) == pytest.approx(1.3)
    assert 1.3 < combined(1.2, 1.3) < 1.2 * 1.3
    assert combined(1.2, 1.3) == combined(1.3, 1.2)
    assert np.log(combined(np.exp(3.0), np.exp(4.0))) == pytest.approx(5.0)


@given(matrix=st.floats(0, 1), busy=st.floats(0, 1))
def test_power_lies_between_idle_and_rated(matrix: float, busy: float) -> None:
    power = constants().power
    draw = draw_of(400.0, NOT_CALIBRATED, power)
    watts = average_power_w(draw, matrix, busy)
    assert power.idle * 400 - 1e-9 <= watts <= 400 * max(1.0, power.matrix_bound) + 1e-9
    assert average_power_w(draw, matrix, 0.0) == pytest.approx(power.idle * 400)


TRAINING = [
    {"precision": "fp16", "batch": {"global": 32}, "data": {"sequence_length": 512}},
    {"batch": {"global": 64}, "data": {"sequence_length": 1024}, "method": "lora"},
    {"task": "inference", "inference": {"batch": 4, "prompt_tokens": 128, "new_tokens": 32}},
]


@settings(max_examples=20, deadline=None)
@given(job=st.sampled_from(TRAINING), seed=st.integers(0, 10**6), count=st.sampled_from([1, 2, 8]))
def test_the_order_of_devices_changes_nothing(job: dict[str, Any], seed: int, count: int) -> None:
    devices = [device for device in shipped_devices() if device.kind == "gpu"][::5]
    shuffled = random.Random(seed).sample(devices, len(devices))
    first, second = plans(workload(**job), devices, count), plans(workload(**job), shuffled, count)
    assert first.keys() == second.keys()
    for name, (*plan, step_s, required) in first.items():
        *other, other_step_s, other_required = second[name]
        assert other == plan
        # A sum over arrays of another shape may differ in its last digit.
        assert (other_step_s, other_required) == pytest.approx((step_s, required), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("count", [1, 8])
def test_the_company_of_other_devices_changes_nothing(count: int) -> None:
    job = replaced(workload(precision="bf16"), batch={"global": 64}, data={"sequence_length": 2048})
    model = load_named(data_root(), "llama-3.1-8b").transformer
    devices = [
        device for device in shipped_devices() if device.kind == "gpu" and not unsupported(device, "bf16")
    ]
    together = solve(job, devices, count, model)
    for device in devices[::7]:
        team, index, choices = solve(job, [device], count, model)[device.id]
        other_team, other, others = together[device.id]
        assert team.precisions[index] == other_team.precisions[other]
        assert choices.fits[index] == others.fits[other]
        assert choices.layouts[choices.layout[index]] == others.layouts[others.layout[other]], device.id
        assert choices.step_s[index] == pytest.approx(others.step_s[other], nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(
    job=st.sampled_from(TRAINING), device=st.sampled_from((GAMER, SERVER, OLDER)), factor=st.floats(1.0, 4.0),
    count=st.sampled_from([1, 2]),
)  # fmt: skip
def test_better_devices_are_never_slower(
    job: dict[str, Any], device: Device, factor: float, count: int
) -> None:
    slack = NEARLY_AS_FAST * SPLIT_BURDEN * max(BURDENS.values())
    before = per_sample(workload(**job), device, count)
    faster = changed(device, "memory", bandwidth_gb_s=device.memory.bandwidth_gb_s * factor)
    for better in (faster, with_rates(device, factor), with_rates(faster, factor)):
        assert per_sample(workload(**job), better, count) <= before * slack


@settings(max_examples=20, deadline=None)
@given(
    size=st.floats(2, 100), factor=st.floats(1.0, 4.0), count=st.sampled_from([1, 2, 4]),
    job=st.sampled_from(TRAINING),
)  # fmt: skip
def test_more_memory_never_takes_a_fit_away(
    size: float, factor: float, count: int, job: dict[str, Any]
) -> None:
    small, large = (changed(GAMER, "memory", size_gib=gib) for gib in (size, size * factor))
    before = solve(workload(**job), [small], count)["gamer"]
    after = solve(workload(**job), [large], count)["gamer"]
    assert after[2].fits[0] >= before[2].fits[0]
    needed = before[2].required[0] + GIB
    if size * GIB > needed * 1.3 + 3 * GIB:
        assert before[2].fits[0]


@settings(max_examples=15, deadline=None)
@given(
    tokens=st.integers(10**6, 10**11),
    factor=st.integers(2, 50),
    gpu=st.sampled_from(["rtx-4090", "a100-sxm4-80gb"]),
)
def test_time_and_energy_grow_linearly_with_the_data(tokens: int, factor: int, gpu: str) -> None:
    def run(amount: int) -> Any:
        return advisor.estimate("llama-3.2-1b", gpus=[gpu], method="lora", data={"tokens": amount}).estimates[
            0
        ]

    one, many = run(tokens), run(tokens * factor)
    assert many.total_time_h.value == pytest.approx(factor * one.total_time_h.value)
    assert many.energy_kwh.value == pytest.approx(factor * one.energy_kwh.value)
    assert many.step_time_s == one.step_time_s
    assert many.memory == one.memory


def quantities(document: Any) -> list[dict[str, float]]:
    if isinstance(document, dict):
        if document.keys() == {"value", "low", "high"}:
            return [document]
        document = list(document.values())
    return [found for item in document for found in quantities(item)] if isinstance(document, list) else []


@pytest.mark.parametrize("gpu", ["rtx-4090", "t4", "mi300x", "h100-sxm5-80gb", "gtx-1080-ti"])
@pytest.mark.parametrize("task", ["train", "inference"])
def test_intervals_hold_their_value_and_say_something(gpu: str, task: str) -> None:
    found = quantities(advisor.estimate("gpt2", gpus=[gpu], task=task).model_dump(mode="json"))
    assert len(found) >= 4
    for quantity in found:
        assert 0 < quantity["low"] < quantity["value"] < quantity["high"]
