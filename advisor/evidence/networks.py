"""Reads published runs of networks that are no transformers, finds those near to a question, and says how near.

A measurement is one published run (or the median of equal runs) of a network whose operator table is shipped. Nothing
here was measured by this project; ``catalog/measurements/README.md`` says what was kept and what was left out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationError

from advisor.errors import InputError
from advisor.evidence.shared import Near, doublings, newest_first, related, software_document
from advisor.hardware import Device, NumberFormat
from advisor.quantity import Model
from advisor.yaml_io import data_root, read_text

NetworkPrecision = Literal["fp32", "tf32", "fp16", "bf16"]
PRECISIONS: tuple[NetworkPrecision, ...] = get_args(NetworkPrecision)

SIMILAR_SPEED = 3.0
"""GPUs of another architecture count where compute and bandwidth together differ by at most this factor."""

SIMILAR = doublings(SIMILAR_SPEED, 1)
"""The same in doublings."""

COUNT_WEIGHT = 0.5
MICRO_BATCH_WEIGHT = 0.25
ONE_OR_SEVERAL = 1.0
OTHER_PRECISION = 1.0
OTHER_INPUT = 0.5
NO_OPTIMIZER_STEP = 0.5
COMPILED = 0.25
MEMORY_ONLY = 1.0
"""Parts of the distance of :func:`nearest_networks`, in doublings of speed."""

Positive = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(gt=0)]


class NetworkMeasurement(Model):
    """One published run. An empty cell is a field left out."""

    model: str
    gpu: str
    """Id of the catalog; that of a processor where the run used no GPU."""
    task: Literal["train", "inference"]
    variant: str = ""
    """Which form of the network ran where several have the name: v1 or v1.5 of a ResNet, a configuration."""
    count: Positive
    input: str = ""
    """The input's size where it is not that of the shipped table."""
    micro_batch: Positive
    """Samples on one GPU in one forward pass."""
    accumulation: Positive
    """Forward passes for one optimizer step."""
    precision: NetworkPrecision
    master_weights: Literal["auto", "none"]
    """none: weights and optimizer are in half precision too."""
    memory_format: Literal["nchw", "nhwc"]
    compile: bool
    """A compiler (torch.compile, XLA) fused operators."""
    optimizer: Literal["sgd", "sgd-momentum", "adam", "adamw", "adamw-8bit"]
    optimizer_step: bool
    """False: forward and backward pass were timed without a step of the optimizer."""
    checkpointing: Literal["none", "full"]
    trained: str
    """all, or the part whose weights are trained."""
    parallelism: Literal["data", "hybrid"]
    """hybrid: embedding tables are spread over the GPUs, the rest is replicated."""
    software: str
    """As the source names it."""
    runtime: str
    """The framework, in lower case."""
    runtime_version: str = ""
    """Its version: that of the date of the run where the source names none; empty where it hardly matters."""
    trainer: Literal["common", "tuned"]
    throughput: Amount | None = None
    """Of all GPUs together, in ``unit``."""
    unit: str
    units_per_sample: Amount
    """How many of ``unit`` one sample holds on average: ``throughput / units_per_sample`` is samples per second."""
    memory_kind: Literal["allocated", "reserved", "device", "statement"] | None = None
    """statement: the source does not say what it counts."""
    memory_gib: Amount | None = None
    cpu: str = ""
    """Processor on which the source ran the same, an id of the catalog; empty where it does not name one."""
    cpu_throughput: Amount | None = None
    runs: Positive
    """Equal runs of which this is the median."""
    date: str
    source: str
    row: str
    notes: str = ""

    @property
    def training(self) -> bool:
        """Whether the run trains."""
        return self.task == "train"

    @property
    def global_batch(self) -> int:
        """Samples of one optimizer step."""
        return self.micro_batch * self.accumulation * self.count

    @property
    def published_speed(self) -> float | None:
        """Throughput of all GPUs together."""
        return self.throughput

    @property
    def speed_unit(self) -> str:
        """Unit of the throughput."""
        return self.unit

    @property
    def samples_per_s(self) -> float | None:
        """Samples per second of all GPUs together."""
        return None if self.throughput is None else self.throughput / self.units_per_sample

    @property
    def document(self) -> dict[str, object]:
        """The workload as a document that fixes what the run fixed."""
        found: dict[str, object] = {
            "name": self.model,
            "model": {"name": self.model},
            "task": self.task,
            "precision": self.precision,
            "memory_format": self.memory_format,
            "compile": self.compile,
            "software": software_document(self.runtime, self.runtime_version) | {"trainer": self.trainer},
        }
        if not self.training:
            return found | {"inference": {"batch": self.micro_batch}}
        found |= {
            "batch": {"global": self.global_batch, "micro": self.micro_batch},
            "optimizer": self.optimizer if self.optimizer_step else "none",
            "master_weights": self.master_weights,
            "checkpointing": self.checkpointing,
        }
        return found if self.count == 1 else found | {"sharding": "ddp"}


def parse_network_measurements(
    text: str, source: str, gpus: frozenset[str] | None = None, models: frozenset[str] | None = None
) -> tuple[NetworkMeasurement, ...]:
    """Return the records of a table in CSV, in the order of the text.

    Args:
        text: CSV with a header that names every field of :class:`NetworkMeasurement`, beginning with the model and
            the GPU; a record is a line.
        source: file name, for messages.
        gpus: ids whose rows to read; None for all.
        models: names whose rows to read; None for all.

    Raises:
        InputError: a column is missing or a cell cannot be read.
    """
    lines = text.splitlines()
    header = lines[0].split(",") if lines else []
    fields = tuple(NetworkMeasurement.model_fields)
    if header[:2] != ["model", "gpu"] or set(header) != set(fields):
        raise InputError(
            "columns are not model, gpu and the others",
            source=source,
            value=", ".join(header),
            accepted=", ".join(fields),
        )
    wanted = [(number, line) for number, line in enumerate(lines[1:], 2) if _asked(line, gpus, models)]
    records = csv.reader(line for _, line in wanted)
    return tuple(
        _record(header, cells, f"{source}:{number}")
        for (number, _), cells in zip(wanted, records, strict=True)
    )


def _asked(line: str, gpus: frozenset[str] | None, models: frozenset[str] | None) -> bool:
    model, _, others = line.partition(",")
    return (models is None or model in models) and (gpus is None or others.partition(",")[0] in gpus)


def _record(header: list[str], cells: list[str], place: str) -> NetworkMeasurement:
    if len(cells) != len(header):
        raise InputError("the row has too many or too few cells", source=place, value=str(len(cells)))
    try:
        return NetworkMeasurement.model_validate(
            {name: cell for name, cell in zip(header, cells, strict=True) if cell}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            "the cell cannot be read",
            source=place,
            field=str(first["loc"][0]),
            value=str(first["input"])[:80],
        ) from None


def load_network_measurements(
    root: Path | None = None, gpus: frozenset[str] | None = None, models: frozenset[str] | None = None
) -> tuple[NetworkMeasurement, ...]:
    """Return the shipped measurements of networks; they are read once.

    :func:`nearest_networks` looks at the network that is asked about on :func:`comparable_gpus`, and at others of its
    family on the GPU that is asked about: two calls read these rows only.

    Args:
        root: the shipped catalog.
        gpus: ids whose measurements are wanted; None for all.
        models: names whose measurements are wanted; None for all.

    Raises:
        InputError: the table is damaged.
    """
    return _load(root or data_root(), gpus, models)


@lru_cache(maxsize=64)
def _load(
    root: Path, gpus: frozenset[str] | None, models: frozenset[str] | None
) -> tuple[NetworkMeasurement, ...]:
    path = root / "measurements" / "networks.csv"
    return parse_network_measurements(read_text(path), path.name, gpus, models)


def comparable_gpus(gpu: Device, devices: Iterable[Device]) -> frozenset[str]:
    """Return the ids of the devices whose runs of a network say something about ``gpu``.

    They have its architecture, or are of its kind and of similar speed (:data:`SIMILAR_SPEED`) in some precision.
    """
    return frozenset(
        device.id
        for device in devices
        if related(device, gpu)
        or (device.kind == gpu.kind and any(_gap(device, gpu, each) <= SIMILAR for each in PRECISIONS))
    )


@dataclass(frozen=True, slots=True)
class NetworkQuestion:
    """What is asked, as far as it decides which measurement is near."""

    model: str
    gpu: Device
    count: int
    precision: str
    micro_batch: int | None


def nearest_networks(
    measurements: Iterable[NetworkMeasurement],
    *,
    model: str,
    family: str,
    families: Mapping[str, str],
    gpu: Device,
    devices: Mapping[str, Device],
    count: int,
    training: bool,
    precision: str,
    micro_batch: int | None = None,
    limit: int = 3,
) -> tuple[Near[NetworkMeasurement], ...]:
    """Return the measurements closest to a question, the closest first.

    The same network on the same GPU comes first, then the same network on a GPU of the architecture, then on one whose
    speed differs by no more than :data:`SIMILAR_SPEED`, then a network of the family on the same GPU. Within each the
    distance is a sum: doublings between the speeds of the GPUs, half the doublings between the numbers of GPUs, a
    quarter of those between the micro-batches, and fixed amounts for one GPU instead of several, another precision,
    another input, a missing step of the optimizer, a compiler, and a run of which only the memory is published.

    Equal distances are ordered by date (the newest first), source and row, so the answer does not depend on the order
    of the table. Runs that differ in batch or software only are represented by the closest.

    Args:
        measurements: to choose from.
        model: name of the network asked about.
        family: its family.
        families: family by name of a network; one that is not in it has no relatives.
        gpu: the GPU asked about.
        devices: the catalog by id.
        count: GPUs asked about.
        training: whether training is asked about; inference otherwise.
        precision: asked about.
        micro_batch: asked about, None to leave it out.
        limit: how many to return.
    """
    question = NetworkQuestion(
        model=model, gpu=gpu, count=count, precision=precision, micro_batch=micro_batch
    )
    gaps: dict[tuple[str, str], float] = {}
    ranked = []
    for run in measurements:
        device = devices.get(run.gpu)
        if device is None or run.training != training:
            continue
        place = (run.gpu, run.precision)
        if place not in gaps:
            gaps[place] = _gap(device, gpu, run.precision)
        tier = _tier(run, device, question, families.get(run.model) == family, gaps[place])
        if tier is not None:
            apart = gaps[place] + _distance(run, question)
            ranked.append((tier, apart, newest_first(run.date), run.source, run.row, run.micro_batch, run))
    ranked.sort(key=lambda item: item[:6])
    found: dict[tuple[object, ...], Near[NetworkMeasurement]] = {}
    for _, apart, *_, run in ranked:
        key = (run.model, run.gpu, run.count, run.precision, run.input)
        if key not in found:
            found[key] = Near(run, apart, _words(run, devices[run.gpu], question))
        if len(found) == limit:
            break
    return tuple(found.values())


def _tier(
    run: NetworkMeasurement, device: Device, question: NetworkQuestion, same_family: bool, gap: float
) -> int | None:
    """Return the rank of a measurement's kind, or None where it says nothing about the question."""
    same_gpu = device.id == question.gpu.id
    if run.model != question.model:
        return 3 if same_gpu and same_family else None
    if same_gpu:
        return 0
    if related(device, question.gpu):
        return 1
    return 2 if device.kind == question.gpu.kind and gap <= SIMILAR else None


def _distance(run: NetworkMeasurement, question: NetworkQuestion) -> float:
    """Return how far a measurement is from a question on the same GPU, in doublings of speed."""
    apart = COUNT_WEIGHT * doublings(run.count, question.count)
    if question.micro_batch is not None:
        apart += MICRO_BATCH_WEIGHT * doublings(run.micro_batch, question.micro_batch)
    apart += ONE_OR_SEVERAL * ((run.count == 1) != (question.count == 1))
    apart += OTHER_PRECISION * (run.precision != question.precision)
    apart += OTHER_INPUT * bool(run.input)
    apart += NO_OPTIMIZER_STEP * (not run.optimizer_step)
    apart += COMPILED * run.compile
    return apart + MEMORY_ONLY * (run.throughput is None)


def _gap(one: Device, other: Device, precision: str) -> float:
    """Return the mean of the doublings between two devices' arithmetic rates and between their bandwidths."""
    compute = doublings(_rate(one, precision), _rate(other, precision))
    return (compute + doublings(one.memory.bandwidth_gb_s, other.memory.bandwidth_gb_s)) / 2


def _rate(device: Device, precision: str) -> float:
    """Return TFLOP/s of the tensor cores where they have the format, else of the vector units."""
    return device.tensor_tflops(NumberFormat(precision)) or device.compute.fp32_tflops


def _words(run: NetworkMeasurement, device: Device, question: NetworkQuestion) -> str:
    """Return what a measurement shares with a question and where it differs."""
    if device.id == question.gpu.id:
        first = "same GPU" if device.kind == "gpu" else "same processor"
    elif related(device, question.gpu):
        first = f"{device.name}, the same architecture"
    else:
        first = f"{device.name}, of similar speed"
    parts = ["same network" if run.model == question.model else f"{run.model} instead of {question.model}"]
    if run.variant:
        parts.append(run.variant)
    if run.input:
        parts.append(f"input {run.input}")
    parts.append(run.precision if run.precision == question.precision else
                 f"{run.precision} instead of {question.precision}")  # fmt: skip
    batch = f"micro-batch {run.micro_batch}"
    parts.append(batch if question.micro_batch in (None, run.micro_batch) else
                 f"{batch} instead of {question.micro_batch}")  # fmt: skip
    if run.count != question.count:
        parts.append(f"{run.count} GPU" + ("s" if run.count > 1 else ""))
    if run.trained != "all":
        parts.append(f"only {run.trained} trained")
    if run.compile:
        parts.append("compiled")
    if not run.optimizer_step:
        parts.append("without a step of the optimizer")
    return f"{first}; {', '.join(parts)}"
