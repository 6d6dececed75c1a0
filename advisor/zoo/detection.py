"""SSD300, RetinaNet, Faster R-CNN and Mask R-CNN with work that does not depend on the labels, whole batches at a time.

Sources: Liu et al. 2016 (arXiv:1512.02325) as NVIDIA's SSD300 v1.1 changes it; Lin et al. 2017 (arXiv:1612.03144,
arXiv:1708.02002); Ren et al. 2015 (arXiv:1506.01497); He et al. 2017 (arXiv:1703.06870). Backbones and heads are
torchvision's. What depends on data there has a fixed size here:

- every image has ``LABELS`` labelled objects;
- non-maximum suppression keeps the proposals with the highest scores; its own kernel is left out;
- regions are spread over the levels in fixed shares, half on the finest;
- RoIAlign reads one bilinear sample a bin (torchvision: four, from cache, into the same output).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HEIGHT, WIDTH = 800, 1344
CLASSES = 91
LABELS = 8
"""Objects in an image of COCO (7.3 on average)."""
REGIONS, MASKED = 512, 128
"""Regions sampled in each image, and those of them that match an object and get a mask."""
PROPOSALS = 2000
SAMPLED_ANCHORS = 256


def _box_anchors(strides: Sequence[int], each: int, scale: float) -> Tensor:
    """Return ``each`` anchors around every position of the levels, as corners in pixels."""
    found = []
    for stride in strides:
        rows, columns = -(-HEIGHT // stride), -(-WIDTH // stride)
        y, x = torch.meshgrid(torch.arange(rows) * stride, torch.arange(columns) * stride, indexing="ij")
        centres = torch.stack((x, y), dim=-1).reshape(-1, 1, 2)
        half = torch.linspace(0.5, 1.0, each).view(1, each, 1) * scale * stride
        found.append(torch.cat((centres - half, centres + half), dim=-1).reshape(-1, 4))
    return torch.cat(found)


def _overlaps(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return IoU, batch x labels x anchors, of boxes (batch x labels x 4) and anchors (... x anchors x 4)."""
    first, second = boxes.unsqueeze(-2), anchors.unsqueeze(-3)
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(-1) for each in (first, second)]
    return shared / (areas[0] + areas[1] - shared)


def _encoded(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return boxes as offsets of anchors, the regression's targets."""
    size = anchors[..., 2:] - anchors[..., :2]
    middle = (boxes[..., :2] + boxes[..., 2:] - anchors[..., :2] - anchors[..., 2:]) / 2 / size
    return torch.cat((middle, torch.log((boxes[..., 2:] - boxes[..., :2]) / size)), dim=-1)


def _decoded(offsets: Tensor, anchors: Tensor) -> Tensor:
    size = anchors[..., 2:] - anchors[..., :2]
    middle = (anchors[..., :2] + anchors[..., 2:]) / 2 + offsets[..., :2] * size
    half = size * offsets[..., 2:].exp() / 2
    return torch.cat((middle - half, middle + half), dim=-1)


def _rows(tensor: Tensor, indices: Tensor) -> Tensor:
    """Return the rows (batch x count x width) that ``indices`` (batch x count) name in each image."""
    return tensor.gather(1, indices.unsqueeze(-1).expand(-1, -1, tensor.shape[-1]))


def _flat(maps: Iterable[Tensor], width: int) -> Tensor:
    """Return the predictions of all levels, batch x positions x ``width``."""
    return torch.cat([level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, width) for level in maps], dim=1)


def _regions(maps: Sequence[Tensor], boxes: Tensor, bins: int) -> Tensor:
    """Return features of ``bins`` x ``bins`` of each box, (batch x boxes) x channels x bins x bins."""
    batch, count, _ = boxes.shape
    shares = (count // 2, count // 4, count // 8, count // 8)
    steps = (torch.arange(bins, device=boxes.device, dtype=boxes.dtype) + 0.5) / bins
    found = []
    for level, own in zip(maps, boxes.split(shares, dim=1), strict=True):
        low, size = own[..., None, :2], own[..., None, 2:] - own[..., None, :2]
        x, y = (low + size * steps[:, None]).unbind(-1)
        extent = own.shape[1]
        across, down = x[:, :, None, :].expand(-1, -1, bins, -1), y[:, :, :, None].expand(-1, -1, -1, bins)
        grid = torch.stack((across * (2 / WIDTH) - 1, down * (2 / HEIGHT) - 1), dim=-1)
        read = functional.grid_sample(level, grid.reshape(batch, extent * bins, bins, 2), align_corners=False)
        found.append(read.reshape(batch, -1, extent, bins, bins))
    joined = torch.cat(found, dim=2).transpose(1, 2)
    return joined.reshape(batch * count, -1, bins, bins)


class RegionNetwork(nn.Module):
    """Faster R-CNN, and Mask R-CNN where ``masks``."""

    anchors: Tensor

    def __init__(self, depth: int, *, masks: bool) -> None:
        super().__init__()
        from torchvision.models.detection import backbone_utils, faster_rcnn, mask_rcnn, rpn

        self.backbone = backbone_utils.resnet_fpn_backbone(
            backbone_name=f"resnet{depth}", weights=None, trainable_layers=3
        )
        self.proposing = rpn.RPNHead(256, 3)
        self.box_head = faster_rcnn.TwoMLPHead(256 * 7 * 7, 1024)
        self.box_predictor = faster_rcnn.FastRCNNPredictor(1024, CLASSES)
        self.mask_branch: nn.Module | None = None
        if masks:
            layers = mask_rcnn.MaskRCNNHeads(256, (256, 256, 256, 256), 1)
            self.mask_branch = nn.Sequential(layers, mask_rcnn.MaskRCNNPredictor(256, 256, CLASSES))
        self.register_buffer("anchors", _box_anchors((4, 8, 16, 32, 64), 3, 8.0))

    def forward(self, images: Tensor, boxes: Tensor, labels: Tensor, *masks: Tensor) -> tuple[Tensor, ...]:
        """Return the losses.

        Args:
            images: batch x 3 x 800 x 1344.
            boxes: batch x ``LABELS`` x 4, corners in pixels.
            labels: batch x ``LABELS``.
            masks: of Mask R-CNN: batch x ``MASKED`` x 28 x 28, the objects' masks within their regions.
        """
        maps = list(self.backbone(images).values())
        scores, offsets = (
            _flat(each, width) for each, width in zip(self.proposing(maps), (1, 4), strict=True)
        )
        losses = self._proposal_losses(scores.squeeze(-1), offsets, boxes)
        regions, matched = self._sampled_regions(maps, scores.squeeze(-1), offsets, boxes)
        classes = labels.gather(1, matched)
        features = self.box_head(_regions(maps[:4], regions, 7))
        logits, corners = self.box_predictor(features)
        losses += (functional.cross_entropy(logits, classes.flatten()),)
        every = torch.arange(logits.shape[0], device=logits.device)
        own = corners.view(-1, CLASSES, 4)[every, classes.flatten()].view(*classes.shape, 4)
        aimed = _encoded(_rows(boxes, matched), regions)
        losses += (functional.smooth_l1_loss(own[:, :MASKED], aimed[:, :MASKED]),)
        if self.mask_branch is None:
            return losses
        drawn = self.mask_branch(_regions(maps[:4], regions[:, :MASKED], 14))
        objects = classes[:, :MASKED].flatten()
        chosen = drawn[torch.arange(objects.shape[0], device=drawn.device), objects]
        return *losses, functional.binary_cross_entropy_with_logits(chosen, masks[0].flatten(0, 1))

    def _proposal_losses(self, scores: Tensor, offsets: Tensor, boxes: Tensor) -> tuple[Tensor, ...]:
        best, matched = _overlaps(boxes, self.anchors).max(dim=1)
        order = best.topk(SAMPLED_ANCHORS, dim=1).indices
        positive = (best.gather(1, order) > 0.7).to(scores.dtype)
        loss = functional.binary_cross_entropy_with_logits(scores.gather(1, order), positive)
        aimed = _encoded(_rows(boxes, matched.gather(1, order)), self.anchors[order])
        return loss, functional.smooth_l1_loss(_rows(offsets, order), aimed)

    def _sampled_regions(
        self, maps: Sequence[Tensor], scores: Tensor, offsets: Tensor, boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the regions that train the heads, and the labelled object that each matches."""
        with torch.no_grad():
            decoded = _decoded(offsets, self.anchors)
            lengths = [3 * level.shape[-2] * level.shape[-1] for level in maps]
            kept, values, start = [], [], 0
            for length in lengths:
                best = scores[:, start : start + length].topk(min(PROPOSALS, length), dim=1)
                kept.append(_rows(decoded[:, start : start + length], best.indices))
                values.append(best.values)
                start += length
            order = torch.cat(values, dim=1).topk(PROPOSALS, dim=1).indices
            proposals = _rows(torch.cat(kept, dim=1), order)
            best_overlap, matched = _overlaps(boxes, proposals).max(dim=1)
            sampled = best_overlap.topk(REGIONS, dim=1).indices
            return _rows(proposals, sampled), matched.gather(1, sampled)


class RetinaNet(nn.Module):
    """One-stage detector with focal loss over all anchors."""

    anchors: Tensor

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.detection import backbone_utils, retinanet
        from torchvision.ops.feature_pyramid_network import LastLevelP6P7

        self.backbone = backbone_utils.resnet_fpn_backbone(
            backbone_name="resnet50", weights=None, trainable_layers=3, returned_layers=[2, 3, 4],
            extra_blocks=LastLevelP6P7(256, 256),
        )  # fmt: skip
        self.head = retinanet.RetinaNetHead(256, 9, CLASSES)
        self.register_buffer("anchors", _box_anchors((8, 16, 32, 64, 128), 9, 4.0))

    def forward(self, images: Tensor, boxes: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Return classification and box losses of images of 800 x 1344; labels as in :class:`RegionNetwork`."""
        found = self.head(list(self.backbone(images).values()))
        logits, offsets = found["cls_logits"], found["bbox_regression"]
        best, matched = _overlaps(boxes, self.anchors).max(dim=1)
        classes = functional.one_hot(labels.gather(1, matched), CLASSES)
        aimed = classes.to(logits.dtype) * (best > 0.5).unsqueeze(-1)
        chance = logits.sigmoid()
        entropy = functional.binary_cross_entropy_with_logits(logits, aimed, reduction="none")
        right = chance * aimed + (1 - chance) * (1 - aimed)
        weight = 0.25 * aimed + 0.75 * (1 - aimed)
        focal = (weight * (1 - right) ** 2 * entropy).sum() / SAMPLED_ANCHORS
        order = best.topk(SAMPLED_ANCHORS, dim=1).indices
        corners = _encoded(_rows(boxes, matched.gather(1, order)), self.anchors[order])
        return focal, functional.l1_loss(_rows(offsets, order), corners)


class SSD300(nn.Module):
    """ResNet-50 up to its third stage with stride 1 there, five additional layers, 8,732 default boxes, 81 classes."""

    classes = 81

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet50

        base = resnet50(weights=None)
        for each in (base.layer3[0].conv1, base.layer3[0].conv2, base.layer3[0].downsample[0]):
            each.stride = (1, 1)
        self.features = nn.Sequential(
            base.conv1, base.bn1, base.relu, base.maxpool, base.layer1, base.layer2, base.layer3
        )
        widths = (1024, 512, 512, 256, 256, 256)
        narrow = (256, 256, 128, 128, 128)
        shrinking = (True, True, True, False, False)
        self.extra = nn.ModuleList(
            self._reduced(*each) for each in zip(widths[:-1], narrow, widths[1:], shrinking, strict=True)
        )
        boxes = (4, 6, 6, 6, 4, 4)
        self.locations = nn.ModuleList(
            nn.Conv2d(width, count * 4, 3, padding=1) for width, count in zip(widths, boxes, strict=True)
        )
        self.confidences = nn.ModuleList(
            nn.Conv2d(width, count * self.classes, 3, padding=1)
            for width, count in zip(widths, boxes, strict=True)
        )

    @staticmethod
    def _reduced(start: int, middle: int, end: int, shrinking: bool) -> nn.Sequential:
        padding, stride = (1, 2) if shrinking else (0, 1)
        layers: tuple[Any, ...] = (
            nn.Conv2d(start, middle, 1, bias=False), nn.BatchNorm2d(middle), nn.ReLU(inplace=True),
            nn.Conv2d(middle, end, 3, stride, padding, bias=False), nn.BatchNorm2d(end), nn.ReLU(inplace=True),
        )  # fmt: skip
        return nn.Sequential(*layers)

    def forward(self, images: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of images of 300 x 300 with hard negatives, three for each positive.

        Args:
            images: batch x 3 x 300 x 300.
            boxes: batch x 8732 x 4, the offsets of each default box's object.
            labels: batch x 8732, the class of each default box, 0: background.
        """
        maps = [self.features(images)]
        for layer in self.extra:
            maps.append(layer(maps[-1]))
        found = []
        for width, heads in ((4, self.locations), (self.classes, self.confidences)):
            found.append(_flat((head(level) for head, level in zip(heads, maps, strict=True)), width))
        offsets, logits = found
        positive = (labels > 0).to(offsets.dtype)
        located = functional.smooth_l1_loss(offsets, boxes, reduction="none").sum(-1) * positive
        entropy = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
        order = (entropy.detach() * (1 - positive)).argsort(dim=1, descending=True).argsort(dim=1)
        hard = (order < 3 * positive.sum(1, keepdim=True)).to(offsets.dtype)
        total = (located + entropy * (positive + hard)).sum(1) / positive.sum(1).clamp(min=1)
        return total.mean()


def ssd300_resnet50() -> nn.Module:
    """Return SSD300 v1.1 of NVIDIA DeepLearningExamples."""
    return SSD300()


def retinanet_resnet50() -> nn.Module:
    """Return RetinaNet with ResNet-50 and a feature pyramid; the stem and the first stage are frozen."""
    return RetinaNet()


def faster_rcnn_resnet50() -> nn.Module:
    """Return Faster R-CNN with ResNet-50 and a feature pyramid; the stem and the first stage are frozen."""
    return RegionNetwork(50, masks=False)


def mask_rcnn(depth: int = 50) -> nn.Module:
    """Return Mask R-CNN with a ResNet and a feature pyramid; the stem and the first stage are frozen."""
    return RegionNetwork(depth, masks=True)
