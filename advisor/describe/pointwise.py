"""Memory-bound operators of a transformer: look-ups, norms, sums, activation functions and loss.

Kernels are those that eager PyTorch starts, unless ``fused`` says that a compiler or a tuned trainer merges chains.
"""

from __future__ import annotations

from collections.abc import Iterator

from advisor.describe.products import product
from advisor.describe.variant import (
    Lengths,
    Variant,
    ffn_channels,
    main_stack,
    stacks,
    trains_with_dropout,
)
from advisor.describe.weights import Role, Weight
from advisor.operators import Affine, Kind, Operator, Phase, Recompute
from advisor.workload import Transformer


def _boundary_norm_bytes(model: Transformer, variant: Variant) -> tuple[float, float, int]:
    """Return (forward bytes, backward bytes, forward kernels) of a norm for one element.

    A fused layer norm reads and writes once. RMSNorm as most model code writes it runs six kernels, in fp32.
    """
    r, c = variant.residual_bytes, variant.compute_bytes
    if variant.fused or model.norm == "layernorm":
        return r + c, 2 * r + c, 1
    return (r + 4) + 4 + 8 + (4 + c) + 2 * c, 3 * (r + 4) + 2 * c + 8, 6


def pointwise(model: Transformer, span: Lengths, variant: Variant, *, training: bool) -> Iterator[Operator]:
    """Yield norms, residual sums, rotary embedding and activation functions of every layer."""
    for stack, layers in stacks(model):
        if span.cached is not None and stack == "encoder" and model.kind == "encoder-decoder":
            continue
        tokens = float(span.queries(stack))
        cross = stack == "decoder" and model.kind == "encoder-decoder"
        yield from _norms(model, variant, tokens, layers * (model.norms_per_layer + int(cross)), training)
        yield from _residuals(model, variant, tokens, layers * (3 if cross else 2), training)
        if training and trains_with_dropout(model):
            yield from _dropout(model, variant, tokens, layers * (3 if cross else 2))
        if model.position == "rotary":
            yield from _rotary(model, variant, tokens, layers, training)
        yield from _activation_function(model, variant, tokens, layers, training)


def _both(
    name: str,
    kind: Kind,
    repeat: float,
    forward: float,
    backward: float,
    launches: tuple[float, float],
    training: bool,
) -> Iterator[Operator]:
    """Yield a memory-bound operator forward and, in training, backward; bytes are for one sample."""
    yield Operator(
        name, kind, Phase.FORWARD, repeat, bytes=Affine(0.0, forward), launches=launches[0],
        recompute=Recompute.SELECTIVE,
    )  # fmt: skip
    if training:
        yield Operator(name, kind, Phase.BACKWARD, repeat, bytes=Affine(0.0, backward), launches=launches[1])


def _norms(
    model: Transformer, variant: Variant, tokens: float, count: int, training: bool
) -> Iterator[Operator]:
    forward, backward, kernels = _boundary_norm_bytes(model, variant)
    size = tokens * model.hidden
    yield from _both(
        "norm", Kind.NORM, count, forward * size, backward * size, (kernels, kernels + 1), training
    )


def _residuals(
    model: Transformer, variant: Variant, tokens: float, count: int, training: bool
) -> Iterator[Operator]:
    moved = tokens * model.hidden * (2 * variant.residual_bytes + variant.compute_bytes)
    yield from _both("residual", Kind.POINTWISE, count, moved, moved, (1, 1), training)


def _dropout(model: Transformer, variant: Variant, tokens: float, count: int) -> Iterator[Operator]:
    """Yield dropout on the output of attention and feed-forward network: values in and out, and a mask of one byte."""
    moved = tokens * model.hidden * (2 * variant.compute_bytes + 1)
    yield from _both("dropout", Kind.POINTWISE, count, moved, moved, (1, 1), True)


def _rotary(
    model: Transformer, variant: Variant, tokens: float, layers: int, training: bool
) -> Iterator[Operator]:
    if model.latent_attention is not None:
        width = model.heads * model.latent_attention.rope_head_dim / variant.tensor
    else:
        width = (model.heads + model.kv_head_count) * model.head_size / variant.tensor
    passes = 2.0 if variant.fused else 8.0
    moved = tokens * width * variant.compute_bytes * passes
    kernels = 1.0 if variant.fused else 10.0
    yield from _both("rotary", Kind.POINTWISE, layers, moved, moved, (kernels, kernels), training)


def _activation_function(
    model: Transformer, variant: Variant, tokens: float, layers: int, training: bool
) -> Iterator[Operator]:
    width = ffn_channels(model) / variant.tensor
    if model.gated_ffn:
        passes, kernels = ((3.0, 5.0), (1, 1)) if variant.fused else ((5.0, 9.0), (2, 4))
    else:
        passes, kernels = (2.0, 3.0), (1, 1)
    size = tokens * width * variant.compute_bytes
    yield from _both(
        "activation", Kind.POINTWISE, layers, passes[0] * size, passes[1] * size, kernels, training
    )
    if model.experts:
        chosen = tokens * model.active_experts * model.hidden * variant.compute_bytes
        yield from _both(
            "route", Kind.COPY, layers - model.dense_layers, 5 * chosen, 6 * chosen, (12, 12), training
        )


def loss(model: Transformer, span: Lengths, variant: Variant) -> Iterator[Operator]:
    """Yield the cross-entropy over the vocabulary: eager, it passes over the logits in fp32 several times."""
    if model.head not in ("language-model", "masked-language-model"):
        return
    logits = span.queries(main_stack(model)) * model.vocab / variant.tensor
    c = variant.compute_bytes
    forward, backward = (c, 2 * c) if variant.fused_loss else ((c + 4) + 8 + 4, 4 + 12 + (4 + c))
    yield Operator("loss", Kind.SOFTMAX, Phase.FORWARD, bytes=Affine(0.0, forward * logits), launches=4)
    yield Operator("loss", Kind.SOFTMAX, Phase.BACKWARD, bytes=Affine(0.0, backward * logits), launches=4)


def weight_traffic(inventory: tuple[Weight, ...], variant: Variant) -> Iterator[Operator]:
    """Yield the casts of fp32 weights under autocast and the accumulation of their gradients."""
    if variant.method != "full" or not variant.autocast:
        return
    linear = [weight for weight in inventory if weight.role is Role.LINEAR]
    elements = sum(weight.size * weight.count for weight in linear) / variant.tensor
    tensors = float(sum(weight.count for weight in linear))
    cast = Affine(elements * (4 + variant.compute_bytes) / tensors)
    for phase in (Phase.FORWARD, Phase.BACKWARD):
        yield Operator("cast", Kind.COPY, phase, tensors, bytes=cast)


def embedding(
    model: Transformer,
    inventory: tuple[Weight, ...],
    span: Lengths,
    variant: Variant,
    *,
    training: bool,
) -> Iterator[Operator]:
    """Yield the look-up of tokens or the convolution of the stem, and the gradient of either."""
    for weight in inventory:
        if weight.stack != "stem":
            continue
        trained = training and variant.method == "full"
        if weight.role is Role.CONVOLUTION:
            if span.cached is not None:
                continue
            tokens = span.encoder * (2 if weight.name.endswith("audio_1") else 1)
            yield from product(
                weight.name, Kind.CONVOLUTION, weight, (weight.outputs, weight.inputs), tokens, variant,
                repeat=1, trained=trained, input_gradient=False, recompute=Recompute.NEVER,
            )  # fmt: skip
        elif weight.name == "embedding.token":
            encodes = model.kind == "encoder-decoder" and span.cached is None
            tokens = span.decoder + (span.encoder if encodes else 0)
            moved = tokens * weight.inputs * 2 * variant.residual_bytes
            yield Operator(weight.name, Kind.EMBEDDING, Phase.FORWARD, bytes=Affine(0.0, moved))
            if trained:
                table = weight.size * variant.trainable_bytes
                yield Operator(
                    weight.name, Kind.EMBEDDING, Phase.BACKWARD, bytes=Affine(table, 1.5 * moved), launches=4
                )
