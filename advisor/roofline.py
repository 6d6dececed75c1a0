"""Where the operators of a workload lie under the roofline of a device.

S. Williams, A. Waterman, D. Patterson: "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from advisor.candidates import Candidate
from advisor.documents import OperatorPointDocument, RooflineDocument
from advisor.estimation.time import row_times
from advisor.execution import Constants
from advisor.operators import Kind, OperatorTable, Phase
from advisor.problem import Problem

_PARTS = {Phase.FORWARD: "forward", Phase.BACKWARD: "backward", Phase.OPTIMIZER: "optimizer"}
_GENERATING = ("prompt", "token")


def roofline_document(
    problem: Problem, candidate: Candidate, constants: Constants
) -> RooflineDocument | None:
    """Return the roofline of a candidate's device with the operators of its plan; None where nothing computes.

    Args:
        problem: what is run.
        candidate: a plan that fits.
        constants: of the cost model.
    """
    group = candidate.team.search.group
    points: list[OperatorPointDocument] = []
    for place, (description, times) in enumerate(zip(candidate.passes(), candidate.runs(), strict=True)):
        named = _GENERATING[place] if problem.generates else None
        points += _points(description.table, candidate, times, named, constants)
    if not points:
        return None
    peak = float(group.rates.peak_flops[candidate.index])
    bandwidth_gb_s = candidate.device.memory.bandwidth_gb_s
    return RooflineDocument(
        precision=candidate.team.precisions[candidate.index],
        peak_tflops=peak / 1e12,
        bandwidth_gb_s=bandwidth_gb_s,
        ridge_flop_per_byte=peak / (bandwidth_gb_s * 1e9),
        operators=tuple(sorted(points, key=lambda point: -point.time_s)),
    )


def _points(
    table: OperatorTable, candidate: Candidate, times: float, named: str | None, constants: Constants
) -> Iterator[OperatorPointDocument]:
    group = candidate.team.search.group
    micro = candidate.samples_in_a_pass
    rates = group.rates.at(slice(candidate.index, candidate.index + 1))
    seconds = row_times(table, rates, np.array([micro]), constants.kernel, group.software)[:, 0, 0]
    flops = table.repeat * (table.flops_fixed + table.flops_per_sample * micro)
    moved = table.repeat * (table.bytes_fixed + table.bytes_per_sample * micro)
    stages = candidate.layout.pipeline
    for phase in Phase:
        runs = (1.0 if phase == Phase.OPTIMIZER else times) / stages
        for kind in np.unique(table.kind[table.phase == phase]):
            chosen = (table.kind == kind) & (table.phase == phase)
            work, traffic, took = (float(values[chosen].sum()) for values in (flops, moved, seconds))
            if work > 0 and traffic > 0 and took > 0:
                yield OperatorPointDocument(
                    kind=Kind(kind).label,
                    part=named or _PARTS[phase],
                    flops=work * runs,
                    moved_bytes=traffic * runs,
                    time_s=took * runs,
                    intensity_flop_per_byte=work / traffic,
                    tflops=work / took / 1e12,
                )
