"""Published runs as the model would run exactly them: each with its problem, its device and its layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from advisor.describe.shipped_networks import shipped_networks
from advisor.describe.subject import Demand, Pass, Subject, TransformerSubject
from advisor.describe.variant import Variant
from advisor.errors import InputError
from advisor.evidence import Measurement, NetworkMeasurement, load_measurements, load_network_measurements
from advisor.execution import Constants, Layout
from advisor.hardware import Device
from advisor.models import named_subject
from advisor.operators import Description
from advisor.plan import Search, layouts
from advisor.problem import Problem, Team, problem_of, refusal, teams
from advisor.workload import Workload


@dataclass(frozen=True, eq=False)
class Run:
    """One published run, and the one plan that it followed."""

    measurement: Measurement | NetworkMeasurement
    family: str
    problem: Problem
    device: Device
    team: Team
    layout: Layout
    checkpointing: int
    """Index into :data:`advisor.execution.CHECKPOINTING`."""

    @property
    def search(self) -> Search:
        """The search of the device alone, with the run's micro-batch and nothing else to choose."""
        return self.team.search

    @property
    def units_per_sample(self) -> float:
        """How many of the unit of the published throughput one sample holds."""
        run = self.measurement
        return float(run.sequence_length) if isinstance(run, Measurement) else run.units_per_sample


@dataclass(frozen=True)
class LeftOut:
    """A published run that is not predicted, and why."""

    measurement: Measurement | NetworkMeasurement
    reason: str


class _Remembering:
    """A subject that describes itself once for each variant: runs of one model share descriptions."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._known: dict[tuple[Pass, Demand, Variant], Description] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject, name)

    def describe(self, stage: Pass, demand: Demand, variant: Variant) -> Description:
        """Return what the subject itself says, found once."""
        key = (stage, demand, variant)
        if key not in self._known:
            self._known[key] = self._subject.describe(stage, demand, variant)
        return self._known[key]


def published_runs(
    root: Path, devices: Mapping[str, Device], constants: Constants
) -> tuple[tuple[Run, ...], tuple[LeftOut, ...]]:
    """Return every shipped measurement that the model can be asked about, and the others with reasons.

    Args:
        root: the shipped catalog.
        devices: the catalog by id.
        constants: under which the runs are described; estimates of them may use others.
    """
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    for measurement, family, subject, document in _subjects(root):
        if isinstance(subject, str):
            left_out.append(LeftOut(measurement, subject))
            continue
        found = _run(measurement, family, subject, document, devices[measurement.gpu], constants)
        (left_out if isinstance(found, LeftOut) else runs).append(found)  # type: ignore[arg-type]
    return tuple(runs), tuple(left_out)


def _subjects(
    root: Path,
) -> Iterator[tuple[Measurement | NetworkMeasurement, str, Subject | str, Workload | None]]:
    """Yield each measurement with its family, its model (or why there is none) and its workload."""
    known: dict[Any, Any] = {}
    for run in load_measurements(root):
        key = (run.model, run.transformer)
        if key not in known:
            known[key] = _Remembering(TransformerSubject(run.transformer, run.model, "measured"))
        yield run, family_of(run), known[key], run.workload
    shipped = shipped_networks(root)

    @cache
    def network(name: str) -> Any:
        return _Remembering(named_subject(name, root))

    for each in load_network_measurements(root):
        if each.input:
            yield each, each.model, "another input than the shipped table's", None
        elif each.parallelism != "data":
            yield each, each.model, "embedding tables spread over the GPUs", None
        else:
            family = shipped[each.model].family if each.model in shipped else network(each.model).family
            yield each, family, network(each.model), Workload.model_validate(each.document)


def family_of(run: Measurement) -> str:
    """Return the family of a transformer: what its architecture beyond sizes is named after."""
    return {"llama-tied": "llama", "llama-alibi": "llama", "qwen3": "qwen", "gemma-2": "gemma"}.get(
        run.style, run.style
    )


def _run(
    measurement: Measurement | NetworkMeasurement, family: str, subject: Subject, workload: Workload | None,
    device: Device, constants: Constants,
) -> Run | LeftOut:  # fmt: skip
    assert workload is not None
    try:
        problem = problem_of(workload, subject)
    except InputError as error:
        return LeftOut(measurement, str(error))
    if reason := refusal(problem, device):
        return LeftOut(measurement, reason)
    (team,) = teams(problem, [device], constants)
    possible = list(layouts(measurement.count, problem.freedom))
    if not possible:
        return LeftOut(measurement, "the layout cannot be run")
    level = int(np.flatnonzero(team.search.allowed)[0])
    return Run(measurement, family, problem, device, team, possible[0], level)


def with_speed(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return the runs whose throughput was published."""
    return tuple(run for run in runs if run.measurement.published_speed)
