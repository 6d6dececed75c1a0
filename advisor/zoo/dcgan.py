"""DCGAN for images of 64x64 pixels, and one training step of it.

Source: Radford et al. 2016 (arXiv:1511.06434); strided and transposed 4-wide convolutions, batch normalisation except
at the image, 64 channels where the image is largest, a latent code of 100 numbers.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LATENT = 100
WIDTHS = (512, 256, 128, 64)
"""Channels at 4, 8, 16 and 32 pixels."""


def generator() -> nn.Sequential:
    """Return the network from latent codes (batch, 100, 1, 1) to images (batch, 3, 64, 64)."""
    layers: list[nn.Module] = []
    for place, (start, end) in enumerate(pairwise((LATENT, *WIDTHS))):
        stride, padding = (1, 0) if place == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(start, end, 4, stride, padding, bias=False),
            nn.BatchNorm2d(end),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(WIDTHS[-1], 3, 4, 2, 1, bias=False), nn.Tanh())


def discriminator() -> nn.Sequential:
    """Return the network from images to one logit each."""
    layers: list[nn.Module] = []
    for place, (start, end) in enumerate(pairwise((3, *reversed(WIDTHS)))):
        layers.append(nn.Conv2d(start, end, 4, 2, 1, bias=False))
        if place > 0:
            layers.append(nn.BatchNorm2d(end))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    return nn.Sequential(*layers, nn.Conv2d(WIDTHS[0], 1, 4, bias=False), nn.Flatten(0))


class Step(nn.Module):
    """Both networks, with the losses of one step of training."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = generator()
        self.discriminator = discriminator()

    def forward(self, images: Tensor, z: Tensor) -> Tensor:
        """Return the sum of the discriminator's loss on real and generated images and of the generator's loss.

        The generator runs once; its images are judged twice, the first time without a gradient for the generator.
        """
        generated = self.generator(z)
        real = self.discriminator(images)
        rejected = self.discriminator(generated.detach())
        fooled = judge_frozen(self.discriminator, generated)
        wanted = torch.ones_like(real)
        return (
            functional.binary_cross_entropy_with_logits(real, wanted)
            + functional.binary_cross_entropy_with_logits(rejected, torch.zeros_like(rejected))
            + functional.binary_cross_entropy_with_logits(fooled, wanted)
        )


def judge_frozen(discriminator: nn.Module, images: Tensor) -> Tensor:
    """Return the discriminator's output for images, differentiable by the images and not by its parameters."""
    detached = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    logits: Tensor = torch.func.functional_call(discriminator, detached, (images,))
    return logits


def step() -> Step:
    """Return both networks with their losses as one module."""
    return Step()
