"""Compares every shipped measurement of a network with the prediction for exactly that run.

Run it as ``python -m tests.measured_networks``; predictions come from the public service.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from advisor.describe.named import transformer_names
from advisor.describe.shipped_networks import network_places
from advisor.errors import AdvisorError
from advisor.evidence import NetworkMeasurement, load_network_measurements
from advisor.service import Advisor, open_advisor
from advisor.workload_file import build_workload
from advisor.yaml_io import data_root
from tests.measured import table

FACTOR = 2.0
"""Errors are also counted by how many predictions are within this factor."""


@dataclass(frozen=True)
class NetworkPrediction:
    """What the service says about one run; throughput in the unit of the run."""

    measurement: NetworkMeasurement
    throughput: float | None
    """None where the run is predicted not to fit."""
    allocated_gib: float
    required_gib: float
    fits: bool

    @property
    def memory_gib(self) -> float | None:
        """GiB of the kind that was measured; what a source does not explain is compared with the whole device.

        The pool of the allocator is compared with the whole device too: the service does not publish it.
        """
        kind = self.measurement.memory_kind
        return None if kind is None else self.allocated_gib if kind == "allocated" else self.required_gib

    @property
    def throughput_error(self) -> float | None:
        """Predicted over measured, less one; positive where the prediction is too optimistic."""
        measured = self.measurement.throughput
        return self.throughput / measured - 1 if measured and self.throughput else None

    @property
    def memory_error(self) -> float | None:
        """Predicted over measured, less one."""
        measured, predicted = self.measurement.memory_gib, self.memory_gib
        return predicted / measured - 1 if measured and predicted is not None else None


def skipped(run: NetworkMeasurement, shipped: frozenset[str]) -> str | None:
    """Return why a run is not predicted, or None."""
    if run.model not in shipped:
        return f"no shipped table: {run.model}"
    if run.input:
        return "another input than the shipped table's"
    if run.parallelism != "data":
        return "embedding tables spread over the GPUs"
    return None


def shipped_models() -> frozenset[str]:
    """Return every name that a workload can give as its model."""
    return frozenset(network_places(data_root())) | frozenset(transformer_names(data_root()))


def predict(run: NetworkMeasurement, advisor: Advisor) -> NetworkPrediction:
    """Predict one run with the constants that ``advisor`` holds.

    Raises:
        AdvisorError: the run cannot be described or estimated.
        ValueError: the service has no estimate of its memory.
    """
    workload = build_workload(run.document, "measured", None)
    (estimate,) = advisor.estimate(workload, gpus=[run.gpu], count=run.count).estimates
    speed, memory = estimate.samples_per_s, estimate.memory
    if memory is None:
        raise ValueError("no memory was estimated")
    return NetworkPrediction(
        measurement=run,
        throughput=None if speed is None else speed.value * run.units_per_sample,
        allocated_gib=memory.allocated_gib,
        required_gib=memory.required_gib.value,
        fits=bool(estimate.fits),
    )


def predict_all(
    runs: Iterable[NetworkMeasurement], advisor: Advisor
) -> tuple[list[NetworkPrediction], Counter[str]]:
    """Return the predictions, and how many runs were left out for which reason."""
    shipped = shipped_models()
    found: list[NetworkPrediction] = []
    left: Counter[str] = Counter()
    for run in runs:
        reason = skipped(run, shipped)
        if reason is None:
            try:
                found.append(predict(run, advisor))
            except (AdvisorError, ValueError) as error:
                reason = f"{error} ({run.model}, {run.gpu}, {run.precision})"
        if reason is not None:
            left[reason] += 1
    return found, left


KEYS: dict[str, Callable[[NetworkMeasurement], str]] = {
    "gpu": lambda run: run.gpu,
    "model": lambda run: run.model,
    "source": lambda run: run.source.split(" ")[0],
    "precision": lambda run: f"{run.task} {run.precision}",
    "software": lambda run: f"{run.software.split(' ')[0]}{' compiled' if run.compile else ''}",
}


def scale(run: NetworkMeasurement) -> str:
    """Return the group of a run in the first table."""
    if not run.training:
        return "inference, one GPU"
    return "training, one GPU" if run.count == 1 else "training, several GPUs"


def grouped(
    rows: Iterable[NetworkPrediction],
    key: Callable[[NetworkMeasurement], str],
    error: Callable[[NetworkPrediction], float | None],
) -> dict[str, list[float]]:
    """Return the errors by group, and all of them."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        value = error(row)
        if value is not None:
            groups.setdefault(key(row.measurement), []).append(value)
            groups.setdefault("all", []).append(value)
    return groups


def ratio(error: float) -> float:
    """Return by which factor a prediction is wrong, at least 1."""
    return max(1 + error, 1 / (1 + error))


def report(
    rows: Sequence[NetworkPrediction], left: Counter[str], by: str, worst: int, date: str
) -> list[str]:
    """Return the lines of the report."""

    def speed(row: NetworkPrediction) -> float | None:
        return row.throughput_error

    def memory(row: NetworkPrediction) -> float | None:
        return row.memory_error

    lines = [f"{len(rows)} measurements predicted, constants of {date}; {left.total()} left out:"]
    lines += [f"  {count:5d} {reason}" for reason, count in left.most_common()]
    lines += table("throughput by number of GPUs", grouped(rows, scale, speed))
    wrong = [value for row in rows if (value := row.throughput_error) is not None]
    near = sum(ratio(value) <= FACTOR for value in wrong)
    lines.append(f"{near} of {len(wrong)} within a factor of {FACTOR:g}")
    single = [row for row in rows if row.measurement.training and row.measurement.count == 1]
    several = [row for row in rows if row.measurement.training and row.measurement.count > 1]
    inference = [row for row in rows if not row.measurement.training]
    lines += table(f"throughput of training by {by}, one GPU", grouped(single, KEYS[by], speed))
    lines += table(f"throughput of training by {by}, several", grouped(several, KEYS[by], speed))
    lines += table(f"throughput of inference by {by}", grouped(inference, KEYS[by], speed))
    lines += table("memory by kind", grouped(rows, lambda run: str(run.memory_kind), memory))
    lines += table(f"memory by {by}", grouped(rows, KEYS[by], memory))
    refused = [row for row in rows if not row.fits]
    lines += ["", f"{len(refused)} runs that ran are called not fitting"]
    lines += [f"  {describe(row)}" for row in refused[:worst]]
    lines += ["", "worst throughput", *(f"  {describe(row)}" for row in ranked(rows, speed)[:worst])]
    lines += ["", "worst memory", *(f"  {describe(row)}" for row in ranked(rows, memory)[:worst])]
    return lines


def ranked(
    rows: Sequence[NetworkPrediction], error: Callable[[NetworkPrediction], float | None]
) -> list[NetworkPrediction]:
    """Return the rows with an error, the worst first."""
    known = [(value, row) for row in rows if (value := error(row)) is not None]
    return [row for _, row in sorted(known, key=lambda item: -ratio(item[0]))]


def describe(row: NetworkPrediction) -> str:
    """Return one run and its prediction as a line."""
    run = row.measurement
    text = (
        f"{run.count} x {run.gpu} {run.model} {run.variant} {run.task} micro {run.micro_batch} x {run.accumulation} "
        f"{run.precision} {run.memory_format}{' compiled' if run.compile else ''}"
        f"{'' if run.optimizer_step else ' no optimizer step'} ckpt {run.checkpointing} {run.trainer} "
        f"[{run.source} {run.row} {run.software}]"
    )
    if row.throughput_error is not None:
        text += f" {run.unit} {run.throughput:.5g} -> {row.throughput:.5g} ({row.throughput_error:+.0%})"
    if row.memory_error is not None:
        text += (
            f" {run.memory_kind} {run.memory_gib:.1f} -> {row.memory_gib:.1f} GiB ({row.memory_error:+.0%})"
        )
    return text


MEASURED = (
    "model", "variant", "task", "gpu", "count", "micro_batch", "accumulation", "precision", "memory_format", "compile",
    "optimizer_step", "software", "trainer", "unit", "units_per_sample", "throughput", "memory_kind", "memory_gib",
    "source", "row",
)  # fmt: skip
PREDICTED = ("throughput", "memory_gib", "allocated_gib", "required_gib", "fits")


def write_csv(rows: Sequence[NetworkPrediction], path: Path) -> None:
    """Write every measurement with its prediction."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*MEASURED, *(f"predicted_{name}" for name in PREDICTED)))
        for row in rows:
            measured = [getattr(row.measurement, name) for name in MEASURED]
            writer.writerow((*measured, *(getattr(row, name) for name in PREDICTED)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict every measurement and print how far off the predictions are."""
    parser = argparse.ArgumentParser(
        description="Compare published measurements of networks with predictions."
    )
    parser.add_argument("--worst", type=int, default=20)
    parser.add_argument("--by", choices=tuple(KEYS), default="gpu")
    parser.add_argument("--model", action="append", help="only this network; may be given again")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args(arguments)
    advisor = open_advisor()
    models = frozenset(options.model) if options.model else None
    rows, left = predict_all(load_network_measurements(models=models), advisor)
    if options.csv:
        write_csv(rows, options.csv)
    lines = report(rows, left, options.by, options.worst, str(advisor.constants.date))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
