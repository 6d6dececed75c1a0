"""Matrix products with weights: forward, both gradients, low-rank adapters and grouped experts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from advisor.describe.variant import QUANTISED_BYTES, Lengths, Variant, main_stack, split
from advisor.describe.weights import Role, Weight
from advisor.operators import Affine, Kind, Operator, Phase, Recompute
from advisor.workload import Transformer


def products(
    model: Transformer,
    inventory: tuple[Weight, ...],
    span: Lengths,
    variant: Variant,
    *,
    training: bool,
) -> Iterator[Operator]:
    """Yield every matrix product with weights, its gradients, and those of the adapters."""
    for weight in inventory:
        if weight.role is not Role.LINEAR or weight.name == "projection.embedding":
            continue
        if span.cached is not None and weight.stack == "encoder" and model.kind == "encoder-decoder":
            continue
        head = weight.stack == "head"
        stack = main_stack(model) if head else weight.stack
        cross = weight.name in ("cross_attention.key", "cross_attention.value")
        tokens = float(span.encoder if cross else span.queries(stack))
        if cross and span.cached is not None:
            continue
        if head and (not training or model.head in ("classifier", "pooler")):
            tokens = 1.0
        shape = split(weight, variant.tensor)
        trained = training and variant.method == "full"
        recompute = Recompute.NEVER if head else Recompute.FULL
        # Routed experts are one grouped product even where a token passes all of them.
        if weight.name.startswith("expert."):
            yield from _experts(weight, shape, tokens, variant, model.experts, training, trained)
            continue
        yield from product(
            weight.name, Kind.GEMM, weight, shape, tokens, variant,
            repeat=weight.count, trained=trained, input_gradient=training, recompute=recompute,
        )  # fmt: skip
        if training and variant.adapts(weight):
            yield from _adapter(weight, shape, tokens, variant)


def _weight_bytes(weight: Weight, variant: Variant) -> float:
    """Bytes in which a product reads one element of its weight."""
    if variant.quantised and weight.role is Role.LINEAR and weight.stack != "head":
        return QUANTISED_BYTES[variant.quantised]
    return variant.compute_bytes


def product(
    name: str,
    kind: Kind,
    weight: Weight,
    shape: tuple[float, float],
    tokens: float,
    variant: Variant,
    *,
    repeat: float,
    trained: bool,
    input_gradient: bool,
    recompute: Recompute,
) -> Iterator[Operator]:
    """Yield y = x W^T and, in training, the products of its backward: dx = dy W and dW = dy^T x."""
    outputs, inputs = shape
    act = variant.compute_bytes
    flops = Affine(0.0, 2.0 * tokens * outputs * inputs)
    moved = tokens * (inputs + outputs) * act
    training = trained or input_gradient
    dequantised = training and variant.quantised is not None and weight.stack != "head"
    stored = outputs * inputs * (act if dequantised else _weight_bytes(weight, variant))
    forward = Operator(
        name, kind, Phase.FORWARD, repeat, flops, Affine(stored, moved),
        rows=Affine(0.0, tokens), columns=outputs, inner=Affine(inputs), recompute=recompute,
    )  # fmt: skip
    unpack = Operator(
        f"{name}.dequantise", Kind.POINTWISE, Phase.FORWARD, repeat,
        bytes=Affine(outputs * inputs * (act + _weight_bytes(weight, variant))), recompute=recompute,
    )  # fmt: skip
    yield forward
    if dequantised:
        yield unpack
    if input_gradient:
        yield Operator(
            name, kind, Phase.BACKWARD, repeat, flops, Affine(stored, moved),
            rows=Affine(0.0, tokens), columns=inputs, inner=Affine(outputs),
        )  # fmt: skip
        if dequantised:
            yield Operator(unpack.name, unpack.kind, Phase.BACKWARD, repeat, bytes=unpack.bytes)
    if trained:
        yield Operator(
            name, kind, Phase.BACKWARD, repeat, flops, Affine(outputs * inputs * act, moved),
            rows=Affine(outputs), columns=inputs, inner=Affine(0.0, tokens),
        )  # fmt: skip


def _adapter(
    weight: Weight, shape: tuple[float, float], tokens: float, variant: Variant
) -> Iterator[Operator]:
    """Yield the two narrow products of a low-rank adapter, its scaling and sum, forward and backward."""
    outputs, inputs = shape
    rank, act = float(variant.lora_rank), variant.compute_bytes
    for part, (wide, narrow) in (("adapter_a", (rank, inputs)), ("adapter_b", (outputs, rank))):
        yield from product(
            f"{weight.name}.{part}", Kind.GEMM,
            Weight(part, Role.LINEAR, round(wide), round(narrow), weight.count, "head"),
            (wide, narrow), tokens, variant,
            repeat=weight.count, trained=True, input_gradient=True, recompute=Recompute.FULL,
        )  # fmt: skip
    add = Affine(0.0, tokens * outputs * act * 5)
    for phase in (Phase.FORWARD, Phase.BACKWARD):
        yield Operator(
            f"{weight.name}.adapter_sum", Kind.POINTWISE, phase, weight.count, bytes=add, launches=3,
            recompute=Recompute.FULL if phase is Phase.FORWARD else Recompute.NEVER,
        )  # fmt: skip


def _experts(
    weight: Weight,
    shape: tuple[float, float],
    tokens: float,
    variant: Variant,
    experts: int,
    training: bool,
    trained: bool,
) -> Iterator[Operator]:
    """Yield the grouped product over the experts, each with its share of the tokens.

    With few tokens not all experts are touched: of E experts, T tokens that choose a share s each are expected to touch
    E (1 - (1 - s)^T).
    """
    outputs, inputs = shape
    layers = weight.count / experts
    share = weight.active
    act = variant.compute_bytes
    flops = Affine(0.0, 2.0 * tokens * share * outputs * inputs * experts)
    moved = tokens * share * experts * (inputs + outputs) * act
    touched = experts * (1.0 - (1.0 - share) ** (tokens * variant.sequences))
    dequantised = training and variant.quantised is not None
    held = touched * outputs * inputs
    stored = held * (act if dequantised else _weight_bytes(weight, variant))
    rows = Affine(0.0, tokens * share * experts / touched)
    forward = Operator(
        weight.name, Kind.BATCHED_GEMM, Phase.FORWARD, layers, flops, Affine(stored, moved), rows=rows,
        columns=outputs, inner=Affine(inputs), batch=Affine(touched), recompute=Recompute.FULL,
    )  # fmt: skip
    yield forward
    if dequantised:
        unpack = Operator(
            f"{weight.name}.dequantise", Kind.POINTWISE, Phase.FORWARD, layers,
            bytes=Affine(held * (act + _weight_bytes(weight, variant))), recompute=Recompute.FULL,
        )  # fmt: skip
        yield unpack
        yield replace(unpack, phase=Phase.BACKWARD, recompute=Recompute.NEVER)
    if training:
        yield replace(
            forward,
            phase=Phase.BACKWARD,
            columns=inputs,
            inner=Affine(outputs),
            recompute=Recompute.NEVER,
        )
    if trained:
        yield replace(
            forward,
            phase=Phase.BACKWARD,
            rows=Affine(outputs),
            columns=inputs,
            inner=rows,
            recompute=Recompute.NEVER,
        )
