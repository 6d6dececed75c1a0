"""Time of a whole step: kernels, the host that starts them, and communication as far as it shows.

Every array broadcasts with the others, so one call serves a search (devices x micro-batches x checkpointing) and
another a list of published runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advisor.estimation.network import Links, transfer_time
from advisor.execution import Layout, NetworkConstants
from advisor.operators import Description, Floats

BYTES_GATHERED = 2.0
"""Bytes of a parameter as sharded training gathers it, and of a gradient as it reduces it."""

PASSES = np.array([2.0, 2.0, 3.0])
"""Passes for which tensor parallelism communicates, by checkpointing: forward, backward, and a recomputation."""


@dataclass(frozen=True, eq=False, slots=True)
class Traffic:
    """What the GPUs of a replica, and replicas, exchange in training; arrays that broadcast with each other.

    Attributes:
        tensor_bytes: of one all-reduce of tensor parallelism.
        reductions: all-reduces of one micro-batch.
        tensor: width of tensor parallelism.
        shard_bytes: weights gathered and gradients scattered in one micro-batch of sharded training, else 0.
        reduce_bytes: gradients reduced once a step where weights are not sharded, else 0.
        data: replicas.
        spacing: GPUs between neighbours of a group of replicas.
    """

    tensor_bytes: Floats
    reductions: Floats
    tensor: Floats
    shard_bytes: Floats
    reduce_bytes: Floats
    data: Floats
    spacing: Floats


def training_traffic(
    description: Description,
    layout: Layout,
    micro_batches: Floats,
    *,
    gradient_bytes: float,
    quantised_bytes: float,
) -> Traffic:
    """Return the traffic of a training step, as arrays that broadcast to [G, M, C].

    Args:
        description: the model on one tensor-parallel rank.
        layout: how the GPUs share the work.
        micro_batches: sizes, shape [M].
        gradient_bytes: of one element.
        quantised_bytes: of one element of quantised weights.
    """
    held = description.states
    weights = (held.trainable + held.frozen) * BYTES_GATHERED + held.frozen_quantised * quantised_bytes
    sharded = layout.strategy == "fsdp"
    shard = (2 * weights + held.trainable * BYTES_GATHERED) / layout.pipeline if sharded else 0.0
    reduced = 0.0 if sharded else held.trainable / layout.pipeline * gradient_bytes
    return Traffic(
        tensor_bytes=description.boundary_bytes.at(micro_batches)[None, :, None],
        reductions=description.tensor_reductions * PASSES[None, None, :],
        tensor=np.asarray(float(layout.tensor)),
        shard_bytes=np.asarray(shard),
        reduce_bytes=np.asarray(reduced),
        data=np.asarray(float(layout.data)),
        spacing=np.asarray(float(layout.tensor * layout.pipeline)),
    )


def traffic_seconds(traffic: Traffic, link: Links) -> tuple[Floats, Floats, Floats]:
    """Return seconds of tensor parallelism and of sharding in one micro-batch, and of the reduction once a step.

    Args:
        traffic: what is exchanged.
        link: arrays of links that broadcast with those of ``traffic``.
    """
    single = np.asarray(1.0)
    tensor = 2 * transfer_time(traffic.tensor_bytes, traffic.tensor, single, link) * traffic.reductions
    shard = transfer_time(traffic.shard_bytes, traffic.data, traffic.spacing, link) * (
        traffic.shard_bytes > 0
    )
    reduce = 2 * transfer_time(traffic.reduce_bytes, traffic.data, traffic.spacing, link)
    return tensor, shard, reduce * (traffic.reduce_bytes > 0)


@dataclass(frozen=True, eq=False, slots=True)
class StepParts:
    """What the GPUs of one replica do in a step; seconds, of one micro-batch where nothing else is said.

    Attributes:
        device: kernels, recomputation included.
        device_backward: those of the backward pass alone.
        device_optimizer: the kernels of the optimizer's step over all weights.
        host: starting the kernels, recomputation included.
        host_backward: starting those of the backward pass alone.
        host_optimizer: starting those of the optimizer.
        tensor_traffic: all-reduces of tensor parallelism.
        shard_traffic: gathering weights and scattering gradients of sharded training.
        reduce_traffic: reducing the gradients once a step.
        accumulation: micro-batches of a step.
        stages: pipeline stages; every time above is that of the whole model.
        shards: GPUs over which the optimizer's step is divided.
        overlap_exponent: see :func:`together`.
    """

    device: Floats
    device_backward: Floats
    device_optimizer: Floats
    host: Floats
    host_backward: Floats
    host_optimizer: Floats
    tensor_traffic: Floats
    shard_traffic: Floats
    reduce_traffic: Floats
    accumulation: Floats
    stages: Floats
    shards: Floats
    overlap_exponent: Floats


def training_step_s(parts: StepParts, overhead: float | Floats, network: NetworkConstants) -> Floats:
    """Return seconds of one optimizer step.

    A one-forward-one-backward pipeline idles for all but one of its stages at its start and end (Narayanan et al.
    2021, section 2.2). Traffic hides behind computation up to a share of both.

    Args:
        parts: the parts of a step.
        overhead: what the trainer adds to the time of kernels and launches.
        network: how much of the traffic hides.
    """
    exponent = parts.overlap_exponent
    forward = together(parts.device - parts.device_backward, parts.host - parts.host_backward, exponent)
    backward = together(parts.device_backward, parts.host_backward, exponent)
    busy = (forward + backward) * overhead / parts.stages
    tensor = parts.tensor_traffic * (1 - network.overlap_tensor) / parts.stages
    micro = busy + tensor + _exposed(parts.shard_traffic, busy, network.overlap_shards)
    once = _exposed(parts.reduce_traffic, backward * overhead / parts.stages, network.overlap_data)
    device_optimizer = parts.device_optimizer / (parts.shards * parts.stages)
    once = once + together(device_optimizer, parts.host_optimizer, exponent) * overhead
    return np.asarray((parts.accumulation + parts.stages - 1) * micro + once)


def together(device: Floats, host: Floats, exponent: Floats) -> Floats:
    """Return the time of kernels and of the host that starts them, which overlap in part.

    The longer of the two would be the time of perfect overlap, as the exponent goes to infinity, and their sum that of
    none, with an exponent of 1.
    """
    longer = np.maximum(np.maximum(device, host), np.finfo(np.float64).tiny)
    return np.asarray(
        longer * ((device / longer) ** exponent + (host / longer) ** exponent) ** (1 / exponent)
    )


def _exposed(traffic: Floats, compute: Floats, overlap: float) -> Floats:
    """Return the part of ``traffic`` that does not hide behind ``compute``."""
    return np.asarray(np.maximum(traffic - overlap * compute, (1 - overlap) * traffic))
