"""Devices as arrays: the rates that each one sustains in a given precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from advisor.execution import NOT_CALIBRATED, ArchitectureConstants, Constants, StepKind, SubjectKind
from advisor.hardware import Device, NumberFormat
from advisor.operators import Floats, Integers, Kind
from advisor.workload import Precision

ASSUMED_MULTIPROCESSORS = 64
"""Used for tile quantisation where a catalog entry does not say."""

ANY_NETWORK = StepKind("network")

GPU_LANES = 128
CPU_LANES = 16
"""fp32 lanes of one multiprocessor or core of recent generations, where the clock must be derived."""

COMPUTE_FORMAT: dict[Precision, NumberFormat] = {
    "fp32": NumberFormat.FP32,
    "tf32": NumberFormat.TF32,
    "fp16": NumberFormat.FP16,
    "bf16": NumberFormat.BF16,
    "fp8": NumberFormat.FP8,
    "int8": NumberFormat.INT8,
    "fp4": NumberFormat.FP4,
}
"""Format in which products run. int4 and nf4 weights are unpacked to the half-precision format of the device."""


@dataclass(frozen=True, eq=False, slots=True)
class DeviceRates:
    """Sustained rates of G devices in one precision; every array has shape [G].

    Attributes:
        matrix_flops: operations per second of large products in the precision.
        full_flops: the same in fp32.
        multiprocessors: independent units that tiles are dealt to.
        bandwidth: device memory, bytes per second.
        cache_bytes: last-level cache.
        attention_forward: operations per second of fused attention, which computes in 16 bits at best.
        attention_backward: the same for its backward.
        kernel_s: shortest time of a kernel.
        launch_s: time of the host for one launch.
        peak_flops: dense peak in the precision, for utilisation figures.
        on_vector: whether products in the precision run on vector units in fp32.
        units: multiprocessors of a GPU, cores of a CPU.
        clock_hz: cycles per second of one unit.
        overlap_exponent: how far the host's launches and the kernels overlap; 1 where one process does both.
        forward_host: factor on the host's time for the launches of the forward pass, as a calibration shows it.
        backward_host: the same in backward.
        optimizer_host: the same in the optimizer's step.
        pace: factor on the time of kernels of each kind, forward and backward, as a calibration shows it; shape
            [G, 2 * len(Kind)], the places those of :func:`pace_place`; [G, 0] where no device is calibrated.
    """

    matrix_flops: Floats
    full_flops: Floats
    multiprocessors: NDArray[np.float64]
    bandwidth: Floats
    cache_bytes: Floats
    attention_forward: Floats
    attention_backward: Floats
    kernel_s: Floats
    launch_s: Floats
    peak_flops: Floats
    on_vector: NDArray[np.bool_]
    units: Floats
    clock_hz: Floats
    overlap_exponent: Floats
    forward_host: Floats
    backward_host: Floats
    optimizer_host: Floats
    pace: Floats

    def at(self, index: Integers | slice) -> DeviceRates:
        """Return the rates of the devices at ``index``, in its order."""
        return DeviceRates(*(getattr(self, each.name)[index] for each in fields(DeviceRates)))

    def on_grid(self) -> DeviceRates:
        """Return rates that broadcast with rows x devices x micro-batches: [1, G, 1], and one more of ``pace``."""
        return DeviceRates(*(getattr(self, each.name)[None, :, None] for each in fields(DeviceRates)))


def pace_place(kind: Kind | Integers, backward: bool | NDArray[np.bool_]) -> Integers:
    """Return where the pace of a kind of operator stands."""
    return np.asarray(np.asarray(kind) * 2 + np.asarray(backward, dtype=np.int64))


def constants_of(device: Device, constants: Constants) -> ArchitectureConstants:
    """Return the efficiency constants of a device's architecture."""
    vendor = "cpu" if device.kind == "cpu" else device.vendor
    return constants.of(vendor, device.architecture, device.compute_capability)


def context_mib(device: Device, constants: Constants) -> float:
    """Return the device memory that a process holds before its first tensor: as measured, else of the architecture."""
    measured = constants.calibrations.get(device.id, NOT_CALIBRATED).context_mib
    return constants_of(device, constants).context_mib if measured is None else measured


def unsupported(device: Device, precision: Precision) -> str | None:
    """Say why a device should not be used in a precision, None where it may be.

    A format without matrix units of its own is refused where the device would emulate it slowly: bf16 before Ampere.
    """
    if precision in ("fp32", "fp16", "int4", "nf4"):
        return None
    if precision == "int8":
        capability = device.capability
        slow = device.tensor_tflops(NumberFormat.INT8) is None and (capability is None or capability < (6, 1))
        return "no int8 units" if slow else None
    if device.tensor_tflops(COMPUTE_FORMAT[precision]) is None:
        return f"no {precision} tensor cores"
    return None


def half_precision(device: Device) -> Precision:
    """Return the 16-bit format that the device computes in: bf16 on processors and matrix units for it, else fp16."""
    return "fp16" if device.kind == "gpu" and unsupported(device, "bf16") else "bf16"


def automatic_precision(device: Device, *, training: bool, mixed_only: bool) -> Precision:
    """Return the precision a practitioner would pick: 16-bit on matrix units or with fast vector units, else fp32.

    ``mixed_only`` (adapters on a frozen base, inference) takes 16-bit weights everywhere, since they halve the memory.
    """
    half = half_precision(device)
    if device.tensor_tflops(COMPUTE_FORMAT[half]) is not None or not training or mixed_only:
        return half
    vector = device.compute
    return "fp16" if (vector.fp16_tflops or 0.0) >= 1.5 * vector.fp32_tflops else "fp32"


def matrix_peak_tflops(device: Device, precision: Precision) -> tuple[float, bool]:
    """Return the dense peak for products in a precision, and whether matrix units deliver it.

    Products accumulate in fp32 (integers in int32), as training needs. fp16 without matrix units runs at the better of
    the fp16 and fp32 vector rate, int4 and nf4 in the half-precision format.
    """
    if precision in ("int4", "nf4"):
        return matrix_peak_tflops(device, half_precision(device))
    vector = device.compute
    number_format = COMPUTE_FORMAT[precision]
    accumulate = "int32" if precision == "int8" else "fp32"
    tensor = None if precision == "fp32" else device.tensor_tflops(number_format, accumulate)
    if tensor is not None:
        return tensor, True
    if precision in ("fp16", "int8"):
        return max(vector.fp16_tflops or 0.0, vector.fp32_tflops), False
    return vector.fp32_tflops, False


def sustained(watts: float, peak_tflops: float, full_watts_per_tflops: float, exponent: float) -> float:
    """Return the share of the boost clock that a power limit leaves under full matrix load.

    Dynamic power grows with clock times voltage squared, so a card with a share ``r`` of the watts that full clock
    would need holds about ``r ** exponent`` of it.
    """
    if full_watts_per_tflops == 0.0:
        return 1.0
    return float(min(1.0, watts / (peak_tflops * full_watts_per_tflops)) ** exponent)


def device_rates(
    devices: Sequence[Device],
    precisions: Sequence[Precision],
    constants: Constants,
    kind: StepKind = ANY_NETWORK,
) -> DeviceRates:
    """Return the sustained rates of each device in its precision of ``precisions``.

    Args:
        devices: G devices.
        precisions: of each.
        constants: shipped constants and calibrations.
        kind: of the steps that are run; a calibration knows how far each is from the sum of its operators.
    """
    pairs = list(zip(devices, precisions, strict=True))
    rows = [_rates(device, precision, kind.subject, constants) for device, precision in pairs]
    columns = dict(zip(_COLUMNS, np.array(rows, dtype=np.float64).T, strict=True))
    pace = np.ones((len(pairs), 0))
    if any(device.id in constants.calibrations for device in devices):
        pace = np.stack([_pace(device, precision, kind, constants) for device, precision in pairs])
    return DeviceRates(**(columns | {"on_vector": columns["on_vector"] > 0, "pace": pace}))


_COLUMNS = tuple(each.name for each in fields(DeviceRates) if each.name != "pace")


def _pace(device: Device, precision: Precision, kind: StepKind, constants: Constants) -> Floats:
    """Return the pace of each kind of operator, shape [2 * len(Kind)]; all 1 without a calibration."""
    found = np.ones(2 * len(Kind))
    calibration = constants.calibrations.get(device.id)
    if calibration is None:
        return found
    for operator in Kind:
        for backward in (False, True):
            found[pace_place(operator, backward)] = calibration.pace_of(operator, backward, precision)
    return np.asarray(found * calibration.step_of(kind, precision))


def _rates(
    device: Device, precision: Precision, subject: SubjectKind, constants: Constants
) -> tuple[float, ...]:
    own = constants_of(device, constants)
    exponent = constants.kernel.sustained_exponent
    watts = device.board.tdp_w / device.board.devices_per_board
    peak, tensor = matrix_peak_tflops(device, precision)
    matrix = own.matrix

    def rate(tflops: float, by_tensor: bool) -> float:
        need = matrix.tensor_watts_per_tflops if by_tensor else matrix.vector_watts_per_tflops
        share = matrix.tensor if by_tensor else matrix.vector
        return tflops * 1e12 * share * sustained(watts, tflops, need, exponent)

    half, by_tensor = matrix_peak_tflops(device, half_precision(device))
    half_rate = rate(half, by_tensor)
    if tensor and precision in ("fp8", "int8"):
        flops = half_rate * (peak / half) * matrix.eight_bit
    elif tensor and precision == "fp4":
        flops = half_rate * (peak / half) * matrix.four_bit
    elif tensor and precision == "tf32":
        flops = half_rate * (peak / half) * constants.kernel.tf32_rate
    else:
        flops = rate(peak, tensor)
    attention = min(flops, half_rate)
    on_cpu = device.kind == "cpu"
    starts = constants.calibrations.get(device.id, NOT_CALIBRATED).starts(subject)
    cores = device.compute.cores if on_cpu else None
    return (
        flops,
        rate(device.compute.fp32_tflops, False),
        device.compute.multiprocessors or cores or ASSUMED_MULTIPROCESSORS,
        device.memory.bandwidth_gb_s * 1e9 * own.bandwidth,
        (device.compute.l2_mib or 0.0) * 2**20,
        attention * own.attention_forward,
        attention * own.attention_backward,
        own.kernel_us * 1e-6 * starts.kernel,
        own.launch_us * 1e-6,
        peak * 1e12,
        float(precision == "fp32" and not on_cpu),
        *_units(device),
        # A processor starts its kernels itself, one after the other.
        1.0 if on_cpu else constants.software.overlap_exponent,
        starts.forward,
        starts.backward,
        starts.optimizer,
    )


def _units(device: Device) -> tuple[float, float]:
    """Return the number of multiprocessors (GPU) or cores (CPU) and their clock in Hz.

    Where the catalog does not say, the number is assumed and the clock follows from the fp32 rate, which is the number
    times clock times two for each lane.
    """
    compute, on_cpu = device.compute, device.kind == "cpu"
    units = float((compute.cores if on_cpu else compute.multiprocessors) or ASSUMED_MULTIPROCESSORS)
    if compute.boost_clock_mhz is not None:
        return units, compute.boost_clock_mhz * 1e6
    return units, compute.fp32_tflops * 1e12 / (units * 2 * (CPU_LANES if on_cpu else GPU_LANES))


def available_bytes(device: Device, constants: Constants) -> float:
    """Bytes that the driver leaves to programs: the reported total less what it keeps for itself."""
    own = constants_of(device, constants)
    measured = constants.calibrations.get(device.id, NOT_CALIBRATED)
    total = measured.total_mib or device.memory.reported_mib or device.memory.size_gib * 1024
    return (total * (1 - own.reserved_fraction) - own.reserved_mib) * 2**20
