"""From a candidate to the document of its estimate: parts of memory, intervals, breakdown, costs, words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from advisor.candidates import Candidate
from advisor.cost_answers import PriceTags, cost_document, described
from advisor.documents import (
    BreakdownDocument,
    CalibrationDocument,
    EstimateDocument,
    EvidenceDocument,
    MemoryDocument,
    PlanDocument,
    ShardingDocument,
    WhatIfDocument,
)
from advisor.economics import hours_of_use
from advisor.estimation.devices import constants_of, context_mib
from advisor.estimation.interval import combined
from advisor.estimation.memory import memory_interval
from advisor.estimation.network import GPUS_PER_NODE
from advisor.estimation.step import training_step_s
from advisor.estimation.time import MATRIX_KINDS
from advisor.execution import (
    CHECKPOINTING,
    CalibrationConstants,
    Constants,
    DeviceCalibration,
    Evidence,
    IntervalConstants,
    SubjectKind,
    pace_key,
    version_key,
)
from advisor.hardware import Device
from advisor.operators import Kind
from advisor.plan import is_compact
from advisor.problem import Problem, precision_of, weight_format
from advisor.quantity import Quantity
from advisor.suitability import Suitability
from advisor.units import GIB
from advisor.workload import Precision

COMMUNICATION = "communication and bubbles"
LAUNCHES = "kernel launches"

LOAD_SHARE_FOR_BOUND = 0.5
"""A kind of cost that takes at least this share of a step is named as what bounds it."""


def time_spread(
    problem: Problem, device: Device, count: int, constants: Constants, evidence: Evidence | None = None
) -> float:
    """Return the multiplicative 80 % spread of times.

    Args:
        problem: what is run.
        device: on which GPU.
        count: on how many.
        constants: with the spreads.
        evidence: what the constants have seen of the GPU and the model; None to look it up.
    """
    own = problem.subject.spread(device.kind == "cpu")
    if own is not None:
        return own
    intervals = constants.intervals
    kind = problem.subject.evidence_kind
    gpus = "one" if count == 1 else "node" if count <= GPUS_PER_NODE else "nodes"
    task = "training" if problem.training else "inference"
    seen = evidence or evidence_for(device.id, problem.subject.evidence_family, intervals)
    shipped = combined(intervals.spread(kind, task, gpus, seen), constants_of(device, constants).spread)
    calibration = constants.calibrations.get(device.id)
    if calibration is not None and not _measured_in(calibration, precision_of(problem, device)):
        calibration = None
    spreads = [_calibrated(shipped, calibration, kind, count, constants.calibration)]
    if problem.subject.experts:
        spreads.append(intervals.mixture_of_experts)
    return combined(*spreads)


def _calibrated(
    shipped: float,
    calibration: DeviceCalibration | None,
    kind: SubjectKind,
    count: int,
    constants: CalibrationConstants,
) -> float:
    """Return the spread that a calibration leaves of the shipped one.

    On the measured device alone it is the calibration's own. Elsewhere the calibration takes away the part of the
    variance that a factor of the device explains, as far as it counts there: what a measurement of a variable leaves of
    another one that correlates with it by ``weight`` is ``1 - weight ** 2`` of its variance.
    """
    if calibration is None or not calibration.pace:
        return shipped
    if calibration.weight == 1.0 and count == 1:
        return calibration.spread.get(kind, constants.spread)
    return float(shipped ** math.sqrt(1 - constants.device_share * calibration.weight**2))


def _calibration(device: Device, constants: Constants) -> CalibrationDocument | None:
    found = constants.calibrations.get(device.id)
    if found is None:
        return None
    return CalibrationDocument(
        profile=found.profile, date=found.date, measured=found.measured, relation=found.relation,
        weight=found.weight, warnings=found.warnings,
    )  # fmt: skip


def _fitted_on(problem: Problem, device: Device, constants: Constants) -> Evidence | None:
    if problem.subject.spread(device.kind == "cpu") is not None:
        return None
    return evidence_for(device.id, problem.subject.evidence_family, constants.intervals)


def evidence_for(gpu: str, family: str, intervals: IntervalConstants) -> Evidence:
    """Return what the constants have seen of a GPU and of a family of models."""
    if gpu in intervals.gpus:
        return "both" if family in intervals.families else "gpu"
    return "family" if family in intervals.families else "neither"


def memory_document(candidate: Candidate, constants: Constants) -> MemoryDocument:
    """Return the memory of a candidate's plan by part, in GiB."""
    search = candidate.team.search
    parts = search.memory(candidate.layout)
    where = _place_in(candidate)
    context = context_mib(candidate.device, constants) * 2**20
    fixed = (parts.parameters + float(parts.gradients[where]) + parts.optimizer + context) / GIB
    reserved = (float(parts.reserved[where]) + context) / GIB
    available = (candidate.available_bytes + context) / GIB
    margin = float(parts.margin[where]) / GIB
    low, high = memory_interval(fixed, max(reserved - fixed, 0.0), constants.memory, traced=parts.traced)
    return MemoryDocument(
        required_gib=Quantity(
            value=reserved + margin,
            low=min(low, reserved),
            high=max(high, reserved + margin),
        ),
        available_gib=available,
        parameters_gib=parts.parameters / GIB,
        gradients_gib=float(parts.gradients[where]) / GIB,
        optimizer_gib=parts.optimizer / GIB,
        activations_gib=float(parts.activations[where]) / GIB,
        temporary_gib=float(parts.temporary[where]) / GIB,
        overhead_gib=(float(parts.overhead[where]) + context) / GIB,
        margin_gib=margin,
        allocated_gib=float(parts.allocated[where]) / GIB,
    )


def plan_document(problem: Problem, candidate: Candidate) -> PlanDocument:
    """Return the plan in words and numbers."""
    layout = candidate.layout
    precision = candidate.team.precisions[candidate.index]
    replicas = candidate.micro_batch * layout.data if problem.training else candidate.micro_batch
    return PlanDocument(
        precision=precision,
        weight_precision=weight_format(problem, precision, candidate.device),
        micro_batch=candidate.micro_batch if problem.training else candidate.micro_batch // layout.data,
        gradient_accumulation=max(1, round(candidate.samples / replicas)),
        global_batch=round(candidate.samples),
        checkpointing=candidate.checkpointing,
        attention=candidate.team.attention if problem.subject.has_attention else None,
        sharding=ShardingDocument(
            strategy=layout.strategy, data=layout.data, tensor=layout.tensor, pipeline=layout.pipeline
        ),
    )


def breakdown(
    problem: Problem, candidate: Candidate, constants: Constants
) -> tuple[tuple[BreakdownDocument, ...], float]:
    """Return the time of one step by kind of operator, and the share of it in products that wait for memory.

    What no kernel explains is launching, the network or a bubble.
    """
    search, layout = candidate.team.search, candidate.layout
    scale = float(search.group.software.overhead) / layout.pipeline
    place = (candidate.index, *_place_in(candidate))
    total: dict[str, float] = {}
    streaming = 0.0
    for found, times in zip(search.kind_times(layout), candidate.runs(), strict=True):
        passed = times * found.step[:, *place] + found.once[:, candidate.index] / layout.shards
        for kind, value in zip(found.kinds, passed.tolist(), strict=True):
            total[kind.label] = total.get(kind.label, 0.0) + value * scale
        streaming += times * float(found.streaming[place]) * scale
    rest = candidate.step_s - sum(total.values())
    traffic = min(_communication_s(problem, candidate, constants), max(rest, 0.0))
    for label, seconds in ((COMMUNICATION, traffic), (LAUNCHES, rest - traffic)):
        if seconds > 0.001 * candidate.step_s:
            total[label] = seconds
    rows = [
        BreakdownDocument(kind=label, time_s=seconds, share=min(seconds / candidate.step_s, 1.0))
        for label, seconds in total.items()
        if seconds > 0.0005 * candidate.step_s
    ]
    return tuple(sorted(rows, key=lambda row: -row.time_s)), streaming / candidate.step_s


def _communication_s(problem: Problem, candidate: Candidate, constants: Constants) -> float:
    """Return seconds by which communication and pipeline bubbles lengthen a step; all that waits when several serve."""
    if candidate.count == 1:
        return 0.0
    if not problem.training:
        return math.inf
    search, layout = candidate.team.search, candidate.layout
    steps = candidate.samples / (search.micro * layout.data)
    parts = search.parts(layout, steps)
    nothing = np.zeros(1)
    alone = replace(parts, tensor_traffic=nothing, shard_traffic=nothing, reduce_traffic=nothing)
    software = search.group.software
    seconds = np.broadcast_to(
        training_step_s(alone, software.overhead, constants.network),
        (len(search.group.available), len(search.micro), len(CHECKPOINTING)),
    )
    micro, checkpointing = _place_in(candidate)
    own = float(seconds[candidate.index, micro, checkpointing])
    accumulation = float(steps[micro])
    bubbles = (layout.pipeline - 1) / (accumulation + layout.pipeline - 1)
    return candidate.step_s - own * (1 - bubbles)


def _place_in(candidate: Candidate) -> tuple[int, int]:
    """Return where a candidate's micro-batch and checkpointing stand among those that were tried."""
    micro = int(np.flatnonzero(candidate.team.search.micro == candidate.micro_batch)[0])
    return micro, CHECKPOINTING.index(candidate.checkpointing)


def bottleneck(candidate: Candidate, rows: Sequence[BreakdownDocument], streaming: float) -> str:
    """Return in words what limits the speed; ``streaming`` is the share of products that wait for memory."""
    shares = {row.kind: row.share for row in rows}
    waiting = shares.get(COMMUNICATION, 0.0)
    launches = shares.get(LAUNCHES, 0.0)
    if launches >= 0.25:
        return f"launch-bound: the host starts kernels more slowly than the GPU runs them ({launches:.0%} of the step)"
    if waiting >= 0.25:
        return f"communication between GPUs and pipeline bubbles ({waiting:.0%} of the step)"
    labels = {kind.label for kind in MATRIX_KINDS}
    matrix = sum(share for kind, share in shares.items() if kind in labels)
    if streaming >= LOAD_SHARE_FOR_BOUND:
        return f"memory bandwidth: reading the weights and the cache ({streaming:.0%} of the step)"
    if matrix >= LOAD_SHARE_FOR_BOUND:
        attention = shares.get("attention", 0.0)
        if attention > matrix / 2:
            return f"attention ({attention:.0%} of the step)"
        return f"matrix products ({matrix:.0%} of the step)"
    histograms = shares.get(Kind.HISTOGRAM.label, 0.0)
    if histograms >= LOAD_SHARE_FOR_BOUND:
        return f"adding rows to histograms, as fast as the multiprocessors can ({histograms:.0%} of the step)"
    rest = 1 - matrix - waiting - launches
    return f"memory bandwidth: operators that move more than they compute ({rest:.0%} of the step)"


def estimate_document(
    problem: Problem,
    candidate: Candidate,
    tags: PriceTags,
    constants: Constants,
    *,
    suitability: Suitability,
    evidence: tuple[EvidenceDocument, ...] = (),
    would_fit: tuple[WhatIfDocument, ...] = (),
) -> EstimateDocument:
    """Return everything that is said about one candidate."""
    memory = memory_document(candidate, constants)
    common = {
        "gpu": candidate.device.id,
        "name": candidate.device.name,
        "count": candidate.count,
        "fits": candidate.fits,
        "memory": memory,
        "plan": plan_document(problem, candidate),
        "cost": cost_document(problem, candidate, tags, _total_time(problem, candidate, constants)),
        "evidence": evidence,
        "fitted_on": _fitted_on(problem, candidate.device, constants),
        "calibration": _calibration(candidate.device, constants),
        "would_fit": would_fit,
        "assumptions": (*problem.assumptions, *_assumptions(problem, candidate, constants)),
        "warnings": (
            *warnings(problem, candidate, memory, tags, constants),
            *suitability.warnings(candidate.device, candidate.count),
        ),
    }
    if not candidate.fits:
        nothing = dict.fromkeys(
            ("step_time_s", "samples_per_s", "tokens_per_s", "total_time_h", "energy_kwh", "bottleneck")
        )
        return EstimateDocument(**common, **nothing, breakdown=())
    step = Quantity.spread(
        candidate.step_s, time_spread(problem, candidate.device, candidate.count, constants)
    )
    group, layout = candidate.team.search.group, candidate.layout
    description = group.describe(layout.tensor, is_compact(layout) if problem.training else False)
    samples_per_s = step.inverse(candidate.samples * problem.subject.samples_in_one)
    total = _total_time(problem, candidate, constants)
    rows, streaming = breakdown(problem, candidate, constants)
    tokens = description.tokens_per_sample + (group.new_tokens if problem.generates else 0)
    peak = float(group.rates.peak_flops[candidate.index])
    flops = description.table.flops(candidate.micro_batch) * candidate.samples / candidate.micro_batch
    has_tokens = problem.subject.counts_tokens
    return EstimateDocument(
        **common,
        step_time_s=step,
        samples_per_s=samples_per_s,
        tokens_per_s=samples_per_s.scaled(tokens) if has_tokens else None,
        total_time_h=total,
        **(_generation(problem, candidate, constants) if problem.generates else {}),
        mfu=None
        if problem.generates or flops == 0 or problem.subject.steps is not None
        else min(1.0, flops * layout.tensor / (candidate.step_s * peak * candidate.count)),
        power_w=candidate.power_w,
        samples_per_s_per_w=samples_per_s.value / candidate.power_w,
        energy_kwh=None if total is None else total.scaled(candidate.power_w / 1000),
        bottleneck=bottleneck(candidate, rows, streaming),
        breakdown=rows,
    )


def _total_time(problem: Problem, candidate: Candidate, constants: Constants) -> Quantity | None:
    """Return the hours of the whole job; None where its length is not known, or nothing fits."""
    steps = problem.steps_of(candidate.samples) if candidate.fits else None
    if steps is None:
        return None
    spread = time_spread(problem, candidate.device, candidate.count, constants)
    return Quantity.spread(candidate.step_s, spread).scaled(steps / 3600)


def _generation(problem: Problem, candidate: Candidate, constants: Constants) -> dict[str, Quantity]:
    prompt, token = candidate.team.search.serving_times(candidate.layout)
    spread = time_spread(problem, candidate.device, candidate.count, constants)
    each = Quantity.spread(float(token[candidate.index, 0]), spread)
    return {
        "time_to_first_token_s": Quantity.spread(float(prompt[candidate.index, 0]), spread),
        "time_per_output_token_s": each,
        "output_tokens_per_s": each.inverse(problem.workload.inference.batch),
    }


def _assumptions(problem: Problem, candidate: Candidate, constants: Constants) -> list[str]:
    workload = problem.workload
    found = problem.subject.assumptions(workload, candidate.device.kind == "cpu")
    framework = workload.software.framework
    if framework.lower() not in constants.software.ages:
        found.append(
            f"{framework} is taken to be as fast as current PyTorch: no published run says otherwise"
        )
    if candidate.count > GPUS_PER_NODE:
        found.append(f"nodes of {GPUS_PER_NODE} GPUs with the usual network of their segment")
    calibration = constants.calibrations.get(candidate.device.id)
    if calibration is not None:
        found.append(_said_of(calibration))
    return found


def _said_of(calibration: DeviceCalibration) -> str:
    """Return in words which calibration counts, and how far."""
    profile = f"profile {calibration.profile}, {calibration.measured}, {calibration.date}"
    if not calibration.pace:
        return f"links between GPUs as measured ({profile})"
    if calibration.weight == 1.0:
        return f"calibrated on {calibration.relation} ({profile})"
    return (
        f"shifted by the calibration of a device of the {calibration.relation} ({profile}): "
        f"its factors to the power {calibration.weight:g}"
    )


def _measured_in(calibration: DeviceCalibration, precision: Precision) -> bool:
    """Say whether products were measured in a precision, where anything but links was."""
    return not calibration.pace or pace_key(Kind.GEMM, False, precision) in calibration.pace


def _calibration_warnings(problem: Problem, device: Device, constants: Constants) -> list[str]:
    calibration = constants.calibrations.get(device.id)
    if calibration is None:
        return []
    found = [f"calibration: {warning}" for warning in calibration.warnings]
    precision = precision_of(problem, device)
    if not _measured_in(calibration, precision):
        found.append(
            f"calibration: {precision} was not measured; products count as the shipped constants say"
        )
    software = problem.workload.software
    wanted = software.version
    if software.framework.lower() != "pytorch":
        found.append(f"calibration: it was measured with PyTorch, not {software.framework}")
    elif wanted is not None and version_key(wanted)[:2] != version_key(calibration.torch)[:2]:
        found.append(f"calibration: it was measured with torch {calibration.torch}, not {wanted}")
    return found


def warnings(
    problem: Problem, candidate: Candidate, memory: MemoryDocument, tags: PriceTags, constants: Constants
) -> tuple[str, ...]:
    """Return what the reader should know before relying on an estimate."""
    device = candidate.device
    found = [f"catalog: {doubt}" for doubt in device.doubts]
    found += _calibration_warnings(problem, device, constants)
    if candidate.fits:
        if memory.required_gib.high > memory.available_gib:
            found.append(
                "memory: it may not fit, the interval of what is needed goes beyond what is available"
            )
        if problem.has_length and candidate.hours > hours_of_use(candidate.terms):
            found.append("the job takes longer than bought hardware works over its horizon (economics)")
    precision = candidate.team.precisions[candidate.index]
    if problem.training and precision == "fp16":
        found.append("fp16 needs loss scaling; models pretrained in bf16 can overflow in it")
    if precision == "fp16" and device.tensor is None and device.kind == "gpu":
        found.append("no tensor cores: 16-bit saves memory but not time")
    if device.segment == "laptop":
        found.append("laptop GPUs are sold with power limits that differ by a factor of two: measure")
    if candidate.count > 1 and not device.links.nvlink_gb_s and device.segment == "consumer":
        found.append(f"{candidate.count} cards exchange data over PCIe through the host's memory")
    if device.overrides:
        found.append(f"the catalog entry was replaced by {device.origin}")
    elif device.origin != "catalog":
        found.append(f"the catalog entry comes from {device.origin}")
    found += [f"old price: {text}" for text in tags.old]
    if tags.purchase is None:
        found.append("purchase price not known; prices import takes your quotes")
    elif tags.purchase.kind in ("used", "launch") and not tags.old:
        found.append(f"purchase price is {described(tags.purchase)}")
    if tags.rent is None:
        found.append("no rental offer known")
    elif candidate.count % tags.rent.gpus_per_instance:
        found.append(f"rented only in instances of {tags.rent.gpus_per_instance} GPUs")
    return tuple(found)
