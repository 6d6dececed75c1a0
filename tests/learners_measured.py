"""Compares published training times of learners that are not networks with predictions, and fits their constants.

Run it as ``python -m tests.learners_measured``. Rows with use ``current`` fix the constants in
``efficiency.yaml``, and one device after the other is left out to see what that is worth; ``old`` rows ran software
that is years older than the constants.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from advisor.catalog import load_devices
from advisor.describe.learners import describe_learner, learner_name
from advisor.efficiency import load_constants
from advisor.estimation.devices import DeviceRates, device_rates
from advisor.estimation.time import SoftwareSpeed, step_times
from advisor.execution import Constants, DeviceSide, LearnerConstants
from advisor.hardware import Device
from advisor.learners import KMeans, Learner, Trees
from advisor.units import GIB
from advisor.yaml_io import data_root

LEARNERS: Mapping[str, type[Trees] | type[KMeans]] = {"trees": Trees, "kmeans": KMeans}
FIELDS = (
    "library", "rows", "features", "values_per_row", "bins", "trees", "depth", "leaves", "classes",
    "clusters", "iterations",
)  # fmt: skip
FITTED: Mapping[DeviceSide, Mapping[str, tuple[str, ...]]] = {
    "gpu": {
        "xgboost": ("split_us", "row_cycles"),
        "lightgbm": ("split_us", "host_row_ns"),
        "catboost": ("split_us", "row_cycles", "value_cycles"),
    },
    "cpu": {
        "xgboost": ("row_cycles", "spill_exponent"),
        "lightgbm": ("split_us", "row_cycles"),
        "catboost": ("split_us", "row_cycles", "value_cycles"),
    },
}
"""Constants that the published rows can tell apart."""


@dataclass(frozen=True)
class Run:
    """One training on one kind of device, as published."""

    learner: Learner
    library: str
    device: str
    side: DeviceSide
    cores: int | None
    count: int
    measured_s: float | None
    memory_gib: float | None
    software: str
    date: str
    use: str
    source: str
    row: str


@dataclass(frozen=True)
class Prediction:
    run: Run
    seconds: float
    device_gib: float

    @property
    def error(self) -> float | None:
        """Predicted over measured time, less one."""
        return self.seconds / self.run.measured_s - 1 if self.run.measured_s else None


def read_runs(root: Path | None = None) -> tuple[Run, ...]:
    """Return every published time, GPU and CPU apart, in the order of the file."""
    path = (root or data_root()) / "measurements" / "learners.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(run for row in csv.DictReader(file) for run in _runs(row))


def _runs(row: Mapping[str, str]) -> Iterable[Run]:
    document = {name: row[name] for name in FIELDS if row[name]}
    learner = LEARNERS[row["learner"]].model_validate(document)
    shared: dict[str, Any] = {
        name: row[name] for name in ("library", "software", "date", "use", "source", "row")
    }
    if row["gpu"]:
        yield Run(
            learner=learner, device=row["gpu"], side="gpu", cores=None, count=int(row["gpu_count"]),
            measured_s=float(row["gpu_s"]) if row["gpu_s"] else None,
            memory_gib=float(row["memory_gib"]) if row["memory_gib"] else None, **shared,
        )  # fmt: skip
    if row["cpu"] and row["cpu_s"]:
        yield Run(
            learner=learner, device=row["cpu"], side="cpu", cores=int(row["cpu_cores"]), count=1,
            measured_s=float(row["cpu_s"]), memory_gib=None, **shared,
        )  # fmt: skip


def with_cores(device: Device, cores: int | None) -> Device:
    """The same CPU with another number of cores (a part of a socket, or two sockets), its bandwidth in proportion."""
    if cores is None or device.compute.cores is None:
        return device
    factor = cores / device.compute.cores
    compute = device.compute.model_copy(
        update={"cores": cores, "fp32_tflops": device.compute.fp32_tflops * factor}
    )
    bandwidth = device.memory.bandwidth_gb_s * max(1.0, factor)
    memory = device.memory.model_copy(update={"bandwidth_gb_s": bandwidth})
    return device.model_copy(update={"compute": compute, "memory": memory})


def seconds_of(learner: Learner, rates: DeviceRates, *, on_cpu: bool, constants: Constants) -> float:
    """Return the predicted time of a whole training on the first device of ``rates``."""
    table = describe_learner(learner, on_cpu=on_cpu, constants=constants.learners).table
    times = step_times(table, rates, np.ones(1), constants.kernel, SoftwareSpeed())
    return float(max(times.device[0, 0], times.host[0, 0]))


class Predictor:
    """Predicts runs; rates depend on the device only and are kept."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self.devices = {device.id: device for device in load_devices()}
        self._rates: dict[tuple[str, int | None], DeviceRates] = {}

    def rates(self, device: str, cores: int | None = None) -> DeviceRates:
        key = (device, cores)
        if key not in self._rates:
            chosen = with_cores(self.devices[device], cores)
            self._rates[key] = device_rates([chosen], ["fp32"], self.constants)
        return self._rates[key]

    def seconds(self, run: Run, learners: LearnerConstants | None = None) -> float:
        constants = self.constants.model_copy(update={"learners": learners}) if learners else self.constants
        rates = self.rates(run.device, run.cores)
        return seconds_of(run.learner, rates, on_cpu=run.side == "cpu", constants=constants) / run.count

    def predict(self, run: Run) -> Prediction:
        described = describe_learner(run.learner, on_cpu=run.side == "cpu", constants=self.constants.learners)
        memory = described.saved["none"].fixed + described.working["none"].fixed
        return Prediction(run, self.seconds(run), memory / GIB)


def changed(
    learners: LearnerConstants, library: str, side: DeviceSide, values: Mapping[str, float]
) -> LearnerConstants:
    """Return the constants with some of one library on one kind of device replaced."""
    sides = {**learners.trees[library], side: learners.trees[library][side].model_copy(update=values)}
    return learners.model_copy(update={"trees": {**learners.trees, library: sides}})


def chosen_runs(runs: Iterable[Run], library: str, side: DeviceSide) -> tuple[Run, ...]:
    """Return the times by current software that fix the constants of a library on one kind of device."""
    return tuple(
        run for run in runs
        if run.use == "current" and run.library == library and run.side == side and run.measured_s
    )  # fmt: skip


def fit(predictor: Predictor, runs: Sequence[Run], library: str, side: DeviceSide) -> LearnerConstants:
    """Return the constants that bring the logarithms of predicted and measured times closest."""
    from scipy.optimize import least_squares

    learners = predictor.constants.learners
    names = FITTED[side][library]
    start = [max(1e-3, getattr(learners.trees[library][side], name)) for name in names]

    def constants(logs: np.ndarray) -> LearnerConstants:
        return changed(learners, library, side, dict(zip(names, np.exp(logs).tolist(), strict=True)))

    def residuals(logs: np.ndarray) -> list[float]:
        now = constants(logs)
        return [math.log(predictor.seconds(run, now) / (run.measured_s or 1.0)) for run in runs]

    return constants(least_squares(residuals, np.log(start), loss="soft_l1", f_scale=0.2).x)


def held_out(
    predictor: Predictor, runs: Sequence[Run], library: str, side: DeviceSide
) -> dict[str, list[float]]:
    """Return, for each device, the errors of its runs under constants that were fitted on the other devices."""
    found: dict[str, list[float]] = {}
    for device in sorted({run.device for run in runs}):
        constants = fit(predictor, [run for run in runs if run.device != device], library, side)
        found[device] = [
            predictor.seconds(run, constants) / (run.measured_s or 1.0) - 1
            for run in runs
            if run.device == device
        ]
    return found


def summary(errors: Sequence[float]) -> str:
    """Absolute errors, the factor that holds 80 % of them, and the geometric mean of predicted over measured."""
    logs = [math.log(1 + error) for error in errors]
    spread = math.exp(sorted(abs(log) for log in logs)[math.ceil(0.8 * len(logs)) - 1])
    middle = median(abs(error) for error in errors)
    return (
        f"{len(logs):4d}  median {middle:6.1%}  80 % within x{spread:.2f}  bias x{math.exp(fmean(logs)):.2f}"
    )


def report(predictor: Predictor, runs: Sequence[Run]) -> list[str]:
    predictions = [predictor.predict(run) for run in runs]
    lines = ["predicted against measured, seconds"]
    for each in sorted(predictions, key=lambda each: (each.run.use, each.run.library, each.run.side)):
        run = each.run
        if each.error is not None:
            lines.append(
                f"  {run.use:4s} {run.side} {run.device:20s} {run.measured_s:10.4g} -> {each.seconds:10.4g} "
                f"({each.error:+.0%})  {learner_name(run.learner)}  [{run.software}, {run.source.split(' ')[0]}]"
            )
    lines += ["", "errors by use, library and kind of device"]
    groups: dict[tuple[str, str, str], list[float]] = {}
    for each in predictions:
        if each.error is not None:
            groups.setdefault((each.run.use, each.run.library, each.run.side), []).append(each.error)
            groups.setdefault((each.run.use, "all", each.run.side), []).append(each.error)
    lines += [
        f"  {use:4s} {library:9s} {side}  {summary(errors)}"
        for (use, library, side), errors in sorted(groups.items())
    ]
    lines += ["", "device memory without the context, GiB"]
    lines += [
        f"  {each.run.memory_gib:6.2f} -> {each.device_gib:6.2f}  {learner_name(each.run.learner)}"
        for each in predictions if each.run.memory_gib is not None
    ]  # fmt: skip
    return lines


def fitted_lines(predictor: Predictor, runs: Sequence[Run]) -> list[str]:
    lines = ["", "constants fitted on all current rows [shipped], and errors on devices that were left out"]
    for side in FITTED:
        for library in FITTED[side]:
            chosen = chosen_runs(runs, library, side)
            own = predictor.constants.learners.trees[library][side]
            new = fit(predictor, chosen, library, side).trees[library][side]
            names = FITTED[side][library]
            values = (f"{name} {getattr(new, name):.3g} [{getattr(own, name):g}]" for name in names)
            lines.append(f"  {library} {side}: {', '.join(values)}")
            errors = held_out(predictor, chosen, library, side)
            for device, each in errors.items():
                lines.append(f"      without {device:22s} {', '.join(f'{error:+.0%}' for error in each)}")
            lines.append(f"      all {summary([error for each in errors.values() for error in each])}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare published learners with predictions.")
    parser.add_argument("--no-fit", action="store_true", help="do not fit (needs no SciPy)")
    options = parser.parse_args(arguments)
    predictor = Predictor(load_constants(data_root()))
    runs = read_runs()
    lines = report(predictor, runs)
    if not options.no_fit:
        lines += fitted_lines(predictor, runs)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
