"""The inventory of a transformer: every parameter tensor, by role, with the matrix shape that a GEMM sees.

The memory model sums ``elements``; the time model reads ``outputs`` and ``inputs``. Fused projections (one
query-key-value matrix, one gate-and-up matrix) are listed by their parts: the sums are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from advisor.workload import LatentAttention, Transformer

AUDIO_KERNEL = 3
"""Taps of the two convolutions of an audio stem (Whisper, Radford et al. 2022, section 2.2)."""


class Role(StrEnum):
    """What a tensor is for: decides which step of training or inference touches it, and how."""

    LINEAR = "linear"
    EMBEDDING = "embedding"
    NORM = "norm"
    BIAS = "bias"
    CONVOLUTION = "convolution"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Weight:
    """A kind of parameter tensor and how many of them the model holds.

    Attributes:
        name: dotted, such as ``attention.query`` or ``expert.gate``; a bias appends ``.bias``.
        role: what it is for.
        outputs: rows of the matrix; the elements of a one-dimensional tensor.
        inputs: columns of the matrix (of a convolution: channels times taps); 1 for a one-dimensional tensor.
        count: tensors of this kind in the whole model.
        stack: ``stem`` (before the layers), ``encoder``, ``decoder`` or ``head``.
        active: share of the ``count`` copies that one token passes through (routed experts).
        tied: a matrix that multiplies but is stored elsewhere (a head that shares the token embedding).
    """

    name: str
    role: Role
    outputs: int
    inputs: int
    count: int
    stack: str
    active: float = 1.0
    tied: bool = False

    @property
    def size(self) -> int:
        """Elements of one tensor."""
        return self.outputs * self.inputs

    @property
    def elements(self) -> int:
        """Elements stored for all copies: ``outputs * inputs * count``, and 0 for a tied tensor."""
        return 0 if self.tied else self.size * self.count


@dataclass(frozen=True, slots=True)
class _Stack:
    """The sizes of one stack of equal layers."""

    name: str
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    cross: bool


@lru_cache(maxsize=8)
def weights(model: Transformer) -> tuple[Weight, ...]:
    """Return every kind of parameter tensor of a transformer, in the order in which a token meets them."""
    rows: list[Weight] = [*_stem(model), *_embeddings(model)]
    for stack in _stacks(model):
        rows += _layers(model, stack)
    rows += _head(model)
    return tuple(row for row in rows if row.count and row.size)


def parameter_count(model: Transformer) -> int:
    """Return the number of parameters; tensors that are shared (tied embeddings) count once."""
    return sum(weight.elements for weight in weights(model))


def active_parameter_count(model: Transformer) -> int:
    """Return the parameters that one token passes through: all but the experts that the router leaves out.

    Embeddings count whole, as in published figures of active parameters.
    """
    return sum(round(weight.elements * weight.active) for weight in weights(model))


def _stacks(model: Transformer) -> tuple[_Stack, ...]:
    first = _Stack(
        name="decoder" if model.kind == "decoder" else "encoder",
        layers=model.layers,
        heads=model.heads,
        kv_heads=model.kv_head_count,
        head_dim=model.head_size,
        ffn=model.ffn,
        cross=False,
    )
    if model.kind != "encoder-decoder":
        return (first,)
    heads = model.decoder_heads or model.heads
    second = _Stack(
        name="decoder",
        layers=model.decoder_layers or 0,
        heads=heads,
        kv_heads=model.decoder_heads or model.kv_head_count,
        head_dim=model.head_dim or model.hidden // heads,
        ffn=model.decoder_ffn or model.ffn,
        cross=True,
    )
    return (first, second)


def _linear(
    name: str,
    outputs: int,
    inputs: int,
    *,
    count: int,
    stack: str,
    bias: bool = False,
    active: float = 1.0,
) -> Iterator[Weight]:
    """Yield a matrix and, where it has one, its bias."""
    yield Weight(name, Role.LINEAR, outputs, inputs, count, stack, active)
    if bias:
        yield Weight(f"{name}.bias", Role.BIAS, outputs, 1, count, stack, active)


def _norm(model: Transformer, name: str, width: int, *, count: int, stack: str) -> Iterator[Weight]:
    """Yield the scale of a norm and, where it has one, its bias."""
    if not model.norm_scale:
        return
    yield Weight(name, Role.NORM, width, 1, count, stack)
    if model.norm == "layernorm" if model.norm_bias is None else model.norm_bias:
        yield Weight(f"{name}.bias", Role.BIAS, width, 1, count, stack)


def _stem(model: Transformer) -> Iterator[Weight]:
    """Yield what turns an image or a spectrogram into vectors of the hidden size."""
    if model.patch_size:
        taps = model.image_channels * model.patch_size**2
        yield Weight("stem.patch", Role.CONVOLUTION, model.hidden, taps, 1, "stem")
        if model.patch_bias:
            yield Weight("stem.patch.bias", Role.BIAS, model.hidden, 1, 1, "stem")
    if model.audio_channels:
        for name, channels in (("stem.audio_1", model.audio_channels), ("stem.audio_2", model.hidden)):
            yield Weight(name, Role.CONVOLUTION, model.hidden, channels * AUDIO_KERNEL, 1, "stem")
            yield Weight(f"{name}.bias", Role.BIAS, model.hidden, 1, 1, "stem")
    if model.class_token:
        yield Weight("embedding.class", Role.OTHER, model.hidden, 1, 1, "stem")


def _embeddings(model: Transformer) -> Iterator[Weight]:
    """Yield the tables of tokens, positions and token types, their norm and their projection."""
    narrow = model.embedding_size or model.hidden
    width = narrow if model.kind == "encoder" else model.hidden
    yield Weight("embedding.token", Role.EMBEDDING, model.vocab, narrow, 1, "stem")
    yield Weight("embedding.position", Role.EMBEDDING, model.position_rows, width, 1, "stem")
    both = model.kind == "encoder-decoder"
    if both and model.position_rows:
        rows = model.decoder_max_positions or model.position_rows
        yield Weight("embedding.decoder_position", Role.EMBEDDING, rows, width, 1, "stem")
    yield Weight("embedding.type", Role.EMBEDDING, model.token_types, width, 1, "stem")
    if model.embedding_norm:
        yield from _norm(model, "norm.embedding", width, count=2 if both else 1, stack="stem")
    if narrow != model.hidden:
        yield from _linear(
            "projection.embedding",
            model.hidden,
            narrow,
            count=1,
            stack="stem",
            bias=model.kind == "encoder",
        )


def _layers(model: Transformer, stack: _Stack) -> Iterator[Weight]:
    """Yield everything inside a stack of layers and the norm after it."""
    if model.latent_attention is not None:
        yield from _latent_attention(model, model.latent_attention, stack)
    else:
        yield from _attention(model, stack, "attention")
    if stack.cross:
        yield from _attention(model, stack, "cross_attention")
    yield from _relative_positions(model, stack)
    yield from _feed_forward(model, stack)
    norms = model.norms_per_layer + int(stack.cross)
    yield from _norm(model, "norm", model.hidden, count=norms * stack.layers, stack=stack.name)
    if model.final_norm:
        yield from _norm(model, "norm.final", model.hidden, count=1, stack=stack.name)


def _attention(model: Transformer, stack: _Stack, name: str) -> Iterator[Weight]:
    """Yield the four projections of (grouped-query) attention, and the norms on queries and keys."""
    queries, keys = stack.heads * stack.head_dim, stack.kv_heads * stack.head_dim
    key_bias = model.qkv_bias if model.key_bias is None else model.key_bias
    for part, outputs, inputs, bias in (
        ("query", queries, model.hidden, model.qkv_bias),
        ("key", keys, model.hidden, key_bias),
        ("value", keys, model.hidden, model.qkv_bias),
        ("output", model.hidden, queries, model.attention_output_bias),
    ):
        yield from _linear(f"{name}.{part}", outputs, inputs, count=stack.layers, stack=stack.name, bias=bias)
    if model.qk_norm != "none":
        whole = model.qk_norm == "all"
        for part, width in (("query", queries), ("key", keys)):
            yield from _norm(
                model,
                f"{name}.{part}_norm",
                width if whole else stack.head_dim,
                count=stack.layers,
                stack=stack.name,
            )
    if model.attention_sinks:
        yield Weight(f"{name}.sinks", Role.OTHER, stack.heads, 1, stack.layers, stack.name)


def _latent_attention(model: Transformer, latent: LatentAttention, stack: _Stack) -> Iterator[Weight]:
    """Yield the projections of multi-head latent attention (DeepSeek-V2 report, section 2.1)."""
    head_dim = latent.nope_head_dim + latent.rope_head_dim
    queries = stack.heads * head_dim
    values = stack.heads * latent.value_head_dim
    rank = latent.key_value_rank
    shapes = [
        ("kv_down", rank + latent.rope_head_dim, model.hidden, model.qkv_bias),
        ("kv_up", stack.heads * (latent.nope_head_dim + latent.value_head_dim), rank, False),
        ("output", model.hidden, values, model.attention_output_bias),
    ]
    if latent.query_rank:
        shapes.append(("query_down", latent.query_rank, model.hidden, model.qkv_bias))
        shapes.append(("query_up", queries, latent.query_rank, False))
    else:
        shapes.append(("query", queries, model.hidden, False))
    for part, outputs, inputs, bias in shapes:
        yield from _linear(
            f"attention.{part}", outputs, inputs, count=stack.layers, stack=stack.name, bias=bias
        )
    yield from _norm(model, "norm.kv_latent", rank, count=stack.layers, stack=stack.name)
    yield from _norm(model, "norm.query_latent", latent.query_rank, count=stack.layers, stack=stack.name)


def _relative_positions(model: Transformer, stack: _Stack) -> Iterator[Weight]:
    """Yield a stack's relative position table: per head (T5), or of the hidden size with a norm (DeBERTa)."""
    if model.position == "relative":
        yield Weight("embedding.relative", Role.EMBEDDING, model.relative_buckets, stack.heads, 1, stack.name)
    if model.position == "disentangled":
        yield Weight(
            "embedding.relative", Role.EMBEDDING, model.relative_buckets, model.hidden, 1, stack.name
        )
        yield from _norm(model, "norm.relative", model.hidden, count=1, stack=stack.name)


def _feed_forward(model: Transformer, stack: _Stack) -> Iterator[Weight]:
    """Yield the dense feed-forward networks and, in a mixture of experts, the experts and their router."""
    dense = stack.layers if not model.experts else min(model.dense_layers, stack.layers)
    yield from _two_or_three(model, stack, "ffn", stack.ffn, count=dense, bias=model.ffn_bias)
    sparse = stack.layers - dense
    if not sparse:
        return
    yield from _linear(
        "router", model.experts, model.hidden, count=sparse, stack=stack.name, bias=model.router_bias
    )
    yield from _two_or_three(
        model,
        stack,
        "expert",
        model.expert_ffn or stack.ffn,
        count=sparse * model.experts,
        bias=model.expert_bias,
        active=model.active_experts / model.experts,
    )
    if model.shared_expert_ffn:
        yield from _two_or_three(
            model, stack, "shared_expert", model.shared_expert_ffn, count=sparse, bias=model.expert_bias
        )
    if model.shared_expert_gate:
        yield from _linear("shared_expert.router", 1, model.hidden, count=sparse, stack=stack.name)


def _two_or_three(
    model: Transformer,
    stack: _Stack,
    name: str,
    inner: int,
    *,
    count: int,
    bias: bool,
    active: float = 1.0,
) -> Iterator[Weight]:
    """Yield up and down, and the gate of a gated network (Shazeer 2020, "GLU Variants")."""
    shapes = [("up", inner, model.hidden), ("down", model.hidden, inner)]
    if model.gated_ffn:
        shapes.insert(0, ("gate", inner, model.hidden))
    for part, outputs, inputs in shapes:
        yield from _linear(
            f"{name}.{part}", outputs, inputs, count=count, stack=stack.name, bias=bias, active=active
        )


def _head(model: Transformer) -> Iterator[Weight]:
    """Yield what follows the last layer. A tied head is listed, for its GEMM, and holds no elements."""
    if model.head == "none":
        return
    width = model.embedding_size or model.hidden
    if model.head == "language-model":
        if width != model.hidden:
            yield from _linear("projection.head", width, model.hidden, count=1, stack="head")
        yield from _vocabulary(model, width, bias=model.head_bias)
    elif model.head == "masked-language-model":
        yield from _linear("head.transform", width, model.hidden, count=1, stack="head", bias=True)
        yield from _norm(model, "norm.head", width, count=1, stack="head")
        yield from _vocabulary(model, width, bias=True)
    else:
        text = not (model.patch_size or model.audio_channels)
        if model.head == "pooler" or (model.kind == "encoder" and text):
            yield from _linear("pooler", model.hidden, model.hidden, count=1, stack="head", bias=True)
        if model.head == "classifier":
            bias = model.head_bias or model.kind == "encoder"
            yield from _linear("head", model.classes, model.hidden, count=1, stack="head", bias=bias)


def _vocabulary(model: Transformer, width: int, *, bias: bool) -> Iterator[Weight]:
    """Yield the projection to the vocabulary."""
    yield Weight(
        "head", Role.LINEAR, model.vocab, width, 1, "head", tied=model.tied_embeddings and model.vocab > 0
    )
    if bias:
        yield Weight("head.bias", Role.BIAS, model.vocab, 1, 1, "head")
