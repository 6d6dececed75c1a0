"""The same workload on a processor, and how much faster GPUs are than it."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.answers import time_spread
from advisor.candidates import Candidate
from advisor.documents import CpuDocument
from advisor.estimation.interval import combined
from advisor.execution import Constants
from advisor.hardware import Device
from advisor.problem import Problem
from advisor.quantity import Quantity


@dataclass(frozen=True, eq=False, slots=True)
class Baseline:
    """What a processor does of a workload; ``candidate`` is None where it cannot run there."""

    device: Device
    local: bool
    problem: Problem
    candidate: Candidate | None
    reason: str | None = None

    def document(self, constants: Constants) -> CpuDocument:
        """Return what is said about the processor."""
        found = self.candidate
        step = samples = total = None
        if found is not None:
            step = Quantity.spread(
                found.step_s, time_spread(self.problem, found.device, found.count, constants)
            )
            samples = step.inverse(found.samples * self.problem.subject.samples_in_one)
            steps = self.problem.steps_of(found.samples)
            total = None if steps is None else step.scaled(steps / 3600)
        return CpuDocument(
            cpu=self.device.id,
            name=self.device.name,
            local=self.local,
            precision=None if found is None else found.team.precisions[found.index],
            step_time_s=step,
            samples_per_s=samples,
            total_time_h=total,
            reason=self.reason,
        )

    def speed_up(self, problem: Problem, candidate: Candidate, constants: Constants) -> Quantity | None:
        """Return how many times more samples a second a candidate processes; both errors count."""
        if self.candidate is None or not candidate.fits:
            return None
        spread = combined(
            time_spread(self.problem, self.candidate.device, self.candidate.count, constants),
            time_spread(problem, candidate.device, candidate.count, constants),
        )
        return Quantity.spread(candidate.samples_per_s / self.candidate.samples_per_s, spread)
