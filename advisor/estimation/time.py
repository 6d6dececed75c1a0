"""Time of a step, operator by operator: rows of a table x devices x micro-batches, as one broadcast.

A matrix product takes as long as its waves of tiles (a tile-and-wave model: the last wave is as long as a full one) or
its memory traffic, whichever is longer; a memory-bound kernel its traffic. Each kernel takes a while to start and end.
The host starts kernels one after the other: a step is never shorter than that (launch-bound).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from advisor.estimation.devices import DeviceRates
from advisor.execution import KernelConstants
from advisor.operators import Floats, Integers, Kind, OperatorTable, Phase

_PRODUCTS = (Kind.GEMM, Kind.BATCHED_GEMM, Kind.CONVOLUTION, Kind.GROUPED_CONVOLUTION, Kind.RECURRENT)


_CONVOLUTIONS = (Kind.CONVOLUTION, Kind.GROUPED_CONVOLUTION)

MATRIX_KINDS = (*_PRODUCTS, Kind.ATTENTION)
"""Kinds whose time is that of the matrix units where arithmetic bounds it."""


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
    host_recompute: Floats
    host_optimizer: Floats


def row_times(
    table: OperatorTable, rates: DeviceRates, micro_batches: Floats, kernel: KernelConstants
) -> Floats:
    """Return seconds of all ``repeat`` kernels of each row and of the waits beside them, shape [R, G, M]."""
    kernels = np.maximum(
        memory_times(table, rates, micro_batches, kernel), _busy_times(table, rates, micro_batches, kernel)
    )
    starts = _launches(table, micro_batches)[:, None, :] * rates.kernel_s[None, :, None]
    return np.asarray(kernels + starts + (table.repeat * table.seconds)[:, None, None])


def _launches(table: OperatorTable, micro_batches: Floats) -> Floats:
    """Return the kernels that all of each row start, shape [R, M]."""
    each = table.launches[:, None] + table.launches_per_sample[:, None] * micro_batches[None, :]
    return np.asarray(table.repeat[:, None] * each)


def memory_times(
    table: OperatorTable, rates: DeviceRates, micro_batches: Floats, kernel: KernelConstants
) -> Floats:
    """Return seconds that the memory traffic of all ``repeat`` kernels of each row takes, shape [R, G, M]."""
    moved = table.bytes_fixed[:, None] + table.bytes_per_sample[:, None] * micro_batches[None, :]
    seconds = moved[:, None, :] / rates.bandwidth[None, :, None] / _shares(table.kind, kernel.bandwidth)
    cached = moved[:, None, :] < kernel.cache_share * rates.cache_bytes[None, :, None]
    return np.asarray(table.repeat[:, None, None] * np.where(cached, seconds / kernel.cache_speedup, seconds))


def _shares(kinds: Integers, shares: Mapping[str, float]) -> Floats:
    """Return the share of each row's kind, 1 where it has none, shape [R, 1, 1]."""
    by_kind = np.array([shares.get(kind.label, 1.0) for kind in Kind])
    return np.asarray(by_kind[kinds][:, None, None])


def _busy_times(
    table: OperatorTable, rates: DeviceRates, micro_batches: Floats, kernel: KernelConstants
) -> Floats:
    """Return seconds that the arithmetic of each row takes, shape [R, G, M]."""
    seconds = np.zeros((len(table), rates.kernel_s.size, micro_batches.size))
    for rows, times in (
        (np.flatnonzero(np.isin(table.kind, _PRODUCTS)), _product_times),
        (np.flatnonzero(table.kind == Kind.ATTENTION), _attention_times),
        (np.flatnonzero(table.kind == Kind.DEPTHWISE_CONVOLUTION), _depthwise_times),
        (np.flatnonzero(table.kind == Kind.HISTOGRAM), _histogram_times),
    ):
        if rows.size:
            seconds[rows] = times(table, rows, rates, micro_batches, kernel)
    return np.asarray(table.repeat[:, None, None] * seconds)


def _product_times(
    table: OperatorTable, rows: np.ndarray, rates: DeviceRates, micro_batches: Floats, kernel: KernelConstants
) -> Floats:
    """Return seconds of one product of each row, shape [rows, G, M].

    The work of the best tiling depends on a device only through its number of multiprocessors, and many rows share a
    shape, so it is found once for each distinct number and shape, in operations on one multiprocessor, and divided by
    the rate of one.
    """
    distinct, which = np.unique(rates.multiprocessors, return_inverse=True)
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
    for tile_rows, tile_columns, share in kernel.tiles:
        tiles = batch * np.ceil(m / tile_rows) * np.ceil(n / tile_columns)
        for split in kernel.splits:
            waves = np.ceil(tiles[:, None, :] * split / distinct[None, :, None])
            depth = 2.0 * tile_rows * tile_columns * (k / split + start) / share
            best = np.minimum(best, waves * depth[:, None, :] * (1.0 + kernel.split_overhead * (split > 1)))
    work = best[shape_of]
    grouped = np.flatnonzero(table.kind[rows] == Kind.GROUPED_CONVOLUTION)
    if grouped.size:
        flops = table.flops_fixed[rows, None] + table.flops_per_sample[rows, None] * micro_batches[None, :]
        even = flops[grouped, None, :] / distinct[None, :, None]
        work[grouped] = work[grouped] ** kernel.grouped_padding * even ** (1 - kernel.grouped_padding)
    whole = table.full_precision[rows, None]
    rate = np.where(whole, rates.full_flops[None, :], rates.matrix_flops[None, :])
    rate = np.where(whole | rates.on_vector[None, :], rate * table.vector_rate[rows, None], rate)
    reached = _shares(table.kind[rows], kernel.rate) * table.rate[rows, None, None]
    return np.asarray(work[:, which, :] * (rates.multiprocessors[None, :] / rate)[:, :, None] / reached)


def _attention_times(
    table: OperatorTable, rows: np.ndarray, rates: DeviceRates, micro_batches: Floats, kernel: KernelConstants
) -> Floats:
    """Return seconds of one fused attention of each row, shape [rows, G, M]; short sequences run less efficiently."""
    flops = table.flops_fixed[rows, None] + table.flops_per_sample[rows, None] * micro_batches[None, :]
    keys = table.columns[rows]
    reach = keys / (keys + kernel.attention_half_length)
    backward = table.phase[rows] == Phase.BACKWARD
    full = np.where(backward[:, None], rates.attention_backward[None, :], rates.attention_forward[None, :])
    rate = full * reach[:, None]
    return np.asarray(flops[:, None, :] / rate[:, :, None])


def _depthwise_times(
    table: OperatorTable, rows: np.ndarray, rates: DeviceRates, micro_batches: Floats, kernel: KernelConstants
) -> Floats:
    """Return seconds of one depthwise convolution of each row, shape [rows, G, M]: it runs on vector units."""
    flops = table.flops_fixed[rows, None] + table.flops_per_sample[rows, None] * micro_batches[None, :]
    rate = rates.full_flops * kernel.rate[Kind.DEPTHWISE_CONVOLUTION.label]
    return np.asarray(flops[:, None, :] / rate[None, :, None])


def _histogram_times(
    table: OperatorTable, rows: np.ndarray, rates: DeviceRates, micro_batches: Floats, kernel: KernelConstants
) -> Floats:
    """Return seconds of one histogram of each row, shape [rows, G, M].

    An update waits for the one before it in the same bin, so it takes cycles of a multiprocessor or core, and all of
    them share the updates unless the row names fewer.
    """
    updates = table.rows_fixed[rows, None] + table.rows_per_sample[rows, None] * micro_batches[None, :]
    cycles = updates * (
        table.inner_fixed[rows, None] + table.inner_per_sample[rows, None] * micro_batches[None, :]
    )
    most = np.where(table.columns[rows] > 0, table.columns[rows], np.inf)
    units = np.minimum(rates.units[None, :], most[:, None])
    return np.asarray(cycles[:, None, :] / (units * rates.clock_hz[None, :])[:, :, None])


def step_times(
    table: OperatorTable,
    rates: DeviceRates,
    micro_batches: Floats,
    kernel: KernelConstants,
    *,
    launch_share: float,
) -> StepTimes:
    """Return the times of one micro-batch by phase.

    Args:
        table: the rows of one micro-batch.
        rates: G devices.
        micro_batches: M sizes, shape [M].
        kernel: shared kernel constants.
        launch_share: share of the host's eager launch time that remains (compilers and graphs save most of it).
    """
    seconds = row_times(table, rates, micro_batches, kernel)
    host = _launches(table, micro_batches)[:, None, :] * rates.launch_s[None, :, None] * launch_share

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
        host_recompute=np.stack([total(chosen, host) for chosen in again], axis=-1),
        host_optimizer=total(optimizer, host)[:, 0] if len(micro_batches) else np.zeros(micro_shape[0]),
    )
