"""What a workload is about: a transformer by its dimensions, a traced network; each describes itself in one language."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from advisor.describe.network_table import describe_network
from advisor.describe.transformer import describe_inference, describe_training
from advisor.describe.variant import Variant
from advisor.describe.weights import active_parameter_count, parameter_count
from advisor.errors import InputError
from advisor.hardware import Device
from advisor.network import NetworkTable, NetworkTask
from advisor.operators import Description
from advisor.workload import Parallelism, Transformer, Workload

PRETRAINING_TOKENS = 2**19
"""Tokens of one optimizer step when the user names no batch: half a million, as in GPT-2 and GPT-3 reproductions."""

FINETUNING_SAMPLES = 32
ENCODER_SAMPLES = 256
LONGEST_DEFAULT = {"train": 4096, "finetune": 2048, "inference": 2048}
"""Sequence length assumed when the user names none, where the model allows as much."""

NETWORK_PRECISIONS = ("auto", "fp32", "tf32", "fp16", "bf16")

Pass = Literal["train", "prefill", "decode"]


@dataclass(frozen=True, slots=True)
class Demand:
    """How much one sample asks of a model: tokens of a sample in training or of a prompt, and what is generated."""

    sequence_length: int = 1
    new_tokens: int = 0
    cache_element_bytes: float = 2.0


class Subject(Protocol):
    """A model as the plan search sees it."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def family(self) -> str:
        """Models that are alike."""

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
    def can_fuse_attention(self) -> bool:
        """Whether a fused kernel can run its attention."""

    @property
    def can_checkpoint(self) -> bool:
        """Whether training can recompute activations."""

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

    def assumptions(self, workload: Workload) -> list[str]:
        """Return what is assumed of the model in this workload, for people."""


@dataclass(frozen=True, eq=False)
class TransformerSubject:
    """A transformer by its dimensions; ``usual_length`` is the usual length of a sample in tokens."""

    transformer: Transformer
    name: str
    family: str
    usual_length: int | None = None

    unit = "sequence"
    can_checkpoint = True

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

    def refusal(self, device: Device) -> str | None:
        """Every device runs transformers."""
        return None

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

    def assumptions(self, workload: Workload) -> list[str]:
        """Return what is assumed of the head and the loss."""
        model = self.transformer
        if workload.effective_task == "inference" or not model.vocab:
            return []
        if model.kind == "encoder" and model.head != "masked-language-model":
            return ["no vocabulary head: this trains a classifier; pretraining is the model's -mlm variant"]
        if not workload.software.fused_loss:
            return ["the loss holds the whole logits (software.fused_loss: true if yours does not)"]
        return []


@dataclass(frozen=True, eq=False)
class NetworkSubject:
    """A network by its operator table."""

    table: NetworkTable

    heads = 1
    layers = 1
    experts = 0
    generates = False
    can_fuse_attention = True

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.table.name

    @property
    def family(self) -> str:
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

    def refusal(self, device: Device) -> str | None:
        """Every device that runs torch runs networks."""
        return None

    def describe(self, stage: Pass, demand: Demand, variant: Variant) -> Description:
        """Return what the table says of a precision."""
        return describe_network(self.table, variant, training=stage == "train")

    def summary(self) -> str:
        """Return name, number of parameters and size of a sample."""
        return f"{self.name}: {self.table.parameters.total:,} parameters"

    def assumptions(self, workload: Workload) -> list[str]:
        """Return what one sample is, and the loss."""
        found = []
        if self.table.origin.notes:
            found.append(f"one sample: {self.table.origin.notes}")
        if self.table.loss_is_assumed:
            found.append(f"loss {self.table.loss} (not given; model.torch.loss sets it)")
        return found


def _power_of_two(value: float) -> int:
    """Return the power of two nearest to a value, in the logarithm."""
    return int(2 ** round(math.log2(value)))
