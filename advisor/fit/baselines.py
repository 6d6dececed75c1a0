"""What simpler methods would say of published runs, to be measured against on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from advisor.estimation.devices import matrix_peak_tflops
from advisor.fit.flat import FlatRuns
from advisor.fit.runs import Run
from advisor.operators import Floats
from advisor.plan import is_compact

PARAMETER_BYTES = 20.0
"""Bytes of memory for a parameter in the rule of thumb: fp32 weights, gradients and two moments, and a half-precision
copy of weights and gradients (4 + 4 + 8 + 2 + 2)."""


def baselines(runs: Sequence[Run], flat: FlatRuns) -> Mapping[str, Floats]:
    """Return what each simple method says of each run, arrays of shape [runs].

    ``peak`` is the seconds of a step whose operations all run at the dense peak of the precision, recomputation
    included; divided by a utilisation it is the usual estimate by FLOPs. ``roofline`` is the seconds of a step in which
    each kernel takes its operations at that peak or its traffic at the bandwidth of the datasheet, whichever is longer
    (Williams, Waterman and Patterson 2009). Neither knows padding, launches, links between GPUs or bubbles; both divide
    the work evenly over all GPUs. ``parameters`` is GiB on one GPU by :data:`PARAMETER_BYTES`, divided by the GPUs that
    share the weights.

    Args:
        runs: published runs.
        flat: the same runs as flat arrays.
    """
    peak = np.array([matrix_peak_tflops(device, precision)[0] * 1e12 for device, precision in flat.pairs])
    bandwidth = np.array([device.memory.bandwidth_gb_s * 1e9 for device, _ in flat.pairs])
    device = flat.pair[flat.run]
    flops = _operations(runs)
    arithmetic = flat.rows.repeat * flops / peak[device]
    traffic = flat.rows.repeat * flat.rows.moved / bandwidth[device]
    return {
        "peak": _step(flat, arithmetic),
        "roofline": _step(flat, np.maximum(arithmetic, traffic)),
        "parameters": np.array([_parameters(run) for run in runs]) * PARAMETER_BYTES / 2**30,
    }


def _step(flat: FlatRuns, seconds: Floats) -> Floats:
    """Return the seconds of a step from those of its rows: micro-batches, and the optimizer once."""

    def total(share: Floats) -> Floats:
        return np.asarray(
            np.bincount(flat.run, weights=seconds * share, minlength=len(flat)), dtype=np.float64
        )

    step = flat.accumulation * total(flat.weights) + total(flat.optimizer) / flat.shards
    return np.asarray(step / flat.stages)


def _operations(runs: Sequence[Run]) -> Floats:
    """Return the operations of one kernel of every row of every run, without padding."""
    parts = []
    for run in runs:
        layout, training = run.layout, run.problem.training
        table = run.search.group.describe(layout.tensor, is_compact(layout) if training else False).table
        micro = run.search.micro[0] if training else run.search.micro[0] / layout.data
        parts.append(table.flops_fixed + table.flops_per_sample * micro)
    return np.concatenate(parts)


def _parameters(run: Run) -> float:
    """Return the parameters that one GPU holds."""
    layout = run.layout
    held = run.search.group.describe(layout.tensor, is_compact(layout)).states
    sharing = layout.pipeline * (layout.data if layout.strategy == "fsdp" else 1)
    return (held.trainable + held.frozen + held.frozen_quantised) / sharing
