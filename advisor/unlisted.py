"""An entry for a card or processor that the catalog does not have, from what was measured of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from advisor.hardware import (
    MARKS,
    Board,
    Compute,
    Device,
    Identifiers,
    Links,
    Memory,
    NumberFormat,
    TensorCores,
    TensorRate,
)
from advisor.profile import MeasuredDevice, Profile
from advisor.workload import Precision

PLAUSIBLE_TFLOPS = 1e-3, 1e5
PLAUSIBLE_GB_S = 0.1, 1e5
"""What a rate can be that was measured; anything else is a damaged profile."""

WATTS_PER_CORE = 10.0
"""Assumed draw of a processor's core under load, where nothing says it: servers and desktops lie at 5 to 15."""

_FORMATS: Mapping[Precision, NumberFormat] = {
    "tf32": NumberFormat.TF32, "fp16": NumberFormat.FP16, "bf16": NumberFormat.BF16,
}  # fmt: skip


def unlisted_id(profile: Profile) -> str:
    """Return an id for a device that the catalog does not have: its name, and what tells its variants apart."""
    device = profile.device
    name = MARKS.sub(" ", device.name.lower())
    slug = re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "device"
    if device.kind == "cpu":
        return f"{slug}-{device.units or 1}-cores"
    return f"{slug}-{round(device.memory_mib / 1024)}gb"


def unlisted_device(
    profile: Profile, rates_tflops: Mapping[Precision, float], bandwidth_gb_s: float, known: Iterable[Device]
) -> Device | None:
    """Return the device of a profile whose ``device.gpu`` is null.

    None where maker, age or fp32 rate are not known, or what was measured is no rate of any device.

    Args:
        profile: of the device.
        rates_tflops: measured rate of large products by precision.
        bandwidth_gb_s: measured rate of large copies, both directions together.
        known: the catalog, for the architecture of a compute capability.
    """
    found = profile.device
    architecture = _architecture(found, known)
    rates_tflops = {
        name: rate
        for name, rate in rates_tflops.items()
        if PLAUSIBLE_TFLOPS[0] <= rate <= PLAUSIBLE_TFLOPS[1]
    }
    plausible = PLAUSIBLE_GB_S[0] <= bandwidth_gb_s <= PLAUSIBLE_GB_S[1]
    if found.vendor is None or "fp32" not in rates_tflops or architecture is None or not plausible:
        return None
    source = f"a calibration of {profile.date}"
    doubts = ["not in the catalog: its rates are measured, not those of a datasheet, and it has no price"]
    watts = found.power_limit_w
    if watts is None:
        watts = WATTS_PER_CORE * (found.units or 1) if found.kind == "cpu" else 150.0
        doubts.append(f"its power is not known; {watts:g} W assumed")
    tensor = {name: rate for name, rate in rates_tflops.items() if name in _FORMATS and found.kind == "gpu"}
    return Device(
        id=unlisted_id(profile),
        name=found.name if found.kind == "gpu" else f"{found.name} ({found.units or 1} cores)",
        kind=found.kind,
        vendor=found.vendor,
        architecture=architecture,
        segment="laptop" if found.laptop else "workstation",
        compute_capability=found.compute_capability,
        memory=Memory(
            size_gib=found.memory_mib / 1024,
            type="unknown",
            bandwidth_gb_s=bandwidth_gb_s,
            reported_mib=round(found.memory_mib),
        ),
        compute=Compute(
            multiprocessors=found.units if found.kind == "gpu" else None,
            cores=found.units if found.kind == "cpu" else None,
            l2_mib=found.cache_mib,
            fp32_tflops=rates_tflops["fp32"],
        ),
        tensor=TensorCores(
            generation="unknown",
            rates=tuple(
                TensorRate(format=_FORMATS[name], accumulate="fp32", tflops=rate)
                for name, rate in tensor.items()
            ),
        )
        if tensor
        else None,
        board=Board(tdp_w=watts),
        links=Links(pcie_generation=found.pcie_generation, pcie_lanes=found.pcie_lanes),
        identifiers=Identifiers(aliases=(found.name,)),
        sources={"*": source},
        doubts=tuple(doubts),
        origin=source,
    )


def _architecture(found: MeasuredDevice, known: Iterable[Device]) -> str | None:
    """Return the architecture of a compute capability: that of the nearest earlier one, None where there is none.

    Other vendors than NVIDIA have no such number; constants of their vendor count.
    """
    if found.compute_capability is None:
        return None if (found.kind, found.vendor) == ("gpu", "nvidia") else "unknown"
    own = tuple(map(int, found.compute_capability.split(".")))
    earlier = [
        (device.capability, device.architecture)
        for device in known
        if device.capability is not None and device.capability <= own
    ]
    return max(earlier)[1] if earlier else None
