"""What a workload is about: a transformer by its dimensions, a traced network, a learner; all speak one language."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from advisor.describe.learners import (
    describe_learner,
    learner_assumptions,
    learner_name,
    learner_spread,
    rows_of,
    unsupported_learner,
)
from advisor.describe.network_table import describe_network
from advisor.describe.transformer import describe_inference, describe_training
from advisor.describe.variant import Variant
from advisor.describe.weights import active_parameter_count, parameter_count
from advisor.errors import InputError
from advisor.execution import LearnerConstants
from advisor.hardware import Device
from advisor.learners import Learner
from advisor.network import NetworkTable, NetworkTask, kind_of
from advisor.operators import Description, Kind
from advisor.workload import Parallelism, Precision, Transformer, Workload

PRETRAINING_TOKENS = 2**19
"""Tokens of one optimizer step when the user names no batch: half a million, as in GPT-2 and GPT-3 reproductions."""

FINETUNING_SAMPLES = 32
ENCODER_SAMPLES = 256
LONGEST_DEFAULT = {"train": 4096, "finetune": 2048, "inference": 2048}
"""Sequence length assumed when the user names none, where the model allows as much."""

LARGEST_MICRO_BATCH = 1024
MANY_SMALL_SAMPLES = 2**20
"""The largest micro-batches that are tried: of sequences and images, and of samples that hardly need memory."""

NETWORK_PRECISIONS = ("auto", "fp32", "tf32", "fp16", "bf16")

Pass = Literal["train", "prefill", "decode"]


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a model: tokens of a sample or of a prompt, what is generated, and on what it runs."""

    sequence_length: int = 1
    new_tokens: int = 0
    cache_element_bytes: float = 2.0
    on_cpu: bool = False


class Subject(Protocol):
    """A model as the plan search sees it."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def family(self) -> str:
        """Models that are alike."""

    @property
    def evidence_kind(self) -> Literal["transformer", "network"]:
        """Whose published runs say how sure its times are."""

    @property
    def evidence_family(self) -> str:
        """Models whose published runs are evidence for this one."""

    @property
    def unit(self) -> str:
        """What one sample is, for people."""

    @property
    def heads(self) -> int:
        """Into how many parts tensor parallelism can divide the model; 1: not at all."""

    @property
    def layers(self) -> int:
        """Into how many stages a pipeline can divide the model; 1: not at all."""

    @property
    def experts(self) -> int:
        """Routed experts, 0 for a dense model."""

    @property
    def counts_tokens(self) -> bool:
        """Whether people count its work in tokens."""

    @property
    def generates(self) -> bool:
        """Whether its inference produces tokens one by one."""

    @property
    def has_attention(self) -> bool:
        """Whether any of its operators is attention that a fused kernel could run."""

    @property
    def can_fuse_attention(self) -> bool:
        """Whether a fused kernel can run its attention."""

    @property
    def can_checkpoint(self) -> bool:
        """Whether training can recompute activations."""

    @property
    def largest_micro_batch(self) -> int:
        """The most samples that one forward pass is tried with."""

    @property
    def heavy_trainer(self) -> bool:
        """Whether common trainers add much to the time of the kernels; a plain training loop does not."""

    @property
    def only_precision(self) -> Precision | None:
        """The one format in which it is trained, None where there is a choice."""

    @property
    def steps(self) -> float | None:
        """Steps of a whole training where the model itself says so, None where the data do."""

    @property
    def samples_in_one(self) -> int:
        """Samples, for people, in what the plan search counts as one."""

    def spread(self, on_cpu: bool) -> float | None:
        """Return the 80 % spread of its times where it is known for itself, None where the device's counts."""

    def sequence_length(self, workload: Workload, assumptions: list[str]) -> int:
        """Return the tokens of one sample; appends what was assumed.

        Raises:
            InputError: the model cannot be run at the length asked for.
        """

    def default_batch(self, workload: Workload, sequence_length: int) -> int:
        """Return the samples of one step where the user names none."""

    def check(self, workload: Workload) -> None:
        """Refuse what the model cannot do.

        Raises:
            InputError: a field of the workload contradicts the model.
        """

    def refusal(self, device: Device) -> str | None:
        """Say why a device cannot run the model at all, None where it can."""

    def describe(self, stage: Pass, demand: Demand, variant: Variant) -> Description:
        """Return operators and memory of a training step, a forward pass, or one new token."""

    def summary(self) -> str:
        """Return in a line what the model is."""

    def assumptions(self, workload: Workload, on_cpu: bool) -> list[str]:
        """Return what is assumed of the model in this workload, for people."""


class _Network:
    """What transformers and traced networks have in common."""

    only_precision: Precision | None = None
    steps: float | None = None
    samples_in_one = 1

    def spread(self, on_cpu: bool) -> float | None:
        """The device's spread counts."""
        return None

    def refusal(self, device: Device) -> str | None:
        """Every device runs networks."""
        return None


@dataclass(frozen=True, eq=False)
class TransformerSubject(_Network):
    """A transformer by its dimensions; ``usual_length`` is the usual length of a sample in tokens."""

    transformer: Transformer
    name: str
    family: str
    usual_length: int | None = None
    notes: tuple[str, ...] = ()
    """Where its dimensions are from, and what is doubtful about them."""

    evidence_kind: Literal["transformer", "network"] = "transformer"
    unit = "sequence"
    has_attention = True
    can_checkpoint = True
    heavy_trainer = True
    largest_micro_batch = LARGEST_MICRO_BATCH

    @property
    def evidence_family(self) -> str:
        """Its kind: a transformer is described by its sizes, so all of a kind are alike."""
        return f"{self.transformer.kind} transformer"

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.transformer.heads

    @property
    def layers(self) -> int:
        """Layers of the first stack."""
        return self.transformer.layers

    @property
    def experts(self) -> int:
        """Routed experts, 0 for a dense model."""
        return self.transformer.experts

    @property
    def counts_tokens(self) -> bool:
        """Whether it reads tokens of a vocabulary."""
        return self.transformer.vocab > 0

    @property
    def generates(self) -> bool:
        """Whether it is a language model with a decoder."""
        return self.transformer.kind != "encoder" and self.transformer.head == "language-model"

    @property
    def can_fuse_attention(self) -> bool:
        """Fused kernels take no learned bias on the scores."""
        return self.transformer.position not in ("relative", "disentangled")

    def sequence_length(self, workload: Workload, assumptions: list[str]) -> int:
        """Return the tokens of one sample: the user's, or the usual ones up to what a default may ask."""
        model, task = self.transformer, workload.effective_task
        training = task != "inference"
        length = workload.data.sequence_length if training else workload.inference.prompt_tokens
        if length is None:
            length = min(self.usual_length or LONGEST_DEFAULT[task], LONGEST_DEFAULT[task])
            if model.vocab and (rows := model.decoder_max_positions or model.max_positions):
                length = min(length, rows)
            if not (model.patch_size or model.audio_channels):
                assumptions.append(f"sequence length {length} tokens (not given)")
        whole = length
        if not training and model.kind == "decoder":
            whole += workload.inference.new_tokens
        if (
            model.position == "learned"
            and model.max_positions
            and model.vocab
            and whole > model.max_positions
        ):
            raise InputError(
                f"the model has {model.max_positions} learned positions",
                field="data.sequence_length"
                if training
                else "inference.prompt_tokens + inference.new_tokens",
                value=whole,
                accepted=f"at most {model.max_positions}",
            )
        return length

    def default_batch(self, workload: Workload, sequence_length: int) -> int:
        """Return half a million tokens of pretraining, or the usual number of samples."""
        if workload.effective_task == "finetune":
            return FINETUNING_SAMPLES
        if self.transformer.kind == "decoder":
            return max(1, _power_of_two(PRETRAINING_TOKENS / sequence_length))
        return ENCODER_SAMPLES

    def check(self, workload: Workload) -> None:
        """Refuse layouts that do not divide the model."""
        model, sharding = self.transformer, workload.sharding
        if not isinstance(sharding, Parallelism):
            return
        if model.heads % sharding.tensor:
            raise InputError(
                f"the model's {model.heads} heads do not divide by it",
                field="sharding.tensor",
                value=sharding.tensor,
            )
        if sharding.pipeline > model.layers + (model.decoder_layers or 0):
            raise InputError(
                "more stages than layers",
                field="sharding.pipeline",
                value=sharding.pipeline,
                accepted=f"at most {model.layers}",
            )

    def describe(self, stage: Pass, demand: Demand, variant: Variant) -> Description:
        """Return the table written from the dimensions."""
        if stage == "train":
            return describe_training(self.transformer, demand.sequence_length, variant)
        return describe_inference(
            self.transformer, stage, prompt_tokens=demand.sequence_length, new_tokens=demand.new_tokens,
            cache_element_bytes=demand.cache_element_bytes, variant=variant,
        )  # fmt: skip

    def summary(self) -> str:
        """Return name and number of parameters."""
        total, active = parameter_count(self.transformer), active_parameter_count(self.transformer)
        text = f"{self.name}: {total:,} parameters"
        if active < 0.99 * total and self.transformer.experts:
            text += f", {active:,} active for each token (all of them are held in memory)"
        return text

    def assumptions(self, workload: Workload, on_cpu: bool) -> list[str]:
        """Return what is assumed of states, adapters, head, loss and trainer."""
        model = self.transformer
        if workload.effective_task == "inference":
            engine = "a serving engine that replays recorded kernel graphs (vLLM, TensorRT-LLM, llama.cpp)"
            return [*self.notes, engine]
        found = [*self.notes, *_of_training(workload)]
        if workload.method != "full":
            base = "nf4" if workload.method == "qlora" else "16-bit"
            targets = ", ".join(workload.lora.targets)
            found.append(f"adapters of rank {workload.lora.rank} on {targets}, {base} base")
        if model.vocab and model.kind == "encoder" and model.head != "masked-language-model":
            found.append(
                "no vocabulary head: this trains a classifier; pretraining is the model's -mlm variant"
            )
        elif model.vocab and not workload.software.fused_loss:
            found.append("the loss holds the whole logits (software.fused_loss: true if yours does not)")
        if workload.software.trainer == "common":
            found.append(
                f"a common trainer on {_framework(workload)}, not a tuned one (software.trainer: tuned)"
            )
        return found


def _framework(workload: Workload) -> str:
    """Return the software that runs a workload, for people."""
    software = workload.software
    if software.version is not None:
        return f"{software.framework} {software.version}"
    return "current PyTorch" if software.framework == "pytorch" else software.framework


@dataclass(frozen=True, eq=False)
class NetworkSubject(_Network):
    """A network by its operator table."""

    table: NetworkTable

    evidence_kind: Literal["transformer", "network"] = "network"
    heads = 1
    layers = 1
    experts = 0
    generates = False
    can_fuse_attention = True
    heavy_trainer = False

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.table.name

    @property
    def family(self) -> str:
        """Family of the table."""
        return self.table.family

    @property
    def evidence_family(self) -> str:
        """Family of the table."""
        return self.table.family

    @property
    def unit(self) -> str:
        """What one sample is."""
        return self.table.unit

    @property
    def counts_tokens(self) -> bool:
        """Whether the table says how many tokens a sample has."""
        return self.table.tokens_per_sample is not None

    @property
    def largest_micro_batch(self) -> int:
        """Beyond the usual where the table names a larger usual batch."""
        return max(
            LARGEST_MICRO_BATCH,
            2 * (self.table.usual_batch or 0),
            MANY_SMALL_SAMPLES if self._is_small else 0,
        )

    @property
    def _is_small(self) -> bool:
        """Whether a sample keeps less than a tenth of a MiB."""
        return all(trace.saved_bytes.per_sample < 2**20 / 10 for trace in self.table.traces)

    @cached_property
    def has_attention(self) -> bool:
        """Whether it was traced with fused attention."""
        return any(kind_of(row) is Kind.ATTENTION for trace in self.table.traces for row in trace.operators)

    @cached_property
    def can_checkpoint(self) -> bool:
        """Whether it was traced with activation checkpointing."""
        return any(trace.checkpointed_saved_bytes is not None for trace in self.table.traces)

    def sequence_length(self, workload: Workload, assumptions: list[str]) -> int:
        """Return 1: the size of a sample is that of the table."""
        if workload.data.sequence_length is not None:
            raise InputError(
                f"the operator table of {self.name} holds samples of one size",
                field="data.sequence_length",
                value=workload.data.sequence_length,
                hint="leave it out, or describe the network with another input",
            )
        return round(self.table.tokens_per_sample or 1)

    def default_batch(self, workload: Workload, sequence_length: int) -> int:
        """Return the batch that the table names as usual."""
        if self.table.usual_batch is not None:
            return self.table.usual_batch
        return FINETUNING_SAMPLES if workload.effective_task == "finetune" else ENCODER_SAMPLES

    def check(self, workload: Workload) -> None:
        """Refuse what needs the dimensions of a transformer."""
        sharding = workload.sharding
        if workload.method != "full":
            raise InputError(
                f"adapters need the dimensions of a transformer, and {self.name} is an operator table",
                field="method", value=workload.method, accepted="full",
            )  # fmt: skip
        if workload.precision not in NETWORK_PRECISIONS:
            raise InputError(
                "an operator table has no weights to quantise", field="precision", value=workload.precision,
                accepted=", ".join(NETWORK_PRECISIONS),
            )  # fmt: skip
        if isinstance(sharding, Parallelism) and sharding.tensor * sharding.pipeline > 1:
            raise InputError(
                "tensor and pipeline parallelism need the dimensions of a transformer", field="sharding",
                value=f"tensor {sharding.tensor}, pipeline {sharding.pipeline}",
                accepted="data parallelism, sharded or not",
            )  # fmt: skip
        if workload.checkpointing not in ("auto", "none") and not self.can_checkpoint:
            raise InputError(
                f"{self.name} was traced without activation checkpointing", field="checkpointing",
                value=workload.checkpointing, accepted="none",
                hint="describe it again with model.torch.checkpointed, the arguments that switch it on",
            )  # fmt: skip
        task: NetworkTask = "inference" if workload.effective_task == "inference" else "train"
        if self.table.trace(task, autocast=False) is None:
            known = ", ".join(sorted({trace.task for trace in self.table.traces}))
            raise InputError(
                f"the operator table of {self.name} has no trace of it", field="task", value=workload.effective_task,
                accepted=known,
            )  # fmt: skip

    def describe(self, stage: Pass, demand: Demand, variant: Variant) -> Description:
        """Return what the table says of a precision."""
        return describe_network(self.table, variant, training=stage == "train")

    def summary(self) -> str:
        """Return name, number of parameters and size of a sample."""
        return f"{self.name}: {self.table.parameters.total:,} parameters"

    def assumptions(self, workload: Workload, on_cpu: bool) -> list[str]:
        """Return what one sample is, the loss, and how it is run."""
        training = workload.effective_task != "inference"
        found = _of_training(workload) if training else []
        found.append(
            f"a plain loop on {_framework(workload)} whose input is ready: reading and decoding it is not counted"
        )
        found += self.table.notes
        if self.table.origin.notes:
            found.append(f"one sample: {self.table.origin.notes}")
        if training and self.table.loss_is_assumed:
            found.append(f"loss {self.table.loss} (not given; model.torch.loss sets it)")
        return found


@dataclass(frozen=True, eq=False)
class LearnerSubject:
    """A learner that is no network; training it is one step over all its rows."""

    learner: Learner
    constants: LearnerConstants

    evidence_kind: Literal["transformer", "network"] = "network"
    evidence_family = "learner"
    family = "learner"
    unit = "row"
    heads = 1
    layers = 1
    experts = 0
    counts_tokens = False
    generates = False
    has_attention = False
    can_fuse_attention = False
    can_checkpoint = False
    heavy_trainer = False
    only_precision: Precision = "fp32"
    steps = 1.0
    largest_micro_batch = 1

    @property
    def name(self) -> str:
        """Library, size and data."""
        return learner_name(self.learner)

    @property
    def samples_in_one(self) -> int:
        """All rows: the plan search counts the whole table as one sample."""
        return rows_of(self.learner)

    def spread(self, on_cpu: bool) -> float | None:
        """Return the spread of its library on the kind of device."""
        return learner_spread(self.learner, on_cpu=on_cpu, constants=self.constants)

    def sequence_length(self, workload: Workload, assumptions: list[str]) -> int:
        """Return 1: there are no sequences."""
        return 1

    def default_batch(self, workload: Workload, sequence_length: int) -> int:
        """Return 1: the whole table."""
        return 1

    def check(self, workload: Workload) -> None:
        """Refuse what is for networks."""
        plain, given = Workload(model=workload.model), workload.model_dump(exclude_unset=True, by_alias=True)
        for name in ("data", "batch", "method", "checkpointing", "sharding", "optimizer"):
            if getattr(workload, name) != getattr(plain, name):
                raise InputError(
                    "this is for networks; a learner's document says all of it", field=name,
                    value=given.get(name), accepted="leave it out",
                )  # fmt: skip
        if workload.effective_task != "train":
            raise InputError("learners are trained", field="task", value=workload.task, accepted="train")
        if workload.precision not in ("auto", "fp32"):
            raise InputError(
                "learners work in fp32", field="precision", value=workload.precision, accepted="auto, fp32"
            )

    def refusal(self, device: Device) -> str | None:
        """Say why the library does not train on a device."""
        return unsupported_learner(self.learner, device, self.constants)

    def describe(self, stage: Pass, demand: Demand, variant: Variant) -> Description:
        """Return the whole training as one step."""
        return describe_learner(self.learner, on_cpu=demand.on_cpu, constants=self.constants)

    def summary(self) -> str:
        """Return library, size and data."""
        return self.name

    def assumptions(self, workload: Workload, on_cpu: bool) -> list[str]:
        """Return what the description takes for granted."""
        return list(learner_assumptions(self.learner, on_cpu))


def _of_training(workload: Workload) -> list[str]:
    """Return what is assumed of the states of any network."""
    if workload.method == "full" and workload.master_weights == "auto" and workload.precision != "fp32":
        return ["fp32 master weights (mixed precision); master_weights: none halves the state"]
    return []


def _power_of_two(value: float) -> int:
    """Return the power of two nearest to a value, in the logarithm."""
    return int(2 ** round(math.log2(value)))
