"""Runs the suite on one device: starts the measuring process, watches it and the sensors, keeps what it said.

A test that hangs ends its process and the next test gets a new one; after a few of those the rest is given up. An
interrupt ends the process too; what was measured until then is kept.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from advisor.calibrate.found import FoundDevice
from advisor.calibrate.host import measured_host
from advisor.calibrate.nvml import Nvml, Sampler, sensors

from advisor.calibrate.planning import PlannedTest
from advisor.profile import MeasuredSoftware, Profile, Sensors, TestResult, TransferResult

LOST_PROCESSES = 3
"""After so many processes that hung or died the rest of the suite is given up."""

TEST_LIMIT_S = 60.0
"""A test that says nothing for this long beside its budget hangs; compiling kernels for a new card takes a while."""


class Progress(Protocol):
    """Who is told how far the suite is."""

    def begun(self, place: int, of: int, test: PlannedTest) -> None:
        """A test begins."""

    def ended(self, place: int, of: int, note: str | None) -> None:
        """It ended; ``note`` says what went wrong."""


@dataclass
class _Kept:
    """What was measured so far."""

    results: list[TestResult] = field(default_factory=list)
    transfers: list[TransferResult] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reserved_mib: float = 0.0
    context_mib: float | None = None
    interrupted: bool = False
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """The profile of a run, and whether the user ended it."""

    profile: Profile
    interrupted: bool


def run_suite(
    device: FoundDevice,
    tests: Sequence[PlannedTest],
    software: MeasuredSoftware,
    nvml: Nvml | None,
    progress: Progress,
    *,
    quick: bool,
    today: datetime.date,
) -> SuiteRun:
    """Return the profile of a device.

    Args:
        device: to measure.
        tests: to run, in order.
        software: versions, for the profile.
        nvml: sensors, None where there are none.
        progress: told of every test.
        quick: whether it is the quick suite.
        today: the date of the profile.
    """
    kept = _Kept()
    own = None if nvml is None else device.nvml
    with Sampler(nvml, own) as sampler:
        before = sampler.before()
        try:
            _run_all(device, tests, kept, sampler, progress, quick=quick)
        except KeyboardInterrupt:
            kept.interrupted = True
        seen = Sensors() if own is None else sensors(sampler, before)
    complete = not kept.interrupted and not kept.given_up
    return SuiteRun(
        Profile(
            date=today.isoformat(),
            mode="quick" if quick else "full",
            complete=complete,
            device=device.measured,
            software=software,
            host=measured_host(),
            sensors=seen,
            context_mib=kept.context_mib,
            tests=tuple(kept.results),
            transfers=tuple(kept.transfers),
            warnings=tuple(kept.warnings),
        ),
        kept.interrupted,
    )
