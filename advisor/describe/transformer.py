"""From the dimensions of a transformer to its operator table and its memory: training, prefill and decoding."""

from __future__ import annotations

from typing import Literal

from advisor.describe.activations import Activations, inference_activations, saved_activations
from advisor.describe.attention import attention, cache_elements, cache_split
from advisor.describe.optimizers import optimizer_step
from advisor.describe.pointwise import embedding, loss, pointwise, weight_traffic
from advisor.describe.products import products
from advisor.describe.states import states
from advisor.describe.variant import Lengths, Variant, lengths, main_stack, stacks
from advisor.describe.weights import weights
from advisor.operators import Affine, Description, Operator, OperatorTable, States
from advisor.workload import Transformer


def describe_training(model: Transformer, sequence_length: int, variant: Variant) -> Description:
    """Return the table and the memory of one training step with ``sequence_length`` tokens a sample."""
    span = lengths(model, sequence_length)
    inventory = weights(model)
    held = states(inventory, variant, sum(count for _, count in stacks(model)), training=True)
    operators = [
        *embedding(model, inventory, span, variant, training=True),
        *products(model, inventory, span, variant, training=True),
        *attention(model, span, variant, training=True),
        *pointwise(model, span, variant, training=True),
        *loss(model, span, variant),
        *weight_traffic(inventory, variant),
        *optimizer_step(held.trainable, variant.optimizer, variant.trainable_bytes),
    ]
    kept = saved_activations(model, inventory, span, variant)
    return _description(model, held, span, variant, operators, kept)


def describe_inference(
    model: Transformer,
    phase: Literal["prefill", "decode"],
    *,
    prompt_tokens: int,
    new_tokens: int,
    cache_element_bytes: float,
    variant: Variant,
) -> Description:
    """Return the table and the memory of one forward pass: the whole prompt, or one new token.

    In an encoder-decoder the encoder reads the prompt, and the decoder keeps its keys for cross attention.

    Decoding is described at its mean context length, ``prompt_tokens + new_tokens / 2``.
    """
    span = lengths(model, prompt_tokens)
    reads = model.kind == "encoder-decoder"
    if phase == "decode":
        span = Lengths(span.encoder, decoder=1, cached=new_tokens / 2 + (0 if reads else prompt_tokens))
    elif reads:
        span = Lengths(span.encoder, decoder=1)
    inventory = weights(model)
    operators = [
        *embedding(model, inventory, span, variant, training=False),
        *products(model, inventory, span, variant, training=False),
        *attention(model, span, variant, training=False),
        *pointwise(model, span, variant, training=False),
    ]
    cached = 0.0
    if model.kind != "encoder":
        own = new_tokens if reads else prompt_tokens + new_tokens
        cached = cache_elements(model, own, span.encoder if reads else 0) / cache_split(model, variant.tensor)
    kept = inference_activations(model, span.queries(main_stack(model)), variant)
    held = states(inventory, variant, sum(count for _, count in stacks(model)), training=False)
    cache = Affine(0.0, cached * cache_element_bytes)
    return _description(model, held, span, variant, operators, kept, cache)


def _description(
    model: Transformer,
    held: States,
    span: Lengths,
    variant: Variant,
    operators: list[Operator],
    kept: Activations,
    cache: Affine | None = None,
) -> Description:
    layers = sum(count for _, count in stacks(model))
    tokens = span.queries(main_stack(model))
    return Description(
        table=OperatorTable.of(operators),
        states=held,
        saved=kept.saved,
        working=kept.working,
        layers=layers,
        tokens_per_sample=tokens,
        hidden=model.hidden,
        boundary_bytes=Affine(0.0, tokens * model.hidden * variant.compute_bytes),
        tensor_reductions=2 * layers,
        cache_bytes=cache or Affine(),
    )
