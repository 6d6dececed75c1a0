"""Operator tables of learners that are not networks: what a library does on a GPU, and what it does on a CPU.

One training is one step. Gradient boosting from histograms (Chen and Guestrin 2016; Ke et al. 2017; Prokhorenkova et
al. 2018) adds every row to one bin of every feature at the root of a tree, and below it in the smaller child of each
split only, since the larger one is the difference (sibling subtraction).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

from advisor.execution import DeviceSide, LearnerConstants, ProductConstants, SvmConstants, TreeConstants
from advisor.hardware import Device
from advisor.learners import KMeans, Knn, Learner, Pca, RandomForest, Svm, Table, Trees
from advisor.operators import Affine, Description, Kind, Operator, OperatorTable, Phase, States

FLOAT = 4.0
DOUBLE = 8.0
INDEX = 4.0
GRADIENT_PAIR = 8.0
HISTOGRAM_BIN = 16.0
"""Sums of gradients and of second derivatives in one bin, in 64 bits each."""
REFERENCE_BINS = 256
REFERENCE_ROWS = 1e6
SMALLER_CHILD = 0.5
"""Greatest share of the rows of a node that its smaller child holds."""
FOREST_DEPTH_GPU = 16
"""cuML's default."""
UNBALANCED = 1.3
"""Levels of a tree that is grown until its leaves are pure, over those of a balanced one."""
NODES_AT_ONCE = 4096
"""Nodes of a forest's tree that cuML splits in one batch by default."""
KMEANS_START_PASSES = 3
"""Passes that the choice of the first centres costs (k-means||, Bahmani et al. 2012)."""
OVERSAMPLED = 10
"""Columns beside the components in a randomized decomposition (Halko et al. 2011)."""
POWER_ITERATIONS = 4
EIGEN_FLOPS = 9.0
"""Operations for all eigenvectors of a symmetric matrix over the cube of its size (Golub and Van Loan, section 8.3)."""
LIBSVM_CACHE_BYTES = 200 * 2.0**20
"""scikit-learn's default cache of kernel rows."""
DISTANCE_TILE_BYTES = 1e9
"""Distances that a search holds at once at most."""

_ZERO = States(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Memory:
    """Bytes that live through the training, and the largest set of temporaries beside them."""

    kept: float
    working: float


def describe_learner(learner: Learner, *, on_cpu: bool, constants: LearnerConstants) -> Description:
    """Return what one training does and keeps: all quantities are fixed, whatever the micro-batch.

    Args:
        learner: what is trained.
        on_cpu: the CPU implementation of the library; else the one for GPUs, which copies the data first.
        constants: costs of the libraries.
    """
    side: DeviceSide = "cpu" if on_cpu else "gpu"
    match learner:
        case Trees():
            own = constants.trees[learner.library][side]
            rows, memory = tuple(_boosting(learner, own, on_cpu)), _boosting_memory(learner, own, on_cpu)
        case RandomForest():
            own = constants.trees["random_forest"][side]
            rows, memory = tuple(_forest(learner, own, on_cpu)), _forest_memory(learner, own)
        case Svm():
            rows, memory = (
                tuple(_svm(learner, constants.svm[side])),
                _svm_memory(learner, constants.svm[side]),
            )
        case KMeans():
            rows, memory = (
                tuple(_kmeans(learner, _products(learner, side, constants))),
                _kmeans_memory(learner),
            )
        case Knn():
            rows, memory = tuple(_knn(learner, _products(learner, side, constants))), _knn_memory(learner)
        case Pca():
            rows, memory = tuple(_pca(learner, _products(learner, side, constants))), _pca_memory(learner)
        case _:
            assert_never(learner)
    start: tuple[Operator, ...] = (_wait("start-up", _start_s(learner, side, constants)),)
    if not on_cpu:
        start += (_wait("copy to the device", _input_bytes(learner) / (constants.host_copy_gb_s * 1e9)),)
    kept, working = Affine(memory.kept), Affine(memory.working)
    return Description(
        table=OperatorTable.of(start + rows),
        states=_ZERO,
        saved={"none": kept, "selective": kept, "full": kept},
        working={"none": working, "selective": working, "full": working},
        layers=1,
        tokens_per_sample=1.0,
        hidden=0,
        boundary_bytes=Affine(),
        tensor_reductions=0,
        measured=True,
    )


def learner_spread(learner: Learner, *, on_cpu: bool, constants: LearnerConstants) -> float:
    """Return the multiplicative 80 % spread of the time of a training on one kind of device."""
    side: DeviceSide = "cpu" if on_cpu else "gpu"
    return _entry(learner, side, constants).spread


def unsupported_learner(learner: Learner, device: Device, constants: LearnerConstants) -> str | None:
    """Say why a device cannot train a learner, None where it can."""
    if device.kind == "cpu":
        return None
    library = _library(learner)
    if device.vendor not in constants.vendors[library]:
        return f"{_LIBRARY_NAMES[library]} has no GPU support for {device.vendor}"
    least, has = constants.least_capability.get(library), device.capability
    if least is not None and has is not None and has < _version(least):
        return f"{_LIBRARY_NAMES[library]} needs compute capability {least}"
    return None


def rows_of(learner: Learner) -> int:
    """Return the rows that are trained on, or for a search of neighbours looked up."""
    return learner.query_count if isinstance(learner, Knn) else learner.rows


def learner_name(learner: Learner) -> str:
    """Return the learner as people say it: ``XGBoost, 500 trees of depth 8 on 11,000,000 x 28``."""
    match learner:
        case Trees():
            size = (
                f"depth {learner.depth or 6}"
                if learner.leaves is None and (learner.depth or learner.library != "lightgbm")
                else f"{learner.leaf_count} leaves"
            )
            what = f"{_LIBRARY_NAMES[learner.library]}, {learner.trees:,} trees of {size}"
        case RandomForest():
            what = f"random forest, {learner.trees:,} trees"
            what += f" of depth {learner.depth}" if learner.depth else ""
        case Svm():
            what = f"support vector machine, {learner.kernel} kernel"
        case KMeans():
            what = f"k-means, {learner.clusters:,} clusters, {learner.iterations:,} iterations"
        case Knn():
            what = f"{learner.neighbours:,} nearest neighbours of {learner.query_count:,} queries"
        case Pca():
            what = f"principal components, {learner.component_count:,}"
        case _:
            assert_never(learner)
    return f"{what} on {learner.rows:,} x {learner.features:,}"


def learner_assumptions(learner: Learner, on_cpu: bool) -> tuple[str, ...]:
    """Return what the description takes for granted, in sentences."""
    found = ["data lie in main memory when the clock starts; reading files is not counted"]
    if not on_cpu:
        found.append("the time to copy the data to the device is included, and so is the library's start-up")
    match learner:
        case Trees():
            found.append(f"{learner.bin_count} bins a feature; smaller child of each split counted as half")
            if learner.library == "lightgbm" and not on_cpu:
                found.append("LightGBM moves rows to their leaves on the host while the GPU waits")
            if learner.library == "catboost" and not on_cpu:
                found.append(
                    "CatBoost takes nearly all free device memory by default; shown is what it needs"
                )
        case RandomForest():
            found.append(
                "scikit-learn on all cores, exact splits" if on_cpu else "cuML, 128 bins, depth 16 unless set"
            )
        case Svm():
            found.append(
                f"{learner.support_vector_share:.0%} of the rows become support vectors; the number of "
                "iterations grows with them and is the least certain part"
            )
            found.append(
                "LIBSVM (scikit-learn) uses one core"
                if on_cpu
                else "cuML or ThunderSVM solve in working sets"
            )
        case KMeans():
            found.append(f"{learner.iterations} iterations until convergence, {learner.starts} start(s)")
        case Knn():
            found.append("exact search by brute force")
        case Pca():
            found.append(f"solver: {learner.effective_solver}")
        case _:
            assert_never(learner)
    return tuple(found)


_Library = Literal["xgboost", "lightgbm", "catboost", "cuml", "kmcuda"]
_LIBRARY_NAMES: dict[_Library, str] = {
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "cuml": "cuML",
    "kmcuda": "kmcuda",
}


def _library(learner: Learner) -> _Library:
    return learner.library if isinstance(learner, Trees | KMeans) else "cuml"


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _entry(
    learner: Learner, side: DeviceSide, constants: LearnerConstants
) -> TreeConstants | ProductConstants | SvmConstants:
    match learner:
        case Trees():
            return constants.trees[learner.library][side]
        case RandomForest():
            return constants.trees["random_forest"][side]
        case Svm():
            return constants.svm[side]
        case _:
            return _products(learner, side, constants)


def _products(learner: KMeans | Knn | Pca, side: DeviceSide, constants: LearnerConstants) -> ProductConstants:
    match learner:
        case KMeans(library="kmcuda"):
            name = "kmcuda"
        case KMeans():
            name = "kmeans"
        case Knn():
            name = "knn"
        case Pca():
            name = "pca"
    return constants.products[name][side]


def _start_s(learner: Learner, side: DeviceSide, constants: LearnerConstants) -> float:
    return _entry(learner, side, constants).start_s


def _input_bytes(table: Table) -> float:
    """Return the bytes of the table as floats, with column numbers where it is sparse."""
    return float(table.rows) * table.values * (FLOAT + (INDEX if table.sparse else 0.0))


def _wait(name: str, seconds: float, repeat: float = 1.0) -> Operator:
    """Return a row of time that no rate of the device shortens; its kernels are counted in it."""
    return Operator(name, Kind.COPY, Phase.FORWARD, repeat, launches=0.0, seconds=seconds)


def _cycles(
    name: str, updates: float, cycles: float, *, repeat: float = 1.0, moved: float = 0.0, units: float = 0.0
) -> Operator:
    """Return a row of updates that take cycles of one multiprocessor or core each; ``moved`` are bytes."""
    return Operator(
        name, Kind.HISTOGRAM, Phase.FORWARD, repeat, flops=Affine(2.0 * updates), bytes=Affine(moved),
        rows=Affine(updates), columns=units, inner=Affine(cycles), launches=0.0,
    )  # fmt: skip


def _stream(name: str, kind: Kind, moved: float, repeat: float = 1.0) -> Operator:
    return Operator(name, kind, Phase.FORWARD, repeat, bytes=Affine(moved))


def _product(name: str, m: float, n: float, k: float, repeat: float, written: float = 0.0) -> Operator:
    """Return an fp32 product of M x K and K x N; ``written`` are bytes of the result that reach memory."""
    return Operator(
        name, Kind.GEMM, Phase.FORWARD, repeat, flops=Affine(2.0 * m * n * k),
        bytes=Affine(FLOAT * k * (m + n) + written), rows=Affine(m), columns=n, inner=Affine(k),
        full_precision=True,
    )  # fmt: skip


def _leaves(learner: Trees, own: TreeConstants) -> float:
    """Return the leaves of one tree that the rows allow; at least one split is tried."""
    return max(2.0, min(float(learner.leaf_count), learner.rows / own.least_leaf_rows))


def _bin_bytes(learner: Trees, on_cpu: bool) -> float:
    """Return the bytes of one binned value.

    XGBoost packs the bin numbers of all features into as few bits as they need on a GPU (ELLPACK); the others hold a
    byte, or two above 256 bins.
    """
    if learner.library == "xgboost" and not on_cpu:
        return math.ceil(math.log2(learner.features * learner.bin_count + 1)) / 8
    if learner.library == "xgboost" and learner.sparse:
        return INDEX
    return 1.0 if learner.bin_count <= REFERENCE_BINS else 2.0


def _boosting(learner: Trees, own: TreeConstants, on_cpu: bool) -> Iterator[Operator]:
    rows, values, trees = float(learner.rows), float(learner.values), float(learner.grown)
    leaves, binned = _leaves(learner, own), _bin_bytes(learner, on_cpu)
    levels = math.log2(leaves)
    spill = (rows / REFERENCE_ROWS) ** own.spill_exponent
    value_cycles = own.value_cycles * (learner.bin_count / REFERENCE_BINS) ** own.bin_exponent * spill
    visited = rows * (1.0 + SMALLER_CHILD * (levels - 1.0))
    steps = levels if learner.library == "catboost" else leaves - 1.0
    yield _cycles("binning", rows * values, own.binning_cycles, moved=rows * values * (FLOAT + binned))
    yield _stream("gradients", Kind.POINTWISE, rows * (2 * FLOAT + GRADIENT_PAIR), trees)
    yield _cycles(
        "histogram", visited * values, value_cycles, repeat=trees,
        moved=visited * (values * binned + GRADIENT_PAIR + INDEX),
    )  # fmt: skip
    yield _cycles(
        "row partition",
        rows,
        own.row_cycles * spill,
        repeat=trees * levels,
        moved=rows * (2 * INDEX + binned),
    )
    if own.host_row_ns:
        yield _wait("row partition on the host", rows * own.host_row_ns * 1e-9, trees * levels)
    bins = float(learner.features) * learner.bin_count
    yield _stream("split evaluation", Kind.REDUCTION, 2.0 * leaves * bins * HISTOGRAM_BIN, trees)
    yield _wait("steps one after the other", own.split_us * 1e-6, trees * steps)
    yield _stream("prediction update", Kind.POINTWISE, rows * (2 * FLOAT + INDEX), trees)


def _boosting_memory(learner: Trees, own: TreeConstants, on_cpu: bool) -> _Memory:
    rows, values = float(learner.rows), float(learner.values)
    outputs = float(max(1, learner.classes if learner.classes > 2 else 1))
    kept = rows * (values * _bin_bytes(learner, on_cpu) + own.row_bytes * outputs)
    if on_cpu:
        kept += _input_bytes(learner)
    # LightGBM reads the histogram of a leaf back to the host, which keeps them all.
    held = 1.0 if learner.library == "lightgbm" and not on_cpu else _leaves(learner, own)
    return _Memory(kept, held * learner.features * learner.bin_count * HISTOGRAM_BIN)


def _forest_levels(learner: RandomForest, own: TreeConstants, on_cpu: bool) -> float:
    grown = math.log2(max(2.0, learner.rows / own.least_leaf_rows)) * UNBALANCED
    limit = float(learner.depth or (grown if on_cpu else FOREST_DEPTH_GPU))
    return max(1.0, min(limit, grown))


def _forest_leaves(learner: RandomForest, own: TreeConstants, levels: float) -> float:
    return min(math.pow(2.0, levels), max(2.0, learner.rows / own.least_leaf_rows))


def _forest(learner: RandomForest, own: TreeConstants, on_cpu: bool) -> Iterator[Operator]:
    """Yield the rows of a forest; its trees do not wait for each other, so on a CPU each core grows its own."""
    rows, trees = float(learner.rows), float(learner.trees)
    levels = _forest_levels(learner, own, on_cpu)
    leaves = _forest_leaves(learner, own, levels)
    chosen = float(learner.split_features) * (learner.values / learner.features)
    if own.binning_cycles:
        yield _cycles("binning", rows * learner.values, own.binning_cycles, moved=_input_bytes(learner))
    units = trees if on_cpu else 0.0
    yield _cycles(
        "histogram", rows * chosen * levels * trees, own.value_cycles, units=units,
        moved=rows * levels * trees * (chosen * FLOAT + 2 * INDEX),
    )  # fmt: skip
    yield _cycles(
        "row partition", rows * levels * trees, own.row_cycles, units=units,
        moved=rows * levels * trees * 2 * INDEX,
    )  # fmt: skip
    if own.split_us:
        steps = levels + leaves / NODES_AT_ONCE
        yield _wait("steps one after the other", own.split_us * 1e-6, trees * steps)


def _forest_memory(learner: RandomForest, own: TreeConstants) -> _Memory:
    rows = float(learner.rows)
    nodes = 2.0 * rows / own.least_leaf_rows * 64.0
    return _Memory(_input_bytes(learner) + rows * own.row_bytes, nodes)


def _svm(learner: Svm, own: SvmConstants) -> Iterator[Operator]:
    problems, size = learner.problems
    rows, values = float(size), float(learner.values)
    iterations = max(1.0, own.iterations_per_support_vector * learner.support_vector_share * rows)
    computed = 1.0 - own.kernel_rows_kept
    yield _wait("iterations one after the other", own.iteration_us * 1e-6, problems * iterations)
    if own.value_cycles:
        yield _cycles(
            "kernel rows", own.working_set * rows * values * computed, own.value_cycles,
            repeat=problems * iterations, units=float(own.units),
        )  # fmt: skip
        yield _cycles(
            "gradient update", rows, own.row_cycles, repeat=problems * iterations, units=float(own.units)
        )
        return
    together = min(float(own.working_set), rows)
    blocks = math.ceil(iterations / (together / 2.0))
    written = together * rows * FLOAT
    yield _product("kernel rows", together, rows, values, problems * blocks * computed, written)
    yield _stream("kernel function", Kind.POINTWISE, 2.0 * written, problems * blocks * computed)
    yield _stream("gradient update", Kind.REDUCTION, written + 2.0 * rows * FLOAT, problems * blocks)


def _svm_memory(learner: Svm, own: SvmConstants) -> _Memory:
    _, size = learner.problems
    data = _input_bytes(learner)
    if own.value_cycles:
        return _Memory(data + learner.rows * learner.values * (DOUBLE + DOUBLE), LIBSVM_CACHE_BYTES)
    return _Memory(data + 6.0 * learner.rows * FLOAT, 2.0 * min(own.working_set, size) * size * FLOAT)


def _kmeans(learner: KMeans, own: ProductConstants) -> Iterator[Operator]:
    rows, clusters, values = float(learner.rows), float(learner.clusters), float(learner.values)
    passes = float(learner.starts * (learner.iterations + KMEANS_START_PASSES))
    yield _product("distances", rows, clusters, values, passes / own.product_share)
    yield _cycles("nearest centre", rows * clusters, own.selection_cycles, repeat=passes)
    yield _stream("new centres", Kind.REDUCTION, rows * (values * FLOAT + INDEX), passes)
    yield _wait("passes one after the other", own.pass_us * 1e-6, passes)


def _kmeans_memory(learner: KMeans) -> _Memory:
    rows = float(learner.rows)
    centres = float(learner.clusters) * learner.features * FLOAT
    return _Memory(_input_bytes(learner) + rows * 4 * FLOAT + 2 * centres, rows * 2 * FLOAT)


def _knn(learner: Knn, own: ProductConstants) -> Iterator[Operator]:
    queries, rows = float(learner.query_count), float(learner.rows)
    tiles = max(1.0, queries * rows * FLOAT / DISTANCE_TILE_BYTES)
    distances = FLOAT * queries * rows
    yield _product("distances", queries, rows, float(learner.values), 1.0 / own.product_share, distances)
    yield _cycles("nearest rows", queries * rows, own.selection_cycles, moved=distances)
    yield _wait("tiles one after the other", own.pass_us * 1e-6, tiles)


def _knn_memory(learner: Knn) -> _Memory:
    queries = float(learner.query_count)
    looked_up = queries * learner.values * FLOAT if learner.queries is not None else 0.0
    answers = queries * learner.neighbours * (FLOAT + DOUBLE)
    tile = min(queries * learner.rows * FLOAT, DISTANCE_TILE_BYTES)
    return _Memory(_input_bytes(learner) + looked_up + answers, tile)


def _pca(learner: Pca, own: ProductConstants) -> Iterator[Operator]:
    rows, features = float(learner.rows), float(learner.features)
    data = _input_bytes(learner)
    yield _stream("mean and centring", Kind.REDUCTION, 3.0 * data)
    if learner.effective_solver == "covariance":
        yield _product("covariance", features, features, rows, 1.0)
        inner = EIGEN_FLOPS / 2.0 * features
        yield _product("eigenvectors", features, features, inner, 1.0 / own.product_share)
        yield _wait("steps of the solver", own.pass_us * 1e-6, math.log2(features) + 1.0)
        return
    width = min(float(learner.component_count + OVERSAMPLED), features, rows)
    passes = 2.0 * POWER_ITERATIONS + 2.0
    yield _product("projection", rows, width, features, passes / 2.0, rows * width * FLOAT)
    yield _product("projection back", features, width, rows, passes / 2.0)
    yield _product("orthogonalisation", rows, width, width, passes, 2.0 * rows * width * FLOAT)
    yield _wait("passes one after the other", own.pass_us * 1e-6, passes)


def _pca_memory(learner: Pca) -> _Memory:
    data = _input_bytes(learner)
    square = float(learner.features) ** 2 * FLOAT
    if learner.effective_solver == "covariance":
        return _Memory(data, 4.0 * square + data)
    width = float(learner.component_count + OVERSAMPLED)
    return _Memory(data, 3.0 * (learner.rows + learner.features) * width * FLOAT + data)
