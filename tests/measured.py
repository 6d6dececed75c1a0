"""Compares every shipped measurement with the prediction for exactly that run.

Run it as ``python -m tests.measured``; import :func:`predict` to compare under other constants.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from advisor.answers import breakdown
from advisor.candidates import candidates
from advisor.describe.subject import TransformerSubject
from advisor.economics import NO_PRICES, Terms
from advisor.evidence import Measurement, load_measurements
from advisor.hardware import Device
from advisor.problem import Problem, Team, problem_of, refusal, teams
from advisor.service import Advisor, open_advisor
from advisor.units import GIB

MULTI_NODE = 8

_NO_MONEY = Terms(electricity_usd_per_kwh=0.0, pue=1.0, hours_per_week=168.0, horizon_years=1.0)


@dataclass(frozen=True)
class Prediction:
    """What the model says about one run; ``memory_gib`` is of the kind that was measured."""

    measurement: Measurement
    step_time_s: float
    tokens_per_s: float
    allocated_gib: float
    reserved_gib: float
    device_gib: float
    fits: bool
    problem: Problem
    team: Team

    @property
    def memory_gib(self) -> float | None:
        kinds = {"allocated": self.allocated_gib, "reserved": self.reserved_gib, "device": self.device_gib}
        return kinds[self.measurement.memory_kind] if self.measurement.memory_kind else None

    @property
    def throughput_error(self) -> float | None:
        """Predicted over measured, less one; positive where the prediction is too optimistic."""
        measured = self.measurement.tokens_per_s
        return self.tokens_per_s / measured - 1 if measured else None

    @property
    def memory_error(self) -> float | None:
        """Predicted over measured, less one."""
        measured, predicted = self.measurement.memory_gib, self.memory_gib
        return predicted / measured - 1 if measured and predicted is not None else None


def devices_of(advisor: Advisor) -> dict[str, Device]:
    return {device.id: device for device in advisor.devices}


def predict(measurement: Measurement, advisor: Advisor) -> Prediction:
    """Predict one run with the constants that ``advisor`` holds.

    To predict under other constants set ``advisor.__dict__["constants"]``.
    """
    constants = advisor.constants
    device = advisor._index.resolve(measurement.gpu)
    subject = TransformerSubject(measurement.transformer, measurement.model, "measured")
    problem = problem_of(measurement.workload, subject)
    if reason := refusal(problem, device):
        raise ValueError(f"{measurement.gpu}: {reason}")
    (team,) = teams(problem, [device], constants)
    choices = team.search.best(measurement.count)
    layout = choices.layouts[int(choices.layout[0])]
    parts = team.search.memory(layout)
    where = (0, int(choices.checkpointing[0]))
    own = constants.of(device.vendor, device.architecture, device.compute_capability)
    allocated = float(parts.allocated[where])
    overhead = float(parts.overhead[where])
    device_bytes = float(parts.reserved[where]) + own.context_mib * 2**20
    step = float(choices.step_s[0])
    return Prediction(
        measurement=measurement,
        step_time_s=step,
        tokens_per_s=float(choices.samples[0]) * measurement.sequence_length / step,
        allocated_gib=allocated / GIB,
        reserved_gib=(allocated + overhead) / GIB,
        device_gib=device_bytes / GIB,
        fits=bool(choices.fits[0]),
        problem=problem,
        team=team,
    )


def terms(prediction: Prediction, advisor: Advisor) -> dict[str, float]:
    """Return the seconds of one predicted step by kind of operator."""
    run, team = prediction.measurement, prediction.team
    choices = team.search.best(run.count)
    prices = {team.devices[0].id: NO_PRICES}
    (candidate,) = candidates(
        prediction.problem, team, run.count, choices, prices, _NO_MONEY, advisor.constants
    )
    rows, _ = breakdown(prediction.problem, candidate, advisor.constants)
    return {row.kind: row.time_s for row in rows}


def memory_terms(prediction: Prediction) -> dict[str, float]:
    """Return the predicted GiB by part."""
    search = prediction.team.search
    choices = search.best(prediction.measurement.count)
    parts = search.memory(choices.layouts[int(choices.layout[0])])
    where = (0, int(choices.checkpointing[0]))
    found: dict[str, Any] = {
        "parameters": parts.parameters, "gradients": parts.gradients[where], "optimizer": parts.optimizer,
        "activations": parts.activations[where], "temporary": parts.temporary[where],
        "overhead": parts.overhead[where],
    }  # fmt: skip
    return {name: float(value) / GIB for name, value in found.items()}


@dataclass(frozen=True)
class Summary:
    rows: int
    median: float
    mean: float
    p90: float
    bias: float

    @classmethod
    def of(cls, errors: Sequence[float]) -> Summary:
        """Absolute errors, and the bias as the median of predicted over measured, less one."""
        sizes = sorted(abs(error) for error in errors)
        last = sizes[min(len(sizes) - 1, math.ceil(0.9 * len(sizes)) - 1)]
        return cls(len(sizes), median(sizes), fmean(sizes), last, median(errors))

    def __str__(self) -> str:
        return f"{self.rows:5d} {self.median:8.1%} {self.mean:8.1%} {self.p90:8.1%} {self.bias:+8.1%}"


HEAD = f"{'':44s} {'rows':>5s} {'median':>8s} {'mean':>8s} {'p90':>8s} {'bias':>8s}"


def table(title: str, groups: dict[str, list[float]]) -> list[str]:
    lines = ["", title, HEAD]
    for name, errors in sorted(groups.items(), key=lambda item: (item[0] != "all", -len(item[1]), item[0])):
        if errors:
            lines.append(f"{name:44s} {Summary.of(errors)}")
    return lines


KEYS: dict[str, Callable[[Measurement], str]] = {
    "gpu": lambda run: run.gpu,
    "source": lambda run: run.source.split(" ")[0],
    "method": lambda run: f"{run.method} {run.precision}",
    "model": lambda run: run.model,
    "trainer": lambda run: run.trainer,
    "strategy": lambda run: f"{run.strategy} t{min(run.tensor, 2)} p{min(run.pipeline, 2)}",
}


def scale(run: Measurement) -> str:
    if run.count == 1:
        return "one GPU"
    return "2 to 8 GPUs" if run.count <= MULTI_NODE else "more than 8 GPUs"


def kind_and_source(run: Measurement) -> str:
    return f"{run.memory_kind} {KEYS['source'](run)}"


def grouped(
    rows: Iterable[Prediction], key: Callable[[Measurement], str], error: Callable[[Prediction], float | None]
) -> dict[str, list[float]]:
    groups: dict[str, list[float]] = {}
    for row in rows:
        value = error(row)
        if value is not None:
            groups.setdefault(key(row.measurement), []).append(value)
            groups.setdefault("all", []).append(value)
    return groups


def report(rows: Sequence[Prediction], by: str, worst: int, advisor: Advisor) -> list[str]:
    speed, memory = (lambda row: row.throughput_error), (lambda row: row.memory_error)
    lines = [f"{len(rows)} measurements, constants of {advisor.constants.date}"]
    lines += table("throughput by number of GPUs", grouped(rows, scale, speed))
    single = [row for row in rows if row.measurement.count == 1]
    several = [row for row in rows if row.measurement.count > 1]
    lines += table(f"throughput by {by}, one GPU", grouped(single, KEYS[by], speed))
    lines += table(f"throughput by {by}, several", grouped(several, KEYS[by], speed))
    lines += table("memory by kind", grouped(rows, lambda run: str(run.memory_kind), memory))
    lines += table("memory by kind and source", grouped(rows, kind_and_source, memory))
    failed = [row for row in rows if not row.measurement.fits]
    wrong = [row for row in failed if row.fits]
    ran = [row for row in rows if row.measurement.fits]
    refused = [row for row in ran if not row.fits]
    lines += ["", f"{len(failed)} runs out of memory, of which {len(wrong)} are called fitting"]
    lines += [f"  {describe(row)}" for row in wrong]
    lines += [f"{len(ran)} runs that fitted, of which {len(refused)} are called not fitting"]
    lines += [f"  {describe(row)}" for row in refused[:worst]]
    lines += ["", "worst throughput"]
    for row in ranked(rows, speed)[:worst]:
        lines.append(f"  {describe(row)}")
        kinds = sorted(terms(row, advisor).items(), key=lambda item: -item[1])
        lines.append("      " + ", ".join(f"{name} {seconds:.4g} s" for name, seconds in kinds))
    lines += ["", "worst memory"]
    for row in ranked(rows, memory)[:worst]:
        lines.append(f"  {describe(row)}")
        lines.append("      " + ", ".join(f"{name} {gib:.2f}" for name, gib in memory_terms(row).items()))
    return lines


def ranked(rows: Sequence[Prediction], error: Callable[[Prediction], float | None]) -> list[Prediction]:
    known = [(value, row) for row in rows if (value := error(row)) is not None]
    return [row for _, row in sorted(known, key=lambda item: -abs(math.log(1 + item[0])))]


def describe(row: Prediction) -> str:
    run = row.measurement
    text = (
        f"{run.count} x {run.gpu} {run.model} seq {run.sequence_length} micro {run.micro_batch} global "
        f"{run.global_batch} {run.precision} {run.method} {run.strategy} "
        f"d{run.data} t{run.tensor} p{run.pipeline} "
        f"ckpt {run.checkpointing} attn {run.attention} {run.trainer}{' compile' if run.compile else ''} "
        f"[{run.source.split(' ')[0]} {run.row} {run.framework}]"
    )
    if row.throughput_error is not None:
        text += f" tokens/s {run.tokens_per_s:.0f} -> {row.tokens_per_s:.0f} ({row.throughput_error:+.0%})"
        text += f" step {run.step_time_s:.4g} -> {row.step_time_s:.4g} s"
    if row.memory_error is not None:
        text += f" {run.memory_kind} {run.memory_gib:.1f} -> {row.memory_gib:.1f} GiB"
        text += f" ({row.memory_error:+.0%})"
    return text


MEASURED = (
    "gpu", "count", "model", "sequence_length", "micro_batch", "precision", "method", "source", "row",
    "tokens_per_s", "memory_kind", "memory_gib", "fits",
)  # fmt: skip
PREDICTED = ("tokens_per_s", "memory_gib", "fits")


def write_csv(rows: Sequence[Prediction], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*MEASURED, *(f"predicted_{name}" for name in PREDICTED)))
        for row in rows:
            measured = [getattr(row.measurement, name) for name in MEASURED]
            writer.writerow((*measured, *(getattr(row, name) for name in PREDICTED)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare published measurements with predictions.")
    parser.add_argument("--worst", type=int, default=20)
    parser.add_argument("--by", choices=tuple(KEYS), default="gpu")
    parser.add_argument("--model", action="append", help="only this model; may be given again")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args(arguments)
    advisor = open_advisor()
    chosen = [run for run in load_measurements() if not options.model or run.model in options.model]
    rows = [predict(run, advisor) for run in chosen]
    if options.csv:
        write_csv(rows, options.csv)
    sys.stdout.write("\n".join(report(rows, options.by, options.worst, advisor)) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
