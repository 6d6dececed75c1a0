"""Inputs and losses of a network, from what the workload says about them: to trace it, or to run it for real."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils import _pytree as pytree

from advisor.describe.tracing.recorder import Inputs
from advisor.torch_model import InputSpec

MakeTensor = Callable[[InputSpec, tuple[int, ...]], torch.Tensor]
"""Makes the tensor of an input, which says its format, in a shape."""


class Targets(Protocol):
    """What the losses compare the output with."""

    def labels(self, shape: tuple[int, ...], classes: int) -> torch.Tensor:
        """Return numbers of classes."""

    def values(self, output: torch.Tensor) -> torch.Tensor:
        """Return numbers like those of an output."""


class _MetaTargets:
    """Targets without data."""

    def labels(self, shape: tuple[int, ...], classes: int) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.int64, device="meta")

    def values(self, output: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(output, requires_grad=False)


def meta_tensor(spec: InputSpec, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a tensor without data."""
    return torch.empty(shape, dtype=getattr(torch, spec.dtype), device="meta")


def make_inputs(spec: InputSpec, batch: int, make: MakeTensor = meta_tensor) -> Inputs:
    """Return the arguments of one call for ``batch`` samples; without ``make`` they hold no data."""
    if spec.args is None and spec.kwargs is None:
        return (_value(spec, batch, make),), {}
    args = tuple(_value(each, batch, make) for each in spec.args or ())
    return args, {name: _value(each, batch, make) for name, each in (spec.kwargs or {}).items()}


def _value(spec: InputSpec, batch: int | None, make: MakeTensor) -> Any:
    if spec.listed is not None:
        return [_value(spec.listed, None, make) for _ in range(batch or 1)]
    if spec.mapping is not None:
        return {name: _value(each, batch, make) for name, each in spec.mapping.items()}
    if spec.shape is None:
        return spec.value
    shape = list(spec.shape)
    if batch is not None and spec.batch:
        shape.insert(spec.batch_dimension, batch)
    return make(spec, tuple(shape))


def import_callable(name: str) -> Callable[..., Any]:
    """Return what ``package.module:callable`` names.

    Raises:
        ImportError: there is no such module, or it lacks the name.
    """
    module_name, _, path = name.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in path.split("."):
        if not hasattr(found, part):
            raise ImportError(f"module {module_name} has no {path}")
        found = getattr(found, part)
    if not callable(found):
        raise ImportError("this is not callable")
    return found


def loss_function(name: str, targets: Targets | None = None) -> Callable[[Any], torch.Tensor]:
    """Return the loss of a name: the scalar to differentiate, from the module's output.

    Args:
        name: one that the workload accepts.
        targets: what the output is compared with; None: tensors without data.
    """
    if ":" in name:
        own = import_callable(name)
        return lambda output: _scalars_of(own(output))
    if name in _REDUCING:
        return _REDUCING[name]
    compare, expected = _COMPARING[name], targets or _MetaTargets()
    return lambda output: compare(output, expected)


def chosen_loss(output: Any) -> str:
    """Return the loss that fits an output: its own, a classifier's, a language model's, or the squared error."""
    if _own_loss(output) is not None:
        return "output"
    first = next(_floats(output), None)
    if first is not None and first.dim() == 2 and first.shape[1] > 1:
        return "cross-entropy"
    if first is not None and first.dim() == 3:
        return "token-cross-entropy"
    return "mse"


def _own_loss(output: Any) -> list[torch.Tensor] | None:
    """Return the losses that an output carries: one named ``loss``, a scalar, or nothing but scalars."""
    named = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if isinstance(named, torch.Tensor):
        return [named]
    tensors = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]
    return tensors if tensors and all(tensor.dim() == 0 for tensor in tensors) else None


def _floats(output: Any) -> Iterator[torch.Tensor]:
    if hasattr(output, "to_tuple"):
        output = output.to_tuple()
    leaves = pytree.tree_leaves(output)
    return (leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.is_floating_point())


def _cross_entropy(output: Any, targets: Targets) -> torch.Tensor:
    found = []
    for logits in _floats(output):
        if logits.dim() < 2:
            continue
        target = targets.labels((logits.shape[0], *logits.shape[2:]), logits.shape[1])
        found.append(nn.functional.cross_entropy(logits, target))
    return _total(found)


def _token_cross_entropy(output: Any, targets: Targets) -> torch.Tensor:
    logits = next(each for each in _floats(output) if each.dim() >= 2)
    return _cross_entropy(logits.flatten(0, -2), targets)


def _squared_error(output: Any, targets: Targets) -> torch.Tensor:
    return _total(nn.functional.mse_loss(tensor, targets.values(tensor)) for tensor in _floats(output))


def _sum(output: Any) -> torch.Tensor:
    return _total(tensor.sum() for tensor in _floats(output))


def _scalars_of(output: Any) -> torch.Tensor:
    losses = _own_loss(output)
    if losses is None:
        raise TypeError("loss output: the module returned no scalar loss")
    return _total(losses)


def _total(losses: Iterable[torch.Tensor]) -> torch.Tensor:
    found = [loss for loss in losses if loss.requires_grad]
    if not found:
        raise TypeError("no output depends on a trainable parameter")
    total = found[0]
    for other in found[1:]:
        total = total + other
    return total


_COMPARING: dict[str, Callable[[Any, Targets], torch.Tensor]] = {
    "cross-entropy": _cross_entropy,
    "token-cross-entropy": _token_cross_entropy,
    "mse": _squared_error,
}
_REDUCING: dict[str, Callable[[Any], torch.Tensor]] = {"sum": _sum, "output": _scalars_of}
