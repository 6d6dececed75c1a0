"""GNMT v2, the LSTM translator of MLPerf Training: 4 + 4 layers of width 1024 and normed Bahdanau attention.

Sources: Wu et al. 2016 (arXiv:1609.08144); the description of NVIDIA DeepLearningExamples, PyTorch/Translation/GNMT.
Source and target have the same fixed length, and the target is teacher forced.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

VOCABULARY = 32320
WIDTH = 1024


class Attention(nn.Module):
    """Additive attention whose score vector is normed and scaled (Bahdanau et al. 2015; Salimans and Kingma 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.vector = nn.Parameter(torch.empty(width))
        self.scale = nn.Parameter(torch.empty(1))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Return a context for each query; both arguments are batch x length x width."""
        summed = self.query(queries).unsqueeze(2) + self.key(memory).unsqueeze(1) + self.bias
        vector = self.scale * self.vector / self.vector.norm()
        scores = torch.tanh(summed).matmul(vector)
        return torch.bmm(scores.softmax(-1), memory)


class GNMT(nn.Module):
    """Encoder with a bidirectional first layer, decoder whose every layer reads the attention of the first."""

    def __init__(self, vocabulary: int, width: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        self.both_ways = nn.LSTM(width, width, bidirectional=True, batch_first=True)
        starts = (2 * width, width, width)
        self.encoder = nn.ModuleList(nn.LSTM(start, width, batch_first=True) for start in starts)
        self.first = nn.LSTM(width, width, batch_first=True)
        self.attention = Attention(width)
        self.decoder = nn.ModuleList(nn.LSTM(2 * width, width, batch_first=True) for _ in range(3))
        self.classifier = nn.Linear(width, vocabulary)
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, target: Tensor, following: Tensor) -> Tensor:
        """Return the cross-entropy, smoothed by 0.1, of the token after each of ``target`` (batch x length)."""
        x = self.both_ways(self.dropout(self.embedding(source)))[0]
        x = self.encoder[0](self.dropout(x))[0]
        for layer in self.encoder[1:]:
            x = layer(self.dropout(x))[0] + x
        y = self.first(self.dropout(self.embedding(target)))[0]
        context = self.attention(y, x)
        y = self.decoder[0](self.dropout(torch.cat((y, context), dim=2)))[0]
        for layer in self.decoder[1:]:
            y = layer(self.dropout(torch.cat((y, context), dim=2)))[0] + y
        logits = self.classifier(y)
        return functional.cross_entropy(logits.flatten(0, 1), following.flatten(), label_smoothing=0.1)


def build() -> nn.Module:
    """Return GNMT v2 with embeddings shared by source and target."""
    return GNMT(VOCABULARY, WIDTH, 0.2)
