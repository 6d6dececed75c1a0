"""YOLOv3 and YOLOv5 (release 6) for 80 classes, with a loss whose work does not depend on the labels.

Sources: Redmon and Farhadi 2018 (arXiv:1804.02767); the model files of ultralytics/yolov5 for widths and depths.
The loss has objectness over all cells; box and class terms are taken on the same number of positive predictions in
every image and level, where a real one has as many as its labels match.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 80
ANCHORS = 3
POSITIVES = 64
"""Positive predictions in each image and level; about 28 labels of a mosaic, of which some match several anchors."""

SIZES = {"n": (0.33, 0.25), "s": (0.33, 0.50), "m": (0.67, 0.75), "l": (1.0, 1.0), "x": (1.33, 1.25)}
"""Factors of depth and width of YOLOv5 by size."""


class Convolution(nn.Sequential):
    """Convolution, batch normalisation, activation."""

    def __init__(
        self,
        start: int,
        end: int,
        kernel: int = 1,
        stride: int = 1,
        padding: int | None = None,
        leaky: bool = False,
    ) -> None:
        super().__init__(
            nn.Conv2d(start, end, kernel, stride, kernel // 2 if padding is None else padding, bias=False),
            nn.BatchNorm2d(end),
            nn.LeakyReLU(0.1, inplace=True) if leaky else nn.SiLU(inplace=True),
        )


class Bottleneck(nn.Module):
    """A 1 x 1 and a 3 x 3 convolution, with their input added where ``shortcut``."""

    def __init__(self, width: int, middle: int, *, shortcut: bool, leaky: bool = False) -> None:
        super().__init__()
        self.narrow = Convolution(width, middle, leaky=leaky)
        self.widen = Convolution(middle, width, 3, leaky=leaky)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of ``x``."""
        found: Tensor = self.widen(self.narrow(x))
        return x + found if self.shortcut else found


class PartialStage(nn.Module):
    """Cross stage partial block: half of the channels pass through bottlenecks, half do not."""

    def __init__(self, start: int, end: int, depth: int, *, shortcut: bool = True) -> None:
        super().__init__()
        half = end // 2
        self.deep = Convolution(start, half)
        self.shallow = Convolution(start, half)
        self.blocks = nn.Sequential(*(Bottleneck(half, half, shortcut=shortcut) for _ in range(depth)))
        self.join = Convolution(2 * half, end)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the extent of ``x``."""
        found: Tensor = self.join(torch.cat((self.blocks(self.deep(x)), self.shallow(x)), dim=1))
        return found


class Pyramid(nn.Module):
    """Spatial pyramid pooling: the same pooling applied one to three times."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = Convolution(width, width // 2)
        self.join = Convolution(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of ``x``."""
        levels = [self.narrow(x)]
        for _ in range(3):
            levels.append(functional.max_pool2d(levels[-1], 5, 1, 2))
        found: Tensor = self.join(torch.cat(levels, dim=1))
        return found


def detection_loss(maps: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Return the sum over levels of objectness, box (1 - IoU) and class losses.

    Args:
        maps: predictions of each level, batch x (anchors x (5 + classes)) x height x width.
        targets: batch x ``POSITIVES`` x 5, boxes in cells (x, y, width, height) and the class's index.
    """
    total = maps[0].new_zeros(())
    for level in maps:
        batch, _, height, width = level.shape
        shape = (batch, ANCHORS, 5 + CLASSES, height, width)
        rows = level.view(shape).permute(0, 1, 3, 4, 2).reshape(batch, -1, 5 + CLASSES)
        positives = rows[:, torch.arange(POSITIVES, device=level.device)]
        overlap = _intersection_over_union(positives[..., :4].sigmoid() * 2, targets[..., :4])
        objectness = torch.zeros_like(rows[..., 4])
        objectness[:, :POSITIVES] = overlap.detach()
        classes = functional.one_hot(targets[..., 4].long(), CLASSES).to(positives.dtype)
        total = total + (1 - overlap).mean()
        total = total + functional.binary_cross_entropy_with_logits(rows[..., 4], objectness)
        total = total + functional.binary_cross_entropy_with_logits(positives[..., 5:], classes)
    return total


def _intersection_over_union(first: Tensor, second: Tensor) -> Tensor:
    low = torch.maximum(first[..., :2] - first[..., 2:] / 2, second[..., :2] - second[..., 2:] / 2)
    high = torch.minimum(first[..., :2] + first[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2)
    shared = (high - low).clamp(min=0).prod(-1)
    union = first[..., 2:].prod(-1) + second[..., 2:].prod(-1) - shared
    return shared / (union + 1e-7)


class YOLOv5(nn.Module):
    """CSP backbone, pyramid up and down again, predictions on strides 8, 16 and 32."""

    def __init__(self, depth: float, width: float) -> None:
        super().__init__()
        a, b, c, d, e = (math.ceil(channels * width / 8) * 8 for channels in (64, 128, 256, 512, 1024))

        def stage(start: int, end: int, count: int, *, shortcut: bool = True) -> PartialStage:
            return PartialStage(start, end, max(round(count * depth), 1), shortcut=shortcut)

        self.stride8 = nn.Sequential(
            Convolution(3, a, 6, 2, 2),
            Convolution(a, b, 3, 2),
            stage(b, b, 3),
            Convolution(b, c, 3, 2),
            stage(c, c, 6),
        )
        self.stride16 = nn.Sequential(Convolution(c, d, 3, 2), stage(d, d, 9))
        self.stride32 = nn.Sequential(Convolution(d, e, 3, 2), stage(e, e, 3), Pyramid(e), Convolution(e, d))
        self.up16 = nn.Sequential(stage(2 * d, d, 3, shortcut=False), Convolution(d, c))
        self.up8 = stage(2 * c, c, 3, shortcut=False)
        self.shrink8 = Convolution(c, c, 3, 2)
        self.down16 = stage(2 * c, d, 3, shortcut=False)
        self.shrink16 = Convolution(d, d, 3, 2)
        self.down32 = stage(2 * d, e, 3, shortcut=False)
        self.heads = nn.ModuleList(nn.Conv2d(channels, ANCHORS * (5 + CLASSES), 1) for channels in (c, d, e))

    def forward(self, x: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of images ``x`` whose sides are multiples of 32; see :func:`detection_loss`."""
        fine = self.stride8(x)
        middle = self.stride16(fine)
        coarse = self.stride32(middle)
        joined = self.up16(torch.cat((functional.interpolate(coarse, scale_factor=2.0), middle), dim=1))
        fine = self.up8(torch.cat((functional.interpolate(joined, scale_factor=2.0), fine), dim=1))
        middle = self.down16(torch.cat((self.shrink8(fine), joined), dim=1))
        coarse = self.down32(torch.cat((self.shrink16(middle), coarse), dim=1))
        maps = [head(level) for head, level in zip(self.heads, (fine, middle, coarse), strict=True)]
        return detection_loss(maps, targets)


class YOLOv3(nn.Module):
    """Darknet-53, a pyramid upwards, predictions on strides 32, 16 and 8."""

    def __init__(self) -> None:
        super().__init__()

        def stage(end: int, depth: int) -> list[nn.Module]:
            blocks = (Bottleneck(end, end // 2, shortcut=True, leaky=True) for _ in range(depth))
            return [Convolution(end // 2, end, 3, 2, leaky=True), *blocks]

        def neck(start: int, narrow: int) -> nn.Sequential:
            pair = Bottleneck(narrow * 2, narrow, shortcut=False, leaky=True)
            first = Convolution(start, narrow, leaky=True), Convolution(narrow, 2 * narrow, 3, leaky=True)
            return nn.Sequential(*first, pair, Convolution(2 * narrow, narrow, leaky=True))

        def head(narrow: int) -> nn.Sequential:
            predict = nn.Conv2d(2 * narrow, ANCHORS * (5 + CLASSES), 1)
            return nn.Sequential(Convolution(narrow, 2 * narrow, 3, leaky=True), predict)

        first = Convolution(3, 32, 3, leaky=True)
        self.stride8 = nn.Sequential(first, *stage(64, 1), *stage(128, 2), *stage(256, 8))
        self.stride16 = nn.Sequential(*stage(512, 8))
        self.stride32 = nn.Sequential(*stage(1024, 4))
        self.necks = nn.ModuleList((neck(1024, 512), neck(768, 256), neck(384, 128)))
        self.rises = nn.ModuleList((Convolution(512, 256, leaky=True), Convolution(256, 128, leaky=True)))
        self.heads = nn.ModuleList(head(narrow) for narrow in (512, 256, 128))

    def forward(self, x: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of images ``x`` whose sides are multiples of 32; see :func:`detection_loss`."""
        fine = self.stride8(x)
        middle = self.stride16(fine)
        current = self.necks[0](self.stride32(middle))
        maps = [self.heads[0](current)]
        for rise, skipped, neck, head in zip(
            self.rises, (middle, fine), self.necks[1:], self.heads[1:], strict=True
        ):
            current = neck(
                torch.cat((functional.interpolate(rise(current), scale_factor=2.0), skipped), dim=1)
            )
            maps.append(head(current))
        return detection_loss(maps, targets)


def yolov5(size: str) -> nn.Module:
    """Return YOLOv5 of a size: n, s, m, l or x."""
    return YOLOv5(*SIZES[size])


def yolov3() -> nn.Module:
    """Return YOLOv3 without spatial pyramid pooling."""
    return YOLOv3()
