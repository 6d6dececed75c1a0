"""Published runs of networks are complete, distinct and plausible, and found by their nearness."""

from __future__ import annotations

import csv
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.catalog import shipped_devices
from advisor.errors import InputError
from advisor.evidence import (
    Near,
    NetworkMeasurement,
    comparable_gpus,
    compared,
    load_network_measurements,
    nearest_networks,
    parse_network_measurements,
)
from advisor.evidence.networks import SIMILAR_SPEED
from advisor.hardware import Device
from advisor.service import open_advisor
from advisor.workload_file import build_workload
from advisor.yaml_io import data_root, read_text
from tests.measured_networks import predict, shipped_models, skipped

DEVICES: dict[str, Device] = {device.id: device for device in shipped_devices()}
RUNS = load_network_measurements()
TABLE = data_root() / "measurements" / "networks.csv"
FAMILIES = {
    run.model: next((name for name in ("resnet", "vgg", "densenet") if run.model.startswith(name)), "other")
    for run in RUNS
}
MAX_BYTES = 1_500_000


def near(
    model: str, gpu: str, *, count: int = 1, precision: str = "fp16", micro: int | None = None, **changes: Any
) -> tuple[Near[NetworkMeasurement], ...]:
    asked: dict[str, Any] = {
        "model": model, "family": FAMILIES.get(model, "unknown"), "families": FAMILIES, "gpu": DEVICES[gpu],
        "devices": DEVICES, "count": count, "training": True, "precision": precision, "micro_batch": micro,
    }  # fmt: skip
    return nearest_networks(changes.pop("runs", RUNS), **(asked | changes))


def test_table_is_a_careful_selection_of_known_size() -> None:
    assert 2500 <= sum(run.training for run in RUNS) <= 4000
    assert 200 <= sum(not run.training for run in RUNS) <= 400
    assert TABLE.stat().st_size < MAX_BYTES
    sources = {run.source.split(" ")[0] for run in RUNS}
    assert {
        "lambdal/deeplearning-benchmark", "lambdal/lambda-tensorflow-benchmark", "NVIDIA/DeepLearningExamples",
        "huggingface/pytorch-image-models", "Oneflow-Inc/DLPerf", "facebookresearch/detectron2",
        "NVlabs/stylegan2-ada-pytorch", "jcjohnson/cnn-benchmarks", "mlcommons/training_results_v2.0",
    } <= sources  # fmt: skip


def test_runs_name_devices_of_the_catalog_and_hold_a_result() -> None:
    for run in RUNS:
        device = DEVICES[run.gpu]
        assert not run.cpu or DEVICES[run.cpu].kind == "cpu"
        assert device.kind == "gpu" or (run.count == 1 and run.notes == "without a GPU")
        assert run.throughput is not None or run.memory_gib is not None
        assert (run.memory_gib is None) == (run.memory_kind is None)
        assert not run.cpu or run.cpu_throughput
        assert re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", run.date)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", run.model)
        assert run.source
        assert run.row
        assert run.training or run.accumulation == 1


def test_memory_of_a_run_fits_the_gpu_that_ran_it() -> None:
    for run in RUNS:
        if run.memory_gib is not None:
            assert run.memory_gib <= DEVICES[run.gpu].memory.size_gib * 1.005, run


def test_units_fit_the_networks() -> None:
    per_unit = {(run.model, run.unit): {run.units_per_sample} for run in RUNS}
    for run in RUNS:
        per_unit[run.model, run.unit].add(run.units_per_sample)
        if run.unit in ("images/s", "samples/s"):
            assert run.units_per_sample == 1
    assert all(len(values) == 1 for values in per_unit.values())
    assert len({model for model, _ in per_unit}) == len(per_unit), "a network is measured in one unit only"


def test_no_run_is_listed_twice() -> None:
    unequal = {"date", "runs", "row", "throughput", "memory_gib", "cpu_throughput"}
    seen = [run.model_dump(exclude=unequal).items() for run in RUNS]
    assert len({tuple(items) for items in seen}) == len(seen)


def test_half_precision_weights_come_with_half_precision() -> None:
    assert all(run.precision == "fp16" for run in RUNS if run.master_weights == "none")
    for run in RUNS:
        if run.precision == "tf32":
            assert DEVICES[run.gpu].tensor is not None, run


def test_table_is_sorted_and_holds_no_quoted_line_breaks() -> None:
    lines = read_text(TABLE).splitlines()
    assert len(lines) == len(RUNS) + 1
    assert [run.model for run in RUNS] == sorted(run.model for run in RUNS)
    width = len(lines[0].split(","))
    assert {len(cells) for cells in csv.reader(lines)} == {width}


def test_known_figures_are_in_the_table() -> None:
    (ssd,) = [
        run for run in RUNS
        if (run.model, run.gpu, run.count, run.precision, run.micro_batch, run.trainer)
        == ("ssd300-resnet50", "a100-sxm4-80gb", 1, "fp16", 64, "tuned") and run.training
    ]  # fmt: skip
    assert ssd.throughput == 662.91
    (mask,) = [
        run for run in RUNS
        if run.source.startswith("facebookresearch/detectron2") and "mask_rcnn_R_50_FPN_1x.yaml" in run.row
        and run.training
    ]  # fmt: skip
    assert (mask.memory_kind, mask.gpu, mask.micro_batch) == ("allocated", "v100-sxm2-16gb", 2)


def test_samples_and_batches_follow_from_the_cells() -> None:
    xl = next(run for run in RUNS if run.model == "transformer-xl-base" and run.throughput)
    assert xl.samples_per_s == pytest.approx((xl.throughput or 0) / 192)
    stylegan = [run for run in RUNS if run.source.startswith("NVlabs/stylegan2 ")]
    assert stylegan
    assert {run.global_batch for run in stylegan} == {32}


def test_documents_are_workloads_that_fix_what_the_run_fixed() -> None:
    for run in RUNS[::7]:
        workload = build_workload(run.document, "measured", None)
        assert workload.precision == run.precision
        assert workload.memory_format == run.memory_format
        if run.training:
            assert (workload.batch.micro, workload.batch.global_size) == (run.micro_batch, run.global_batch)
            assert (workload.optimizer == "none") == (not run.optimizer_step)
        else:
            assert workload.inference.batch == run.micro_batch


def test_loading_reads_the_asked_models_and_gpus_only() -> None:
    some = load_network_measurements(models=frozenset({"gnmt", "ncf"}), gpus=frozenset({"titan-rtx"}))
    assert {(run.model, run.gpu) for run in some} == {("gnmt", "titan-rtx"), ("ncf", "titan-rtx")}
    assert some == tuple(run for run in RUNS if run.model in ("gnmt", "ncf") and run.gpu == "titan-rtx")
    assert load_network_measurements(models=frozenset()) == ()


@pytest.mark.parametrize("gpu", ["t4", "rtx-4090", "a100-sxm4-80gb", "apple-m3", "core-i9-10940x"])
@pytest.mark.parametrize("training", [True, False])
def test_reading_the_comparable_gpus_and_the_family_is_enough(gpu: str, training: bool) -> None:
    comparable = comparable_gpus(DEVICES[gpu], DEVICES.values())
    assert gpu in comparable
    assert {DEVICES[each].kind for each in comparable} == {DEVICES[gpu].kind}
    relatives = frozenset(name for name, family in FAMILIES.items() if family == "resnet") - {"resnet50"}
    own = load_network_measurements(gpus=comparable, models=frozenset({"resnet50"}))
    family = load_network_measurements(gpus=frozenset({gpu}), models=relatives)
    asked: dict[str, Any] = {"precision": "fp32", "training": training, "limit": 40}
    assert near("resnet50", gpu, runs=own + family, **asked) == near("resnet50", gpu, **asked)


def test_the_same_network_on_the_same_gpu_comes_first() -> None:
    found = near("resnet50", "v100-sxm2-16gb", micro=256, limit=4)
    assert {(each.measurement.model, each.measurement.gpu) for each in found} == {
        ("resnet50", "v100-sxm2-16gb")
    }
    assert found[0].measurement.micro_batch == 256
    assert found[0].measurement.count == 1
    assert found[0].similarity.startswith("same GPU; same network, v1.5, fp16, micro-batch 256")
    assert [each.distance for each in found] == sorted(each.distance for each in found)


def test_then_the_same_network_on_a_gpu_of_the_architecture_then_one_of_similar_speed() -> None:
    found = near("resnet50", "h200-sxm-141gb", count=8, limit=200)
    kinds = [each.similarity.split(";")[0].rpartition(", ")[2] for each in found]
    assert kinds[0] == "the same architecture"
    assert kinds == sorted(kinds, key=["the same architecture", "of similar speed"].index)
    assert set(kinds) == {"the same architecture", "of similar speed"}
    for each in found:
        device = DEVICES[each.measurement.gpu]
        if device.architecture != "Hopper":
            ratio = DEVICES["h200-sxm-141gb"].memory.bandwidth_gb_s / device.memory.bandwidth_gb_s
            assert ratio <= SIMILAR_SPEED**2


def test_then_the_family_on_the_same_gpu() -> None:
    runs = [run for run in RUNS if run.model != "resnet34"]
    found = near("resnet34", "titan-xp", runs=runs, limit=50)
    assert found
    assert all(each.measurement.model.startswith("resnet") for each in found)
    assert all("instead of resnet34" in each.similarity for each in found)
    assert {each.measurement.gpu for each in found} == {"titan-xp"}


def test_similarity_names_every_difference() -> None:
    (found,) = near("resnet152", "rx-6800", precision="bf16", micro=64, count=2, limit=1)
    assert found.similarity == (
        "same GPU; same network, v1.5, fp16 instead of bf16, micro-batch 12 instead of 64, 1 GPU, "
        "without a step of the optimizer"
    )
    (diffusion,) = near("unet-sd15", "t4", micro=2, limit=1)
    assert "only unet trained" in diffusion.similarity
    (processor,) = near("resnet50", "core-i9-10940x", training=False, precision="fp32", limit=1)
    assert processor.similarity.startswith("same processor; same network")


def test_training_and_inference_are_not_mixed_nor_processors_and_gpus() -> None:
    for training in (True, False):
        found = near("resnet50", "t4", training=training, limit=100)
        assert found
        assert all(each.measurement.training == training for each in found)
    for gpu in ("core-i9-10940x", "gtx-1050-2gb"):
        found = near("resnet50", gpu, training=False, precision="fp32", limit=100)
        assert {DEVICES[each.measurement.gpu].kind for each in found} <= {DEVICES[gpu].kind}


def test_nothing_is_near_to_an_unknown_network_without_relatives() -> None:
    assert near("my-network", "v100-sxm2-16gb") == ()


def test_nearest_repeats_no_setting_and_does_not_depend_on_the_order() -> None:
    first = near("resnet50", "a100-sxm4-80gb", count=4, micro=256, limit=20)
    shuffled = list(RUNS)
    random.Random(7).shuffle(shuffled)
    assert near("resnet50", "a100-sxm4-80gb", count=4, micro=256, limit=20, runs=shuffled) == first
    settings = [
        (run.model, run.gpu, run.count, run.precision, run.input)
        for run in (each.measurement for each in first)
    ]
    assert len(settings) == len(set(settings)) == 20


@given(
    run=st.sampled_from([run for run in RUNS if run.training and not run.input]),
    limit=st.integers(1, 5),
)
def test_a_run_asked_for_exactly_is_found_on_its_own_gpu(run: NetworkMeasurement, limit: int) -> None:
    found = near(
        run.model, run.gpu, count=run.count, precision=run.precision, micro=run.micro_batch, limit=limit
    )
    assert 1 <= len(found) <= limit
    best = found[0].measurement
    assert (best.model, best.gpu, best.count) == (run.model, run.gpu, run.count)
    assert found[0].distance <= 1.75, "no further than the fixed parts that the question leaves open"


def test_compared_pairs_speed_else_memory_with_its_prediction() -> None:
    found = near("resnet50", "v100-sxm2-16gb", limit=1)
    (speed,) = compared(found, lambda run: 1000.0, lambda run: None)
    assert (speed.measured, speed.unit) == (found[0].measurement.throughput, "images/s")
    only_memory = [run for run in RUNS if run.throughput is None]
    assert only_memory
    (memory,) = compared([Near(only_memory[0], 0.0, "")], lambda run: 1.0, lambda run: 3.0)
    assert memory.predicted == 3.0
    assert memory.unit == f"GiB {only_memory[0].memory_kind}"
    assert list(compared(found, lambda run: None, lambda run: 1.0)) == []


def test_predictions_are_finite_and_in_the_unit_of_the_run() -> None:
    advisor = open_advisor()
    shipped = shipped_models()
    asked = [run for run in RUNS if skipped(run, shipped) is None]
    assert {run.model for run in asked} >= {"vit-b-16"}
    for run in asked[:: max(len(asked) // 25, 1)]:
        prediction = predict(run, advisor)
        assert 0 < prediction.allocated_gib <= prediction.required_gib
        assert (prediction.throughput is None) != prediction.fits
        assert prediction.throughput is None or 0 < prediction.throughput < 1e9


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",train,", ",training,", "task"),
        (",fp16,", ",half,", "precision"),
        (",images/s,1,", ",images/s,0,", "units_per_sample"),
        (",false,sgd-momentum,", ",maybe,sgd-momentum,", "compile"),
        (",images/s,", ",", "cells"),
    ],
)
def test_damaged_cells_are_refused(old: str, new: str, words: str) -> None:
    header, *lines = read_text(TABLE).splitlines()
    damaged = next(line for line in lines if old in line).replace(old, new, 1)
    with pytest.raises(InputError) as error:
        parse_network_measurements(f"{header}\n{damaged}\n", "test.csv")
    assert "test.csv:2" in str(error.value)
    assert words in str(error.value)


def test_missing_columns_are_refused() -> None:
    with pytest.raises(InputError, match="columns"):
        parse_network_measurements("model,gpu\nresnet50,t4\n", "test.csv")
    with pytest.raises(InputError, match="columns"):
        parse_network_measurements("", "test.csv")
