"""A training step of a model, traced in every precision at two batch sizes: the traced part of a table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from advisor.describe.tracing.device_tensor import UntraceableError
from advisor.describe.tracing.inputs import chosen_loss, import_callable, loss_function, make_inputs
from advisor.describe.tracing.recorder import ModuleError, Recording, onto_device, record
from advisor.describe.tracing.tabulate import curved, farthest, linear, merged, rows
from advisor.torch_model import Part, TorchModel

SIZES = (16.0, 32.0)
"""Batch sizes of the two recordings; every batch of a practical size lies on the line through them or near it."""

THIRD_SIZE = 64.0
"""Batch size at which that is looked at where an operator grows faster than the batch."""

OFF_THE_LINE = 0.03
"""By what share FLOPs or bytes of the step may then differ from the line: far less than an estimate's own error."""


class BuildError(Exception):
    """The factory, its arguments or its loss cannot be used; ``field`` is the workload's."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def trace(model: TorchModel, *, tasks: Sequence[str]) -> dict[str, Any]:
    """Return the fields ``parameters``, ``loss``, ``traces``, ``notes`` and ``torch`` of a table as plain values.

    Of two tasks one is left out, and said so in the notes, where it cannot run: training without a parameter that
    requires a gradient, and inference of a module that computes no more than its loss.

    Raises:
        BuildError: the model cannot be built.
        UntraceableError, ModuleError: a pass cannot be run.
    """
    parts = [_Built(part, {}) for part in model.steps]
    frozen = not any(each.requires_grad for built in parts for each in built.module.parameters())
    training = "train" in tasks and not (frozen and "inference" in tasks)
    notes = ["training is not traced: no parameter requires a gradient"] * ("train" in tasks and not training)
    growing: list[str] = []
    traces, losses = [], [built.part.loss or "none" for built in parts]
    if training:
        losses = [built.part.loss or built.chosen_loss() for built in parts]
        for half in (None,) if model.mixes_precision else (None, torch.float16):
            found, more = _training(model, parts, losses, half)
            traces.append(found)
            growing += more
    if "inference" in tasks and len(parts) == 1:
        try:
            found, more = _inference(parts[0])
            traces.append(found)
            growing += more
        except (UntraceableError, ModuleError) as error:
            if not training:
                raise
            notes.append(f"inference is not traced: {error}")
    if growing:
        notes.append(
            f"a batch of far more than {THIRD_SIZE:g} costs more than this table says, because these operators grow "
            f"faster than the batch: {', '.join(dict.fromkeys(growing))}"
        )
    return {
        "parameters": _parameters([built.module for built in parts]),
        "loss": " + ".join(dict.fromkeys(losses)),
        "loss_is_assumed": training
        and any(
            built.part.loss is None and loss != "output" for built, loss in zip(parts, losses, strict=True)
        ),
        "traces": traces,
        "notes": notes,
        "torch": torch.__version__.partition("+")[0],
    }


class _Built:
    """A part with its module on the simulated GPU."""

    def __init__(self, part: Part, extra: Mapping[str, Any]) -> None:
        self.part = part
        self.module = onto_device(_build(part, extra))

    def run(self, loss: str | None, size: float, half: torch.dtype | None) -> Recording:
        self.module.train(loss is not None)
        inputs = functools.partial(make_inputs, self.part.input, int(size))
        return record(self.module, inputs, None if loss is None else _loss(loss), half)

    def chosen_loss(self) -> str:
        """Return the loss that fits the module's output, found by running it once."""
        found: list[str] = []

        def look(output: Any) -> torch.Tensor:
            found.append(chosen_loss(output))
            return loss_function(found[0])(output)

        self.module.train()
        record(self.module, functools.partial(make_inputs, self.part.input, int(SIZES[0])), look, None)
        return found[0]


def _parameters(modules: Sequence[nn.Module]) -> dict[str, int]:
    """Return the numbers of parameters of all parts; those that parts share, and shared tensors, count once."""
    owned = list(zip(_networks(modules), modules, strict=True))
    every = [((of, name), each) for of, module in owned for name, each in module.named_parameters()]
    named = dict(sorted(every, key=lambda pair: pair[1].requires_grad))
    buffers = {(of, name): each for of, module in owned for name, each in module.named_buffers()}
    sizes = [each.numel() for each in named.values()]
    owners: dict[tuple[int, str], int] = {}
    for (of, name), each in named.items():
        owner = (of, name.rpartition(".")[0])
        owners[owner] = owners.get(owner, 0) + each.numel()
    return {
        "total": sum(sizes),
        "trainable": sum(each.numel() for each in named.values() if each.requires_grad),
        "tensors": len(sizes),
        "largest_tensor": max(sizes, default=0),
        "largest_module": max(owners.values(), default=0),
        "buffer_bytes": sum(each.numel() * each.element_size() for each in buffers.values()),
    }


def _networks(modules: Sequence[nn.Module]) -> list[int]:
    """Return a number for each part; parts of the same number hold the same network wherever they use the same name.

    They do where each of their children of the same name has the same class and parameters: a generator's step and its
    regularisation do, a generator and a discriminator whose layers are both numbered do not.
    """
    contents = [_children(module) for module in modules]
    numbers: list[int] = []
    for place, content in enumerate(contents):
        same = (
            number
            for other, number in zip(contents, numbers, strict=False)
            if (common := content.keys() & other.keys())
            and all(content[name] == other[name] for name in common)
        )
        numbers.append(next(same, place))
    return numbers


def _children(module: nn.Module) -> dict[str, object]:
    """Return class, and names and shapes of the parameters, of each child, and the module's own parameters."""
    found: dict[str, object] = {
        name: (type(child), [(each, tuple(value.shape)) for each, value in child.named_parameters()])
        for name, child in module.named_children()
        if any(True for _ in child.parameters())
    }
    own = [(each, tuple(value.shape)) for each, value in module.named_parameters(recurse=False)]
    return found | ({"": (type(module), own)} if own else {})


def _build(part: Part, extra: Mapping[str, Any]) -> nn.Module:
    """Return the module that a factory makes; on the meta device unless its code needs real tensors.

    Raises:
        BuildError: there is no such factory, it raises, or it returns something else.
    """
    try:
        factory = import_callable(part.factory)
    except ImportError as error:
        raise BuildError("model.torch.factory", f"{part.factory}: {error}") from error
    except (Exception, SystemExit) as error:
        raise BuildError("model.torch.factory", f"importing {part.factory} failed: {_said(error)}") from error
    arguments = {**part.args, **extra}
    try:
        with torch.device("meta"):
            module = factory(**arguments)
    except (Exception, SystemExit):  # noqa: BLE001 - whatever it was, it is raised again, or not, with real tensors
        module = _built_for_real(factory, part, arguments)
    if not isinstance(module, nn.Module):
        raise BuildError(
            "model.torch.factory", f"{part.factory} returned {type(module).__name__}, not a torch.nn.Module"
        )
    return module


def _built_for_real(factory: Callable[..., Any], part: Part, arguments: Mapping[str, Any]) -> Any:
    try:
        return factory(**arguments)
    except (Exception, SystemExit) as error:
        raise BuildError("model.torch.factory", f"{part.factory} raised {_said(error)}") from error


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _loss(name: str) -> Callable[[Any], torch.Tensor]:
    try:
        return loss_function(name)
    except Exception as error:
        raise BuildError("model.torch.loss", f"{name}: {_said(error)}") from error


def _training(
    model: TorchModel, parts: Sequence[_Built], losses: Sequence[str], half: torch.dtype | None
) -> tuple[dict[str, Any], list[str]]:
    recordings = [
        (built.run(loss, SIZES[0], half), built.run(loss, SIZES[1], half), built.part.weight)
        for built, loss in zip(parts, losses, strict=True)
    ]
    growing: list[str] = []
    for built, loss, (small, large, _) in zip(parts, losses, recordings, strict=True):
        growing += _growing(small, large, functools.partial(built.run, loss, THIRD_SIZE, half))
    found = _trace("train", half, recordings)
    if model.checkpointed is not None:
        again = [_Built(built.part, model.checkpointed) for built in parts]
        pairs = [
            (built.run(loss, SIZES[0], half), built.run(loss, SIZES[1], half))
            for built, loss in zip(again, losses, strict=True)
        ]
        found["checkpointed_saved_bytes"], found["checkpointed_working_bytes"] = _memory(pairs)
    return found, growing


def _inference(part: _Built) -> tuple[dict[str, Any], list[str]]:
    small, large = (part.run(None, size, None) for size in SIZES)
    growing = _growing(small, large, functools.partial(part.run, None, THIRD_SIZE, None))
    return _trace("inference", None, [(small, large, 1.0)]), growing


def _growing(small: Recording, large: Recording, again: Callable[[], Recording]) -> list[str]:
    """Return the operators that grow faster than the batch; ``again`` records the step at the third size.

    Raises:
        UntraceableError: they are so much of the step that it does not lie on the line through the first two.
    """
    names = curved(small, large, SIZES)
    if not names:
        return []
    off = farthest(rows(small, large, SIZES, 1.0), again(), THIRD_SIZE)
    if off > OFF_THE_LINE:
        raise UntraceableError(
            ", ".join(names[:5]),
            f"it grows faster than the batch: with {THIRD_SIZE:g} samples the step differs by {100 * off:.0f} % from "
            f"what {SIZES[0]:g} and {SIZES[1]:g} say of it",
        )
    return names


def _trace(
    task: str, half: torch.dtype | None, recordings: Sequence[tuple[Recording, Recording, float]]
) -> dict[str, Any]:
    saved, working = _memory([(small, large) for small, large, _ in recordings])
    if task == "inference":
        working = _most(recordings, lambda each: each.peak)
        saved = {"fixed": 0, "per_sample": 0}
    operators = [row for small, large, weight in recordings for row in rows(small, large, SIZES, weight)]
    return {
        "task": task,
        "autocast": half is not None,
        "saved_bytes": saved,
        "working_bytes": working,
        "workspace_bytes": _most(recordings, lambda each: each.workspace),
        "operators": merged(operators),
    }


def _most(
    recordings: Sequence[tuple[Recording, Recording, float]], of: Callable[[Recording], float]
) -> dict[str, float]:
    """Return the largest value of any part."""
    small = max(of(first) for first, _, _ in recordings)
    large = max(of(second) for _, second, _ in recordings)
    return linear(small, large, SIZES).model_dump()


def _memory(pairs: Sequence[tuple[Recording, Recording]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return what is saved, and the most that is alive beside it, of the part that needs the most memory."""
    small, large = max(pairs, key=lambda pair: pair[1].peak)
    saved = linear(small.saved, large.saved, SIZES)
    working = linear(small.peak - small.saved, large.peak - large.saved, SIZES)
    return saved.model_dump(), working.model_dump()
