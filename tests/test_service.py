"""What an expert would expect of the answers, asked through the public functions."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import advisor
from advisor import schemas, service
from advisor.catalog import shipped_devices
from advisor.documents import EstimateDocument, RecommendAnswer
from advisor.errors import InputError
from advisor.workload_file import build_workload

CATALOG = {device.id: device for device in shipped_devices()}
GPUS = {name for name, device in CATALOG.items() if device.kind == "gpu"}
TOKENS = {"data": {"tokens": 50_000_000}}

ROOT = Path(__file__).parents[1]


@cache
def adviser() -> service.Advisor:
    return service.open_advisor()


def estimate(model: str, gpu: str, count: int | None = None, **fields: Any) -> EstimateDocument:
    return advisor.estimate(model, gpus=[gpu], count=count, **fields).estimates[0]


def reasons(answer: RecommendAnswer) -> dict[str, str]:
    return {row.gpu: row.constraint for row in answer.excluded}


# What experts know


def test_seventy_billion_parameters_take_several_datacenter_gpus() -> None:
    answer = advisor.recommend("llama-3.1-70b", limit=None, **TOKENS)
    rows = {row.gpu: row for row in answer.recommendations}
    assert rows
    assert answer.recommendations[0].count > 1
    for row in answer.recommendations:
        assert row.count * row.memory.available_gib > 70.55 * 16 * 1e9 / 2**30, f"{row.count} x {row.gpu}"
        assert row.plan.sharding.strategy != "ddp"
    assert 16 <= rows["h100-sxm5-80gb"].count <= 64
    assert "rtx-4090" not in rows
    assert reasons(answer)["rtx-4090"] == "memory"


def test_sixteen_gpus_of_eighty_gb_hold_adapters_on_seventy_billion_but_one_does_not() -> None:
    one = estimate("llama-3.1-70b", "h100-sxm5-80gb", method="lora")
    assert not one.fits
    assert one.memory.required_gib.value > 141e9 / 2**30
    assert estimate("llama-3.1-70b", "h100-sxm5-80gb", 8, method="lora").fits
    assert estimate("llama-3.1-70b", "a100-sxm4-80gb", method="qlora").fits, "QLoRA of 65B was shown on 48 GB"


def test_all_experts_are_held_in_memory() -> None:
    row = estimate("mixtral-8x7b", "a100-sxm4-80gb", method="qlora")
    # 46.7 billion parameters in nf4 with block scales (Dettmers et al. 2023), embedding and head in 16 bits.
    assert 46.7e9 * 0.5 / 2**30 < row.memory.parameters_gib < 46.7e9 * 0.6 / 2**30
    assert row.fits
    assert not estimate("mixtral-8x7b", "rtx-4090", method="qlora").fits
    answer = advisor.estimate("mixtral-8x7b", gpus=["a100-sxm4-80gb"], method="qlora")
    assert any("46,7" in warning and "12,8" in warning for warning in answer.warnings)


def test_thirty_two_billion_in_four_bits_needs_a_card_of_twenty_four() -> None:
    answer = advisor.recommend(
        "qwen2.5-32b", limit=None, task="inference", precision="int4",
        inference={"prompt_tokens": 512, "new_tokens": 256}, constraints={"max_count": 1, "segments": ["consumer"]},
    )  # fmt: skip
    listed = {row.gpu for row in answer.recommendations}
    assert {"rtx-3090", "rtx-4090", "rtx-5090", "rx-7900-xtx"} <= listed
    assert all(CATALOG[gpu].memory.size_gib > 16 for gpu in listed)
    small = [gpu for gpu in GPUS if CATALOG[gpu].segment == "consumer" and CATALOG[gpu].memory.size_gib <= 16]
    assert small
    why = reasons(answer)
    assert all(why[gpu] in ("memory", "precision") for gpu in small)


def test_seven_billion_in_full_does_not_fit_on_one_card_of_eighty() -> None:
    row = estimate("llama-2-7b", "a100-sxm4-80gb", data={"sequence_length": 2048})
    # 16 bytes of states a parameter alone are 100 GiB.
    assert row.memory.parameters_gib + row.memory.gradients_gib + row.memory.optimizer_gib == pytest.approx(
        6.738e9 * 16 / 2**30, rel=0.01
    )
    assert not row.fits
    assert row.would_fit
    assert row.step_time_s is row.total_time_h is row.energy_kwh is row.cost.rent_usd is None
    assert any("qlora" in change.change for change in row.would_fit)
    for change in row.would_fit:
        if "of these GPUs" not in change.change:
            assert change.required_gib < row.memory.available_gib


def test_qlora_of_seven_billion_fits_on_twelve_gb_and_lora_on_twenty_four() -> None:
    short = {"data": {"sequence_length": 512}}
    assert estimate("llama-2-7b", "rtx-3060-12gb", method="qlora", **short).fits
    assert estimate("llama-2-7b", "rtx-4090", method="lora", **short).fits
    assert not estimate("llama-2-7b", "rtx-3060-12gb", method="lora", **short).fits


def test_gpt2_trains_on_eleven_gb() -> None:
    row = estimate("gpt2", "rtx-2080-ti", data={"sequence_length": 1024}, batch={"global": 64})
    assert row.fits
    assert row.plan.precision == "fp16"


def test_faster_cards_are_faster() -> None:
    rows = advisor.compare(
        "llama-3.1-8b", gpus=["t4", "rtx-3090", "rtx-4090", "a100-sxm4-80gb", "h100-sxm5-80gb"], method="qlora",
        data={"tokens": 10**7, "sequence_length": 512},
    )  # fmt: skip
    speeds = {row.gpu: ratio.speed for row, ratio in zip(rows.estimates, rows.ratios, strict=True)}
    assert speeds["t4"] == 1.0
    assert speeds["t4"] < speeds["rtx-3090"] < speeds["rtx-4090"] < speeds["h100-sxm5-80gb"]
    assert speeds["a100-sxm4-80gb"] < speeds["h100-sxm5-80gb"]


def test_decoding_is_bound_by_bandwidth() -> None:
    for gpu in ("rtx-4090", "a100-sxm4-80gb"):
        row = estimate("llama-3.1-8b", gpu, task="inference", inference={"batch": 1, "new_tokens": 128})
        floor = 2 * 7.5e9 / (CATALOG[gpu].memory.bandwidth_gb_s * 1e9)
        assert row.time_per_output_token_s is not None
        assert floor < row.time_per_output_token_s.value < 4 * floor
        assert row.output_tokens_per_s is not None
        assert row.output_tokens_per_s.value == pytest.approx(1 / row.time_per_output_token_s.value)


def test_a_larger_serving_batch_gives_more_tokens_each_second() -> None:
    rates = []
    for batch in (1, 8, 32):
        row = estimate("llama-3.1-8b", "a100-sxm4-80gb", task="inference", inference={"batch": batch})
        assert row.output_tokens_per_s is not None
        rates.append(row.output_tokens_per_s.value)
    assert rates == sorted(rates)
    assert rates[2] > 4 * rates[0]


def test_utilisation_is_plausible_and_power_below_the_rating() -> None:
    for gpu in ("rtx-4090", "a100-sxm4-80gb", "h100-sxm5-80gb", "t4"):
        row = estimate("llama-3.2-1b", gpu, method="lora", **TOKENS)
        assert row.mfu is not None
        assert 0.1 < row.mfu < 0.85
        assert row.power_w is not None
        assert 0.3 * CATALOG[gpu].board.tdp_w < row.power_w <= CATALOG[gpu].board.tdp_w
        assert sum(part.share for part in row.breakdown) == pytest.approx(1, abs=0.02)


def test_an_encoder_has_no_tokens_to_generate() -> None:
    row = estimate("bert-base", "rtx-3090", task="inference", inference={"batch": 8})
    assert row.time_to_first_token_s is None
    assert row.time_per_output_token_s is None
    assert row.step_time_s is not None
    image = estimate("vit-b-16", "rtx-3090")
    assert image.tokens_per_s is None
    assert image.samples_per_s is not None


def test_without_an_amount_of_data_there_is_no_total() -> None:
    row = estimate("llama-3.2-1b", "rtx-4090", method="lora")
    assert row.step_time_s is not None
    assert (
        row.total_time_h
        is row.energy_kwh
        is row.cost.rent_usd
        is row.cost.power_usd
        is row.cost.total_usd
        is None
    )
    answer = advisor.recommend("llama-3.2-1b", method="lora")
    assert answer.recommendations
    assert all(entry.total_time_h is None for entry in answer.recommendations)
    assert all(pick.total_time_h is None and pick.rent_usd is None for pick in answer.picks)


# Names


@pytest.mark.parametrize(
    ("name", "near"),
    [("rtx-4900", "rtx-4090"), ("h100-sxm9-80gb", "h100-sxm5-80gb"), ("RTX 3091", "rtx-3090")],
)
def test_unknown_gpus_are_met_with_near_names(name: str, near: str) -> None:
    with pytest.raises(InputError) as caught:
        estimate("gpt2", name)
    assert near in caught.value.candidates
    assert caught.value.field == "gpu"


@pytest.mark.parametrize(
    ("name", "near"), [("llama-3.1-8", "llama-3.1-8b"), ("gtp2", "gpt2"), ("bert-bas", "bert-base")]
)
def test_unknown_models_are_met_with_near_names(name: str, near: str) -> None:
    with pytest.raises(InputError) as caught:
        advisor.recommend(name)
    assert near in caught.value.candidates
    assert caught.value.field == "model.name"


def test_a_precision_that_the_gpu_lacks_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match="use fp16") as caught:
        estimate("gpt2", "t4", precision="bf16")
    assert caught.value.field == "precision"
    answer = advisor.recommend("gpt2", limit=None, precision="bf16")
    assert reasons(answer)["t4"] == reasons(answer)["v100-sxm2-16gb"] == "precision"
    assert {row.plan.precision for row in answer.recommendations} == {"bf16"}


# Documents


CASES: dict[str, dict[str, Any]] = {
    "train": {"model": {"name": "gpt2"}, "data": {"tokens": 10**9}},
    "lora": {"model": {"name": "llama-3.1-8b"}, "method": "lora", **TOKENS},
    "inference": {"model": {"name": "qwen2.5-7b"}, "task": "inference", "data": {"samples": 1000}},
    "encoder": {"model": {"name": "bert-base"}, "data": {"samples": 10**6, "epochs": 3}},
    "image": {"model": {"name": "vit-b-16"}, "data": {"samples": 1281167, "epochs": 10}},
    "encoder-decoder": {"model": {"name": "t5-base"}, "task": "finetune", "data": {"tokens": 10**8}},
    "speech": {"model": {"name": "whisper-small"}, "task": "inference"},
    "no data": {"model": {"name": "llama-3.2-1b"}, "method": "qlora"},
    "experts": {"model": {"name": "mixtral-8x7b"}, "method": "qlora", **TOKENS},
    "fits nowhere": {"model": {"name": "deepseek-v3"}, "constraints": {"max_count": 1}, **TOKENS},
    "within limits": {
        "model": {"name": "llama-3.1-8b"}, "method": "lora", **TOKENS,
        "constraints": {"budget_usd": 3000, "deadline_h": 72, "max_power_w": 1000, "vendors": ["nvidia"]},
    },
    "fixed layout": {
        "model": {"name": "llama-3.1-8b"}, "sharding": {"data": 2, "tensor": 2, "strategy": "fsdp"}, **TOKENS,
    },
}  # fmt: skip


def workload(case: str) -> Any:
    return build_workload(CASES[case], "test", None)


@pytest.mark.parametrize("case", CASES)
def test_documents_satisfy_their_schema(case: str) -> None:
    gpus = ["rtx-4090", "a100-sxm4-80gb", "gtx-1080-ti"]
    answers = {
        "recommend": adviser().recommend(workload(case), limit=5),
        "estimate": adviser().estimate(workload(case), gpus=gpus),
        "compare": adviser().compare(workload(case), gpus=gpus),
    }
    for kind, answer in answers.items():
        document = json.loads(answer.model_dump_json())
        assert document["schema"] == f"gpu-advisor/{kind}/1"
        validator = jsonschema.Draft202012Validator(schemas.schema(kind))
        validator.check_schema(schemas.schema(kind))
        assert [error.message for error in validator.iter_errors(document)] == []
        json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("kind", sorted(schemas.SCHEMAS))
def test_schemas_are_schemas(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas.schema(kind))
    with pytest.raises(InputError):
        schemas.schema(f"no {kind}")


def test_lists_of_gpus_and_models_satisfy_their_schema() -> None:
    for kind, answer in (
        ("gpu", adviser().gpus()), ("gpu", adviser().gpu("rtx-4090")), ("model", adviser().models()),
        ("model", adviser().model("gpt2")),
    ):  # fmt: skip
        jsonschema.validate(json.loads(answer.model_dump_json()), schemas.schema(kind))
    assert len(adviser().models().models) >= 185
    assert {row.id for row in adviser().gpus("4090").gpus} == {
        "rtx-4090",
        "rtx-4090-d",
        "rtx-4090-laptop",
    } & set(CATALOG)


@pytest.mark.parametrize("case", ["lora", "inference", "within limits"])
def test_the_same_question_gets_the_same_bytes(case: str) -> None:
    first = service.open_advisor().recommend(workload(case), limit=None).model_dump_json()
    second = service.open_advisor().recommend(workload(case), limit=None).model_dump_json()
    assert first == second
    assert first == adviser().recommend(workload(case), limit=None).model_dump_json()


@pytest.mark.parametrize("case", CASES)
def test_every_gpu_is_recommended_or_excluded_exactly_once(case: str) -> None:
    answer = adviser().recommend(workload(case), limit=None)
    seen = Counter([row.gpu for row in answer.recommendations] + [row.gpu for row in answer.excluded])
    assert set(seen) == GPUS
    assert set(seen.values()) == {1}
    assert answer.shown == answer.qualified == len(answer.recommendations)
    assert [row.rank for row in answer.recommendations] == list(range(1, answer.shown + 1))
    assert all(row.fits and row.reasons for row in answer.recommendations)
    assert all(row.reason for row in answer.excluded)
    assert bool(answer.recommendations) != bool(answer.relax)


@pytest.mark.parametrize("case", ["lora", "within limits", "train", "inference"])
def test_recommendations_keep_the_constraints_and_agree_with_estimates(case: str) -> None:
    answer = adviser().recommend(workload(case), limit=8)
    constraints = workload(case).constraints
    assert answer.recommendations
    for row in answer.recommendations:
        assert row.memory.required_gib.value <= row.memory.available_gib
        parts = row.memory
        total = (
            parts.parameters_gib + parts.gradients_gib + parts.optimizer_gib + parts.activations_gib
            + parts.temporary_gib + parts.overhead_gib + parts.margin_gib
        )  # fmt: skip
        assert total == pytest.approx(parts.required_gib.value)
        if constraints.deadline_h is not None:
            assert row.total_time_h is not None
            assert row.total_time_h.value <= constraints.deadline_h
        if constraints.max_power_w is not None:
            assert row.count * CATALOG[row.gpu].board.tdp_w <= constraints.max_power_w
        if constraints.budget_usd is not None:
            assert (
                min(cost for cost in (row.cost.purchase_usd, row.cost.rent_usd) if cost is not None) <= 3000
            )
        alone = adviser().estimate(workload(case), gpus=[row.gpu], count=row.count).estimates[0]
        assert alone.plan == row.plan
        assert alone.step_time_s is not None
        assert row.step_time_s is not None
        assert alone.step_time_s.value == pytest.approx(row.step_time_s.value, rel=1e-9)
        assert alone.memory == row.memory


@pytest.mark.parametrize(
    "fields",
    [{"model": {"name": "llama-3.1-8b"}}, {"model": {"name": "llama-3.1-70b"}, "method": "lora"}],
    ids=["8b full", "70b lora"],
)  # fmt: skip
def test_an_estimate_is_the_same_alone_and_in_a_ranking(fields: dict[str, Any]) -> None:
    job = build_workload({**fields, **TOKENS}, "test", None)
    differing = []
    for row in adviser().recommend(job, limit=None).recommendations:
        alone = adviser().estimate(job, gpus=[row.gpu], count=row.count).estimates[0]
        if alone.plan != row.plan:
            differing.append(f"{row.count} x {row.gpu}")
    assert differing == []


def test_pareto_answers_are_not_beaten() -> None:
    answer = advisor.recommend("llama-3.1-8b", limit=None, method="lora", **TOKENS)
    points = {
        row.gpu: (1 / row.samples_per_s.value, row.cost.total_usd)
        for row in answer.recommendations
        if row.cost.total_usd is not None and row.samples_per_s is not None
    }
    for row in answer.recommendations:
        if not row.pareto:
            continue
        own = points[row.gpu]
        assert not [gpu for gpu, other in points.items() if other[0] < own[0] and other[1] < own[1]]


def test_totals_multiply_out() -> None:
    row = estimate("llama-3.2-1b", "rtx-4090", method="lora", data={"tokens": 10**8, "sequence_length": 1000})
    assert row.step_time_s is not None
    assert row.total_time_h is not None
    assert row.energy_kwh is not None
    steps = 10**8 / 1000 / row.plan.global_batch
    assert row.total_time_h.value == pytest.approx(steps * row.step_time_s.value / 3600)
    assert row.energy_kwh.value == pytest.approx(row.total_time_h.value * (row.power_w or 0) / 1000)
    assert row.cost.power_usd == pytest.approx(row.energy_kwh.value * 1.2 * 0.18)
    assert row.tokens_per_s is not None
    assert row.tokens_per_s.value == pytest.approx(row.plan.global_batch * 1000 / row.step_time_s.value)


# The user's own catalog


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(
        """
devices:
  rtx-4090:
    memory: {size_gib: 48, reported_mib: 49140}
  lab-card:
    name: Lab Card
    vendor: nvidia
    architecture: Ada
    segment: workstation
    compute_capability: '8.9'
    memory: {size_gib: 96, type: GDDR7, bandwidth_gb_s: 1200}
    compute: {multiprocessors: 142, fp32_tflops: 91}
    tensor: {generation: '4', rates: {bf16/fp32: 360, fp16/fp32: 360}}
    board: {tdp_w: 300}
    launch_price: {usd: 4000, date: 2026-01, source: an offer}
""",
        encoding="utf-8",
    )
    return tmp_path


def test_entries_of_the_user_are_used_and_named(overlay: Path) -> None:
    own = service.open_advisor([overlay])
    replaced = own.gpu("rtx-4090").gpus[0]
    assert replaced.overrides
    assert replaced.memory_gib == 48
    assert "mine.yaml" in replaced.origin
    added = own.gpu("lab-card").gpus[0]
    assert not added.overrides
    assert "mine.yaml" in added.origin
    assert not adviser().gpu("rtx-4090").gpus[0].overrides

    answer = advisor.estimate(
        "llama-3.1-8b", gpus=["rtx-4090", "lab-card"], catalog=[overlay], method="lora", **TOKENS
    )
    for row in answer.estimates:
        assert any("mine.yaml" in warning for warning in row.warnings)
    assert answer.estimates[0].memory.available_gib > 40
    assert answer.estimates[1].cost.purchase_usd == 4000
    assert any("replaced" in warning for warning in answer.estimates[0].warnings)

    listed = advisor.recommend("llama-3.1-8b", catalog=[overlay], limit=None, method="lora", **TOKENS)
    names = {row.gpu for row in listed.recommendations}
    assert {"lab-card", "rtx-4090"} <= names


def test_an_architecture_without_constants_is_refused_with_those_that_have_some(overlay: Path) -> None:
    mine = overlay / "mine.yaml"
    mine.write_text(mine.read_text("utf-8").replace("architecture: Ada", "architecture: Rubin"), "utf-8")
    with pytest.raises(InputError) as caught:
        advisor.estimate("gpt2", gpus=["lab-card"], catalog=[overlay])
    assert caught.value.field == "devices.lab-card.architecture"
    assert "Blackwell" in str(caught.value.accepted)


def test_the_catalog_of_the_package_is_unchanged_by_an_overlay(overlay: Path) -> None:
    before = estimate("gpt2", "rtx-4090")
    advisor.estimate("gpt2", gpus=["rtx-4090"], catalog=[overlay])
    assert estimate("gpt2", "rtx-4090") == before
    with pytest.raises(InputError):
        estimate("gpt2", "lab-card")


# Ways to say a workload


def test_names_mappings_files_and_fields_mean_the_same(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("model: {name: gpt2}\nmethod: lora\ndata: {tokens: 50e6}\n", encoding="utf-8")
    rows = [
        advisor.estimate(source, gpus=["rtx-4090"], **fields).estimates[0]
        for source, fields in (
            ("gpt2", {"method": "lora", "data": {"tokens": "50M"}}),
            ({"model": {"name": "gpt2"}, "method": "lora", "data": {"tokens": 50e6}}, {}),
            (path, {}),
            (str(path), {}),
            (build_workload({"model": {"name": "gpt2"}, "method": "lora", **TOKENS}, "x", None), {}),
        )
    ]
    assert all(row == rows[0] for row in rows[1:])


def test_dimensions_and_a_name_give_the_same_numbers(tmp_path: Path) -> None:
    dimensions = adviser().model("llama-3.1-8b").models[0].dimensions
    named = estimate("llama-3.1-8b", "a100-sxm4-80gb", method="lora", data={"sequence_length": 1024})
    written = advisor.estimate(
        {"model": {"transformer": dimensions}},
        gpus=["a100-sxm4-80gb"],
        method="lora",
        data={"sequence_length": 1024},
    ).estimates[0]
    assert written.memory == named.memory
    assert written.step_time_s == named.step_time_s


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"torch": {"factory": "timm:create_model", "input": {"shape": [3, 8, 8]}}}, "model.torch.factory"),
        ({"trees": {"rows": 10}}, "model.trees.features"),
    ],
)
def test_models_that_cannot_be_used_are_refused_by_field(source: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        advisor.estimate({"model": source}, gpus=["rtx-4090"])
    assert caught.value.field == field


def test_more_positions_than_were_learned_are_refused() -> None:
    with pytest.raises(InputError, match="1024 learned positions"):
        estimate("gpt2", "rtx-4090", data={"sequence_length": 2048})


def test_steps_are_steps_whatever_the_number_of_gpus() -> None:
    for count in (1, 8):
        (found,) = advisor.estimate(
            "gpt2", gpus=["h100-sxm5-80gb"], count=count, task="finetune", data={"steps": 10_000}
        ).estimates
        assert found.total_time_h is not None
        assert found.step_time_s is not None
        assert found.total_time_h.value * 3600 / found.step_time_s.value == pytest.approx(10_000)


def test_a_smaller_cache_is_read_faster() -> None:
    def each_token(cache: str) -> float:
        (found,) = advisor.estimate(
            "llama-3.1-8b", gpus=["h100-sxm5-80gb"], task="inference",
            inference={"batch": 16, "prompt_tokens": 8000, "new_tokens": 128, "kv_cache": cache},
        ).estimates  # fmt: skip
        assert found.time_per_output_token_s is not None
        return found.time_per_output_token_s.value

    assert each_token("fp8") < 0.9 * each_token("bf16")


def test_a_config_with_learned_positions_needs_no_sequence_length() -> None:
    config = ROOT / "tests" / "data" / "configs" / "gpt2.json"
    (found,) = advisor.estimate({"model": {"huggingface": str(config)}}, gpus=["rtx-4090"]).estimates
    assert any("sequence length 1024" in text for text in found.assumptions)


def test_memory_is_the_reason_only_where_no_number_fits() -> None:
    answer = advisor.recommend("llama-3.1-8b", data={"tokens": 15e12}, constraints={"budget_usd": 100})
    (why,) = [row for row in answer.excluded if row.gpu == "h100-sxm5-80gb"]
    assert why.constraint == "budget_usd"
