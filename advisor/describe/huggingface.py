"""A Hugging Face ``config.json`` as the dimensions of a transformer: a mapping in, words out, nothing read.

Each family is one small function that reads the names its configs use; fields that published configs leave
out have the family's own defaults. Rules that no config states (which layers have a bias, how many norms,
what is tied) follow the reference implementation of the family in the ``transformers`` library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from advisor.errors import InputError, nearest
from advisor.workload import Transformer

Fields = dict[str, Any]

NEEDED = "kind, layers, hidden, heads, kv_heads, ffn, vocab, gated_ffn, tied_embeddings"
"""What a workload says under ``transformer:`` for a family that this module does not know."""


class Config:
    """Checked access to a config: sizes and flags of a known range, or an error that names the field."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def _find(self, names: tuple[str, ...]) -> tuple[str, object]:
        for name in names:
            if self._values.get(name) is not None:
                return name, self._values[name]
        return names[0], None

    def _whole(self, names: tuple[str, ...], least: int) -> int | None:
        name, value = self._find(names)
        if value is None:
            return None
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(
                "not a size", field=name, value=value, accepted=f"a whole number of at least {least}"
            )
        return value

    def size(self, *names: str, default: int | None = None) -> int:
        """Return the first of ``names`` that is given, as a whole number of at least 1.

        Raises:
            InputError: none is given and there is no default, or the value is not such a number.
        """
        value = self._whole(names, 1)
        if value is None:
            value = default
        if value is None:
            raise InputError(
                "the config lacks a field that the model's size depends on",
                field=names[0],
                accepted=" or ".join(names),
            )
        return value

    def optional(self, *names: str) -> int | None:
        """Return a size of at least 1, or None where no name is given."""
        return self._whole(names, 1)

    def extent(self, *names: str, default: int = 0) -> int:
        """Return a whole number of at least 0."""
        value = self._whole(names, 0)
        return default if value is None else value

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InputError("not true or false", field=name, value=value)
        return value

    def text(self, name: str, default: str) -> str:
        """Return a string."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise InputError("not a text", field=name, value=value)
        return value

    def inner(self, name: str) -> Mapping[str, Any]:
        """Return a nested document; an empty one when it is not given."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise InputError("not a mapping", field=name, value=value)
        return value

    def indices(self, name: str) -> tuple[int, ...]:
        """Return a list of whole numbers of at least 0; empty when it is not given."""
        value = self._values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or not all(type(item) is int and item >= 0 for item in value):
            raise InputError("not a list of whole numbers", field=name, value=value)
        return tuple(value)

    def length(self, name: str) -> int:
        """Return how many entries a list or mapping has; 0 when it is not given."""
        value = self._values.get(name)
        if value is None:
            return 0
        if not isinstance(value, list | tuple | Mapping):
            raise InputError("not a list", field=name, value=value)
        return len(value)

    @property
    def architecture(self) -> str:
        """The first entry of ``architectures``; empty when there is none."""
        value = self._values.get("architectures")
        if isinstance(value, list) and value and isinstance(value[0], str):
            return value[0]
        return ""

    @property
    def labels(self) -> int:
        """Outputs of a classifier: 2 where the config does not say, as in the library."""
        return self.length("id2label") or self.size("num_labels", default=2)


def transformer_from_config(config: Mapping[str, Any]) -> Transformer:
    """Return the dimensions of the model that a ``config.json`` describes.

    The head is a classifier where the first architecture is one, else what published parameter counts of the
    family include (a language-model head for decoders, the pooler for BERT). Of a multimodal Gemma 3 only the
    text model is described.

    Args:
        config: the parsed document.

    Raises:
        InputError: the model type is not known, or a field is missing, malformed or contradicts another.
    """
    if not isinstance(config, Mapping):
        raise InputError("a config.json holds one object", value=config)
    kind = config.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise InputError(
            "the family of this config is not known" if kind else "the config has no model_type",
            field="model_type",
            value=kind,
            candidates=nearest(kind, FAMILIES) if isinstance(kind, str) else (),
            accepted=", ".join(sorted(FAMILIES)),
            hint=f"describe the model in the workload under `transformer:` with {NEEDED}",
        )
    fields = family(Config(config))
    try:
        return Transformer(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            str(first["msg"]).removeprefix("Value error, "),
            field=".".join(str(part) for part in first["loc"]) or None,
            value=first["input"] if first["loc"] else None,
        ) from None


def known_families() -> tuple[str, ...]:
    """Return the model types that can be read, sorted."""
    return tuple(sorted(FAMILIES))


# Parts that families share ----------------------------------------------------------------------------------


def _sizes(c: Config, *, kv_heads: int | None = None, tied: bool = False) -> Fields:
    """Read the names that most decoders use. ``kv_heads`` is the family's default, None for all heads."""
    fields: Fields = {
        "kind": "decoder",
        "layers": c.size("num_hidden_layers"),
        "hidden": c.size("hidden_size"),
        "heads": c.size("num_attention_heads"),
        "kv_heads": c.optional("num_key_value_heads") or kv_heads,
        "head_dim": c.optional("head_dim"),
        "ffn": c.size("intermediate_size"),
        "vocab": c.size("vocab_size"),
        "tied_embeddings": c.flag("tie_word_embeddings", tied),
    }
    return fields | _classifier(c)


def _classifier(c: Config) -> Fields:
    """Read the classifier head, where the first architecture has one."""
    if c.architecture.endswith(("ForSequenceClassification", "ForImageClassification")):
        return {"head": "classifier", "classes": c.labels}
    return {}


def _biases(*, qkv: bool, output: bool, ffn: bool) -> Fields:
    return {"qkv_bias": qkv, "attention_output_bias": output, "ffn_bias": ffn}


def _old_decoder(*, hidden: int, layers: int, heads: int, ffn: int, vocab: int) -> Fields:
    """Return a decoder with layernorm and a bias everywhere (GPT-2 and its descendants)."""
    return {
        "kind": "decoder",
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "ffn": ffn,
        "vocab": vocab,
        "norm": "layernorm",
        **_biases(qkv=True, output=True, ffn=True),
    }


def _window(c: Config, *, default: int = 0, every: int = 0) -> Fields:
    width = c.extent("sliding_window", default=default)
    return {"sliding_window": width, "global_layers_every": every if width else 0}


# Decoders with rotary positions -----------------------------------------------------------------------------


def _llama(c: Config) -> Fields:
    attention, ffn = c.flag("attention_bias", False), c.flag("mlp_bias", False)
    return _sizes(c) | {"gated_ffn": True} | _biases(qkv=attention, output=attention, ffn=ffn)


def _smollm3(c: Config) -> Fields:
    return _llama(c) | {"tied_embeddings": c.flag("tie_word_embeddings", True)}


def _mistral(c: Config) -> Fields:
    return _sizes(c, kv_heads=8) | {"gated_ffn": True} | _window(c)


def _mixtral(c: Config) -> Fields:
    return _mistral(c) | {
        "experts": c.size("num_local_experts", default=8),
        "active_experts": c.size("num_experts_per_tok", default=2),
    }


def _qwen2(c: Config) -> Fields:
    window = _window(c) if c.flag("use_sliding_window", False) else {}
    return _sizes(c) | {"gated_ffn": True} | window | _biases(qkv=True, output=False, ffn=False)


def _sparse(c: Config, *, experts: int, active: int, layers: int) -> Fields:
    """Read the experts of a Qwen mixture: a step and a list of exceptions say which layers are sparse."""
    step = c.size("decoder_sparse_step", default=1)
    excepted = {layer for layer in c.indices("mlp_only_layers") if layer < layers and (layer + 1) % step == 0}
    sparse = layers // step - len(excepted)
    return {
        "experts": c.size("num_experts", default=experts),
        "active_experts": c.size("num_experts_per_tok", default=active),
        "expert_ffn": c.size("moe_intermediate_size"),
        "dense_layers": layers - sparse,
    }


def _qwen2_moe(c: Config) -> Fields:
    fields = _qwen2(c)
    return (
        fields
        | _sparse(c, experts=60, active=4, layers=fields["layers"])
        | {"shared_expert_ffn": c.size("shared_expert_intermediate_size"), "shared_expert_gate": True}
    )


def _qwen3(c: Config) -> Fields:
    bias = c.flag("attention_bias", False)
    fields = _sizes(c) | {"gated_ffn": True, "qk_norm": "head"} | _biases(qkv=bias, output=bias, ffn=False)
    return fields | {"head_dim": c.size("head_dim", default=128)}


def _qwen3_moe(c: Config) -> Fields:
    fields = _qwen3(c) | {"head_dim": c.optional("head_dim")}
    return fields | _sparse(c, experts=128, active=8, layers=fields["layers"])


def _gemma(c: Config) -> Fields:
    bias = c.flag("attention_bias", False)
    fields = _sizes(c, tied=True) | {"gated_ffn": True} | _biases(qkv=bias, output=bias, ffn=False)
    return fields | {"head_dim": c.size("head_dim", default=256)}


def _gemma2(c: Config) -> Fields:
    return _gemma(c) | {"norms_per_layer": 4} | _window(c, default=4096, every=2)


def _gemma3_text(c: Config) -> Fields:
    bias = c.flag("attention_bias", False)
    return {
        "kind": "decoder",
        "layers": c.size("num_hidden_layers"),
        "hidden": c.size("hidden_size"),
        "heads": c.size("num_attention_heads", default=8),
        "kv_heads": c.size("num_key_value_heads", default=4),
        "head_dim": c.size("head_dim", default=256),
        "ffn": c.size("intermediate_size"),
        "vocab": c.size("vocab_size", default=262208),
        "tied_embeddings": c.flag("tie_word_embeddings", True),
        "gated_ffn": True,
        "qk_norm": "head",
        "norms_per_layer": 4,
        **_biases(qkv=bias, output=bias, ffn=False),
        **_window(c, default=4096, every=c.size("sliding_window_pattern", default=6)),
    }


def _gemma3(c: Config) -> Fields:
    text = c.inner("text_config")
    if not text:
        raise InputError("a multimodal Gemma 3 config describes its text model here", field="text_config")
    return _gemma3_text(Config(text))


def _phi(c: Config) -> Fields:
    return (
        _sizes(c)
        | {"norm": "layernorm", "norms_per_layer": 1, "head_bias": True}
        | {"qk_norm": "head" if c.flag("qk_layernorm", False) else "none"}
        | _biases(qkv=True, output=True, ffn=True)
    )


def _phi3(c: Config) -> Fields:
    return _sizes(c) | {"gated_ffn": True} | _window(c)


def _phimoe(c: Config) -> Fields:
    bias = c.flag("attention_bias", False)
    return (
        _sizes(c, kv_heads=8)
        | {"gated_ffn": True, "norm": "layernorm", "head_bias": c.flag("lm_head_bias", False)}
        | {"experts": c.size("num_local_experts", default=16)}
        | {"active_experts": c.size("num_experts_per_tok", default=2)}
        | _biases(qkv=bias, output=bias, ffn=False)
    )


def _starcoder2(c: Config) -> Fields:
    bias = c.flag("use_bias", True)
    return (
        _sizes(c, kv_heads=2, tied=True)
        | {"norm": "layernorm"}
        | _window(c)
        | _biases(qkv=bias, output=bias, ffn=bias)
    )


def _olmo(c: Config) -> Fields:
    bias = c.flag("attention_bias", False)
    fields = _sizes(c) | {"gated_ffn": True, "norm": "layernorm", "norm_scale": False}
    return fields | _biases(qkv=bias, output=bias, ffn=False)


def _olmo2(c: Config) -> Fields:
    return _llama(c) | {"qk_norm": "all"}


def _stablelm(c: Config) -> Fields:
    parallel = c.flag("use_parallel_residual", False)
    return (
        _sizes(c)
        | {"gated_ffn": True, "norm": "layernorm", "norms_per_layer": 1 if parallel else 2}
        | _biases(qkv=c.flag("use_qkv_bias", False), output=False, ffn=False)
    )


def _cohere(c: Config) -> Fields:
    bias = c.flag("attention_bias", False)
    return (
        _sizes(c, tied=True)
        | {"gated_ffn": True, "norm": "layernorm", "norm_bias": False, "norms_per_layer": 1}
        | {"qk_norm": "all" if c.flag("use_qk_norm", False) else "none"}
        | _biases(qkv=bias, output=bias, ffn=False)
    )


def _glm(c: Config) -> Fields:
    bias = c.flag("attention_bias", False)
    fields = _sizes(c) | {"gated_ffn": True} | _biases(qkv=bias, output=False, ffn=False)
    return fields | {"head_dim": c.size("head_dim", default=128)}


def _glm4(c: Config) -> Fields:
    return _glm(c) | {"norms_per_layer": 4}


def _chatglm(c: Config) -> Fields:
    """ChatGLM2, ChatGLM3 and GLM-4 as first published, with names of their own."""
    heads = c.size("num_attention_heads")
    every = c.flag("add_bias_linear", False)
    grouped = c.flag("multi_query_attention", False)
    return {
        "kind": "decoder",
        "layers": c.size("num_layers"),
        "hidden": c.size("hidden_size"),
        "heads": heads,
        "kv_heads": c.size("multi_query_group_num") if grouped else heads,
        "head_dim": c.optional("kv_channels"),
        "ffn": c.size("ffn_hidden_size"),
        "vocab": c.size("padded_vocab_size"),
        "gated_ffn": True,
        "norm": "rmsnorm" if c.flag("rmsnorm", True) else "layernorm",
        "tied_embeddings": c.flag("tie_word_embeddings", False),
        **_biases(qkv=every or c.flag("add_qkv_bias", False), output=every, ffn=every),
    }


def _deepseek_v2(c: Config) -> Fields:
    """DeepSeek-V2 and V3 without the multi-token prediction module, which published counts leave out."""
    layers = c.size("num_hidden_layers")
    first, every = c.extent("first_k_dense_replace"), c.size("moe_layer_freq", default=1)
    expert = c.size("moe_intermediate_size")
    bias = c.flag("attention_bias", False)
    sizes = _sizes(c) | {"kv_heads": None, "head_dim": c.size("v_head_dim", default=128)}
    return sizes | {
        "gated_ffn": True,
        "experts": c.size("n_routed_experts"),
        "active_experts": c.size("num_experts_per_tok"),
        "expert_ffn": expert,
        "shared_expert_ffn": expert * c.extent("n_shared_experts"),
        "dense_layers": layers - max(-(-layers // every) - -(-first // every), 0),
        "latent_attention": {
            "query_rank": c.extent("q_lora_rank"),
            "key_value_rank": c.size("kv_lora_rank"),
            "rope_head_dim": c.size("qk_rope_head_dim", default=64),
            "nope_head_dim": c.size("qk_nope_head_dim", default=128),
            "value_head_dim": c.size("v_head_dim", default=128),
        },
        **_biases(qkv=bias, output=bias, ffn=False),
    }


def _deepseek_v3(c: Config) -> Fields:
    return _deepseek_v2(c) | {"router_bias": True}


def _gpt_oss(c: Config) -> Fields:
    bias = c.flag("attention_bias", True)
    return (
        _sizes(c, kv_heads=8)
        | {"head_dim": c.size("head_dim", default=64), "gated_ffn": True, "attention_sinks": True}
        | {"experts": c.size("num_local_experts", default=128)}
        | {"active_experts": c.size("num_experts_per_tok", "experts_per_token", default=4)}
        | {"router_bias": True, "expert_bias": True}
        | _window(c, default=128, every=2)
        | _biases(qkv=bias, output=bias, ffn=False)
    )


# Older decoders ---------------------------------------------------------------------------------------------


def _gpt2(c: Config) -> Fields:
    hidden = c.size("n_embd", "hidden_size")
    fields = _old_decoder(
        hidden=hidden,
        layers=c.size("n_layer", "num_hidden_layers"),
        heads=c.size("n_head", "num_attention_heads"),
        ffn=c.size("n_inner", default=4 * hidden),
        vocab=c.size("vocab_size", default=50257),
    )
    return (
        fields
        | {"position": "learned", "max_positions": c.size("n_positions", default=1024)}
        | {"tied_embeddings": c.flag("tie_word_embeddings", True)}
        | _classifier(c)
    )


def _gpt_bigcode(c: Config) -> Fields:
    return _gpt2(c) | ({"kv_heads": 1} if c.flag("multi_query", True) else {})


def _gptj(c: Config) -> Fields:
    hidden = c.size("n_embd", "hidden_size")
    fields = _old_decoder(
        hidden=hidden,
        layers=c.size("n_layer", "num_hidden_layers"),
        heads=c.size("n_head", "num_attention_heads"),
        ffn=c.size("n_inner", default=4 * hidden),
        vocab=c.size("vocab_size", default=50400),
    )
    return (
        fields
        | {"norms_per_layer": 1, "head_bias": True}
        | {"tied_embeddings": c.flag("tie_word_embeddings", False)}
        | _biases(qkv=False, output=False, ffn=True)
    )


def _gpt_neo(c: Config) -> Fields:
    hidden = c.size("hidden_size")
    fields = _old_decoder(
        hidden=hidden,
        layers=c.size("num_layers"),
        heads=c.size("num_heads"),
        ffn=c.size("intermediate_size", default=4 * hidden),
        vocab=c.size("vocab_size", default=50257),
    )
    window = _window(Config({"sliding_window": c.size("window_size", default=256)}), every=2)
    return (
        fields
        | {"position": "learned", "max_positions": c.size("max_position_embeddings", default=2048)}
        | {"tied_embeddings": c.flag("tie_word_embeddings", True), "qkv_bias": False}
        | window
    )


def _gpt_neox(c: Config) -> Fields:
    bias = c.flag("attention_bias", True)
    return _sizes(c) | {"norm": "layernorm"} | _biases(qkv=bias, output=bias, ffn=True)


def _opt(c: Config) -> Fields:
    hidden, bias = c.size("hidden_size"), c.flag("enable_bias", True)
    narrow = c.size("word_embed_proj_dim", default=hidden)
    before = c.flag("do_layer_norm_before", True)
    fields = _old_decoder(
        hidden=hidden,
        layers=c.size("num_hidden_layers"),
        heads=c.size("num_attention_heads"),
        ffn=c.size("ffn_dim"),
        vocab=c.size("vocab_size", default=50272),
    )
    return (
        fields
        | {"position": "learned", "max_positions": c.size("max_position_embeddings", default=2048) + 2}
        | {"tied_embeddings": c.flag("tie_word_embeddings", True)}
        | {"embedding_size": narrow if narrow != hidden else None}
        | {"final_norm": before and not c.flag("_remove_final_layer_norm", False)}
        | {"norm_scale": c.flag("layer_norm_elementwise_affine", True)}
        | _biases(qkv=bias, output=bias, ffn=bias)
    )


def _bloom(c: Config) -> Fields:
    hidden = c.size("hidden_size", "n_embed")
    fields = _old_decoder(
        hidden=hidden,
        layers=c.size("n_layer", "num_hidden_layers"),
        heads=c.size("n_head", "num_attention_heads"),
        ffn=4 * hidden,
        vocab=c.size("vocab_size", default=250880),
    )
    return fields | {
        "position": "none",
        "embedding_norm": True,
        "tied_embeddings": c.flag("tie_word_embeddings", True),
    }


def _falcon(c: Config) -> Fields:
    hidden, heads = c.size("hidden_size"), c.size("num_attention_heads", "n_head")
    new, bias = c.flag("new_decoder_architecture", False), c.flag("bias", False)
    parallel = c.flag("parallel_attn", True)
    one = parallel and c.size("num_ln_in_parallel_attn", default=2 if new else 1) == 1
    grouped = c.size("num_kv_heads", "n_head_kv", default=heads)
    fields = _old_decoder(
        hidden=hidden,
        layers=c.size("num_hidden_layers", "n_layer"),
        heads=heads,
        ffn=c.size("ffn_hidden_size", default=4 * hidden),
        vocab=c.size("vocab_size", default=65024),
    )
    return (
        fields
        | {"kv_heads": grouped if new else 1 if c.flag("multi_query", True) else heads}
        | {"norms_per_layer": 1 if one else 2, "position": "none" if c.flag("alibi", False) else "rotary"}
        | {"tied_embeddings": c.flag("tie_word_embeddings", True)}
        | _biases(qkv=bias, output=bias, ffn=bias)
    )


def _mpt(c: Config) -> Fields:
    hidden, bias = c.size("d_model"), not c.flag("no_bias", True)
    alibi = Config(c.inner("attn_config")).flag("alibi", True)
    fields = _old_decoder(
        hidden=hidden,
        layers=c.size("n_layers"),
        heads=c.size("n_heads"),
        ffn=hidden * c.size("expansion_ratio", default=4),
        vocab=c.size("vocab_size", default=50368),
    )
    learned = {"position": "learned", "max_positions": c.size("max_seq_len", default=2048)}
    return (
        fields
        | {"tied_embeddings": c.flag("tie_word_embeddings", True), "norm_bias": bias}
        | ({"position": "none"} if alibi or not c.flag("learned_pos_emb", True) else learned)
        | _biases(qkv=bias, output=bias, ffn=bias)
    )


# Encoders ---------------------------------------------------------------------------------------------------


def _encoder(c: Config, *, vocab: int, types: int, head: str) -> Fields:
    """Read a post-norm encoder with learned positions and a bias everywhere (BERT, Devlin et al. 2018)."""
    fields: Fields = {
        "kind": "encoder",
        "layers": c.size("num_hidden_layers", "n_layers"),
        "hidden": c.size("hidden_size", "dim"),
        "heads": c.size("num_attention_heads", "n_heads"),
        "ffn": c.size("intermediate_size", "hidden_dim"),
        "vocab": c.size("vocab_size", default=vocab),
        "position": "learned",
        "max_positions": c.size("max_position_embeddings", default=512),
        "token_types": types,
        "norm": "layernorm",
        "final_norm": False,
        "embedding_norm": True,
        "tied_embeddings": c.flag("tie_word_embeddings", True),
        "head": head,
        **_biases(qkv=True, output=True, ffn=True),
    }
    return fields | _classifier(c)


def _bert(c: Config) -> Fields:
    return _encoder(c, vocab=30522, types=c.extent("type_vocab_size", default=2), head="pooler")


def _roberta(c: Config) -> Fields:
    return _encoder(c, vocab=50265, types=c.extent("type_vocab_size", default=2), head="pooler")


def _distilbert(c: Config) -> Fields:
    return _encoder(c, vocab=30522, types=0, head="none")


def _electra(c: Config) -> Fields:
    fields = _encoder(c, vocab=30522, types=c.extent("type_vocab_size", default=2), head="none")
    narrow = c.size("embedding_size", default=128)
    return fields | {"embedding_size": narrow if narrow != fields["hidden"] else None}


def _deberta_v2(c: Config) -> Fields:
    """DeBERTa-v3 (He et al. 2021): one shared table of relative positions, no absolute ones."""
    for name, usual in (("share_att_key", True), ("relative_attention", True)):
        if not c.flag(name, False):
            raise InputError(
                f"only DeBERTa with {name} is described", field=name, value=False, accepted=str(usual).lower()
            )
    if c.extent("conv_kernel_size") or c.flag("position_biased_input", True):
        raise InputError(
            "only DeBERTa without a convolution and without absolute positions is described",
            field="position_biased_input",
            accepted="false, and conv_kernel_size 0",
        )
    fields = _encoder(c, vocab=128100, types=c.extent("type_vocab_size"), head="none")
    span = c.optional("position_buckets") or fields["max_positions"]
    return fields | {"position": "disentangled", "max_positions": 0, "relative_buckets": 2 * span}


def _vit(c: Config) -> Fields:
    """Vision transformer (Dosovitskiy et al. 2020): pre-norm, a class token, no pooler under a classifier."""
    qkv = c.flag("qkv_bias", True)
    fields: Fields = {
        "kind": "encoder",
        "layers": c.size("num_hidden_layers"),
        "hidden": c.size("hidden_size"),
        "heads": c.size("num_attention_heads"),
        "ffn": c.size("intermediate_size"),
        "vocab": 0,
        "position": "learned",
        "norm": "layernorm",
        "head": "pooler",
        "image_size": c.size("image_size", default=224),
        "patch_size": c.size("patch_size", default=16),
        "image_channels": c.size("num_channels", default=3),
        "class_token": True,
        **_biases(qkv=qkv, output=True, ffn=True),
    }
    return fields | _classifier(c)


# Encoder-decoders -------------------------------------------------------------------------------------------


def _t5(c: Config, *, activation: str = "relu", tied: bool = True) -> Fields:
    """T5 (Raffel et al. 2019); version 1.1 has gated feed-forward networks and a head of its own."""
    layers = c.size("num_layers")
    return {
        "kind": "encoder-decoder",
        "layers": layers,
        "decoder_layers": c.size("num_decoder_layers", default=layers),
        "hidden": c.size("d_model"),
        "heads": c.size("num_heads"),
        "head_dim": c.size("d_kv", default=64),
        "ffn": c.size("d_ff"),
        "vocab": c.size("vocab_size"),
        "gated_ffn": c.text("feed_forward_proj", activation).startswith("gated-"),
        "position": "relative",
        "relative_buckets": c.size("relative_attention_num_buckets", default=32),
        "tied_embeddings": c.flag("tie_word_embeddings", tied),
    }


def _mt5(c: Config) -> Fields:
    return _t5(c, activation="gated-gelu", tied=False)


def _two_stacks(c: Config) -> Fields:
    """Read the names that BART, mBART and Whisper share."""
    return {
        "kind": "encoder-decoder",
        "layers": c.size("encoder_layers"),
        "decoder_layers": c.size("decoder_layers"),
        "hidden": c.size("d_model"),
        "heads": c.size("encoder_attention_heads"),
        "decoder_heads": c.size("decoder_attention_heads"),
        "ffn": c.size("encoder_ffn_dim"),
        "decoder_ffn": c.size("decoder_ffn_dim"),
        "vocab": c.size("vocab_size"),
        "norm": "layernorm",
        "position": "learned",
        "tied_embeddings": c.flag("tie_word_embeddings", True),
        **_biases(qkv=True, output=True, ffn=True),
    }


def _bart(c: Config) -> Fields:
    """BART (Lewis et al. 2019): its position tables hold two rows more than the config says."""
    rows = c.size("max_position_embeddings", default=1024) + 2
    return _two_stacks(c) | {"max_positions": rows, "embedding_norm": True, "final_norm": False}


def _mbart(c: Config) -> Fields:
    return _bart(c) | {"final_norm": True}


def _whisper(c: Config) -> Fields:
    """Whisper (Radford et al. 2022): two convolutions, a stored sinusoidal table, keys without bias."""
    return _two_stacks(c) | {
        "key_bias": False,
        "audio_channels": c.size("num_mel_bins", default=80),
        "max_positions": c.size("max_source_positions", default=1500),
        "decoder_max_positions": c.size("max_target_positions", default=448),
    }


FAMILIES: Mapping[str, Callable[[Config], Fields]] = {
    "bart": _bart,
    "bert": _bert,
    "bloom": _bloom,
    "camembert": _roberta,
    "chatglm": _chatglm,
    "cohere": _cohere,
    "deberta-v2": _deberta_v2,
    "deepseek_v2": _deepseek_v2,
    "deepseek_v3": _deepseek_v3,
    "distilbert": _distilbert,
    "electra": _electra,
    "falcon": _falcon,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gemma3_text": _gemma3_text,
    "glm": _glm,
    "glm4": _glm4,
    "gpt2": _gpt2,
    "gpt_bigcode": _gpt_bigcode,
    "gpt_neo": _gpt_neo,
    "gpt_neox": _gpt_neox,
    "gpt_oss": _gpt_oss,
    "gptj": _gptj,
    "granite": _llama,
    "llama": _llama,
    "mbart": _mbart,
    "mistral": _mistral,
    "mixtral": _mixtral,
    "mpt": _mpt,
    "mt5": _mt5,
    "olmo": _olmo,
    "olmo2": _olmo2,
    "opt": _opt,
    "phi": _phi,
    "phi3": _phi3,
    "phimoe": _phimoe,
    "qwen2": _qwen2,
    "qwen2_moe": _qwen2_moe,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "roberta": _roberta,
    "smollm3": _smollm3,
    "stablelm": _stablelm,
    "starcoder2": _starcoder2,
    "t5": _t5,
    "vit": _vit,
    "whisper": _whisper,
    "xlm-roberta": _roberta,
}
"""How each ``model_type`` is read."""
