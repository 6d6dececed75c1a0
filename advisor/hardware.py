"""Words for devices: what a GPU or CPU is, how its numbers must agree, and how its names are resolved.

Rates are dense (no 2:4 sparsity). One FMA counts as two operations. Memory that a vendor sells as "24 GB" is
held as ``size_gib: 24``; what the driver leaves to a program is smaller and is the memory estimate's
business.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from advisor.errors import InputError, nearest
from advisor.quantity import Model

Vendor = Literal["nvidia", "amd", "intel", "apple"]
Segment = Literal["consumer", "laptop", "workstation", "datacenter", "embedded", "apple"]
Unverified = Literal["from memory", "estimated", "assumed like sibling"]


def earliest_day(date: str) -> datetime.date:
    """Return the first day that the date of a price can mean; of a span of years that of the later one.

    Args:
        date: a day, a month, a year or a span of years, such as 2026-08-19, 2026-08, 2026 or 2025-2026.

    Raises:
        ValueError: there is no such day.
    """
    year = int(date[5:] if len(date) == 9 else date[:4])
    month = int(date[5:7]) if len(date) in (7, 10) else 1
    return datetime.date(year, month, int(date[8:]) if len(date) == 10 else 1)


def _exists(date: str) -> str:
    try:
        earliest_day(date)
    except ValueError:
        raise ValueError(f"there is no such day: {date}") from None
    return date


PriceDate = Annotated[
    str, Field(pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?|-[0-9]{4})?$"), AfterValidator(_exists)
]
"""A day, a month, a year or a span of years, as exact as the source of a price is."""

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

    ``size_gib`` is the nominal size; ``reported_mib`` is what the driver reports as total, where known.
    ``bandwidth_gb_s`` is in 1e9 bytes per second. ``data_rate_gbps`` is bits per second and pin in 1e9.
    """

    size_gib: float = Field(ge=0.01, le=1e5)
    type: str
    bus_bits: int | None = Field(default=None, gt=0, le=10**6)
    data_rate_gbps: float | None = Field(default=None, gt=0, le=1e4)
    bandwidth_gb_s: float = Field(ge=0.01, le=1e6)
    ecc: bool | None = None
    reported_mib: int | None = Field(default=None, gt=0, le=10**8)
    unified: bool = False


class Compute(Model):
    """Scalar and vector units. Rates in TFLOP/s at the boost clock, without tensor cores."""

    multiprocessors: int | None = Field(default=None, gt=0, le=10**6)
    cores: int | None = Field(default=None, gt=0, le=10**8)
    boost_clock_mhz: float | None = Field(default=None, ge=1, le=1e5)
    l2_mib: float | None = Field(default=None, ge=0, le=1e6)
    fp64_tflops: float | None = Field(default=None, ge=0, le=1e6)
    fp32_tflops: float = Field(ge=1e-4, le=1e6)
    fp16_tflops: float | None = Field(default=None, ge=0, le=1e6)


class TensorRate(Model):
    """Dense rate of the matrix units for one operand format, in TFLOP/s (TOP/s for integers)."""

    format: NumberFormat
    accumulate: Literal["fp32", "fp16", "int32"]
    tflops: float = Field(ge=1e-4, le=1e6)


class TensorCores(Model):
    """Matrix units: NVIDIA tensor cores, AMD matrix cores, Intel XMX.

    In files ``rates`` may be short, operand and accumulator joined by a slash: ``{fp16/fp32: 165.2}``.
    """

    generation: str
    number: int | None = Field(default=None, gt=0, le=10**7)
    rates: tuple[TensorRate, ...]
    clock_mhz: float | None = Field(default=None, ge=1, le=1e5)
    """Clock behind ``rates`` where it is not the boost clock."""
    half_rate_fp32_accumulate: bool = False
    """True where the vendor halves what accumulates in fp32 (GeForce from Turing on, L40, A10G)."""

    @field_validator("rates", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        rates = []
        for key, tflops in value.items():
            number_format, slash, accumulate = str(key).partition("/")
            if not slash:
                raise ValueError(f"write {key!r} as operand/accumulator, such as fp16/fp32 or int8/int32")
            rates.append({"format": number_format, "accumulate": accumulate, "tflops": tflops})
        return tuple(rates)


class Board(Model):
    """What a buyer must power, cool and plug in."""

    tdp_w: float = Field(ge=0.1, le=1e5)
    devices_per_board: int = Field(default=1, ge=1, le=1000)
    form_factor: str | None = None
    slots: float | None = Field(default=None, ge=0, le=100)
    power_connectors: str | None = None
    passive: bool | None = None


class Links(Model):
    """Ways in and out. ``nvlink_gb_s`` (also Infinity Fabric, Xe Link) is the total of both directions."""

    pcie_generation: int | None = Field(default=None, ge=1, le=6)
    pcie_lanes: int | None = Field(default=None, ge=1, le=32)
    nvlink_gb_s: float | None = Field(default=None, ge=0, le=1e6)
    nvlink_domain: int = Field(default=8, ge=2, le=10**5)
    """GPUs that reach each other at ``nvlink_gb_s``: 8 in the usual node, 72 in an NVL72 rack."""


class Identifiers(Model):
    """What drivers call the device. Names are exact; they are compared after :func:`normalise`."""

    nvml_names: tuple[str, ...] = ()
    pci_device_ids: tuple[str, ...] = ()
    rocm_gfx: str | None = None
    aliases: tuple[str, ...] = ()


class LaunchPrice(Model):
    """Price at launch in US dollars with its month and source."""

    usd: float = Field(ge=1e-6, le=1e7)
    date: PriceDate
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
    compute_capability: str | None = Field(default=None, pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")
    memory: Memory
    compute: Compute
    tensor: TensorCores | None = None
    board: Board
    links: Links = Links()
    mig_instances: int = Field(default=0, ge=0, le=1000)
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


# Operations (an FMA is two) per clock and multiprocessor on the matrix units, fp16 with fp16 accumulation
# and the others at the silicon's full rate. NVIDIA: the architecture whitepapers (V100, Turing, A100, GA102,
# AGX Orin, Ada, Hopper, Blackwell), cross-checked against the datasheet rates of A100, V100, T4, A6000, A10,
# A40, L4, 3090, 4090 and 5090, all within 1 %. AMD: CDNA and RDNA ISA guides; they reproduce AMD's published
# peaks. Intel: Xe guides.
_VOLTA = {"fp16": 1024.0}
_TURING = {"fp16": 1024.0, "int8": 2048.0}
_GA100 = {"fp16": 2048.0, "bf16": 2048.0, "tf32": 1024.0, "int8": 4096.0}
_GA102 = {"fp16": 1024.0, "bf16": 1024.0, "tf32": 512.0, "int8": 2048.0}
_ADA = {**_GA102, "fp8": 2048.0}
_HOPPER = {"fp16": 4096.0, "bf16": 4096.0, "tf32": 2048.0, "fp8": 8192.0, "int8": 8192.0}
_GB100 = {"fp16": 8192.0, "bf16": 8192.0, "tf32": 4096.0, "fp8": 16384.0, "int8": 16384.0, "fp4": 32768.0}
_CDNA2 = {"fp16": 1024.0, "bf16": 1024.0, "int8": 1024.0}
_CDNA3 = {"fp16": 2048.0, "bf16": 2048.0, "tf32": 1024.0, "fp8": 4096.0, "int8": 4096.0}
_CDNA4 = {"fp16": 4096.0, "bf16": 4096.0, "fp8": 8192.0, "int8": 8192.0, "fp4": 16384.0}
_RDNA3 = {"fp16": 512.0, "bf16": 512.0, "int8": 512.0}
_RDNA4 = {"fp16": 1024.0, "bf16": 1024.0, "fp8": 2048.0, "int8": 2048.0}
_XMX = {"fp16": 2048.0, "bf16": 2048.0, "int8": 4096.0}

TENSOR_OPS_PER_CLOCK: Mapping[str, Mapping[str, float]] = {
    "7.0": _VOLTA, "7.2": _TURING, "7.5": _TURING, "8.0": _GA100, "8.6": _GA102, "8.7": _GA100, "8.9": _ADA,
    "9.0": _HOPPER, "10.0": _GB100, "10.3": {**_GB100, "fp4": 49152.0}, "11.0": _GB100,
    "12.0": {**_ADA, "fp4": 4096.0}, "12.1": {**_ADA, "fp4": 4096.0},
    "CDNA 1.0": {**_CDNA2, "bf16": 512.0}, "CDNA 2.0": _CDNA2, "CDNA 3.0": _CDNA3, "CDNA 4.0": _CDNA4,
    "RDNA 3.0": _RDNA3, "RDNA 3.5": _RDNA3, "RDNA 4.0": _RDNA4,
    "Xe-HPG": _XMX, "Xe2-HPG": _XMX, "Xe-HPC": {key: 2 * ops for key, ops in _XMX.items()} | {"tf32": 2048.0},
}  # fmt: skip
"""Dense operations per clock and multiprocessor, by compute capability (NVIDIA) or architecture (others)."""

TENSOR_CORES_PER_MULTIPROCESSOR: Mapping[str, int] = {
    "7.0": 8, "7.2": 8, "7.5": 8, "8.0": 4, "8.6": 4, "8.7": 4, "8.9": 4, "9.0": 4, "10.0": 4, "10.3": 4,
    "11.0": 4, "12.0": 4, "12.1": 4,
}  # fmt: skip

CORES_PER_MULTIPROCESSOR: Mapping[str, int] = {
    "3.5": 192, "3.7": 192, "5.0": 128, "5.2": 128, "5.3": 128, "6.0": 64, "6.1": 128, "6.2": 128, "7.0": 64,
    "7.2": 64, "7.5": 64, "8.0": 64, "8.6": 128, "8.7": 128, "8.9": 128, "9.0": 128, "10.0": 128, "10.3": 128,
    "11.0": 128, "12.0": 128, "12.1": 128, "GCN 5.1": 64, "CDNA 1.0": 64, "CDNA 2.0": 64, "CDNA 3.0": 64,
    "CDNA 4.0": 64, "RDNA 2.0": 64, "RDNA 3.0": 64, "RDNA 3.5": 64, "RDNA 4.0": 64, "Xe-HPG": 128,
    "Xe2-HPG": 128, "Xe-HPC": 128, "Apple GPU": 128,
}  # fmt: skip
"""FP32 lanes per multiprocessor as vendors count cores (CUDA programming guide, AMD and Intel guides)."""

FP32_OPS_PER_CORE: Mapping[str, float] = {
    "RDNA 3.0": 4, "RDNA 3.5": 4, "RDNA 4.0": 4, "CDNA 3.0": 4, "CDNA 4.0": 4,
    # CPUs: FMA units x lanes x 2, per physical core (WikiChip and the vendors' optimisation guides).
    "Ivy Bridge": 16, "Haswell": 32, "Broadwell": 32, "Coffee Lake": 32, "Comet Lake": 32, "Alder Lake": 32,
    "Skylake-X": 64, "Skylake-SP": 64, "Cascade Lake": 64, "Cascade Lake-X": 64, "Ice Lake-SP": 64,
    "Sapphire Rapids": 64, "Zen": 16, "Zen 2": 32, "Zen 3": 32, "Zen 4": 32, "Zen 5": 64,
    "Neoverse V2": 32, "Firestorm": 32, "Avalanche": 32, "Everest": 32,
}  # fmt: skip
"""FP32 operations per clock and core where it is not one FMA: dual issue, and the vector units of CPUs."""

FP16_RATIO: Mapping[str, float] = {
    "5.3": 2, "6.0": 2, "6.1": 1 / 64, "6.2": 2, "7.0": 2, "7.2": 2, "7.5": 2, "8.0": 4, "8.6": 1, "8.7": 2,
    "8.9": 1, "9.0": 2, "10.0": 2, "10.3": 2, "11.0": 2, "12.0": 1, "12.1": 1, "GCN 5.1": 2, "CDNA 1.0": 2,
    "CDNA 2.0": 2, "CDNA 3.0": 1, "CDNA 4.0": 1, "RDNA 2.0": 2, "RDNA 3.0": 2, "RDNA 3.5": 2, "RDNA 4.0": 2,
    "Xe-HPG": 2, "Xe2-HPG": 2, "Xe-HPC": 1, "Apple GPU": 1,
}  # fmt: skip
"""FP16 over FP32 rate outside the matrix units (CUDA programming guide, throughput table; vendors' peaks)."""


def generation_key(device: Device) -> str:
    """Return the key of the constant tables: compute capability, or the architecture without one."""
    return device.compute_capability or device.architecture


def _computed(device: Device) -> Iterable[tuple[str, float, float]]:
    """Yield (check, stated, computed) for every number of the entry that its other numbers determine."""
    memory, compute, tensor = device.memory, device.compute, device.tensor
    key = generation_key(device)
    if memory.bus_bits and memory.data_rate_gbps:
        yield "bandwidth", memory.bandwidth_gb_s, memory.bus_bits * memory.data_rate_gbps / 8
    if compute.cores and compute.boost_clock_mhz:
        operations = FP32_OPS_PER_CORE.get(device.architecture, 2.0)
        if device.kind == "gpu" or device.architecture in FP32_OPS_PER_CORE:
            yield "fp32", compute.fp32_tflops, compute.cores * operations * compute.boost_clock_mhz / 1e6
    if compute.cores and compute.multiprocessors and key in CORES_PER_MULTIPROCESSOR:
        yield "cores", float(compute.cores), float(compute.multiprocessors * CORES_PER_MULTIPROCESSOR[key])
    if compute.fp16_tflops and key in FP16_RATIO:
        yield "fp16", compute.fp16_tflops, compute.fp32_tflops * FP16_RATIO[key]
    if tensor is None or not compute.multiprocessors:
        return
    if tensor.number and key in TENSOR_CORES_PER_MULTIPROCESSOR:
        number = compute.multiprocessors * TENSOR_CORES_PER_MULTIPROCESSOR[key]
        yield "tensor-number", float(tensor.number), float(number)
    clock = tensor.clock_mhz or compute.boost_clock_mhz
    for rate in tensor.rates:
        operations = TENSOR_OPS_PER_CLOCK.get(key, {}).get(rate.format.value, 0.0)
        if operations and clock:
            full = compute.multiprocessors * operations * clock / 1e6
            # fp4 keeps its full rate on GeForce Blackwell (whitepaper; measured on an RTX 5060 Ti).
            halved = tensor.half_rate_fp32_accumulate and rate.accumulate == "fp32" and rate.format != "fp4"
            yield rate_check(rate), rate.tflops, full / 2 if halved else full


def rate_check(rate: TensorRate) -> str:
    """Return the name of a tensor rate's check: ``tensor-fp16``, ``tensor-fp16-fp16``, ``tensor-int8``."""
    suffix = "-fp16" if rate.accumulate == "fp16" else ""
    return f"tensor-{rate.format.value}{suffix}"


def discrepancies(device: Device) -> list[tuple[str, float, float]]:
    """Return the checks that fail by more than :data:`TOLERANCE` as (name, stated, computed from its parts).

    The checks are ``bandwidth`` (bus x data rate, GB/s), ``fp32`` (cores x clock x operations, TFLOP/s),
    ``cores``, ``fp16`` (ratio to fp32), ``tensor-number`` and one for each tensor rate (:func:`rate_check`).
    A check whose parts are not known is left out.
    """
    return [
        (check, stated, computed)
        for check, stated, computed in _computed(device)
        if abs(stated - computed) > TOLERANCE * computed
    ]


MARKS = re.compile(r"\((?:r|tm|c)\)|[®™©]", re.IGNORECASE)
"""What stands for a registered name or a trademark."""

_SEPARATORS = re.compile(r"[\s_\-/()\[\],]+")
_UNITS = re.compile(r"(?<=\d)\s+(?=gi?b\b)", re.IGNORECASE)
# Words that drivers and shops add or leave out at will. "Quadro", "Titan", "Pro", "Ada" and "Laptop" tell
# cards apart and stay; "GPU" goes, so that "RTX 4090 Laptop GPU" is "RTX 4090 Laptop".
_NOISE = frozenset(
    {"nvidia", "corporation", "geforce", "tesla", "amd", "ati", "radeon", "instinct", "intel", "apple"}
    | {"graphics", "gpu", "card", "generation", "edition"}
)


def words(name: str) -> tuple[str, ...]:
    """Return the words of a device name that tell devices apart, in lower case."""
    text = _UNITS.sub("", MARKS.sub(" ", name)).lower()
    found = tuple(word for word in _SEPARATORS.split(text) if word)
    return tuple(word for word in found if word not in _NOISE) or found


def normalise(name: str) -> str:
    """Return the form in which device names are compared: ``NVIDIA GeForce RTX 4090`` becomes ``rtx4090``.

    Names are compared as wholes, so ``A4000`` can never match ``A40``.
    """
    return "".join(words(name))


REPORTED_MEMORY_TOLERANCE = 0.12
"""Drivers, and sources that repeat them, state up to a tenth less or more than the nominal size; variants that share a
name differ by a sixth or more."""
SOLD_MEMORY_TOLERANCE = 0.07
"""Vendors state up to 7 % more than a driver offers (B200: 192 for 180 GB); what is another product differs by more."""


class NameIndex:
    """Finds devices by what people and drivers call them; built once, asked for every line of a stream.

    Args:
        devices: the catalog; ids are unique.
    """

    def __init__(self, devices: Iterable[Device]) -> None:
        self.devices = tuple(devices)

    @cached_property
    def by_id(self) -> Mapping[str, Device]:
        """Devices by id."""
        return {device.id: device for device in self.devices}

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Device, ...]]:
        """Devices by normalised id, name, driver name and alias."""
        found: dict[str, dict[str, Device]] = {}
        for device in self.devices:
            known = device.identifiers
            for name in (device.id, device.name, *known.nvml_names, *known.aliases):
                found.setdefault(normalise(name), {})[device.id] = device
        return {name: tuple(devices.values()) for name, devices in found.items()}

    @cached_property
    def _hyphenated(self) -> Mapping[str, Device]:
        return {device.id.replace("-", ""): device for device in self.devices}

    def resolve(
        self, name: str, total_memory_mib: float | None = None, pci_device_id: str | None = None
    ) -> Device:
        """Return the one device that ``name`` means.

        The order is id, exact normalised name or alias, total memory, PCI device id. Where a person wrote the
        name (neither memory nor PCI id is known) and a desktop card and a laptop chip share it, the desktop
        card is meant.

        Args:
            name: id, marketing name, alias or the driver's name.
            total_memory_mib: what the driver reports as total memory, in MiB.
            pci_device_id: ``0x2684``, ``2684`` or NVML's ``0x268410DE``.

        Raises:
            InputError: no device or more than one has this name; the candidates are listed.
        """
        candidates = self._named(name, total_memory_mib, pci_device_id)
        if len(candidates) == 1:
            return candidates[0]
        raise self._refusal(name, candidates)

    def refusal(self, name: str) -> InputError:
        """Return why a person's ``name`` is refused where :meth:`find` finds nothing, with what may be meant."""
        return self._refusal(name, self._named(name, None, None))

    def _refusal(self, name: str, candidates: Sequence[Device]) -> InputError:
        if candidates:
            return _ambiguous(name, candidates)
        family = self._family(name)
        if len(family) > 1:
            return _ambiguous(name, family)
        return InputError(
            "no such device in the catalog",
            value=name,
            accepted="an id of the catalog, or a name that means one device",
            candidates=[device.id for device in family] or self._nearest(name),
        )

    def find(self, name: str) -> Device | None:
        """Return the one device that a person means by ``name``, as :meth:`resolve` does; None where there is not one.

        Nothing is looked for that might be meant instead, which takes most of the time of a refusal.
        """
        candidates = self._named(name, None, None)
        return candidates[0] if len(candidates) == 1 else None

    def _named(
        self, name: str, total_memory_mib: float | None, pci_device_id: str | None
    ) -> Sequence[Device]:
        """Return the devices of a name that nothing else tells apart."""
        compact = re.sub(r"[\s_\-]+", "", name).lower()
        by_hand = total_memory_mib is None and pci_device_id is None
        exact = self.by_id.get(name) or (self._hyphenated.get(compact) if by_hand else None)
        if exact is not None:
            return (exact,)
        candidates = self.by_name.get(normalise(name), ())
        if by_hand:
            return _without_laptops(candidates)
        if len(candidates) > 1:
            return _by_pci(_by_memory(candidates, total_memory_mib), pci_device_id)
        return candidates

    def _family(self, name: str) -> tuple[Device, ...]:
        """Return the devices whose id holds every word of ``name`` as a whole word."""
        wanted = set(words(name))
        return tuple(device for device in self.devices if wanted and wanted <= set(device.id.split("-")))

    def _nearest(self, name: str) -> tuple[str, ...]:
        close = nearest(normalise(name), self.by_name) if name else ()
        return tuple(dict.fromkeys(self.by_name[key][0].id for key in close))


def _without_laptops(candidates: Sequence[Device]) -> tuple[Device, ...]:
    return tuple(device for device in candidates if device.segment != "laptop") or tuple(candidates)


def _by_memory(candidates: Sequence[Device], total_memory_mib: float | None) -> tuple[Device, ...]:
    if total_memory_mib is None:
        return tuple(candidates)
    total_gib = total_memory_mib / 1024

    def distance(device: Device) -> float:
        return abs(device.memory.size_gib - total_gib) / device.memory.size_gib

    least = min(distance(device) for device in candidates)
    if least > REPORTED_MEMORY_TOLERANCE:
        return tuple(candidates)
    return tuple(device for device in candidates if distance(device) <= least + 1e-9)


def _by_pci(candidates: Sequence[Device], pci_device_id: str | None) -> tuple[Device, ...]:
    if pci_device_id is None:
        return tuple(candidates)
    digits = pci_device_id.lower().removeprefix("0x")
    # NVML joins the device id and the vendor id (10DE) to one number of eight digits.
    wanted = digits[:4].upper() if len(digits) == 8 else digits.upper().zfill(4)
    matching = tuple(device for device in candidates if wanted in device.identifiers.pci_device_ids)
    return matching or tuple(candidates)


def _ambiguous(name: str, candidates: Sequence[Device]) -> InputError:
    ids = [device.id for device in candidates]
    return InputError(
        f"the name means {len(ids)} devices", value=name, accepted=f"one of {', '.join(ids)}", candidates=ids
    )


def resolve(
    name: str,
    devices: Iterable[Device] | NameIndex,
    total_memory_mib: float | None = None,
    pci_device_id: str | None = None,
) -> Device:
    """Return the one device of ``devices`` that ``name`` means, see :meth:`NameIndex.resolve`.

    Pass a :class:`NameIndex` where many names are resolved.

    Raises:
        InputError: no device or more than one has this name; the candidates are listed.
    """
    index = devices if isinstance(devices, NameIndex) else NameIndex(devices)
    return index.resolve(name, total_memory_mib, pci_device_id)
