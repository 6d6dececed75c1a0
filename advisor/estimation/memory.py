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
    gradient_beside: float = 0.0
    """Bytes of the gradient that backward writes, where it is kept beside the one that accumulates."""
    gradients_persist: bool = True
    """Gradients have memory of their own through the whole step; else backward makes them as activations go."""


@dataclass(frozen=True, eq=False, slots=True)
class MemoryParts:
    """Bytes on the fullest GPU at the peak; all but ``parameters`` and ``optimizer`` have shape [M, C]."""

    parameters: float
    gradients: Floats
    optimizer: float
    activations: Floats
    temporary: Floats
    overhead: Floats
    margin: Floats
    safety: Floats
    """What must stay free besides for a plan to be proposed: activations may be larger than estimated."""
    traced: bool = False
    """Whether activations are those of every tensor that tracing found, and not those that a formula lists."""

    @property
    def allocated(self) -> Floats:
        """What the framework's allocator hands out at the peak."""
        return self.parameters + self.gradients + self.optimizer + self.activations + self.temporary

    @property
    def reserved(self) -> Floats:
        """What the allocator takes from the device at the peak, with the buffers of collectives."""
        return self.allocated + self.overhead

    @property
    def required(self) -> Floats:
        """What the device must offer to the process for the plan to be called fitting: the safe end."""
        return self.reserved + self.margin + self.safety


def training_memory(
    description: Description,
    precisions: Precisions,
    layout: Layout,
    micro_batches: Floats,
    constants: MemoryConstants,
    accumulation: Floats | None = None,
) -> MemoryParts:
    """Return the memory of one training step.

    Two moments compete for the peak: the start of backward, with all activations and the temporaries of the loss, and
    the optimizer's step, with all gradients and its temporaries. Gradients that an earlier micro-batch left, or that
    have buffers of their own, exist at both; else only that of the head exists at the first (frameworks free gradients
    after the step).

    ZeRO-1 divides the optimizer's state and master copy, ZeRO-2 the gradients too, ZeRO-3 and FSDP the parameters too
    (Rajbhandari et al. 2020, section 5); what they gather is a temporary, and so are the buckets from which DDP reduces
    a copy of the gradients (Li et al. 2020, section 4.2). Pipeline stages hold a share of the layers (one of them
    also the embedding or the head) and, under a one-forward-one-backward schedule, activations of as many micro-
    batches as there are stages, so the first stage keeps as much as the whole model would. Each way of dividing has
    communicators of its own, with their buffers.

    Args:
        description: the model.
        precisions: bytes of one element of each kind of state.
        layout: how the GPUs share the work.
        micro_batches: samples of one forward pass, shape [M].
        constants: of the allocator.
        accumulation: micro-batches of a step, shape [M]; None where gradients of earlier ones are always held.
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
    # ZeRO-1 and 2 divide a master copy; without a copy to compute in, the weights themselves are the master.
    split_master = bool(precisions.compute) and not sharded
    master = trainable * precisions.trainable / (master_shards if split_master else parameter_shards)
    copies = 0.0 if sharded else trainable * precisions.compute
    parameters = master + copies + frozen / parameter_shards
    gathered = 0.0
    if sharded:
        share = held.trainable / (held.trainable + held.frozen + held.frozen_quantised)
        gathered = held.largest_unit * (2 * precisions.gathered + share * precisions.gradient)

    saved = _by_checkpointing(description.saved, micro_batches)
    working = _by_checkpointing(description.working, micro_batches) + gathered
    casts = precisions.trainable > 2 and not precisions.compute and not sharded
    activations = saved + (held.autocast_copies / stages * 2.0 if casts else 0.0)
    gradients = trainable * (precisions.gradient + precisions.gradient_beside) / gradient_shards
    buckets = gradients if strategy == "ddp" else 0.0
    early = np.full(len(micro_batches), gradients)
    if not precisions.gradients_persist and strategy == "none" and stages == 1 and accumulation is not None:
        first = min(held.largest_tensor * precisions.gradient, gradients)
        early = np.where(accumulation > 1, gradients, first)
    optimizer_peak = precisions.optimizer_temporary * trainable / master_shards
    peak = np.maximum(activations + working + early[:, None], gradients + optimizer_peak)
    gradients_at_peak = np.clip(peak - activations - working, early[:, None], gradients)
    temporary = peak - activations - gradients_at_peak + buckets
    communicators = (layout.data > 1) + (layout.tensor > 1) + (stages > 1)
    overhead = constants.fragmentation * (activations + temporary)
    overhead = overhead + communicators * constants.collective_mib * 2**20
    if strategy == "none":
        # Loading a frozen base leaves no more unusable than went through the allocator's pool.
        overhead = overhead + min(constants.loading_mib * 2**20, frozen)
    optimizer = trainable * precisions.state / master_shards
    return MemoryParts(
        parameters=parameters,
        gradients=gradients_at_peak,
        optimizer=optimizer,
        activations=activations,
        temporary=temporary,
        overhead=overhead,
        margin=constants.margin
        * (parameters + optimizer + gradients_at_peak + activations + temporary + overhead),
        safety=(constants.safety - 1) * (activations + temporary + overhead),
        traced=description.measured,
    )


def memory_interval(
    counted: float, estimated: float, constants: MemoryConstants, *, traced: bool
) -> tuple[float, float]:
    """Return the low and high end of the 80 % interval of ``counted + estimated``, in their unit.

    Args:
        counted: weights, gradients, optimizer state and the process's own memory.
        estimated: activations, temporaries and overhead.
        constants: with the spreads of both.
        traced: whether activations are those that tracing found.
    """
    whole, moving = constants.whole_spread, constants.traced_spread if traced else constants.spread
    return (counted + estimated / moving) / whole, (counted + estimated * moving) * whole


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
        gradients=np.zeros(shape),
        optimizer=0.0,
        activations=cache,
        temporary=working,
        overhead=overhead,
        margin=constants.margin * (parameters + cache + working + overhead),
        safety=(constants.safety - 1) * (working + overhead),
    )


def _by_checkpointing(quantities: Mapping[str, Affine], micro_batches: Floats) -> Floats:
    """Return a quantity for every micro-batch and checkpointing, shape [M, C]."""
    return np.stack([quantities[name].at(micro_batches) for name in CHECKPOINTING], axis=-1)
