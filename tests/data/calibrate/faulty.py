"""Networks that go wrong while they are measured, each in a way of its own."""

import os
import time

import torch
from torch import nn


def hanging() -> nn.Module:
    time.sleep(600)
    return nn.Linear(4, 4)


def dying() -> nn.Module:
    os._exit(9)


def refusing() -> nn.Module:
    raise ValueError("this network cannot be built")


class _Hungry(nn.Module):
    """Has memory for at most four samples."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 4:
            raise torch.OutOfMemoryError("out of memory: tried to allocate more than there is")
        return self.layer(x)


def hungry() -> nn.Module:
    return _Hungry()


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
