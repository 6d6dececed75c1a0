"""Published measurements are complete, distinct, and found by their nearness."""

from __future__ import annotations

import random
import re

import pytest

from advisor.catalog import shipped_devices
from advisor.describe.named import load_named
from advisor.errors import InputError
from advisor.evidence import (
    STYLES,
    Measurement,
    Near,
    Question,
    compared,
    distance,
    load_measurements,
    nearest,
    parse_measurements,
)
from advisor.hardware import Device
from advisor.workload import Method, Transformer
from advisor.yaml_io import data_root, read_text
from tests.measured import predict

DEVICES: dict[str, Device] = {device.id: device for device in shipped_devices()}
RUNS = load_measurements()
TABLE = data_root() / "measurements" / "transformers.csv"


def named(name: str) -> Transformer:
    return load_named(data_root(), name).transformer


def near(
    model: str, gpu: str, count: int = 1, method: Method = "full", length: int | None = None, limit: int = 3
) -> tuple[Near, ...]:
    return nearest(
        RUNS, transformer=named(model), gpu=DEVICES[gpu], devices=DEVICES, count=count, method=method,
        training=True, sequence_length=length, limit=limit,
    )  # fmt: skip


def test_table_is_a_careful_selection_of_known_size() -> None:
    assert 400 <= len(RUNS) <= 1200
    sources = {run.source.split(" ")[0] for run in RUNS}
    assert {
        "mosaicml/llm-foundry", "Lightning-AI/litgpt", "huggingface/transformers", "pytorch/torchtune",
        "huggingface/peft", "QwenLM/Qwen", "unslothai/unsloth", "bigscience-workshop/bigscience",
        "Oneflow-Inc/DLPerf", "NVIDIA/DeepLearningExamples", "lambdal/deeplearning-benchmark",
        "pytorch/torchtitan", "NVIDIA/NeMo", "NVIDIA-NeMo/Megatron-Bridge",
    } <= sources  # fmt: skip


def test_runs_name_gpus_of_the_catalog_and_hold_a_result() -> None:
    for run in RUNS:
        assert run.gpu in DEVICES
        assert run.style in STYLES
        assert re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", run.date)
        assert run.source
        assert run.row
        assert run.runs >= 1
        assert run.tokens_per_s is None or run.tokens_per_s > 0
        assert (run.memory_gib is None) == (run.memory_kind is None)
        assert run.memory_kind in (None, "allocated", "reserved", "device")
        assert run.tokens_per_s or run.memory_gib or not run.fits


def test_layouts_and_batches_multiply() -> None:
    for run in RUNS:
        assert run.data * run.tensor * run.pipeline == run.count, run
        assert run.global_batch % (run.data * run.micro_batch) == 0, run
        assert (run.strategy == "none") == (run.data == 1), run


def test_workloads_are_valid_and_fix_what_the_run_fixed() -> None:
    for run in RUNS:
        workload = run.workload
        assert workload.precision == run.precision
        assert workload.batch.micro == run.micro_batch
        assert workload.data.sequence_length == run.sequence_length
        assert (workload.method == "full") == (run.lora_rank is None)


def test_no_run_is_listed_twice() -> None:
    fields = [
        name for name in Measurement.__annotations__ if name not in ("date", "runs", "source", "row", "note")
    ]
    seen = [tuple(getattr(run, name) for name in fields) for run in RUNS]
    assert len(seen) == len(set(seen))


def test_no_run_is_faster_than_the_gpu() -> None:
    for run in RUNS:
        if run.tokens_per_s is None or run.experts:
            continue
        model = run.transformer
        matrices = 3 if model.gated_ffn else 2
        layer = model.hidden * (
            model.head_size * 2 * (model.heads + model.kv_head_count) + matrices * model.ffn
        )
        passes = 6 if run.method == "full" else 4
        flops = passes * layer * model.layers * run.tokens_per_s / run.count
        device = DEVICES[run.gpu]
        peak = max([device.compute.fp32_tflops, *(r.tflops for r in device.tensor.rates)] if device.tensor else
                   [device.compute.fp32_tflops])  # fmt: skip
        assert flops < 0.95e12 * peak, run


def test_known_figures_are_in_the_table() -> None:
    (mpt,) = [
        run for run in RUNS
        if (run.model, run.gpu, run.count, run.sequence_length) == ("mpt-7b", "a100-sxm4-80gb", 8, 2048)
    ]  # fmt: skip
    assert (mpt.micro_batch, mpt.tokens_per_s, mpt.strategy) == (6, 37130, "fsdp")
    memory = {
        (run.method, run.micro_batch): run.memory_gib
        for run in RUNS
        if run.model == "llama-2-7b" and run.gpu == "a100-sxm4-40gb" and run.memory_kind == "allocated"
    }
    assert memory["lora", 1] == pytest.approx(21.30e9 / 2**30, rel=1e-3)
    assert memory["qlora", 1] == pytest.approx(14.14e9 / 2**30, rel=1e-3)


def test_the_same_model_on_the_same_gpu_comes_first() -> None:
    found = near("mpt-7b", "a100-sxm4-80gb", count=8, length=2048)
    assert found[0].measurement.model == "mpt-7b"
    assert found[0].measurement.tokens_per_s == 37130
    assert found[0].similarity == "same GPU; same dimensions, sequence 2048"
    far = near("mpt-7b", "a100-sxm4-80gb", count=1, length=512)
    assert {each.measurement.model for each in far} == {"mpt-7b"}


def test_similarity_names_every_difference() -> None:
    (found,) = near("gpt2", "a100-pcie-40gb", count=4, length=900, limit=1)
    assert "same architecture" in found.similarity
    assert " instead of 900" in found.similarity
    assert found.similarity.endswith("8 GPUs")
    (mistral,) = near("llama-3.1-8b", "a100-sxm4-80gb", method="lora", length=2048, limit=1)
    assert re.fullmatch(r"same GPU; \S+ instead of \S+, sequence 2048.*", mistral.similarity)


def test_nearest_does_not_depend_on_the_order_and_repeats_no_setting() -> None:
    question = {
        "transformer": named("llama-3.1-8b"), "gpu": DEVICES["h100-sxm5-80gb"], "devices": DEVICES, "count": 8,
        "method": "full", "training": True, "sequence_length": 4096, "limit": 8,
    }  # fmt: skip
    first = nearest(RUNS, **question)  # type: ignore[arg-type]
    shuffled = list(RUNS)
    random.Random(7).shuffle(shuffled)
    assert nearest(shuffled, **question) == first  # type: ignore[arg-type]
    settings = [(run.gpu, run.count, run.model, run.method, run.sequence_length) for run in
                (each.measurement for each in first)]  # fmt: skip
    assert len(settings) == len(set(settings)) == 8
    assert all(
        DEVICES[each.measurement.gpu].architecture == DEVICES["h100-sxm5-80gb"].architecture for each in first
    )


def test_nothing_is_near_to_inference_or_to_an_unmeasured_architecture() -> None:
    asked = {"transformer": named("gpt2"), "devices": DEVICES, "count": 1, "method": "full"}
    assert nearest(RUNS, gpu=DEVICES["a100-sxm4-80gb"], training=False, **asked) == ()  # type: ignore[arg-type]
    lonely = next(device for device in shipped_devices() if device.vendor == "apple")
    assert nearest(RUNS, gpu=lonely, training=True, **asked) == ()  # type: ignore[arg-type]


def test_distance_to_itself_is_zero_and_grows_with_each_difference() -> None:
    run = next(run for run in RUNS if run.tokens_per_s and run.method == "lora" and run.count == 1)
    itself = Question(run.transformer, DEVICES[run.gpu], run.count, run.method, run.sequence_length)
    assert distance(run, itself) == 0
    assert distance(run, Question(run.transformer, DEVICES[run.gpu], 1, "qlora", run.sequence_length)) == 1
    assert distance(run, Question(run.transformer, DEVICES["gtx-1080"], 1, run.method, None)) == 2
    assert distance(run, Question(run.transformer, DEVICES[run.gpu], 4, run.method, None)) == 2


def test_runs_that_failed_are_no_evidence_of_speed() -> None:
    assert any(not run.fits for run in RUNS)
    for gpu in ("a100-sxm4-40gb", "a10g", "v100-sxm2-16gb"):
        assert all(each.measurement.fits for each in near("llama-2-7b", gpu, limit=50))


def test_compared_pairs_what_is_published_with_what_is_predicted() -> None:
    found = near("llama-2-7b", "a100-sxm4-40gb", method="lora", limit=1)
    (pair,) = compared(found, lambda run: None, lambda run: 20.0)
    assert (pair.predicted, pair.unit) == (20.0, "GiB allocated")
    assert list(compared(found, lambda run: None, lambda run: None)) == []
    fast = near("mpt-7b", "a100-sxm4-80gb", count=8, limit=1)
    (speed,) = compared(fast, lambda run: 40000.0, lambda run: None)
    assert (speed.measured, speed.unit) == (fast[0].measurement.tokens_per_s, "tokens/s")


def test_predictions_are_finite_and_of_the_measured_layout() -> None:
    from advisor.service import open_advisor

    advisor = open_advisor()
    for run in RUNS[::25]:
        prediction = predict(run, advisor)
        assert 0 < prediction.step_time_s < 1e5
        assert 0 < prediction.allocated_gib <= prediction.reserved_gib <= prediction.device_gib


@pytest.mark.parametrize(
    ("old", "new"),
    [(",h100-sxm5-80gb,8,", ",h100-sxm5-80gb,eight,"), (",mpt,", ",unknown,"), (",true,1,", ",perhaps,1,")],
)
def test_damaged_cells_are_refused(old: str, new: str) -> None:
    lines = [f",{line}," for line in read_text(TABLE).splitlines()]
    damaged = next(line for line in lines if old in line).replace(old, new, 1)[1:-1]
    with pytest.raises(InputError):
        parse_measurements(f"{lines[0][1:-1]}\n{damaged}\n", "test.csv")


def test_missing_columns_are_refused() -> None:
    with pytest.raises(InputError, match="columns"):
        parse_measurements("gpu,count\na100-sxm4-80gb,1\n", "test.csv")
