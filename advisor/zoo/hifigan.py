"""HiFi-GAN V1, and one training step of it.

Source: Kong et al. 2020 (arXiv:2010.05646, sections 2 and 3, appendix A.1). Weight and spectral normalisation are left
out: they cost little beside the convolutions. The mel spectrogram of the loss is formed by a convolution with the
Fourier basis, where real code calls an FFT.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from advisor.zoo.dcgan import judge_frozen

MELS, WINDOW, HOP = 80, 1024, 256
SLOPE = 0.1
FEATURE_WEIGHT, MEL_WEIGHT = 2.0, 45.0


class ResidualBlock(nn.Module):
    """Three pairs of convolutions with growing dilation, each pair with a skip connection."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(
            nn.Conv1d(channels, channels, size, dilation=step, padding=(size - 1) * step // 2)
            for step in (1, 3, 5)
        )
        self.plain = nn.ModuleList(nn.Conv1d(channels, channels, size, padding=size // 2) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of ``x``."""
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            found = plain(functional.leaky_relu(dilated(functional.leaky_relu(x, SLOPE)), SLOPE))
            x = x + found
        return x


class Generator(nn.Module):
    """Transposed convolutions from mel frames to a waveform, the mean of three residual blocks after each."""

    def __init__(self) -> None:
        super().__init__()
        widths = (512, 256, 128, 64, 32)
        self.first = nn.Conv1d(MELS, widths[0], 7, padding=3)
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose1d(start, end, 2 * rate, rate, rate // 2)
            for (start, end), rate in zip(pairwise(widths), (8, 8, 2, 2), strict=True)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(ResidualBlock(width, size) for size in (3, 7, 11)) for width in widths[1:]
        )
        self.last = nn.Conv1d(widths[-1], 1, 7, padding=3)

    def forward(self, mels: Tensor) -> Tensor:
        """Return a waveform (batch x 1 x samples) of mel frames (batch x 80 x frames)."""
        x = self.first(mels)
        for enlarge, blocks in zip(self.enlarge, self.blocks, strict=True):
            x = enlarge(functional.leaky_relu(x, SLOPE))
            first, second, third = (block(x) for block in cast("Iterable[nn.Module]", blocks))
            x = (first + second + third) / 3
        return torch.tanh(self.last(functional.leaky_relu(x)))


class Judge(nn.Module):
    """Convolutions that return every layer's features; the last are the logits."""

    def __init__(self, layers: Sequence[nn.Module], last: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.last = last

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of all layers."""
        found = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE)
            found.append(x)
        return [*found, self.last(x)]


def _by_period() -> Judge:
    widths = (1, 32, 128, 512, 1024)
    layers = [nn.Conv2d(start, end, (5, 1), (3, 1), (2, 0)) for start, end in pairwise(widths)]
    return Judge([*layers, nn.Conv2d(1024, 1024, (5, 1), 1, (2, 0))], nn.Conv2d(1024, 1, (3, 1), 1, (1, 0)))


def _by_scale() -> Judge:
    # input and output channels, size, stride, groups
    sizes = (
        (1, 128, 15, 1, 1), (128, 128, 41, 2, 4), (128, 256, 41, 2, 16), (256, 512, 41, 4, 16), (512, 1024, 41, 4, 16),
        (1024, 1024, 41, 1, 16), (1024, 1024, 5, 1, 1),
    )  # fmt: skip
    layers = [
        nn.Conv1d(start, end, size, stride, size // 2, groups=groups)
        for start, end, size, stride, groups in sizes
    ]
    return Judge(layers, nn.Conv1d(1024, 1, 3, padding=1))


class Discriminators(nn.Module):
    """Five that see the waveform folded by a period, three that see it at a scale."""

    PERIODS = (2, 3, 5, 7, 11)

    def __init__(self) -> None:
        super().__init__()
        self.by_period = nn.ModuleList(_by_period() for _ in self.PERIODS)
        self.by_scale = nn.ModuleList(_by_scale() for _ in range(3))

    def forward(self, waveform: Tensor) -> list[list[Tensor]]:
        """Return the features of all layers of every discriminator."""
        found = []
        for period, judge in zip(self.PERIODS, self.by_period, strict=True):
            missing = -waveform.shape[-1] % period
            padded = functional.pad(waveform, (0, missing), "reflect") if missing else waveform
            found.append(judge(padded.unflatten(-1, (-1, period))))
        for judge in self.by_scale:
            found.append(judge(waveform))
            waveform = functional.avg_pool1d(waveform, 4, 2, 2)
        return found


class Step(nn.Module):
    """Generator and discriminators, with the losses of one step of training."""

    fourier: Tensor
    mel_filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.generator = Generator()
        self.discriminators = Discriminators()
        self.register_buffer("fourier", torch.zeros(WINDOW + 2, 1, WINDOW))
        self.register_buffer("mel_filters", torch.zeros(MELS, WINDOW // 2 + 1))

    def forward(self, mels: Tensor, waveform: Tensor) -> Tensor:
        """Return the sum of the discriminators' and the generator's losses.

        Args:
            mels: batch x 80 x frames.
            waveform: batch x 1 x 256 samples for each frame.
        """
        generated = self.generator(mels)
        loss = waveform.new_zeros(())
        for real, made in zip(
            self.discriminators(waveform), self.discriminators(generated.detach()), strict=True
        ):
            loss = loss + (1 - real[-1]).square().mean() + made[-1].square().mean()
        loss = loss + MEL_WEIGHT * functional.l1_loss(self._mels(generated), self._mels(waveform))
        with torch.no_grad():
            judged = self.discriminators(waveform)
        for real, made in zip(judged, judge_frozen(self.discriminators, generated), strict=True):
            loss = loss + (1 - made[-1]).square().mean()
            for wanted, own in zip(real[:-1], made[:-1], strict=True):
                loss = loss + FEATURE_WEIGHT * functional.l1_loss(own, wanted)
        return loss

    def _mels(self, waveform: Tensor) -> Tensor:
        padded = functional.pad(waveform, ((WINDOW - HOP) // 2,) * 2, "reflect")
        real, imaginary = functional.conv1d(padded, self.fourier, stride=HOP).chunk(2, dim=1)
        spectrum = (real.square() + imaginary.square() + 1e-9).sqrt()
        return torch.matmul(self.mel_filters, spectrum).clamp(min=1e-5).log()


def generator() -> nn.Module:
    """Return the generator V1."""
    return Generator()


def step() -> nn.Module:
    """Return generator and discriminators with their losses as one module."""
    return Step()
