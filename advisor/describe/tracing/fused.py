"""Operators that a GPU runs as one kernel and torch takes apart elsewhere: attention, recurrent layers, dropout, SiLU.

While a step is traced each is replaced in torch's dispatcher by a function that keeps what the fused kernel keeps for
backward, and reports a row for what it computes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
        result: torch.Tensor = _Attention.apply(
            self, is_causal, attn_mask is not None, bias, query, key, value
        )
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
        initial = tuple(hidden) if isinstance(hidden, (tuple, list)) else (hidden,)
        directions = 2 if bidirectional else 1
        each = len(weights) // layers
        current = inputs
        starts = [_Layers.apply(self, layers, state) for state in initial]
        finals: list[list[torch.Tensor]] = []
        for layer in range(layers):
            own = weights[layer * each : (layer + 1) * each]
            states = [start[layer] for start in starts]
            current, *final = _Recurrent.apply(
                self, gates, directions, batch_first, train, len(states), current, *states, *own
            )
            finals.append(final)
            if dropout and train and layer < layers - 1:
                current = self._dropout(current, dropout, True)
        kept = (torch.cat([final[index] for final in finals]) for index in range(len(initial)))
        return (current, *kept)


class _Attention(torch.autograd.Function):
    """Fused attention (Dao et al. 2022): keeps its inputs, its output and a logarithm for each query."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: FusedKernels,
        causal: bool,
        masked: bool,
        bias: torch.Tensor | None,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
    ) -> torch.Tensor:
        *outer, queries, _ = query.shape
        with kernels.simulation.silent():
            output = _attention_output(query, value, flash=not masked)
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
        return (None, None, None, bias_gradient, *gradients)


def _attention_output(query: torch.Tensor, value: torch.Tensor, *, flash: bool) -> torch.Tensor:
    """Return a tensor of (batch, heads, queries, width) as CUDA kernels lay it out: heads beside each other.

    The flash kernel, for half precision without a mask, gives it the layout of the query; the other ones always put the
    heads of a query together (their meta kernels in torch/_meta_registrations.py say so).
    """
    *outer, queries, width = query.shape
    if query.dim() != 4:
        return query.new_empty((*outer, queries, value.shape[-1]))
    if flash and query.dtype != torch.float32 and value.shape[-1] == width:
        return torch.empty_like(query)
    batch, heads = outer
    return query.new_empty((batch, queries, heads, value.shape[-1])).transpose(1, 2)


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


class _Layers(torch.autograd.Function):
    """The initial state of a stack, a part for each layer: cuDNN reads it, and writes its gradient, where it is."""

    @staticmethod
    def forward(
        ctx: Any, kernels: FusedKernels, layers: int, state: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        ctx.kernels, ctx.like = kernels, state
        return state.chunk(layers)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        with ctx.kernels.simulation.silent():
            return None, None, torch.empty_like(ctx.like)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Sizes of a recurrent layer: ``rows`` are those of all gates, ``kept`` is the width of the state it passes on.

    ``kept`` is smaller than ``hidden`` in an LSTM with projections (Sak et al. 2014, section 2.2): every step ends with
    a product that shortens the state.
    """

    tokens: float
    features: float
    rows: float
    hidden: float
    kept: float
    steps: float
    batch: float
    directions: float
    element_bytes: int

    @property
    def projects(self) -> bool:
        return self.kept != self.hidden


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
        *tensors: torch.Tensor,
    ) -> Any:
        initial, weights = tensors[:states], tensors[states:]
        rows, kept = weights[1].shape
        hidden = rows // gates
        batch, steps = (
            (inputs.shape[0], inputs.shape[1]) if batch_first else (inputs.shape[1], inputs.shape[0])
        )
        with kernels.simulation.silent():
            output = inputs.new_empty((*inputs.shape[:-1], kept * directions))
            reserved = hidden * directions * (gates + states)
            reserve = inputs.new_empty((*inputs.shape[:-1], reserved) if train else (0,))
            final = [inputs.new_empty(state.shape) for state in initial]
        ctx.save_for_backward(inputs, output, reserve, *tensors)
        ctx.kernels = kernels
        ctx.layer = _Layer(
            tokens=float(batch * steps), features=float(inputs.shape[-1]), rows=float(rows), hidden=float(hidden),
            kept=float(kept), steps=float(steps), batch=float(batch), directions=float(directions),
            element_bytes=inputs.element_size(),
        )  # fmt: skip
        for work in _recurrent_forward(ctx.layer):
            kernels.report(work)
        return (output, *final)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        inputs, _, reserve, *tensors = ctx.saved_tensors
        with ctx.kernels.simulation.silent():
            made = tuple(torch.empty_like(tensor) for tensor in (inputs, *tensors))
            scratch = torch.empty_like(reserve)
        del scratch
        for work in _recurrent_backward(ctx.layer):
            ctx.kernels.report(work)
        return (None, None, None, None, None, None, *made)


def _product(layer: _Layer, name: str, m: float, n: float, k: float, steps: float | None = None) -> Work:
    """Return a product of each direction; ``steps`` is given where it runs step by step."""
    moved = (m * k + k * n + m * n) * layer.element_bytes * layer.directions
    return Work(
        name, Kind.GEMM if steps is None else Kind.RECURRENT, flops=2 * m * n * k * layer.directions, bytes=moved,
        rows=m, columns=n, inner=k, batch=layer.directions, repeat=1.0 if steps is None else steps,
    )  # fmt: skip


def _gates(layer: _Layer, passes: int) -> Work:
    written = layer.tokens * layer.rows * layer.directions * layer.element_bytes
    return Work("recurrent gates", Kind.POINTWISE, flops=0.0, bytes=passes * written)


def _recurrent_forward(layer: _Layer) -> list[Work]:
    found = [
        _product(layer, "recurrent input", layer.tokens, layer.rows, layer.features),
        _product(layer, "recurrent state", layer.batch, layer.rows, layer.kept, layer.steps),
    ]
    if layer.projects:
        found.append(
            _product(layer, "recurrent projection", layer.batch, layer.kept, layer.hidden, layer.steps)
        )
    return [*found, _gates(layer, 2)]


def _recurrent_backward(layer: _Layer) -> list[Work]:
    """Return the products for the gradients of inputs, of the state and of weights."""
    found = [
        _product(layer, "recurrent input", layer.tokens, layer.features, layer.rows),
        _product(layer, "recurrent state", layer.batch, layer.kept, layer.rows, layer.steps),
        _product(layer, "recurrent input weights", layer.rows, layer.features, layer.tokens),
        _product(layer, "recurrent state weights", layer.rows, layer.kept, layer.tokens),
    ]
    if layer.projects:
        found += [
            _product(layer, "recurrent projection", layer.batch, layer.hidden, layer.kept, layer.steps),
            _product(layer, "recurrent projection weights", layer.kept, layer.hidden, layer.tokens),
        ]
    return [*found, _gates(layer, 3)]
