"""Networks on graphs, by gathering the features of edges' ends and summing them where the edges point.

Sources: Kipf and Welling 2017 (arXiv:1609.02907) and Hamilton et al. 2017 (arXiv:1706.02216) with the sizes of the OGB
baselines on ogbn-arxiv (Hu et al. 2020, arXiv:2005.00687); Velickovic et al. 2018 (arXiv:1710.10903, section 3.3) on
PPI. A batch of graphs is one graph of unconnected parts. A library that multiplies by a sparse matrix instead keeps no
tensor of one row for each edge; these networks do, as gathering and scattering does.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def joined(edges: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Return sources and targets of all edges, numbered through the batch.

    Args:
        edges: batch x 2 x edges, indices within each graph.
        nodes: of one graph.
    """
    offsets = torch.arange(edges.shape[0], device=edges.device)[:, None] * nodes
    return (edges[:, 0] + offsets).flatten(), (edges[:, 1] + offsets).flatten()


def summed(messages: Tensor, targets: Tensor, nodes: int) -> Tensor:
    """Return the sum of the messages (a row for each edge) that arrive at each node."""
    return messages.new_zeros((nodes, *messages.shape[1:])).index_add_(0, targets, messages)


class GraphConvolution(nn.Module):
    """A linear layer, then the weighted sum over neighbours."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, sources: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return features of every node."""
        x = self.linear(x)
        return summed(x[sources] * weights[:, None], targets, x.shape[0]) + self.bias


class SampleAndAggregate(nn.Module):
    """The mean over neighbours and the node itself, a linear layer each."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.neighbours = nn.Linear(inputs, outputs)
        self.own = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor, sources: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return features of every node; ``weights`` are one over the number of the target's neighbours."""
        mean = summed(x[sources] * weights[:, None], targets, x.shape[0])
        found: Tensor = self.neighbours(mean) + self.own(x)
        return found


class NodeClassifier(nn.Module):
    """Layers with batch normalisation, ReLU and dropout between them, on whole graphs."""

    def __init__(
        self, layer: Callable[[int, int], nn.Module], inputs: int, hidden: int, classes: int, depth: int
    ) -> None:
        super().__init__()
        widths = (inputs, *(hidden,) * (depth - 1), classes)
        self.layers = nn.ModuleList(layer(start, end) for start, end in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(depth - 1))

    def forward(self, features: Tensor, edges: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy over all nodes.

        Args:
            features: batch x nodes x inputs.
            edges: batch x 2 x edges, indices of nodes.
            weights: batch x edges.
            labels: batch x nodes, classes.
        """
        sources, targets = joined(edges, features.shape[1])
        x, factors = features.flatten(0, 1), weights.flatten()
        for layer, norm in zip(self.layers, self.norms, strict=False):
            x = functional.dropout(norm(layer(x, sources, targets, factors)).relu(), 0.5, self.training)
        return functional.cross_entropy(self.layers[-1](x, sources, targets, factors), labels.flatten())


class GraphAttention(nn.Module):
    """A weighted sum over neighbours for each head; weights from a softmax over the edges that arrive at a node."""

    def __init__(self, inputs: int, heads: int, width: int, *, mean: bool) -> None:
        super().__init__()
        self.heads = heads
        self.mean = mean
        self.linear = nn.Linear(inputs, heads * width, bias=False)
        self.source = nn.Parameter(torch.zeros(heads, width))
        self.target = nn.Parameter(torch.zeros(heads, width))
        self.bias = nn.Parameter(torch.zeros(width if mean else heads * width))

    def forward(self, x: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
        """Return the heads' features side by side, or their mean."""
        nodes = x.shape[0]
        x = self.linear(x).unflatten(1, (self.heads, -1))
        scores = (x * self.source).sum(-1)[sources] + (x * self.target).sum(-1)[targets]
        scores = functional.leaky_relu(scores, 0.2)
        places = targets[:, None].expand_as(scores)
        largest = scores.detach().new_zeros((nodes, self.heads))
        largest = largest.scatter_reduce_(0, places, scores.detach(), "amax", include_self=False)
        shares = (scores - largest[targets]).exp()
        shares = shares / summed(shares, targets, nodes)[targets]
        found = summed(x[sources] * shares[..., None], targets, nodes)
        return (found.mean(1) if self.mean else found.flatten(1)) + self.bias


class GAT(nn.Module):
    """The inductive network of the paper: three layers, the middle one with a skip connection."""

    def __init__(self, inputs: int, heads: int, width: int, last_heads: int, classes: int) -> None:
        super().__init__()
        hidden = heads * width
        self.first = GraphAttention(inputs, heads, width, mean=False)
        self.second = GraphAttention(hidden, heads, width, mean=False)
        self.last = GraphAttention(hidden, last_heads, classes, mean=True)

    def forward(self, features: Tensor, edges: Tensor, labels: Tensor) -> Tensor:
        """Return the binary cross-entropy of all nodes' labels.

        Args:
            features: batch x nodes x inputs.
            edges: batch x 2 x edges, indices of nodes, with an edge from every node to itself.
            labels: batch x nodes x classes, 0 or 1.
        """
        sources, targets = joined(edges, features.shape[1])
        x = functional.elu(self.first(features.flatten(0, 1), sources, targets))
        x = functional.elu(self.second(x, sources, targets) + x)
        logits = self.last(x, sources, targets)
        return functional.binary_cross_entropy_with_logits(logits, labels.flatten(0, 1))


def gcn() -> nn.Module:
    """Return the GCN baseline of ogbn-arxiv: 128 features, 3 layers of 256, 40 classes."""
    return NodeClassifier(GraphConvolution, 128, 256, 40, 3)


def graphsage() -> nn.Module:
    """Return the GraphSAGE baseline of ogbn-arxiv: 128 features, 3 layers of 256, 40 classes, whole graph."""
    return NodeClassifier(SampleAndAggregate, 128, 256, 40, 3)


def gat() -> nn.Module:
    """Return the GAT for PPI: 50 features, 4 heads of 256 twice, 6 heads of 121 labels averaged."""
    return GAT(50, 4, 256, 6, 121)
