"""Words for what a model does in one step: a table with a row for each distinct kernel, held as NumPy columns.

Every quantity grows affinely with the micro-batch ``b`` (samples on one GPU in one forward pass): it is held as
``fixed + per_sample * b``. A row stands for ``repeat`` kernels that are alike; all its quantities are for one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Kind(IntEnum):
    """Kinds of operators that differ in how close to the roofline they run."""

    GEMM = 0
    BATCHED_GEMM = 1
    CONVOLUTION = 2
    GROUPED_CONVOLUTION = 3
    DEPTHWISE_CONVOLUTION = 4
    ATTENTION = 5
    NORM = 6
    SOFTMAX = 7
    POINTWISE = 8
    COPY = 9
    REDUCTION = 10
    EMBEDDING = 11
    OPTIMIZER = 12
    RECURRENT = 13
    HISTOGRAM = 14

    @property
    def label(self) -> str:
        """The kind as documents and tables write it."""
        return self.name.lower().replace("_", " ")


class Phase(IntEnum):
    """When in a step a row runs."""

    FORWARD = 0
    BACKWARD = 1
    OPTIMIZER = 2


class Recompute(IntEnum):
    """Least activation checkpointing under which a forward row runs a second time in backward.

    SELECTIVE rows run again under selective and under full checkpointing.
    """

    NEVER = 0
    FULL = 1
    SELECTIVE = 2


@dataclass(frozen=True, slots=True)
class Affine:
    """A quantity ``fixed + per_sample * micro_batch``."""

    fixed: float = 0.0
    per_sample: float = 0.0

    def at(self, micro_batch: Floats) -> Floats:
        """Value for each micro-batch; same shape as ``micro_batch``."""
        return self.fixed + self.per_sample * micro_batch

    def __add__(self, other: Affine) -> Affine:
        return Affine(self.fixed + other.fixed, self.per_sample + other.per_sample)

    def __mul__(self, factor: float) -> Affine:
        return Affine(self.fixed * factor, self.per_sample * factor)


@dataclass(frozen=True, eq=False, slots=True)
class Operator:
    """One row in the making. ``rows``, ``columns`` and ``inner`` are M, N and K of a matrix product.

    In a histogram row they are the updates, the multiprocessors or cores that share them at most (0: all), and the
    cycles of one that an update takes. ``seconds`` are waits that no rate of the device shortens; ``rate`` is the share
    of the rate of its kind that a product reaches, where no good kernel exists for it; ``vector_rate`` the same on
    vector units, above 1 where a fast algorithm saves multiplications.
    """

    name: str
    kind: Kind
    phase: Phase
    repeat: float = 1.0
    flops: Affine = Affine()
    bytes: Affine = Affine()
    rows: Affine = Affine()
    columns: float = 0.0
    inner: Affine = Affine()
    batch: Affine = Affine(1.0)
    launches: float = 1.0
    launches_per_sample: float = 0.0
    seconds: float = 0.0
    rate: float = 1.0
    vector_rate: float = 1.0
    full_precision: bool = False
    recompute: Recompute = Recompute.NEVER


@dataclass(frozen=True, eq=False)
class OperatorTable:
    """The rows of one micro-batch (and of the optimizer step) as columns; all arrays have shape [rows].

    Units: ``flops`` operations, ``bytes`` device-memory traffic in bytes, ``rows`` x ``columns`` x ``inner`` the
    matrix shape (M, N, K) of each of ``batch`` products, ``launches`` kernels started for one of ``repeat``, with
    ``launches_per_sample`` where something loops over the samples, and ``seconds`` that the device waits beside (see
    :class:`Operator` for the meaning of a histogram's shape).
    ``full_precision`` marks matrix products that run in fp32 whatever the precision of the plan.
    """

    names: tuple[str, ...]
    kind: Integers
    phase: Integers
    recompute: Integers
    repeat: Floats
    launches: Floats
    launches_per_sample: Floats
    seconds: Floats
    rate: Floats
    vector_rate: Floats
    flops_fixed: Floats
    flops_per_sample: Floats
    bytes_fixed: Floats
    bytes_per_sample: Floats
    rows_fixed: Floats
    rows_per_sample: Floats
    columns: Floats
    inner_fixed: Floats
    inner_per_sample: Floats
    batch_fixed: Floats
    batch_per_sample: Floats
    full_precision: NDArray[np.bool_]

    @classmethod
    def of(cls, operators: Iterable[Operator]) -> OperatorTable:
        """Return the operators as columns, in the order given."""
        items = tuple(operators)

        def column(values: Iterable[float]) -> Floats:
            return np.fromiter(values, dtype=np.float64, count=len(items))

        def integers(values: Iterable[int]) -> Integers:
            return np.fromiter(values, dtype=np.int64, count=len(items))

        return cls(
            names=tuple(item.name for item in items),
            kind=integers(item.kind for item in items),
            phase=integers(item.phase for item in items),
            recompute=integers(item.recompute for item in items),
            repeat=column(item.repeat for item in items),
            launches=column(item.launches for item in items),
            launches_per_sample=column(item.launches_per_sample for item in items),
            seconds=column(item.seconds for item in items),
            rate=column(item.rate for item in items),
            vector_rate=column(item.vector_rate for item in items),
            flops_fixed=column(item.flops.fixed for item in items),
            flops_per_sample=column(item.flops.per_sample for item in items),
            bytes_fixed=column(item.bytes.fixed for item in items),
            bytes_per_sample=column(item.bytes.per_sample for item in items),
            rows_fixed=column(item.rows.fixed for item in items),
            rows_per_sample=column(item.rows.per_sample for item in items),
            columns=column(item.columns for item in items),
            inner_fixed=column(item.inner.fixed for item in items),
            inner_per_sample=column(item.inner.per_sample for item in items),
            batch_fixed=column(item.batch.fixed for item in items),
            batch_per_sample=column(item.batch.per_sample for item in items),
            full_precision=np.fromiter((item.full_precision for item in items), bool, count=len(items)),
        )

    def __len__(self) -> int:
        return len(self.names)

    def recomputed(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which rows run a second time, each of shape [rows]: with no, selective and full checkpointing."""
        return (
            np.zeros(len(self), dtype=bool),
            np.asarray(self.recompute == Recompute.SELECTIVE),
            np.asarray(self.recompute != Recompute.NEVER),
        )

    def flops(
        self, micro_batch: float, *, phases: tuple[Phase, ...] = (Phase.FORWARD, Phase.BACKWARD)
    ) -> float:
        """Operations of one micro-batch in the given phases, without recomputation."""
        chosen = np.isin(self.phase, phases)
        each = self.flops_fixed + self.flops_per_sample * micro_batch
        return float(np.sum((each * self.repeat)[chosen]))


@dataclass(frozen=True, slots=True)
class States:
    """Numbers of elements that live through a whole step, on one tensor-parallel rank, before any sharding.

    ``trainable`` elements have gradients and optimizer state. ``frozen_quantised`` are held in the weight format of the
    plan (nf4 in QLoRA, int4 in inference), ``frozen`` in the compute format.
    """

    trainable: float
    frozen: float
    frozen_quantised: float
    largest_tensor: float
    """Elements of the largest single trainable tensor: the optimizer's temporary where it works tensor by tensor."""
    largest_unit: float
    """Elements of the largest unit that sharding gathers at once (a layer, or the embedding)."""
    outside: float
    """Elements of the largest tensor outside the layers (embedding or head), which one pipeline stage holds whole."""
    autocast_copies: float
    """Elements of which autocast keeps a copy in the compute format from forward to backward."""


@dataclass(frozen=True, eq=False)
class Description:
    """What a model does and keeps, for one precision, one attention kernel and one tensor-parallel width.

    ``saved`` are bytes kept from forward to backward by checkpointing; ``working`` the largest set of temporaries that
    exists beside them; both on one GPU. ``layers`` is the number of units that a pipeline can be cut into.
    """

    table: OperatorTable
    states: States
    saved: Mapping[str, Affine]
    working: Mapping[str, Affine]
    layers: int
    tokens_per_sample: float
    hidden: int
    boundary_bytes: Affine
    """Activations that cross a pipeline boundary, and that tensor parallelism all-reduces each time, in bytes."""
    tensor_reductions: int
    """All-reduces of ``boundary_bytes`` in one forward pass under tensor parallelism; backward has as many."""
    measured: bool = False
    """Whether ``saved`` holds every tensor that was kept, as tracing finds, and not only those that a formula lists."""
    cache_bytes: Affine = field(default_factory=Affine)
    """KV cache of the longest sequence, inference only."""
