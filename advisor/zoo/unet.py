"""U-Nets: the 3D one of MLPerf's medical segmentation benchmark and the 2D original with padding.

Sources: Ronneberger et al. 2015 (arXiv:1505.04597) for the shape; Isensee et al. 2021 (nnU-Net, doi
10.1038/s41592-020-01008-z) and the KiTS19 task of MLPerf Training 1.0 for the 3D network's widths and input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Encoder and decoder of equal depth, joined level by level.

    Every level applies two 3-wide convolutions, each followed by a normalisation and a ReLU. The way down halves the
    extent, the way up doubles it with a transposed convolution and concatenates the features of the same level.
    """

    def __init__(
        self,
        dimensions: int,
        inputs: int,
        classes: int,
        widths: Sequence[int],
        normalisation: Callable[[int], nn.Module],
        *,
        pooling: bool,
        bias: bool,
    ) -> None:
        """Build the network.

        Args:
            dimensions: 2 or 3.
            inputs: channels of the image.
            classes: channels of the logits.
            widths: channels of the levels, finest first.
            normalisation: called with a number of channels.
            pooling: True: max pooling goes down a level; False: the level's first convolution has stride 2.
            bias: of the convolutions that a normalisation follows.
        """
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        transposed = nn.ConvTranspose2d if dimensions == 2 else nn.ConvTranspose3d
        pool = nn.MaxPool2d if dimensions == 2 else nn.MaxPool3d

        def level(start: int, end: int, *, stride: int = 1) -> nn.Sequential:
            return nn.Sequential(
                convolution(start, end, 3, stride=stride, padding=1, bias=bias),
                normalisation(end),
                nn.ReLU(inplace=True),
                convolution(end, end, 3, padding=1, bias=bias),
                normalisation(end),
                nn.ReLU(inplace=True),
            )

        def lower(start: int, end: int) -> nn.Module:
            return nn.Sequential(pool(2), level(start, end)) if pooling else level(start, end, stride=2)

        steps = list(pairwise(widths))
        self.first = level(inputs, widths[0])
        self.down = nn.ModuleList(lower(fine, coarse) for fine, coarse in steps)
        self.enlarge = nn.ModuleList(
            transposed(coarse, fine, 2, stride=2) for fine, coarse in reversed(steps)
        )
        self.up = nn.ModuleList(level(2 * fine, fine) for fine, _ in reversed(steps))
        self.head = convolution(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the extent of ``x``, whose sides are multiples of 2 to the number of steps down."""
        x = self.first(x)
        skipped = []
        for down in self.down:
            skipped.append(x)
            x = down(x)
        for enlarge, up in zip(self.enlarge, self.up, strict=True):
            x = up(torch.cat((skipped.pop(), enlarge(x)), dim=1))
        logits: Tensor = self.head(x)
        return logits


def unet_3d() -> UNet:
    """Return the 3D U-Net of MLPerf Training's KiTS19 task: patches of 128^3 voxels, 3 classes.

    Five times down, the last time without more channels.
    """

    def normalisation(channels: int) -> nn.Module:
        return nn.InstanceNorm3d(channels, affine=True)

    return UNet(3, 1, 3, (32, 64, 128, 256, 320, 320), normalisation, pooling=False, bias=False)


def unet_2d() -> UNet:
    """Return the U-Net of 2015 with padded convolutions and batch normalisation, for 3 channels and 2 classes."""
    return UNet(2, 3, 2, (64, 128, 256, 512, 1024), nn.BatchNorm2d, pooling=True, bias=True)
