"""Words for a network given as code or as an operator table: what to build, what it reads, what was traced of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from advisor.operators import Kind, Phase
from advisor.quantity import Model
from advisor.torch_model import TorchModel

NetworkTask = Literal["train", "inference"]


class Linear(Model):
    """A number of bytes that grows with the micro-batch."""

    fixed: Annotated[float, Field(ge=0, le=1e24)]
    per_sample: Annotated[float, Field(ge=0, le=1e24)]


_KINDS = {kind.label: kind for kind in Kind}
_PHASES = {phase.name.lower(): phase for phase in (Phase.FORWARD, Phase.BACKWARD)}


def _named(names: Mapping[str, Any]) -> BeforeValidator:
    def check(value: object) -> object:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"one of {', '.join(names)}; got {value!r}")
        return value

    return BeforeValidator(check)


Size = Annotated[float, Field(ge=0, le=1e24)]


class Row(NamedTuple):
    """One operator; quantities without ``_per_sample`` are the part that the batch does not change.

    A list of these, in this order, is what a document holds.
    """

    operator: Annotated[str, Field(max_length=80)]
    kind: Annotated[str, _named(_KINDS)]
    phase: Annotated[str, _named(_PHASES)]
    repeat: Annotated[float, Field(ge=1e-6, le=1e9)]
    launches: Size
    launches_per_sample: Size
    flops: Size
    flops_per_sample: Size
    bytes: Size
    bytes_per_sample: Size
    rows: Size
    rows_per_sample: Size
    columns: Size
    inner: Size
    inner_per_sample: Size
    batch: Size
    batch_per_sample: Size
    full_precision: bool

    @property
    def flops_of_one(self) -> float:
        """FLOPs with one sample."""
        return self.flops + self.flops_per_sample

    @property
    def product_of_one(self) -> float:
        """FLOPs of the matrix product whose shape this is, with one sample."""
        inner, batch = self.inner + self.inner_per_sample, self.batch + self.batch_per_sample
        return 2 * (self.rows + self.rows_per_sample) * self.columns * inner * batch


COLUMNS = Row._fields


def kind_of(row: Row) -> Kind:
    """Return the kind of a row."""
    return _KINDS[row.kind]


def phase_of(row: Row) -> Phase:
    """Return the phase of a row."""
    return _PHASES[row.phase]


class Trace(Model):
    """What one pass runs and keeps, in one precision."""

    task: NetworkTask
    autocast: bool
    """True: in half precision as autocast runs it, with its casts; False: in fp32."""
    saved_bytes: Linear
    """Alive between forward and backward, inputs included, parameters not; 0 in inference."""
    working_bytes: Linear
    """The most that is alive beside ``saved_bytes`` at any time, gradients of parameters not counted."""
    workspace_bytes: Linear
    """Input and output of the largest convolution: what its algorithm may copy."""
    checkpointed_saved_bytes: Linear | None = None
    checkpointed_working_bytes: Linear | None = None
    """The same with activation checkpointing; null where the network has none."""
    operators: tuple[Row, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        for row in self.operators:
            flops, shape = row.flops_of_one, row.product_of_one
            if kind_of(row) not in (Kind.GEMM, Kind.BATCHED_GEMM, Kind.CONVOLUTION) or flops == 0:
                continue
            growing = sum(
                part > 0 for part in (row.rows_per_sample, row.inner_per_sample, row.batch_per_sample)
            )
            if growing <= 1 and not 0.9 < shape / flops < 1.1:
                raise ValueError(
                    f"{row.operator}: FLOPs of one sample {flops:g} are not 2 x rows x columns x inner x batch = "
                    f"{shape:g}"
                )
        if self.task == "inference" and any(row.phase == "backward" for row in self.operators):
            raise ValueError("an inference trace has no backward rows")
        return self


class Origin(Model):
    """Where a table came from."""

    package: str | None = None
    version: str | None = None
    torch: str
    model: TorchModel
    notes: str | None = None


class Parameters(Model):
    """Numbers of elements; shared tensors count once."""

    total: Annotated[int, Field(ge=0, le=10**18)]
    trainable: Annotated[int, Field(ge=0)]
    tensors: Annotated[int, Field(ge=0, le=10**12)]
    largest_tensor: Annotated[int, Field(ge=0)]
    largest_module: Annotated[int, Field(ge=0)]
    """Parameters of the module that holds the most itself, without those of its submodules."""
    buffer_bytes: Annotated[int, Field(ge=0, le=10**18)] = 0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if max(self.trainable, self.largest_tensor, self.largest_module) > self.total:
            raise ValueError("trainable, largest_tensor and largest_module are at most total")
        if self.total > self.tensors * self.largest_tensor:
            raise ValueError(
                f"{self.tensors} tensors of at most {self.largest_tensor:,} are fewer than {self.total:,}"
            )
        return self


class NetworkTable(Model):
    """A network as operators: what ``describe`` writes and ``model: {table: ...}`` reads."""

    model_config = ConfigDict(**(Model.model_config | {"populate_by_name": True, "serialize_by_alias": True}))

    schema_: Literal["gpu-advisor/table/1"] = Field(default="gpu-advisor/table/1", alias="schema")
    name: Annotated[str, Field(min_length=1, max_length=80)]
    family: str = "custom"
    unit: str = "sample"
    """What one sample is, for people: image, sequence, utterance."""
    tokens_per_sample: Annotated[float, Field(ge=1e-6, le=1e12)] | None = None
    usual_batch: Annotated[int, Field(ge=1, le=10**8)] | None = None
    """Samples of one step in published recipes, used where the workload names no batch."""
    parameters: Parameters
    loss: str
    loss_is_assumed: bool = False
    """True where the user named no loss and it was chosen from the network's output."""
    notes: tuple[str, ...] = ()
    """What the traces leave out or follow only in part, for people."""
    origin: Origin
    columns: tuple[str, ...] = COLUMNS
    traces: tuple[Trace, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.columns != COLUMNS:
            raise ValueError(f"columns are {', '.join(COLUMNS)}")
        keys = [(trace.task, trace.autocast) for trace in self.traces]
        if len(set(keys)) != len(keys):
            raise ValueError("two traces of the same task and precision")
        if self.origin.model.mixes_precision and any(autocast for _, autocast in keys):
            raise ValueError("a network that mixes precisions itself has no trace under autocast")
        if ("train", False) not in keys and ("inference", False) not in keys:
            raise ValueError("a table has at least a trace in fp32")
        return self

    def trace(self, task: NetworkTask, *, autocast: bool) -> Trace | None:
        """Return the trace of a task in a precision, None where there is none."""
        for trace in self.traces:
            if (trace.task, trace.autocast) == (task, autocast):
                return trace
        return None
