"""SSD300 with VGG-16 (Liu et al. 2016, arXiv:1512.02325): backbone and heads are torchvision's.

Which default box belongs to which object is an input, so that no work depends on the labels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class SSD300(nn.Module):
    """Feature maps of six extents and 8,732 default boxes, 91 classes."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.detection import ssd300_vgg16

        network = ssd300_vgg16(weights=None, weights_backbone=None)
        self.backbone = network.backbone
        self.head = network.head

    def forward(self, images: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
        """Return the loss with hard negatives, three for each positive.

        Args:
            images: batch x 3 x 300 x 300.
            boxes: batch x 8732 x 4, the offsets of each default box's object.
            labels: batch x 8732, the class of each default box, 0: background.
        """
        found = self.head(list(self.backbone(images).values()))
        positive = (labels > 0).to(boxes.dtype)
        located = (
            functional.smooth_l1_loss(found["bbox_regression"], boxes, reduction="none").sum(-1) * positive
        )
        entropy = functional.cross_entropy(found["cls_logits"].transpose(1, 2), labels, reduction="none")
        order = (entropy.detach() * (1 - positive)).argsort(dim=1, descending=True).argsort(dim=1)
        hard = (order < 3 * positive.sum(1, keepdim=True)).to(boxes.dtype)
        return (located + entropy * (positive + hard)).sum() / positive.sum().clamp(min=1)


def build() -> nn.Module:
    """Return SSD300 with VGG-16."""
    return SSD300()
