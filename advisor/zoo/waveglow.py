"""WaveGlow: a flow from audio to noise, conditioned on a mel spectrogram.

Source: Prenger et al. 2019 (arXiv:1811.00002); NVIDIA DeepLearningExamples trains 512 channels where the paper has 256.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

MELS, HOP, GROUP = 80, 256, 8


class Coupling(nn.Module):
    """Dilated gated convolutions that predict a scale and a shift of one half of the channels from the other."""

    def __init__(self, half: int, layers: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.start = weight_norm(nn.Conv1d(half, width, 1))
        self.condition = weight_norm(nn.Conv1d(MELS * GROUP, 2 * width * layers, 1))
        self.gates = nn.ModuleList(
            weight_norm(nn.Conv1d(width, 2 * width, 3, dilation=2**layer, padding=2**layer))
            for layer in range(layers)
        )
        self.joins = nn.ModuleList(
            weight_norm(nn.Conv1d(width, 2 * width if layer < layers - 1 else width, 1))
            for layer in range(layers)
        )
        self.end = nn.Conv1d(width, 2 * half, 1)

    def forward(self, audio: Tensor, mels: Tensor) -> Tensor:
        """Return logarithms of scales and shifts, stacked as channels."""
        x = self.start(audio)
        conditions = self.condition(mels).chunk(len(self.gates), dim=1)
        skipped = torch.zeros_like(x)
        for gate, join, condition in zip(self.gates, self.joins, conditions, strict=True):
            level, switch = (gate(x) + condition).chunk(2, dim=1)
            found = join(torch.tanh(level) * torch.sigmoid(switch))
            if found.shape[1] > self.width:
                x = x + found[:, : self.width]
            skipped = skipped + found[:, -self.width :]
        predicted: Tensor = self.end(skipped)
        return predicted


class WaveGlow(nn.Module):
    """Twelve steps of flow; two channels leave after every fourth."""

    def __init__(self, flows: int, layers: int, width: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose1d(MELS, MELS, 1024, stride=HOP)
        channels = [GROUP - 2 * (flow // 4) for flow in range(flows)]
        self.mixings = nn.ParameterList(nn.Parameter(torch.empty(count, count, 1)) for count in channels)
        self.couplings = nn.ModuleList(Coupling(count // 2, layers, width) for count in channels)

    def forward(self, mels: Tensor, audio: Tensor) -> Tensor:
        """Return the negative log-likelihood of ``audio`` (batch x samples) given ``mels`` (batch x 80 x frames)."""
        batch, samples = audio.shape
        raised = self.upsample(mels)[:, :, :samples]
        raised = raised.unflatten(2, (-1, GROUP)).permute(0, 1, 3, 2).flatten(1, 2)
        x = audio.view(batch, -1, GROUP).transpose(1, 2)
        left, volume = [], torch.zeros((), device=audio.device)
        for flow, (mixing, coupling) in enumerate(zip(self.mixings, self.couplings, strict=True)):
            if flow % 4 == 0 and flow > 0:
                left.append(x[:, :2])
                x = x[:, 2:]
            x = functional.conv1d(x, mixing)
            volume = volume + batch * x.shape[2] * torch.linalg.slogdet(mixing.squeeze(-1).float()).logabsdet
            kept, changed = x.chunk(2, dim=1)
            shift, scale = coupling(kept, raised).chunk(2, dim=1)
            volume = volume + scale.sum()
            x = torch.cat((kept, changed * scale.exp() + shift), dim=1)
        noise = torch.cat((*left, x), dim=1)
        return (0.5 * (noise * noise).sum() - volume) / (batch * samples)


def build(channels: int = 512) -> nn.Module:
    """Return WaveGlow with 12 flows of 8 layers."""
    return WaveGlow(12, 8, channels)
