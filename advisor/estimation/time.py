"""Time of a step, operator by operator: rows of a table x devices x micro-batches, as one broadcast.

A matrix product takes as long as its waves of tiles (a tile-and-wave model: the last wave is as long as a full one) or
its memory traffic, whichever is longer; a memory-bound kernel its traffic. Each kernel takes a while to start and end.
The host starts kernels one after the other: a step is never shorter than that (launch-bound).

What a row asks of a device (:func:`loads`) is apart from how fast the device serves it (:func:`row_seconds`): the first
depends on a device only through its number of multiprocessors, so many devices, and many sets of constants, share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from advisor.estimation.devices import DeviceRates, pace_place
from advisor.execution import KernelConstants
from advisor.operators import Floats, Integers, Kind, OperatorTable, Phase

_PRODUCTS = (Kind.GEMM, Kind.BATCHED_GEMM, Kind.CONVOLUTION, Kind.GROUPED_CONVOLUTION, Kind.RECURRENT)


_CONVOLUTIONS = (Kind.CONVOLUTION, Kind.GROUPED_CONVOLUTION)
_ALL_CONVOLUTIONS = (*_CONVOLUTIONS, Kind.DEPTHWISE_CONVOLUTION)

MATRIX_KINDS = (*_PRODUCTS, Kind.ATTENTION)
"""Kinds whose time is that of the matrix units where arithmetic bounds it."""


@dataclass(frozen=True, eq=False, slots=True)
class Loads:
    """What rows ask of a device; arrays that broadcast with each other: [R, G, M] on a grid, or one entry a row.

    Attributes:
        kind: as in :class:`~advisor.operators.Kind`.
        backward: whether the row runs in the backward pass.
        repeat: kernels that are alike.
        launches: kernels that all of the row start.
        wait: seconds that all of the row wait beside their work.
        moved: bytes of memory traffic of one kernel.
        work: operations of one kernel, idle multiprocessors and padding of tiles counted as work; cycles of one
            multiprocessor or core in a histogram.
        share: units among which a histogram's cycles are shared at most.
        rate: share of the rate of its kind that a product reaches.
        vector_rate: the same on vector units.
        full_precision: whether a product runs in fp32 whatever the precision of the plan.
    """

    kind: Integers
    backward: np.ndarray
    repeat: Floats
    launches: Floats
    wait: Floats
    moved: Floats
    work: Floats
    share: Floats
    rate: Floats
    vector_rate: Floats
    full_precision: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class SoftwareSpeed:
    """How fast framework and trainer are; numbers, or arrays that broadcast with the loads they change.

    Attributes:
        forward_launch: time of the host to start a kernel of the forward pass, in the device's launch time.
        backward_launch: the same in backward.
        optimizer_launch: the same in the optimizer's step.
        overhead: factor on the whole step.
        convolution: rate of convolutions over that of current software.
        streaming: speed of kernels that stream memory over that of current software.
    """

    forward_launch: float | Floats = 1.0
    backward_launch: float | Floats = 1.0
    optimizer_launch: float | Floats = 1.0
    overhead: float | Floats = 1.0
    convolution: float | Floats = 1.0
    streaming: float | Floats = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class StepTimes:
    """Seconds for one micro-batch on one device; arrays have shape [G, M] (``optimizer*``: [G]).

    ``device_*`` is the time of the kernels, ``host_*`` the time to start them. ``recompute`` arrays have shape
    [G, M, C], C as in :data:`advisor.execution.CHECKPOINTING`.
    """

    device: Floats
    device_backward: Floats
    device_recompute: Floats
    device_optimizer: Floats
    matrix: Floats
    """The part of ``device`` in matrix products and attention."""
    host: Floats
    host_backward: Floats
    host_recompute: Floats
    host_optimizer: Floats


def row_times(
    table: OperatorTable,
    rates: DeviceRates,
    micro_batches: Floats,
    kernel: KernelConstants,
    software: SoftwareSpeed,
) -> Floats:
    """Return seconds of all ``repeat`` kernels of each row and of the waits beside them, shape [R, G, M]."""
    asked = aged(loads(table, rates.multiprocessors, micro_batches, kernel), software)
    return row_seconds(asked, rates.on_grid(), kernel)


@dataclass(frozen=True, eq=False, slots=True)
class KindTimes:
    """Seconds of kernels by kind of operator, K kinds on G devices for M micro-batches.

    Attributes:
        kinds: the kinds in the table, shape [K].
        step: one micro-batch with what a level of checkpointing recomputes, shape [K, G, M, C].
        once: the optimizer step, shape [K, G].
        streaming: the part of ``step`` in matrix products that wait for memory, shape [G, M, C].
    """

    kinds: tuple[Kind, ...]
    step: Floats
    once: Floats
    streaming: Floats


def kind_times(
    table: OperatorTable,
    rates: DeviceRates,
    micro_batches: Floats,
    kernel: KernelConstants,
    software: SoftwareSpeed,
) -> KindTimes:
    """Return where the time of one micro-batch goes; arguments as of :func:`step_times`."""
    asked = aged(loads(table, rates.multiprocessors, micro_batches, kernel), software)
    lifted = rates.on_grid()
    seconds = row_seconds(asked, lifted, kernel)
    traffic = asked.repeat * _traffic_seconds(asked, lifted, kernel) * _paces(asked, lifted)
    optimizer = table.phase == Phase.OPTIMIZER
    running = np.where(optimizer, 0.0, 1.0) + table.recomputed()
    waiting = np.where(np.isin(table.kind, MATRIX_KINDS)[:, None, None] & (traffic >= seconds), seconds, 0.0)
    kinds = np.unique(table.kind)
    member = (table.kind == kinds[:, None]).astype(float)
    return KindTimes(
        kinds=tuple(Kind(kind) for kind in kinds),
        step=np.einsum("kr,cr,rgm->kgmc", member, running, seconds, optimize=True),
        once=np.asarray((member * optimizer) @ seconds[:, :, 0]),
        streaming=np.einsum("cr,rgm->gmc", running, waiting, optimize=True),
    )


def loads(
    table: OperatorTable, multiprocessors: Floats, micro_batches: Floats, kernel: KernelConstants
) -> Loads:
    """Return what each row asks of devices with G numbers of multiprocessors, for M micro-batches."""
    micro = micro_batches[None, :]

    def each(values: np.ndarray) -> np.ndarray:
        return values[:, None, None]

    def by_sample(fixed: Floats, per_sample: Floats) -> Floats:
        return np.asarray(fixed[:, None] + per_sample[:, None] * micro)[:, None, :]

    work = np.zeros((len(table), len(multiprocessors), len(micro_batches)))
    flops = by_sample(table.flops_fixed, table.flops_per_sample)
    products = np.flatnonzero(np.isin(table.kind, _PRODUCTS))
    if products.size:
        work[products] = _tiled_work(table, products, multiprocessors, micro_batches, kernel)
    attention = table.kind == Kind.ATTENTION
    keys = each(np.where(attention, table.columns, 1.0))
    work = np.where(each(attention), flops * (keys + kernel.attention_half_length) / keys, work)
    work = np.where(each(table.kind == Kind.DEPTHWISE_CONVOLUTION), flops, work)
    histograms = table.kind == Kind.HISTOGRAM
    if histograms.any():
        updates = by_sample(table.rows_fixed, table.rows_per_sample)
        cycles = updates * by_sample(table.inner_fixed, table.inner_per_sample)
        work = np.where(each(histograms), cycles, work)
    starts = by_sample(table.launches, table.launches_per_sample)
    return Loads(
        kind=each(table.kind),
        backward=each(np.asarray(table.phase == Phase.BACKWARD)),
        repeat=each(table.repeat),
        launches=np.asarray(each(table.repeat) * starts),
        wait=each(table.repeat * table.seconds),
        moved=by_sample(table.bytes_fixed, table.bytes_per_sample),
        work=np.asarray(work),
        share=each(np.where(histograms & (table.columns > 0), table.columns, np.inf)),
        rate=each(table.rate),
        vector_rate=each(table.vector_rate),
        full_precision=each(table.full_precision),
    )


def aged(asked: Loads, software: SoftwareSpeed) -> Loads:
    """Return what rows ask of a device where software of another age runs them."""
    convolution = np.isin(asked.kind, _ALL_CONVOLUTIONS)
    streaming = ~np.isin(asked.kind, (*MATRIX_KINDS, Kind.DEPTHWISE_CONVOLUTION, Kind.HISTOGRAM))
    return replace(
        asked,
        rate=asked.rate * np.where(convolution, software.convolution, 1.0),
        moved=asked.moved / np.where(streaming, software.streaming, 1.0),
    )


def row_seconds(asked: Loads, rates: DeviceRates, kernel: KernelConstants) -> Floats:
    """Return seconds of all ``repeat`` kernels of each row and of the waits beside them.

    Args:
        asked: what the rows ask.
        rates: arrays that broadcast with those of ``asked``.
        kernel: shared kernel constants.
    """
    traffic = _traffic_seconds(asked, rates, kernel)
    seconds = np.maximum(traffic, asked.work / _work_rate(asked, rates, kernel)) * _paces(asked, rates)
    return np.asarray(asked.repeat * seconds + asked.launches * rates.kernel_s + asked.wait)


def _paces(asked: Loads, rates: DeviceRates) -> Floats:
    """Return the pace of each row on each device."""
    if rates.pace.shape[-1] == 0:
        return np.ones(1)
    places = pace_place(asked.kind, asked.backward)
    shape = np.broadcast_shapes(places.shape, rates.pace.shape[:-1])
    known = np.broadcast_to(rates.pace, (*shape, rates.pace.shape[-1]))
    return np.asarray(np.take_along_axis(known, np.broadcast_to(places, shape)[..., None], axis=-1)[..., 0])


def _traffic_seconds(asked: Loads, rates: DeviceRates, kernel: KernelConstants) -> Floats:
    """Return seconds of the memory traffic of one kernel of each row."""
    cached = asked.moved < kernel.cache_share * rates.cache_bytes
    speed = (
        rates.bandwidth * _shares(asked.kind, kernel.bandwidth) * np.where(cached, kernel.cache_speedup, 1.0)
    )
    return np.asarray(asked.moved / speed)


def _work_rate(asked: Loads, rates: DeviceRates, kernel: KernelConstants) -> Floats:
    """Return the operations (of histograms: cycles) that a device does in a second on each row.

    A depthwise convolution runs on vector units. An update of a histogram waits for the one before it in the same bin,
    so it takes cycles, and all units share the updates unless the row names fewer.
    """
    whole = asked.full_precision
    rate = np.where(whole, rates.full_flops, rates.matrix_flops) * asked.rate
    rate = np.where(whole | rates.on_vector, rate * asked.vector_rate, rate)
    fused = np.where(asked.backward, rates.attention_backward, rates.attention_forward)
    rate = np.where(asked.kind == Kind.ATTENTION, fused, rate)
    rate = np.where(asked.kind == Kind.DEPTHWISE_CONVOLUTION, rates.full_flops * asked.rate, rate)
    cycles = np.minimum(rates.units, asked.share) * rates.clock_hz
    rate = np.where(asked.kind == Kind.HISTOGRAM, cycles, rate)
    return np.asarray(rate * _shares(asked.kind, kernel.rate))


def _shares(kinds: Integers, shares: Mapping[str, float]) -> Floats:
    """Return the share of each row's kind, 1 where it has none; same shape as ``kinds``."""
    by_kind = np.array([shares.get(kind.label, 1.0) for kind in Kind])
    return np.asarray(by_kind[kinds])


def _tiled_work(
    table: OperatorTable,
    rows: np.ndarray,
    multiprocessors: Floats,
    micro_batches: Floats,
    kernel: KernelConstants,
) -> Floats:
    """Return operations of one product of each row, shape [rows, G, M], idle multiprocessors counted as working.

    The work of the best tiling depends on a device only through its number of multiprocessors, and many rows share a
    shape, so it is found once for each distinct number and shape, in operations on one multiprocessor.
    """
    distinct, which = np.unique(multiprocessors, return_inverse=True)
    shapes, shape_of = np.unique(
        np.stack(
            [
                table.rows_fixed[rows], table.rows_per_sample[rows], table.inner_fixed[rows],
                table.inner_per_sample[rows], table.batch_fixed[rows], table.batch_per_sample[rows],
                table.columns[rows], np.isin(table.kind[rows], _CONVOLUTIONS),
            ]
        ),
        axis=1, return_inverse=True,
    )  # fmt: skip
    m, k, batch = (
        shapes[first][:, None] + shapes[first + 1][:, None] * micro_batches[None, :] for first in (0, 2, 4)
    )
    n = shapes[6][:, None]
    start = np.where(shapes[7][:, None] > 0, kernel.convolution_prologue_depth, kernel.prologue_depth)
    best = np.full((shapes.shape[1], len(distinct), len(micro_batches)), np.inf)
    split = np.array(kernel.splits, dtype=np.float64)[:, None, None, None]
    depth = (k / split[..., 0] + start) * (1.0 + kernel.split_overhead * (split[..., 0] > 1))
    for tile_rows, tile_columns, share in kernel.tiles:
        tiles = batch * np.ceil(m / tile_rows) * np.ceil(n / tile_columns)
        waves = np.ceil(tiles[:, None, :] * split / distinct[:, None])
        work = (waves * depth[:, :, None, :]).min(axis=0) * (2.0 * tile_rows * tile_columns / share)
        best = np.minimum(best, work)
    work = best[shape_of]
    grouped = np.flatnonzero(table.kind[rows] == Kind.GROUPED_CONVOLUTION)
    if grouped.size:
        flops = table.flops_fixed[rows, None] + table.flops_per_sample[rows, None] * micro_batches[None, :]
        even = flops[grouped, None, :] / distinct[None, :, None]
        work[grouped] = work[grouped] ** kernel.grouped_padding * even ** (1 - kernel.grouped_padding)
    return np.asarray(work[:, which, :] * multiprocessors[None, :, None])


def step_times(
    table: OperatorTable,
    rates: DeviceRates,
    micro_batches: Floats,
    kernel: KernelConstants,
    software: SoftwareSpeed,
) -> StepTimes:
    """Return the times of one micro-batch by phase.

    Args:
        table: the rows of one micro-batch.
        rates: G devices.
        micro_batches: M sizes, shape [M].
        kernel: shared kernel constants.
        software: how fast framework and trainer are.
    """
    asked = aged(loads(table, rates.multiprocessors, micro_batches, kernel), software)
    lifted = rates.on_grid()
    seconds = row_seconds(asked, lifted, kernel)
    phases = np.stack(
        [
            software.forward_launch * rates.forward_host,
            software.backward_launch * rates.backward_host,
            software.optimizer_launch * rates.optimizer_host,
        ]
    )
    host = np.asarray(asked.launches * lifted.launch_s * phases[table.phase][:, :, None])

    def total(chosen: np.ndarray, values: Floats) -> Floats:
        return np.asarray(values[chosen].sum(axis=0))

    step = table.phase != Phase.OPTIMIZER
    backward = table.phase == Phase.BACKWARD
    optimizer = table.phase == Phase.OPTIMIZER
    again = table.recomputed()
    micro_shape = (len(rates.launch_s), len(micro_batches))
    return StepTimes(
        device=total(step, seconds),
        device_backward=total(backward, seconds),
        device_recompute=np.stack([total(chosen, seconds) for chosen in again], axis=-1),
        matrix=total(step & np.isin(table.kind, MATRIX_KINDS), seconds),
        device_optimizer=total(optimizer, seconds)[:, 0] if len(micro_batches) else np.zeros(micro_shape[0]),
        host=total(step, host),
        host_backward=total(backward, host),
        host_recompute=np.stack([total(chosen, host) for chosen in again], axis=-1),
        host_optimizer=total(optimizer, host)[:, 0] if len(micro_batches) else np.zeros(micro_shape[0]),
    )
