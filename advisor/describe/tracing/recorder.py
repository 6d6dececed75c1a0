"""One forward and backward pass of a module on the simulated GPU, written down."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.checkpoint import set_checkpoint_early_stop

from advisor.describe.tracing.autocast import Autocast
from advisor.describe.tracing.device_tensor import Memory, Simulation, UntraceableError
from advisor.describe.tracing.fused import FusedKernels
from advisor.describe.tracing.kernels import Work, works
from advisor.operators import Kind, Phase

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass
class Recording:
    """What one pass did at one batch size; bytes.

    ``saved`` is alive between forward and backward (parameters and buffers not). Inputs and outputs are, even where
    backward needs neither: the variables of a training loop hold them until its next step assigns them anew.
    ``peak`` the largest amount at any time, without the gradients of parameters; ``workspace`` the largest sum of
    input and output of a convolution.
    """

    works: list[tuple[Phase, Work]] = field(default_factory=list)
    saved: float = 0.0
    peak: float = 0.0
    workspace: float = 0.0


class ModuleError(Exception):
    """The user's module or loss raised; ``place`` names the innermost submodule that was running."""

    def __init__(self, place: str, cause: BaseException) -> None:
        super().__init__(f"{place}: {type(cause).__name__}: {cause}")
        self.place = place
        self.cause = cause


class _Recorder:
    """Collects the kernels of one pass and the module that starts each."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.phase = Phase.FORWARD

    def observe(self, function: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        for work in works(function, args, kwargs, result):
            self.add(work)

    def add(self, work: Work) -> None:
        if work.kind in (Kind.CONVOLUTION, Kind.GROUPED_CONVOLUTION, Kind.DEPTHWISE_CONVOLUTION):
            self.recording.workspace = max(self.recording.workspace, work.bytes)
        self.recording.works.append((self.phase, work))


def record(
    module: nn.Module,
    make_inputs: Callable[[], Inputs],
    loss: Callable[[Any], torch.Tensor] | None,
    half: torch.dtype | None,
) -> Recording:
    """Run one step and return what it did.

    Args:
        module: on the simulated GPU (see :func:`onto_device`), in training or evaluation mode.
        make_inputs: returns fresh inputs.
        loss: turns the module's output into the scalar to differentiate; None: forward only, without gradients.
        half: compute format of autocast; None without autocast.

    Raises:
        UntraceableError: an operator's result depends on data.
        ModuleError: the module's code raised.
    """
    recording, memory = Recording(), Memory()
    recorder = _Recorder(recording)
    simulation = Simulation(memory, recorder.observe)
    kernels = FusedKernels(simulation, recorder.add)
    for parameter in module.parameters():
        parameter.grad = None
    memory.ignore((*module.parameters(), *module.buffers()))
    gc.collect()
    casts = Autocast(half)

    def outermost(running: bool) -> None:
        if recorder.phase is Phase.BACKWARD:
            casts.switch(on=running)

    with (
        _running_modules(module, outermost) as stack,
        warnings.catch_warnings(),
        set_checkpoint_early_stop(False),
    ):
        warnings.simplefilter("ignore")
        try:
            with torch.set_grad_enabled(loss is not None), simulation, casts.installed(), kernels.installed():
                memory.counting = True
                args, kwargs = make_inputs()
                casts.switch(on=True)
                output = module(*args, **kwargs)
                result = output if loss is None else loss(output)
                casts.switch(on=False)
                recording.saved = float(memory.live)
                if loss is not None:
                    recorder.phase = Phase.BACKWARD
                    with _without_gradients(module, memory):
                        result.backward()
                recording.peak = float(memory.peak)
        except UntraceableError as error:
            raise UntraceableError(error.operator, f"{error.reason} (in {_innermost(stack)})") from error
        except (Exception, SystemExit) as error:
            raise ModuleError(_innermost(stack), error) from error
    return recording


def onto_device(module: nn.Module) -> nn.Module:
    """Return the module with its parameters and buffers as tensors of the simulated GPU; shared tensors stay shared."""
    moved: dict[int, torch.Tensor] = {}

    def move(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")

    with Simulation(Memory(), lambda *_: None):
        for each in module.modules():
            for name, parameter in each._parameters.items():
                if parameter is not None:
                    if id(parameter) not in moved:
                        moved[id(parameter)] = nn.Parameter(move(parameter), parameter.requires_grad)
                    each._parameters[name] = moved[id(parameter)]  # type: ignore[assignment]
            for name, buffer in each._buffers.items():
                if buffer is not None:
                    moved.setdefault(id(buffer), move(buffer))
                    each._buffers[name] = moved[id(buffer)]
    return module


@contextmanager
def _running_modules(module: nn.Module, outermost: Callable[[bool], None]) -> Iterator[list[str]]:
    """Keep the names of the submodules that are running, outermost first; those of a failed one stay.

    ``outermost`` is told when the first of them starts and the last ends: in backward, activation checkpointing runs
    submodules again, in the precision of the forward pass.
    """
    names = {id(each): name or type(each).__name__ for name, each in module.named_modules()}
    stack: list[str] = []

    def enter(each: nn.Module, _: Any) -> None:
        if not stack:
            outermost(True)
        stack.append(f"{names.get(id(each), '?')} ({type(each).__name__})")

    def leave(each: nn.Module, _: Any, __: Any) -> None:
        stack.pop()
        if not stack:
            outermost(False)

    handles = (register_module_forward_pre_hook(enter), register_module_forward_hook(leave))
    try:
        yield stack
    finally:
        for handle in handles:
            handle.remove()


def _innermost(stack: list[str]) -> str:
    return stack[-1] if stack else "the loss or backward"


@contextmanager
def _without_gradients(module: nn.Module, memory: Memory) -> Iterator[None]:
    """Leave the gradients of parameters out of the count: they are states of training, kept elsewhere."""

    def exclude(parameter: torch.Tensor) -> None:
        if parameter.grad is not None:
            memory.exclude(parameter.grad)

    handles = [
        parameter.register_post_accumulate_grad_hook(exclude)
        for parameter in module.parameters()
        if parameter.requires_grad
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
