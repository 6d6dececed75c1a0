"""ResNet as published: the first convolution of a stage halves the image (He et al. 2016, arXiv:1512.03385).

Later code (v1.5: torchvision, timm, NVIDIA's examples) halves it in the 3x3 convolution, which costs about 7 % more
operations for ResNet-50. tf_cnn_benchmarks and Keras stay with the published form.
"""

from __future__ import annotations

from torch import nn
from torchvision import models
from torchvision.models.resnet import Bottleneck


def build(depth: int) -> nn.Module:
    """Return ResNet-50, 101 or 152 with the stride in the first convolution of each stage."""
    network: nn.Module = getattr(models, f"resnet{depth}")()
    for block in network.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return network
