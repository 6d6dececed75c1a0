"""Published runs near to a question, each beside what this model predicts for exactly that run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from advisor.answers import memory_document
from advisor.candidates import Candidate, candidates
from advisor.describe.shipped_networks import shipped_networks
from advisor.describe.subject import NetworkSubject, Subject, TransformerSubject
from advisor.documents import EvidenceDocument
from advisor.economics import NO_PRICES, NO_TERMS
from advisor.errors import InputError
from advisor.evidence import (
    Comparison,
    Measurement,
    NetworkMeasurement,
    comparable_gpus,
    compared,
    load_measurements,
    load_network_measurements,
    nearest,
    nearest_networks,
    related_gpus,
)
from advisor.execution import Constants
from advisor.hardware import Device
from advisor.models import named_subject
from advisor.problem import Problem, precision_of, problem_of, teams
from advisor.workload import Workload

SHOWN = 3
"""Published runs shown beside an estimate."""

_Run = TypeVar("_Run", Measurement, NetworkMeasurement)


@dataclass(frozen=True, eq=False)
class PublishedRuns:
    """The shipped measurements, read as a question needs them."""

    root: Path
    devices: Mapping[str, Device]
    constants: Constants
    _predicted: dict[tuple[Measurement | NetworkMeasurement, str], float | None] = field(default_factory=dict)
    """What is predicted for a run; no question changes it, so each is worked out once."""

    def near(self, problem: Problem, device: Device, count: int) -> tuple[EvidenceDocument, ...]:
        """Return the runs nearest to a question; none for models of which no run is shipped."""
        subject = problem.subject
        if isinstance(subject, TransformerSubject):
            return tuple(_document(each) for each in self._transformers(problem, subject, device, count))
        if isinstance(subject, NetworkSubject):
            return tuple(_document(each) for each in self._networks(problem, subject, device, count))
        return ()

    def _transformers(
        self, problem: Problem, subject: TransformerSubject, device: Device, count: int
    ) -> Iterable[Comparison[Measurement]]:
        near = nearest(
            load_measurements(self.root, related_gpus(device, self.devices.values())),
            transformer=subject.transformer,
            gpu=device,
            devices=self.devices,
            count=count,
            method=problem.workload.method,
            training=problem.training,
            sequence_length=problem.sequence_length,
            limit=SHOWN,
        )
        return compared(near, self._once(self._tokens_per_s), self._once(self._memory_of_transformer))

    def _networks(
        self, problem: Problem, subject: NetworkSubject, device: Device, count: int
    ) -> Iterable[Comparison[NetworkMeasurement]]:
        families = {name: each.family for name, each in shipped_networks(self.root).items()}
        relatives = frozenset(name for name, family in families.items() if family == subject.family)
        measurements = (
            *load_network_measurements(
                self.root, comparable_gpus(device, self.devices.values()), frozenset({subject.name})
            ),
            *load_network_measurements(self.root, frozenset({device.id}), relatives - {subject.name}),
        )
        micro = problem.workload.batch.micro
        near = nearest_networks(
            measurements,
            model=subject.name,
            family=subject.family,
            families=families,
            gpu=device,
            devices=self.devices,
            count=count,
            training=problem.training,
            precision=precision_of(problem, device),
            micro_batch=None if micro == "auto" else micro,
            limit=SHOWN,
        )
        return compared(near, self._once(self._units_per_s), self._once(self._memory_of_network))

    def _once(self, predict: Callable[[_Run], float | None]) -> Callable[[_Run], float | None]:
        """Return a function that predicts a run the first time and remembers it after that."""

        def remembered(run: _Run) -> float | None:
            key = (run, predict.__name__)
            if key not in self._predicted:
                self._predicted[key] = predict(run)
            return self._predicted[key]

        return remembered

    def _run(self, workload: Workload, subject: Subject, gpu: str, count: int) -> Candidate | None:
        """Return our prediction of a published run, None where it cannot be run as described."""
        try:
            problem = problem_of(workload, subject)
        except InputError:
            return None
        for team in teams(problem, [self.devices[gpu]], self.constants):
            try:
                choices = team.search.best(count)
            except LookupError:
                continue
            return candidates(problem, team, count, choices, {gpu: NO_PRICES}, NO_TERMS, self.constants)[0]
        return None

    def _transformer_run(self, run: Measurement) -> Candidate | None:
        subject = TransformerSubject(run.transformer, run.model, "measured")
        return self._run(run.workload, subject, run.gpu, run.count)

    def _network_run(self, run: NetworkMeasurement) -> Candidate | None:
        if run.input or run.parallelism != "data":
            return None
        subject = named_subject(run.model, self.root)
        return self._run(Workload.model_validate(run.document), subject, run.gpu, run.count)

    def _tokens_per_s(self, run: Measurement) -> float | None:
        found = self._transformer_run(run)
        return None if found is None else found.samples_per_s * run.sequence_length

    def _units_per_s(self, run: NetworkMeasurement) -> float | None:
        found = self._network_run(run)
        return None if found is None or not found.fits else found.samples_per_s * run.units_per_sample

    def _memory_of_transformer(self, run: Measurement) -> float | None:
        return self._memory(self._transformer_run(run), run.memory_kind)

    def _memory_of_network(self, run: NetworkMeasurement) -> float | None:
        return self._memory(self._network_run(run), run.memory_kind)

    def _memory(self, found: Candidate | None, kind: str | None) -> float | None:
        if found is None:
            return None
        memory = memory_document(found, self.constants)
        return memory.allocated_gib if kind == "allocated" else memory.required_gib.value


def _document(
    comparison: Comparison[Measurement] | Comparison[NetworkMeasurement],
) -> EvidenceDocument:
    run = comparison.near.measurement
    return EvidenceDocument(
        source=f"{run.source} {run.row}",
        gpu=run.gpu,
        count=run.count,
        model=run.model,
        measured=comparison.measured,
        predicted=comparison.predicted,
        unit=comparison.unit,
        similarity=comparison.near.similarity,
        date=run.date,
    )
