"""A workload really run beside its estimate: from the estimate's plan to a run, and from the run to the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from advisor.documents import CheckAnswer, CheckedDocument, EstimateDocument
from advisor.errors import InputError
from advisor.profile import MeasuredSoftware, Timing
from advisor.quantity import Quantity
from advisor.torch_model import TorchModel
from advisor.units import GIB, MIB
from advisor.workload import Parallelism, Transformer, Workload

BUDGET_S = 15.0
"""How long steps are repeated; at least a few of them run, however long they take."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a short run measured.

    Attributes:
        step: one optimizer step, or one forward pass in inference.
        allocated_mib: peak of torch's allocator, None where torch does not count.
        reserved_mib: peak of what it took from the device.
        process_mib: what the process held of the device at the end, by NVML.
        power_w: mean draw.
    """

    step: Timing
    allocated_mib: float | None
    reserved_mib: float | None
    process_mib: float | None
    power_w: float | None


def checkable(workload: Workload) -> None:
    """Refuse what one process with one device cannot run as the estimate means it.

    Raises:
        InputError: names the field.
    """
    sharding = workload.sharding
    split = isinstance(sharding, Parallelism) and sharding.data * sharding.tensor * sharding.pipeline > 1
    if split or sharding in ("ddp", "zero1", "zero2", "fsdp"):
        raise InputError("a check runs on one device", field="sharding", accepted="none")
    if workload.software.framework.lower() != "pytorch":
        raise InputError(
            "a check runs the torch that is installed", field="software.framework",
            value=workload.software.framework, accepted="pytorch",
        )  # fmt: skip
    if workload.method == "qlora":
        raise InputError(
            "a check needs kernels for quantised weights, which torch does not have", field="method", value="qlora",
            accepted="full, lora",
        )  # fmt: skip
    if workload.master_weights == "copy":
        raise InputError(
            "a check has no trainer that keeps a second copy of the weights", field="master_weights", value="copy",
            accepted="auto, fp32, none",
        )  # fmt: skip


def check_request(
    model: TorchModel | Transformer, workload: Workload, estimate: EstimateDocument, device: str, length: int
) -> dict[str, Any]:
    """Return what the measuring process is asked to run: the very plan of the estimate.

    Args:
        model: a network as code, or a transformer's dimensions.
        workload: for what the plan does not say.
        estimate: with the plan.
        device: as torch calls it.
        length: tokens of a sample.
    """
    plan, training = estimate.plan, workload.effective_task != "inference"
    transformer = isinstance(model, Transformer)
    run = {
        "device": device,
        "task": "train" if training else "inference",
        "precision": plan.precision,
        "mixed": training and plan.precision in ("fp16", "bf16") and workload.master_weights != "none",
        "micro_batch": plan.micro_batch,
        "sequence_length": length if transformer else None,
        "optimizer": workload.optimizer,
        "checkpointing": plan.checkpointing,
        "attention": plan.attention if transformer else None,
        "memory_format": "nhwc" if workload.memory_format == "nhwc" else "nchw",
        "compile": workload.compile,
        "method": workload.method,
        "lora": workload.lora.model_dump(mode="json"),
    }
    return {
        "job": "check",
        "plan": run,
        "accumulation": plan.gradient_accumulation if training else 1,
        "budget_s": BUDGET_S,
        "torch": None if isinstance(model, Transformer) else model.model_dump(mode="json", by_alias=True),
        "transformer": model.model_dump(mode="json") if isinstance(model, Transformer) else None,
        "folders": [model.folder] if isinstance(model, TorchModel) and model.folder else [],
    }


def figures(
    estimate: EstimateDocument, without: EstimateDocument | None, run: Run
) -> tuple[CheckedDocument, ...]:
    """Return every figure that was both predicted and measured.

    Args:
        estimate: under the calibration.
        without: the same without it, None where there is none or the device is not in the catalog.
        run: what was measured.
    """
    found = []
    plain = None if without is None else without.step_time_s
    found.append(
        _figure("step_time_s", "time of a step", "s", estimate.step_time_s, plain, run.step.median_s)
    )
    if run.allocated_mib is not None:
        found.append(
            _figure(
                "allocated_gib", "peak memory allocated", "GiB", _exact(estimate.memory.allocated_gib),
                None if without is None else _exact(without.memory.allocated_gib), run.allocated_mib * MIB / GIB,
                interval=False,
            )
        )  # fmt: skip
    if run.process_mib is not None:
        needed = estimate.memory.required_gib
        taken = needed.value - estimate.memory.margin_gib
        other = None if without is None else without.memory.required_gib.value - without.memory.margin_gib
        found.append(
            _figure(
                "process_gib", "memory of the process", "GiB",
                Quantity(value=taken, low=min(needed.low, taken), high=needed.high),
                None if other is None else _exact(other), run.process_mib * MIB / GIB,
            )
        )  # fmt: skip
    if run.power_w is not None and estimate.power_w is not None:
        other = None if without is None else without.power_w
        found.append(
            _figure(
                "power_w", "power", "W", _exact(estimate.power_w), None if other is None else _exact(other),
                run.power_w, interval=False,
            )
        )  # fmt: skip
    return tuple(found)


def _exact(value: float) -> Quantity:
    return Quantity(value=value, low=value, high=value)


def _figure(
    key: Literal["step_time_s", "allocated_gib", "process_gib", "power_w"],
    what: str,
    unit: str,
    predicted: Quantity | None,
    without: Quantity | None,
    measured: float,
    *,
    interval: bool = True,
) -> CheckedDocument:
    known = predicted is not None
    return CheckedDocument(
        key=key,
        what=what,
        unit=unit,
        predicted=predicted,
        without_calibration=None if without is None else without.value,
        measured=measured,
        error=None if predicted is None else predicted.value / measured - 1,
        inside=None
        if predicted is None or not (interval and known)
        else predicted.low <= measured <= predicted.high,
    )


def check_answer(
    workload: Mapping[str, Any],
    estimate: EstimateDocument,
    without: EstimateDocument | None,
    run: Run,
    software: MeasuredSoftware,
    *,
    device: str,
    date: str,
    warnings: tuple[str, ...],
) -> CheckAnswer:
    """Return the comparison as a document; see :func:`figures`."""
    return CheckAnswer(
        workload=workload,
        date=date,
        gpu=estimate.gpu,
        name=estimate.name,
        device=device,
        plan=estimate.plan,
        software=software,
        steps=run.step.repeats,
        stable=run.step.stable,
        figures=figures(estimate, without, run),
        calibration=estimate.calibration,
        warnings=warnings,
    )
