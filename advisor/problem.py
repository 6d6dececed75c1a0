"""From a workload to the problem that the plan search solves: defaults filled in, devices grouped by format."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from advisor.describe.optimizers import OPTIMIZERS
from advisor.describe.subject import Demand, Pass, Subject
from advisor.describe.variant import QUANTISED_BYTES, Variant
from advisor.errors import InputError
from advisor.estimation.devices import (
    automatic_precision,
    available_bytes,
    constants_of,
    context_mib,
    device_rates,
    half_precision,
    unsupported,
)
from advisor.estimation.memory import Precisions
from advisor.estimation.network import links
from advisor.estimation.time import SoftwareSpeed
from advisor.execution import Constants, Layout, SoftwareAge, SoftwareConstants, StepKind
from advisor.hardware import Device
from advisor.operators import Description
from advisor.plan import Freedom, Group, Search, is_compact
from advisor.workload import Attention, Precision, Workload

SIXTEEN_BIT = ("fp16", "bf16", "fp8", "int8", "int4", "fp4", "nf4")


@dataclass(frozen=True, eq=False)
class Problem:
    """A workload with every default filled in.

    Attributes:
        workload: as the user wrote it.
        subject: the model.
        sequence_length: tokens of one sample.
        freedom: what the plan search may choose.
        samples: samples of the whole job, None where the user gave steps or no amount.
        steps: steps of the whole job, None where the user gave no steps.
        assumptions: every default that was filled in, in words.
    """

    workload: Workload
    subject: Subject
    sequence_length: int
    freedom: Freedom
    samples: float | None
    steps: float | None
    assumptions: tuple[str, ...]

    @property
    def has_length(self) -> bool:
        """Whether the user said how long the job is."""
        return self.samples is not None or self.steps is not None

    def steps_of(self, samples_per_step: float) -> float | None:
        """Return the steps of the whole job, None where its length is not known."""
        return self.steps if self.samples is None else self.samples / samples_per_step

    @property
    def training(self) -> bool:
        """Whether the job trains."""
        return self.freedom.training

    @property
    def generates(self) -> bool:
        """Whether inference produces tokens one by one."""
        return not self.training and self.subject.generates and self.workload.inference.new_tokens > 0


def problem_of(workload: Workload, subject: Subject) -> Problem:
    """Return the workload with its defaults filled in and named.

    Raises:
        InputError: fields of the workload contradict the model.
    """
    assumptions: list[str] = []
    training = workload.effective_task != "inference"
    subject.check(workload)
    length = subject.sequence_length(workload, assumptions)
    if not training and workload.sharding in ("ddp", "zero1", "zero2", "fsdp"):
        raise InputError(
            "this way of sharding is for training",
            field="sharding",
            value=workload.sharding,
            accepted="auto, none, or {data: ..., tensor: ..., pipeline: ...}",
        )
    batch, fixed = _global_batch(workload, subject, length, assumptions)
    checkpointing = None if workload.checkpointing == "auto" else workload.checkpointing
    sharding = None if workload.sharding == "auto" else workload.sharding
    freedom = Freedom(
        global_batch=batch,
        global_is_fixed=fixed,
        micro_batch=None if workload.batch.micro == "auto" else workload.batch.micro,
        checkpointing=checkpointing if training and subject.can_checkpoint else "none",
        sharding=sharding,
        heads=subject.heads,
        layers=subject.layers,
        training=training,
        largest_micro_batch=subject.largest_micro_batch,
        splits_matrices=workload.method == "full",
    )
    steps = subject.steps if workload.data.steps is None else float(workload.data.steps)
    new_tokens = workload.inference.new_tokens if not training and subject.generates else 0
    return Problem(
        workload, subject, length, freedom, _samples(workload, length + new_tokens), steps, tuple(assumptions)
    )


def _global_batch(
    workload: Workload, subject: Subject, length: int, assumptions: list[str]
) -> tuple[int, bool]:
    """Return the samples of one step, and whether the user fixed them."""
    if workload.effective_task == "inference":
        return workload.inference.batch, True
    if subject.steps is not None:
        return 1, True
    if workload.batch.global_size is not None:
        return workload.batch.global_size, True
    batch = subject.default_batch(workload, length)
    if workload.batch.micro != "auto":
        batch = max(batch // workload.batch.micro, 1) * workload.batch.micro
    assumptions.append(f"about {batch} samples a step (batch.global not given)")
    return batch, False


def _samples(workload: Workload, tokens_per_sample: int) -> float | None:
    """Return the samples of the whole job, None where it is not given in samples or tokens."""
    data, epochs = workload.data, workload.data.epochs or 1.0
    if data.samples is not None:
        return data.samples * epochs
    return None if data.tokens is None else data.tokens * epochs / tokens_per_sample


def refusal(problem: Problem, device: Device) -> str | None:
    """Say why a device cannot run the model, or not in the precision that the user fixed; None where it can."""
    if (reason := problem.subject.refusal(device)) is not None:
        return reason
    precision = problem.workload.precision
    if precision == "auto":
        return None
    reason = unsupported(device, precision)
    if reason and precision == "bf16":
        return f"{reason}; use fp16"
    return reason


def precision_of(problem: Problem, device: Device) -> Precision:
    """Return the precision in which a device computes: the user's, or the one a practitioner would pick for it."""
    wanted = problem.subject.only_precision or problem.workload.precision
    if wanted != "auto":
        return wanted
    adapters = problem.workload.method != "full"
    return automatic_precision(device, training=problem.training, mixed_only=adapters)


def attention_of(problem: Problem, device: Device, constants: Constants) -> Attention:
    """Return the attention kernel: fused where the device has one and the model's scores carry no learned bias."""
    if problem.workload.attention != "auto":
        return problem.workload.attention
    fused = constants_of(device, constants).fused_attention
    return "flash" if fused and problem.subject.can_fuse_attention else "eager"


@dataclass(frozen=True, eq=False)
class Team:
    """Devices with the search that finds their plans; ``precisions`` and ``attention`` are for documents."""

    devices: tuple[Device, ...]
    precisions: tuple[Precision, ...]
    attention: Attention
    search: Search


def teams(problem: Problem, devices: Sequence[Device], constants: Constants) -> tuple[Team, ...]:
    """Return the devices grouped by the sizes of their formats and their attention kernel, each with its search."""
    grouped: dict[tuple[float, Attention, bool], list[tuple[Device, Precision]]] = {}
    for device in devices:
        precision = precision_of(problem, device)
        on_cpu = device.kind == "cpu"
        key = (_compute_bytes(precision), attention_of(problem, device, constants), on_cpu)
        grouped.setdefault(key, []).append((device, precision))
    found = []
    for (size, attention, on_cpu), members in grouped.items():
        own = tuple(device for device, _ in members)
        formats = tuple(precision for _, precision in members)
        group = _group(problem, own, formats, size, attention, constants, on_cpu=on_cpu)
        found.append(Team(own, formats, attention, Search(group, problem.freedom, constants)))
    return tuple(found)


def _compute_bytes(precision: Precision) -> float:
    return 2.0 if precision in SIXTEEN_BIT else 4.0


def weight_format(problem: Problem, precision: Precision, device: Device) -> str:
    """Return the format in which frozen or served weights are held."""
    if problem.workload.method == "qlora":
        return "nf4"
    if problem.training and precision == "fp8":
        return half_precision(device)
    return precision


def _quantised(problem: Problem) -> str | None:
    """Return the format of quantised weights, None where all weights are in the compute format."""
    if problem.workload.method == "qlora":
        return "nf4"
    precision = problem.workload.precision
    return precision if not problem.training and precision in QUANTISED_BYTES else None


def _group(
    problem: Problem,
    devices: tuple[Device, ...],
    precisions: tuple[Precision, ...],
    compute_bytes: float,
    attention: Attention,
    constants: Constants,
    *,
    on_cpu: bool,
) -> Group:
    workload = problem.workload
    context = np.array([context_mib(device, constants) for device in devices]) * 2**20
    available = np.array([available_bytes(device, constants) for device in devices])
    describe = _describer(problem, compute_bytes, attention, constants, on_cpu=on_cpu)
    decode: Callable[[int], Description] | None = None
    if problem.generates:
        decode = _decoder(problem, compute_bytes, constants)
    return Group(
        rates=device_rates(
            devices,
            precisions,
            constants,
            StepKind(problem.subject.evidence_kind, nhwc=workload.memory_format == "nhwc"),
        ),
        links=links(devices, constants.network, constants.calibrations),
        available=available - context,
        software=software_speed(problem, constants.software, half=compute_bytes < 4),
        describe=describe,
        decode=decode,
        precisions=_state_sizes(problem, compute_bytes, constants),
        new_tokens=workload.inference.new_tokens if problem.generates else 0,
    )


def software_speed(problem: Problem, software: SoftwareConstants, *, half: bool) -> SoftwareSpeed:
    """Return how fast framework and trainer run a problem. Serving engines replay recorded graphs.

    Args:
        problem: what is run, and with which software.
        software: the constants.
        half: whether products are in 16 bits or fewer.
    """
    workload, heavy = problem.workload, problem.subject.heavy_trainer
    tuned = workload.software.trainer == "tuned"
    age = software.age(workload.software.framework, workload.software.version)
    launch = age.launch
    if workload.compile or (heavy and workload.effective_task == "inference"):
        launch *= software.compiled_launch
    elif tuned:
        launch *= software.tuned_launch
    plain = tuned or workload.compile or not heavy
    return SoftwareSpeed(
        forward_launch=launch * (software.forward_launch if problem.training else software.inference_launch),
        backward_launch=launch * software.backward_launch,
        optimizer_launch=launch * software.optimizer_launch,
        overhead=software.tuned_overhead if plain else software.common_overhead,
        convolution=age.convolution_half if half else age.convolution_full,
        streaming=age.streaming,
    )


def _variant(
    problem: Problem,
    compute_bytes: float,
    attention: Attention,
    tensor: int,
    compact: bool,
    constants: Constants,
) -> Variant:
    workload = problem.workload
    mixed = workload.method == "full" and compute_bytes < 4 and workload.master_weights in ("auto", "fp32")
    fused = workload.compile or workload.software.trainer == "tuned"
    # Kernels for fp32 vector units read NCHW; those for tensor cores want NHWC.
    channels_last = workload.memory_format == "nhwc" or compute_bytes == 4.0
    return Variant(
        compute_bytes=compute_bytes,
        autocast=problem.training
        and mixed
        and (not compact or not problem.subject.heavy_trainer)
        and workload.software.trainer == "common",
        attention=attention,
        tensor=tensor,
        method=workload.method,
        lora_rank=workload.lora.rank,
        lora_targets=workload.lora.targets,
        quantised=_quantised(problem),
        optimizer=workload.optimizer if problem.training else "none",
        trainable_bytes=_trainable_bytes(problem, compute_bytes),
        fused=fused or not problem.training,
        fused_loss=workload.software.fused_loss,
        sequences=1 if problem.training else workload.inference.batch,
        cache_bytes=_cache_bytes(problem, compute_bytes),
        pointwise_share=constants.traced.compiled_pointwise if fused else 1.0,
        winograd=constants.traced.winograd,
        one_dimensional_rate=constants.traced.one_dimensional_rate,
        batch_norm_forward=constants.traced.batch_norm_forward if problem.training else 1.0,
        batch_norm_backward=constants.traced.batch_norm_backward,
        layout_copies=0.0 if channels_last else constants.traced.layout_copies,
        wide_group=constants.traced.wide_group if workload.memory_format == "nhwc" else math.inf,
        wide_group_rate=constants.traced.wide_group_rate,
        kept_share=_age(problem, constants).saved_activations,
        rotary_share=1.0 if fused else constants.memory.rotary_slack,
        workspace_share=constants.memory.convolution_workspace,
    )


def _age(problem: Problem, constants: Constants) -> SoftwareAge:
    software = problem.workload.software
    return constants.software.age(software.framework, software.version)


def _trainable_bytes(problem: Problem, compute_bytes: float) -> float:
    """Return the bytes in which trained weights are updated: fp32 unless the user wants none of it."""
    return compute_bytes if problem.workload.master_weights == "none" else 4.0


def _describer(
    problem: Problem, compute_bytes: float, attention: Attention, constants: Constants, *, on_cpu: bool
) -> Callable[[int, bool], Description]:
    stage: Pass = "train" if problem.training else "prefill"
    demand = replace(_demand(problem, compute_bytes), on_cpu=on_cpu)

    @cache
    def describe(tensor: int, compact: bool) -> Description:
        variant = _variant(problem, compute_bytes, attention, tensor, compact, constants)
        return problem.subject.describe(stage, demand, variant)

    return describe


def _decoder(problem: Problem, compute_bytes: float, constants: Constants) -> Callable[[int], Description]:
    demand = _demand(problem, compute_bytes)

    @cache
    def describe(tensor: int) -> Description:
        variant = _variant(problem, compute_bytes, "flash", tensor, False, constants)
        return problem.subject.describe("decode", demand, variant)

    return describe


def _demand(problem: Problem, compute_bytes: float) -> Demand:
    return Demand(
        sequence_length=problem.sequence_length,
        new_tokens=problem.workload.inference.new_tokens if problem.generates else 0,
        cache_element_bytes=_cache_bytes(problem, compute_bytes),
    )


def _cache_bytes(problem: Problem, compute_bytes: float) -> float:
    """Return the bytes of one element of the KV cache."""
    sizes = {"auto": compute_bytes, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5}
    return sizes[problem.workload.inference.kv_cache]


def _state_sizes(
    problem: Problem, compute_bytes: float, constants: Constants
) -> Callable[[Layout], Precisions]:
    """Return the bytes of each kind of state by layout.

    With fp32 master weights, one GPU and DDP hold fp32 weights that autocast casts; ZeRO, tensor and pipeline
    parallelism, and tuned trainers always, hold half-precision weights and gradients beside a master copy (Rajbhandari
    et al. 2020, section 3.1), the split ones with gradients in fp32
    and, in software that zeroes those of backward and does not free them, both;
    FSDP shards fp32 weights and gradients. The optimizer's step over lists of tensors needs one buffer as large as the
    weights that it updates; the fused step of tuned trainers needs none.
    """
    workload = problem.workload
    trainable = _trainable_bytes(problem, compute_bytes)
    optimizer, tuned = OPTIMIZERS[workload.optimizer], workload.software.trainer == "tuned"
    quantised = _quantised(problem)
    zeroes = _age(problem, constants).zeroes_gradients
    # Autocast leaves weights as they are; trainers of adapters and servers load them in the compute format.
    full = problem.training and workload.method == "full"

    def sizes(layout: Layout) -> Precisions:
        compact = is_compact(layout) or tuned or workload.master_weights == "copy"
        split = layout.tensor * layout.pipeline > 1
        copies = trainable > compute_bytes and compact and layout.strategy != "fsdp"
        copies = copies and workload.method == "full"
        gradient = compute_bytes if copies and not split else trainable
        return Precisions(
            trainable=trainable,
            compute=compute_bytes if copies else 0.0,
            gradient=gradient,
            state=optimizer.bytes_of_state(trainable),
            frozen=trainable if full else compute_bytes,
            gathered=compute_bytes,
            quantised=QUANTISED_BYTES[quantised] if quantised else compute_bytes,
            optimizer_temporary=trainable if optimizer.passes and not tuned else 0.0,
            gradient_beside=compute_bytes if copies and split and zeroes else 0.0,
            gradients_persist=copies or zeroes,
        )

    return sizes
