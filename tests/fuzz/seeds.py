"""Valid documents to start from: those of the repository where it has them, small ones where it has not."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from advisor.yaml_io import data_root, read_yaml

DATA = Path(__file__).parent.parent / "data"

_DECODER = {
    "kind": "decoder", "layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "ffn": 14336, "vocab": 128256,
    "gated_ffn": True, "tied_embeddings": False, "max_positions": 8192, "sliding_window": 4096,
    "global_layers_every": 6,
}  # fmt: skip
_EXPERTS = {
    "layers": 4, "hidden": 512, "heads": 8, "ffn": 1024, "vocab": 32000, "experts": 8, "active_experts": 2,
    "expert_ffn": 512,
    "shared_expert_ffn": 256, "dense_layers": 1, "latent_attention": {
        "query_rank": 64, "key_value_rank": 32, "rope_head_dim": 16, "nope_head_dim": 32, "value_head_dim": 32,
    },
}  # fmt: skip
_IMAGE = {
    "kind": "encoder", "layers": 12, "hidden": 768, "heads": 12, "ffn": 3072, "vocab": 0, "image_size": 224,
    "patch_size": 16,
    "class_token": True, "position": "learned", "head": "classifier", "classes": 1000, "norm": "layernorm",
    "qkv_bias": True,
}  # fmt: skip
_SPEECH = {
    "kind": "encoder-decoder", "layers": 6, "decoder_layers": 6, "hidden": 512, "heads": 8, "ffn": 2048, "vocab": 51865,
    "audio_channels": 80, "position": "sinusoidal", "max_positions": 1500, "decoder_max_positions": 448,
    "norm": "layernorm",
}  # fmt: skip
_FULL = {
    "name": "support assistant", "model": {"transformer": _DECODER}, "task": "finetune", "method": "qlora",
    "lora": {"rank": 16, "targets": ["all-linear"]}, "data": {"tokens": 50_000_000, "sequence_length": 2048,
    "epochs": 2.0},
    "batch": {"global": 64, "micro": 4}, "precision": "bf16", "master_weights": "auto", "optimizer": "adamw-8bit",
    "checkpointing": "full", "attention": "flash", "sharding": "auto", "compile": True, "memory_format": "auto",
    "software": {"framework": "pytorch", "version": "2.9", "trainer": "tuned", "fused_loss": True},
    "constraints": {
        "budget_usd": 3000.0, "deadline_h": 72.0, "max_count": 8, "max_power_w": 4000.0, "vendors": ["nvidia", "amd"],
        "segments": ["consumer", "workstation", "datacenter"], "min_memory_gib": 8.0, "ecc": False,
        "acquire": ["buy", "rent"],
        "quoted": False,
    },
    "economics": {
        "country": "DE", "electricity_usd_per_kwh": 0.18, "carbon_g_per_kwh": 380.0, "pue": 1.2, "hours_per_week": 40.0,
        "horizon_years": 3.0, "residual_share": 0.2, "idle_share": 0.1, "host_usd_per_gpu": "auto", "spot": True,
        "spot_overhead": 0.15, "minimum_rental_h": 1.0,
    },
    "host": {"power_supply_w": 850, "pcie_slots": 2, "max_card_length_mm": 330},
}  # fmt: skip

WORKLOADS: tuple[Any, ...] = (
    _FULL,
    {"model": {"name": "llama-3.1-8b"}, "method": "lora", "data": {"tokens": "50M"}},
    {"model": {"name": "resnet50"}, "data": {"samples": 1281167, "epochs": 90}, "batch": {"global": 256,
    "micro": "auto"}},
    {"model": {"name": "gpt2"}, "task": "inference", "inference": {"batch": 1, "prompt_tokens": 512,
    "new_tokens": 128, "kv_cache": "fp8"}},
    {"model": {"name": "gpt2"}, "task": "inference", "precision": "int4", "inference": {"batch": 4}},
    {"model": {"name": "bert-base"}, "data": {"steps": 1000, "sequence_length": 128}, "optimizer": "sgd",
    "precision": "fp32"},
    {"name": "two", "model": {"transformer": _DECODER}, "sharding": {"data": 2, "tensor": 1, "pipeline": 1,
    "strategy": "fsdp"}},
    {"model": {"transformer": _EXPERTS}, "data": {"tokens": 2e9}, "batch": {"global": 32}},
    {"model": {"transformer": _IMAGE}, "data": {"samples": 50000, "epochs": 3}},
    {"model": {"transformer": _SPEECH}, "data": {"samples": 50000, "epochs": 3.5}, "batch": {"micro": 2}},
    {"model": {"name": "alexnet"}, "task": "inference", "inference": {"batch": 32}},
    {"model": {"name": "dlrm"}, "data": {"samples": 10**9}},
    {"model": {"trees": {
        "rows": 11_000_000, "features": 28, "trees": 500, "depth": 8, "leaves": 255, "bins": 256, "library": "lightgbm",
        "classes": 1, "values_per_row": 20,
    }}},
    {"model": {"random_forest": {"rows": 100_000, "features": 20}}},
    {"model": {"svm": {"rows": 10_000, "features": 20}}},
    {"model": {"kmeans": {"rows": 10_000, "features": 20, "clusters": 8}}},
    {"model": {"knn": {"rows": 10_000, "features": 20, "queries": 100}}},
    {"model": {"pca": {"rows": 10_000, "features": 20, "components": 4}}},
    {"model": {"torch": {
        "factory": "mymodel:build", "args": {"width": 64}, "input": {"shape": [3, 32, 32], "dtype": "float32"},
        "loss": "cross-entropy",
    }}},
    {"model": {"table": "x.table.json"}},
    {"model": {"huggingface": "config.json"}},
    "gpt2",
)  # fmt: skip


def rich_workload(rng: random.Random) -> Any:
    """Return a workload that says much: most changes of a short one hit what it cannot do without."""
    document = copy.deepcopy(rng.choice([each for each in WORKLOADS[:14] if isinstance(each, dict)]))
    serves = document.get("task") == "inference"
    for field, value in _FULL.items():
        skipped = field in ("model", "task", "method", "sharding") or (
            serves and field in ("data", "batch", "lora")
        )
        if field not in document and not skipped and rng.random() < 0.4:
            document[field] = copy.deepcopy(value)
    return document


QUOTES: tuple[Any, ...] = (
    {"quotes": [
        {"vendor": "Wolke AG", "gpu": "H100 SXM", "unit_price": 15.20, "currency": "EUR", "per": "hour",
        "gpus_per_instance": 8,
         "date": "2026-11-18", "valid_until": "2027-06-30"},
        {"vendor": "Acme", "gpu": "RTX 4090", "unit_price": 1650.0, "currency": "USD", "quantity": 2,
         "lead_time_days": 14, "date": "2026-11-18", "note": "new"},
    ]},
    [{"vendor": "Acme", "gpu": "L40S", "unit_price": 7450, "currency": "EUR", "quantity": 3}],
)  # fmt: skip

PROFILE: Any = {
    "schema": "gpu-advisor/calibration/1", "date": "2026-11-01", "mode": "quick",
    "device": {
        "kind": "gpu", "backend": "cuda", "name": "NVIDIA GeForce RTX 4090", "gpu": "rtx-4090", "memory_mib": 24564.0,
        "compute_capability": "8.9", "units": 128, "clock_mhz": 2520.0, "power_limit_w": 450.0,
        "default_power_limit_w": 450.0,
        "pcie_generation": 4, "pcie_lanes": 16, "cache_mib": 72.0,
    },
    "software": {"torch": "2.13.0", "python": "3.13.0", "gpu_advisor": "1", "driver": "580.1"},
    "host": {"system": "Linux x86_64", "cores": 16, "memory_gib": 64.0},
    "context_mib": 400.0,
    "warnings": ["hot"],
    "tests": [],
}  # fmt: skip

SESSION: Any = {
    "version": 1, "source": "llama-3.1-8b", "settings": {"method": "lora", "data.tokens": "50e6", "batch.micro": "8"},
    "objective": "cost", "compared": [{"gpu": "rtx-4090", "count": 1}, {"gpu": "rtx-3090", "count": 2}],
    "theme": "advisor-light",
    "mode": "decide", "shows_excluded": False, "sort_key": "memory", "sort_reverse": True,
}  # fmt: skip

FLEETS: tuple[Any, ...] = (
    {
        "name": "group",
        "workloads": [
            {"name": "tune", "runs_per_month": 4, "deadline_h": 48.0,
             "workload": {"model": {"name": "gpt2"}, "method": "lora", "data": {"tokens": 50_000_000}}},
            {"runs_per_week": 7, "acquire": ["buy"], "workload": {"model": {"trees": {"rows": 11e6, "features": 28}}}},
            {"name": "chat", "requests_per_s": 4.0, "hours_per_week": 60.0,
             "workload": {"model": {"name": "gpt2"}, "task": "inference", "inference": {"prompt_tokens": 100,
             "batch": 8}}},
        ],
        "constraints": {"budget_usd": 60000.0, "vendors": ["nvidia", "amd"], "min_memory_gib": 8.0,
        "max_power_w": 5000.0},
        "economics": {"country": "DE", "residual_share": 0.2, "idle_share": 0.5, "horizon_years": 3.0},
        "utilisation": 0.8, "cautious": True,
    },
    {"workloads": [{"runs": 3, "workload": "alexnet"}]},
    {"workloads": [{"runs_per_year": 12, "workload": {"model": {"name": "bert-base"}, "data": {"steps": 100}}}]},
)  # fmt: skip

HUB_ABOUT: Any = {
    "id": "org/name", "sha": "0123456789abcdef0123456789abcdef01234567", "tags": ["base_model:org/base"],
    "siblings": [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}],
    "safetensors": {"total": 8030261248, "parameters": {"BF16": 8030261248}},
}  # fmt: skip


def profile_with(tests: Iterable[str], **device: object) -> Any:
    """Return a profile with results of tests of the suite, a copy and a collective.

    Args:
        tests: names.
        device: fields of the device that are others; null leaves one out.
    """
    timing = {"median_s": 0.01, "spread": 1.01, "repeats": 9, "stable": True}
    times = dict.fromkeys(("forward", "backward", "optimizer", "inference", "step", "replayed"), timing)
    own = {key: value for key, value in (PROFILE["device"] | device).items() if value is not None}
    return PROFILE | {
        "device": own,
        "tests": [
            {"test": test, "precision": precision, "batch": batch, "power_w": 400.0, **times}
            for test in tests for precision, batch in (("bf16", 4096), ("fp32", 1024))
        ],
        "transfers": [{"direction": "to device", "pinned": True, "size_bytes": 2**28, "timing": timing}],
        "collectives": [
            {"operation": "all-reduce", "ranks": 2, "nodes": 1, "library": "nccl", "size_bytes": size, "timing": timing}
            for size in (1024, 2**28)
        ],
        "sensors": {"idle_w": 20.0, "highest_w": 440.0, "clock_mhz": 2500.0, "throttled": ["power limit 83 %"]},
    }  # fmt: skip


@lru_cache(maxsize=1)
def configs() -> tuple[Any, ...]:
    """Return published ``config.json`` documents."""
    found = [json.loads(path.read_text()) for path in sorted((DATA / "configs").glob("*.json"))]
    for config in found:
        # A thousand labels hide everything else from a mutation.
        for name in ("id2label", "label2id"):
            if name in config:
                config[name] = dict(list(config[name].items())[:3])
    return tuple(found)


@lru_cache(maxsize=1)
def tables() -> tuple[Any, ...]:
    """Return small operator tables as ``describe`` writes them."""
    root = data_root() / "models" / "tables"
    found = [
        json.loads((root / f"{name}.json").read_text())
        for name in ("mlp-mnist", "lstm-lm", "cnn-mnist", "ncf", "alexnet")
    ]
    return tuple(found)


@lru_cache(maxsize=1)
def overlays() -> tuple[Any, ...]:
    """Return catalog files of one or two devices."""
    found = []
    for name in (
        "gpus/nvidia/ada",
        "gpus/nvidia/hopper",
        "gpus/amd/instinct",
        "gpus/apple/m-series",
        "gpus/intel/arc",
        "cpus/amd",
    ):
        document: Any = read_yaml(data_root() / f"{name}.yaml")
        for key, device in list(document["devices"].items())[:4]:
            own = yaml.safe_load(yaml.safe_dump(device))
            found.append({"defaults": document.get("defaults", {}), "devices": {f"my-{key}": own}})
            found.append({"devices": {key: {"memory": {"size_gib": 48}, "name": "Mine"}}})
    return tuple(found)


@lru_cache(maxsize=1)
def price_tables() -> tuple[bytes, ...]:
    """Return files of quotes as vendors write them."""
    folders = (DATA / "quotes", DATA / "procurement")
    return tuple(
        path.read_bytes()
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in (".csv", ".txt")
    )
