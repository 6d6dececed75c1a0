"""The medium LSTM language model on WikiText-2: 2 layers of 650, 35 tokens, vocabulary of 33,278.

Source: Zaremba et al. 2014 (arXiv:1409.2329), section 4.1 (medium), with tied embeddings as in Press and Wolf 2017
(arXiv:1608.05859) where ``tied``.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class LanguageModel(nn.Module):
    """Embedding, LSTM layers, classifier over the vocabulary."""

    def __init__(self, vocabulary: int, width: int, layers: int, dropout: float, *, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.recurrent = nn.LSTM(width, width, layers, dropout=dropout, batch_first=True)
        self.classifier = nn.Linear(width, vocabulary)
        self.dropout = nn.Dropout(dropout)
        if tied:
            self.classifier.weight = self.embedding.weight

    def forward(self, tokens: Tensor, following: Tensor) -> Tensor:
        """Return the cross-entropy of the token after each of ``tokens`` (batch x length)."""
        features = self.recurrent(self.dropout(self.embedding(tokens)))[0]
        logits = self.classifier(self.dropout(features))
        return functional.cross_entropy(logits.flatten(0, 1), following.flatten())


def build(tied: bool = False) -> nn.Module:
    """Return the medium model."""
    return LanguageModel(33278, 650, 2, 0.5, tied=tied)
