"""Recommenders: neural collaborative filtering on MovieLens-20M and DLRM on the Criteo 1TB click logs.

Sources: He et al. 2017 (arXiv:1708.05031, NeuMF) with the sizes of NVIDIA DeepLearningExamples; Naumov et al. 2019
(arXiv:1906.00091) with the sizes of MLPerf Training's DLRM task.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CRITEO_ROWS = (
    39884406, 39043, 17289, 7420, 20263, 3, 7120, 1543, 63, 38532951, 2953546, 403346, 10, 2208, 11938, 155, 4, 976,
    14, 39979771, 25641295, 39664984, 585935, 12972, 108, 36,
)  # fmt: skip
"""Rows of the 26 tables of MLPerf's DLRM, indices taken modulo 40 million."""


def _perceptron(widths: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(
        *(part for start, end in pairwise(widths) for part in (nn.Linear(start, end), nn.ReLU(inplace=True)))
    )


class NeuMF(nn.Module):
    """Product of embeddings and a perceptron on other embeddings, joined in one score."""

    def __init__(self, users: int, items: int, factors: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.user_factors = nn.Embedding(users, factors)
        self.item_factors = nn.Embedding(items, factors)
        self.user_features = nn.Embedding(users, widths[0] // 2)
        self.item_features = nn.Embedding(items, widths[0] // 2)
        self.perceptron = _perceptron(widths)
        self.score = nn.Linear(factors + widths[-1], 1)

    def forward(self, user: Tensor, item: Tensor, label: Tensor) -> Tensor:
        """Return the binary cross-entropy of ``label`` (1: the user rated the item)."""
        product = self.user_factors(user) * self.item_factors(item)
        features = self.perceptron(torch.cat((self.user_features(user), self.item_features(item)), dim=1))
        score = self.score(torch.cat((product, features), dim=1)).squeeze(1)
        return functional.binary_cross_entropy_with_logits(score, label)


class RowUpdate(torch.autograd.Function):
    """Rows of a table that plain SGD updates during backward, so that the table has no gradient of its own size.

    Implementations of DLRM fuse the update into backward in this way; a dense gradient would be as large as the tables.
    """

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, table: Tensor, indices: Tensor, rate: float) -> Tensor:
        """Return the rows of ``table``; ``anchor`` is any tensor with a gradient, it makes autograd call backward."""
        ctx.save_for_backward(table, indices)
        ctx.rate = rate
        return functional.embedding(indices, table)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Subtract the gradient of each row from the table."""
        table, indices = ctx.saved_tensors
        table.index_add_(0, indices, gradients[0].to(table.dtype), alpha=-ctx.rate)
        return None, None, None, None


class DLRM(nn.Module):
    """Perceptron on dense features, look-ups for categories, dot products of all pairs, perceptron on those."""

    pairs: Tensor

    def __init__(
        self, dense: int, rows: Sequence[int], width: int, bottom: Sequence[int], top: Sequence[int]
    ) -> None:
        super().__init__()
        self.bottom = _perceptron((dense, *bottom, width))
        self.tables = nn.ParameterList(
            nn.Parameter(torch.empty(count, width), requires_grad=False) for count in rows
        )
        vectors = len(rows) + 1
        self.register_buffer("pairs", torch.tril_indices(vectors, vectors, offset=-1))
        self.top = nn.Sequential(
            _perceptron((width + vectors * (vectors - 1) // 2, *top)), nn.Linear(top[-1], 1)
        )

    def forward(self, dense: Tensor, categories: Tensor, label: Tensor) -> Tensor:
        """Return the binary cross-entropy of ``label`` given ``dense`` features and an index into each table."""
        first = self.bottom(dense)
        found = (
            RowUpdate.apply(first, table, index, 1.0)
            for table, index in zip(self.tables, categories.unbind(1), strict=True)
        )
        vectors = torch.stack((first, *found), dim=1)
        products = torch.bmm(vectors, vectors.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]
        score = self.top(torch.cat((first, products), dim=1)).squeeze(1)
        return functional.binary_cross_entropy_with_logits(score, label)


def ncf() -> nn.Module:
    """Return NeuMF for MovieLens-20M with 64 factors."""
    return NeuMF(138493, 26744, 64, (256, 256, 128, 64))


def dlrm() -> nn.Module:
    """Return the DLRM of MLPerf Training 0.7 to 2.0; its tables are updated by SGD within backward."""
    return DLRM(13, CRITEO_ROWS, 128, (512, 256), (1024, 1024, 512, 256))
