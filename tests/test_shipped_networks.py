"""The shipped operator tables: all of them are sound, listed, and what their definitions give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from advisor.describe.named import transformer_names
from advisor.describe.network_table import describe_network, read_table
from advisor.describe.shipped_networks import load_network, network_places, shipped_networks
from advisor.describe.variant import Variant
from advisor.network import NetworkTable
from advisor.render.json import render_operators
from advisor.yaml_io import data_root

ROOT = data_root()
TABLES = ROOT / "models" / "tables"
NAMES = tuple(shipped_networks(ROOT))

MUST_HAVE = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50-32x4d", "vgg16", "alexnet",
    "densenet121", "inception-v3", "mobilenet-v2", "mobilenet-v3-large", "efficientnet-b0",
    "efficientnet-b7", "regnet-y-16gf", "convnext-base", "swin-tiny", "unet-2d", "unet-3d", "yolov5s",
    "ssd300-resnet50", "retinanet-resnet50-fpn", "faster-rcnn-resnet50-fpn", "mask-rcnn-resnet50-fpn",
    "dcgan", "stylegan2-256", "stylegan2-512", "stylegan2-1024", "unet-sd15", "unet-sdxl", "dit-xl-2",
    "tacotron2", "waveglow", "conformer-large", "wav2vec2-base", "lstm-lm", "gnmt", "ncf", "dlrm", "gcn",
)  # fmt: skip


def test_there_are_at_least_eighty_and_every_kind_that_was_promised() -> None:
    assert len(NAMES) >= 80
    assert set(MUST_HAVE) <= set(NAMES)


def test_every_file_is_listed_and_every_name_has_a_file() -> None:
    files = {path.stem for path in TABLES.glob("*.json")} - {"index"}
    assert files == set(NAMES)


def test_names_and_aliases_mean_one_model() -> None:
    every = [
        known for network in shipped_networks(ROOT).values() for known in (network.name, *network.aliases)
    ]
    assert len(every) == len(set(every)) == len(network_places(ROOT))
    assert not set(every) & set(transformer_names(ROOT))


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_sound(name: str) -> None:
    path = TABLES / f"{name}.json"
    table = read_table(path)
    assert table.name == name
    assert table.parameters.total == shipped_networks(ROOT)[name].parameters
    assert render_operators(table) == path.read_text(encoding="utf-8")
    assert table.origin.torch.replace(".", "").isdigit()
    for training in (True, False):
        if table.trace("train" if training else "inference", autocast=False) is None:
            continue
        whole, half = (
            describe_network(table, Variant(compute_bytes=size, autocast=size == 2.0), training=training)
            for size in (4.0, 2.0)
        )
        assert whole.table.flops(1.0) == pytest.approx(half.table.flops(1.0), rel=0.02)
        assert half.working["none"].at(8.0) > 0
        if training:
            assert 0 < half.saved["none"].per_sample <= whole.saved["none"].per_sample * 1.35


def test_a_backward_pass_does_about_twice_the_forward() -> None:
    for name in ("resnet50", "vgg16", "convnext-base", "unet-3d"):
        trace = load_network(ROOT, name).trace("train", autocast=False)
        assert trace is not None
        work = {
            phase: sum(row[3] * row[7] for row in trace.operators if row[2] == phase)
            for phase in ("forward", "backward")
        }
        assert 1.9 < work["backward"] / work["forward"] <= 2.0


def test_a_definition_gives_the_bytes_of_its_table() -> None:
    pytest.importorskip("torch")
    from advisor.zoo.__main__ import build, entries

    manifest = {entry.name: entry for entry in entries(ROOT / "models" / "tables.yaml")}
    assert set(manifest) == set(NAMES)
    for name in ("dcgan", "resnet20-cifar10"):
        path = TABLES / f"{name}.json"
        assert render_operators(build(manifest[name])) == path.read_text(encoding="utf-8")


def test_the_list_is_what_the_manifest_and_the_files_say() -> None:
    pytest.importorskip("torch")
    from advisor.zoo.__main__ import entries, listed

    chosen = list(entries(ROOT / "models" / "tables.yaml"))
    assert listed(chosen, TABLES) == (TABLES / "index.json").read_text(encoding="utf-8")


def test_resnet_50_needs_what_people_measure() -> None:
    """Batch 256 under autocast needs between 10 and 13.5 GB; other tools say anything from 0.3 to 17.8."""
    from advisor import estimate

    answer = estimate(
        {
            "model": {"name": "resnet50"},
            "batch": {"global": 256, "micro": 256},
            "precision": "fp16",
            "optimizer": "sgd",
        },
        gpus=["a100-sxm4-80gb"],
    )
    allocated = answer.estimates[0].memory.allocated_gib * 2**30 / 1e9
    assert 10.0 < allocated < 13.5


def test_a_table_file_is_plain_json(tmp_path: Path) -> None:
    text = (TABLES / "resnet18.json").read_text(encoding="utf-8")
    NetworkTable.model_validate(json.loads(text))
    assert max(len(line) for line in text.splitlines()) < 400
