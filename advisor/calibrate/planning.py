"""Which tests of the suite are run on a device, and how long each may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from advisor.profile import MeasuredDevice
from advisor.suite import MemoryFormat, Suite, SuiteTest
from advisor.workload import Precision

QUICK_S = 13.0
FULL_S = 150.0
"""What all repeats together may take; starting, building and copying come on top."""

START_S = 5.0
"""What starting torch and its drivers usually takes, for the announcement."""

LEAST_CAPABILITY: Mapping[Precision, tuple[int, int]] = {"bf16": (8, 0), "tf32": (8, 0), "fp16": (5, 3)}
"""Compute capability from which an NVIDIA GPU computes in a format (CUDA programming guide)."""


@dataclass(frozen=True, slots=True)
class PlannedTest:
    """One run of one test."""

    name: str
    test: SuiteTest
    precision: Precision
    memory_format: MemoryFormat
    batch: int

    def said(self) -> str:
        """Return what it is in a few words, for whoever waits."""
        return f"{self.test.about}, {self.precision}, {self.memory_format}"

    def request(self) -> dict[str, Any]:
        """Return what the measuring process is told."""
        return {
            "name": self.name, "precision": self.precision, "memory_format": self.memory_format, "batch": self.batch,
            "definition": self.test.model_dump(mode="json", by_alias=True),
        }  # fmt: skip


def planned(suite: Suite, device: MeasuredDevice, *, quick: bool) -> tuple[PlannedTest, ...]:
    """Return the runs for a device, in the order of the suite; a quick one has one memory format of each test."""
    found = []
    for name, test in suite.tests.items():
        if device.kind not in test.batch or (quick and device.kind not in test.quick):
            continue
        formats = test.memory_formats[:1] if quick else test.memory_formats
        for precision in _precisions(test, device, quick=quick):
            for memory_format in formats:
                found.append(PlannedTest(name, test, precision, memory_format, test.batch[device.kind]))
    return tuple(found)


def _precisions(test: SuiteTest, device: MeasuredDevice, *, quick: bool) -> Iterator[Precision]:
    """Yield the precisions of a test that a device computes in; a quick suite measures one 16-bit format."""
    half_done = False
    for precision in test.precisions[device.kind]:
        half = precision in ("fp16", "bf16")
        if not _computes(device, precision) or (quick and half and half_done):
            continue
        half_done = half_done or half
        yield precision


def _computes(device: MeasuredDevice, precision: Precision) -> bool:
    if device.backend == "mps":
        return precision in ("fp32", "fp16")
    if device.backend != "cuda" or device.compute_capability is None or precision not in LEAST_CAPABILITY:
        return True
    major, minor = map(int, device.compute_capability.split("."))
    return (major, minor) >= LEAST_CAPABILITY[precision]


def budget_s(runs: int, *, quick: bool) -> float:
    """Return how long the repeats of one run may take."""
    return (QUICK_S if quick else FULL_S) / max(runs, 1)
