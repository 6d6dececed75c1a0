"""Search for the plan that fits and finishes soonest: layout x micro-batch x checkpointing, for all devices at once.

Everything is evaluated as arrays of shape [devices, micro-batches, checkpointing]; Python loops only over layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.estimation.devices import DeviceRates
from advisor.estimation.memory import MemoryParts, Precisions, inference_memory, training_memory
from advisor.estimation.network import GPUS_PER_NODE, Links, gather_time
from advisor.estimation.step import StepParts, together, traffic_seconds, training_step_s, training_traffic
from advisor.estimation.time import KindTimes, SoftwareSpeed, StepTimes, kind_times, step_times
from advisor.execution import CHECKPOINTING, Constants, Layout, Strategy
from advisor.operators import Description, Floats
from advisor.workload import Checkpointing, Parallelism

SHARDED: tuple[Strategy, ...] = ("zero1", "zero2", "fsdp")
BURDENS: Mapping[Strategy, float] = {"none": 1.0, "ddp": 1.0, "zero1": 1.02, "zero2": 1.03, "fsdp": 1.04}
SPLIT_BURDEN = 1.03
"""A strategy must be this much faster than a simpler one to be proposed; tensor and pipeline parallelism once more."""


NEARLY_AS_FAST = 1.02
"""Of plans within this factor of the fastest, the one that needs the least memory is proposed."""


@dataclass(frozen=True, slots=True)
class Freedom:
    """What the user fixed; None leaves a choice to the search."""

    global_batch: int
    global_is_fixed: bool
    micro_batch: int | None
    checkpointing: Checkpointing | None
    sharding: Strategy | Parallelism | None
    heads: int
    layers: int
    training: bool
    largest_micro_batch: int = 1024
    splits_matrices: bool = True
    """Whether tensor and pipeline parallelism are among the choices; trainers of adapters shard data only."""


@dataclass(frozen=True, eq=False)
class Group:
    """Devices that run in formats of the same sizes, so that they share descriptions.

    ``describe(tensor, sharded)`` returns the model on one tensor-parallel rank; ``decode`` the same for one new token
    (inference that generates). ``precisions(layout)`` returns the sizes of the states.
    """

    rates: DeviceRates
    links: Links
    available: Floats
    """Bytes that programs may use, less what the process itself takes, shape [G]."""
    software: SoftwareSpeed
    describe: Callable[[int, bool], Description]
    decode: Callable[[int], Description] | None
    precisions: Callable[[Layout], Precisions]
    new_tokens: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Choices:
    """The best plan of each of G devices for one count; arrays have shape [G].

    Where nothing fits, ``fits`` is False and the plan is the one that needs the least memory. ``layout`` indexes
    ``layouts``; times are seconds of one step over ``samples`` (NaN where nothing fits and the layout was not fixed).
    """

    layouts: tuple[Layout, ...]
    fits: np.ndarray
    layout: np.ndarray
    micro_batch: np.ndarray
    checkpointing: np.ndarray
    step_s: Floats
    samples: Floats
    required: Floats
    matrix_share: Floats
    """Share of the kernels' time in matrix products and attention."""
    busy_share: Floats
    """Share of the step in which kernels run."""
    evaluated: int


def layouts(count: int, freedom: Freedom) -> Iterator[Layout]:
    """Yield the layouts of ``count`` GPUs that the user allows, simple ones first."""
    chosen = freedom.sharding
    if isinstance(chosen, Parallelism):
        if chosen.data * chosen.tensor * chosen.pipeline == count:
            strategy: Strategy = chosen.strategy if chosen.data > 1 else "none"
            yield Layout(count, strategy, chosen.data, chosen.tensor, chosen.pipeline)
        return
    if count == 1:
        yield Layout(1, "none")
        return
    if not freedom.training:
        if chosen is None:
            yield from _serving_layouts(count, freedom)
        return
    strategies: tuple[Strategy, ...] = ("ddp", *SHARDED) if chosen is None else (chosen,)
    for strategy in strategies:
        if strategy != "none":
            yield Layout(count, strategy, data=count)
    if chosen is not None or not freedom.splits_matrices:
        return
    for tensor in _tensor_widths(count, freedom):
        data = count // tensor
        yield Layout(count, "fsdp" if data > 1 else "none", data=data, tensor=tensor)
    if count > GPUS_PER_NODE:
        for tensor in (1, *_tensor_widths(count, freedom)):
            for pipeline in (2, 4, 8, 16):
                if count % (tensor * pipeline) == 0 and freedom.layers % pipeline == 0:
                    data = count // (tensor * pipeline)
                    yield Layout(count, "zero1" if data > 1 else "none", data, tensor, pipeline)


def _serving_layouts(count: int, freedom: Freedom) -> Iterator[Layout]:
    if freedom.global_batch % count == 0:
        yield Layout(count, "none", data=count)
    for tensor in _tensor_widths(count, freedom):
        if tensor == count:
            yield Layout(count, "none", tensor=tensor)
        elif freedom.layers % (count // tensor) == 0:
            yield Layout(count, "none", tensor=tensor, pipeline=count // tensor)
    if freedom.layers % count == 0:
        yield Layout(count, "none", pipeline=count)


def _tensor_widths(count: int, freedom: Freedom) -> tuple[int, ...]:
    return tuple(
        width for width in (2, 4, 8) if width <= count and count % width == 0 and freedom.heads % width == 0
    )


def micro_batches(freedom: Freedom) -> Floats:
    """Return the micro-batches to try: what the user fixed, the divisors of a fixed batch, else powers of two."""
    if freedom.micro_batch is not None:
        return np.array([float(freedom.micro_batch)])
    if not freedom.training:
        return np.array([float(freedom.global_batch)])
    largest = min(freedom.global_batch, freedom.largest_micro_batch)
    if freedom.global_is_fixed:
        share = np.arange(1, largest + 1)
        return np.asarray(share[freedom.global_batch % share == 0], dtype=np.float64)
    sizes = {float(2**power) for power in range(largest.bit_length())}
    return np.array(sorted(sizes | {float(largest)}))


class Search:
    """Finds plans for the devices of one group; keeps the times of a description for all counts."""

    def __init__(self, group: Group, freedom: Freedom, constants: Constants) -> None:
        self.group = group
        self.freedom = freedom
        self.constants = constants
        self.micro = micro_batches(freedom)
        self.allowed = np.array(
            [freedom.checkpointing in (None, name) for name in CHECKPOINTING]
            if freedom.training
            else [True, False, False]
        )
        self._times: dict[tuple[int, bool], StepTimes] = {}
        self._kinds: dict[tuple[int, bool, float], list[KindTimes]] = {}
        self._memory: dict[Layout, MemoryParts] = {}
        self._serving: dict[tuple[int, int], list[tuple[Description, StepTimes]]] = {}

    def times(self, layout: Layout) -> StepTimes:
        """Return the times of one micro-batch under a layout, before pipelining."""
        key = (layout.tensor, is_compact(layout))
        if key not in self._times:
            self._times[key] = step_times(
                self.group.describe(*key).table, self.group.rates, self.micro, self.constants.kernel,
                self.group.software,
            )  # fmt: skip
        return self._times[key]

    def kind_times(self, layout: Layout) -> list[KindTimes]:
        """Return where the kernels' time goes in each pass that a step is made of, as the tables of :meth:`passes`."""
        key = (layout.tensor, is_compact(layout), 1.0 if self.freedom.training else float(layout.data))
        if key not in self._kinds:
            group = self.group
            self._kinds[key] = [
                kind_times(
                    each.table, group.rates, self.micro / key[2], self.constants.kernel, group.software
                )
                for each in self.passes(layout)
            ]
        return self._kinds[key]

    def passes(self, layout: Layout) -> list[Description]:
        """Return what a step runs: a training pass, or the prompt's and that of one new token where it generates."""
        if self.freedom.training:
            return [self.group.describe(layout.tensor, is_compact(layout))]
        return [description for description, _ in self._passes(layout)]

    def best(self, count: int) -> Choices:
        """Return the best plan of each device for ``count`` GPUs.

        Memory is computed for every plan, times for the layouts under which some device has room. Tensor and pipeline
        parallelism are for devices on which no simpler layout fits, as practitioners shard data first.

        Raises:
            LookupError: the user's layout or batch cannot be run on this many GPUs.
        """
        usable = [
            (layout, accumulation)
            for layout in layouts(count, self.freedom)
            if (accumulation := self._accumulation(layout)) is not None
        ]
        if not usable:
            raise LookupError(count)
        size, grid = len(self.group.available), (len(self.micro), len(CHECKPOINTING))
        required = np.stack(
            [
                np.where(np.isfinite(steps)[:, None] & self.allowed, self.memory(layout).required, np.inf)
                for layout, steps in usable
            ]
        )
        needed = required
        if np.isfinite(required).sum() == 1:
            # A plan that the user fixed is judged by what it takes; one that is proposed keeps a margin.
            reserved = np.stack([self.memory(layout).reserved for layout, _ in usable])
            needed = np.where(np.isfinite(required), reserved, np.inf)
        fitting = np.asarray(needed[None] <= self.group.available[:, None, None, None])
        simple: NDArray[np.bool_] = np.array([layout.tensor * layout.pipeline == 1 for layout, _ in usable])
        if self.freedom.training and simple.any():
            sheltered = np.asarray(fitting[:, simple].any(axis=(1, 2, 3)))
            fitting[:, ~simple] &= ~sheltered[:, None, None, None]
        steps = np.full((size, len(usable), *grid), np.nan)
        for number, (layout, accumulation) in enumerate(usable):
            if len(usable) == 1 or fitting[:, number].any():
                steps[:, number] = self._step(layout, accumulation)
        samples = np.stack([self._samples(layout, accumulation) for layout, accumulation in usable])
        penalty = np.array([burden(layout) for layout, _ in usable])
        per_sample = steps / samples[None, :, :, None] * penalty[None, :, None, None]
        flat = np.where(fitting, per_sample, np.inf).reshape(size, -1)
        fits = np.asarray(np.isfinite(flat).any(axis=1))
        needs = np.broadcast_to(required, steps.shape).reshape(size, -1)
        near = np.isfinite(flat) & (flat <= flat.min(axis=1, keepdims=True) * NEARLY_AS_FAST)
        index = np.where(fits, np.where(near, needs, np.inf).argmin(axis=1), needs.argmin(axis=1))
        where = np.unravel_index(index, steps.shape[1:])
        rows = np.arange(size)
        step_s = np.where(fits | (len(usable) == 1), steps.reshape(size, -1)[rows, index], np.nan)
        chosen = tuple(layout for layout, _ in usable)
        matrix_share, busy_share = self._use(chosen, where, step_s, samples)
        return Choices(
            layouts=chosen,
            fits=fits,
            layout=where[0],
            micro_batch=self.micro[where[1]],
            checkpointing=where[2],
            step_s=step_s,
            samples=samples[where[0], where[1]],
            required=needs[rows, index],
            matrix_share=matrix_share,
            busy_share=busy_share,
            evaluated=size * int(np.isfinite(required).sum()),
        )

    def _accumulation(self, layout: Layout) -> Floats | None:
        """Return the micro-batches that one GPU runs in a step, shape [M]; NaN where a size does not divide the batch.

        None where no size does.
        """
        if not self.freedom.training:
            return np.ones_like(self.micro) if self.freedom.global_batch % layout.data == 0 else None
        total, each = self.freedom.global_batch, self.micro * layout.data
        if self.freedom.global_is_fixed:
            possible = np.asarray(total % each == 0)
        else:
            possible = each <= max(total, layout.data * self.micro[0])
        return np.where(possible, np.ceil(total / each), np.nan) if possible.any() else None

    def _samples(self, layout: Layout, accumulation: Floats) -> Floats:
        """Return the samples of one step of all GPUs, shape [M]."""
        return accumulation * self.micro * layout.data if self.freedom.training else self.micro

    def _step(self, layout: Layout, accumulation: Floats) -> Floats:
        """Return seconds of one step, shape [G, M, C]."""
        if self.freedom.training:
            seconds = self._training_step(layout, accumulation)
        else:
            prompt, token = self.serving_times(layout)
            seconds = (prompt + token * self.group.new_tokens)[:, :, None]
        return np.where(self.allowed, seconds, np.nan)

    def _use(
        self, options: Sequence[Layout], where: tuple[np.ndarray, ...], step_s: Floats, samples: Floats
    ) -> tuple[Floats, Floats]:
        """Return (share of kernel time in products, share of the step in which kernels run) of chosen plans."""
        matrix, busy = np.zeros(len(step_s)), np.zeros(len(step_s))
        for number, layout in enumerate(options):
            rows = np.flatnonzero((where[0] == number) & np.isfinite(step_s))
            if not rows.size:
                continue
            micro, checkpointing = where[1][rows], where[2][rows]
            if not self.freedom.training:
                prompt, token = self.serving_use(layout)
                matrix[rows], busy[rows] = prompt[rows, micro], token[rows, micro]
                continue
            times = self.times(layout)
            kernels = times.device[rows, micro] + times.device_recompute[rows, micro, checkpointing]
            steps = samples[number, micro] / (self.micro[micro] * layout.data)
            matrix[rows] = times.matrix[rows, micro] / times.device[rows, micro]
            total = steps * kernels * self.group.software.overhead / layout.pipeline
            spread = layout.shards * layout.pipeline
            total = total + times.device_optimizer[rows] * self.group.software.overhead / spread
            busy[rows] = np.minimum(total / step_s[rows], 1.0)
        return matrix, busy

    def memory(self, layout: Layout) -> MemoryParts:
        """Return the memory of every micro-batch and checkpointing under a layout."""
        if layout not in self._memory:
            self._memory[layout] = self._memory_of(layout)
        return self._memory[layout]

    def _memory_of(self, layout: Layout) -> MemoryParts:
        compact = is_compact(layout)
        description = self.group.describe(layout.tensor, compact)
        sizes = self.group.precisions(layout)
        constants = self.constants.memory
        if not self.freedom.training:
            return inference_memory(description, sizes, layout, self.micro / layout.data, constants)
        accumulation = self._accumulation(layout)
        return training_memory(description, sizes, layout, self.micro, constants, accumulation)

    def _training_step(self, layout: Layout, accumulation: Floats) -> Floats:
        """Return seconds of one optimizer step, shape [G, M, C]."""
        parts = self.parts(layout, accumulation)
        return training_step_s(parts, self.group.software.overhead, self.constants.network)

    def parts(self, layout: Layout, accumulation: Floats) -> StepParts:
        """Return the parts of a training step, as arrays that broadcast to [G, M, C].

        Args:
            layout: how the GPUs share the work.
            accumulation: micro-batches of a step, shape [M].
        """
        times = self.times(layout)
        description = self.group.describe(layout.tensor, is_compact(layout))
        sizes = self.group.precisions(layout)
        traffic = training_traffic(
            description, layout, self.micro, gradient_bytes=sizes.gradient, quantised_bytes=sizes.quantised
        )
        tensor, shard, reduce = traffic_seconds(traffic, self.group.links.lifted(2))
        return StepParts(
            device=times.device[:, :, None] + times.device_recompute,
            device_backward=times.device_backward[:, :, None],
            device_optimizer=times.device_optimizer[:, None, None],
            host=times.host[:, :, None] + times.host_recompute,
            host_backward=times.host_backward[:, :, None],
            host_optimizer=times.host_optimizer[:, None, None],
            tensor_traffic=tensor,
            shard_traffic=shard,
            reduce_traffic=reduce,
            accumulation=accumulation[None, :, None],
            stages=np.asarray(float(layout.pipeline)),
            shards=np.asarray(float(layout.shards)),
            overlap_exponent=self.group.rates.overlap_exponent[:, None, None],
        )

    def serving_times(self, layout: Layout) -> tuple[Floats, Floats]:
        """Return seconds of the prompt's forward pass and of one new token, each of shape [G, M]."""
        passes = self._passes(layout)
        prompt = self._pass_time(layout, *passes[0])
        return prompt, self._pass_time(layout, *passes[1]) if len(passes) > 1 else np.zeros_like(prompt)

    def serving_use(self, layout: Layout) -> tuple[Floats, Floats]:
        """Return the share of kernel time in matrix products, and of the time in which kernels run, shape [G, M]."""
        passes = self._passes(layout)
        weights = [1.0, float(self.group.new_tokens)]
        kernels = sum(weight * times.device for weight, (_, times) in zip(weights, passes, strict=False))
        matrix = sum(weight * times.matrix for weight, (_, times) in zip(weights, passes, strict=False))
        prompt, token = self.serving_times(layout)
        total = prompt + token * self.group.new_tokens
        share = np.minimum(kernels * self.group.software.overhead / total, 1.0) / layout.pipeline
        return np.asarray(matrix / kernels), np.asarray(share)

    def _passes(self, layout: Layout) -> list[tuple[Description, StepTimes]]:
        """Return the forward passes of serving: the prompt's, and that of one new token where the model generates."""
        key = (layout.tensor, layout.data)
        if key not in self._serving:
            found = [self.group.describe(layout.tensor, False)]
            if self.group.decode is not None:
                found.append(self.group.decode(layout.tensor))
            self._serving[key] = [
                (
                    description,
                    step_times(
                        description.table, self.group.rates, self.micro / layout.data, self.constants.kernel,
                        self.group.software,
                    ),
                )
                for description in found
            ]  # fmt: skip
        return self._serving[key]

    def _pass_time(self, layout: Layout, description: Description, times: StepTimes) -> Floats:
        exponent = self.group.rates.overlap_exponent[:, None]
        seconds = together(times.device, times.host, exponent) * self.group.software.overhead
        size = description.boundary_bytes.at(self.micro / layout.data)
        if layout.tensor > 1:
            one = 2 * gather_time(size, layout.tensor, self.group.links)
            seconds = seconds + one * description.tensor_reductions
        if layout.pipeline > 1:
            seconds = seconds + (layout.pipeline - 1) * gather_time(size, 2, self.group.links)
        return np.asarray(seconds)


def burden(layout: Layout) -> float:
    """Return how much longer a plan counts as taking because it is harder to set up."""
    split = layout.tensor * layout.pipeline > 1
    return BURDENS[layout.strategy] * (SPLIT_BURDEN if split else 1.0)


def is_compact(layout: Layout) -> bool:
    """Say whether activations flow in the compute format: trainers that shard cast the weights, not each product."""
    return layout.strategy in SHARDED or layout.tensor * layout.pipeline > 1


def counts(limit: int) -> Sequence[int]:
    """Return the numbers of GPUs to try up to ``limit``: 1 to 8, then whole nodes in powers of two, then the limit."""
    small = list(range(1, min(limit, GPUS_PER_NODE) + 1))
    nodes = [GPUS_PER_NODE * 2**power for power in range(1, 12) if GPUS_PER_NODE * 2**power <= limit]
    return sorted({*small, *nodes, limit})
