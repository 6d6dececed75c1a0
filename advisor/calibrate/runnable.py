"""A model on a device with a batch of random data, ready to run the passes and steps that an estimate describes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from advisor.calibrate.networks import Job, Placement, network_jobs
from advisor.calibrate.transformer import Choices, transformer_job
from advisor.errors import InputError
from advisor.torch_model import TorchModel
from advisor.workload import Attention, Checkpointing, Lora, Method, Optimizer, Precision, Transformer

FORMATS: dict[Precision, torch.dtype] = {
    "fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16,
}  # fmt: skip
"""What products are computed in; tf32 is a way to multiply fp32."""

ADAM_RATE = 1e-4
SGD_RATE = 1e-3
MOMENTUM = 0.9

LARGEST_NORM = 1.0
"""Norm to which gradients are clipped, as trainers do: an optimizer step is estimated with it."""

HALF_ADAM_EPSILON = 1e-4
"""The usual 1e-8 is zero in fp16, and Adam would divide by it."""

INITIAL_LOSS_SCALE = 2.0**10
"""Below torch's own 2^16, with which the first steps overflow and leave the weights as they are."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How a model is run: what an estimate's plan says of one device.

    Attributes:
        device: as torch calls it, such as ``cpu``, ``cuda:0``, ``mps`` or ``xpu:0``.
        task: training steps, or forward passes.
        precision: fp32, tf32, fp16 or bf16.
        mixed: fp32 weights under autocast; else weights and inputs are in the precision. LoRA has a frozen base in the
            precision, fp32 adapters and autocast either way, as PEFT with a trainer has.
        micro_batch: samples that run together.
        sequence_length: tokens of one sample of a transformer over text.
        optimizer: ``none``: forward and backward only.
        checkpointing: what is computed again in backward.
        attention: of a transformer by its dimensions, where None is fused; a network as code has its own.
        memory_format: of images.
        compile: whether ``torch.compile`` compiles the model.
        method: full, or lora for a transformer.
        lora: rank and targets of adapters.
    """

    device: str
    task: Literal["train", "inference"]
    precision: Precision
    mixed: bool
    micro_batch: int
    sequence_length: int | None = None
    optimizer: Optimizer = "adamw"
    checkpointing: Checkpointing = "none"
    attention: Attention | None = None
    memory_format: Literal["nchw", "nhwc"] = "nchw"
    compile: bool = False
    method: Method = "full"
    lora: Lora = field(default_factory=Lora)


def runnable(model: TorchModel | Transformer, plan: RunPlan) -> Runnable:
    """Return a model that runs as a plan says; runs its code in this process where it is code.

    Args:
        model: a network as code, or the dimensions of a transformer.
        plan: device, precision, batch and the rest.

    Raises:
        InputError: the model or the plan has something that cannot be run here; names the field.
        MissingExtraError: a package that the model's code imports is not installed.
    """
    _refuse(model, plan)
    placement = _placement(model, plan)
    if isinstance(model, TorchModel):
        jobs = network_jobs(model, placement, plan.micro_batch, plan.checkpointing)
        autocasts = not model.mixes_precision and placement.compute != placement.weights
    else:
        lora = plan.lora if plan.method == "lora" else None
        choices = Choices(plan.sequence_length, plan.attention or "flash", plan.checkpointing, lora)
        jobs = (transformer_job(model, placement, plan.micro_batch, choices),)
        autocasts = placement.compute != torch.float32 and (plan.mixed or lora is not None)
    return Runnable(jobs, plan, placement.compute if autocasts else None)


def _refuse(model: TorchModel | Transformer, plan: RunPlan) -> None:
    if plan.precision not in FORMATS:
        raise InputError(
            "a model is run in a format that torch computes in",
            field="precision", value=plan.precision, accepted=", ".join(FORMATS),
        )  # fmt: skip
    if plan.method == "qlora":
        raise InputError(
            "quantised base weights need kernels that torch does not have", field="method", value=plan.method,
            accepted="full, lora",
        )  # fmt: skip
    if plan.method == "lora" and (isinstance(model, TorchModel) or plan.task == "inference"):
        raise InputError(
            "adapters are added for training to a transformer given by its dimensions",
            field="method", value=plan.method, accepted="full",
        )  # fmt: skip
    if plan.task == "inference" and isinstance(model, TorchModel) and len(model.steps) > 1:
        raise InputError("several parts are those of a training step", field="task", value=plan.task)


def _placement(model: TorchModel | Transformer, plan: RunPlan) -> Placement:
    compute = FORMATS[plan.precision]
    whole = plan.mixed and plan.method == "full"
    if isinstance(model, TorchModel) and model.mixes_precision:
        whole = True
    weights = torch.float32 if whole else compute
    return Placement(torch.device(plan.device), weights, compute, plan.memory_format == "nhwc")


class Runnable:
    """A model with one batch of random data, ready to be run again and again; see :func:`runnable`.

    A network of several parts runs them one after the other; :meth:`forward` returns the sum of their losses.
    """

    def __init__(self, jobs: Sequence[Job], plan: RunPlan, autocast: torch.dtype | None) -> None:
        self._jobs = tuple(jobs)
        self._calls: list[Callable[..., Any]] = [
            torch.compile(job.module) if plan.compile else job.module for job in jobs
        ]
        self._precision = plan.precision
        self._device = torch.device(plan.device)
        self._autocast = autocast
        self._parameters = list({id(each): each for job in jobs for each in job.module.parameters()}.values())
        self._trained = [each for each in self._parameters if each.requires_grad]
        self._optimizer = _optimizer(plan.optimizer, self._trained) if plan.task == "train" else None
        scales = autocast == torch.float16 and self._optimizer is not None
        self._scaler = (
            torch.amp.GradScaler(self._device.type, init_scale=INITIAL_LOSS_SCALE) if scales else None
        )
        if plan.task == "train":
            self.train_mode()
        else:
            self.eval_mode()

    @property
    def parameters(self) -> int:
        """Number of elements of all parameters, trained or not."""
        return sum(each.numel() for each in self._parameters)

    @property
    def modules(self) -> tuple[torch.nn.Module, ...]:
        """The modules that are run."""
        return tuple(job.module for job in self._jobs)

    def train_mode(self) -> None:
        """Prepare for training steps; to be called before timing."""
        for job in self._jobs:
            job.module.train()

    def eval_mode(self) -> None:
        """Prepare for forward passes without gradients; to be called before timing."""
        for job in self._jobs:
            job.module.eval()

    def forward(self) -> torch.Tensor:
        """Run forward and return the loss; what backward needs is kept."""
        losses = [self._loss(place) for place in range(len(self._jobs))]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def backward(self, loss: torch.Tensor) -> None:
        """Add gradients of a loss, scaled where fp16 needs it, to those of the parameters."""
        with self._multiplication():
            scaled = loss if self._scaler is None else self._scaler.scale(loss)
            torch.autograd.backward(scaled)

    def optimizer_step(self) -> None:
        """Clip the gradients, update the weights and free the gradients; without an optimizer only free them."""
        if self._optimizer is not None:
            if self._scaler is not None:
                self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._trained, LARGEST_NORM)
            if self._scaler is None:
                self._optimizer.step()
            else:
                self._scaler.step(self._optimizer)
                self._scaler.update()
        for parameter in self._trained:
            parameter.grad = None

    def inference(self) -> None:
        """Run forward without gradients and without a loss; see :meth:`eval_mode`."""
        with torch.no_grad(), self._multiplication(), self._casts():
            for job, call in zip(self._jobs, self._calls, strict=True):
                args, kwargs = job.inference_inputs
                call(*args, **kwargs)

    def step(self, accumulation: int = 1) -> None:
        """Run one optimizer step over ``accumulation`` micro-batches."""
        for _ in range(accumulation):
            for place in range(len(self._jobs)):
                loss = self._loss(place)
                self.backward(loss if accumulation == 1 else loss / accumulation)
        self.optimizer_step()

    def _loss(self, place: int) -> torch.Tensor:
        job = self._jobs[place]
        args, kwargs = job.training_inputs
        with self._multiplication(), self._casts():
            return job.loss(self._calls[place](*args, **kwargs))

    def _casts(self) -> contextlib.AbstractContextManager[Any]:
        if self._autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, self._autocast)

    @contextlib.contextmanager
    def _multiplication(self) -> Iterator[None]:
        """Multiply fp32 as the precision says; torch by itself has convolutions in tf32 and other products not."""
        if self._precision not in ("fp32", "tf32"):
            yield
            return
        before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        short = self._precision == "tf32"
        torch.set_float32_matmul_precision("high" if short else "highest")
        torch.backends.cudnn.allow_tf32 = short
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before[0])
            torch.backends.cudnn.allow_tf32 = before[1]


def _optimizer(name: Optimizer, parameters: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer | None:
    """Return torch's optimizer of a name.

    Raises:
        InputError: torch has none of this name.
    """
    if name == "none":
        return None
    if name in ("sgd", "sgd-momentum"):
        return torch.optim.SGD(parameters, lr=SGD_RATE, momentum=MOMENTUM if name == "sgd-momentum" else 0.0)
    if name in ("adam", "adamw"):
        half = any(parameter.dtype == torch.float16 for parameter in parameters)
        epsilon = HALF_ADAM_EPSILON if half else 1e-8
        kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
        return kind(parameters, lr=ADAM_RATE, eps=epsilon)
    if name == "adafactor" and hasattr(torch.optim, "Adafactor"):
        return torch.optim.Adafactor(parameters, lr=ADAM_RATE)
    raise InputError(
        f"torch {torch.__version__} has no such optimizer",
        field="optimizer", value=name, accepted="sgd, sgd-momentum, adam, adamw, adafactor (torch 2.5 or later), none",
    )  # fmt: skip
