"""Device memory by part, for micro-batches x activation checkpointing under one layout of GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from advisor.execution import CHECKPOINTING, Layout, MemoryConstants
from advisor.operators import Affine, Description, Floats


@dataclass(frozen=True, slots=True)
class Precisions:
    """Bytes of one element of each kind of state.

    ``trainable`` is the persistent copy that the optimizer updates, ``compute`` an extra copy in the compute format
    (0 where there is none), ``gradient`` a gradient, ``state`` all optimizer moments, ``gathered`` a parameter that
    sharded training collects for one layer.
    """

    trainable: float
    compute: float
    gradient: float
    state: float
    frozen: float
    gathered: float
    quantised: float
    optimizer_temporary: float
    """Bytes of optimizer temporaries for one trainable element."""


@dataclass(frozen=True, eq=False, slots=True)
class MemoryParts:
    """Bytes on the fullest GPU; ``activations``, ``temporary``, ``overhead`` and ``margin`` have shape [M, C]."""

    parameters: float
    gradients: float
    optimizer: float
    activations: Floats
    temporary: Floats
    overhead: Floats
    margin: Floats

    @property
    def allocated(self) -> Floats:
        """What the framework's allocator hands out at the peak."""
        return self.parameters + self.gradients + self.optimizer + self.activations + self.temporary

    @property
    def required(self) -> Floats:
        """What the device must offer to the process."""
        return self.allocated + self.overhead + self.margin


def training_memory(
    description: Description,
    precisions: Precisions,
    layout: Layout,
    micro_batches: Floats,
    constants: MemoryConstants,
) -> MemoryParts:
    """Return the memory of one training step.

    ZeRO-1 divides the optimizer's state and master copy, ZeRO-2 the gradients too, ZeRO-3 and FSDP the parameters too
    (Rajbhandari et al. 2020, section 5); what they gather is a temporary, and so are the buckets from which DDP reduces
    a copy of the gradients (Li et al. 2020, section 4.2). Pipeline stages hold a share of the layers (one of them
    also the embedding or the head) and, under a one-forward-one-backward schedule, activations of as many micro-
    batches as there are stages, so the first stage keeps as much as the whole model would.
    """
    held = description.states
    strategy, shards, stages = layout.strategy, layout.shards, layout.pipeline
    sharded = strategy == "fsdp"

    def on_a_stage(elements: float) -> float:
        whole = min(held.outside, elements)
        return (elements - whole) / stages + whole

    trainable = on_a_stage(held.trainable)
    parameter_shards = shards if sharded else 1
    gradient_shards = shards if strategy in ("zero2", "fsdp") else 1
    master_shards = shards if strategy in ("zero1", "zero2", "fsdp") else 1
    frozen = on_a_stage(held.frozen) * precisions.frozen
    frozen += held.frozen_quantised / stages * precisions.quantised
    copies = trainable * precisions.compute / parameter_shards
    if precisions.compute and not sharded:
        master = trainable * precisions.trainable / master_shards
    else:
        master = trainable * precisions.trainable / parameter_shards
        copies = 0.0 if sharded else copies
    parameters = master + copies + frozen / parameter_shards
    gathered = 0.0
    if sharded:
        share = held.trainable / (held.trainable + held.frozen + held.frozen_quantised)
        gathered = held.largest_unit * (2 * precisions.gathered + share * precisions.gradient)
    optimizer_peak = precisions.optimizer_temporary * trainable / master_shards

    micro = micro_batches[:, None]
    slack = 1.0 if description.measured else constants.activation_slack
    saved = _by_checkpointing(description.saved, micro_batches) * slack
    working = _by_checkpointing(description.working, micro_batches)
    autocast = (
        held.autocast_copies / stages * 2.0 if precisions.trainable > 2 and not precisions.compute else 0.0
    )
    activations = saved + (0.0 if sharded else autocast) + 0.0 * micro
    temporary = np.maximum(working, optimizer_peak - activations) + gathered
    overhead = constants.fragmentation * (activations + temporary)
    if layout.count > 1:
        overhead = overhead + constants.collective_mib * 2**20
    gradients = trainable * precisions.gradient / gradient_shards
    if layout.strategy == "ddp":
        temporary = temporary + gradients
    optimizer = trainable * precisions.state / master_shards
    allocated = parameters + gradients + optimizer + activations + temporary
    return MemoryParts(
        parameters=parameters,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        temporary=temporary,
        overhead=overhead,
        margin=constants.margin * allocated,
    )


def inference_memory(
    description: Description,
    precisions: Precisions,
    layout: Layout,
    micro_batches: Floats,
    constants: MemoryConstants,
) -> MemoryParts:
    """Return the memory of serving: weights, the KV cache of full sequences, the temporaries of the prompt."""
    held = description.states
    parameters = (
        (held.frozen + held.trainable) * precisions.frozen + held.frozen_quantised * precisions.quantised
    ) / layout.pipeline
    shape = (len(micro_batches), len(CHECKPOINTING))
    cache = np.broadcast_to(description.cache_bytes.at(micro_batches)[:, None] / layout.pipeline, shape)
    working = np.broadcast_to(description.working["none"].at(micro_batches)[:, None], shape)
    overhead = constants.fragmentation * working
    if layout.count > 1:
        overhead = overhead + constants.collective_mib * 2**20
    return MemoryParts(
        parameters=parameters,
        gradients=0.0,
        optimizer=0.0,
        activations=cache,
        temporary=working,
        overhead=overhead,
        margin=constants.margin * (parameters + cache + working),
    )


def _by_checkpointing(quantities: Mapping[str, Affine], micro_batches: Floats) -> Floats:
    """Return a quantity for every micro-batch and checkpointing, shape [M, C]."""
    return np.stack([quantities[name].at(micro_batches) for name in CHECKPOINTING], axis=-1)
