"""ResNet (He et al. 2016, arXiv:1512.03385), as built today and as published.

As published, the first 1x1 convolution of a stage's bottlenecks halves the image. Later code (v1.5: torchvision, timm,
NVIDIA's examples) halves it in the 3x3 convolution, which costs about 7 % more operations for ResNet-50.
tf_cnn_benchmarks and Keras stay with the published form.
"""

from __future__ import annotations

from torch import Tensor, nn

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Residual blocks of the four stages, by depth (table 1 of the paper)."""

EXPANSION = 4
"""How much wider the output of a bottleneck is than its 3x3 convolution."""


def build(depth: int, classes: int = 1000, *, stride_first: bool = False) -> nn.Module:
    """Return ResNet-18, 34, 50, 101 or 152 for images of three channels.

    Args:
        depth: number of layers with weights.
        classes: outputs.
        stride_first: halve the image in the first convolution of a bottleneck, as published.

    Raises:
        ValueError: there is no ResNet of this depth, or it has no bottlenecks whose stride could move.
    """
    if depth not in BLOCKS:
        raise ValueError(f"depth is one of {', '.join(map(str, BLOCKS))}; got {depth}")
    bottleneck = depth >= 50
    if stride_first and not bottleneck:
        raise ValueError(f"ResNet-{depth} has no bottlenecks: its first convolution has the stride already")
    stages: list[nn.Module] = []
    inputs = 64
    for stage, blocks in enumerate(BLOCKS[depth]):
        width = 64 * 2**stage
        for place in range(blocks):
            stride = 2 if stage and not place else 1
            stages.append(_Residual(inputs, width, stride, bottleneck=bottleneck, stride_first=stride_first))
            inputs = width * (EXPANSION if bottleneck else 1)
    return nn.Sequential(
        *_convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
        *stages,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes),
    )  # fmt: skip


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """Return a convolution that keeps the extent but for its stride, and its batch norm."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)


class _Residual(nn.Module):
    """Two 3x3 convolutions, or a bottleneck of three; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool, stride_first: bool) -> None:
        super().__init__()
        outputs = width * (EXPANSION if bottleneck else 1)
        if bottleneck:
            first, second = (stride, 1) if stride_first else (1, stride)
            self.branch = nn.Sequential(
                *_convolution(inputs, width, 1, first), nn.ReLU(inplace=True),
                *_convolution(width, width, 3, second), nn.ReLU(inplace=True),
                *_convolution(width, outputs, 1),
            )  # fmt: skip
        else:
            self.branch = nn.Sequential(
                *_convolution(inputs, width, 3, stride), nn.ReLU(inplace=True),
                *_convolution(width, outputs, 3),
            )  # fmt: skip
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(*_convolution(inputs, outputs, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of half the extent where the block has a stride, else of the same."""
        branch: Tensor = self.branch(x)
        branch += self.shortcut(x)
        return branch.relu_()
