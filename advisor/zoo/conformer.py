"""Conformer (large) with a linear decoder.

Source: Gulati et al. 2020 (arXiv:2005.08100), with the sizes of NVIDIA NeMo's Conformer-CTC large (18 layers).
The CTC loss is replaced by the cross-entropy of a given alignment: its sums over alignments are small beside the
encoder.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

DROPOUT = 0.1


def _feed_forward(hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(hidden), nn.Linear(hidden, 4 * hidden), nn.SiLU(), nn.Dropout(DROPOUT),
        nn.Linear(4 * hidden, hidden), nn.Dropout(DROPOUT),
    )  # fmt: skip


class RelativeAttention(nn.Module):
    """Self-attention whose scores also depend on the distance, in both directions."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(hidden)
        self.query, self.key, self.value, self.out = (nn.Linear(hidden, hidden) for _ in range(4))
        self.distance = nn.Linear(hidden, hidden, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads, hidden // heads))
        self.distance_bias = nn.Parameter(torch.zeros(heads, hidden // heads))

    def forward(self, x: Tensor, distances: Tensor) -> Tensor:
        """Return features of ``x`` (batch x length x hidden), given encodings of 2 length - 1 distances."""
        x = self.norm(x)
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        far = self._split(self.distance(distances)[None])
        by_content = (query + self.content_bias[:, None]) @ key.transpose(-1, -2)
        by_distance = (query + self.distance_bias[:, None]) @ far.transpose(-1, -2)
        scores = (by_content + self._shifted(by_distance)) / math.sqrt(query.shape[-1])
        shares = functional.dropout(scores.softmax(dim=-1), DROPOUT, self.training)
        found: Tensor = self.out((shares @ value).transpose(1, 2).flatten(2))
        return functional.dropout(found, DROPOUT, self.training)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    @staticmethod
    def _shifted(scores: Tensor) -> Tensor:
        batch, heads, length, count = scores.shape
        padded = functional.pad(scores, (1, 0)).view(batch, heads, count + 1, length)
        return padded[:, :, 1:].reshape(batch, heads, length, count)[..., :length]


class ConvolutionModule(nn.Module):
    """Pointwise convolution with a gate, depthwise convolution over time, pointwise convolution."""

    def __init__(self, hidden: int, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.layers = nn.Sequential(
            nn.Conv1d(hidden, 2 * hidden, 1), nn.GLU(dim=1),
            nn.Conv1d(hidden, hidden, size, padding=size // 2, groups=hidden),
            nn.BatchNorm1d(hidden), nn.SiLU(), nn.Conv1d(hidden, hidden, 1), nn.Dropout(DROPOUT),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of ``x``."""
        found: Tensor = self.layers(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return found


class Block(nn.Module):
    """Half a feed-forward network, attention, convolution, the other half."""

    def __init__(self, hidden: int, heads: int, size: int) -> None:
        super().__init__()
        self.before = _feed_forward(hidden)
        self.attention = RelativeAttention(hidden, heads)
        self.convolution = ConvolutionModule(hidden, size)
        self.after = _feed_forward(hidden)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, distances: Tensor) -> Tensor:
        """Return features of the shape of ``x``."""
        x = x + self.before(x) / 2
        x = x + self.attention(x, distances)
        x = x + self.convolution(x)
        found: Tensor = self.norm(x + self.after(x) / 2)
        return found


class Conformer(nn.Module):
    """Two strided convolutions that keep a quarter of the frames, blocks, and a linear layer to symbols."""

    def __init__(self, mels: int, layers: int, hidden: int, heads: int, size: int, symbols: int) -> None:
        super().__init__()
        self.shorten = nn.Sequential(
            nn.Conv2d(1, hidden, 3, 2, 1), nn.ReLU(), nn.Conv2d(hidden, hidden, 3, 2, 1), nn.ReLU()
        )
        self.project = nn.Linear(hidden * -(-mels // 4), hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads, size) for _ in range(layers))
        self.symbols = nn.Linear(hidden, symbols)

    def forward(self, mels: Tensor, alignment: Tensor) -> Tensor:
        """Return the loss.

        Args:
            mels: batch x frames x mel channels.
            alignment: a symbol or the blank for each quarter of the frames.
        """
        x = self.project(self.shorten(mels.unsqueeze(1)).transpose(1, 2).flatten(2))
        distances = self._encoded(x)
        x = functional.dropout(x, DROPOUT, self.training)
        for block in self.blocks:
            x = block(x, distances)
        return functional.cross_entropy(self.symbols(x).flatten(0, 1), alignment.flatten())

    @staticmethod
    def _encoded(x: Tensor) -> Tensor:
        length, hidden = x.shape[1:]
        distances = torch.arange(length - 1, -length, -1, device=x.device, dtype=torch.float32)
        rates = 10000.0 ** -(torch.arange(0, hidden, 2, device=x.device, dtype=torch.float32) / hidden)
        angles = torch.outer(distances, rates)
        return torch.cat((angles.sin(), angles.cos()), dim=1)


def large() -> nn.Module:
    """Return Conformer-CTC large: 18 layers, 512 wide, 8 heads, kernels of 31, 128 subwords and the blank."""
    return Conformer(80, 18, 512, 8, 31, 129)
