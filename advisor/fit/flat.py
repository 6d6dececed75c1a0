"""Many published runs as flat arrays: one call predicts the step times of all of them under any constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from advisor.estimation.devices import device_rates
from advisor.estimation.network import links
from advisor.estimation.step import StepParts, Traffic, traffic_seconds, training_step_s, training_traffic
from advisor.estimation.time import Loads, SoftwareSpeed, aged, loads, row_seconds
from advisor.execution import Constants
from advisor.fit.runs import Run
from advisor.hardware import Device
from advisor.operators import Description, Floats, Integers, OperatorTable, Phase
from advisor.plan import is_compact
from advisor.problem import Problem, software_speed
from advisor.workload import Precision


@dataclass(frozen=True, eq=False)
class FlatRuns:
    """Runs of one micro-batch each; ``rows`` arrays have an entry for each row of each run's table, others for a run.

    ``weights`` says how often a row counts in a micro-batch (0 for the optimizer's, 2 where it is recomputed).
    """

    problems: tuple[Problem, ...]
    pairs: tuple[tuple[Device, Precision], ...]
    pair: Integers
    rows: Loads
    run: Integers
    weights: Floats
    backward: Floats
    optimizer: Floats
    traffic: Traffic
    accumulation: Floats
    stages: Floats
    shards: Floats
    samples: Floats
    """Samples of one step of all GPUs."""
    half: tuple[bool, ...]
    """Whether products are in 16 bits or fewer."""
    forward_launches: Floats
    """Kernels that a micro-batch starts outside backward, recomputation included."""
    backward_launches: Floats
    optimizer_launches: Floats

    def __len__(self) -> int:
        return len(self.problems)


def flatten(runs: Sequence[Run], constants: Constants) -> FlatRuns:
    """Return runs as flat arrays, with what rows ask of devices found once.

    Args:
        runs: published runs.
        constants: whose tiles and shapes of kernels count; rates may be changed afterwards.
    """
    pairs: dict[tuple[str, Precision], int] = {}
    devices: list[tuple[Device, Precision]] = []
    asked: list[tuple[OperatorTable, Loads]] = []
    traffic: list[Traffic] = []
    samples, accumulation = np.empty(len(runs)), np.empty(len(runs))
    tables = _Tables(constants)
    for number, run in enumerate(runs):
        key = (run.device.id, run.team.precisions[0])
        if key not in pairs:
            pairs[key] = len(devices)
            devices.append((run.device, run.team.precisions[0]))
        search, layout = run.search, run.layout
        training = run.problem.training
        description = search.group.describe(layout.tensor, is_compact(layout) if training else False)
        micro = search.micro if training else search.micro / layout.data
        asked.append(tables.loads(description, search.group.rates.multiprocessors, micro))
        sizes = search.group.precisions(layout)
        traffic.append(
            training_traffic(
                description, layout, micro, gradient_bytes=sizes.gradient if training else 0.0,
                quantised_bytes=sizes.quantised,
            )
        )  # fmt: skip
        total = run.measurement.global_batch if training else search.micro[0]
        accumulation[number] = np.ceil(total / (search.micro[0] * layout.data)) if training else 1.0
        samples[number] = (
            accumulation[number] * search.micro[0] * layout.data if training else search.micro[0]
        )
    sizes_of = np.array([len(table) for table, _ in asked])
    levels = [run.checkpointing for run in runs]
    again = np.concatenate(
        [table.recomputed()[level] for (table, _), level in zip(asked, levels, strict=True)]
    )
    phase = np.concatenate([table.phase for table, _ in asked])
    rows = _joined([each for _, each in asked])
    number_of = np.repeat(np.arange(len(runs)), sizes_of)
    weights = np.where(phase == Phase.OPTIMIZER, 0.0, 1.0) + again
    backward = np.asarray(phase == Phase.BACKWARD, dtype=np.float64)
    optimizer = np.asarray(phase == Phase.OPTIMIZER, dtype=np.float64)

    def launches(share: Floats) -> Floats:
        return np.asarray(
            np.bincount(number_of, weights=rows.launches * share, minlength=len(runs)), dtype=np.float64
        )

    return FlatRuns(
        problems=tuple(run.problem for run in runs),
        pairs=tuple(devices),
        pair=np.array([pairs[run.device.id, run.team.precisions[0]] for run in runs]),
        rows=rows,
        run=number_of,
        weights=weights,
        backward=backward,
        optimizer=optimizer,
        traffic=_traffic(traffic, levels),
        accumulation=accumulation,
        stages=np.array([float(run.layout.pipeline) for run in runs]),
        shards=np.array([float(run.layout.shards) for run in runs]),
        samples=samples,
        half=tuple(run.team.precisions[0] not in ("fp32", "tf32") for run in runs),
        forward_launches=launches(weights - backward),
        backward_launches=launches(backward),
        optimizer_launches=launches(optimizer),
    )


class _Tables:
    """Finds the loads of a table once for each number of multiprocessors and micro-batch."""

    def __init__(self, constants: Constants) -> None:
        self._kernel = constants.kernel
        self._known: dict[tuple[int, float, float], Loads] = {}
        self._kept: list[Description] = []

    def loads(
        self, description: Description, multiprocessors: Floats, micro: Floats
    ) -> tuple[OperatorTable, Loads]:
        table = description.table
        key = (id(description), float(multiprocessors[0]), float(micro[0]))
        if key not in self._known:
            self._kept.append(description)
            grid = loads(table, multiprocessors, micro, self._kernel)
            self._known[key] = Loads(
                *(
                    np.broadcast_to(getattr(grid, each.name), (len(table), 1, 1))[:, 0, 0]
                    for each in fields(Loads)
                )
            )
        return table, self._known[key]


def _joined(parts: Sequence[Loads]) -> Loads:
    return Loads(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Loads)))


def _traffic(parts: Sequence[Traffic], levels: Sequence[int]) -> Traffic:
    """Return the traffic of each run at its checkpointing, as arrays with an entry a run."""

    def one(value: Floats, level: int) -> float:
        shape = np.shape(value)
        return float(np.ravel(value)[level if shape and shape[-1] > 1 else 0])

    return Traffic(
        *(
            np.array(
                [one(getattr(part, each.name), level) for part, level in zip(parts, levels, strict=True)]
            )
            for each in fields(Traffic)
        )
    )


def step_seconds(flat: FlatRuns, constants: Constants) -> Floats:
    """Return seconds of one step of every run under ``constants``, shape [runs]."""
    devices = [device for device, _ in flat.pairs]
    rates = device_rates(devices, [precision for _, precision in flat.pairs], constants)
    software = _software(flat, constants)
    rows = aged(flat.rows, _at(software, flat.run))
    seconds = row_seconds(rows, rates.at(flat.pair[flat.run]), constants.kernel)
    count = len(flat)

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(flat.run, weights=values, minlength=count), dtype=np.float64)

    launch = rates.launch_s[flat.pair]
    host_backward = flat.backward_launches * software.backward_launch * launch
    tensor, shard, reduce = traffic_seconds(flat.traffic, links(devices, constants.network).at(flat.pair))
    parts = StepParts(
        device=total(seconds * flat.weights),
        device_backward=total(seconds * flat.backward),
        device_optimizer=total(seconds * flat.optimizer),
        host=flat.forward_launches * software.forward_launch * launch + host_backward,
        host_backward=host_backward,
        host_optimizer=flat.optimizer_launches * software.optimizer_launch * launch,
        tensor_traffic=tensor,
        shard_traffic=shard,
        reduce_traffic=reduce,
        accumulation=flat.accumulation,
        stages=flat.stages,
        shards=flat.shards,
        overlap_exponent=rates.overlap_exponent[flat.pair],
    )
    return training_step_s(parts, software.overhead, constants.network)


def _software(flat: FlatRuns, constants: Constants) -> SoftwareSpeed:
    """Return the speed of each run's software, as arrays of shape [runs]."""
    speeds = [
        software_speed(problem, constants.software, half=half)
        for problem, half in zip(flat.problems, flat.half, strict=True)
    ]
    return SoftwareSpeed(
        *(np.array([getattr(speed, each.name) for speed in speeds]) for each in fields(SoftwareSpeed))
    )


def _at(software: SoftwareSpeed, index: Integers) -> SoftwareSpeed:
    return SoftwareSpeed(*(np.asarray(getattr(software, each.name))[index] for each in fields(SoftwareSpeed)))
