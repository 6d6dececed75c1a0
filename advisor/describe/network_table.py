"""Operator tables as files, and from a table to what the estimate needs: no torch here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from advisor.describe.optimizers import optimizer_step
from advisor.describe.variant import Variant
from advisor.errors import InputError
from advisor.network import Linear, NetworkTable, NetworkTask, Row, Trace, kind_of, phase_of
from advisor.operators import Affine, Description, Kind, Operator, OperatorTable, Phase, Recompute, States
from advisor.yaml_io import parse_json, read_text, validate

SCHEMA = "gpu-advisor/table/"
VERSION = 1


def read_table(path: Path) -> NetworkTable:
    """Return the operator table in a file.

    Raises:
        InputError: not a table, one of a newer version, or its numbers do not add up; says where.
        ExternalError: the file cannot be read.
    """
    text = read_text(path)
    data = parse_json(text, str(path))
    named = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(named, str) or not named.startswith(SCHEMA):
        raise InputError(
            "not an operator table", source=str(path), field="schema", value=named,
            accepted=f"a file written by describe, with schema {SCHEMA}{VERSION}",
        )  # fmt: skip
    number = named.removeprefix(SCHEMA)
    if number != str(VERSION):
        raise InputError(
            "the table is of a newer version than this program reads", source=str(path), field="schema", value=named,
            accepted=f"{SCHEMA}{VERSION}", hint="update gpu-advisor, or describe the network again with this version",
        )  # fmt: skip
    return validate(NetworkTable, data, str(path), text)


def describe_network(table: NetworkTable, variant: Variant, *, training: bool) -> Description:
    """Return the operators and the memory of one step, or of one forward pass.

    Half precision without autocast moves and keeps half of what fp32 does, unless the network mixes precisions itself.

    Raises:
        InputError: the table has no trace of the task.
    """
    task: NetworkTask = "train" if training else "inference"
    trace = table.trace(task, autocast=True) if variant.autocast else None
    if trace is None:
        trace = table.trace(task, autocast=False)
    if trace is None:
        known = ", ".join(sorted({each.task for each in table.traces}))
        raise InputError(
            f"the operator table of {table.name} has no trace of {task}", field="task", accepted=known
        )
    own = table.origin.model.mixes_precision
    scale = 1.0 if trace.autocast or own else variant.compute_bytes / 4.0
    checkpoints = trace.checkpointed_saved_bytes is not None
    operators = [
        each for row in trace.operators for each in _operators(row, variant, scale, checkpoints, own)
    ]
    held = table.parameters
    if training:
        operators += optimizer_step(held.trainable, variant.optimizer, variant.trainable_bytes)
    scores = _scores(trace, variant, scale) if training else Affine()
    workspace = _bytes(trace.workspace_bytes, scale * variant.workspace_share)
    saved, working = _bytes(trace.saved_bytes, scale) + scores, _bytes(trace.working_bytes, scale) + workspace
    saved_again, working_again = saved, working
    if trace.checkpointed_saved_bytes is not None and trace.checkpointed_working_bytes is not None:
        saved_again = _bytes(trace.checkpointed_saved_bytes, scale)
        working_again = _bytes(trace.checkpointed_working_bytes, scale) + workspace
    return Description(
        table=OperatorTable.of(operators),
        states=States(
            trainable=held.trainable,
            frozen=held.total - held.trainable,
            frozen_quantised=0.0,
            largest_tensor=held.largest_tensor,
            largest_unit=held.largest_module,
            outside=0.0,
            autocast_copies=0.0,
        ),
        saved={"none": saved, "selective": saved, "full": saved_again},
        working={"none": working, "selective": working, "full": working_again},
        layers=1,
        tokens_per_sample=table.tokens_per_sample or 1.0,
        hidden=0,
        boundary_bytes=Affine(),
        tensor_reductions=0,
        measured=True,
    )


def _bytes(quantity: Linear, scale: float) -> Affine:
    return Affine(quantity.fixed, quantity.per_sample) * scale


def _operators(row: Row, variant: Variant, scale: float, checkpoints: bool, own: bool) -> Iterator[Operator]:
    kind, phase = kind_of(row), phase_of(row)
    whole = Operator(
        name=row[0],
        kind=kind,
        phase=phase,
        repeat=row[3],
        launches=row[4],
        launches_per_sample=row[5],
        flops=Affine(row[6], row[7]),
        bytes=Affine(row[8], row[9]) * scale,
        rows=Affine(row[10], row[11]),
        columns=row[12],
        inner=Affine(row[13], row[14]),
        batch=Affine(row[15], row[16]),
        full_precision=(variant.autocast or own) and row[17],
        recompute=Recompute.FULL if checkpoints and phase is Phase.FORWARD else Recompute.NEVER,
    )
    if kind is Kind.ATTENTION and variant.attention == "eager":
        yield from _eager_attention(whole, scale)
        return
    if kind is Kind.POINTWISE and variant.pointwise_share != 1.0:
        whole = replace(whole, bytes=whole.bytes * variant.pointwise_share)
    if row[0].startswith("native_batch_norm"):
        forward = phase is Phase.FORWARD
        whole = replace(
            whole,
            bytes=whole.bytes * (variant.batch_norm_forward if forward else variant.batch_norm_backward),
        )
    if kind is Kind.CONVOLUTION and row[0].endswith(" 3x3"):
        whole = replace(whole, vector_rate=variant.winograd)
    if kind in _CONVOLUTIONS and "x" not in row[0].rpartition(" ")[2]:
        whole = replace(whole, rate=variant.one_dimensional_rate)
    if (
        kind is Kind.GROUPED_CONVOLUTION
        and "weight gradient" in row[0]
        and _group_channels(whole) > variant.wide_group
    ):
        whole = replace(whole, rate=whole.rate * variant.wide_group_rate)
    yield whole
    if kind in _CONVOLUTIONS and variant.layout_copies:
        yield replace(
            whole, name="change of layout", kind=Kind.COPY, flops=Affine(), rows=Affine(), columns=0.0, inner=Affine(),
            batch=Affine(1.0), bytes=whole.bytes * variant.layout_copies,
        )  # fmt: skip


_CONVOLUTIONS = (Kind.CONVOLUTION, Kind.GROUPED_CONVOLUTION)


def _group_channels(whole: Operator) -> float:
    """Return the narrower side of one group: channels out, or channels in times the taps of the kernel."""
    return min(whole.columns, max(whole.rows.fixed, whole.inner.fixed))


def _score_bytes(whole: Operator, scale: float) -> Affine:
    """Return the bytes of the scores of one attention: batch x queries x keys."""
    return whole.batch * (whole.rows.fixed * whole.columns * 4.0 * scale)


def _eager_attention(whole: Operator, scale: float) -> Iterator[Operator]:
    """Yield attention as separate products and a softmax: two products forward, four backward."""
    passes = 1 if whole.phase is Phase.FORWARD else 2
    queries, keys, width = whole.rows.fixed, whole.columns, whole.inner.fixed
    element = 4.0 * scale
    scores = _score_bytes(whole, scale)
    for name, shape in (("scores", (queries, keys, width)), ("values", (queries, width, keys))):
        m, n, k = shape
        moved = whole.batch * ((m * k + k * n + m * n) * element)
        yield replace(
            whole, name=f"attention {name}", kind=Kind.BATCHED_GEMM, launches=1.0, repeat=whole.repeat * passes,
            flops=whole.batch * (2 * m * n * k), bytes=moved, rows=Affine(m), columns=n, inner=Affine(k),
        )  # fmt: skip
    yield replace(
        whole, name="attention softmax", kind=Kind.SOFTMAX, launches=passes + 1.0, flops=Affine(), rows=Affine(),
        columns=0.0, inner=Affine(), batch=Affine(1.0), bytes=scores * (3.0 + passes),
    )  # fmt: skip


def _scores(trace: Trace, variant: Variant, scale: float) -> Affine:
    """Return what eager attention saves beside the fused kernel: the scores, and the weights after the softmax."""
    total = Affine()
    if variant.attention == "flash":
        return total
    for row in trace.operators:
        if kind_of(row) is Kind.ATTENTION and phase_of(row) is Phase.FORWARD:
            total = total + Affine(row[15], row[16]) * (row[10] * row[12] * 4.0 * scale * row[3] * 2)
    return total
