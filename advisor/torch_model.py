"""Words for a model that is code: what to call, with which arguments, on inputs of which shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from advisor.quantity import Model

Dtype = Literal["float32", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool"]

CALLABLE = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"

LOSSES = ("cross-entropy", "token-cross-entropy", "mse", "output", "sum")


def _known_loss(name: str) -> str:
    if name not in LOSSES and ":" not in name:
        raise ValueError(f"one of {', '.join(LOSSES)}, or package.module:callable; got {name}")
    return name


Loss = Annotated[str, AfterValidator(_known_loss)]


class InputSpec(Model):
    """One input of a network, or several; shapes are those of one sample, without the batch dimension.

    Exactly one form: a tensor (``shape``), a constant (``value``), a list with one element for each sample (``list``),
    a dictionary (``dict``), or the arguments of the call (``args`` and ``kwargs``).
    """

    model_config = ConfigDict(**(Model.model_config | {"populate_by_name": True, "serialize_by_alias": True}))

    shape: tuple[Annotated[int, Field(ge=1, le=10**9)], ...] | None = None
    dtype: Dtype = "float32"
    high: Annotated[int, Field(ge=1)] | None = None
    """Integers are below this; documents what an index means."""
    batch: bool = True
    """False: the tensor is the same whatever the batch."""
    batch_dimension: Annotated[int, Field(ge=0, le=8)] = 0
    value: Any = None
    listed: InputSpec | None = Field(default=None, alias="list")
    mapping: Mapping[str, InputSpec] | None = Field(default=None, alias="dict")
    args: tuple[InputSpec, ...] | None = None
    kwargs: Mapping[str, InputSpec] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        call = self.args is not None or self.kwargs is not None
        given = {"shape": self.shape, "value": self.value, "list": self.listed, "dict": self.mapping}
        forms = [name for name, form in given.items() if form is not None] + ["args, kwargs"] * call
        if len(forms) != 1:
            got = ", ".join(forms) or "none"
            raise ValueError(f"give exactly one of shape, value, list, dict, or args and kwargs; got {got}")
        return self


class Part(Model):
    """A callable that returns a ``torch.nn.Module``, its arguments, its input and its loss."""

    factory: str = Field(pattern=CALLABLE)
    args: Mapping[str, Any] = {}
    input: InputSpec
    loss: Loss | None = None
    """One of cross-entropy (classes in dimension 1), token-cross-entropy (classes in the last), mse, output (the module
    returns its loss), sum, or ``package.module:callable`` that is called with the module's output; chosen from the
    output when left out."""
    weight: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the steps in which this part runs (a regularisation of every 16th step: 0.0625)."""


class TorchModel(Model):
    """A network as code: one part, or several that a training step runs one after the other (a GAN's)."""

    factory: str | None = Field(default=None, pattern=CALLABLE)
    args: Mapping[str, Any] = {}
    input: InputSpec | None = None
    loss: Loss | None = None
    parts: tuple[Part, ...] = ()
    checkpointed: Mapping[str, Any] | None = None
    """Arguments, beside ``args``, with which the factory returns the network with activation checkpointing."""
    mixes_precision: bool = False
    """The network itself casts to half precision where it wants: autocast is not used, whatever the precision is."""
    folder: str | None = None
    """Where the module is looked for first: the folder of the workload file, else the current one."""

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if (self.factory is None) == (not self.parts):
            raise ValueError("give factory, or parts with a factory each")
        if self.factory is not None and self.input is None:
            raise ValueError("the input of one sample is not given; such as input: {shape: [3, 224, 224]}")
        if self.parts and (self.args or self.input is not None or self.loss is not None):
            raise ValueError("args, input and loss belong into each of parts")
        return self

    @property
    def steps(self) -> tuple[Part, ...]:
        """The parts of one training step."""
        if self.factory is None or self.input is None:
            return self.parts
        return (Part(factory=self.factory, args=self.args, input=self.input, loss=self.loss),)
