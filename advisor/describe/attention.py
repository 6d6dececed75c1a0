"""Attention: the core of every layer, eager or fused, and the KV cache.

FLOPs are 4 * queries * keys * channels a layer (Vaswani et al. 2017), half of it under a causal mask in the fused
kernel, whose backward costs 2.5 times its forward (Dao 2023, "FlashAttention-2", section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from advisor.describe.variant import Lengths, Variant, stacks, trains_with_dropout
from advisor.operators import Affine, Kind, Operator, Phase, Recompute
from advisor.workload import Transformer


def cache_elements(model: Transformer, tokens: int, encoder_tokens: int = 0) -> float:
    """Elements of the KV cache of one sequence over all layers; a windowed layer keeps its window.

    ``encoder_tokens`` are those whose keys and values cross attention keeps.

    Multi-head latent attention caches the compressed vector and the rotary key (DeepSeek-V2 report, section 2.1.2).
    """
    layers = model.decoder_layers or model.layers
    if model.latent_attention is not None:
        latent = model.latent_attention
        return float(layers * tokens * (latent.key_value_rank + latent.rope_head_dim))
    width = 2.0 * model.kv_head_count * model.head_size
    cross = width * layers * encoder_tokens
    local, everywhere = layers_by_reach(model, layers)
    return width * (everywhere * tokens + local * min(tokens, model.sliding_window or tokens)) + cross


def layers_by_reach(model: Transformer, layers: int) -> tuple[int, int]:
    """Return how many layers see a sliding window, and how many see everything."""
    if not model.sliding_window:
        return 0, layers
    everywhere = layers // model.global_layers_every if model.global_layers_every else 0
    return layers - everywhere, everywhere


def cache_split(model: Transformer, tensor: int) -> int:
    """Return over how many ranks the cache is divided; latent and single-head caches are replicated."""
    return 1 if model.latent_attention is not None else min(tensor, model.kv_head_count)


def attention(model: Transformer, span: Lengths, variant: Variant, *, training: bool) -> Iterator[Operator]:
    """Yield the attention core of every stack; cross attention reads the encoder's keys."""
    for stack, layers in stacks(model):
        queries = float(span.queries(stack))
        own = span.cached if span.cached is not None and stack == "decoder" else queries
        if span.cached is not None and stack == "encoder" and model.kind == "encoder-decoder":
            continue
        causal = stack == "decoder" and span.cached is None
        local, everywhere = layers_by_reach(model, layers)
        reaches = [(everywhere, own, causal)]
        if local:
            window = min(own, float(model.sliding_window))
            reaches.append((local, window, causal and window == own))
        if stack == "decoder" and model.kind == "encoder-decoder":
            reaches.append((layers, float(span.encoder), False))
        for count, keys, masked in reaches:
            if count:
                yield from _attention_core(model, variant, count, queries, keys, masked, training)


def _attention_core(
    model: Transformer,
    variant: Variant,
    layers: int,
    queries: float,
    keys: float,
    masked: bool,
    training: bool,
) -> Iterator[Operator]:
    heads = model.heads / variant.tensor
    latent = model.latent_attention
    qk_dim = latent.nope_head_dim + latent.rope_head_dim if latent else model.head_size
    v_dim = latent.value_head_dim if latent else model.head_size
    act = variant.compute_bytes
    products = 2.0 * queries * keys * (qk_dim + v_dim) * heads
    kv_heads = model.heads if latent else model.kv_head_count
    cached = keys * (qk_dim + v_dim) * max(kv_heads / variant.tensor, 1.0)
    if latent and queries == 1.0:
        cached = keys * (latent.key_value_rank + latent.rope_head_dim)
        products = 2.0 * keys * (2 * latent.key_value_rank + latent.rope_head_dim) * heads
    cached *= variant.cache_bytes if queries == 1.0 and not training else act
    moved = act * queries * (qk_dim + v_dim) * heads + cached
    if variant.attention == "flash" or queries == 1.0:
        flops = Affine(0.0, products * (0.5 if masked else 1.0))
        forward = Operator(
            "attention.core", Kind.ATTENTION, Phase.FORWARD, layers, flops, Affine(0.0, moved),
            rows=Affine(queries), columns=keys, inner=Affine(float(qk_dim)), batch=Affine(0.0, heads),
            recompute=Recompute.FULL,
        )  # fmt: skip
        yield forward
        if training:
            yield replace(
                forward,
                phase=Phase.BACKWARD,
                flops=flops * 2.5,
                bytes=forward.bytes * 2.5,
                launches=3,
                recompute=Recompute.NEVER,
            )
        return
    yield from _eager_attention(model, layers, heads, queries, keys, qk_dim, v_dim, act, variant, training)


def _eager_attention(
    model: Transformer,
    layers: int,
    heads: float,
    queries: float,
    keys: float,
    qk_dim: float,
    v_dim: float,
    act: float,
    variant: Variant,
    training: bool,
) -> Iterator[Operator]:
    """Yield scores, mask, softmax and the weighted sum as separate kernels over a [heads, queries, keys] tensor."""
    scores = heads * queries * keys
    batch = Affine(0.0, heads)
    pairs = (
        ("attention.scores", queries, keys, qk_dim),
        ("attention.values", queries, v_dim, keys),
    )
    for name, rows, columns, inner in pairs:
        flops = Affine(0.0, 2.0 * heads * rows * columns * inner)
        moved = Affine(0.0, act * heads * (rows * inner + inner * columns + rows * columns))
        yield Operator(
            name, Kind.BATCHED_GEMM, Phase.FORWARD, layers, flops, moved,
            rows=Affine(rows), columns=columns, inner=Affine(inner), batch=batch, recompute=Recompute.SELECTIVE,
        )  # fmt: skip
        if training:
            yield Operator(
                name, Kind.BATCHED_GEMM, Phase.BACKWARD, 2 * layers, flops, moved,
                rows=Affine(rows), columns=inner, inner=Affine(columns), batch=batch,
            )  # fmt: skip
    softmax = scores * (2 * act if variant.fused else 2 * act + 4 * act + (8.0 if act < 4 else 0.0))
    if training and trains_with_dropout(model):
        softmax += scores * (2 * act + 1)
    yield Operator(
        "attention.softmax", Kind.SOFTMAX, Phase.FORWARD, layers, bytes=Affine(0.0, softmax), launches=4,
        recompute=Recompute.SELECTIVE,
    )  # fmt: skip
    if training:
        yield Operator(
            "attention.softmax", Kind.SOFTMAX, Phase.BACKWARD, layers, bytes=Affine(0.0, softmax), launches=4
        )
