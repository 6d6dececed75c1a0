"""A transformer by its dimensions as a real module, which runs the operators that its description lists.

It is written as model code in common use is: projections of queries, keys and values as layers of their own, rotary
positions by multiplication with cosine and sine, RMSNorm in fp32, a loss over logits in fp32. The shipped constants
were fitted on runs of such code.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from advisor.calibrate.networks import Job, Placement
from advisor.describe.attention import layers_by_reach
from advisor.describe.variant import lengths, main_stack, trains_with_dropout
from advisor.errors import InputError
from advisor.workload import Attention, Checkpointing, Lora, Transformer

DROPOUT = 0.1
LORA_DROPOUT = 0.05
LORA_SCALE = 2.0
"""Usual values: BERT and GPT-2, and the examples of PEFT."""

INITIAL_SPREAD = 0.02
"""Standard deviation of initial weights (GPT-2)."""

IGNORED_LABEL = -100
"""Label of positions that the cross-entropy of torch leaves out."""

_KEPT = frozenset(
    getattr(torch.ops.aten, name).default
    for name in (
        "mm", "addmm", "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_flash_attention_for_cpu",
    )
)  # fmt: skip
"""Operators whose results selective checkpointing keeps: products with weights, and fused attention."""


@dataclass(frozen=True, slots=True)
class Choices:
    """How a transformer is run, beside its dimensions.

    Attributes:
        sequence_length: tokens of one sample; None for images.
        attention: fused, or as separate products and a softmax.
        checkpointing: what is computed again in backward.
        lora: adapters on frozen weights; None trains all weights.
    """

    sequence_length: int | None
    attention: Attention = "flash"
    checkpointing: Checkpointing = "none"
    lora: Lora | None = None


def transformer_job(model: Transformer, placement: Placement, batch: int, choices: Choices) -> Job:
    """Return a transformer with random weights and a batch of random samples.

    Args:
        model: its dimensions.
        placement: device and formats.
        batch: samples.
        choices: length, kind of attention, checkpointing and adapters.

    Raises:
        InputError: the dimensions have something that is not built here, or do not fit the length.
    """
    tokens = _tokens(model, choices.sequence_length)
    _refuse(model, tokens)
    with placement.device, _default_dtype(placement.weights):
        network = _Network(model, tokens, placement, choices)
        network.apply(_initialise)
        if choices.lora is not None:
            _adapt(network, choices.lora)
        inputs = _inputs(model, batch, tokens)
        labels = _labels(model, batch, tokens)
    placement.arrange(network)
    inputs = placement.arranged(inputs)
    return Job(network, ((inputs, labels), {}), ((inputs,), {}), lambda loss: loss)


def _tokens(model: Transformer, sequence_length: int | None) -> int:
    """Return the positions of one sample; an image has its own."""
    if sequence_length is None and not model.patch_size:
        raise InputError(
            "a transformer over text needs the tokens of one sample", field="data.sequence_length"
        )
    return lengths(model, sequence_length or 0).queries(main_stack(model))


def _refuse(model: Transformer, tokens: int) -> None:
    """Refuse dimensions that are estimated and not built here.

    Raises:
        InputError: names the field.
    """
    local, _ = layers_by_reach(model, model.layers)
    unbuilt = {
        "kind": model.kind == "encoder-decoder",
        "experts": model.experts > 0,
        "latent_attention": model.latent_attention is not None,
        "audio_channels": model.audio_channels > 0,
        "attention_sinks": model.attention_sinks,
        "position": model.position in ("relative", "disentangled"),
        "norms_per_layer": model.norms_per_layer not in (1, 2, 4),
        "vocab": bool(model.vocab) == bool(model.patch_size),
        "head": model.vocab == 0 and model.head in ("language-model", "masked-language-model"),
        "head_dim": model.position == "rotary" and model.head_size % 2 == 1,
        "sliding_window": local > 0 and tokens > model.sliding_window,
    }
    for field, found in unbuilt.items():
        if found:
            raise InputError(
                f"a transformer with this {field} is estimated, and cannot be run here by its dimensions",
                field=f"model.transformer.{field}",
                value=getattr(model, field),
                hint="give the model as code: model.torch, with --allow-code",
            )
    if model.position_rows and tokens > model.position_rows:
        raise InputError(
            f"{tokens} positions are more than the {model.position_rows} of the position table",
            field="data.sequence_length",
        )


def _reads_groups(placement: Placement) -> bool:
    """Say whether fused attention takes fewer keys than queries as they are.

    The flash kernels do, which are for 16 bit; those that torch has for fp32 and for older GPUs do not.
    """
    device = placement.device
    if placement.compute == torch.float32:
        return False
    return device.type == "cpu" or (
        device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    )


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIAL_SPREAD)


def _inputs(model: Transformer, batch: int, tokens: int) -> Tensor:
    if model.patch_size:
        return torch.randn(batch, model.image_channels, model.image_size, model.image_size)
    return torch.randint(0, model.vocab, (batch, tokens))


def _labels(model: Transformer, batch: int, tokens: int) -> Tensor:
    """Return what the output is compared with: tokens, classes, or numbers where the model has no task's head."""
    if model.head in ("language-model", "masked-language-model"):
        return torch.randint(0, model.vocab, (batch, tokens))
    if model.head == "classifier":
        return torch.randint(0, model.classes, (batch,))
    shape = (batch, model.hidden) if model.head == "pooler" else (batch, tokens, model.hidden)
    return torch.randn(shape, dtype=torch.float32)


class _RootMeanSquareNorm(nn.Module):
    """RMSNorm in fp32, as model code writes it: not as one kernel."""

    def __init__(self, width: int, *, scale: bool, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width)) if scale else None
        self.bias = nn.Parameter(torch.zeros(width)) if scale and bias else None

    def forward(self, x: Tensor) -> Tensor:
        precise = x.float()
        precise = precise * torch.rsqrt(precise.pow(2).mean(-1, keepdim=True) + 1e-6)
        result = precise.to(x.dtype)
        if self.weight is not None:
            result = self.weight * result
        return result if self.bias is None else result + self.bias


def _norm(model: Transformer, width: int) -> nn.Module:
    bias = model.norm == "layernorm" if model.norm_bias is None else model.norm_bias
    if model.norm == "layernorm":
        return nn.LayerNorm(width, elementwise_affine=model.norm_scale, bias=bias)
    return _RootMeanSquareNorm(width, scale=model.norm_scale, bias=bias)


def _drops(model: Transformer) -> bool:
    """Say whether the model trains with dropout, as the description of what it keeps does."""
    return trains_with_dropout(model) or model.position == "learned"


def _rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


class _Attention(nn.Module):
    """Self-attention with grouped keys and values; shapes [batch, positions, hidden]."""

    def __init__(self, model: Transformer, *, eager: bool, reads_groups: bool) -> None:
        super().__init__()
        self.width, self.causal, self.eager = model.head_size, model.kind == "decoder", eager
        self.groups = model.heads // model.kv_head_count
        self.grouped = self.groups > 1 and reads_groups and not eager
        self.drops = _drops(model)
        queries, keys = model.heads * self.width, model.kv_head_count * self.width
        key_bias = model.qkv_bias if model.key_bias is None else model.key_bias
        self.query = nn.Linear(model.hidden, queries, bias=model.qkv_bias)
        self.key = nn.Linear(model.hidden, keys, bias=key_bias)
        self.value = nn.Linear(model.hidden, keys, bias=model.qkv_bias)
        self.output = nn.Linear(queries, model.hidden, bias=model.attention_output_bias)
        self.norm_over = model.qk_norm
        if model.qk_norm != "none":
            whole = model.qk_norm == "all"
            self.query_norm = _norm(model, queries if whole else self.width)
            self.key_norm = _norm(model, keys if whole else self.width)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None) -> Tensor:
        query, key = self.query(x), self.key(x)
        if self.norm_over == "all":
            query, key = self.query_norm(query), self.key_norm(key)
        query, key, value = (
            each.view(*x.shape[:2], -1, self.width).transpose(1, 2) for each in (query, key, self.value(x))
        )
        if self.norm_over == "head":
            query, key = self.query_norm(query), self.key_norm(key)
        if rotary is not None:
            query, key = _rotated(query, *rotary), _rotated(key, *rotary)
        if self.groups > 1 and not self.grouped:
            key, value = (each.repeat_interleave(self.groups, dim=1) for each in (key, value))
        if self.eager:
            result = self._eager(query, key, value, mask)
        else:
            grouping: dict[str, Any] = {"enable_gqa": True} if self.grouped else {}
            result = functional.scaled_dot_product_attention(
                query, key, value, is_causal=self.causal, **grouping
            )
        return self.output(result.transpose(1, 2).reshape(*x.shape[:2], -1))

    def _eager(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        scores = query @ key.transpose(-2, -1) * self.width**-0.5
        if mask is not None:
            scores = scores + mask
        # Decoders of today, which train without dropout, compute their softmax in fp32 whatever the format.
        weights = scores.softmax(-1, dtype=None if self.drops else torch.float32)
        weights = functional.dropout(weights.to(value.dtype), DROPOUT, self.training and self.drops)
        return weights @ value


class _FeedForward(nn.Module):
    """Two projections with an activation function between them, or three with a gate."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.gate = nn.Linear(model.hidden, model.ffn, bias=model.ffn_bias) if model.gated_ffn else None
        self.up = nn.Linear(model.hidden, model.ffn, bias=model.ffn_bias)
        self.down = nn.Linear(model.ffn, model.hidden, bias=model.ffn_bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.gate is None:
            return self.down(functional.gelu(self.up(x)))
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class _Layer(nn.Module):
    """Attention and feed-forward network with their residuals; the number of norms says where they stand.

    One norm: both parts read the same input. Two: before the parts, or, in a model without a final norm, after the
    residuals. Four: before and after the parts.
    """

    def __init__(self, model: Transformer, *, eager: bool, reads_groups: bool) -> None:
        super().__init__()
        self.attention = _Attention(model, eager=eager, reads_groups=reads_groups)
        self.feed_forward = _FeedForward(model)
        self.norms = nn.ModuleList(_norm(model, model.hidden) for _ in range(model.norms_per_layer))
        self.after = model.norms_per_layer == 2 and not model.final_norm
        self.dropout = nn.Dropout(DROPOUT) if _drops(model) else nn.Identity()

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None) -> Tensor:
        attend = functools.partial(self.attention, rotary=rotary, mask=mask)
        drop, norms = self.dropout, self.norms
        if len(norms) == 1:
            read = norms[0](x)
            return x + drop(attend(read)) + drop(self.feed_forward(read))
        if self.after:
            x = norms[0](x + drop(attend(x)))
            return norms[1](x + drop(self.feed_forward(x)))
        if len(norms) == 2:
            x = x + drop(attend(norms[0](x)))
            return x + drop(self.feed_forward(norms[1](x)))
        x = x + drop(norms[1](attend(norms[0](x))))
        return x + drop(norms[3](self.feed_forward(norms[2](x))))


class _Embedding(nn.Module):
    """From tokens or an image to vectors of the hidden size."""

    def __init__(self, model: Transformer, tokens: int) -> None:
        super().__init__()
        narrow = model.embedding_size or model.hidden
        width = narrow if model.kind == "encoder" else model.hidden
        self.token = nn.Embedding(model.vocab, narrow) if model.vocab else None
        if model.patch_size:
            self.patch = nn.Conv2d(
                model.image_channels, model.hidden, model.patch_size, model.patch_size, bias=model.patch_bias
            )
        self.start = nn.Parameter(torch.randn(1, 1, model.hidden)) if model.class_token else None
        self.position = nn.Embedding(model.position_rows, width) if model.position_rows else None
        self.token_type = nn.Embedding(model.token_types, width) if model.token_types else None
        self.norm = _norm(model, width) if model.embedding_norm else None
        self.projection = (
            nn.Linear(narrow, model.hidden, bias=model.kind == "encoder") if narrow != model.hidden else None
        )
        # A decoder projects the tokens alone, an encoder what was added to them too.
        self.project_first = model.kind != "encoder"
        self.places: Tensor
        self.waves: Tensor | None
        self.register_buffer("places", torch.arange(tokens)[None], persistent=False)
        waves = model.position == "sinusoidal" and not model.position_rows
        self.register_buffer("waves", _waves(tokens, width) if waves else None, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.patch(inputs).flatten(2).transpose(1, 2) if self.token is None else self.token(inputs)
        if self.start is not None:
            x = torch.cat((self.start.expand(len(x), -1, -1), x), dim=1)
        if self.projection is not None and self.project_first:
            x = self.projection(x)
        if self.position is not None:
            x = x + self.position(self.places)
        if self.waves is not None:
            x = x + self.waves
        if self.token_type is not None:
            x = x + self.token_type(torch.zeros_like(self.places))
        if self.norm is not None:
            x = self.norm(x)
        if self.projection is not None and not self.project_first:
            x = self.projection(x)
        return x


def _angles(tokens: int, width: int) -> Tensor:
    """Return the angles of positions: [positions, width / 2], fp32 (Vaswani et al. 2017, section 3.5)."""
    frequencies = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    return torch.arange(tokens, dtype=torch.float32)[:, None] * frequencies


def _waves(tokens: int, width: int) -> Tensor:
    angles = _angles(tokens, width)
    return torch.cat((angles.sin(), angles.cos()), dim=-1)[:, :width].to(torch.get_default_dtype())


class _Head(nn.Module):
    """From the last layer's vectors to logits; a tied one multiplies with the table of tokens."""

    def __init__(self, model: Transformer, table: nn.Embedding | None) -> None:
        super().__init__()
        width = model.embedding_size or model.hidden
        masked = model.head == "masked-language-model"
        self.transform = nn.Linear(model.hidden, width) if masked else None
        self.norm = _norm(model, width) if masked else None
        narrows = not masked and width != model.hidden
        self.projection = nn.Linear(model.hidden, width, bias=False) if narrows else None
        self.vocabulary = nn.Linear(width, model.vocab, bias=masked or model.head_bias)
        if model.tied_embeddings and table is not None:
            self.vocabulary.weight = table.weight

    def forward(self, x: Tensor) -> Tensor:
        if self.transform is not None and self.norm is not None:
            x = self.norm(functional.gelu(self.transform(x)))
        if self.projection is not None:
            x = self.projection(x)
        return self.vocabulary(x)


class _Summary(nn.Module):
    """From the last layer's vectors to one vector a sample, or to its classes."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        encoder = model.kind == "encoder"
        pools = model.head == "pooler" or (encoder and not model.patch_size)
        self.mean = bool(model.patch_size) and not model.class_token
        self.place = 0 if encoder else -1
        self.pooler = nn.Linear(model.hidden, model.hidden) if pools else None
        self.classes = None
        if model.head == "classifier":
            self.classes = nn.Linear(model.hidden, model.classes, bias=model.head_bias or encoder)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mean(dim=1) if self.mean else x[:, self.place]
        if self.pooler is not None:
            x = self.pooler(x).tanh()
        return x if self.classes is None else self.classes(x)


class _Network(nn.Module):
    """The whole model: returns its loss where it is given labels, else logits, of a decoder those of the last token."""

    def __init__(self, model: Transformer, tokens: int, placement: Placement, choices: Choices) -> None:
        super().__init__()
        eager, compute = choices.attention == "eager", placement.compute
        reads_groups = _reads_groups(placement)
        self.causal, self.task = model.kind == "decoder", model.head
        self.checkpointing = choices.checkpointing
        self.embedding = _Embedding(model, tokens)
        self.layers = nn.ModuleList(
            _Layer(model, eager=eager, reads_groups=reads_groups) for _ in range(model.layers)
        )
        self.final_norm = _norm(model, model.hidden) if model.final_norm else nn.Identity()
        self.over_tokens = model.head in ("language-model", "masked-language-model")
        self.head = _Head(model, self.embedding.token) if self.over_tokens else None
        self.summary = _Summary(model) if model.head in ("classifier", "pooler") else None
        self.cosine: Tensor | None
        self.sine: Tensor | None
        self.mask: Tensor | None
        rotary = model.position == "rotary"
        angles = _angles(tokens, model.head_size).repeat(1, 2)
        self.register_buffer("cosine", angles.cos().to(compute) if rotary else None, persistent=False)
        self.register_buffer("sine", angles.sin().to(compute) if rotary else None, persistent=False)
        mask = None
        if eager and self.causal:
            lowest = torch.finfo(compute).min
            mask = torch.full((tokens, tokens), lowest, dtype=compute).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.embedding(inputs)
        rotary = None if self.cosine is None or self.sine is None else (self.cosine, self.sine)
        for layer in self.layers:
            x = self._apply_layer(layer, x, rotary)
        x = self.final_norm(x)
        if self.head is not None:
            if labels is None and self.causal:
                x = x[:, -1:]
            x = self.head(x)
        elif self.summary is not None:
            x = self.summary(x)
        return x if labels is None else self._loss(x, labels)

    def _apply_layer(self, layer: nn.Module, x: Tensor, rotary: tuple[Tensor, Tensor] | None) -> Tensor:
        if self.checkpointing == "none" or not torch.is_grad_enabled():
            return layer(x, rotary, self.mask)
        selected: dict[str, Any] = {"context_fn": _selection} if self.checkpointing == "selective" else {}
        return checkpoint(layer, x, rotary, self.mask, use_reentrant=False, **selected)

    def _loss(self, output: Tensor, labels: Tensor) -> Tensor:
        if self.over_tokens:
            if self.causal:
                labels = functional.pad(labels[:, 1:], (0, 1), value=IGNORED_LABEL)
            return functional.cross_entropy(output.float().flatten(0, 1), labels.flatten())
        if self.task == "classifier":
            return functional.cross_entropy(output.float(), labels)
        return functional.mse_loss(output.float(), labels)


def _selection() -> Any:
    """Return the contexts of selective checkpointing for one layer."""
    return create_selective_checkpoint_contexts(_policy)


def _policy(context: Any, operator: Any, *arguments: Any, **options: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if operator in _KEPT else CheckpointPolicy.PREFER_RECOMPUTE


class _Adapted(nn.Module):
    """A frozen linear layer and its low-rank adapter in fp32, as PEFT adds them (Hu et al. 2021)."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.dropout = nn.Dropout(LORA_DROPOUT)
        self.a = nn.Linear(base.in_features, rank, bias=False, dtype=torch.float32)
        self.b = nn.Linear(rank, base.out_features, bias=False, dtype=torch.float32)
        # PEFT begins with zeros here, which would make the first gradients of the other factor zeros too.
        nn.init.normal_(self.b.weight, std=INITIAL_SPREAD)

    def forward(self, x: Tensor) -> Tensor:
        result = self.base(x)
        adapter = self.b(self.a(self.dropout(x.to(self.a.weight.dtype)))) * LORA_SCALE
        return (result + adapter).to(result.dtype)


def _adapt(network: _Network, lora: Lora) -> None:
    """Freeze all weights and put adapters on the linear layers that are named.

    Raises:
        InputError: no layer has one of these names.
    """
    network.requires_grad_(False)
    names: set[str] = set()
    adapted = 0
    for part in network.layers.modules():
        if not isinstance(part, _Attention | _FeedForward):
            continue
        for name, child in list(part.named_children()):
            if not isinstance(child, nn.Linear):
                continue
            names.add(name)
            if name in lora.targets or "all-linear" in lora.targets:
                setattr(part, name, _Adapted(child, lora.rank))
                adapted += 1
    if not adapted:
        raise InputError(
            "no linear layer of the model has one of these names",
            field="lora.targets", value=list(lora.targets), accepted=", ".join(["all-linear", *sorted(names)]),
        )  # fmt: skip
