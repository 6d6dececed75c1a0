"""Networks of first lessons: a perceptron and a small CNN on MNIST, ResNet-20 on CIFAR-10 (He et al. 2016)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


def mlp_mnist() -> nn.Module:
    """Return a perceptron 784-512-512-10 with dropout."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(512, 10),
    )  # fmt: skip


def cnn_mnist() -> nn.Module:
    """Return the CNN of the MNIST examples of PyTorch and Keras: two convolutions, one pooling, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip


class Residual(nn.Module):
    """Two convolutions; the shortcut is a strided 1 x 1 convolution where the shape changes."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__()
        stride = 1 if start == end else 2
        self.branch = nn.Sequential(
            nn.Conv2d(start, end, 3, stride, 1, bias=False), nn.BatchNorm2d(end), nn.ReLU(inplace=True),
            nn.Conv2d(end, end, 3, 1, 1, bias=False), nn.BatchNorm2d(end),
        )  # fmt: skip
        self.shortcut: nn.Module = nn.Identity()
        if start != end:
            self.shortcut = nn.Sequential(nn.Conv2d(start, end, 1, stride, bias=False), nn.BatchNorm2d(end))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of half the extent where the width grows, else of the same."""
        found: Tensor = (self.branch(x) + self.shortcut(x)).relu()
        return found


def resnet20_cifar10() -> nn.Module:
    """Return ResNet-20 for images of 32 x 32 pixels and 10 classes."""
    widths = (16, 16, 16, 16, 32, 32, 32, 64, 64, 64)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True),
        *(Residual(start, end) for start, end in pairwise(widths)),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip
