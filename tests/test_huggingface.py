"""Configs as published against the shipped dimensions, family defaults, and configs that cannot be used."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.describe.huggingface import FAMILIES, known_families, transformer_from_config
from advisor.describe.named import load_named
from advisor.describe.weights import parameter_count
from advisor.errors import InputError

CATALOG = Path(__file__).parents[1] / "catalog"
CONFIGS = sorted((Path(__file__).parent / "data" / "configs").glob("*.json"))

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}


def config(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_published_config_is_the_shipped_model(path: Path) -> None:
    named = load_named(CATALOG, path.stem)
    model = transformer_from_config(config(path))
    assert model == named.transformer
    assert parameter_count(model) == named.parameters


def test_the_configs_cover_the_families() -> None:
    covered = {config(path)["model_type"] for path in CONFIGS}
    assert covered <= set(FAMILIES)
    assert len(covered) >= 35


def test_fields_left_out_have_the_default_of_the_family() -> None:
    assert transformer_from_config(LLAMA).kv_head_count == 32
    assert transformer_from_config(LLAMA | {"model_type": "mistral"}).kv_head_count == 8
    assert transformer_from_config(LLAMA | {"model_type": "qwen3"}).head_size == 128
    assert transformer_from_config(LLAMA | {"model_type": "gemma"}).tied_embeddings
    assert not transformer_from_config(LLAMA).tied_embeddings


def test_null_counts_as_left_out() -> None:
    assert transformer_from_config(LLAMA | {"head_dim": None, "num_key_value_heads": None}).head_size == 128


def test_only_a_used_window_counts() -> None:
    qwen = LLAMA | {"model_type": "qwen2", "sliding_window": 131072}
    assert transformer_from_config(qwen | {"use_sliding_window": False}).sliding_window == 0
    assert transformer_from_config(qwen | {"use_sliding_window": True}).sliding_window == 131072


def test_sparse_layers_of_a_qwen_mixture() -> None:
    mixture = LLAMA | {"model_type": "qwen3_moe", "moe_intermediate_size": 768}
    assert transformer_from_config(mixture).dense_layers == 0
    assert transformer_from_config(mixture | {"decoder_sparse_step": 2}).dense_layers == 16
    assert transformer_from_config(mixture | {"mlp_only_layers": [0, 1]}).dense_layers == 2
    both = mixture | {"decoder_sparse_step": 2, "mlp_only_layers": [0, 1]}
    assert transformer_from_config(both).dense_layers == 17


def test_bart_and_opt_store_two_rows_more() -> None:
    configs = Path(__file__).parent / "data" / "configs"
    assert transformer_from_config(config(configs / "opt-350m.json")).max_positions == 2050
    assert transformer_from_config(config(configs / "bart-base.json")).max_positions == 1026


def test_a_classifier_architecture_has_its_labels() -> None:
    bert = config(Path(__file__).parent / "data" / "configs" / "bert-base.json")
    labels = {"0": "negative", "1": "neutral", "2": "positive"}
    model = transformer_from_config(
        bert | {"architectures": ["BertForSequenceClassification"], "id2label": labels}
    )
    assert (model.head, model.classes) == ("classifier", 3)
    assert parameter_count(model) == 109_482_240 + 3 * 768 + 3


@pytest.mark.parametrize(
    ("kind", "candidate"), [("lama", "llama"), ("qwen4", "qwen3"), ("gpt-neox", "gpt_neox")]
)
def test_an_unknown_family_names_the_nearest(kind: str, candidate: str) -> None:
    with pytest.raises(InputError) as caught:
        transformer_from_config({"model_type": kind})
    assert caught.value.field == "model_type"
    assert candidate in caught.value.candidates
    assert "transformer:" in str(caught.value)
    assert kind in str(caught.value)


@pytest.mark.parametrize("document", [{}, {"model_type": None}, {"model_type": 7}, {"model_type": ["llama"]}])
def test_a_config_without_a_family_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        transformer_from_config(document)
    assert caught.value.field == "model_type"


@pytest.mark.parametrize("document", [[], "llama", None, 7])
def test_a_document_that_is_no_object_is_refused(document: Any) -> None:
    with pytest.raises(InputError):
        transformer_from_config(document)


@pytest.mark.parametrize("family", known_families())
def test_every_family_asks_for_its_sizes(family: str) -> None:
    with pytest.raises(InputError) as caught:
        transformer_from_config({"model_type": family})
    assert caught.value.field


@pytest.mark.parametrize(
    "value", [-1, 0, "4096", math.nan, math.inf, 1.5, True, [4096], {}, 10**30], ids=repr
)
@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_a_bad_size_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        transformer_from_config(LLAMA | {field: value})
    assert caught.value.field


@pytest.mark.parametrize(
    ("field", "value"),
    [("tie_word_embeddings", "yes"), ("attention_bias", 1), ("head_dim", 0), ("num_key_value_heads", 7)],
)
def test_other_bad_values_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InputError):
        transformer_from_config(LLAMA | {field: value})


def test_a_deberta_that_is_not_described_is_refused() -> None:
    deberta = config(Path(__file__).parent / "data" / "configs" / "deberta-v3-base.json")
    for field, value in (("share_att_key", False), ("position_biased_input", True), ("conv_kernel_size", 3)):
        with pytest.raises(InputError):
            transformer_from_config(deberta | {field: value})


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 5000), st.floats(), st.text(max_size=3), st.lists(st.integers())
)


@given(st.sampled_from(CONFIGS), st.data())
def test_any_value_is_read_or_refused_with_a_field(path: Path, data: st.DataObject) -> None:
    document = config(path)
    field = data.draw(st.sampled_from(sorted(document)))
    document[field] = data.draw(VALUES)
    try:
        count = parameter_count(transformer_from_config(document))
    except InputError:
        return
    assert count > 0


def test_dense_layers_of_deepseek_are_counted_without_walking_them() -> None:
    lite = config(Path(__file__).parent / "data" / "configs" / "deepseek-v2-lite.json")
    for first, every in ((0, 1), (1, 1), (3, 2), (4, 2), (27, 1), (40, 1)):
        expected = sum(layer < first or layer % every != 0 for layer in range(27))
        model = transformer_from_config(lite | {"first_k_dense_replace": first, "moe_layer_freq": every})
        assert model.dense_layers == expected
    assert transformer_from_config(lite | {"num_hidden_layers": 10**4}).dense_layers == 1
