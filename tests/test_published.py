"""Where other tools fail on published runs, this one holds. Each case names the publication it is held against."""

from __future__ import annotations

import pytest

from advisor.documents import EstimateDocument
from advisor.service import Advisor, open_advisor
from advisor.workload import Workload

GB_PER_GIB = 2**30 / 1e9


@pytest.fixture(scope="module")
def advisor() -> Advisor:
    return open_advisor()


def estimate(advisor: Advisor, model: str, gpu: str, count: int = 1, **fields: object) -> EstimateDocument:
    workload = Workload.model_validate({"model": {"name": model}, **fields})
    return advisor.estimate(workload, gpus=[gpu], count=count).estimates[0]


LITGPT = {
    "lora": {"rank": 8, "targets": ["query", "value"]},
    "data": {"sequence_length": 1304},
    "batch": {"global": 1, "micro": 1},
    "checkpointing": "none",
    "master_weights": "none",
}


@pytest.mark.parametrize(("method", "published_gb"), [("lora", 21.30), ("qlora", 14.14)])
def test_llama_2_7b_adapters_within_a_tenth_of_litgpts_peak(
    advisor: Advisor, method: str, published_gb: float
) -> None:
    """Lightning-AI/litgpt tutorials/resource-tables.md, 2023-10: max_memory_allocated on an A100-40GB."""
    found = estimate(advisor, "llama-2-7b", "a100-sxm4-40gb", method=method, **LITGPT)
    assert found.memory.allocated_gib * GB_PER_GIB == pytest.approx(published_gb, rel=0.10)


def test_gpt2_batch_32_with_unfused_loss_does_not_fit_24_gb(advisor: Advisor) -> None:
    """The fp32 logits alone are 32,768 x 50,257 x 4 bytes, and they exist more than once."""
    for gpu in ("rtx-3090", "rtx-4090"):
        found = estimate(
            advisor, "gpt2", gpu, data={"sequence_length": 1024}, batch={"global": 32, "micro": 32},
            checkpointing="none",
        )  # fmt: skip
        assert not found.fits
        assert found.memory.temporary_gib > 32 * 1024 * 50257 * 4 / 2**30
        assert found.would_fit


def test_8b_full_fine_tune_is_sharded_before_it_is_refused(advisor: Advisor) -> None:
    job = {"task": "finetune", "data": {"sequence_length": 2048}}
    assert not estimate(advisor, "llama-3.1-8b", "rtx-4090", 1, **job).fits
    eight = estimate(advisor, "llama-3.1-8b", "rtx-4090", 8, **job)
    assert eight.fits
    assert eight.plan.sharding.strategy != "ddp"


def test_mpt_7b_on_8_a100_within_15_percent_without_a_given_efficiency(advisor: Advisor) -> None:
    """mosaicml/llm-foundry scripts/train/benchmarking/README.md, 2024-04: 37,130 tokens/s."""
    found = estimate(
        advisor, "mpt-7b", "a100-sxm4-80gb", 8, data={"sequence_length": 2048},
        batch={"global": 384, "micro": 6}, checkpointing="none", sharding="fsdp", precision="bf16",
    )  # fmt: skip
    assert found.fits
    assert found.tokens_per_s is not None
    assert found.tokens_per_s.value == pytest.approx(37_130, rel=0.15)


def test_mixtral_counts_all_experts_in_memory_and_the_active_ones_in_time(advisor: Advisor) -> None:
    job = {"method": "qlora", "data": {"sequence_length": 1024}, "batch": {"global": 8, "micro": 1}}
    mixtral = estimate(advisor, "mixtral-8x7b", "a100-sxm4-80gb", **job)
    assert mixtral.memory.parameters_gib > 46.7e9 * 0.5 / 2**30
    dense = estimate(advisor, "llama-2-70b", "a100-sxm4-80gb", **job)
    assert mixtral.step_time_s is not None
    assert dense.step_time_s is not None
    ratio = mixtral.step_time_s.value / dense.step_time_s.value
    assert 12.9 / 69 * 0.8 < ratio < 46.7 / 69 * 0.8


def test_tied_embeddings_are_counted_once(advisor: Advisor) -> None:
    (note,) = advisor.estimate(
        Workload.model_validate({"model": {"name": "gpt2"}}), gpus=["rtx-4090"]
    ).warnings
    assert "124,439,808 parameters" in note


@pytest.mark.parametrize("gpu", ["v100-sxm2-16gb", "t4"])
def test_volta_and_turing_train_in_fp16_and_never_in_slow_bf16(advisor: Advisor, gpu: str) -> None:
    found = estimate(advisor, "bert-base", gpu, data={"sequence_length": 128})
    assert found.plan.precision == "fp16"


def test_a_24_gb_card_does_not_offer_24_gib(advisor: Advisor) -> None:
    for gpu, visible in (("rtx-4090", 23.65), ("rtx-3090", 23.69)):
        (found,) = advisor.gpu(gpu).gpus
        assert found.available_gib == pytest.approx(visible, rel=0.01)


def test_eight_4090_over_pcie_are_not_eight_times_one(advisor: Advisor) -> None:
    job = {"data": {"sequence_length": 1024}, "batch": {"global": 64, "micro": 4}, "sharding": "fsdp"}
    one = estimate(advisor, "gpt2-medium", "rtx-4090", 1, **{**job, "sharding": "none"})
    eight = estimate(advisor, "gpt2-medium", "rtx-4090", 8, **job)
    assert one.samples_per_s is not None
    assert eight.samples_per_s is not None
    assert eight.samples_per_s.value < 0.8 * 8 * one.samples_per_s.value
