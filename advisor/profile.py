"""Words for a calibration: what one machine was measured to do, and with which software.

A profile holds measurements alone. What they say about estimates is worked out anew each time one is read, with the
constants of the day, so a profile outlives a refit. Nothing in it tells one card of a kind from another: no UUID, no
serial number, no host name.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator

from advisor.hardware import Vendor
from advisor.quantity import Model
from advisor.workload import Precision

Backend = Literal["cuda", "rocm", "mps", "xpu", "cpu"]
"""What torch runs on; ROCm devices are named ``cuda:0`` in torch all the same."""

Seconds = Annotated[float, Field(ge=1e-9, le=1e6)]
Text = Annotated[str, Field(max_length=500)]


class Timing(Model):
    """Time of one thing that was repeated."""

    median_s: Seconds
    spread: Annotated[float, Field(ge=1, le=1e12)]
    """Eight in ten repeats lie within the median over and times this."""
    repeats: Annotated[int, Field(ge=1, le=10**9)]
    stable: bool
    """False where repeats still disagreed when the time for them was over."""


class SuiteResult(Model):
    """What one test of the suite took; what it does not measure is null."""

    test: Annotated[str, Field(max_length=80)]
    precision: Precision
    memory_format: Literal["nchw", "nhwc"] = "nchw"
    batch: Annotated[int, Field(ge=1, le=10**9)]
    forward: Timing | None = None
    """One forward pass that keeps what backward needs."""
    backward: Timing | None = None
    optimizer: Timing | None = None
    inference: Timing | None = None
    """One forward pass that keeps nothing."""
    step: Timing | None = None
    """A whole training step."""
    replayed: Timing | None = None
    """The kernels of the forward pass without their launches: recorded once and replayed as a graph."""
    allocated_mib: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Most that torch's allocator handed out in a step."""
    power_w: Annotated[float, Field(ge=0, le=1e5)] | None = None
    clock_mhz: Annotated[float, Field(ge=0, le=1e5)] | None = None
    note: Text | None = None


class TransferResult(Model):
    """Copies between host and device."""

    direction: Literal["to device", "from device"]
    pinned: bool
    size_bytes: Annotated[int, Field(ge=1, le=10**15)]
    timing: Timing


class CollectiveResult(Model):
    """One operation among several devices; ``size_bytes`` is that of the whole tensor, as in NCCL's tests."""

    operation: Literal["all-reduce", "all-gather", "reduce-scatter", "point-to-point"]
    ranks: Annotated[int, Field(ge=2, le=10**5)]
    nodes: Annotated[int, Field(ge=1, le=10**5)]
    library: Literal["nccl", "gloo", "rccl", "xccl"]
    size_bytes: Annotated[int, Field(ge=1, le=10**15)]
    timing: Timing


class MeasuredDevice(Model):
    """The device as its driver and torch describe it."""

    kind: Literal["gpu", "cpu"]
    backend: Backend
    name: Annotated[str, Field(min_length=1, max_length=200)]
    """As the driver says; of a processor, its brand string."""
    gpu: Annotated[str, Field(max_length=80)] | None = None
    """Id of its catalog entry, null where the catalog has none."""
    vendor: Vendor | None = None
    compute_capability: Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")] | None = None
    pci_device_id: Annotated[str, Field(max_length=20)] | None = None
    memory_mib: Annotated[float, Field(ge=16, le=1e8)]
    """Total that the driver reports; of a processor, the memory of the machine."""
    units: Annotated[int, Field(ge=1, le=10**4)] | None = None
    """Multiprocessors of a GPU, physical cores of a processor that this process may use."""
    cache_mib: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Last-level cache."""
    clock_mhz: Annotated[float, Field(ge=1, le=1e5)] | None = None
    """Highest clock that the driver allows."""
    power_limit_w: Annotated[float, Field(ge=0.1, le=1e5)] | None = None
    default_power_limit_w: Annotated[float, Field(ge=0.1, le=1e5)] | None = None
    pcie_generation: Annotated[int, Field(ge=1, le=6)] | None = None
    """Of the link as it is under load, not what card and slot could do."""
    pcie_lanes: Annotated[int, Field(ge=1, le=32)] | None = None
    mig: bool = False
    """A slice of a GPU."""
    laptop: bool = False


class MeasuredSoftware(Model):
    """Versions that the measurements hold for."""

    torch: Text
    runtime: Text | None = None
    """CUDA, ROCm or oneAPI that torch was built for, such as ``CUDA 12.8``."""
    driver: Text | None = None
    python: Text
    gpu_advisor: Text


class MeasuredHost(Model):
    """The machine around the device."""

    system: Text
    """Operating system and architecture."""
    cpu: Text | None = None
    cores: Annotated[int, Field(ge=1, le=10**6)] | None = None
    memory_gib: Annotated[float, Field(gt=0, le=1e6)] | None = None


class Sensors(Model):
    """What NVML saw while the suite ran; null where it does not say."""

    idle_w: Annotated[float, Field(ge=0, le=1e5)] | None = None
    highest_w: Annotated[float, Field(ge=0, le=1e5)] | None = None
    clock_mhz: Annotated[float, Field(ge=0, le=1e5)] | None = None
    """Median of the multiprocessors' clock under load."""
    highest_c: Annotated[float, Field(ge=-300, le=1000)] | None = None
    throttled: tuple[Text, ...] = ()
    """Reasons for which the clock was held down, the most frequent first, such as ``power limit 83 %``."""
    other_processes: Annotated[int, Field(ge=0)] | None = None
    """Processes of others on the device when the suite began."""
    busy_before: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of time in which others' kernels ran before the suite began."""


class Profile(Model):
    """One calibration: ``calibrate`` writes it, every estimate reads it."""

    model_config = ConfigDict(**(Model.model_config | {"populate_by_name": True, "serialize_by_alias": True}))

    schema_: Literal["gpu-advisor/calibration/1"] = Field(default="gpu-advisor/calibration/1", alias="schema")
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    mode: Literal["quick", "full", "collectives"]
    complete: bool = True
    """False where it was interrupted, or tests were given up."""
    device: MeasuredDevice
    software: MeasuredSoftware
    host: MeasuredHost
    sensors: Sensors = Sensors()
    context_mib: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Device memory that a process held before its first tensor, with the libraries' workspaces."""
    tests: tuple[SuiteResult, ...] = ()
    transfers: tuple[TransferResult, ...] = ()
    collectives: tuple[CollectiveResult, ...] = ()
    warnings: tuple[Text, ...] = ()

    @field_validator("date")
    @classmethod
    def _is_a_day(cls, text: str) -> str:
        datetime.date.fromisoformat(text)
        return text
