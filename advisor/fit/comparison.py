"""One published figure beside what the model says of exactly that run: the row that all of accuracy is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Quantity = Literal["training", "inference", "memory", "feasibility"]
"""What was measured: throughput of training or of a forward pass, peak memory, or whether it ran at all."""

Subject = Literal["transformer", "network", "learner"]
"""What ran: a transformer by its dimensions, a network by its operator table, or a learner that is no network."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published figure and its predictions, in the unit of the source.

    Attributes:
        quantity: what was measured.
        subject: what ran.
        unit: of all figures; GiB for memory, empty for feasibility.
        gpu: id of the catalog.
        count: GPUs.
        model: name of the model.
        family: models that are alike.
        source: repository that published the figure.
        row: where in it.
        date: of the publication or of the software.
        method: full, lora, qlora or inference.
        precision: in which the run computed.
        memory_kind: allocated, reserved, device or statement, for memory.
        setting: equal for runs that differ in the GPU alone, so that GPUs can be ranked by them; None where the source
            changed more than the GPU.
        configuration: equal for runs of one model, GPU, number of GPUs, precision and micro-batch, whoever ran them.
        measured: the published figure; for feasibility 1 where it ran and 0 where memory ran out.
        predicted: with the shipped constants, which may have been fitted on this run too; for feasibility 1 or 0.
        low: lower end of the shipped 80 % interval.
        high: its upper end.
        unseen: predicted with constants fitted on other GPUs and other families alone; None where no such fit exists.
        unseen_low: lower end of the interval for a GPU and a family without evidence.
        unseen_high: its upper end.
        baselines: what simpler methods say, by their name.
    """

    quantity: Quantity
    subject: Subject
    unit: str
    gpu: str
    count: int
    model: str
    family: str
    source: str
    row: str
    date: str
    method: str
    precision: str
    setting: str | None
    configuration: str
    measured: float
    predicted: float
    low: float
    high: float
    memory_kind: str | None = None
    unseen: float | None = None
    unseen_low: float | None = None
    unseen_high: float | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """Predicted over measured, less one; positive where the prediction is too high."""
        return self.predicted / self.measured - 1

    @property
    def log_error(self) -> float:
        """Natural logarithm of predicted over measured."""
        return math.log(self.predicted / self.measured)
