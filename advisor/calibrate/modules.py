"""Small networks of one kind of operator each, which the suite's tests name as their factories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class _Scaled(nn.Module):
    """Layers without weights behind a trained factor, so that backward has something to run for."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output of the layers."""
        output: torch.Tensor = self.layers(x * self.factor)
        return output


def stack(layers: Sequence[tuple[str, Mapping[str, Any]]], times: int) -> nn.Module:
    """Return layers of ``torch.nn``, given as (class name, arguments), ``times`` over, each with weights of its own."""
    built = nn.Sequential(
        *(getattr(nn, name)(**arguments) for _ in range(times) for name, arguments in layers)
    )
    return built if any(True for _ in built.parameters()) else _Scaled(built)


class _Attention(nn.Module):
    """Causal self-attention without projections; each application takes the output of the one before."""

    def __init__(self, heads: int, width: int, *, fused: bool, times: int) -> None:
        super().__init__()
        self.heads, self.width, self.fused, self.times = heads, width, fused, times
        # Something to train, so that the gradient flows through the attention.
        self.scale = nn.Parameter(torch.ones(heads * width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output; shapes [batch, positions, heads * width]."""
        batch, positions, channels = x.shape
        state = (x * self.scale).view(batch, positions, self.heads, self.width).transpose(1, 2)
        for _ in range(self.times):
            state = self._fused(state) if self.fused else self._eager(state)
        return state.transpose(1, 2).reshape(batch, positions, channels)

    def _fused(self, state: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(state, state, state, is_causal=True)

    def _eager(self, state: torch.Tensor) -> torch.Tensor:
        scores = state @ state.transpose(-2, -1) * self.width**-0.5
        weights = scores.softmax(dim=-1)
        output: torch.Tensor = weights @ state
        return output


def attention(heads: int, width: int, fused: bool, times: int) -> nn.Module:
    """Return attention, fused or as separate products, ``times`` over."""
    return _Attention(heads, width, fused=fused, times=times)


class _Copies(nn.Module):
    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input times a number, copied to new memory again and again."""
        x = x * self.scale
        for _ in range(self.times):
            x = x.clone()
        return x


def copies(times: int) -> nn.Module:
    """Return copies of the input, one after the other."""
    return _Copies(times)


class _Recurrent(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.layer = nn.LSTM(size, size, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs of all steps."""
        output: torch.Tensor = self.layer(x)[0]
        return output


def recurrent(size: int) -> nn.Module:
    """Return one layer of long short-term memory."""
    return _Recurrent(size)
