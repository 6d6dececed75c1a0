"""Estimates worked out by hand: toy devices, models and constants of round numbers, each result an arithmetic away."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from advisor.efficiency import load_constants
from advisor.estimation.devices import (
    DeviceRates,
    automatic_precision,
    available_bytes,
    constants_of,
    context_mib,
    device_rates,
    half_precision,
    matrix_peak_tflops,
    pace_place,
    sustained,
    unsupported,
)
from advisor.estimation.interval import combined
from advisor.estimation.memory import Precisions, inference_memory, memory_interval, training_memory
from advisor.estimation.network import Links, gather_time, links, transfer_time
from advisor.estimation.power import Draw, average_power_w, draw_of
from advisor.estimation.step import (
    StepParts,
    together,
    traffic_seconds,
    training_step_s,
    training_traffic,
)
from advisor.estimation.time import SoftwareSpeed, aged, kind_times, loads, row_seconds, row_times, step_times
from advisor.execution import (
    ArchitectureConstants,
    Constants,
    DeviceCalibration,
    KernelConstants,
    Layout,
    MatrixConstants,
    MeasuredLink,
    MemoryConstants,
    NetworkConstants,
    PowerConstants,
    StartFactors,
    StepKind,
)
from advisor.hardware import Device
from advisor.operators import Affine, Description, Kind, Operator, OperatorTable, Phase, Recompute, States
from advisor.yaml_io import data_root

MIB = 2**20

TOY = ArchitectureConstants(
    architectures=("nvidia/Toy",),
    matrix=MatrixConstants(
        tensor=0.8, vector=0.5, tensor_watts_per_tflops=4, vector_watts_per_tflops=20, eight_bit=0.9, four_bit=0.7
    ),
    bandwidth=0.9, attention_forward=0.6, attention_backward=0.4, kernel_us=2, launch_us=5, fused_attention=True,
    context_mib=300, reserved_fraction=0.02, reserved_mib=100, spread=1, support="current", source="toy",
)  # fmt: skip
TOY_CPU = TOY.model_copy(
    update={
        "architectures": ("cpu/Toy",), "bandwidth": 0.5, "context_mib": 0,
        "matrix": TOY.matrix.model_copy(update={"vector": 0.25, "vector_watts_per_tflops": 0.0}),
    }
)  # fmt: skip
KERNEL = KernelConstants(
    tiles=((128, 128, 1.0), (32, 32, 0.5)), splits=(1, 2, 4), prologue_depth=100, convolution_prologue_depth=20,
    split_overhead=0.1, attention_half_length=200, cache_share=0.5, cache_speedup=4, sustained_exponent=0.5,
    bandwidth={"copy": 0.5}, grouped_padding=0.75, tf32_rate=0.75, rate={"convolution": 0.8}, source="toy",
)  # fmt: skip
NETWORK = NetworkConstants(
    nvlink_share=0.5, pcie_share=0.8, pcie_staged_share=0.4, pcie_lane_gb_s={"3": 1, "4": 2},
    node_gb_s={"datacenter PCIe 3": 6, "datacenter PCIe 4": 25, "consumer": 12}, node_share=0.5, latency_us=4,
    node_latency_us=30, overlap_data=0.25, overlap_shards=0.5, overlap_tensor=0.2, source="toy",
)  # fmt: skip
MEMORY = MemoryConstants(
    fragmentation=0.1, rotary_slack=1, collective_mib=3, loading_mib=2, convolution_workspace=0, margin=0.05,
    safety=1.5, spread=1.5, traced_spread=1.25, whole_spread=1.1, source="toy",
)  # fmt: skip


def near(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-12)


@cache
def shipped() -> Constants:
    return load_constants(data_root())


def toy(**calibrations: DeviceCalibration) -> Constants:
    return shipped().model_copy(
        update={
            "architectures": (TOY, TOY_CPU),
            "kernel": KERNEL,
            "network": NETWORK,
            "calibrations": calibrations,
        }
    )


def measured(**values: Any) -> DeviceCalibration:
    return DeviceCalibration(
        profile="toy",
        date="2026-01-01",
        measured="toy",
        torch="2.9",
        relation="this GPU",
        weight=1.0,
        **values,
    )


def device(**groups: Any) -> Device:
    given: dict[str, Any] = {
        "id": "toy", "name": "Toy", "vendor": "nvidia", "architecture": "Toy", "segment": "datacenter",
        "memory": {"size_gib": 10, "type": "HBM", "bandwidth_gb_s": 1000},
        "compute": {
            "multiprocessors": 50, "boost_clock_mhz": 1500, "l2_mib": 40, "fp32_tflops": 10, "fp16_tflops": 20
        },
        "tensor": {
            "generation": "toy",
            "rates": {
                "bf16/fp32": 100, "fp16/fp32": 100, "fp16/fp16": 160, "tf32/fp32": 50, "fp8/fp32": 200,
                "int8/int32": 300, "fp4/fp32": 400,
            },
        },
        "board": {"tdp_w": 100}, "sources": {"*": "made up"},
    }  # fmt: skip
    return Device.model_validate(given | groups)


GPU = device()
PLAIN = device(id="plain", tensor=None, compute={"multiprocessors": 50, "l2_mib": 40, "fp32_tflops": 10})
PROCESSOR = device(
    id="processor", kind="cpu", vendor="intel", tensor=None, compute={"cores": 16, "fp32_tflops": 2}
)


# Spreads and power


def test_spreads_are_added_as_squares_of_logarithms() -> None:
    assert combined(math.exp(0.3), math.exp(0.4)) == near(math.exp(0.5))
    assert combined(1.25) == near(1.25)


POWER = PowerConstants(idle=0.1, matrix_bound=0.9, memory_bound=0.6, spread=1.1, source="toy")


def test_draw_is_a_share_of_the_rated_power_unless_it_was_measured() -> None:
    assert draw_of(200, measured(), POWER) == Draw(idle_w=20, matrix_w=180, memory_w=120)
    known = measured(idle_w=7.0, matrix_w=210.0, memory_w=90.0)
    assert draw_of(200, known, POWER) == Draw(idle_w=7, matrix_w=210, memory_w=90)


def test_average_power_weighs_the_states_by_their_time() -> None:
    # 80 % busy, a quarter of it in products: 0.8 x (0.25 x 180 + 0.75 x 120) + 0.2 x 20
    assert average_power_w(Draw(20, 180, 120), 0.25, 0.8) == near(0.8 * (45 + 90) + 4)


# Devices


def test_paces_stand_in_pairs() -> None:
    assert pace_place(Kind.GEMM, False) == 0
    assert pace_place(Kind.GEMM, True) == 1
    assert pace_place(Kind.NORM, True) == 2 * 6 + 1
    assert pace_place(np.array([0, 6]), np.array([True, False])).tolist() == [1, 12]


def test_a_processor_has_constants_of_its_own_whoever_made_it() -> None:
    assert constants_of(GPU, toy()) is TOY
    assert constants_of(PROCESSOR, toy()) is TOY_CPU
    finer = TOY.model_copy(update={"architectures": ("nvidia/Toy/9.0",)})
    both = toy().model_copy(update={"architectures": (TOY, finer)})
    assert constants_of(GPU.model_copy(update={"compute_capability": "9.0"}), both) is finer
    assert constants_of(GPU.model_copy(update={"compute_capability": "8.0"}), both) is TOY


def test_a_measured_context_counts_even_where_it_is_nothing() -> None:
    assert context_mib(GPU, toy()) == 300
    assert context_mib(GPU, toy(toy=measured())) == 300
    assert context_mib(GPU, toy(toy=measured(context_mib=0.0))) == 0
    assert context_mib(GPU, toy(other=measured(context_mib=5.0))) == 300


@pytest.mark.parametrize(
    ("precision", "capability", "reason"),
    [
        ("fp32", "5.2", None), ("fp16", "5.2", None), ("int4", "5.2", None), ("nf4", "5.2", None),
        ("int8", "6.0", "no int8 units"), ("int8", "6.1", None), ("int8", "7.0", None), ("int8", None, "no int8 units"),
        ("bf16", "6.1", "no bf16 tensor cores"), ("tf32", "7.5", "no tf32 tensor cores"),
        ("fp8", "7.5", "no fp8 tensor cores"), ("fp4", "9.0", "no fp4 tensor cores"),
    ],
)  # fmt: skip
def test_formats_that_a_card_without_matrix_units_lacks(
    precision: Any, capability: str | None, reason: str | None
) -> None:
    assert unsupported(PLAIN.model_copy(update={"compute_capability": capability}), precision) == reason


@pytest.mark.parametrize("precision", ["bf16", "fp16", "tf32", "fp8", "int8", "fp4", "fp32", "int4", "nf4"])
def test_matrix_units_make_their_formats_usable(precision: Any) -> None:
    assert unsupported(GPU, precision) is None


def test_integer_units_alone_make_int8_usable() -> None:
    only = device(tensor={"generation": "toy", "rates": {"int8/int32": 130}})
    assert unsupported(only, "int8") is None
    assert unsupported(only, "bf16") == "no bf16 tensor cores"


def test_half_precision_is_bf16_where_it_is_fast_and_on_every_processor() -> None:
    assert half_precision(GPU) == "bf16"
    assert half_precision(PLAIN) == "fp16"
    assert half_precision(PROCESSOR) == "bf16"


def vector(fp16: float | None) -> Device:
    compute = {"fp32_tflops": 10.0} | ({} if fp16 is None else {"fp16_tflops": fp16})
    return device(tensor=None, compute=compute)


@pytest.mark.parametrize(
    ("fp16", "picked"), [(None, "fp32"), (10.0, "fp32"), (14.9, "fp32"), (15.0, "fp16"), (20.0, "fp16")]
)
def test_vector_units_train_in_sixteen_bits_where_that_is_half_again_as_fast(
    fp16: float | None, picked: str
) -> None:
    assert automatic_precision(vector(fp16), training=True, mixed_only=False) == picked
    assert automatic_precision(vector(fp16), training=True, mixed_only=True) == "fp16"
    assert automatic_precision(vector(fp16), training=False, mixed_only=False) == "fp16"


def test_matrix_units_train_in_sixteen_bits() -> None:
    assert automatic_precision(GPU, training=True, mixed_only=False) == "bf16"
    volta = device(tensor={"generation": "toy", "rates": {"fp16/fp32": 60}})
    assert automatic_precision(volta, training=True, mixed_only=False) == "fp16"
    assert automatic_precision(PROCESSOR, training=True, mixed_only=False) == "fp32"
    assert automatic_precision(PROCESSOR, training=False, mixed_only=False) == "bf16"


@pytest.mark.parametrize(
    ("which", "precision", "peak"),
    [
        (GPU, "fp32", (10, False)), (GPU, "tf32", (50, True)), (GPU, "fp16", (100, True)), (GPU, "bf16", (100, True)),
        (GPU, "fp8", (200, True)), (GPU, "int8", (300, True)), (GPU, "fp4", (400, True)), (GPU, "int4", (100, True)),
        (GPU, "nf4", (100, True)), (PLAIN, "fp16", (10, False)), (PLAIN, "int4", (10, False)),
        (PLAIN, "tf32", (10, False)), (vector(20.0), "fp16", (20, False)), (vector(20.0), "int8", (20, False)),
        (vector(0.2), "fp16", (10, False)), (vector(20.0), "bf16", (10, False)), (vector(20.0), "fp32", (10, False)),
    ],
)  # fmt: skip
def test_peaks(which: Device, precision: Any, peak: tuple[float, bool]) -> None:
    assert matrix_peak_tflops(which, precision) == peak


def test_fp32_runs_on_vector_units_whatever_the_matrix_units_say() -> None:
    units = device(tensor={"generation": "toy", "rates": {"fp32/fp32": 40, "bf16/fp32": 100}})
    assert matrix_peak_tflops(units, "fp32") == (10, False)


def test_a_quarter_of_the_power_holds_half_of_the_clock() -> None:
    assert sustained(100, 100, 4.0, 0.5) == near(0.5)
    assert sustained(100, 50, 4.0, 0.5) == near(math.sqrt(0.5))
    assert sustained(100, 1, 4.0, 0.5) == 1.0
    assert sustained(1, 100, 0.0, 0.5) == 1.0


HALF_RATE = 100e12 * 0.8 * 0.5
"""100 TFLOP/s of which 80 % are reached, at half the clock: 100 W where full clock takes 4 W for each TFLOP/s."""
FULL_RATE = 10e12 * 0.5 * math.sqrt(0.5)
"""10 TFLOP/s of which half are reached; 100 W where full clock takes 20 W for each."""


@pytest.mark.parametrize(
    ("precision", "flops", "attention", "peak"),
    [
        ("bf16", HALF_RATE, HALF_RATE, 100e12), ("fp16", HALF_RATE, HALF_RATE, 100e12),
        ("int4", HALF_RATE, HALF_RATE, 100e12), ("fp8", HALF_RATE * 2 * 0.9, HALF_RATE, 200e12),
        ("int8", HALF_RATE * 3 * 0.9, HALF_RATE, 300e12), ("fp4", HALF_RATE * 4 * 0.7, HALF_RATE, 400e12),
        ("tf32", HALF_RATE / 2 * 0.75, HALF_RATE / 2 * 0.75, 50e12), ("fp32", FULL_RATE, FULL_RATE, 10e12),
    ],
)  # fmt: skip
def test_rates_of_a_card(precision: Any, flops: float, attention: float, peak: float) -> None:
    rates = device_rates([GPU], [precision], toy())
    assert rates.matrix_flops == near([flops])
    assert rates.full_flops == near([FULL_RATE])
    assert rates.attention_forward == near([attention * 0.6])
    assert rates.attention_backward == near([attention * 0.4])
    assert rates.peak_flops == near([peak])
    assert rates.bandwidth == near([0.9e12])
    assert rates.cache_bytes == near([40 * MIB])
    assert rates.kernel_s == near([2e-6])
    assert rates.launch_s == near([5e-6])
    assert rates.multiprocessors.tolist() == rates.units.tolist() == [50]
    assert rates.clock_hz == near([1.5e9])
    assert rates.on_vector.tolist() == [precision == "fp32"]
    assert rates.on_vector.dtype == bool
    assert rates.overlap_exponent == near([shipped().software.overlap_exponent])
    for share in (rates.forward_host, rates.backward_host, rates.optimizer_host):
        assert share.tolist() == [1]
    assert rates.pace.shape == (1, 0)


def test_rates_of_a_processor_and_of_cards_that_say_little() -> None:
    bare = device(id="bare", tensor=None, compute={"fp32_tflops": 10, "cores": 999})
    twice = device(id="twice", board={"tdp_w": 200, "devices_per_board": 2})
    rates = device_rates([PROCESSOR, bare, PLAIN, twice], ["fp32", "fp16", "int8", "bf16"], toy())
    # No power limit is known of the processor: a quarter of 2 TFLOP/s. The card reaches half of its own, throttled.
    assert rates.matrix_flops == near([0.5e12, FULL_RATE, FULL_RATE, HALF_RATE])
    assert rates.bandwidth == near([0.5e12, 0.9e12, 0.9e12, 0.9e12])
    assert rates.cache_bytes == near([0, 0, 40 * MIB, 40 * MIB])
    assert rates.units.tolist() == [16, 64, 50, 50]
    assert rates.multiprocessors.tolist() == [16, 64, 50, 50]
    # fp32 rate over two operations of 16 lanes of 16 cores; of 128 lanes of 64 assumed and of 50 multiprocessors.
    clocks = [2e12 / (16 * 2 * 16), 10e12 / (64 * 2 * 128), 10e12 / (50 * 2 * 128), 1.5e9]
    assert rates.clock_hz == near(clocks)
    assert rates.overlap_exponent.tolist()[0] == 1.0
    assert rates.on_vector.tolist() == [False, False, False, False]
    with pytest.raises(ValueError, match="zip"):
        device_rates([GPU], ["bf16", "bf16"], toy())


def test_calibrated_rates() -> None:
    known = measured(
        starting={
            "network": StartFactors(kernel=3, forward=1.5, backward=0.5, optimizer=2),
            "transformer": StartFactors(kernel=7),
        },
        pace={"gemm forward half": 1.5, "norm backward": 2.0},
        step={"network half": 1.1, "network": 9.0, "transformer": 1.3, "transformer half nhwc": 1.7},
    )
    pair = device(id="other")
    rates = device_rates([GPU, pair], ["bf16", "bf16"], toy(toy=known))
    assert rates.kernel_s == near([6e-6, 2e-6])
    assert rates.launch_s == near([5e-6, 5e-6])
    assert rates.forward_host.tolist() == [1.5, 1]
    assert rates.backward_host.tolist() == [0.5, 1]
    assert rates.optimizer_host.tolist() == [2, 1]
    assert rates.pace.shape == (2, 2 * len(Kind))
    assert (rates.pace[1] == 1).all()
    place = {name: int(pace_place(kind, back)) for name, kind, back in (
        ("gemm", Kind.GEMM, False), ("gemm back", Kind.GEMM, True), ("norm", Kind.NORM, False),
        ("norm back", Kind.NORM, True), ("attention", Kind.ATTENTION, False),
    )}  # fmt: skip
    paces = {name: float(rates.pace[0, where]) for name, where in place.items()}
    # What no pace of its own has is that of plain products, or 1; the whole step's factor comes on top.
    assert paces == near({"gemm": 1.65, "gemm back": 1.1, "norm": 1.1, "norm back": 2.2, "attention": 1.65})
    of_transformers = device_rates([GPU], ["bf16"], toy(toy=known), StepKind("transformer"))
    assert of_transformers.kernel_s == near([14e-6])
    assert of_transformers.pace[0, place["norm"]] == near(1.3)
    nhwc = device_rates([GPU], ["fp16"], toy(toy=known), StepKind("transformer", nhwc=True))
    assert nhwc.pace[0, place["norm"]] == near(1.7)


def test_rates_are_picked_and_lifted_together() -> None:
    rates = device_rates([GPU, PLAIN, PROCESSOR], ["bf16", "fp16", "fp32"], toy(toy=measured()))
    picked, lifted = rates.at(np.array([2, 0])), rates.on_grid()
    for each in fields(DeviceRates):
        whole = getattr(rates, each.name)
        assert (getattr(picked, each.name) == whole[[2, 0]]).all()
        assert getattr(lifted, each.name).shape == (1, 3, 1, *whole.shape[1:])


@pytest.mark.parametrize(
    ("reported", "total", "mib"),
    [(None, None, 10 * 1024), (10_000, None, 10_000), (10_000, 9_000.0, 9_000), (None, 9_000.0, 9_000)],
)
def test_the_driver_keeps_a_part_and_an_amount(reported: int | None, total: float | None, mib: float) -> None:
    memory = {"size_gib": 10, "type": "HBM", "bandwidth_gb_s": 1000, "reported_mib": reported}
    constants = toy(toy=measured(total_mib=total)) if total else toy()
    assert available_bytes(device(memory=memory), constants) == near((mib * 0.98 - 100) * MIB)


# Links


def row(which: Device, **calibrations: DeviceCalibration) -> tuple[float, ...]:
    found = links([which], NETWORK, calibrations or None)
    return tuple(getattr(found, each.name).tolist()[0] for each in fields(Links))


@pytest.mark.parametrize(
    ("segment", "form", "given", "inside", "between", "switched", "bridged"),
    [
        # NVLink of 600 GB/s both ways: 300 one way, of which half is reached.
        ("datacenter", "SXM", {"nvlink_gb_s": 600, "pcie_generation": 4, "pcie_lanes": 16}, 150, 12.5, True, 0),
        ("datacenter", None, {"nvlink_gb_s": 600}, 150, 3, True, 0),
        # A bridge joins two cards; more of them share PCIe: 16 lanes of 2 GB/s, 80 % reached.
        ("datacenter", "PCIe dual slot", {"nvlink_gb_s": 600, "pcie_generation": 4, "pcie_lanes": 16},
         25.6, 12.5, False, 150),
        ("datacenter", "PCIe", {"pcie_generation": 4, "pcie_lanes": 16}, 25.6, 12.5, False, 0),
        # Consumer cards stage through the host: 40 %.
        ("consumer", None, {"pcie_generation": 4, "pcie_lanes": 16}, 12.8, 6, False, 0),
        ("consumer", None, {"nvlink_gb_s": 100, "pcie_generation": 3, "pcie_lanes": 16}, 6.4, 6, False, 25),
        # Eight lanes of the third generation where nothing is said.
        ("datacenter", "PCIe", {}, 6.4, 3, False, 0),
        ("consumer", None, {}, 3.2, 6, False, 0),
    ],
)  # fmt: skip
def test_links_of_a_device(
    segment: str, form: str | None, given: dict[str, Any], inside: float, between: float, switched: bool,
    bridged: float,
) -> None:  # fmt: skip
    which = device(segment=segment, board={"tdp_w": 100, "form_factor": form}, links=given)
    expected = (inside * 1e9, between * 1e9, 4e-6, 30e-6, switched, bridged * 1e9, 8)
    assert row(which) == near(expected)


@pytest.mark.parametrize(
    ("segment", "staged"), [("laptop", True), ("embedded", True), ("workstation", False)]
)
def test_cards_without_peer_access_stage_through_the_host(segment: str, staged: bool) -> None:
    network = NETWORK.model_copy(update={"node_gb_s": {segment: 1}})
    found = links([device(segment=segment, links={"pcie_lanes": 10})], network)
    assert found.inside == near([10e9 * (0.4 if staged else 0.8)])


def test_measured_links_take_the_place_of_assumed_ones() -> None:
    server = device(links={"nvlink_gb_s": 600})
    bridge = device(board={"tdp_w": 100, "form_factor": "PCIe"}, links={"nvlink_gb_s": 600})
    two = measured(inside=MeasuredLink(bandwidth_gb_s=77, latency_us=9, gpus=2))
    four = measured(inside=MeasuredLink(bandwidth_gb_s=77, latency_us=9, gpus=4))
    assert row(server, toy=two) == near((77e9, 3e9, 9e-6, 30e-6, True, 0, 8))
    # Two bridged cards say nothing about four, and four say that no bridge counts.
    assert row(bridge, toy=two) == near((6.4e9, 3e9, 9e-6, 30e-6, False, 77e9, 8))
    assert row(bridge, toy=four) == near((77e9, 3e9, 9e-6, 30e-6, False, 0, 8))
    far = measured(between=MeasuredLink(bandwidth_gb_s=11, latency_us=60, gpus=16))
    assert row(server, toy=far) == near((150e9, 11e9, 4e-6, 60e-6, True, 0, 8))
    assert row(server, other=two) == near((150e9, 3e9, 4e-6, 30e-6, True, 0, 8))


SWITCHED, SHARED, BRIDGED, RACK = range(4)
LINKS = Links(
    inside=np.array([100e9, 20e9, 20e9, 100e9]), between=np.array([10e9] * 4), latency_s=np.array([1e-6] * 4),
    node_latency_s=np.array([1e-5] * 4), switched=np.array([True, False, False, True]),
    bridged=np.array([0, 0, 50e9, 0]), domain=np.array([8, 8, 8, 72]),
)  # fmt: skip
S = 8e9


def carried(bandwidth: float, count: int, latency: float = 1e-6) -> float:
    """Seconds of a gather of 8 GB: all but the own share crosses a link, after log2 of the count latencies."""
    return S * (count - 1) / count / bandwidth + latency * math.log2(count)


def test_gathers_inside_a_node() -> None:
    two, four, eight = (gather_time(S, count, LINKS) for count in (2, 4, 8))
    # Cards on PCIe share the root complex: two have it all, four half each. A bridge helps two.
    assert two == near([carried(100e9, 2), carried(20e9, 2), carried(50e9, 2), carried(100e9, 2)])
    assert four == near([carried(100e9, 4), carried(10e9, 4), carried(10e9, 4), carried(100e9, 4)])
    assert eight == near([carried(100e9, 8), carried(5e9, 8), carried(5e9, 8), carried(100e9, 8)])
    assert gather_time(S, 1, LINKS).tolist() == [0] * 4


def test_gathers_between_nodes() -> None:
    sixteen = gather_time(S, 16, LINKS)
    far = carried(80e9, 16, 1e-5)
    # Eight rings cross at once, so eight network cards carry; PCIe inside is slower still.
    assert sixteen == near([far, carried(5e9, 16, 1e-5), carried(5e9, 16, 1e-5), carried(100e9, 16)])
    apart = gather_time(S, 4, LINKS, spread=8)
    # Each of the four is in a node of its own: one network card each; the rack reaches 32 without any.
    assert apart[[SWITCHED, RACK]] == near([carried(10e9, 4, 1e-5), carried(100e9, 4)])
    assert apart[SHARED] == near(carried(5e9, 4, 1e-5))
    every_other = gather_time(S, 8, LINKS, spread=2)
    assert every_other[SWITCHED] == near(carried(40e9, 8, 1e-5))
    pair = gather_time(S, 2, LINKS, spread=1)
    assert pair == near(gather_time(S, 2, LINKS).tolist())
    # Neighbours 16 GPUs apart have no more than a network card each.
    assert gather_time(S, 4, LINKS, spread=16)[SWITCHED] == near(carried(10e9, 4, 1e-5))
    # Where links join pairs, four GPUs send through four network cards, not through all eight of a node.
    pairs = replace(LINKS, domain=np.array([2, 2, 2, 2]))
    assert gather_time(S, 4, pairs)[SWITCHED] == near(carried(40e9, 4, 1e-5))
    # A pair whose members stand in two nodes uses no bridge.
    assert gather_time(S, 2, LINKS, spread=8)[BRIDGED] == near(carried(5e9, 2, 1e-5))


def test_gathers_of_several_sizes_at_once() -> None:
    table = gather_time(np.array([S, 2 * S, 0.0]), 4, LINKS)
    assert table.shape == (4, 3)
    assert table[:, 0] == near(gather_time(S, 4, LINKS).tolist())
    assert table[SWITCHED] == near([carried(100e9, 4), 2 * carried(100e9, 4) - 2e-6, 2e-6])
    lifted = LINKS.lifted(2)
    assert {getattr(lifted, each.name).shape for each in fields(Links)} == {(4, 1, 1)}
    assert LINKS.at(np.array([3, 0])).domain.tolist() == [72, 8]
    one = transfer_time(np.array(S), np.array(1.0), np.array(1.0), LINKS)
    assert one.tolist() == [0] * 4


# The step


def states(**held: float) -> States:
    base = States(
        trainable=1000, frozen=600, frozen_quantised=400, largest_tensor=200, largest_unit=300, outside=250,
        autocast_copies=100,
    )  # fmt: skip
    return replace(base, **held)


def description(*rows: Operator, held: States | None = None, measured: bool = False) -> Description:
    return Description(
        table=OperatorTable.of(rows), states=held or states(),
        saved={"none": Affine(10, 1000), "selective": Affine(10, 500), "full": Affine(10, 100)},
        working={"none": Affine(5, 200), "selective": Affine(5, 300), "full": Affine(5, 400)},
        layers=4, tokens_per_sample=7, hidden=8, boundary_bytes=Affine(3, 50), tensor_reductions=6,
        measured=measured, cache_bytes=Affine(0, 64),
    )  # fmt: skip


def test_traffic_of_replicas_that_hold_everything() -> None:
    found = training_traffic(
        description(), Layout(16, "ddp", data=2, tensor=4, pipeline=2), np.array([1.0, 10.0]), gradient_bytes=4,
        quantised_bytes=0.5,
    )  # fmt: skip
    assert found.tensor_bytes.shape == (1, 2, 1)
    assert found.tensor_bytes.ravel() == near([53, 503])
    # Forward and backward communicate; a full recomputation does so once more.
    assert found.reductions.shape == (1, 1, 3)
    assert found.reductions.ravel().tolist() == [12, 12, 18]
    assert (float(found.tensor), float(found.data), float(found.spacing)) == (4, 2, 8)
    assert float(found.shard_bytes) == 0
    assert float(found.reduce_bytes) == 1000 / 2 * 4


def test_traffic_of_sharded_replicas() -> None:
    found = training_traffic(
        description(), Layout(8, "fsdp", data=4, tensor=1, pipeline=2), np.array([1.0]), gradient_bytes=4,
        quantised_bytes=0.5,
    )  # fmt: skip
    # Weights are gathered twice, in forward and in backward: 1,600 of 2 bytes and 400 of half a byte; gradients once.
    assert float(found.shard_bytes) == near((2 * (1600 * 2 + 400 * 0.5) + 1000 * 2) / 2)
    assert float(found.reduce_bytes) == 0
    assert float(found.spacing) == 2


def test_seconds_of_traffic() -> None:
    link = LINKS.at(np.array([SWITCHED])).lifted(2)
    ddp = training_traffic(
        description(),
        Layout(8, "ddp", data=2, tensor=4),
        np.array([1.0]),
        gradient_bytes=4,
        quantised_bytes=2,
    )
    tensor, shard, reduce = traffic_seconds(ddp, link)
    # An all-reduce is a scatter and a gather; 12 or 18 of them.
    once = 2 * (53 * 0.75 / 100e9 + 2e-6)
    assert tensor.ravel() == near([12 * once, 12 * once, 18 * once])
    assert shard.ravel().tolist() == [0]
    assert reduce.ravel() == near([2 * (4000 * 0.5 / 100e9 + 1e-6)])
    eight = training_traffic(
        description(), Layout(8, "none", tensor=8), np.array([1.0]), gradient_bytes=4, quantised_bytes=2
    )
    within = traffic_seconds(eight, link)[0]
    assert within.ravel()[0] == near(12 * 2 * (53 * 7 / 8 / 100e9 + 3e-6)), "eight neighbours are one node"
    fsdp = training_traffic(
        description(), Layout(2, "fsdp", data=2), np.array([1.0]), gradient_bytes=4, quantised_bytes=2
    )
    tensor, shard, reduce = traffic_seconds(fsdp, link)
    assert tensor.ravel().tolist() == [0, 0, 0]
    assert shard.ravel() == near([(2 * 2000 * 2 + 2000) * 0.5 / 100e9 + 1e-6])
    assert reduce.ravel().tolist() == [0]


def test_kernels_and_host_overlap_in_part() -> None:
    both = together(np.array([3.0, 0.0, 5.0]), np.array([4.0, 0.0, 0.0]), np.array([2.0, 2.0, 3.0]))
    assert both == near([5, 0, 5])
    assert together(np.array(3.0), np.array(4.0), np.array(1.0)) == near(7)


def parts(**values: float) -> StepParts:
    given = {
        "device": 10, "device_backward": 6, "device_optimizer": 8, "host": 3, "host_backward": 1,
        "host_optimizer": 2, "tensor_traffic": 0, "shard_traffic": 0, "reduce_traffic": 0, "accumulation": 1,
        "stages": 1, "shards": 1, "overlap_exponent": 1,
    } | values  # fmt: skip
    return StepParts(**{name: np.asarray(float(value)) for name, value in given.items()})


@pytest.mark.parametrize(
    ("changes", "overhead", "seconds"),
    [
        # Nothing overlaps with an exponent of 1: 10 + 3 of a micro-batch, 8 + 2 of the optimizer.
        ({}, 1.0, 23), ({}, 2.0, 46), ({"accumulation": 4}, 1.0, 4 * 13 + 10),
        # With 2 they do: forward of 4 and 2, backward of 6 and 1, optimizer of 8 and 2.
        ({"overlap_exponent": 2}, 1.0, math.sqrt(20) + math.sqrt(37) + math.sqrt(68)),
        # Four stages, three micro-batches: three idle at the start and end; each has a quarter of the work.
        ({"stages": 4, "accumulation": 3}, 1.0, 6 * 13 / 4 + 8 / 4 + 2),
        ({"shards": 4}, 1.0, 13 + 8 / 4 + 2), ({"shards": 4, "stages": 2}, 1.0, 2 * 13 / 2 + 8 / 8 + 2),
        # A fifth of tensor parallelism's traffic hides.
        ({"tensor_traffic": 5}, 1.0, 23 + 4), ({"tensor_traffic": 5}, 2.0, 46 + 4),
        ({"tensor_traffic": 5, "stages": 2, "accumulation": 2}, 1.0, 3 * (13 + 4) / 2 + 4 + 2),
        # Half of the shards' traffic hides, but never behind more than half of the 13 s of computation.
        ({"shard_traffic": 4}, 1.0, 23 + 2), ({"shard_traffic": 40}, 1.0, 23 + 40 - 6.5),
        ({"shard_traffic": 40}, 2.0, 46 + 40 - 13), ({"shard_traffic": 4, "accumulation": 3}, 1.0, 3 * 15 + 10),
        # A quarter of the reduction hides, behind the 7 s of backward alone, once a step.
        ({"reduce_traffic": 4}, 1.0, 23 + 3), ({"reduce_traffic": 40}, 1.0, 23 + 40 - 7 / 4),
        ({"reduce_traffic": 40}, 2.0, 46 + 40 - 14 / 4), ({"reduce_traffic": 4, "accumulation": 3}, 1.0, 39 + 10 + 3),
        ({"reduce_traffic": 40, "stages": 2}, 1.0, 2 * 6.5 + 4 + 2 + 40 - 7 / 8),
    ],
)  # fmt: skip
def test_seconds_of_a_step(changes: dict[str, float], overhead: float, seconds: float) -> None:
    assert float(training_step_s(parts(**changes), overhead, NETWORK)) == near(seconds)


# Memory


def sizes(**values: Any) -> Precisions:
    base = Precisions(
        trainable=4,
        compute=0,
        gradient=4,
        state=8,
        frozen=2,
        gathered=3,
        quantised=0.5,
        optimizer_temporary=4,
    )
    return replace(base, **values)


HALVES = {"compute": 2, "gradient": 2}
ALONE = Layout(1, "none")


def training(
    layout: Layout,
    micro: float = 1.0,
    held: States | None = None,
    accumulation: float | None = None,
    **values: Any,
) -> Any:
    steps = None if accumulation is None else np.array([accumulation])
    return training_memory(
        description(held=held), sizes(**values), layout, np.array([micro]), MEMORY, accumulation=steps
    )


@pytest.mark.parametrize(
    ("layout", "values", "parameters", "gradients", "optimizer"),
    [
        # 600 frozen elements of 2 bytes and 400 of half a byte stand beside 1,000 that are trained.
        (ALONE, {}, 4000 + 1400, 4000, 8000),
        (ALONE, HALVES, 4000 + 2000 + 1400, 2000, 8000),
        (ALONE, {**HALVES, "gradient_beside": 2}, 7400, 4000, 8000),
        (Layout(4, "ddp", data=4), {}, 5400, 4000, 8000),
        (Layout(4, "zero1", data=4), HALVES, 4000 / 4 + 2000 + 1400, 2000, 8000 / 4),
        (Layout(4, "zero2", data=4), HALVES, 4000 / 4 + 2000 + 1400, 2000 / 4, 8000 / 4),
        # Without a copy to compute in, the weights themselves cannot be divided by ZeRO-1 and 2.
        (Layout(4, "zero1", data=4), {}, 4000 + 1400, 4000, 8000 / 4),
        (Layout(4, "fsdp", data=4), {}, (4000 + 1400) / 4, 4000 / 4, 8000 / 4),
        (Layout(4, "fsdp", data=4), HALVES, (4000 + 1400) / 4, 2000 / 4, 8000 / 4),
        # A stage holds half of what lies in layers and the whole of the 250 elements of a head.
        (Layout(2, "none", pipeline=2), {}, 625 * 4 + 425 * 2 + 200 * 0.5, 625 * 4, 625 * 8),
        (Layout(8, "zero1", data=4, pipeline=2), HALVES, 625 + 625 * 2 + 425 * 2 + 100, 625 * 2, 625 * 2),
    ],
)  # fmt: skip
def test_states_in_bytes(
    layout: Layout, values: dict[str, Any], parameters: float, gradients: float, optimizer: float
) -> None:
    found = training(layout, **values)
    assert found.parameters == near(parameters)
    # The optimizer's step is the peak of so small a batch, with all gradients.
    assert found.gradients.ravel() == near([gradients] * 3)
    assert found.optimizer == near(optimizer)


def test_an_adapter_smaller_than_the_head_is_whole_on_its_stage() -> None:
    found = training(Layout(2, "none", pipeline=2), held=states(trainable=100))
    assert found.optimizer == near(800)


def test_the_optimizer_and_the_start_of_backward_compete_for_the_peak() -> None:
    """Of micro-batch 1 the optimizer's 4 bytes of temporary for each element win, of 8 the activations."""
    small, large = training(ALONE), training(ALONE, micro=8.0)
    # Autocast keeps 2 bytes of 100 elements. Gradients and temporaries of 8,000 bytes are more than
    # 1,210 + 205 + 4,000.
    assert small.activations.ravel() == near([1210, 710, 310])
    assert small.temporary.ravel() == near([8000 - 4000 - 1210, 8000 - 4000 - 710, 8000 - 4000 - 310])
    assert small.allocated.ravel() == near([5400 + 8000 + 8000] * 3)
    assert large.activations.ravel() == near([8210, 4210, 1010])
    assert large.temporary.ravel() == near([5 + 1600, 5 + 2400, 5 + 3200])
    assert large.gradients.ravel() == near([4000] * 3)
    assert large.allocated.ravel() == near([17400 + 8210 + 1605, 17400 + 4210 + 2405, 17400 + 1010 + 3205])
    assert small.activations.shape == (1, 3)


@pytest.mark.parametrize(
    ("layout", "accumulation", "persist", "early"),
    [
        # 200 elements of the head have their gradients first; the others find room as activations go.
        (ALONE, 1, False, 800), (ALONE, 2, False, 4000), (ALONE, None, False, 4000), (ALONE, 1, True, 4000),
        (Layout(2, "none", tensor=2), 1, False, 800), (Layout(4, "ddp", data=4), 1, False, 4000),
        (Layout(2, "none", pipeline=2), 1, False, 2500),
    ],
)  # fmt: skip
def test_gradients_at_the_start_of_backward(
    layout: Layout, accumulation: float | None, persist: bool, early: float
) -> None:
    found = training(layout, 100.0, accumulation=accumulation, gradients_persist=persist)
    assert found.gradients[0, 0] == near(early)


def test_a_small_model_has_no_more_gradients_than_elements() -> None:
    found = training(ALONE, 100.0, held=states(trainable=50), accumulation=1, gradients_persist=False)
    assert found.gradients[0, 0] == near(200)


def test_gradients_fill_what_the_activations_leave_of_the_peak() -> None:
    """Of the optimizer's 8,000 bytes the activations of two samples leave 5,385, those of five 2,000 and less."""
    found = training(ALONE, 5.0, accumulation=1, gradients_persist=False)
    # 5,210 + 1,005 saved and working: 1,785 bytes of gradients fit below 8,000.
    assert found.gradients[0, 0] == near(8000 - 5210 - 1005)
    assert found.temporary[0, 0] == near(1005)


def test_what_only_some_ways_of_sharing_hold() -> None:
    ddp, fsdp, copies = (
        training(Layout(4, "ddp", data=4), 100.0), training(Layout(4, "fsdp", data=4), 100.0),
        training(Layout(4, "zero1", data=4), 100.0, **HALVES),
    )  # fmt: skip
    # DDP reduces a copy of the gradients in buckets.
    assert ddp.temporary[0, 0] == near(20005 + 4000)
    # FSDP gathers two units of 300 elements, 3 bytes each, and the gradient of the trained half of one.
    assert fsdp.temporary[0, 0] == near(20005 + 300 * (2 * 3 + 0.5 * 4))
    # Neither sharded weights nor those with a copy in 16 bits are cast by autocast; nor are 16-bit ones.
    assert ddp.activations[0, 0] == near(100010 + 200)
    assert fsdp.activations[0, 0] == copies.activations[0, 0] == near(100010)
    assert training(ALONE, trainable=2).activations[0, 0] == near(1010)
    assert training(ALONE, trainable=3).activations[0, 0] == near(1210)
    half = training(Layout(2, "none", pipeline=2), 100.0)
    assert half.activations[0, 0] == near(100010 + 100)


def test_the_temporary_of_the_optimizer_is_divided_as_its_state_is() -> None:
    found = training(Layout(4, "zero1", data=4), **HALVES)
    # 2,000 of gradients and a quarter of 4,000; 1,010 and 205 of activations leave 1,785 bytes of gradients.
    assert found.temporary[0, 0] == near(3000 - 1010 - 1785 if 3000 > 1215 + 2000 else 205)
    divided = training(Layout(4, "fsdp", data=4), optimizer_temporary=100)
    assert divided.allocated[0, 0] == near(1350 + 2000 + 1000 + 100 * 1000 / 4)


@pytest.mark.parametrize(
    ("layout", "held", "extra"),
    [
        # Loading leaves the 1,400 bytes of a small frozen base unusable, and 2 MiB of a large one.
        (ALONE, {}, 1400),
        (ALONE, {"frozen": 2e6}, 2 * MIB),
        (ALONE, {"frozen": 0, "frozen_quantised": 0}, 0),
        (Layout(2, "ddp", data=2), {"frozen": 2e6}, 3 * MIB),
        (Layout(2, "none", tensor=2), {}, 3 * MIB + 1400),
        (Layout(2, "none", tensor=2), {"frozen": 2e6}, 5 * MIB),
        (Layout(2, "none", pipeline=2), {}, 3 * MIB + 425 * 2 + 200 * 0.5),
        (Layout(8, "zero1", data=2, tensor=2, pipeline=2), {}, 9 * MIB),
    ],
)
def test_overhead_margin_and_safety(layout: Layout, held: dict[str, float], extra: float) -> None:
    """A tenth of what moves is lost; each communicator has buffers; loading a frozen base leaves some."""
    found = training(layout, 3.0, held=states(**held))
    moving = found.activations + found.temporary
    overhead = 0.1 * moving + extra
    assert found.overhead == near(overhead)
    fixed = found.parameters + found.optimizer + found.gradients
    assert found.margin == near(0.05 * (fixed + moving + overhead))
    assert found.safety == near(0.5 * (moving + overhead))
    assert found.allocated == near(fixed + moving)
    assert found.reserved == near(fixed + moving + overhead)
    assert found.required == near(1.05 * (fixed + moving + overhead) + 0.5 * (moving + overhead))
    assert found.traced is False


def test_a_trace_is_remembered() -> None:
    traced = training_memory(description(measured=True), sizes(), ALONE, np.array([1.0]), MEMORY)
    assert traced.traced is True


def test_the_interval_of_memory_by_hand() -> None:
    assert memory_interval(110, 330, MEMORY, traced=False) == near(((110 + 220) / 1.1, (110 + 495) * 1.1))
    assert memory_interval(110, 330, MEMORY, traced=True) == near(((110 + 264) / 1.1, (110 + 412.5) * 1.1))


@pytest.mark.parametrize(
    ("layout", "stages", "mib"),
    [(ALONE, 1, 0), (Layout(2, "none", data=2), 1, 3), (Layout(4, "none", tensor=2, pipeline=2), 2, 3)],
)
def test_serving_in_bytes(layout: Layout, stages: int, mib: float) -> None:
    found = inference_memory(description(), sizes(), layout, np.array([1.0, 10.0]), MEMORY)
    # All 1,600 elements in the format of frozen ones, 400 in that of quantised ones.
    weights = (1600 * 2 + 400 * 0.5) / stages
    assert found.parameters == near(weights)
    assert found.optimizer == 0
    assert (found.gradients == 0).all()
    assert found.gradients.shape == (2, 3)
    for level in range(3):
        for place, (held, working) in enumerate([(64 / stages, 205), (640 / stages, 2005)]):
            overhead = 0.1 * working + mib * MIB
            assert found.activations[place, level] == near(held)
            assert found.temporary[place, level] == near(working)
            assert found.overhead[place, level] == near(overhead)
            assert found.margin[place, level] == near(0.05 * (weights + held + working + overhead))
            assert found.safety[place, level] == near(0.5 * (working + overhead))
    assert found.traced is False


# Time


def rates(**columns: Any) -> DeviceRates:
    """Rates of one device: 100 FLOP/s of products, 10 in fp32, 50 bytes a second, 10 multiprocessors."""
    given: dict[str, Any] = {
        "matrix_flops": 100, "full_flops": 10, "multiprocessors": 10, "bandwidth": 50, "cache_bytes": 0,
        "attention_forward": 40, "attention_backward": 20, "kernel_s": 0, "launch_s": 0, "peak_flops": 200,
        "on_vector": False, "units": 8, "clock_hz": 3, "overlap_exponent": 1, "forward_host": 1, "backward_host": 1,
        "optimizer_host": 1,
    } | columns  # fmt: skip
    arrays = {name: np.atleast_1d(np.asarray(value)) for name, value in given.items()}
    return DeviceRates(**({"pace": np.ones((len(arrays["matrix_flops"]), 0))} | arrays))


def one(
    operator: Operator,
    on: DeviceRates | None = None,
    micro: float = 1.0,
    software: SoftwareSpeed | None = None,
) -> float:
    """Seconds of one row on one device."""
    table = OperatorTable.of([operator])
    found = row_times(table, on or rates(), np.array([micro]), KERNEL, software or SoftwareSpeed())
    assert found.shape == (1, 1, 1)
    return float(found[0, 0, 0])


def operator(kind: Kind, phase: Phase = Phase.FORWARD, **values: Any) -> Operator:
    return Operator("row", kind, phase, **values)


DEPTHWISE = operator(Kind.DEPTHWISE_CONVOLUTION, flops=Affine(0, 600))


@pytest.mark.parametrize(
    "kind", [Kind.NORM, Kind.SOFTMAX, Kind.POINTWISE, Kind.REDUCTION, Kind.EMBEDDING, Kind.OPTIMIZER]
)
def test_streaming_kernels_take_their_traffic(kind: Kind) -> None:
    row = operator(kind, bytes=Affine(100, 25), repeat=3)
    assert one(row, micro=4.0) == near(3 * 200 / 50)
    # Software of another age streams at its own speed.
    assert one(row, micro=4.0, software=SoftwareSpeed(streaming=2.0)) == near(3 * 100 / 50)


def test_a_kind_may_reach_a_share_of_the_bandwidth() -> None:
    assert one(operator(Kind.COPY, bytes=Affine(100))) == near(4)


def test_a_kernel_whose_tensors_fit_the_cache_streams_faster() -> None:
    row = operator(Kind.NORM, bytes=Affine(100))
    # Half of the cache is enough for it, or not quite.
    assert one(row, rates(cache_bytes=201)) == near(0.5)
    assert one(row, rates(cache_bytes=200)) == near(2)


def test_starts_and_waits_come_on_top() -> None:
    row = operator(Kind.NORM, bytes=Affine(100), repeat=3, launches=2, launches_per_sample=5, seconds=0.25)
    slow = rates(kernel_s=0.1)
    assert one(row, slow) == near(3 * 2 + 3 * 7 * 0.1 + 3 * 0.25)
    assert one(row, slow, micro=2.0) == near(3 * 2 + 3 * 12 * 0.1 + 3 * 0.25)


def test_attention_reaches_half_of_its_rate_at_the_half_length() -> None:
    row = operator(Kind.ATTENTION, flops=Affine(400), columns=200.0)
    assert one(row) == near(2 * 400 / 40)
    assert one(replace(row, phase=Phase.BACKWARD)) == near(2 * 400 / 20)
    assert one(replace(row, columns=600.0)) == near(400 * 800 / 600 / 40)
    assert one(row, software=SoftwareSpeed(streaming=2.0, convolution=2.0)) == near(20)
    # Its own rates hold whatever the row says of products, and on vector units.
    assert one(replace(row, rate=0.5, vector_rate=2, full_precision=True), rates(on_vector=True)) == near(20)
    assert one(replace(row, bytes=Affine(2000))) == near(40), "traffic takes longer"


def test_depthwise_convolutions_run_on_vector_units() -> None:
    assert one(DEPTHWISE, micro=2.0) == near(1200 / 10)
    assert one(replace(DEPTHWISE, rate=0.5), rates(on_vector=True)) == near(600 / 5)
    assert one(DEPTHWISE, software=SoftwareSpeed(convolution=2.0)) == near(600 / 20)
    moved = replace(DEPTHWISE, bytes=Affine(50_000))
    assert one(moved) == near(1000)
    assert one(moved, software=SoftwareSpeed(streaming=2.0)) == near(1000), "it is no streaming kernel"


def test_histograms_take_cycles_of_the_units_that_share_them() -> None:
    row = operator(Kind.HISTOGRAM, rows=Affine(10, 20), inner=Affine(2, 1))
    # 50 updates of 4 cycles; 8 units of 3 Hz, or as many of them as can share.
    assert one(row, micro=2.0) == near(200 / 24)
    assert one(replace(row, columns=5.0), micro=2.0) == near(200 / 15)
    assert one(replace(row, columns=9.0), micro=2.0) == near(200 / 24)
    assert one(replace(row, columns=1.0), micro=2.0) == near(200 / 3)
    assert one(replace(row, flops=Affine(1e6), rate=0.5, full_precision=True), micro=2.0) == near(200 / 24)
    moved = replace(row, bytes=Affine(50_000))
    assert one(moved, software=SoftwareSpeed(streaming=2.0)) == near(1000)


def tiled(m: float, n: float, k: float, batch: float = 1, units: int = 10, prologue: float = 100) -> float:
    """Operations of a product, idle units counted, by trying every tiling in a plain loop."""
    found = []
    for rows, columns, share in ((128, 128, 1.0), (32, 32, 0.5)):
        tiles = batch * math.ceil(m / rows) * math.ceil(n / columns)
        for split in (1, 2, 4):
            waves = math.ceil(tiles * split / units)
            each = 2 * rows * columns * (k / split + prologue) / share
            found.append(waves * each * (1.1 if split > 1 else 1.0))
    return min(found) * units


def test_a_tiling_worked_out() -> None:
    # 4 tiles of 128 x 128 fill 4 of 10 units; split in two along K they make 8, one wave, 500 + 100 deep.
    assert tiled(256, 256, 1000) == near((2 * 128 * 128 * 600) * 1.1 * 10)
    # On 4 units the four whole tiles are one wave.
    assert tiled(256, 256, 1000, units=4) == near(2 * 128 * 128 * 1100 * 4)


@pytest.mark.parametrize("kind", [Kind.GEMM, Kind.BATCHED_GEMM, Kind.RECURRENT])
@pytest.mark.parametrize(
    ("m", "n", "k", "batch"),
    [
        (256, 256, 1000, 1),
        (129, 1, 10, 1),
        (20, 20, 5000, 1),
        (1000, 700, 3, 5),
        (32, 32, 32, 7),
        (64, 300, 64, 11),
    ],
)
def test_products_take_the_waves_of_their_best_tiling(kind: Kind, m: int, n: int, k: int, batch: int) -> None:
    row = operator(
        kind, rows=Affine(m), columns=float(n), inner=Affine(k), batch=Affine(batch), flops=Affine(1e9)
    )
    assert one(row) == near(tiled(m, n, k, batch) / 100)
    four = rates(multiprocessors=4)
    assert one(row, four) == near(tiled(m, n, k, batch, units=4) / 100)


def test_each_side_of_a_product_may_grow_with_the_batch() -> None:
    base = operator(Kind.GEMM, rows=Affine(10), columns=300.0, inner=Affine(40))
    assert one(replace(base, rows=Affine(10, 200)), micro=3.0) == near(tiled(610, 300, 40) / 100)
    assert one(replace(base, inner=Affine(40, 500)), micro=3.0) == near(tiled(10, 300, 1540) / 100)
    assert one(replace(base, batch=Affine(2, 5)), micro=3.0) == near(tiled(10, 300, 40, batch=17) / 100)


def test_convolutions_start_faster_and_reach_their_share_of_the_rate() -> None:
    row = operator(Kind.CONVOLUTION, rows=Affine(256), columns=256.0, inner=Affine(1000))
    work = tiled(256, 256, 1000, prologue=20)
    assert work != tiled(256, 256, 1000)
    assert one(row) == near(work / 80)
    assert one(row, software=SoftwareSpeed(convolution=0.5)) == near(work / 40)
    # Work of a grouped one lies between its operations and those of full tiles.
    grouped = replace(row, kind=Kind.GROUPED_CONVOLUTION, flops=Affine(1e6, 1e6))
    assert one(grouped, micro=2.0) == near(work**0.75 * 3e6**0.25 / 100)
    assert one(grouped, micro=2.0, software=SoftwareSpeed(convolution=2.0)) == near(
        work**0.75 * 3e6**0.25 / 200
    )


def test_rates_of_a_product() -> None:
    row = operator(Kind.GEMM, rows=Affine(256), columns=256.0, inner=Affine(1000))
    work = tiled(256, 256, 1000)
    assert one(replace(row, rate=0.5)) == near(work / 50)
    assert one(replace(row, vector_rate=3.0)) == near(work / 100), "matrix units know no such algorithm"
    assert one(replace(row, vector_rate=3.0), rates(on_vector=True)) == near(work / 300)
    assert one(replace(row, full_precision=True, rate=0.5, vector_rate=3.0)) == near(work / 15)
    assert one(replace(row, bytes=Affine(work))) == near(work / 50), "traffic takes longer"
    assert one(row, software=SoftwareSpeed(convolution=2.0, streaming=2.0)) == near(work / 100)
    assert one(replace(row, bytes=Affine(work)), software=SoftwareSpeed(streaming=2.0)) == near(work / 50)


def test_paces_of_a_calibration() -> None:
    pace = np.ones((1, 2 * len(Kind)))
    pace[0, pace_place(Kind.NORM, True)] = 3
    known = rates(pace=pace, kernel_s=0.5)
    row = operator(Kind.NORM, bytes=Affine(100))
    assert one(row, known) == near(2 + 0.5)
    assert one(replace(row, phase=Phase.BACKWARD), known) == near(6 + 0.5)
    assert one(replace(row, kind=Kind.SOFTMAX, phase=Phase.BACKWARD), known) == near(2 + 0.5)
    assert one(replace(row, phase=Phase.BACKWARD, repeat=2, launches=3, seconds=1), known) == near(12 + 3 + 2)


def test_loads_by_row_device_and_batch() -> None:
    table = OperatorTable.of([operator(Kind.GEMM, rows=Affine(9)), operator(Kind.NORM, Phase.BACKWARD)])
    asked = loads(table, np.array([10.0, 4.0, 10.0]), np.array([1.0, 2.0]), KERNEL)
    assert asked.work.shape == (2, 3, 2)
    assert (asked.work[:, 0] == asked.work[:, 2]).all()
    assert asked.backward.ravel().tolist() == [False, True]
    assert asked.kind.shape == (2, 1, 1)
    assert np.isinf(asked.share).all()
    same = aged(asked, SoftwareSpeed())
    assert (same.moved == asked.moved).all()
    devices = rates(**{name: [value] * 3 for name, value in (("matrix_flops", 100), ("full_flops", 10))})
    assert row_seconds(asked, devices.on_grid(), KERNEL).shape == (2, 3, 2)


STEP = (
    operator(Kind.GEMM, rows=Affine(0, 64), columns=64.0, inner=Affine(64), launches=2),
    operator(Kind.NORM, bytes=Affine(0, 500), launches=3, recompute=Recompute.SELECTIVE),
    operator(Kind.ATTENTION, flops=Affine(0, 4000), columns=200.0, recompute=Recompute.FULL),
    operator(Kind.GEMM, Phase.BACKWARD, rows=Affine(64), columns=64.0, inner=Affine(0, 64), launches=7),
    operator(Kind.NORM, Phase.BACKWARD, bytes=Affine(0, 1000)),
    operator(Kind.OPTIMIZER, Phase.OPTIMIZER, bytes=Affine(5000), launches=4),
)
TWO = {
    name: [value, 2 * value] for name, value in (("matrix_flops", 100), ("bandwidth", 50), ("launch_s", 0.5))
}
HOSTS = SoftwareSpeed(forward_launch=2.0, backward_launch=3.0, optimizer_launch=5.0)


def devices() -> DeviceRates:
    pair = {each.name: np.repeat(getattr(rates(), each.name), 2, axis=0) for each in fields(DeviceRates)}
    pair |= {name: np.array(values, dtype=float) for name, values in TWO.items()}
    pair |= {
        "forward_host": np.array([1, 10.0]), "backward_host": np.array([1, 20.0]),
        "optimizer_host": np.array([1, 30.0]),
    }  # fmt: skip
    return DeviceRates(**pair)


def test_times_of_a_step_by_phase() -> None:
    micro = np.array([1.0, 4.0])
    found = step_times(OperatorTable.of(STEP), devices(), micro, KERNEL, HOSTS)
    for place, size in enumerate((1, 4)):
        forward, norm, attention = tiled(64 * size, 64, 64), 500 * size, 8000 * size / 40
        backward, norm_back = tiled(64, 64, 64 * size), 1000 * size
        for faster in (0, 1):
            speed = 1 + faster
            products = (forward + backward) / 100 / speed
            assert found.device[faster, place] == near(products + attention + (norm + norm_back) / 50 / speed)
            assert found.device_backward[faster, place] == near((backward / 100 + norm_back / 50) / speed)
            assert found.matrix[faster, place] == near(products + attention)
            again = norm / 50 / speed
            assert found.device_recompute[faster, place] == near([0, again, again + attention])
    assert found.device_optimizer == near([100, 50])
    # Half a second a launch, twice that on the second device; factors of software and of its calibration.
    assert found.host[:, 0] == near([0.5 * (6 * 2 + 8 * 3), 1.0 * (6 * 20 + 8 * 60)])
    assert (found.host[:, 0] == found.host[:, 1]).all()
    assert found.host_backward[:, 0] == near([0.5 * 8 * 3, 8 * 60])
    assert found.host_recompute[0, 0] == near([0, 3, 4])
    assert found.host_recompute[1, 0] == near([0, 60, 80])
    assert found.host_optimizer == near([0.5 * 4 * 5, 4 * 150])


def test_histograms_leave_other_rows_alone() -> None:
    rows = [
        operator(Kind.HISTOGRAM, rows=Affine(12), inner=Affine(2)),
        DEPTHWISE,
        operator(Kind.NORM, bytes=Affine(100)),
    ]
    rows.append(operator(Kind.GEMM, rows=Affine(256), columns=256.0, inner=Affine(1000)))
    found = row_times(OperatorTable.of(rows), rates(), np.array([1.0]), KERNEL, SoftwareSpeed())
    assert found.ravel() == near([1, 60, 2, tiled(256, 256, 1000) / 100])


def test_one_micro_batch_has_an_optimizer() -> None:
    found = step_times(OperatorTable.of(STEP), devices(), np.array([2.0]), KERNEL, HOSTS)
    assert found.device_optimizer == near([100, 50])
    assert found.host_optimizer == near([10, 600])


def test_no_micro_batch_has_no_time() -> None:
    found = step_times(OperatorTable.of(STEP), devices(), np.array([]), KERNEL, HOSTS)
    assert found.device.shape == (2, 0)
    assert found.device_optimizer.tolist() == found.host_optimizer.tolist() == [0, 0]


def test_times_by_kind() -> None:
    slow = replace(STEP[3], bytes=Affine(1e9))
    table = OperatorTable.of([*STEP[:3], slow, *STEP[4:]])
    found = kind_times(table, devices(), np.array([1.0, 4.0]), KERNEL, SoftwareSpeed())
    assert found.kinds == (Kind.GEMM, Kind.ATTENTION, Kind.NORM, Kind.OPTIMIZER)
    waiting = 1e9 / 50
    gemm, attention, norm = tiled(64, 64, 64) / 100, 200.0, 10 + 20
    assert found.step.shape == (4, 2, 2, 3)
    assert found.step[0, 0, 0] == near([gemm + waiting] * 3)
    assert found.step[1, 0, 0] == near([attention, attention, 2 * attention])
    assert found.step[2, 0, 0] == near([norm, norm + 10, norm + 10])
    assert (found.step[3] == 0).all()
    assert found.once.shape == (4, 2)
    assert found.once[3] == near([100, 50])
    assert (found.once[:3] == 0).all()
    # Of products only the one that waits for memory streams; norms are no products.
    assert found.streaming.shape == (2, 2, 3)
    assert found.streaming[0, 0] == near([waiting] * 3)
    assert found.streaming[1, 1] == near([waiting / 2] * 3)
    again = OperatorTable.of([replace(slow, phase=Phase.FORWARD, recompute=Recompute.SELECTIVE, repeat=3)])
    twice = kind_times(again, devices(), np.array([1.0]), KERNEL, SoftwareSpeed())
    assert twice.streaming[0, 0] == near([3 * waiting, 6 * waiting, 6 * waiting])
    # Launches take the product beyond its traffic: it no longer waits for memory alone.
    begun = replace(devices(), kernel_s=np.array([1.0, 1.0]))
    assert (kind_times(again, begun, np.array([1.0]), KERNEL, SoftwareSpeed()).streaming == 0).all()
    paced = replace(devices(), pace=np.full((2, 2 * len(Kind)), 2.0))
    both = kind_times(again, paced, np.array([1.0]), KERNEL, SoftwareSpeed())
    assert both.streaming[0, 0] == near([6 * waiting, 12 * waiting, 12 * waiting])
    old = kind_times(OperatorTable.of(STEP), devices(), np.array([1.0]), KERNEL, SoftwareSpeed(streaming=0.5))
    assert old.step[2, 0, 0] == near([60, 80, 80])
    assert old.once[3] == near([200, 100])
