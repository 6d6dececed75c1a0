"""Runs the suite on one device: starts the measuring process, watches it and the sensors, keeps what it said.

A test that hangs ends its process and the next test gets a new one; after a few of those the rest is given up. An
interrupt, or a stop from another thread, ends the process too; what was measured until then is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from advisor.calibrate.listener import Listener
from advisor.calibrate.nvml import Before, Nvml, NvmlDevice, Sampler, sensors
from advisor.calibrate.planning import PlannedTest
from advisor.calibrate.process import START_LIMIT_S, Ended, WorkerProcess
from advisor.calibrate.stop import Stop, Stopped
from advisor.profile import Sensors, SuiteResult, TransferResult

LOST_PROCESSES = 3
"""After so many processes that hung or died the rest of the suite is given up."""

TEST_LIMIT_S = 60.0
"""A test that says nothing for this long beside its budgets hangs; loading kernels for a new card takes a while."""

SETTLING_S = 0.3
"""How long a process that has just warmed up stays quiet, so that its own memory can be read."""


@dataclass
class Measured:
    """What the suite has measured so far."""

    results: list[SuiteResult] = field(default_factory=list)
    transfers: list[TransferResult] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    context_mib: float | None = None
    sensors: Sensors = field(default_factory=Sensors)
    link: Mapping[str, int] = field(default_factory=dict)
    """Generation and lanes of PCIe under load, as :class:`MeasuredDevice` names them; an idle link is slower."""
    interrupted: bool = False
    given_up: bool = False

    @property
    def complete(self) -> bool:
        """Whether every test had its turn."""
        return not (self.interrupted or self.given_up)


class SuiteRun:
    """One run of the suite on a device.

    Args:
        device: as torch calls it.
        tests: to run, in order.
        budget_s: what the repeats of one test may take.
        nvml: sensors, None where there are none.
        sensed: the device as the sensors know it, None where they do not.
        listener: told how far it is.
        stop: ends it from another thread.
    """

    def __init__(
        self,
        device: str,
        tests: Sequence[PlannedTest],
        budget_s: float,
        nvml: Nvml | None,
        sensed: NvmlDevice | None,
        listener: Listener,
        stop: Stop | None = None,
    ) -> None:
        self._device = device
        self._tests = tests
        self._budget_s = budget_s
        self._nvml = nvml
        self._sensed = sensed
        self._listener = listener
        self._stop = stop or Stop()
        self._kept = Measured()
        self._place = 0

    def run(self) -> Measured:
        """Return what was measured; an interrupt or a stop is noted, not raised."""
        kept = self._kept
        with Sampler(self._nvml, self._sensed, hear=self._listener.sampled) as sampler:
            before = sampler.before()
            self._warn_of_others(before)
            try:
                self._until_done(sampler)
            except (KeyboardInterrupt, Stopped):
                kept.interrupted = True
                kept.warnings.append(f"interrupted after {len(kept.results)} of {len(self._tests)} tests")
            finally:
                self._listener.ended()
            if self._sensed is not None:
                kept.sensors = sensors(sampler, before)
                kept.link = _link(sampler)
            if sampler.lost is not None:
                kept.warnings.append(f"the sensors stopped: {sampler.lost}")
        return kept

    def _warn_of_others(self, before: Before) -> None:
        if not before.other_processes and (before.busy or 0.0) <= BUSY:
            return
        busy = "" if before.busy is None else f", busy {before.busy:.0%} of the time before the run"
        warning = f"the GPU was not idle: {before.other_processes or 0} other processes on it{busy}"
        self._kept.warnings.append(warning)
        self._listener.say(warning)

    def _until_done(self, sampler: Sampler) -> None:
        lost = 0
        while self._place < len(self._tests):
            used_before = self._used_mib()
            request = {
                "job": "suite",
                "device": self._device,
                "budget_s": self._budget_s,
                "tests": [test.request() for test in self._tests[self._place :]],
                "settle_s": SETTLING_S if self._nvml is not None else 0.0,
            }
            try:
                with WorkerProcess(request) as worker, self._stop.over(worker):
                    self._listen(worker, sampler, used_before)
                return
            except Ended as end:
                if self._stop.asked:
                    raise Stopped from None
                lost += 1
                self._note(f"{self._now()}: {end.reason}")
                self._place += 1
                if lost == LOST_PROCESSES:
                    self._kept.given_up = True
                    self._note(f"given up after {lost} processes that hung or died")
                    return

    def _now(self) -> str:
        return self._tests[self._place].name if self._place < len(self._tests) else "copies"

    def _listen(self, worker: WorkerProcess, sampler: Sampler, used_before: float | None) -> None:
        """Take the events of one process until it is done.

        Raises:
            Ended: it hung, died, or was stopped.
        """
        limit_s = START_LIMIT_S
        while True:
            event = worker.event(limit_s)
            limit_s = TEST_LIMIT_S + 3 * self._budget_s
            match event["event"]:
                case "done":
                    return
                case "missing":
                    raise Ended(f"torch cannot be imported: {event['reason']}", hung=False)
                case "ready":
                    self._read_context(event["reserved_mib"], used_before)
                case "begin" if event["test"] != "transfers":
                    self._listener.begun(self._place + 1, len(self._tests), self._tests[self._place].said())
                case "result":
                    self._take(event, sampler)
                case "transfers":
                    self._kept.transfers = [TransferResult.model_validate(each) for each in event["results"]]

    def _used_mib(self) -> float | None:
        if self._nvml is None or self._sensed is None:
            return None
        return self._nvml.memory_used_mib(self._sensed)

    def _read_context(self, reserved_mib: float, used_before: float | None) -> None:
        """Read what the process took of the device beside what torch's allocator holds."""
        used = self._used_mib()
        if used is not None and used_before is not None and self._kept.context_mib is None:
            self._kept.context_mib = max(used - used_before - reserved_mib, 0.0)

    def _take(self, event: Mapping[str, Any], sampler: Sampler) -> None:
        self._place += 1
        if "failed" in event:
            self._note(f"{event['failed']}: {event['reason']}")
            if event["lost"]:
                # The counter of the caller has the next test in a process of its own.
                self._place -= 1
                raise Ended("the device cannot be used any more by this process", hung=False)
            return
        seen = sampler.window(event["from"], event["to"])
        result = SuiteResult.model_validate(event["result"])
        result = result.model_copy(update={"power_w": seen.power_w, "clock_mhz": seen.clock_mhz})
        self._kept.results.append(result)
        self._listener.measured(result)
        if result.note is not None:
            self._listener.say(f"{result.test}: {result.note}; measured with {result.batch}")

    def _note(self, text: str) -> None:
        self._kept.warnings.append(text[:500])
        self._listener.say(text)


def _link(sampler: Sampler) -> dict[str, int]:
    seen = sampler.under_load()
    both = {"pcie_generation": seen.pcie_generations, "pcie_lanes": seen.pcie_lanes}
    return {name: ends[1] for name, ends in both.items() if ends is not None}


BUSY = 0.05
"""Share of time in which others' kernels ran from which a device is called busy."""
