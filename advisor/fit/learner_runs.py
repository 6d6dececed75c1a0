"""Published training times of learners that are not networks, each beside its prediction."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from advisor.describe.learners import describe_learner, learner_name, learner_spread
from advisor.estimation.devices import device_rates
from advisor.estimation.time import SoftwareSpeed, step_times
from advisor.execution import Constants
from advisor.fit.comparison import Comparison
from advisor.hardware import Device
from advisor.learners import KMeans, Trees
from advisor.quantity import Quantity
from advisor.units import HOUR_S
from advisor.yaml_io import read_text

_LEARNERS: Mapping[str, type[Trees] | type[KMeans]] = {"trees": Trees, "kmeans": KMeans}

_FIELDS = (
    "library", "rows", "features", "values_per_row", "bins", "trees", "depth", "leaves", "classes",
    "clusters", "iterations",
)  # fmt: skip
"""Columns that describe the learner."""

OLDER = ", older release"
"""Marks libraries that are years older than the constants, which are those of current releases."""


def learner_comparisons(
    root: Path, devices: Mapping[str, Device], constants: Constants
) -> Iterator[Comparison]:
    """Yield every published time as trainings per hour, so that more is faster as it is for networks.

    Args:
        root: the shipped catalog.
        devices: the catalog by id.
        constants: those of learners and devices.
    """
    text = read_text(root / "measurements" / "learners.csv")
    for row in csv.DictReader(text.splitlines()):
        if row["gpu"] and row["gpu_s"]:
            yield _comparison(row, devices[row["gpu"]], int(row["gpu_count"]), float(row["gpu_s"]), constants)
        if row["cpu"] and row["cpu_s"]:
            cpu = with_cores(devices[row["cpu"]], int(row["cpu_cores"]))
            yield _comparison(row, cpu, 1, float(row["cpu_s"]), constants)


def with_cores(device: Device, cores: int) -> Device:
    """Return a processor with another number of cores, as of two sockets or of a part of one.

    Its bandwidth grows with the sockets and stays where only a part of the cores works.
    """
    if device.compute.cores is None:
        return device
    factor = cores / device.compute.cores
    compute = device.compute.model_copy(
        update={"cores": cores, "fp32_tflops": device.compute.fp32_tflops * factor}
    )
    bandwidth = device.memory.bandwidth_gb_s * max(1.0, factor)
    memory = device.memory.model_copy(update={"bandwidth_gb_s": bandwidth})
    return device.model_copy(update={"compute": compute, "memory": memory})


def _comparison(
    row: Mapping[str, str], device: Device, count: int, measured_s: float, constants: Constants
) -> Comparison:
    """Return one time beside its prediction; several GPUs are predicted to share the work evenly."""
    on_cpu = device.kind == "cpu"
    learner = _LEARNERS[row["learner"]].model_validate({name: row[name] for name in _FIELDS if row[name]})
    table = describe_learner(learner, on_cpu=on_cpu, constants=constants.learners).table
    rates = device_rates([device], ["fp32"], constants)
    times = step_times(table, rates, np.ones(1), constants.kernel, SoftwareSpeed())
    seconds = float(max(times.device[0, 0], times.host[0, 0])) / count
    spread = learner_spread(learner, on_cpu=on_cpu, constants=constants.learners)
    predicted = Quantity.spread(HOUR_S / seconds, spread)
    library = row["library"] if row["use"] == "current" else row["library"] + OLDER
    name = learner_name(learner)
    return Comparison(
        quantity="training",
        subject="learner",
        unit="trainings/h",
        gpu=device.id,
        count=count,
        model=name,
        family=library,
        source=row["source"],
        row=row["row"],
        date=row["date"],
        method="full",
        precision="fp32",
        configuration=f"{learner_name(learner)} {device.id} {count}",
        setting=" ".join((name, row["bins"], row["software"], str(count), str(on_cpu))),
        measured=HOUR_S / measured_s,
        predicted=predicted.value,
        low=predicted.low,
        high=predicted.high,
    )
