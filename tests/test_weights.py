"""The inventory against published counts, and what must hold for every transformer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from advisor.describe.named import load_named
from advisor.describe.weights import Role, active_parameter_count, parameter_count, weights
from advisor.workload import Transformer

CATALOG = Path(__file__).parents[1] / "catalog"

PUBLISHED = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "distilgpt2": 81_912_576,
    "gpt-j-6b": 6_050_882_784,
    "gpt-neo-1.3b": 1_315_575_808,
    "gpt-neox-20b": 20_554_567_680,
    "pythia-70m": 70_426_624,
    "pythia-160m": 162_322_944,
    "pythia-410m": 405_334_016,
    "pythia-1b": 1_011_781_632,
    "pythia-1.4b": 1_414_647_808,
    "pythia-2.8b": 2_775_208_960,
    "pythia-6.9b": 6_857_302_016,
    "pythia-12b": 11_846_072_320,
    "opt-125m": 125_239_296,
    "opt-350m": 331_196_416,
    "opt-1.3b": 1_315_758_080,
    "opt-6.7b": 6_658_473_984,
    "bloom-560m": 559_214_592,
    "bloom-7b1": 7_069_016_064,
    "bloom-176b": 176_247_271_424,
    "falcon-7b": 6_921_720_704,
    "falcon-40b": 41_303_293_952,
    "mpt-7b": 6_649_286_656,
    "llama-7b": 6_738_415_616,
    "llama-65b": 65_285_660_672,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "tinyllama-1.1b": 1_100_048_384,
    "smollm2-135m": 134_515_008,
    "smollm2-1.7b": 1_711_376_384,
    "yi-34b": 34_388_917_248,
    "mistral-7b": 7_241_732_096,
    "mistral-7b-v0.3": 7_248_023_552,
    "mistral-nemo-12b": 12_247_782_400,
    "mistral-small-24b": 23_572_403_200,
    "mixtral-8x7b": 46_702_792_704,
    "mixtral-8x22b": 140_620_634_112,
    "qwen2-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-32b": 32_763_876_352,
    "qwen2.5-72b": 72_706_203_648,
    "qwen1.5-moe-a2.7b": 14_315_784_192,
    "qwen3-8b": 8_190_735_360,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "gemma-2b": 2_506_172_416,
    "gemma-7b": 8_537_680_896,
    "gemma-2-2b": 2_614_341_888,
    "gemma-2-9b": 9_241_705_984,
    "gemma-2-27b": 27_227_128_320,
    "gemma-3-1b": 999_885_952,
    "phi-1.5": 1_418_270_720,
    "phi-2": 2_779_683_840,
    "phi-3-mini": 3_821_079_552,
    "phi-3-medium": 13_960_238_080,
    "phi-3.5-moe": 41_873_153_344,
    "phi-4": 14_659_507_200,
    "bert-base": 109_482_240,
    "bert-large": 335_141_888,
    "bert-large-mlm": 335_174_458,
    "roberta-base": 124_645_632,
    "roberta-large": 355_359_744,
    "distilbert": 66_362_880,
    "electra-base": 108_891_648,
    "deberta-v3-base": 183_831_552,
    "vit-b-16": 86_567_656,
    "vit-b-32": 88_224_232,
    "vit-l-16": 304_326_632,
    "vit-h-14": 632_045_800,
    "t5-small": 60_506_624,
    "t5-base": 222_903_552,
    "t5-large": 737_668_096,
    "t5-3b": 2_851_598_336,
    "t5-11b": 11_307_321_344,
    "flan-t5-base": 247_577_856,
    "flan-t5-xxl": 11_135_332_352,
    "bart-base": 139_420_416,
    "bart-large": 406_291_456,
    "whisper-tiny": 37_760_640,
    "whisper-small": 241_734_912,
    "whisper-large-v3": 1_543_490_560,
    "deepseek-v2-lite": 15_706_484_224,
    "deepseek-v2": 235_741_434_880,
    "deepseek-v3": 671_026_419_200,
    "starcoder2-3b": 3_030_371_328,
    "starcoder2-7b": 7_173_923_840,
    "starcoder-15b": 15_517_456_384,
    "olmo-7b": 6_888_095_744,
    "chatglm3-6b": 6_243_584_000,
    "glm-4-9b": 9_399_951_360,
    "command-r": 34_980_831_232,
    "gpt-oss-20b": 20_914_757_184,
    "gpt-oss-120b": 116_829_156_672,
}

PUBLISHED_ACTIVE = {
    # Billions as the model cards round them.
    "mixtral-8x7b": 12.9,
    "mixtral-8x22b": 39.1,
    "qwen3-30b-a3b": 3.3,
    "qwen3-235b-a22b": 22.2,
    "deepseek-v2": 21.4,
    "deepseek-v3": 37.6,
    "phi-3.5-moe": 6.6,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_count_is_the_published_one(name: str) -> None:
    assert parameter_count(load_named(CATALOG, name).transformer) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED_ACTIVE)
def test_active_count_is_the_published_one(name: str) -> None:
    active = active_parameter_count(load_named(CATALOG, name).transformer)
    assert active / 1e9 == pytest.approx(PUBLISHED_ACTIVE[name], abs=0.06)


def gpt(**changes: object) -> Transformer:
    sizes = {"layers": 2, "hidden": 64, "heads": 4, "ffn": 256, "vocab": 1000}
    return Transformer.model_validate(sizes | changes)


def test_a_tied_head_is_listed_and_holds_nothing() -> None:
    head = next(w for w in weights(gpt(tied_embeddings=True)) if w.name == "head")
    assert (head.outputs, head.inputs, head.tied, head.elements) == (1000, 64, True, 0)
    assert head.size == 64_000


def test_grouped_queries_have_smaller_keys() -> None:
    rows = {w.name: w for w in weights(gpt(kv_heads=2, head_dim=32))}
    assert (rows["attention.query"].outputs, rows["attention.query"].inputs) == (128, 64)
    assert (rows["attention.key"].outputs, rows["attention.value"].outputs) == (64, 64)
    assert (rows["attention.output"].outputs, rows["attention.output"].inputs) == (64, 128)


def test_experts_say_what_share_is_active() -> None:
    rows = {
        w.name: w
        for w in weights(
            gpt(
                experts=8,
                active_experts=2,
                expert_ffn=32,
                dense_layers=1,
                shared_expert_ffn=64,
                gated_ffn=True,
            )
        )
    }
    assert rows["expert.gate"].active == pytest.approx(0.25)
    assert rows["expert.gate"].count == 8
    assert rows["router"].outputs == 8
    assert rows["ffn.up"].count == 1
    assert rows["shared_expert.down"].inputs == 64


def test_latent_attention_has_low_rank_projections() -> None:
    rows = {w.name: w for w in weights(load_named(CATALOG, "deepseek-v3").transformer)}
    assert (rows["attention.query_down"].outputs, rows["attention.query_up"].outputs) == (1536, 24576)
    assert (rows["attention.kv_down"].outputs, rows["attention.kv_up"].outputs) == (576, 32768)
    assert "attention.query" not in rows
    lite = {w.name: w for w in weights(load_named(CATALOG, "deepseek-v2-lite").transformer)}
    assert lite["attention.query"].outputs == 16 * 192


def test_a_decoder_of_two_stacks_attends_to_the_encoder() -> None:
    rows = weights(load_named(CATALOG, "t5-small").transformer)
    assert {w.stack for w in rows} == {"stem", "encoder", "decoder", "head"}
    crossing = [w for w in rows if w.name.startswith("cross_attention.")]
    assert {w.stack for w in crossing} == {"decoder"}
    assert len(crossing) == 4


def test_images_and_audio_have_a_stem() -> None:
    patch = next(
        w for w in weights(load_named(CATALOG, "vit-b-16").transformer) if w.role is Role.CONVOLUTION
    )
    assert (patch.outputs, patch.inputs) == (768, 3 * 16 * 16)
    audio = [
        w.inputs
        for w in weights(load_named(CATALOG, "whisper-small").transformer)
        if w.role is Role.CONVOLUTION
    ]
    assert audio == [80 * 3, 768 * 3]


def test_an_image_model_derives_its_position_rows() -> None:
    vit = gpt(kind="encoder", vocab=0, image_size=224, patch_size=32, position="learned", class_token=True)
    assert vit.position_rows == 50


@pytest.mark.parametrize(
    "changes",
    [
        {"position": "learned"},
        {"head": "classifier"},
        {"heads": 3},
        {"kv_heads": 3},
        {"vocab": 0},
        {"experts": 4},
        {"experts": 2, "active_experts": 3},
        {"decoder_layers": 2},
        {"kind": "encoder-decoder"},
        {"image_size": 224},
        {"image_size": 225, "patch_size": 16},
        {"layers": 0},
        {"hidden": -64},
        {"unknown": 1},
    ],
)
def test_dimensions_that_do_not_fit_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        gpt(**changes)


@st.composite
def transformers(draw: st.DrawFn) -> Transformer:
    kv_heads = draw(st.sampled_from([1, 2, 4]))
    heads = kv_heads * draw(st.integers(1, 4))
    experts = draw(st.sampled_from([0, 0, 4, 8]))
    kind = draw(st.sampled_from(["decoder", "encoder", "encoder-decoder"]))
    layers = draw(st.integers(1, 6))
    return Transformer(
        kind=kind,
        layers=layers,
        decoder_layers=draw(st.integers(1, 4)) if kind == "encoder-decoder" else None,
        hidden=heads * draw(st.sampled_from([8, 16, 64])),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=draw(st.sampled_from([None, 32])),
        ffn=draw(st.integers(1, 512)),
        vocab=draw(st.integers(1, 5000)),
        gated_ffn=draw(st.booleans()),
        tied_embeddings=draw(st.booleans()),
        qkv_bias=draw(st.booleans()),
        ffn_bias=draw(st.booleans()),
        norm=draw(st.sampled_from(["rmsnorm", "layernorm"])),
        qk_norm=draw(st.sampled_from(["none", "head", "all"])),
        experts=experts,
        active_experts=draw(st.integers(1, experts)) if experts else 0,
        dense_layers=draw(st.integers(0, layers)) if experts else 0,
        head=draw(st.sampled_from(["language-model", "masked-language-model", "pooler", "none"])),
    )


def changed(model: Transformer, **changes: object) -> Transformer:
    return Transformer.model_validate(model.model_dump() | changes)


@given(transformers())
def test_more_layers_width_or_words_are_more_parameters(model: Transformer) -> None:
    count = parameter_count(model)
    assert parameter_count(changed(model, layers=model.layers + 1)) > count
    assert parameter_count(changed(model, hidden=2 * model.hidden)) > count
    assert parameter_count(changed(model, vocab=model.vocab + 1)) > count
    assert parameter_count(changed(model, ffn=model.ffn + 1)) > count or model.experts


@given(transformers())
def test_active_and_tied_counts_are_bounded(model: Transformer) -> None:
    assert 0 < active_parameter_count(model) <= parameter_count(model)
    if not model.experts:
        assert active_parameter_count(model) == parameter_count(model)
    tied, untied = changed(model, tied_embeddings=True), changed(model, tied_embeddings=False)
    assert parameter_count(tied) <= parameter_count(untied)


@given(transformers())
def test_every_row_is_a_tensor_that_exists(model: Transformer) -> None:
    rows = weights(model)
    assert all(w.outputs > 0 and w.inputs > 0 and w.count > 0 and 0 < w.active <= 1 for w in rows)
    assert all(w.inputs == 1 for w in rows if w.role in (Role.BIAS, Role.NORM))
    assert len({(w.name, w.stack) for w in rows}) == len(rows)
