"""Transformer-XL base on WikiText-103.

Source: Dai et al. 2019 (arXiv:1901.02860) with the sizes of NVIDIA DeepLearningExamples (base: 16 layers, 512 wide).
The adaptive softmax (Grave et al. 2017, arXiv:1609.04309) takes a fixed share of the tokens in each of its rarer
clusters, where a real step takes as many as the text has.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

CUTOFFS = (0, 19997, 39997, 199997, 267735)
"""First words of the clusters, most frequent first, and the size of the vocabulary."""
RARER = (32, 32, 512)
"""One token in so many belongs to each cluster but the first: estimated from the counts of words of a rank in
WikiText-103 (103 million tokens, every word at least three times)."""


def shifted(scores: Tensor) -> Tensor:
    """Return scores by relative position (batch x heads x queries x distances) moved to the positions they are of."""
    batch, heads, queries, keys = scores.shape
    padded = functional.pad(scores, (1, 0)).view(batch, heads, keys + 1, queries)
    return padded[:, :, 1:].reshape(batch, heads, queries, keys)


class Layer(nn.Module):
    """Attention with relative positions over memory and segment, and a feed-forward network; norms come after."""

    def __init__(self, hidden: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.projections = nn.Linear(hidden, 3 * hidden, bias=False)
        self.positions = nn.Linear(hidden, hidden, bias=False)
        self.out = nn.Linear(hidden, hidden, bias=False)
        self.norm = nn.LayerNorm(hidden)
        self.feed_forward = nn.Sequential(
            nn.Linear(hidden, inner),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(inner, hidden),
            nn.Dropout(dropout),
        )
        self.last_norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, memory: Tensor, distances: Tensor, content: Tensor, position: Tensor, hidden: Tensor
    ) -> Tensor:
        """Return features of the segment.

        Args:
            x: batch x length x hidden.
            memory: features of the segment before, batch x memory x hidden.
            distances: (memory + length) x hidden, encodings of relative positions.
            content: heads x width, added to the query where it meets keys.
            position: heads x width, added to the query where it meets positions.
            hidden: length x (memory + length), true where a query must not look.
        """
        length = x.shape[1]
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.projections(torch.cat((memory, x), dim=1)).chunk(3, dim=-1)
        )
        query = query[:, :, -length:]
        far = self.positions(distances).unflatten(-1, (self.heads, -1)).transpose(0, 1)
        by_content = (query + content[:, None]) @ key.transpose(-1, -2)
        by_position = shifted((query + position[:, None]) @ far.transpose(-1, -2))
        scores = (by_content + by_position) / math.sqrt(query.shape[-1])
        shares = scores.masked_fill(hidden, -math.inf).softmax(dim=-1)
        x = self.norm(x + self.dropout(self.out((shares @ value).transpose(1, 2).flatten(2))))
        found: Tensor = self.last_norm(x + self.feed_forward(x))
        return found


class TransformerXL(nn.Module):
    """Layers over a segment and the memory of the one before, and an adaptive softmax that shares the embedding."""

    def __init__(self, layers: int, hidden: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CUTOFFS[-1], hidden)
        self.layers = nn.ModuleList(Layer(hidden, heads, inner, dropout) for _ in range(layers))
        self.content = nn.Parameter(torch.zeros(heads, hidden // heads))
        self.position = nn.Parameter(torch.zeros(heads, hidden // heads))
        self.word_bias = nn.Parameter(torch.zeros(CUTOFFS[-1]))
        self.clusters = nn.Linear(hidden, len(CUTOFFS) - 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor, memories: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a segment.

        Args:
            words: batch x length.
            memories: batch x layers x memory x hidden.
            targets: batch x length, the next words.
        """
        length, past = words.shape[1], memories.shape[2]
        x = self.dropout(self.embedding(words) * math.sqrt(self.embedding.embedding_dim))
        hidden = torch.ones(length, past + length, dtype=torch.bool, device=x.device).triu(past + 1)
        distances = self.dropout(self._encoded(past + length, x))
        for layer, memory in zip(self.layers, memories.unbind(1), strict=True):
            x = layer(x, memory, distances, self.content, self.position, hidden)
        return self._loss(self.dropout(x).flatten(0, 1), targets.flatten())

    def _encoded(self, count: int, like: Tensor) -> Tensor:
        width = like.shape[-1]
        distances = torch.arange(count - 1, -1, -1, device=like.device, dtype=torch.float32)
        powers = torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width
        angles = torch.outer(distances, 10000.0**-powers)
        return torch.cat((angles.sin(), angles.cos()), dim=-1)

    def _loss(self, x: Tensor, targets: Tensor) -> Tensor:
        first = CUTOFFS[1]
        weight = torch.cat((self.embedding.weight[:first], self.clusters.weight))
        bias = torch.cat((self.word_bias[:first], self.clusters.bias))
        total = functional.cross_entropy(functional.linear(x, weight, bias), targets, reduction="sum")
        for share, (start, end) in zip(RARER, pairwise(CUTOFFS[1:]), strict=True):
            rows = torch.arange(x.shape[0] // share, device=x.device)
            logits = functional.linear(x[rows], self.embedding.weight[start:end], self.word_bias[start:end])
            total = total + functional.cross_entropy(logits, targets[rows], reduction="sum")
        return total / targets.shape[0]


def build() -> nn.Module:
    """Return Transformer-XL base: 16 layers, 512 wide, 8 heads, feed-forward of 2,048."""
    return TransformerXL(16, 512, 8, 2048, 0.1)
