"""All shipped evidence beside what the model says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from advisor.answers import time_spread
from advisor.candidates import Candidate, candidates
from advisor.economics import NO_PRICES, NO_TERMS
from advisor.estimation.devices import constants_of
from advisor.estimation.memory import memory_interval
from advisor.evidence import Measurement
from advisor.execution import Constants
from advisor.fit.baselines import baselines
from advisor.fit.bounds import load_bounds
from advisor.fit.comparison import Comparison
from advisor.fit.doubts import doubt_of, load_doubts
from advisor.fit.flat import flatten
from advisor.fit.folds import load_folds, unseen_seconds
from advisor.fit.learner_runs import learner_comparisons
from advisor.fit.runs import LeftOut, Run, published_runs
from advisor.hardware import Device
from advisor.quantity import Quantity as Estimated
from advisor.units import GIB

_ONLY_OF_THE_GPU = frozenset(
    {
        "gpu", "micro_batch", "global_batch", "accumulation",
        "throughput", "tokens_per_s", "memory_gib", "memory_kind", "fits", "cpu", "cpu_throughput",
        "runs", "date", "row", "note", "notes",
    }
)  # fmt: skip
"""Fields of a measurement in which runs of one setting may differ: suites choose a batch for each GPU."""


@dataclass(frozen=True)
class Evidence:
    """Published figures with their predictions, and the runs that are not predicted."""

    comparisons: tuple[Comparison, ...]
    left_out: tuple[LeftOut, ...]


def compared(root: Path, devices: Mapping[str, Device], constants: Constants) -> Evidence:
    """Return every published figure beside its prediction.

    Args:
        root: the shipped catalog.
        devices: the catalog by id.
        constants: the shipped ones.
    """
    runs, left_out = published_runs(root, devices, constants)
    flat = flatten(runs, constants)
    simple = baselines(runs, flat)
    held_out = unseen_seconds(runs, flat, load_folds(root), constants, load_bounds(root), "neither")
    doubts = load_doubts(root)
    found: list[Comparison] = []
    for number, run in enumerate(runs):
        known = {name: float(values[number]) for name, values in simple.items()}
        doubt = doubt_of(run, doubts)
        ranks = doubt is None or doubt.ranks
        found += _of(run, known, float(held_out[number]), constants, ranks=ranks)
    found += learner_comparisons(root, devices, constants)
    return Evidence(tuple(found), left_out)


def _of(
    run: Run, simple: Mapping[str, float], held_out_s: float, constants: Constants, *, ranks: bool
) -> Iterator[Comparison]:
    """Yield what a run published: its throughput, its memory, and that it ran.

    Args:
        run: the run.
        simple: what simpler methods say of it.
        held_out_s: seconds of a step by constants that have seen neither GPU nor family, NaN where there are none.
        constants: the shipped ones.
        ranks: whether GPUs are ranked by this source.
    """
    measurement = run.measurement
    choices = run.search.best(measurement.count)
    (candidate,) = candidates(
        run.problem,
        run.team,
        measurement.count,
        choices,
        {run.team.devices[0].id: NO_PRICES},
        NO_TERMS,
        constants,
    )

    def row(**fields: object) -> Comparison:
        return Comparison(
            subject="transformer" if isinstance(measurement, Measurement) else "network",
            gpu=measurement.gpu, count=measurement.count, model=measurement.model, family=run.family,
            source=measurement.source, row=measurement.row, date=measurement.date,
            method=measurement.method if isinstance(measurement, Measurement) else
            "full" if run.problem.training else "inference",
            precision=measurement.precision, setting=_setting(run) if ranks else None,
            configuration=_configuration(run), **fields,  # type: ignore[arg-type]
        )  # fmt: skip

    if measurement.published_speed is not None:
        speed = run.units_per_sample * candidate.samples / candidate.step_s
        spread = Estimated.spread(speed, time_spread(run.problem, run.device, measurement.count, constants))
        scale = run.units_per_sample * candidate.samples
        unseen = _unseen(run, scale / held_out_s, constants) if np.isfinite(held_out_s) else {}
        yield row(
            quantity="training" if run.problem.training else "inference", unit=measurement.speed_unit,
            measured=measurement.published_speed, predicted=spread.value, low=spread.low, high=spread.high,
            baselines={
                "peak": scale / simple["peak"], "roofline": scale / simple["roofline"],
                "scaled-roofline": scale / simple["roofline"],
            }, **unseen,
        )  # fmt: skip
    if measurement.memory_gib is not None:
        kind = str(measurement.memory_kind)
        memory = _memory(run, candidate, kind, constants)
        yield row(
            quantity="memory", unit="GiB", memory_kind=kind, measured=measurement.memory_gib,
            predicted=memory.value, low=memory.low, high=memory.high,
            baselines={"parameters": simple["parameters"]} if _trains_everything(run) else {},
        )  # fmt: skip
    ran = float(measurement.fits) if isinstance(measurement, Measurement) else 1.0
    fits = float(candidate.fits)
    yield row(quantity="feasibility", unit="", measured=ran, predicted=fits, low=fits, high=fits)


def _trains_everything(run: Run) -> bool:
    return run.problem.training and run.problem.workload.method == "full"


def _unseen(run: Run, speed: float, constants: Constants) -> dict[str, float]:
    """Return the fields of a prediction by constants that have seen neither GPU nor family."""
    spread = time_spread(run.problem, run.device, run.measurement.count, constants, "neither")
    found = Estimated.spread(speed, spread)
    return {"unseen": found.value, "unseen_low": found.low, "unseen_high": found.high}


def _memory(run: Run, candidate: Candidate, kind: str, constants: Constants) -> Estimated:
    """Return the memory of a kind in GiB; what a source does not explain is that of the whole device."""
    parts = run.search.memory(run.layout)
    where = (0, run.checkpointing)
    context = 0.0
    total = float(parts.allocated[where])
    if kind != "allocated":
        total += float(parts.overhead[where])
    if kind not in ("allocated", "reserved"):
        context = constants_of(candidate.device, constants).context_mib * 2**20
        total += context
    fixed = min(parts.parameters + float(parts.gradients[where]) + parts.optimizer + context, total)
    low, high = memory_interval(fixed, total - fixed, constants.memory, traced=parts.traced)
    return Estimated(value=total / GIB, low=low / GIB, high=high / GIB)


def _configuration(run: Run) -> str:
    """Return what two runs must share to be the same question."""
    measurement = run.measurement
    shared = [
        measurement.model,
        measurement.gpu,
        measurement.count,
        measurement.precision,
        measurement.micro_batch,
    ]
    if isinstance(measurement, Measurement):
        return repr(
            [
                *shared,
                measurement.sequence_length,
                measurement.method,
                measurement.checkpointing,
                measurement.compile,
                measurement.attention,
                measurement.trainer,
            ]
        )
    return repr(
        [*shared, measurement.task, measurement.optimizer_step, measurement.compile, measurement.memory_format,
         measurement.master_weights, measurement.trainer]
    )  # fmt: skip


def _setting(run: Run) -> str:
    """Return everything that a run fixes beside the GPU."""
    measurement = run.measurement
    return repr([getattr(measurement, name) for name in _fields(run) if name not in _ONLY_OF_THE_GPU])


def _fields(run: Run) -> tuple[str, ...]:
    measurement = run.measurement
    if isinstance(measurement, Measurement):
        return tuple(Measurement.__annotations__)
    return tuple(type(measurement).model_fields)
