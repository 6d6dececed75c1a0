"""Tacotron 2: text to mel spectrogram, teacher forced, with the decoder run frame by frame.

Source: Shen et al. 2018 (arXiv:1712.05884), with the sizes of NVIDIA DeepLearningExamples. Every frame is run, so a
trace has as many kernels as a real step; equal ones are one row of the table.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MELS = 80


def _block(start: int, end: int, activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(start, end, 5, padding=2), nn.BatchNorm1d(end), activation(), nn.Dropout(0.5)
    )


class LocationAttention(nn.Module):
    """Additive attention that also sees where it looked before (Chorowski et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(1024, 128, bias=False)
        self.memory = nn.Linear(512, 128, bias=False)
        self.convolution = nn.Conv1d(2, 32, 31, padding=15, bias=False)
        self.location = nn.Linear(32, 128, bias=False)
        self.score = nn.Linear(128, 1, bias=False)

    def forward(self, query: Tensor, memory: Tensor, keys: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return the context and the weights over the text, given last and summed weights (batch x 2 x text)."""
        seen = self.location(self.convolution(past).transpose(1, 2))
        scores = self.score(torch.tanh(self.query(query).unsqueeze(1) + seen + keys)).squeeze(-1)
        weights = scores.softmax(dim=1)
        return torch.bmm(weights.unsqueeze(1), memory).squeeze(1), weights


class Tacotron2(nn.Module):
    """Convolutions and a bidirectional LSTM over text, two LSTM cells over frames, convolutions over the result."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, 512)
        self.convolutions = nn.Sequential(*(_block(512, 512, nn.ReLU) for _ in range(3)))
        self.encoder = nn.LSTM(512, 256, batch_first=True, bidirectional=True)
        self.prenet = nn.ModuleList((nn.Linear(MELS, 256, bias=False), nn.Linear(256, 256, bias=False)))
        self.attention_cell = nn.LSTMCell(256 + 512, 1024)
        self.attention = LocationAttention()
        self.decoder_cell = nn.LSTMCell(1024 + 512, 1024)
        self.frame = nn.Linear(1024 + 512, MELS)
        self.stop = nn.Linear(1024 + 512, 1)
        self.postnet = nn.Sequential(
            _block(MELS, 512, nn.Tanh),
            *(_block(512, 512, nn.Tanh) for _ in range(3)),
            _block(512, MELS, nn.Identity),
        )

    def forward(self, text: Tensor, spectrogram: Tensor, stop: Tensor) -> Tensor:
        """Return the loss.

        Args:
            text: symbols, batch x length.
            spectrogram: target frames, batch x 80 x frames.
            stop: 1 at the last frame, else 0; batch x frames.
        """
        features = self.convolutions(self.embedding(text).transpose(1, 2)).transpose(1, 2)
        frames, stops = self._decoded(self.encoder(features)[0], spectrogram)
        refined = frames + self.postnet(frames)
        close = functional.mse_loss(frames, spectrogram) + functional.mse_loss(refined, spectrogram)
        return close + functional.binary_cross_entropy_with_logits(stops, stop)

    def _decoded(self, memory: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        given = functional.pad(spectrogram[:, :, :-1], (1, 0)).permute(2, 0, 1)
        for layer in self.prenet:
            given = functional.dropout(layer(given).relu(), 0.5, training=True)
        batch, length, _ = memory.shape
        keys = self.attention.memory(memory)
        hidden, cell, own_hidden, own_cell = (memory.new_zeros(batch, 1024) for _ in range(4))
        context = memory.new_zeros(batch, 512)
        weights, summed = (memory.new_zeros(batch, length) for _ in range(2))
        frames, stops = [], []
        for step in given.unbind(0):
            hidden, cell = self.attention_cell(torch.cat((step, context), dim=1), (hidden, cell))
            hidden = functional.dropout(hidden, 0.1, self.training)
            past = torch.stack((weights, summed), dim=1)
            context, weights = self.attention(hidden, memory, keys, past)
            summed = summed + weights
            own = torch.cat((hidden, context), dim=1)
            own_hidden, own_cell = self.decoder_cell(own, (own_hidden, own_cell))
            own_hidden = functional.dropout(own_hidden, 0.1, self.training)
            both = torch.cat((own_hidden, context), dim=1)
            frames.append(self.frame(both))
            stops.append(self.stop(both))
        return torch.stack(frames, dim=2), torch.cat(stops, dim=1)


def build() -> nn.Module:
    """Return Tacotron 2 with 148 symbols and 80 mel channels."""
    return Tacotron2(148)
