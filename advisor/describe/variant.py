"""The choices that change which kernels a model runs and what it keeps, and the sizes that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from advisor.describe.weights import Role, Weight
from advisor.workload import Attention, Method, Optimizer, Transformer

AUDIO_FRAMES = 1500
"""Encoder positions of a 30 s window (Whisper: 3,000 mel frames, second convolution with stride 2)."""

QUANTISED_BYTES = {"nf4": 0.5 + 4 / 64, "int4": 0.5 + 2 / 128, "fp4": 0.5 + 1 / 16, "int8": 1.0, "fp8": 1.0}
"""Bytes of one quantised weight with its scales: nf4 an fp32 scale a block of 64 (Dettmers et al. 2023), int4 an fp16
scale a group of 128 (GPTQ, AWQ), fp4 an fp8 scale a block of 16 (NVFP4)."""

_COLUMN_PARALLEL = ("query", "key", "value", "query_up", "kv_up", "gate", "up")
_ROW_PARALLEL = ("output", "down")


@dataclass(frozen=True, slots=True)
class Variant:
    """The choices that change which kernels run and what they keep.

    Attributes:
        compute_bytes: bytes of an activation in the compute format (2 or 4).
        autocast: fp32 weights are cast for each product, and the residual stream stays in fp32.
        attention: eager materialises the scores, flash does not.
        tensor: ways in which tensor parallelism splits heads and feed-forward channels.
        method: full trains all weights, lora and qlora adapters only.
        lora_rank: rank of the adapters.
        lora_targets: last parts of the names of adapted linear layers, or ``all-linear``.
        quantised: format of quantised weights, None when there are none.
        optimizer: for the traffic of the optimizer step.
        trainable_bytes: bytes in which trainable weights are updated.
        fused: pointwise chains run as one kernel (a compiler, a tuned trainer).
        fused_loss: the logits are never held as a whole.
        sequences: sequences served together, for the experts that they touch.
        cache_bytes: bytes of one element of the KV cache that decoding reads.
        pointwise_share: share of the traffic of a traced network's pointwise operators that a compiler leaves.
        layout_copies: times that a convolution's tensors are copied to change their layout (0 in NHWC).
        winograd: how much faster than its multiplications a 3x3 convolution runs on fp32 vector units.
        one_dimensional_rate: share of the rate of other convolutions that those over sequences reach.
        batch_norm_forward: how much longer than its traffic a batch norm takes in training, forward and
        batch_norm_backward: backward.
        wide_group: channels of a group from which weight gradients run at ``wide_group_rate`` (infinite: none).
        wide_group_rate: share of the rate of other grouped convolutions.
        kept_share: how much more than current software it keeps from forward to backward.
        rotary_share: the same of a model with rotary positions over what its description lists.
        workspace_share: share of the largest convolution's tensors that its algorithm holds once more.
    """

    compute_bytes: float = 2.0
    autocast: bool = False
    attention: Attention = "flash"
    tensor: int = 1
    method: Method = "full"
    lora_rank: int = 16
    lora_targets: tuple[str, ...] = ("all-linear",)
    quantised: str | None = None
    optimizer: Optimizer = "adamw"
    trainable_bytes: float = 4.0
    fused: bool = False
    fused_loss: bool = False
    sequences: int = 1
    cache_bytes: float = 2.0
    pointwise_share: float = 1.0
    layout_copies: float = 0.0
    winograd: float = 1.0
    one_dimensional_rate: float = 1.0
    batch_norm_forward: float = 1.0
    batch_norm_backward: float = 1.0
    wide_group: float = math.inf
    wide_group_rate: float = 1.0
    kept_share: float = 1.0
    rotary_share: float = 1.0
    workspace_share: float = 0.0

    @property
    def residual_bytes(self) -> float:
        """Bytes of one element of the residual stream."""
        return 4.0 if self.autocast else self.compute_bytes

    def adapts(self, weight: Weight) -> bool:
        """Say whether a linear layer gets a low-rank adapter."""
        if self.method == "full" or weight.role is not Role.LINEAR or weight.stack == "head":
            return False
        if "all-linear" in self.lora_targets:
            return "router" not in weight.name
        return weight.name.rsplit(".", 1)[-1] in self.lora_targets


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of one sample in each stack, and the keys that decoding attends to (None: training or prefill)."""

    encoder: int
    decoder: int
    cached: float | None = None

    def queries(self, stack: str) -> int:
        """Tokens whose activations a stack computes."""
        return self.encoder if stack == "encoder" else self.decoder


def lengths(model: Transformer, sequence_length: int) -> Lengths:
    """Return the tokens of one sample in each stack; images and audio windows set the encoder's own length."""
    encoder = sequence_length
    if model.patch_size:
        encoder = (model.image_size // model.patch_size) ** 2 + int(model.class_token)
    elif model.audio_channels:
        encoder = AUDIO_FRAMES
    return Lengths(encoder=encoder, decoder=sequence_length)


def main_stack(model: Transformer) -> str:
    """Return the stack whose tokens are counted: the decoder where there is one."""
    return "encoder" if model.kind == "encoder" else "decoder"


def stacks(model: Transformer) -> Iterator[tuple[str, int]]:
    """Yield (name, layers) of each stack."""
    yield ("decoder" if model.kind == "decoder" else "encoder"), model.layers
    if model.decoder_layers:
        yield "decoder", model.decoder_layers


def split(weight: Weight, tensor: int) -> tuple[float, float]:
    """Return (outputs, inputs) of a matrix on one tensor-parallel rank (Shoeybi et al. 2019, section 3)."""
    part = weight.name.rsplit(".", 1)[-1]
    if weight.stack == "head" or part in _COLUMN_PARALLEL:
        return weight.outputs / tensor, float(weight.inputs)
    if part in _ROW_PARALLEL:
        return float(weight.outputs), weight.inputs / tensor
    return float(weight.outputs), float(weight.inputs)


def trains_with_dropout(model: Transformer) -> bool:
    """Say whether training usually drops activations: encoders and encoder-decoders do, decoders of today do not."""
    return model.kind != "decoder"


def ffn_channels(model: Transformer) -> float:
    """Inner channels of the feed-forward network that one token passes, averaged over the layers."""
    if not model.experts:
        return float(model.ffn)
    sparse = model.active_experts * (model.expert_ffn or model.ffn) + model.shared_expert_ffn
    dense = min(model.dense_layers, model.layers) / model.layers
    return dense * model.ffn + (1 - dense) * sparse
