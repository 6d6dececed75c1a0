"""Operators that a GPU runs as one kernel and torch takes apart elsewhere: attention, recurrent layers, dropout, SiLU.

While a step is traced each is replaced in torch's dispatcher by a function that keeps what the fused kernel keeps for
backward, and reports a row for what it computes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from advisor.describe.tracing.device_tensor import Simulation
from advisor.describe.tracing.kernels import Work, stored_bytes
from advisor.operators import Kind

Report = Callable[[Work], None]


class FusedKernels:
    """Registers the replacements for tensors of the simulated GPU while a step is traced."""

    def __init__(self, simulation: Simulation, report: Report) -> None:
        self.simulation = simulation
        self.report = report

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put the replacements in the place of torch's own, which take the operators apart."""
        library = torch.library.Library("aten", "IMPL")
        kernels: dict[str, Callable[..., Any]] = {
            "scaled_dot_product_attention": self._attention,
            "dropout": self._dropout,
            "dropout_": self._dropout,
            "lstm.input": functools.partial(self._recurrent, 4),
            "gru.input": functools.partial(self._recurrent, 3),
            "rnn_tanh.input": functools.partial(self._recurrent, 1),
            "rnn_relu.input": functools.partial(self._recurrent, 1),
            "silu_backward": functools.partial(self._pointwise, "silu_backward"),
            "mish_backward": functools.partial(self._pointwise, "mish_backward"),
        }
        for name, kernel in kernels.items():
            library.impl(name, kernel, "AutogradCUDA", allow_override=True)
        try:
            yield
        finally:
            library._destroy()

    def _attention(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        bias = attn_mask if attn_mask is not None and attn_mask.requires_grad else None
        result: torch.Tensor = _Attention.apply(self, is_causal, bias, query, key, value)
        return result

    def _pointwise(self, name: str, *tensors: torch.Tensor) -> torch.Tensor:
        with self.simulation.silent():
            result = torch.empty_like(tensors[0])
        moved = sum(stored_bytes(tensor) for tensor in (*tensors, result))
        self.report(Work(name, Kind.POINTWISE, flops=0.0, bytes=moved))
        return result

    def _dropout(self, tensor: torch.Tensor, p: float, train: bool) -> torch.Tensor:
        return torch.native_dropout(tensor, p, True)[0] if train and p > 0 else tensor

    def _recurrent(
        self,
        gates: int,
        inputs: torch.Tensor,
        hidden: Any,
        weights: Sequence[torch.Tensor],
        has_biases: bool,
        layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Any:
        states = len(hidden) if isinstance(hidden, (tuple, list)) else 1
        directions = 2 if bidirectional else 1
        each = len(weights) // layers
        current = inputs
        finals: list[list[torch.Tensor]] = []
        for layer in range(layers):
            own = weights[layer * each : (layer + 1) * each]
            current, *final = _Recurrent.apply(
                self, gates, directions, batch_first, train, states, current, *own
            )
            finals.append(final)
            if dropout and train and layer < layers - 1:
                current = self._dropout(current, dropout, True)
        kept = (torch.cat([final[index] for final in finals]) for index in range(states))
        return (current, *kept)


class _Attention(torch.autograd.Function):
    """Fused attention (Dao et al. 2022): keeps its inputs, its output and a logarithm for each query."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: FusedKernels,
        causal: bool,
        bias: torch.Tensor | None,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
    ) -> torch.Tensor:
        *outer, queries, _ = query.shape
        with kernels.simulation.silent():
            output = query.new_empty((*outer, queries, value.shape[-1]))
            normaliser = query.new_empty((*outer, queries), dtype=torch.float32)
        ctx.save_for_backward(query, key, value, output, normaliser, bias)
        ctx.kernels, ctx.causal = kernels, causal
        ctx.work = _attention_work(query, key, value, causal)
        kernels.report(ctx.work)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        query, key, value, _, _, bias = ctx.saved_tensors
        with ctx.kernels.simulation.silent():
            gradients = tuple(torch.empty_like(tensor) for tensor in (query, key, value))
            bias_gradient = None if bias is None else torch.empty_like(bias)
        forward: Work = ctx.work
        ctx.kernels.report(
            Work(
                "attention", Kind.ATTENTION, flops=2.5 * forward.flops, bytes=2.0 * forward.bytes, launches=3,
                rows=forward.rows, columns=forward.columns, inner=forward.inner, batch=forward.batch,
            )
        )  # fmt: skip
        return (None, None, bias_gradient, *gradients)


def _attention_work(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool) -> Work:
    """Return the forward pass: two products of (queries, keys), of which causal attention computes half."""
    *outer, queries, width = query.shape
    keys, out_width = key.shape[-2], value.shape[-1]
    batch = math.prod(outer)
    flops = 2.0 * batch * queries * keys * (width + out_width) * (0.5 if causal and queries == keys else 1.0)
    moved = sum(tensor.numel() for tensor in (query, key, value)) + batch * queries * out_width
    return Work(
        "attention", Kind.ATTENTION, flops=flops, bytes=float(moved * query.element_size()), launches=1,
        rows=queries, columns=keys, inner=width, batch=batch,
    )  # fmt: skip


class _Recurrent(torch.autograd.Function):
    """One recurrent layer as cuDNN runs it: the products with the inputs at once, those with the state step by step.

    It keeps the gates and, in an LSTM, the cell state of every step for backward (its reserve space).
    """

    @staticmethod
    def forward(
        ctx: Any,
        kernels: FusedKernels,
        gates: int,
        directions: int,
        batch_first: bool,
        train: bool,
        states: int,
        inputs: torch.Tensor,
        *weights: torch.Tensor,
    ) -> Any:
        hidden = weights[1].shape[-1]
        packed = inputs.dim() == 2
        batch, steps = (
            (inputs.shape[0], inputs.shape[1]) if batch_first else (inputs.shape[1], inputs.shape[0])
        )
        if packed:
            batch, steps = 1, inputs.shape[0]
        width = hidden * directions
        with kernels.simulation.silent():
            output = inputs.new_empty((*inputs.shape[:-1], width))
            reserve = inputs.new_empty((*inputs.shape[:-1], width * (gates + states)) if train else (0,))
            final = [inputs.new_empty((directions, batch, hidden)) for _ in range(states)]
        ctx.save_for_backward(inputs, output, reserve, *weights)
        ctx.kernels = kernels
        size = inputs.element_size()
        tokens, features = float(batch * steps), float(inputs.shape[-1])
        rows = gates * hidden
        ctx.work = (
            tokens,
            features,
            float(rows),
            float(hidden),
            float(steps),
            float(batch),
            float(directions),
            size,
        )
        for work in _recurrent_work(*ctx.work, backward=False):
            kernels.report(work)
        return (output, *final)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        inputs, _, reserve, *weights = ctx.saved_tensors
        with ctx.kernels.simulation.silent():
            made = tuple(torch.empty_like(tensor) for tensor in (inputs, *weights))
            scratch = torch.empty_like(reserve)
        del scratch
        for work in _recurrent_work(*ctx.work, backward=True):
            ctx.kernels.report(work)
        return (None, None, None, None, None, None, *made)


def _recurrent_work(
    tokens: float,
    features: float,
    rows: float,
    hidden: float,
    steps: float,
    batch: float,
    directions: float,
    size: int,
    *,
    backward: bool,
) -> list[Work]:
    """Return the products of one layer; backward has those for the gradients of inputs and of weights."""

    def product(name: str, kind: Kind, m: float, n: float, k: float, repeat: float) -> Work:
        return Work(
            name, kind, flops=2 * m * n * k * directions, bytes=(m * k + k * n + m * n) * size * directions,
            launches=1, rows=m, columns=n, inner=k, batch=directions, repeat=repeat,
        )  # fmt: skip

    gates = tokens * rows * directions * size
    found = [
        product("recurrent input", Kind.GEMM, tokens, rows, features, 1),
        product("recurrent state", Kind.RECURRENT, batch, rows, hidden, steps),
        Work("recurrent gates", Kind.POINTWISE, flops=0, bytes=2 * gates, launches=1),
    ]
    if backward:
        found = [
            product("recurrent input", Kind.GEMM, tokens, features, rows, 1),
            product("recurrent state", Kind.RECURRENT, batch, hidden, rows, steps),
            product("recurrent input weights", Kind.GEMM, rows, features, tokens, 1),
            product("recurrent state weights", Kind.GEMM, rows, hidden, tokens, 1),
            Work("recurrent gates", Kind.POINTWISE, flops=0, bytes=3 * gates, launches=1),
        ]
    return found
