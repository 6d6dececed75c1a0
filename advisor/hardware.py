"""Words for devices: what a GPU or CPU is, how its numbers must agree, and how its names are resolved.

Rates are dense (no 2:4 sparsity). One FMA counts as two operations. Memory that a vendor sells as "24 GB" is held as
``size_gib: 24``; what the driver leaves to a program is smaller, see :func:`usable_memory_gib`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from advisor.errors import InputError, nearest
from advisor.quantity import Model

Vendor = Literal["nvidia", "amd", "intel", "apple"]
Segment = Literal["consumer", "laptop", "workstation", "datacenter", "embedded", "apple"]
Unverified = Literal["from memory", "estimated", "assumed like sibling"]

TOLERANCE = 0.03
"""Largest relative disagreement between two numbers of one entry that needs no written reason."""


class NumberFormat(StrEnum):
    """Number formats in which a device multiplies or stores."""

    FP64 = "fp64"
    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"
    FP8 = "fp8"
    FP4 = "fp4"
    INT8 = "int8"
    INT4 = "int4"


class Memory(Model):
    """Device memory.

    ``size_gib`` is the nominal size; ``reported_mib`` is what NVML (or the driver) reports as total, where known.
    ``bandwidth_gb_s`` is in 1e9 bytes per second. ``data_rate_gbps`` is bits per second and pin in 1e9.
    """

    size_gib: float = Field(gt=0)
    type: str
    bus_bits: int | None = Field(default=None, gt=0)
    data_rate_gbps: float | None = Field(default=None, gt=0)
    bandwidth_gb_s: float = Field(gt=0)
    ecc: bool | None = None
    reported_mib: int | None = Field(default=None, gt=0)
    unified: bool = False


class Compute(Model):
    """Scalar and vector units. Rates in TFLOP/s at the boost clock, without tensor cores."""

    multiprocessors: int | None = Field(default=None, gt=0)
    cores: int | None = Field(default=None, gt=0)
    boost_clock_mhz: float | None = Field(default=None, gt=0)
    l2_mib: float | None = Field(default=None, ge=0)
    fp64_tflops: float | None = Field(default=None, ge=0)
    fp32_tflops: float = Field(gt=0)
    fp16_tflops: float | None = Field(default=None, ge=0)


class TensorRate(Model):
    """Dense rate of the matrix units for one operand format, in TFLOP/s (TOP/s for integers)."""

    format: NumberFormat
    accumulate: Literal["fp32", "fp16", "int32"]
    tflops: float = Field(gt=0)


class TensorCores(Model):
    """Matrix units: NVIDIA tensor cores, AMD matrix cores, Intel XMX."""

    generation: str
    number: int | None = Field(default=None, gt=0)
    rates: tuple[TensorRate, ...]
    clock_mhz: float | None = Field(default=None, gt=0)
    """Clock behind ``rates`` where it is not the boost clock."""


class Board(Model):
    """What a buyer must power, cool and plug in."""

    tdp_w: float = Field(gt=0)
    devices_per_board: int = Field(default=1, ge=1)
    form_factor: str | None = None
    slots: float | None = None
    power_connectors: str | None = None
    passive: bool | None = None


class Links(Model):
    """Ways in and out. ``nvlink_gb_s`` (also Infinity Fabric, Xe Link) is the total of both directions."""

    pcie_generation: int | None = None
    pcie_lanes: int | None = None
    nvlink_gb_s: float | None = Field(default=None, ge=0)


class Identifiers(Model):
    """What drivers call the device. Names are exact; they are compared after :func:`normalise`."""

    nvml_names: tuple[str, ...] = ()
    pci_device_ids: tuple[str, ...] = ()
    rocm_gfx: str | None = None
    aliases: tuple[str, ...] = ()


class LaunchPrice(Model):
    """Price at launch in US dollars with its month and source."""

    usd: float = Field(gt=0)
    date: str
    source: str
    unverified: Unverified | None = None


class Device(Model):
    """One device, per GPU where a board carries several (except ``board.tdp_w``).

    ``sources`` maps a dotted field (or ``*`` for the rest) to where its number was taken from.
    ``exceptions`` maps the name of a check of :func:`discrepancies` to the reason why it may disagree.
    ``doubts`` says in words what a reader should not trust.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$")
    name: str
    kind: Literal["gpu", "cpu"] = "gpu"
    vendor: Vendor
    architecture: str
    segment: Segment
    released: str | None = None
    compute_capability: str | None = None
    memory: Memory
    compute: Compute
    tensor: TensorCores | None = None
    board: Board
    links: Links = Links()
    mig_instances: int = 0
    identifiers: Identifiers = Identifiers()
    launch_price: LaunchPrice | None = None
    sources: Mapping[str, str]
    exceptions: Mapping[str, str] = {}
    doubts: tuple[str, ...] = ()
    notes: str | None = None
    origin: str = "catalog"
    """Which file the entry came from; set by the reader, shown when it is not the shipped catalog."""
    overrides: bool = False
    """True when a user's entry replaced a shipped one of the same id."""

    @property
    def capability(self) -> tuple[int, int] | None:
        """CUDA compute capability as numbers, None outside NVIDIA."""
        if self.compute_capability is None:
            return None
        major, minor = self.compute_capability.split(".")
        return int(major), int(minor)

    def tensor_tflops(self, number_format: NumberFormat, accumulate: str | None = None) -> float | None:
        """Dense tensor-core rate for ``number_format``; for training pass ``accumulate="fp32"``."""
        rates = [
            rate.tflops
            for rate in (self.tensor.rates if self.tensor else ())
            if rate.format is number_format and accumulate in (None, rate.accumulate)
        ]
        return max(rates, default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wrong = [item for item in discrepancies(self) if item[0] not in self.exceptions]
        if wrong:
            raise ValueError(
                "; ".join(
                    f"{check}: the entry says {given:g}, its parts give {computed:g}"
                    for check, given, computed in wrong
                )
                + " (correct the number, or give the reason under exceptions)"
            )
        return self


def discrepancies(device: Device) -> list[tuple[str, float, float]]:
    """Return the checks that fail by more than :data:`TOLERANCE` as (name, stated, computed from its parts)."""
    raise NotImplementedError
