"""pix2pix for images of 256x256 pixels, and one training step of it.

Source: Isola et al. 2017 (arXiv:1611.07004, appendix 6.1): a U-Net of eight levels with 4-wide strided convolutions and
a discriminator that judges overlapping patches of 70x70 pixels, both with 64 base channels and batch normalisation.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from advisor.zoo.dcgan import judge_frozen

WIDTHS = (64, 128, 256, 512, 512, 512, 512, 512)
"""Channels at 128, 64, ... 1 pixels."""
ABSOLUTE_ERROR_WEIGHT = 100.0


class Generator(nn.Module):
    """U-Net from an image to an image."""

    def __init__(self) -> None:
        super().__init__()
        deepest = len(WIDTHS) - 1
        self.down = nn.ModuleList()
        # In place, so that skipped features are activated too: the ReLU of the way up gives the same for both.
        for place, (start, end) in enumerate(pairwise((3, *WIDTHS))):
            normalised = 0 < place < deepest
            layers: list[nn.Module] = [nn.LeakyReLU(0.2, inplace=True)] if place else []
            layers.append(nn.Conv2d(start, end, 4, 2, 1, bias=not normalised))
            if normalised:
                layers.append(nn.BatchNorm2d(end))
            self.down.append(nn.Sequential(*layers))
        self.up = nn.ModuleList()
        for place in range(deepest, 0, -1):
            start = WIDTHS[place] * (1 if place == deepest else 2)
            end = WIDTHS[place - 1]
            layers = [
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(start, end, 4, 2, 1, bias=False),
                nn.BatchNorm2d(end),
            ]
            # Dropout in the three innermost blocks takes the place of noise.
            if place > deepest - 3:
                layers.append(nn.Dropout(0.5))
            self.up.append(nn.Sequential(*layers))
        self.image = nn.Sequential(
            nn.ReLU(inplace=True), nn.ConvTranspose2d(2 * WIDTHS[0], 3, 4, 2, 1), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return an image of the size of ``x``."""
        levels = []
        for down in self.down:
            x = down(x)
            levels.append(x)
        x = levels.pop()
        for up in self.up:
            x = torch.cat((levels.pop(), up(x)), dim=1)
        image: Tensor = self.image(x)
        return image


def discriminator() -> nn.Sequential:
    """Return the network from a pair of images (6 channels) to a logit for each patch."""
    layers: list[nn.Module] = []
    for place, (start, end) in enumerate(pairwise((6, 64, 128, 256, 512))):
        layers.append(nn.Conv2d(start, end, 4, 1 if place == 3 else 2, 1, bias=place == 0))
        if place > 0:
            layers.append(nn.BatchNorm2d(end))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 1))


class Step(nn.Module):
    """Both networks, with the losses of one step of training."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = Generator()
        self.discriminator = discriminator()

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 - the pair's usual names
        """Return the sum of the discriminator's loss, the generator's adversarial loss and its absolute error."""
        output = self.generator(input)
        generated = torch.cat((input, output), dim=1)
        rejected = self.discriminator(generated.detach())
        real = self.discriminator(torch.cat((input, target), dim=1))
        fooled = judge_frozen(self.discriminator, generated)
        wanted = torch.ones_like(real)
        judgement = functional.binary_cross_entropy_with_logits(real, wanted)
        judgement = judgement + functional.binary_cross_entropy_with_logits(
            rejected, torch.zeros_like(rejected)
        )
        adversarial = functional.binary_cross_entropy_with_logits(fooled, wanted)
        return judgement / 2 + adversarial + ABSOLUTE_ERROR_WEIGHT * functional.l1_loss(output, target)


def step() -> Step:
    """Return both networks with their losses as one module."""
    return Step()
