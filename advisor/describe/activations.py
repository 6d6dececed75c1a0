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
    """Bytes that one layer keeps for one token: everything, or only what selective checkpointing does not recompute."""

    total: float
    selective: float


def saved_activations(
    model: Transformer, inventory: tuple[Weight, ...], span: Lengths, variant: Variant
) -> Activations:
    """Return what one training step keeps, for each kind of activation checkpointing.

    Full checkpointing keeps the input of each layer and, for one layer at a time, all that the layer would have kept.
    Selective checkpointing keeps the results of matrix products and fused attention and recomputes the cheap operators
    between them; eager scores are recomputed too (Korthikanti et al. 2022, section 5). Tensor parallelism with fused
    attention is taken to come with sequence parallelism (section 4.2 there), so that it divides all of this; older
    stacks divide only heads and feed-forward channels, not the residual stream.
    """
    inputs = _saved_inputs(model, inventory, variant)
    kept = {"none": 0.0, "selective": 0.0, "full": 0.0}
    largest = score_gradients = 0.0
    gradients = 2.0 * max(ffn_channels(model), model.hidden) * variant.compute_bytes
    for stack, layers in stacks(model):
        tokens = span.queries(stack) / variant.tensor
        whole = span.queries(stack) if variant.attention == "eager" else tokens
        crosses = stack == "decoder" and model.kind == "encoder-decoder"
        layer = _layer(
            _of_stack(model, stack),
            variant,
            inputs[stack],
            span.queries(stack),
            span.encoder if crosses else 0,
        )
        kept["none"] += layers * tokens * layer.total
        kept["selective"] += layers * tokens * layer.selective
        kept["full"] += layers * whole * model.hidden * variant.residual_bytes
        eager = 2.0 * model.heads * span.queries(stack) * variant.compute_bytes
        scores = tokens * eager if variant.attention == "eager" else 0.0
        score_gradients = max(score_gradients, scores)
        largest = max(largest, tokens * (layer.total + gradients) + scores)
    share = variant.kept_share * (variant.rotary_share if model.position == "rotary" else 1.0)
    kept = {name: value * share for name, value in kept.items()}
    logits = _logits(model, span, variant)
    gradient = span.queries(main_stack(model)) * gradients / variant.tensor + score_gradients
    return Activations(
        saved={name: Affine(0.0, value) for name, value in kept.items()},
        working={
            "none": Affine(0.0, max(logits, gradient)),
            "selective": Affine(0.0, max(logits, gradient)),
            "full": Affine(0.0, max(logits, largest)),
        },
    )


def _of_stack(model: Transformer, stack: str) -> Transformer:
    """Return the model with the sizes of one of its stacks."""
    if stack != "decoder" or model.kind != "encoder-decoder":
        return model
    heads = model.decoder_heads or model.heads
    sizes = {
        "heads": heads,
        "kv_heads": model.decoder_heads or model.kv_head_count,
        "head_dim": model.head_dim or model.hidden // heads,
        "ffn": model.decoder_ffn or model.ffn,
    }
    return model.model_copy(update=sizes)


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


def _layer(
    model: Transformer, variant: Variant, inputs: Mapping[str, bool], keys: float, cross_keys: float
) -> _Layer:
    """Return what one layer keeps for one token.

    ``keys`` are the tokens that its own attention reads, ``cross_keys`` those of the encoder that it attends to beside
    (0: none), whose keys and values it makes and keeps itself.
    """
    c, r = variant.compute_bytes, variant.residual_bytes
    channels = ffn_channels(model)

    def any_of(*parts: str) -> bool:
        return any(inputs.get(part, False) for part in parts)

    core, scores = _attention_core(model, variant, keys, keys)
    attentions = 1
    if cross_keys:
        attentions = 2
        crossed, cross_scores = _attention_core(model, variant, cross_keys, keys)
        core, scores = core + crossed, scores + cross_scores
    cheap = (model.norms_per_layer + attentions - 1) * model.hidden * _norm_bytes(model, variant)
    cheap += (1 + attentions) * model.hidden if _drops(model) else 0.0
    if any_of("query", "key", "value", "query_down", "kv_down"):
        cheap += attentions * model.hidden * c
    if any_of("gate", "up"):
        cheap += model.hidden * c * (model.active_experts or 1)
    if r != c and any_of("output"):
        cheap += 2 * model.hidden * c
    products = channels * c * (2 if model.gated_ffn else 1)
    # Fused kernels of a gated network compute its activation again from the gate.
    cheap += channels * c if model.gated_ffn and not variant.fused else 0.0
    cheap += channels * c if any_of("down") else 0.0
    if variant.method != "full":
        cheap += _adapter_inputs(model, variant, inputs, channels)
    if model.latent_attention is not None:
        latent = model.latent_attention
        products += 2 * (latent.query_rank + latent.key_value_rank) * c
    outputs = 2 * model.hidden * c
    return _Layer(total=core + scores + cheap + products, selective=core + products + outputs)


def _adapter_inputs(
    model: Transformer, variant: Variant, inputs: Mapping[str, bool], channels: float
) -> float:
    """Return what adapters keep for one token beside the input counted already.

    That is the mask of their dropout and, on a quantised base, the input before dropout, which the base's own backward
    keeps.
    """
    each = 1.0 + (variant.compute_bytes if variant.quantised else 0.0)
    experts = model.active_experts or 1
    groups = (
        (("query", "key", "value"), float(model.hidden)),
        (("output",), float(model.heads * model.head_size)),
        (("gate", "up"), float(model.hidden * experts)),
        (("down",), channels),
    )
    adapted = variant.lora_targets
    return sum(
        each * width
        for parts, width in groups
        if any(inputs.get(part, False) and (part in adapted or "all-linear" in adapted) for part in parts)
    )


def _attention_core(model: Transformer, variant: Variant, keys: float, queries: float) -> tuple[float, float]:
    """Return bytes kept for one token: queries, keys, values and result; and the eager chain over the scores.

    The chain keeps the result of the softmax (in fp32 under autocast, and where models upcast it themselves), the copy
    in the compute format that the second product reads, and the mask of dropout.
    """
    c, latent = variant.compute_bytes, model.latent_attention
    query_width = model.heads * (latent.nope_head_dim + latent.rope_head_dim if latent else model.head_size)
    value_width = model.heads * (latent.value_head_dim if latent else model.head_size)
    kv_width = 2 * model.kv_head_count * model.head_size if latent is None else query_width + value_width
    core = (query_width + kv_width * keys / queries + value_width) * c
    if variant.attention == "flash":
        return core + 4.0 * model.heads, 0.0
    drops = _drops(model)
    softmax = 4.0 if variant.autocast or not (drops or variant.fused) else c
    scores = softmax + (c if drops or softmax != c else 0.0) + (1.0 if drops else 0.0)
    return core, model.heads * keys * scores


def _drops(model: Transformer) -> bool:
    """Say whether masks of dropout are kept: decoders with learned positions (GPT-2, GPT-3) train with it too."""
    return trains_with_dropout(model) or model.position == "learned"


def _norm_bytes(model: Transformer, variant: Variant) -> float:
    """Bytes that a norm keeps for one element: its input; RMSNorm as models write it, an fp32 copy and the result."""
    if model.norm == "layernorm" or variant.fused:
        return variant.residual_bytes
    return 4.0 + (variant.compute_bytes if variant.method == "full" else 0.0)


def _logits(model: Transformer, span: Lengths, variant: Variant) -> float:
    """Bytes of the logits and their gradients at the peak, for one sample.

    Eager cross-entropy holds the logits in the compute format, log-probabilities in fp32, and two fp32 gradients;
    tuned trainers compute the gradient in place of the fp32 logits.
    """
    if model.head not in ("language-model", "masked-language-model"):
        return 0.0
    logits = span.queries(main_stack(model)) * model.vocab / variant.tensor
    if variant.fused_loss:
        return logits * FUSED_LOSS_CHUNK * 2 * variant.compute_bytes
    if variant.fused:
        return logits * (variant.compute_bytes + 4.0)
    return logits * (variant.compute_bytes + 12.0)
