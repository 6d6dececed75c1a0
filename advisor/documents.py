"""Every JSON document that leaves the tool, with its schema version. Tables and reports are views of these.

The fields are a contract with scripts. Unknown is null, never a number that looks measured. A quantity with
uncertainty is ``{value, low, high}``, an 80 % interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from advisor.objective import Objective
from advisor.profile import MeasuredSoftware, Profile
from advisor.quantity import Model, Quantity


class Document(Model):
    """Base of documents that carry their schema id under the key ``schema``."""

    model_config = ConfigDict(**(Model.model_config | {"populate_by_name": True, "serialize_by_alias": True}))


class MemoryDocument(Model):
    """Device memory on the fullest GPU, in GiB, by part. ``required_gib`` is what the whole device must offer."""

    required_gib: Quantity
    available_gib: float
    """What the driver leaves to one process on this device."""
    parameters_gib: float
    gradients_gib: float
    optimizer_gib: float
    activations_gib: float
    """Saved for backward; the KV cache in inference."""
    temporary_gib: float
    """Largest temporary: logits and their gradient, gathered parameters, the optimizer's buffer."""
    overhead_gib: float
    """Context, workspaces, communication buffers and fragmentation."""
    margin_gib: float
    """Kept free on purpose; never scaled with the card."""
    allocated_gib: float
    """What ``torch.cuda.max_memory_allocated`` would show: all parts without overhead and margin."""


class ShardingDocument(Model):
    """How the GPUs share the work."""

    strategy: Literal["none", "ddp", "zero1", "zero2", "fsdp"]
    data: int
    tensor: int
    pipeline: int


class PlanDocument(Model):
    """How the job runs on the GPUs: what the user fixed, and what was chosen for the rest."""

    precision: str
    weight_precision: str
    """Format in which the frozen or served weights are held."""
    micro_batch: int
    gradient_accumulation: int
    global_batch: int
    checkpointing: Literal["none", "selective", "full"]
    attention: Literal["eager", "flash"] | None
    """Null where the model has no attention."""
    sharding: ShardingDocument


class BreakdownDocument(Model):
    """Time of one step by kind of operator."""

    kind: str
    time_s: float
    share: float


class OutlayDocument(Model):
    """What has been spent on all GPUs after some hours of use."""

    hours: float
    buy_usd: float | None
    """The purchase, and electricity so far."""
    rent_usd: float | None


class FlipDocument(Model):
    """Where one assumption, all others as they are, makes owning and renting cost the same."""

    assumption: Literal[
        "hours_per_week", "rent_usd_per_gpu_h", "purchase_usd_per_gpu", "horizon_years", "residual_share",
        "electricity_usd_per_kwh",
    ]  # fmt: skip
    current: float
    flips_at: float
    buy_when: Literal["above", "below"]
    message: str


class BreakEvenDocument(Model):
    """Hours of use after which owning costs less, and the interval that holds them with a probability of 80 %."""

    value: float
    low: float
    high: float | None
    """Null is never: where rents are at the lower end of what is asked, electricity costs as much."""


class CostDocument(Model):
    """Money, in US dollars. Null is "not known", with the reason among the warnings."""

    purchase_usd: float | None
    """All GPUs, with the machines around them where these are counted (``host_usd``)."""
    purchase_price: str | None
    """Kind, date and source of the purchase price."""
    purchase_unverified: str | None = None
    """Why the purchase price is a guess; null where it has a source."""
    host_usd: float | None = None
    """The machines around the GPUs, a part of ``purchase_usd``; null where they are not counted."""
    host: str | None = None
    residual_usd: float | None = None
    """What the purchase still fetches at the end of the horizon."""
    power_usd: float | None
    """Electricity of this job at the wall, PUE included."""
    idle_power_usd: float | None = None
    """Electricity of the idle hours that come with this job's hours of use."""
    rent_usd: float | None
    """Renting the GPUs for this job, on demand, or spot where the workload says so; the shortest rental at least."""
    spot_usd: float | None = None
    """Renting interruptible instances for this job, what interruptions add included."""
    rent_usd_per_gpu_h: float | None
    rent_usd_per_h: float | None = None
    """Renting all the GPUs for an hour of use: whole instances, with what interruptions of spot add."""
    rent_price: str | None
    spot_price: str | None = None
    owned_usd: float | None
    """This job's share of the purchase less residual value over the horizon, plus its power."""
    owned_usd_per_h: float | None = None
    owned_usd_per_year: float | None = None
    """At the hours of use of ``economics``; likewise ``rent_usd_per_year``, of jobs of this length."""
    rent_usd_per_year: float | None = None
    total_usd: float | None
    """The cheaper of owning and renting among the ways allowed: what one run of the job costs."""
    total_by: Literal["buy", "rent"] | None
    total_interval_usd: Quantity | None = None
    """The total at both ends of the time; prices are taken as they are."""
    within_budget: tuple[Literal["buy", "rent"], ...] | None = None
    """Ways whose outlay is within the budget; null where there is none."""
    usd_per_1k_samples: float | None = None
    """By the way of the total; likewise ``usd_per_1m_tokens``."""
    usd_per_1m_tokens: float | None = None
    break_even_h: float | None
    """Hours of use, in jobs of this length, after which owning costs less than renting."""
    break_even: BreakEvenDocument | None = None
    """The same, with what both prices may really be."""
    flips: tuple[FlipDocument, ...] = ()
    """Which assumption turns buying into renting or the other way round, and where; in a ranking for its first row."""
    electricity_kwh: Quantity | None = None
    """What ``power_usd`` and ``idle_power_usd`` pay for: GPUs and hosts at the wall, PUE and idle hours included."""
    carbon_kg: Quantity | None = None
    """Greenhouse gases of ``electricity_kwh`` from the country's grid, in kg of CO2 equivalents."""
    over_time: tuple[OutlayDocument, ...] = ()
    """Buying against renting up to the hours that bought hardware works over its horizon; not in a ranking."""
    prices_as_of: str | None
    """Date of the oldest price that counts."""


class OperatorPointDocument(Model):
    """All operators of one kind in one part of a step, without what activation checkpointing runs again."""

    kind: str
    part: Literal["forward", "backward", "optimizer", "prompt", "token"]
    """``prompt`` and ``token`` where a model generates."""
    flops: float
    """Of all micro-batches of a step (all tokens of a sequence) on one GPU."""
    moved_bytes: float
    time_s: float
    """Of the kernels alone."""
    intensity_flop_per_byte: float
    tflops: float
    """What the device reaches on them, in TFLOP/s."""


class RooflineDocument(Model):
    """The limits of one GPU, and where the operators of the workload lie under them (Williams et al. 2009)."""

    precision: str
    peak_tflops: float
    """Dense rate in the plan's precision."""
    bandwidth_gb_s: float
    ridge_flop_per_byte: float
    """Intensity from which the peak and not the memory is the limit."""
    operators: tuple[OperatorPointDocument, ...]
    """Those that compute, the longest first."""


class EvidenceDocument(Model):
    """A published measurement near to the question, with what this model predicts for it."""

    source: str
    gpu: str
    count: int = 1
    model: str
    measured: float
    predicted: float
    unit: str
    similarity: str
    date: str | None = None


class WhatIfDocument(Model):
    """The nearest configuration that would fit."""

    change: str
    required_gib: float


class CpuDocument(Model):
    """The same workload on one processor: what GPUs are measured against.

    Where it cannot run there, ``reason`` says why and the rest is null.
    """

    cpu: str
    name: str
    local: bool
    """Whether it is the processor of this machine."""
    precision: str | None
    step_time_s: Quantity | None
    samples_per_s: Quantity | None
    total_time_h: Quantity | None
    reason: str | None = None


class CalibrationDocument(Model):
    """The calibration behind an estimate: of this very device, or of a relative."""

    profile: str
    """Name of the profile; ``gpu-advisor calibrate show`` shows it."""
    date: str
    measured: str
    """Name of the device that was measured."""
    relation: Literal["this GPU", "this processor", "same architecture", "same vendor"]
    weight: float
    """Power of the measured factors that counts here; 1 where this device was measured."""
    warnings: tuple[str, ...]


class EstimateDocument(Model):
    """Memory, time and cost of one workload on a number of one GPU.

    Where nothing fits, ``fits`` is false, ``memory`` is that of the smallest plan, and times and costs are null.
    """

    gpu: str
    name: str
    count: int
    fits: bool
    memory: MemoryDocument
    plan: PlanDocument
    step_time_s: Quantity | None
    samples_per_s: Quantity | None
    tokens_per_s: Quantity | None
    total_time_h: Quantity | None
    time_to_first_token_s: Quantity | None = None
    time_per_output_token_s: Quantity | None = None
    output_tokens_per_s: Quantity | None = None
    speedup_over_cpu: Quantity | None = None
    """How many times more samples a second than the processor under ``cpu``."""
    mfu: float | None = None
    """Model FLOPs over dense peak FLOPs in the plan's precision."""
    power_w: float | None = None
    """Expected average draw of all GPUs."""
    energy_kwh: Quantity | None
    """What the GPUs themselves use in this job; ``cost.electricity_kwh`` is what is paid for."""
    samples_per_s_per_w: float | None = None
    """Performance per watt of that draw."""
    samples_per_s_per_1000_usd: float | None = None
    """What ``--for value`` maximises: throughput, at the upper end of times, for $1,000 of purchase; where no price to
    buy is known (``cost.purchase_usd`` is null), of 1,000 hours of rent."""
    bottleneck: str | None
    breakdown: tuple[BreakdownDocument, ...]
    roofline: RooflineDocument | None = None
    """Null in a ranking, and where nothing fits or nothing is counted in FLOPs."""
    cost: CostDocument
    evidence: tuple[EvidenceDocument, ...]
    fitted_on: Literal["both", "gpu", "family", "neither"] | None = None
    """Whether published runs on this GPU, of this family of models, both or neither stand behind the times; the less,
    the wider their intervals. Null where times rest on constants of a library for learners."""
    calibration: CalibrationDocument | None = None
    """Null where shipped constants alone count."""
    would_fit: tuple[WhatIfDocument, ...] = ()
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]


class RecommendationDocument(EstimateDocument):
    """An estimate with its place in the ranking."""

    rank: int
    pareto: bool
    """True when no other answer is both faster and cheaper."""
    reasons: tuple[str, ...]


class ExcludedDocument(Model):
    """A GPU that is not among the recommendations, and why."""

    gpu: str
    name: str
    count: int | None = None
    reason: str
    constraint: str
    """Which constraint excluded it: memory, precision, budget, deadline, power, vendor, segment, ecc, ..."""


class PickDocument(Model):
    """An answer that people ask for by name, with its place in the whole ranking."""

    label: Literal["best to rent", "best to buy", "cheapest to buy", "fastest"]
    gpu: str
    name: str
    count: int
    total_time_h: float | None
    purchase_usd: float | None
    purchase_unverified: str | None = None
    rent_usd: float | None
    """Renting the GPUs for this job."""
    rent_usd_per_h: float | None
    """Renting all these GPUs for an hour."""
    rank: int


class RelaxDocument(Model):
    """What to change so that there is an answer."""

    constraint: str
    current: float | str | None
    needed: float | str
    message: str
    gpu: str | None = None


class EstimateAnswer(Document):
    """What ``estimate --json`` writes."""

    schema_: Literal["gpu-advisor/estimate/1"] = Field(default="gpu-advisor/estimate/1", alias="schema")
    workload: Mapping[str, Any]
    estimates: tuple[EstimateDocument, ...]
    cpu: CpuDocument | None = None
    warnings: tuple[str, ...] = ()


class RecommendAnswer(Document):
    """What ``recommend --json`` writes."""

    schema_: Literal["gpu-advisor/recommend/1"] = Field(default="gpu-advisor/recommend/1", alias="schema")
    workload: Mapping[str, Any]
    objective: Objective
    objective_explained: str
    recommendations: tuple[RecommendationDocument, ...]
    picks: tuple[PickDocument, ...]
    shown: int
    qualified: int
    """Answers that satisfy all constraints; the best ``shown`` of them are listed."""
    excluded: tuple[ExcludedDocument, ...]
    relax: tuple[RelaxDocument, ...]
    cpu: CpuDocument | None = None
    warnings: tuple[str, ...] = ()


class RatioDocument(Model):
    """One estimate relative to the first of a comparison; 2.0 under ``speed`` means twice as fast."""

    gpu: str
    count: int
    speed: float | None
    memory: float | None
    energy: float | None
    total_cost: float | None


class CompareAnswer(Document):
    """What ``compare --json`` writes."""

    schema_: Literal["gpu-advisor/compare/1"] = Field(default="gpu-advisor/compare/1", alias="schema")
    workload: Mapping[str, Any]
    estimates: tuple[EstimateDocument, ...]
    ratios: tuple[RatioDocument, ...]
    cpu: CpuDocument | None = None
    warnings: tuple[str, ...] = ()


class CompatibilityDocument(Model):
    """A remark on whether a device works with software, or in a machine."""

    topic: str
    level: Literal["works", "caution", "blocked"]
    text: str
    source: str
    unverified: bool


class GpuDocument(Model):
    """One entry of the catalog, as ``gpus --json`` lists it."""

    id: str
    name: str
    kind: str
    vendor: str
    architecture: str
    segment: str
    released: str | None
    memory_gib: float
    available_gib: float
    bandwidth_gb_s: float
    fp32_tflops: float
    tensor_tflops: Mapping[str, float]
    """Dense rate with the accumulate mode that training needs, by number format."""
    tdp_w: float
    purchase_usd: float | None
    purchase_price: str | None
    purchase_unverified: str | None = None
    """Why the price is a guess; null where it has a source."""
    rent_usd_per_gpu_h: float | None
    rent_price: str | None
    prices_as_of: str | None = None
    """Date of the older of the two prices."""
    origin: str
    overrides: bool
    entry: Mapping[str, Any] | None = None
    """The whole catalog entry with the source of each number (``gpus show``)."""
    compatibility: tuple[CompatibilityDocument, ...] = ()
    """Where it works, the gravest first (``gpus show``)."""


class GpuAnswer(Document):
    """What ``gpus --json`` writes."""

    schema_: Literal["gpu-advisor/gpu/1"] = Field(default="gpu-advisor/gpu/1", alias="schema")
    gpus: tuple[GpuDocument, ...]


class ModelDocument(Model):
    """One shipped model, as ``models --json`` lists it."""

    name: str
    family: str
    kind: str
    parameters: int
    active_parameters: int
    parameters_source: str
    sequence_length: int | None
    sample: str | None = None
    """What one sample of a traced network is."""
    aliases: tuple[str, ...] = ()
    dimensions: Mapping[str, Any] | None = None


class ModelAnswer(Document):
    """What ``models --json`` writes."""

    schema_: Literal["gpu-advisor/model/1"] = Field(default="gpu-advisor/model/1", alias="schema")
    models: tuple[ModelDocument, ...]


class StoredCalibrationDocument(Model):
    """One profile of this user or team."""

    name: str
    file: str
    device: str
    gpu: str | None
    """Id for ``--gpu``: of the catalog, or of the device that the profile stands for; null where it stands for none."""
    date: str
    mode: Literal["quick", "full", "collectives"]
    complete: bool
    tests: int
    collectives: int
    torch: str
    driver: str | None
    used: bool
    """Whether estimates use it: the newest of its device."""
    cautions: tuple[str, ...]


class CalibrationFactorDocument(Model):
    """How one kind of work on the device differs from what the shipped constants predict."""

    what: str
    factor: float
    """Measured over predicted time; 1.2 is a fifth slower."""


class CalibrationsAnswer(Document):
    """What ``calibrate show --json`` writes."""

    schema_: Literal["gpu-advisor/calibrations/1"] = Field(
        default="gpu-advisor/calibrations/1", alias="schema"
    )
    calibrations: tuple[StoredCalibrationDocument, ...]
    profile: Profile | None = None
    """The whole profile where one was named."""
    factors: tuple[CalibrationFactorDocument, ...] = ()
    messages: tuple[str, ...] = ()


class CheckedDocument(Model):
    """One figure predicted and measured."""

    key: Literal["step_time_s", "allocated_gib", "process_gib", "power_w"]
    """Name for scripts."""
    what: str
    unit: str
    predicted: Quantity | None
    without_calibration: float | None = None
    measured: float
    error: float | None
    """Predicted over measured, less 1."""
    inside: bool | None
    """Whether the measured figure lies in the interval; null where there is none."""


class CheckAnswer(Document):
    """What ``calibrate --check --json`` writes: a workload that was really run, beside its estimate."""

    schema_: Literal["gpu-advisor/check/1"] = Field(default="gpu-advisor/check/1", alias="schema")
    workload: Mapping[str, Any]
    date: str
    gpu: str
    name: str
    device: str
    """As torch calls it."""
    plan: PlanDocument
    software: MeasuredSoftware
    steps: int
    stable: bool
    figures: tuple[CheckedDocument, ...]
    calibration: CalibrationDocument | None
    warnings: tuple[str, ...] = ()


class PlaceDocument(Model):
    """What exactly is wrong with an input."""

    code: int
    kind: Literal["input", "outside", "missing-extra"]
    message: str
    source: str | None = None
    line: int | None = None
    field: str | None = None
    value: str | None = None
    accepted: str | None = None
    candidates: tuple[str, ...] = ()
    hint: str | None = None


class ErrorAnswer(Document):
    """A bad line of ``estimate --jsonl`` answers this in its place."""

    error: PlaceDocument
