"""Operator tables and memory of transformers against counts worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from advisor.describe.attention import cache_elements, layers_by_reach
from advisor.describe.named import list_models, load_named
from advisor.describe.optimizers import OPTIMIZERS
from advisor.describe.transformer import describe_inference, describe_training
from advisor.describe.variant import QUANTISED_BYTES, Variant
from advisor.describe.weights import active_parameter_count, parameter_count
from advisor.operators import Affine, Description, Kind, Phase
from advisor.workload import LatentAttention, Transformer

CATALOG = Path(__file__).parents[1] / "catalog"
CHECKPOINTING = ("none", "selective", "full")
GEMMS = (Kind.GEMM, Kind.BATCHED_GEMM)


def model(name: str) -> Transformer:
    return load_named(CATALOG, name).transformer


SMALL = Transformer(
    kind="decoder", layers=4, hidden=256, heads=8, kv_heads=2, ffn=1024, vocab=1000, gated_ffn=True
)


def flops_of(
    described: Description,
    *,
    kinds: tuple[Kind, ...] = GEMMS,
    phases: tuple[Phase, ...] = (Phase.FORWARD, Phase.BACKWARD),
    name: str = "",
) -> float:
    """Sum FLOPs of one sample over the chosen rows with a plain loop."""
    table, total = described.table, 0.0
    for row in range(len(table)):
        if table.kind[row] in kinds and table.phase[row] in phases and name in table.names[row]:
            total += table.repeat[row] * (table.flops_fixed[row] + table.flops_per_sample[row])
    return float(total)


def bytes_of(described: Description, name: str) -> float:
    table = described.table
    chosen = [row for row in range(len(table)) if table.names[row] == name]
    return float(
        sum(table.repeat[row] * (table.bytes_fixed[row] + table.bytes_per_sample[row]) for row in chosen)
    )


def peak(described: Description, checkpointing: str, micro_batch: float = 1.0) -> float:
    size = np.array([micro_batch])
    return float(described.saved[checkpointing].at(size)[0] + described.working[checkpointing].at(size)[0])


@pytest.mark.parametrize(
    ("name", "layers", "hidden", "heads", "kv_heads", "ffn", "vocab", "matrices"),
    [
        ("llama-3.1-8b", 32, 4096, 32, 8, 14336, 128256, 3),
        ("llama-2-7b", 32, 4096, 32, 32, 11008, 32000, 3),
        ("gpt2-xl", 48, 1600, 25, 25, 6400, 50257, 2),
    ],
)
@pytest.mark.parametrize("sequence", [512, 1024])
@pytest.mark.parametrize("micro_batch", [1, 3])
def test_training_flops_are_six_per_parameter_and_token_and_attention(
    name: str, layers: int, hidden: int, heads: int, kv_heads: int, ffn: int, vocab: int, matrices: int,
    sequence: int, micro_batch: int,
) -> None:  # fmt: skip
    narrow = hidden // heads * kv_heads
    multiplied = (
        layers * (2 * hidden * hidden + 2 * hidden * narrow + matrices * hidden * ffn) + vocab * hidden
    )
    tokens = sequence * micro_batch
    # Two products of queries x keys x hidden forward; seven (five, and two repeated) in all; a causal mask halves them.
    attention = layers * 7 * 2 * tokens * sequence * hidden / 2
    described = describe_training(model(name), sequence, Variant(attention="flash"))
    assert described.table.flops(micro_batch) == pytest.approx(6 * multiplied * tokens + attention, rel=0.01)


def test_eager_attention_computes_the_masked_half_too() -> None:
    eager = describe_training(SMALL, 512, Variant(attention="eager"))
    by_hand = 4 * 6 * 2 * 512 * 512 * 256
    scores = flops_of(eager, name="attention.scores") + flops_of(eager, name="attention.values")
    assert scores == pytest.approx(by_hand)


def test_forward_is_a_third_of_the_products() -> None:
    described = describe_training(SMALL, 128, Variant())
    forward = flops_of(described, phases=(Phase.FORWARD,))
    assert flops_of(described) == pytest.approx(3 * forward)


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_adapters_train_without_weight_gradients_of_the_base(method: str) -> None:
    llama = model("llama-2-7b")
    full = describe_training(llama, 512, Variant())
    variant = Variant(method=method, lora_rank=16, quantised="nf4" if method == "qlora" else None)
    adapted = describe_training(llama, 512, variant)
    adapters = flops_of(adapted, name="adapter")
    assert flops_of(adapted) - adapters == pytest.approx(flops_of(full) * 4 / 6)
    assert flops_of(adapted) / flops_of(full) == pytest.approx(4 / 6, abs=0.02)
    per_layer = 16 * (4 * (4096 + 4096) + 3 * (4096 + 11008))
    assert adapted.states.trainable == 32 * per_layer
    assert adapters == pytest.approx(6 * 512 * 32 * per_layer)
    assert adapted.states.frozen + adapted.states.frozen_quantised == parameter_count(llama)


def test_adapters_only_on_named_targets() -> None:
    llama = model("llama-2-7b")
    described = describe_training(
        llama, 128, Variant(method="lora", lora_rank=8, lora_targets=("query", "value"))
    )
    assert described.states.trainable == 32 * 2 * 8 * (4096 + 4096)


def test_quantised_base_leaves_head_and_embedding_in_sixteen_bits() -> None:
    llama = model("llama-2-7b")
    held = describe_training(llama, 128, Variant(method="qlora", quantised="nf4")).states
    outside = 2 * 32000 * 4096 + (2 * 32 + 1) * 4096
    assert held.frozen == outside
    assert held.frozen_quantised == parameter_count(llama) - outside
    assert QUANTISED_BYTES["nf4"] == pytest.approx(0.5625)


@pytest.mark.parametrize("name", ["mixtral-8x7b", "qwen3-30b-a3b", "deepseek-v3"])
def test_experts_count_active_in_flops_and_all_in_states(name: str) -> None:
    experts = model(name)
    described = describe_training(experts, 1024, Variant())
    assert described.states.trainable == parameter_count(experts)
    embedding = experts.vocab * experts.hidden
    multiplied = active_parameter_count(experts) - embedding
    forward = flops_of(described, phases=(Phase.FORWARD,))
    assert forward == pytest.approx(2 * 1024 * multiplied, rel=0.01)


@pytest.mark.parametrize(("batch", "touched"), [(1, 2), (64, 8)])
def test_decoding_reads_the_experts_that_the_whole_batch_touches(batch: int, touched: int) -> None:
    """64 sequences choose two of eight experts each: all eight are read, whatever one sequence alone would read."""
    mixtral = model("mixtral-8x7b")
    described = describe_inference(
        mixtral,
        "decode",
        prompt_tokens=128,
        new_tokens=1,
        cache_element_bytes=2.0,
        variant=Variant(optimizer="none", sequences=batch),
    )
    table = described.table
    read = sum(
        table.repeat[row] * (table.bytes_fixed[row] + table.bytes_per_sample[row] * batch)
        for row in range(len(table))
        if table.names[row].startswith("expert.")
    )
    stored = 2.0 * 32 * 3 * 4096 * 14336
    assert read >= 0.99 * stored * touched
    assert read <= 1.05 * stored * min(8, 2 * batch)


@pytest.mark.parametrize("name", ["llama-3.1-8b", "gpt2-medium", "mixtral-8x7b"])
@pytest.mark.parametrize("tensor", [2, 4, 8])
def test_tensor_parallelism_divides_the_products_of_a_rank(name: str, tensor: int) -> None:
    whole = describe_training(model(name), 256, Variant())
    rank = describe_training(model(name), 256, Variant(tensor=tensor))
    routers = flops_of(whole, name="router")
    assert flops_of(rank, name="router") == routers
    assert flops_of(rank) - routers == pytest.approx((flops_of(whole) - routers) / tensor)
    attention = flops_of(whole, kinds=(Kind.ATTENTION,))
    assert flops_of(rank, kinds=(Kind.ATTENTION,)) == pytest.approx(attention / tensor)
    assert rank.states.trainable < whole.states.trainable / tensor * 1.01
    assert all(rank.saved[level].per_sample <= whole.saved[level].per_sample for level in CHECKPOINTING)


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "gpt2", "bert-large", "t5-base", "vit-l-16", "whisper-small"]
)
def test_flash_keeps_less_than_eager_and_full_checkpointing_least(name: str) -> None:
    flash = describe_training(model(name), 512, Variant(attention="flash"))
    eager = describe_training(model(name), 512, Variant(attention="eager"))
    assert flash.saved["none"].per_sample < eager.saved["none"].per_sample
    for described in (flash, eager):
        assert described.saved["full"].per_sample < described.saved["selective"].per_sample
        assert described.saved["selective"].per_sample < described.saved["none"].per_sample
        assert peak(described, "full") < peak(described, "none")


def test_full_checkpointing_keeps_the_input_of_each_layer() -> None:
    described = describe_training(SMALL, 512, Variant())
    assert described.saved["full"].per_sample == 4 * 512 * 256 * 2
    mixed = describe_training(SMALL, 512, Variant(autocast=True))
    assert mixed.saved["full"].per_sample == 4 * 512 * 256 * 4


def test_saved_eager_scores_grow_with_the_square_of_the_sequence() -> None:
    def scores(length: int) -> float:
        eager, flash = (
            describe_training(SMALL, length, Variant(attention=kind)).saved["none"].per_sample
            for kind in ("eager", "flash")
        )
        return eager - flash

    assert scores(4096) / scores(2048) == pytest.approx(4, rel=0.01)


def test_a_decoder_of_two_stacks_keeps_its_attention_to_the_encoder() -> None:
    """Queries, result and the norm's and the projections' inputs of each token, keys and values of the encoder's."""
    both = SMALL.model_copy(update={"kind": "encoder-decoder", "decoder_layers": 4, "kv_heads": None})
    alone = SMALL.model_copy(update={"kind": "encoder", "layers": 8, "kv_heads": None})
    variant = Variant(compute_bytes=2.0, fused=True)
    more = [describe_training(model, 128, variant).saved["none"].per_sample for model in (both, alone)]
    hidden, heads = SMALL.hidden, SMALL.heads
    crossing = 4 * heads * SMALL.head_size * 2 + 4 * heads + 2 * hidden * 2 + hidden
    assert more[0] - more[1] == 4 * 128 * crossing


def test_adapters_on_experts_keep_the_input_of_each_expert() -> None:
    dense = SMALL.model_copy(update={"ffn": 256})
    sparse = SMALL.model_copy(update={"experts": 8, "active_experts": 4, "expert_ffn": 64})
    adapted = Variant(method="lora", lora_targets=("gate", "up"), fused=True)
    one, four = (describe_training(model, 64, adapted).saved["none"].per_sample for model in (dense, sparse))
    assert four - one == 4 * 64 * 3 * SMALL.hidden * (2 + 1), "in 16 bits, and the mask of dropout"


def test_cache_of_grouped_queries() -> None:
    llama = model("llama-3.1-8b")
    assert cache_elements(llama, 1000) == 2 * 32 * 8 * 128 * 1000
    described = describe_inference(
        llama,
        "decode",
        prompt_tokens=900,
        new_tokens=100,
        cache_element_bytes=2.0,
        variant=Variant(optimizer="none"),
    )
    assert described.cache_bytes == Affine(0.0, 2 * 32 * 8 * 128 * 1000 * 2.0)
    halved = describe_inference(
        llama, "decode", prompt_tokens=900, new_tokens=100, cache_element_bytes=1.0,
        variant=Variant(optimizer="none", tensor=4),
    )  # fmt: skip
    assert halved.cache_bytes.per_sample == described.cache_bytes.per_sample / 8


def test_cache_of_latent_attention_is_the_compressed_vector_and_the_rotary_key() -> None:
    deepseek = model("deepseek-v3")
    assert cache_elements(deepseek, 4096) == 61 * 4096 * (512 + 64)
    small = SMALL.model_copy(
        update={
            "latent_attention": LatentAttention(
                query_rank=0, key_value_rank=64, rope_head_dim=16, nope_head_dim=32, value_head_dim=32
            )
        }
    )
    assert cache_elements(small, 10) == 4 * 10 * 80
    ranks = describe_inference(
        small, "decode", prompt_tokens=9, new_tokens=1, cache_element_bytes=2.0,
        variant=Variant(optimizer="none", tensor=4),
    )  # fmt: skip
    assert ranks.cache_bytes.per_sample == 4 * 10 * 80 * 2, "every rank holds the whole compressed cache"


def test_sliding_window_bounds_cache_and_attention() -> None:
    windowed = SMALL.model_copy(update={"sliding_window": 128, "global_layers_every": 4})
    assert layers_by_reach(windowed, 4) == (3, 1)
    width = 2 * 2 * 32
    assert cache_elements(windowed, 1024) == width * (1024 + 3 * 128)
    assert cache_elements(windowed, 100) == cache_elements(SMALL, 100)
    near = describe_training(windowed, 1024, Variant())
    far = describe_training(SMALL, 1024, Variant())
    attended = flops_of(near, kinds=(Kind.ATTENTION,)) / flops_of(far, kinds=(Kind.ATTENTION,))
    assert attended < 0.7
    assert flops_of(near) == flops_of(far), "the products with weights do not change"


def test_tied_head_is_held_once_and_multiplied_all_the_same() -> None:
    gpt2 = model("gpt2")
    described = describe_training(gpt2, 1024, Variant())
    assert described.states.trainable == 124_439_808
    assert flops_of(described, name="head") == 6 * 1024 * 50257 * 768
    untied = describe_training(gpt2.model_copy(update={"tied_embeddings": False}), 1024, Variant())
    assert untied.states.trainable == 124_439_808 + 50257 * 768
    assert untied.table.flops(1) == described.table.flops(1)


def test_fused_loss_never_holds_the_logits() -> None:
    llama = model("llama-3.2-1b")
    plain = describe_training(llama, 2048, Variant())
    fused = describe_training(llama, 2048, Variant(fused_loss=True))
    assert plain.working["full"].per_sample >= 2048 * 128256 * (2 + 4)
    assert fused.working["full"].per_sample < plain.working["full"].per_sample / 4


def test_encoder_decoder_by_hand() -> None:
    t5 = model("t5-base")
    length, layer = 256, 4 * 768 * 768
    ffn = 2 * 768 * 3072
    described = describe_training(t5, length, Variant(attention="eager"))
    weights = 12 * (layer + ffn) + 12 * (2 * layer + ffn) + 32128 * 768
    attention = 3 * 12 * 4 * length * length * 768
    assert flops_of(described, phases=(Phase.FORWARD,)) == pytest.approx(
        2 * length * weights + attention, rel=0.01
    )
    assert described.states.trainable == parameter_count(t5)
    assert described.layers == 24


def test_decoding_of_an_encoder_decoder_leaves_the_encoder_out() -> None:
    t5 = model("t5-base")
    described = describe_inference(
        t5,
        "decode",
        prompt_tokens=512,
        new_tokens=64,
        cache_element_bytes=2.0,
        variant=Variant(optimizer="none"),
    )
    layer = 4 * 768 * 768
    cross_cached = 2 * 768 * 768
    weights = 12 * (2 * layer + 2 * 768 * 3072 - cross_cached) + 32128 * 768
    assert flops_of(described) == pytest.approx(2 * weights, rel=0.01)


def test_image_classifier_has_the_tokens_of_its_patches() -> None:
    described = describe_training(model("vit-b-16"), 77, Variant())
    assert described.tokens_per_sample == 197
    # 17.56e9 multiply-adds, as torchvision publishes for vit_b_16.
    assert described.table.flops(1, phases=(Phase.FORWARD,)) == pytest.approx(2 * 17.56e9, rel=0.01)
    assert described.states.trainable == 86_567_656


def test_speech_model_encodes_windows_of_thirty_seconds() -> None:
    whisper = model("whisper-small")
    described = describe_training(whisper, 224, Variant(attention="flash"))
    encoder = 12 * (4 * 768 * 768 + 8 * 768 * 768)
    decoder = 12 * (4 * 768 * 768 + 2 * 768 * 768 + 8 * 768 * 768) + 51865 * 768
    cross = 12 * 2 * 768 * 768
    by_hand = 2 * (1500 * (encoder + cross) + 224 * decoder)
    assert flops_of(described, phases=(Phase.FORWARD,)) == pytest.approx(by_hand, rel=0.01)
    assert described.tokens_per_sample == 224
    assert described.states.trainable == parameter_count(whisper)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_optimizer_moves_more_where_it_keeps_more(optimizer: str) -> None:
    described = describe_training(SMALL, 64, Variant(optimizer=optimizer))
    moved = bytes_of(described, "optimizer")
    if optimizer == "none":
        assert moved == 0
        assert described.states.trainable == parameter_count(SMALL)
        return
    # At the least: read weight and gradient, write the weight.
    assert moved >= 3 * 4 * parameter_count(SMALL)
    sgd = bytes_of(describe_training(SMALL, 64, Variant(optimizer="sgd")), "optimizer")
    assert moved >= sgd


def test_tokens_of_decoding_read_all_weights_once() -> None:
    llama = model("llama-2-7b")
    described = describe_inference(
        llama,
        "decode",
        prompt_tokens=1,
        new_tokens=1,
        cache_element_bytes=2.0,
        variant=Variant(optimizer="none"),
    )
    table = described.table
    products = np.isin(table.kind, GEMMS)
    read = float((table.repeat * table.bytes_fixed)[products].sum())
    assert read == pytest.approx(2 * (parameter_count(llama) - 32000 * 4096), rel=0.01)
    quantised = describe_inference(
        llama, "decode", prompt_tokens=1, new_tokens=1, cache_element_bytes=2.0,
        variant=Variant(optimizer="none", quantised="int4"),
    ).table  # fmt: skip
    assert (
        float((quantised.repeat * quantised.bytes_fixed)[np.isin(quantised.kind, GEMMS)].sum()) < 0.3 * read
    )


def check(described: Description, name: str) -> None:
    table = described.table
    assert len(table), name
    for column in (
        "repeat",
        "launches",
        "flops_fixed",
        "flops_per_sample",
        "bytes_fixed",
        "bytes_per_sample",
    ):
        values = getattr(table, column)
        assert np.isfinite(values).all(), (name, column)
        assert (values >= 0).all(), (name, column)
    assert table.flops(1.0) > 0, name
    assert described.tokens_per_sample > 0, name
    for quantity in (*described.saved.values(), *described.working.values(), described.cache_bytes):
        assert quantity.fixed >= 0, name
        assert quantity.per_sample >= 0, name


def test_every_shipped_model_can_be_described() -> None:
    models = list_models(CATALOG)
    assert len(models) >= 185
    for named in models:
        transformer = named.transformer
        trained = describe_training(transformer, named.sequence_length, Variant(autocast=True))
        check(trained, named.name)
        held = trained.states
        assert held.trainable == parameter_count(transformer), named.name
        assert held.largest_tensor <= held.largest_unit <= held.trainable, named.name
        full, none = trained.saved["full"].per_sample, trained.saved["none"].per_sample
        assert 0 < full < none, named.name
        if transformer.kind == "encoder":
            continue
        for phase in ("prefill", "decode"):
            served = describe_inference(
                transformer, phase, prompt_tokens=128, new_tokens=32, cache_element_bytes=2.0,
                variant=Variant(optimizer="none"),
            )  # fmt: skip
            check(served, named.name)
            assert served.cache_bytes.per_sample > 0, named.name
            assert served.table.flops(1.0) < trained.table.flops(1.0) * 128 / named.sequence_length * 3, (
                named.name
            )


@pytest.mark.parametrize("tensor", [1, 2])
@pytest.mark.parametrize("attention", ["eager", "flash"])
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize(
    "name",
    [
        "llama-3.1-8b",
        "gpt2",
        "bert-base",
        "t5-base",
        "vit-b-16",
        "whisper-small",
        "mixtral-8x7b",
        "deepseek-v3",
    ],
)
def test_every_variant_of_every_family_can_be_described(
    name: str, method: str, attention: str, tensor: int
) -> None:
    variant = Variant(
        method=method, attention=attention, tensor=tensor, quantised="nf4" if method == "qlora" else None
    )
    described = describe_training(model(name), 128, variant)
    check(described, name)
    larger = describe_training(model(name), 128, replace(variant, compute_bytes=4.0))
    for level in CHECKPOINTING:
        assert larger.saved[level].per_sample >= described.saved[level].per_sample
