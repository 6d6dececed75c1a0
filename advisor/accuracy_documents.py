"""The document of ``gpu-advisor accuracy --json``: summaries of all published figures, and every one of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from advisor.documents import Document
from advisor.quantity import Model

Axis = Literal["gpu", "source", "family", "method"]


class ErrorsDocument(Model):
    """Errors of some rows; an error is predicted over measured, less one."""

    rows: int
    median: float
    """Of the absolute errors."""
    mean: float
    """Of the absolute errors."""
    p90: float
    """90th percentile of the absolute errors, between neighbouring rows in proportion."""
    bias: float
    """Median of the errors with their sign; above 0 where predictions are too high."""
    coverage: float
    """Share of the rows whose measured figure lies in the 80 % interval."""
    width: float
    """Median of the upper over the lower end of the 80 % interval."""


class GroupDocument(Model):
    """Some rows: how far off predictions are that never saw their GPU and family, and how far the shipped ones."""

    name: str
    rows: int
    unseen: ErrorsDocument | None
    """Null where no row has such a prediction; its ``rows`` are those that have one."""
    shipped: ErrorsDocument


class SectionDocument(GroupDocument):
    """All rows of one kind, and the groups that they fall into, whose rows add up to those of the section."""

    id: str
    title: str
    groups: tuple[GroupDocument, ...] = ()


class RankingDocument(Model):
    """How well predictions order GPUs that were measured in the same setting, which fixes all but the GPU."""

    settings: int
    """Settings that were measured on two GPUs or more."""
    pairs: int
    """Pairs of GPUs whose measured figures differ."""
    agreement: float | None
    """Share of the pairs whose faster GPU is predicted to be the faster; a predicted tie counts as half."""
    clear_pairs: int
    """Pairs whose measured figures differ by more than 10 %."""
    clear_agreement: float | None
    regret_mean: float
    """Share of the fastest GPU's throughput per GPU that is lost by taking the one predicted to be the fastest."""
    regret_p90: float


class MethodDocument(Model):
    """One way to predict some rows."""

    method: Literal["unseen", "shipped", "peak", "roofline", "scaled-roofline", "parameters"]
    title: str
    rows: int
    median: float
    mean: float
    p90: float
    ranking: RankingDocument | None
    """Null for memory, and where no setting was measured on two GPUs."""


class ContestDocument(Model):
    """This model against simpler methods, all on the same rows."""

    id: str
    title: str
    rows: int
    """Rows that every method has a figure for."""
    methods: tuple[MethodDocument, ...]


class OutcomesDocument(Model):
    """Whether runs are predicted to fit into memory."""

    failed: int
    """Published runs that ran out of memory."""
    failed_called_fitting: int
    ran: int
    """Published runs that ran."""
    ran_called_failing: int


class NoiseFloorDocument(Model):
    """How far published figures of one configuration lie apart: no prediction can be closer to all of them."""

    between_sources_settings: int
    """Configurations that two sources or more published."""
    between_sources_median: float
    """Median over them of the largest over the smallest figure."""
    between_sources_p90: float
    between_versions_settings: int
    """Configurations that one source published for several versions, frameworks, memory formats or with a compiler."""
    between_versions_median: float
    between_versions_p90: float


class RowDocument(Model):
    """One published figure beside its predictions, in ``unit``; of feasibility 1 for running, 0 for failing."""

    section: str
    quantity: Literal["training", "inference", "memory", "feasibility"]
    unit: str
    gpu: str
    count: int
    model: str
    family: str
    method: str
    precision: str
    memory_kind: str | None
    """What the memory counts: allocated, reserved, device, or statement where the source does not say."""
    measured: float
    predicted: float
    """With the shipped constants, which may have been fitted on this row too."""
    low: float
    high: float
    unseen: float | None
    """Predicted with constants that were fitted on other GPUs and other families alone."""
    unseen_low: float | None
    unseen_high: float | None
    source: str
    row: str
    date: str


class LeftOutDocument(Model):
    """A published run that is not predicted, and why."""

    source: str
    row: str
    gpu: str
    model: str
    reason: str


class AccuracyAnswer(Document):
    """What ``accuracy --json`` writes."""

    schema_: Literal["gpu-advisor/accuracy/1"] = Field(default="gpu-advisor/accuracy/1", alias="schema")
    constants_date: str
    by: Axis | None
    sections: tuple[SectionDocument, ...]
    outcomes: OutcomesDocument
    noise_floor: NoiseFloorDocument | None
    """Null where no configuration was published twice."""
    contests: tuple[ContestDocument, ...]
    worst: tuple[RowDocument, ...]
    """The rows of each section that are off by the largest factor under the shipped constants."""
    rows: tuple[RowDocument, ...]
    left_out: tuple[LeftOutDocument, ...]
    notes: tuple[str, ...]
