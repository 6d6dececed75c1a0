"""Autocast for the simulated GPU: the casts that ``torch.autocast("cuda")`` would insert.

torch's own kernels cast only where a tensor's device is a real CUDA device, and ``torch.autocast`` turns itself off
where there is none. Others are registered in their place while a step is traced, and a module's own autocast stays on.
The lists are those of the documentation of torch.amp, "CUDA Op-Specific Behavior".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
import torch.utils.checkpoint
from torch.utils import _pytree as pytree

from advisor.describe.tracing.device_tensor import DeviceTensor

_KEY = "AutocastCUDA"

HALF = (
    "conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d.input",
    "conv_transpose3d.input", "convolution", "prelu", "addmm", "addmv", "addr", "matmul", "einsum", "mm", "mv",
    "linear", "linalg_vecdot", "linalg_multi_dot", "addbmm", "baddbmm", "bmm", "chain_matmul",
    "rnn_tanh_cell", "rnn_relu_cell", "lstm_cell", "gru_cell", "scaled_dot_product_attention",
    "lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input",
)  # fmt: skip

FULL = (
    "acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p", "reciprocal", "rsqrt", "sinh",
    "tan", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar", "softplus", "layer_norm", "native_layer_norm",
    "group_norm", "frobenius_norm.dim", "nuclear_norm", "nuclear_norm.dim", "cosine_similarity",
    "poisson_nll_loss", "cosine_embedding_loss", "nll_loss", "nll_loss2d", "hinge_embedding_loss", "kl_div", "l1_loss",
    "smooth_l1_loss", "huber_loss", "mse_loss", "margin_ranking_loss", "multilabel_margin_loss", "soft_margin_loss",
    "triplet_margin_loss", "multi_margin_loss", "binary_cross_entropy_with_logits", "dist", "pdist", "cdist", "renorm",
    "logsumexp", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d",
    "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
)  # fmt: skip

FULL_RESULT = (
    "prod", "prod.dim_int", "softmax.int", "log_softmax.int", "cumprod", "cumsum", "linalg_vector_norm",
    "sum", "sum.dim_IntList",
)  # fmt: skip
"""Operators whose result is in fp32: they read the narrower format and take a ``dtype``."""

WIDEST = (
    "addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "vdot", "grid_sampler", "index_put", "tensordot",
    "scatter_add", "cat", "stack",
)  # fmt: skip


class Autocast:
    """The casts of one step; a weight is cast once in a forward pass, as torch does.

    ``dtype`` None: nothing is cast but where the module itself says so.
    """

    def __init__(self, dtype: torch.dtype | None) -> None:
        self.dtype = dtype
        self.cache: dict[tuple[int, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put kernels that cast in the place of torch's; they run where casting is on."""
        library = torch.library.Library("aten", "IMPL")
        policies = ((HALF, _half), (FULL, _full), (FULL_RESULT, _full_result), (WIDEST, _widest))
        for names, policy in policies:
            for name in names:
                operator = _overload(name)
                if operator is not None:
                    library.impl(operator, policy(self, operator), _KEY, allow_override=True)
        torch.set_autocast_dtype("cuda", self.dtype or torch.float16)
        try:
            with _available():
                yield
        finally:
            self.switch(on=False)
            library._destroy()

    def switch(self, *, on: bool) -> None:
        """Turn casting on for a forward pass, or off after it."""
        self.cache.clear()
        if self.dtype is not None:
            torch.set_autocast_enabled("cuda", on)

    def cast(self, tree: Any, dtype: torch.dtype) -> Any:
        """Return nested arguments with their floating-point tensors in a format."""
        return pytree.tree_map_only(torch.Tensor, lambda tensor: self._one(tensor, dtype), tree)

    def _one(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        wide = tensor.dtype == torch.float64
        if not isinstance(tensor, DeviceTensor) or not tensor.is_floating_point() or wide:
            return tensor
        if tensor.dtype == dtype:
            return tensor
        if dtype == torch.float32 or not (tensor.is_leaf and tensor.requires_grad):
            return tensor.to(dtype)
        key = (id(tensor), dtype)
        if key not in self.cache:
            self.cache[key] = (tensor, tensor.to(dtype))
        return self.cache[key][1]


@contextmanager
def _available() -> Iterator[None]:
    """Let ``torch.autocast`` find the simulated GPU, whose tensors name their device "meta"."""
    initialise = torch.autocast.__init__

    def on_gpu(self: torch.autocast, device_type: str, *args: Any, **kwargs: Any) -> None:
        initialise(self, "cuda" if device_type == "meta" else device_type, *args, **kwargs)

    with (
        mock.patch.object(torch.autocast, "__init__", on_gpu),
        mock.patch.object(torch.cuda.amp.common, "amp_definitely_not_available", return_value=False),
        mock.patch.object(torch.cuda, "is_bf16_supported", return_value=True),
        mock.patch.object(torch.utils.checkpoint, "_infer_device_type", return_value="cuda"),
    ):
        yield


def _half(run: Autocast, operator: Any) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        with _below():
            args, kwargs = run.cast((args, kwargs), torch.get_autocast_dtype("cuda"))
            return operator(*args, **kwargs)

    return kernel


def _full(run: Autocast, operator: Any) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        with _below():
            args, kwargs = run.cast((args, kwargs), torch.float32)
            return operator(*args, **kwargs)

    return kernel


def _full_result(run: Autocast, operator: Any) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        with _below():
            narrow = isinstance(args[0], torch.Tensor) and args[0].dtype in (torch.float16, torch.bfloat16)
            names = [argument.name for argument in operator._schema.arguments]
            place = names.index("dtype")
            given = kwargs.get("dtype") if len(args) <= place else args[place]
            if narrow and given is None:
                args, kwargs = args[:place], kwargs | {"dtype": torch.float32}
            return operator(*args, **kwargs)

    return kernel


def _widest(run: Autocast, operator: Any) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        with _below():
            floats = {
                leaf.dtype
                for leaf in pytree.tree_leaves((args, kwargs))
                if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
            }
            if torch.float32 in floats and len(floats) > 1:
                args, kwargs = run.cast((args, kwargs), torch.float32)
            return operator(*args, **kwargs)

    return kernel


def _below() -> Any:
    """Return a guard under which operators skip their autocast kernels."""
    return torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA))


def _overload(name: str) -> Any:
    base, _, overload = name.partition(".")
    packet = getattr(torch.ops.aten, base, None)
    return None if packet is None else getattr(packet, overload or "default", None)
