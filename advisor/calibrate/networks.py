"""Networks given as code, made real: the module on a device, random inputs, and the loss that a step differentiates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from advisor.describe.tracing.inputs import chosen_loss, import_callable, loss_function, make_inputs
from advisor.describe.tracing.recorder import Inputs
from advisor.errors import InputError, MissingExtraError
from advisor.torch_model import InputSpec, Part, TorchModel
from advisor.workload import Checkpointing

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory formats with the channels innermost, by the dimensions of a tensor."""


@dataclass(frozen=True, slots=True)
class Job:
    """A module with the inputs of a training step, those of a forward pass alone, and the loss of its output."""

    module: nn.Module
    training_inputs: Inputs
    inference_inputs: Inputs
    loss: Callable[[Any], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a network and its data lie, and in which formats.

    Attributes:
        device: such as ``cuda:0``.
        weights: format of weights and of inputs that are numbers.
        compute: format of products; another than that of the weights under autocast.
        channels_last: whether images have their channels innermost.
    """

    device: torch.device
    weights: torch.dtype
    compute: torch.dtype
    channels_last: bool = False

    def arranged(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return an image, or a volume, in the memory format asked for; other tensors as they are."""
        if not self.channels_last or tensor.dim() not in CHANNELS_LAST:
            return tensor
        return tensor.contiguous(memory_format=CHANNELS_LAST[tensor.dim()])

    def placed(self, module: nn.Module) -> nn.Module:
        """Return the module on the device, in the format of the weights and in the memory format asked for."""
        module = module.to(self.device, self.weights)
        self.arrange(module)
        return module

    def arrange(self, module: nn.Module) -> None:
        """Put the weights of convolutions into the memory format asked for."""
        for parameter in module.parameters():
            parameter.data = self.arranged(parameter.data)


def network_jobs(
    model: TorchModel, placement: Placement, batch: int, checkpointing: Checkpointing = "none"
) -> tuple[Job, ...]:
    """Return the parts of a network, ready to run; runs its code in this process.

    Args:
        model: factory, arguments, input and loss; its folder is on ``sys.path`` already.
        placement: device and formats.
        batch: samples.
        checkpointing: ``full`` builds the network with the arguments of ``model.checkpointed``.

    Raises:
        InputError: the model cannot be built or run like this.
        MissingExtraError: a package that its code imports is not installed.
    """
    if any(part.weight != 1.0 for part in model.parts):
        raise InputError(
            "parts that run in some of the steps only are estimated, and cannot be run here",
            field="model.torch.parts.weight", accepted="parts that each step runs",
        )  # fmt: skip
    extra = _checkpointing_arguments(model, checkpointing)
    jobs = []
    for part in model.steps:
        module = placement.placed(_built(part, extra, model.folder))
        inputs = make_inputs(part.input, batch, _Drawn(placement))
        jobs.append(Job(module, inputs, inputs, _Loss(part.loss, _DrawnTargets(placement.device))))
    _refuse_shared(jobs)
    return tuple(jobs)


def _checkpointing_arguments(model: TorchModel, checkpointing: Checkpointing) -> Mapping[str, Any]:
    if checkpointing == "none":
        return {}
    if checkpointing == "selective" or model.checkpointed is None:
        raise InputError(
            "this network has no such form",
            field="checkpointing", value=checkpointing, accepted="none; full where model.torch.checkpointed is given",
        )  # fmt: skip
    return model.checkpointed


def _built(part: Part, extra: Mapping[str, Any], folder: str | None) -> nn.Module:
    try:
        module = import_callable(part.factory)(**part.args, **extra)
    except ModuleNotFoundError as error:
        missing = (error.name or part.factory).partition(".")[0]
        own = folder is not None and part.factory.startswith((f"{missing}.", f"{missing}:"))
        raise MissingExtraError(
            f"{part.factory} needs the package {missing}, which is not installed",
            hint=f"put {missing}.py into {folder}, or pip install {missing}"
            if own
            else f"pip install {missing}",
        ) from error
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{part.factory} cannot be built: {type(error).__name__}: {error}", field="model.torch.factory"
        ) from error
    if not isinstance(module, nn.Module):
        raise InputError(
            f"{part.factory} returned {type(module).__name__}, not a torch.nn.Module",
            field="model.torch.factory",
        )
    return module


def _refuse_shared(jobs: list[Job]) -> None:
    """Refuse parts that hold the same network: each would have its own copy of it here, the estimate counts one.

    Raises:
        InputError: two parts have children of the same names, and all of those are alike.
    """
    for place, job in enumerate(jobs):
        for other in jobs[:place]:
            first, second = dict(job.module.named_children()), dict(other.module.named_children())
            common = {name for name in first.keys() & second.keys() if _shapes(first[name])}
            if common and all(_shapes(first[name]) == _shapes(second[name]) for name in common):
                raise InputError(
                    f"two parts hold the same network ({', '.join(sorted(common))}), and cannot be run here",
                    field="model.torch.parts",
                    accepted="parts with networks of their own, or one module that returns the sum of their losses",
                )


def _shapes(module: nn.Module) -> tuple[object, ...]:
    shapes = [(name, tuple(parameter.shape)) for name, parameter in module.named_parameters()]
    return (type(module), *shapes) if shapes else ()


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Makes random tensors of inputs: a device that multiplies zeros draws less power and runs faster than in life."""

    placement: Placement

    def __call__(self, spec: InputSpec, shape: tuple[int, ...]) -> torch.Tensor:
        """Return random numbers of the format that an input has.

        Raises:
            InputError: integers without a limit, which could be no index of a table.
        """
        device, dtype = self.placement.device, getattr(torch, spec.dtype)
        if dtype.is_floating_point:
            chosen = self.placement.weights if dtype == torch.float32 else dtype
            return self.placement.arranged(torch.randn(shape, device=device, dtype=chosen))
        if dtype == torch.bool:
            return torch.randint(0, 2, shape, device=device, dtype=dtype)
        if spec.high is None:
            raise InputError(
                "integers need high, the limit below which random ones are drawn",
                field="model.torch.input.high",
                value=f"shape {list(spec.shape or ())}, dtype {spec.dtype}",
                accepted="such as high: 50257 for tokens of a vocabulary of this size",
            )
        return torch.randint(0, spec.high, shape, device=device, dtype=dtype)


class _DrawnTargets:
    """Random targets, drawn once for each shape so that no step spends time on it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._made: dict[object, torch.Tensor] = {}

    def labels(self, shape: tuple[int, ...], classes: int) -> torch.Tensor:
        key = (shape, classes)
        if key not in self._made:
            self._made[key] = torch.randint(0, classes, shape, device=self.device)
        return self._made[key]

    def values(self, output: torch.Tensor) -> torch.Tensor:
        key = (tuple(output.shape), output.dtype)
        if key not in self._made:
            self._made[key] = torch.randn_like(output, requires_grad=False)
        return self._made[key]


class _Loss:
    """The loss that a part names; one that fits the first output where it names none."""

    def __init__(self, name: str | None, targets: _DrawnTargets) -> None:
        self.name = name
        self.targets = targets
        self._function: Callable[[Any], torch.Tensor] | None = None

    def __call__(self, output: Any) -> torch.Tensor:
        if self._function is None:
            self._function = loss_function(self.name or chosen_loss(output), self.targets)
        return self._function(output)
