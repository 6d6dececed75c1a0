"""FastPitch: text to mel spectrogram in parallel, with given durations.

Source: Lancucki 2021 (arXiv:2006.06873) with the sizes of NVIDIA DeepLearningExamples (version 1.0, without the
aligner). Which symbol each frame belongs to is an input, so that the number of frames is fixed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MELS, HIDDEN, FILTERS, HEAD = 80, 384, 1536, 64
DROPOUT = 0.1


class Block(nn.Module):
    """Attention with one head of 64 and two convolutions over time; norms come after."""

    def __init__(self) -> None:
        super().__init__()
        self.projections = nn.Linear(HIDDEN, 3 * HEAD)
        self.out = nn.Linear(HEAD, HIDDEN, bias=False)
        self.norm = nn.LayerNorm(HIDDEN)
        self.widen = nn.Conv1d(HIDDEN, FILTERS, 3, padding=1)
        self.narrow = nn.Conv1d(FILTERS, HIDDEN, 3, padding=1)
        self.last_norm = nn.LayerNorm(HIDDEN)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of ``x``, batch x length x 384."""
        query, key, value = self.projections(x).chunk(3, dim=-1)
        shares = self.dropout((query @ key.transpose(1, 2) / HEAD**0.5).softmax(dim=-1))
        x = self.norm(x + self.dropout(self.out(shares @ value)))
        found = self.narrow(self.widen(x.transpose(1, 2)).relu()).transpose(1, 2)
        result: Tensor = self.last_norm(x + self.dropout(found))
        return result


class Blocks(nn.Module):
    """Positions and six blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block() for _ in range(6)))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of ``x``."""
        places = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)
        rates = 10000.0 ** -(torch.arange(0, HIDDEN, 2, device=x.device, dtype=x.dtype) / HIDDEN)
        angles = torch.outer(places, rates)
        found: Tensor = self.blocks(
            functional.dropout(x + torch.cat((angles.sin(), angles.cos()), 1), DROPOUT)
        )
        return found


class Predictor(nn.Module):
    """One number for each symbol from two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(start, 256, 3, padding=1) for start in (HIDDEN, 256))
        self.norms = nn.ModuleList(nn.LayerNorm(256) for _ in range(2))
        self.last = nn.Linear(256, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return batch x length."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = functional.dropout(norm(convolution(x.transpose(1, 2)).relu().transpose(1, 2)), DROPOUT)
        found: Tensor = self.last(x).squeeze(-1)
        return found


class FastPitch(nn.Module):
    """Blocks over symbols, predictors of duration and pitch, blocks over frames."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, HIDDEN)
        self.encoder = Blocks()
        self.duration = Predictor()
        self.pitch = Predictor()
        self.pitch_embedding = nn.Conv1d(1, HIDDEN, 3, padding=1)
        self.decoder = Blocks()
        self.frame = nn.Linear(HIDDEN, MELS)

    def forward(
        self, text: Tensor, symbol_of_frame: Tensor, durations: Tensor, pitch: Tensor, mels: Tensor
    ) -> Tensor:
        """Return the loss.

        Args:
            text: symbols, batch x length.
            symbol_of_frame: batch x frames, the place of the symbol that is spoken.
            durations: batch x length, logarithms of frames.
            pitch: batch x length.
            mels: batch x frames x 80.
        """
        x = self.encoder(self.embedding(text))
        told = self.duration(x), self.pitch(x)
        x = x + self.pitch_embedding(pitch.unsqueeze(1)).transpose(1, 2)
        x = x.gather(1, symbol_of_frame.unsqueeze(-1).expand(-1, -1, HIDDEN))
        close = functional.mse_loss(self.frame(self.decoder(x)), mels)
        return close + 0.1 * (functional.mse_loss(told[0], durations) + functional.mse_loss(told[1], pitch))


def build() -> nn.Module:
    """Return FastPitch with 148 symbols."""
    return FastPitch(148)
