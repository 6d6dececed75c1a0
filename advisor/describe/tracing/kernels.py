"""What one call of an ATen operator asks of a GPU: kind, floating-point operations, bytes moved, kernels started.

Bytes count each input and output once, tensors that are broadcast by what is stored of them; products have the shape
of the matrix product that they are (convolutions: implicit GEMM, Chetlur et al. 2014, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import flop_registry

from advisor.describe.tracing.device_tensor import UntraceableError
from advisor.operators import Kind


@dataclass(frozen=True, slots=True)
class Work:
    """One kernel, or ``repeat`` kernels alike, at one batch size; see :class:`advisor.operators.Operator`."""

    name: str
    kind: Kind
    flops: float
    bytes: float
    launches: float = 1.0
    rows: float = 0.0
    columns: float = 0.0
    inner: float = 0.0
    batch: float = 1.0
    repeat: float = 1.0
    full_precision: bool = False


def stored_bytes(tensor: torch.Tensor) -> float:
    """Bytes that reading a tensor once moves: what is expanded is read once."""
    numbers = math.prod(
        size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride != 0
    )
    return float(numbers * tensor.element_size())


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _traffic(args: Any, kwargs: Any, result: Any) -> float:
    return sum(stored_bytes(tensor) for tensor in _tensors((args, kwargs, result)))


_FIRST_IS_NOT_READ = {
    "fill", "fill_", "zero_", "copy", "copy_", "normal_", "uniform_", "random_", "bernoulli_", "exponential_",
    "zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "randint_like", "new_zeros", "new_ones",
    "new_full",
}  # fmt: skip
"""Operators whose first argument is overwritten, or gives no more than its shape."""


def works(function: Any, args: Any, kwargs: dict[str, Any], result: Any) -> Iterator[Work]:
    """Yield the kernels that a call starts; none for views and for allocations.

    Raises:
        UntraceableError: the operator is not one of torch's own, and no one says what it computes.
    """
    name = function._schema.name.removeprefix("aten::")
    if function.is_view or name in _FREE:
        return
    formula = flop_registry.get(function.overloadpacket)
    if function.namespace not in _NAMESPACES and formula is None:
        raise UntraceableError(
            str(function),
            "it is no operator of torch, so that its FLOPs are not known: use torch's operators in its place, or give "
            "them to torch.utils.flop_counter.register_flop_formula beside its definition",
        )
    special = _SPECIAL.get(name)
    if special is not None:
        yield from special(name, args, kwargs, result)
        return
    if name.startswith("_foreach"):
        yield _foreach(name, args, kwargs, result)
        return
    if formula is not None:
        yield _counted(name, formula(*args, **kwargs, out_val=result), args, kwargs, result)
        return
    kind = _KINDS.get(name)
    if kind is None:
        kind = Kind.POINTWISE if torch.Tag.pointwise in function.tags else _kind_of(name)
    read = args[1:] if name in _FIRST_IS_NOT_READ else args
    moved = _traffic(read, kwargs, result) * _passes(name, args)
    if kind is Kind.EMBEDDING:
        moved = _gathered(name, args, kwargs, result)
    yield Work(name, kind, 0.0, moved, launches=_LAUNCHES.get(name, 1.0))


_NAMESPACES = ("aten", "prims", "prim")
_FREE = {
    "_unsafe_view", "_reshape_alias", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided",
    "detach_", "set_", "resize_", "lift_fresh", "alias", "unsqueeze_", "squeeze_", "transpose_", "t_",
    "as_strided_", "sym_size", "is_same_size", "_assert_tensor_metadata", "_has_compatible_shallow_copy_type",
    "record_stream", "_version",
}  # fmt: skip

_REDUCTIONS = ("sum", "mean", "max", "min", "amax", "amin", "argmax", "argmin", "prod", "var", "std", "norm", "cumsum",
               "cumprod", "logsumexp", "any", "all", "topk", "sort", "linalg_vector_norm", "var_mean", "std_mean",
               "nll_loss_forward", "nll_loss_backward", "nll_loss2d_forward", "nll_loss2d_backward", "_ctc_loss",
               "_ctc_loss_backward")  # fmt: skip
_COPIES = (
    "clone", "copy_", "_to_copy", "copy", "cat", "stack", "contiguous", "constant_pad_nd", "repeat", "fill_", "zero_",
    "zeros", "zeros_like", "ones", "ones_like", "full", "full_like", "new_zeros", "new_ones", "new_full", "flip",
    "roll", "slice_backward", "select_backward", "as_strided_scatter", "slice_scatter", "im2col", "col2im",
    "reflection_pad1d",
    "reflection_pad2d", "replication_pad2d", "replication_pad3d", "pixel_shuffle", "reflection_pad2d_backward",
    "replication_pad2d_backward", "unfold_backward", "_fft_r2c", "_fft_c2r", "_fft_c2c",
)  # fmt: skip
_EMBEDDINGS = ("embedding", "embedding_dense_backward", "index", "index_select", "gather", "scatter", "scatter_add",
               "scatter_add_", "index_add", "index_add_", "index_put", "index_put_", "_index_put_impl_", "scatter_",
               "_embedding_bag", "_embedding_bag_forward_only", "_embedding_bag_dense_backward", "scatter_reduce",
               "grid_sampler_2d", "grid_sampler_2d_backward", "grid_sampler_3d", "_unsafe_index", "index_copy_",
               "_unsafe_index_put", "take_along_dim", "embedding_backward", "gather_backward")  # fmt: skip
_NORMS = ("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm", "native_layer_norm", "native_group_norm",
          "_fused_rms_norm", "native_batch_norm_backward", "native_layer_norm_backward", "native_group_norm_backward",
          "_fused_rms_norm_backward", "batch_norm_backward", "_batch_norm_with_update",
          "_native_batch_norm_legit_no_training", "cudnn_batch_norm_backward")  # fmt: skip
_SOFTMAXES = ("_softmax", "_log_softmax", "_softmax_backward_data", "_log_softmax_backward_data", "_safe_softmax",
              "_masked_softmax", "_masked_softmax_backward")  # fmt: skip

_KINDS: dict[str, Kind] = {
    name: kind
    for kind, names in (
        (Kind.REDUCTION, _REDUCTIONS),
        (Kind.COPY, _COPIES),
        (Kind.EMBEDDING, _EMBEDDINGS),
        (Kind.NORM, _NORMS),
        (Kind.SOFTMAX, _SOFTMAXES),
    )
    for name in names
}


def _kind_of(name: str) -> Kind:
    if "pool" in name or "upsample" in name:
        return Kind.REDUCTION
    return Kind.POINTWISE


_PASSES = {
    "native_batch_norm": 1.5, "_native_batch_norm_legit": 1.5, "cudnn_batch_norm": 1.5, "_batch_norm_with_update": 1.5,
    "native_group_norm": 1.5, "native_batch_norm_backward": 5 / 3, "native_group_norm_backward": 5 / 3,
    "batch_norm_backward": 5 / 3, "cudnn_batch_norm_backward": 5 / 3,
}  # fmt: skip
"""Norms over a batch or over whole channels read their input a second time: statistics first, then the result."""


def _passes(name: str, args: Any) -> float:
    """Return how often an operator moves its tensors; a batch norm with known statistics does so once."""
    known = name == "native_batch_norm" and not args[5]
    return 1.0 if known else _PASSES.get(name, 1.0)


_LAUNCHES = {
    "native_batch_norm": 2.0, "native_batch_norm_backward": 2.0, "native_group_norm": 2.0,
    "native_group_norm_backward": 3.0, "native_layer_norm_backward": 2.0, "embedding_dense_backward": 4.0, "topk": 4.0,
    "sort": 4.0, "index_put_": 4.0, "_ctc_loss": 2.0, "_fft_r2c": 2.0, "_fft_c2r": 2.0, "_fft_c2c": 2.0,
}  # fmt: skip


def _gathered(name: str, args: Any, kwargs: Any, result: Any) -> float:
    """Bytes of a look-up: indices, and what is read and written; never the whole table that is read from.

    A scatter into a tensor in place reads and writes the places that its source goes to; one that returns a new tensor
    writes all of that.
    """
    inputs, outputs = _tensors((args, kwargs)), _tensors(result)
    floats = [stored_bytes(tensor) for tensor in inputs if tensor.is_floating_point()]
    indices = sum(stored_bytes(tensor) for tensor in inputs if not tensor.is_floating_point())
    if name.endswith("_"):
        return indices + 3 * min(floats, default=0.0)
    written = sum(stored_bytes(tensor) for tensor in outputs)
    return indices + written + min([written, *floats])


def _foreach(name: str, args: Any, kwargs: Any, result: Any) -> Work:
    tensors = _tensors((args, kwargs, result))
    return Work(
        name, Kind.POINTWISE, 0.0, sum(map(stored_bytes, tensors)), launches=max(1.0, len(tensors) / 60)
    )


def _product(
    name: str, kind: Kind, shape: tuple[float, float, float], batch: float, moved: float, first: torch.Tensor
) -> Work:
    m, n, k = (float(size) for size in shape)
    return Work(
        name, kind, 2.0 * m * n * k * batch, moved, rows=m, columns=n, inner=k, batch=float(batch),
        full_precision=first.dtype == torch.float32,
    )  # fmt: skip


def _counted(name: str, flops: float, args: Any, kwargs: Any, result: Any) -> Work:
    """Return an operator of which no more than the FLOPs is known: a product that gives its result."""
    made = _tensors(result)
    moved = _traffic(args, kwargs, result)
    if not flops or not made or not made[0].numel():
        return Work(name, Kind.POINTWISE, 0.0, moved)
    columns = made[0].shape[-1] if made[0].dim() else 1
    rows = made[0].numel() / columns
    shape = (rows, columns, flops / (2 * rows * columns))
    return _product(name, Kind.CONVOLUTION if "conv" in name else Kind.GEMM, shape, 1, moved, made[0])


def _matrix_product(name: str, args: Any, kwargs: Any, result: torch.Tensor) -> Iterator[Work]:
    operands = args[1:3] if name in ("addmm", "baddbmm", "addmv", "addbmm") else args[:2]
    left, right = operands
    moved = _traffic(args, kwargs, result)
    if name in ("bmm", "baddbmm"):
        shape = (left.shape[1], right.shape[2], left.shape[2])
        yield _product(name, Kind.BATCHED_GEMM, shape, left.shape[0], moved, left)
    elif name in ("mv", "addmv", "dot", "vdot"):
        rows = left.shape[0] if left.dim() == 2 else 1
        yield _product(name, Kind.GEMM, (rows, 1, left.shape[-1]), 1, moved, left)
    else:
        yield _product(name, Kind.GEMM, (left.shape[0], right.shape[1], left.shape[1]), 1, moved, left)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A convolution: batch of samples, channels of both sides, positions of both sides, kernel taps, groups."""

    samples: int
    inputs: int
    outputs: int
    places_in: int
    places_out: int
    taps: int
    groups: int

    @property
    def dense(self) -> bool:
        """Whether there is an output for nearly every position of the input: no stride."""
        return 2 * self.places_out > self.places_in

    @property
    def kind(self) -> Kind:
        if self.groups == 1:
            return Kind.CONVOLUTION
        narrow = self.inputs == self.groups
        return Kind.DEPTHWISE_CONVOLUTION if narrow else Kind.GROUPED_CONVOLUTION


def _convolution_shape(
    source: torch.Tensor, weight: torch.Tensor, output: torch.Tensor, transposed: bool, groups: int
) -> _Shape:
    """Return a convolution as its forward direction; a transposed one is that of its input gradient."""
    big, small = (output, source) if transposed else (source, output)
    return _Shape(
        samples=source.shape[0],
        inputs=big.shape[1],
        outputs=small.shape[1],
        places_in=math.prod(big.shape[2:]),
        places_out=math.prod(small.shape[2:]),
        taps=math.prod(weight.shape[2:]),
        groups=groups,
    )


def _name(direction: str, shape: _Shape, weight: torch.Tensor) -> str:
    """Return direction and kernel, with /2 where it has a stride: ``convolution 3x3/2``."""
    kernel = "x".join(str(size) for size in weight.shape[2:])
    return f"{direction} {kernel}" + ("" if shape.dense else "/2")


def _forward_product(
    direction: str, shape: _Shape, weight: torch.Tensor, moved: float, first: torch.Tensor
) -> Work:
    m = shape.samples * shape.places_out
    sizes = (m, shape.outputs / shape.groups, shape.inputs / shape.groups * shape.taps)
    return _product(_name(direction, shape, weight), shape.kind, sizes, shape.groups, moved, first)


def _input_product(
    direction: str, shape: _Shape, weight: torch.Tensor, moved: float, first: torch.Tensor
) -> Work:
    share = shape.places_out / shape.places_in
    sizes = (
        shape.samples * shape.places_in,
        shape.inputs / shape.groups,
        shape.outputs / shape.groups * shape.taps * share,
    )
    return _product(_name(direction, shape, weight), shape.kind, sizes, shape.groups, moved, first)


def _weight_product(shape: _Shape, weight: torch.Tensor, moved: float, first: torch.Tensor) -> Work:
    sizes = (
        shape.outputs / shape.groups,
        shape.inputs / shape.groups * shape.taps,
        shape.samples * shape.places_out,
    )
    name = _name("convolution weight gradient", shape, weight)
    return _product(name, shape.kind, sizes, shape.groups, moved, first)


def _convolution(name: str, args: Any, kwargs: Any, result: torch.Tensor) -> Iterator[Work]:
    source, weight, bias = args[:3]
    transposed, groups = args[6], args[8]
    shape = _convolution_shape(source, weight, result, transposed, groups)
    moved = sum(stored_bytes(tensor) for tensor in (source, weight, result))
    if transposed:
        yield _input_product("transposed convolution", shape, weight, moved, source)
    else:
        yield _forward_product("convolution", shape, weight, moved, source)
    if bias is not None:
        yield Work("convolution bias", Kind.POINTWISE, 0.0, 2 * stored_bytes(result))


def _convolution_backward(name: str, args: Any, kwargs: Any, result: Sequence[Any]) -> Iterator[Work]:
    gradient, source, weight = args[:3]
    transposed, groups = args[7], args[9]
    shape = _convolution_shape(source, weight, gradient, transposed, groups)
    moved = sum(stored_bytes(tensor) for tensor in (source, weight, gradient))
    if result[0] is not None:
        direction = "convolution input gradient"
        make = _forward_product if transposed else _input_product
        yield make(direction, shape, weight, moved, gradient)
    if result[1] is not None:
        yield _weight_product(shape, weight, moved, gradient)
    if result[2] is not None:
        yield Work("convolution bias gradient", Kind.REDUCTION, 0.0, stored_bytes(gradient))


_SPECIAL: dict[str, Callable[[str, Any, Any, Any], Iterator[Work]]] = {
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "vdot"), _matrix_product),
}
