"""What autograd keeps from forward to backward in a transformer, operator by operator, and the largest temporaries.

The list follows what PyTorch's backward formulas save: a linear layer its input (only where its weight, or an adapter
on it, is trained), fused attention its queries, keys, values, output and log-sum-exp, eager attention each tensor of
scores that a step of the chain reads again, a norm its input, an activation function its input, a product both
factors. The closed formulas in use elsewhere (34 s b h + 5 a s^2 b a layer, Korthikanti et al. 2022) assume a fused
half-precision chain and are too low for what autocast really keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from advisor.describe.variant import (
    Lengths,
    Variant,
    ffn_channels,
    main_stack,
    stacks,
    trains_with_dropout,
)
from advisor.describe.weights import Role, Weight
from advisor.operators import Affine
from advisor.workload import Transformer

FUSED_LOSS_CHUNK = 1 / 8
"""Share of the logits that a fused loss holds at a time (Liger and LitGPT cut the sequence into about eight pieces)."""


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes kept, and the largest temporaries, by activation checkpointing."""

    saved: Mapping[str, Affine]
    working: Mapping[str, Affine]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Bytes that one layer keeps for one token, apart by what selective checkpointing drops."""

    attention: float
    rest: float

    @property
    def total(self) -> float:
        return self.attention + self.rest


def saved_activations(
    model: Transformer, inventory: tuple[Weight, ...], span: Lengths, variant: Variant
) -> Activations:
    """Return what one training step keeps, for each kind of activation checkpointing.

    Full checkpointing keeps the input of each layer and, for one layer at a time, all that the layer would have kept.
    Selective checkpointing recomputes the attention core.
    """
    inputs = _saved_inputs(model, inventory, variant)
    kept = {"none": 0.0, "selective": 0.0, "full": 0.0}
    largest = 0.0
    for stack, layers in stacks(model):
        tokens = span.queries(stack)
        keys = tokens + (span.encoder if stack == "decoder" and model.kind == "encoder-decoder" else 0)
        layer = _layer(model, variant, inputs[stack], keys)
        kept["none"] += layers * tokens * layer.total
        kept["selective"] += layers * tokens * layer.rest
        kept["full"] += layers * tokens * model.hidden * variant.residual_bytes
        gradients = 2.0 * max(ffn_channels(model) / variant.tensor, model.hidden) * variant.compute_bytes
        largest = max(largest, tokens * (layer.total + gradients))
    logits = _logits(model, span, variant)
    gradient = (
        span.queries(main_stack(model))
        * 2.0
        * max(ffn_channels(model) / variant.tensor, model.hidden)
        * variant.compute_bytes
    )
    return Activations(
        saved={name: Affine(0.0, value) for name, value in kept.items()},
        working={
            "none": Affine(0.0, max(logits, gradient)),
            "selective": Affine(0.0, max(logits, gradient)),
            "full": Affine(0.0, max(logits, largest)),
        },
    )


def inference_activations(model: Transformer, tokens: float, variant: Variant) -> Activations:
    """Return the largest temporaries of one forward pass; nothing is kept.

    The two widest tensors of a layer live at once, and the logits of the last position in the compute format and fp32.
    """
    channels = max(3 * ffn_channels(model) / variant.tensor, 4.0 * model.hidden)
    logits = (4 + variant.compute_bytes) * model.vocab / variant.tensor
    working = Affine(0.0, tokens * channels * variant.compute_bytes + logits)
    return Activations(saved={"none": Affine()}, working={"none": working})


def _saved_inputs(
    model: Transformer, inventory: Iterable[Weight], variant: Variant
) -> dict[str, dict[str, bool]]:
    """Return, by stack, whether the input of the projections named is kept.

    Quantised linear layers keep their input too: their backward recomputes the weight, not the input.
    """
    found: dict[str, dict[str, bool]] = {stack: {} for stack, _ in stacks(model)}
    for weight in inventory:
        if weight.role is Role.LINEAR and weight.stack in found:
            part = weight.name.rsplit(".", 1)[-1]
            keeps = variant.method == "full" or variant.adapts(weight) or variant.quantised is not None
            found[weight.stack][part] = found[weight.stack].get(part, False) or keeps
    return found


def _layer(model: Transformer, variant: Variant, inputs: Mapping[str, bool], keys: float) -> _Layer:
    """Return what one layer keeps for one token; ``keys`` is the number of keys that its attention reads."""
    c, r = variant.compute_bytes, variant.residual_bytes
    latent = model.latent_attention
    query_width = model.heads * (latent.nope_head_dim + latent.rope_head_dim if latent else model.head_size)
    value_width = model.heads * (latent.value_head_dim if latent else model.head_size)
    kv_width = 2 * model.kv_head_count * model.head_size if latent is None else query_width + value_width
    channels = ffn_channels(model) / variant.tensor

    def any_of(*parts: str) -> bool:
        return any(inputs.get(part, False) for part in parts)

    core = (query_width + kv_width + value_width) / variant.tensor * c
    heads = model.heads / variant.tensor
    if variant.attention == "flash":
        core += 4 * heads
    else:
        softmax = 4.0 if variant.autocast else c
        core += heads * keys * (c + softmax + (c if softmax != c else 0.0))
        core += heads * keys * (c + 1) if trains_with_dropout(model) else 0.0

    norms = model.norms_per_layer * model.hidden * _norm_bytes(model, variant)
    rest = norms + (2 * model.hidden if trains_with_dropout(model) else 0.0)
    if any_of("query", "key", "value", "query_down", "kv_down"):
        rest += model.hidden * c
    if latent is not None:
        rest += 2 * (latent.query_rank + latent.key_value_rank) * c
    if any_of("gate", "up"):
        rest += model.hidden * c * (model.active_experts or 1)
    rest += channels * c * (3 if model.gated_ffn else 1)
    if any_of("down"):
        rest += channels * c
    if r != c and any_of("output"):
        rest += 2 * model.hidden * c
    return _Layer(attention=core, rest=rest)


def _norm_bytes(model: Transformer, variant: Variant) -> float:
    """Bytes that a norm keeps for one element: its input; RMSNorm as models write it, an fp32 copy and the result."""
    if model.norm == "layernorm" or variant.fused:
        return variant.residual_bytes
    return 4.0 + (variant.compute_bytes if variant.method == "full" else 0.0)


def _logits(model: Transformer, span: Lengths, variant: Variant) -> float:
    """Bytes of the logits and their gradients at the peak, for one sample.

    Eager cross-entropy holds the logits in the compute format, log-probabilities in fp32, and two fp32 gradients.
    """
    if model.head not in ("language-model", "masked-language-model"):
        return 0.0
    logits = span.queries(main_stack(model)) * model.vocab / variant.tensor
    if variant.fused_loss:
        return logits * FUSED_LOSS_CHUNK * 2 * variant.compute_bytes
    return logits * (variant.compute_bytes + 12.0)
