"""What people and spreadsheets see of an answer, from documents written by hand."""

import csv
import io
import json
import re
from itertools import pairwise

import pytest

from advisor.documents import (
    BreakdownDocument,
    CompareAnswer,
    CostDocument,
    ErrorAnswer,
    EstimateAnswer,
    EstimateDocument,
    EvidenceDocument,
    ExcludedDocument,
    GpuAnswer,
    GpuDocument,
    MemoryDocument,
    ModelAnswer,
    ModelDocument,
    PickDocument,
    PlaceDocument,
    PlanDocument,
    RatioDocument,
    RecommendAnswer,
    RecommendationDocument,
    RelaxDocument,
    ShardingDocument,
    WhatIfDocument,
)
from advisor.quantity import Quantity
from advisor.render import markdown, words
from advisor.render.csv import render as render_csv
from advisor.render.json import render as render_json
from advisor.render.json import render_line
from advisor.render.table import Page
from advisor.render.table import render as render_table
from advisor.units import format_money

EVIL = "[/][bold]x[@click=app.quit]y \x1b]0;OWNED\x07 | `rm` <script> \u202ereversed"
WORKLOAD = {"model": {"name": "llama-3.1-8b"}, "method": "lora", "data": {"tokens": 50_000_000}}


def quantity(value: float) -> Quantity:
    return Quantity.spread(value, 1.2)


def estimate(**changes) -> EstimateDocument:
    fields = {
        "gpu": "rtx-4090",
        "name": "GeForce RTX 4090",
        "count": 1,
        "fits": True,
        "memory": MemoryDocument(
            required_gib=Quantity(value=17.9, low=16.8, high=19.6), available_gib=23.5, parameters_gib=15.0,
            gradients_gib=0.2, optimizer_gib=0.3, activations_gib=1.6, temporary_gib=0.05, overhead_gib=0.75,
            margin_gib=0.0, allocated_gib=17.15,
        ),
        "plan": PlanDocument(
            precision="bf16", weight_precision="bf16", micro_batch=4, gradient_accumulation=8,
            global_batch=32, checkpointing="full", attention="flash",
            sharding=ShardingDocument(strategy="none", data=1, tensor=1, pipeline=1),
        ),
        "step_time_s": quantity(1.92),
        "samples_per_s": quantity(16.6),
        "tokens_per_s": quantity(34_000),
        "total_time_h": quantity(12.3),
        "mfu": 0.42,
        "power_w": 390.0,
        "energy_kwh": quantity(4.8),
        "bottleneck": "matrix products (75% of the step)",
        "breakdown": (BreakdownDocument(kind="gemm", time_s=1.44, share=0.75),
                      BreakdownDocument(kind="attention", time_s=0.48, share=0.25)),
        "cost": CostDocument(
            purchase_usd=1704.0, purchase_price="used, 2023-10", power_usd=0.86, rent_usd=5.04,
            rent_usd_per_gpu_h=0.41, rent_price="on demand, 2025-09", owned_usd=2.9, total_usd=2.9,
            total_by="buy", break_even_h=5229.0, prices_as_of="2025-09-17",
        ),
        "evidence": (EvidenceDocument(source="a paper", gpu="GeForce RTX 4090", model="llama-2-7b",
                                      measured=3100.0, predicted=2900.0, unit="tokens/s", date="2024",
                                      similarity="same family"),),
        "assumptions": ("sequence length 2048 tokens (not given)",),
        "warnings": ("purchase price is used",),
    }  # fmt: skip
    return EstimateDocument(**(fields | changes))


def recommendation(rank: int, **changes) -> RecommendationDocument:
    base = estimate()
    fields = {name: getattr(base, name) for name in type(base).model_fields}
    fields |= {"rank": rank, "pareto": rank == 1, "reasons": ("cheapest", "limited by attention")}
    return RecommendationDocument(**(fields | changes))


def recommend(**changes) -> RecommendAnswer:
    fields = {
        "workload": WORKLOAD,
        "objective": "balanced",
        "objective_explained": "least of cost times time",
        "recommendations": (
            recommendation(1),
            recommendation(2, name="A100 SXM4 80 GB with a name far too long for any table", count=8),
        ),
        "picks": (PickDocument(label="fastest", gpu="b200", name="B200", count=1, total_time_h=0.5,
                               purchase_usd=None, rent_usd=2.5, rent_usd_per_h=5.0, rank=9),),
        "shown": 2,
        "qualified": 57,
        "excluded": (
            *(ExcludedDocument(gpu=f"g{n}", name=f"Card {n}", reason="needs 19.3 GiB, has 11.8",
                               constraint="memory") for n in range(5)),
            ExcludedDocument(gpu="x", name="Dear Card", count=2, reason="costs $9,000",
                             constraint="budget_usd"),
        ),
        "relax": (),
        "warnings": ("llama-3.1-8b: 8,030,261,248 parameters",),
    }  # fmt: skip
    return RecommendAnswer(**(fields | changes))


def estimates() -> EstimateAnswer:
    small = estimate(
        gpu="rtx-3060-12gb", name="GeForce RTX 3060 12 GB", fits=False, step_time_s=None, samples_per_s=None,
        tokens_per_s=None, total_time_h=None, mfu=None, power_w=None, energy_kwh=None, bottleneck=None,
        breakdown=(), evidence=(),
        memory=estimate().memory.model_copy(update={"available_gib": 11.8}),
        would_fit=(WhatIfDocument(change="method: qlora", required_gib=9.1),),
    )  # fmt: skip
    return EstimateAnswer(workload=WORKLOAD, estimates=(estimate(), small))


def compare(number: int = 4) -> CompareAnswer:
    rows = tuple(estimate(gpu=f"gpu-{n}", name=f"Card {n}") for n in range(number))
    ratios = tuple(
        RatioDocument(gpu=row.gpu, count=1, speed=1.0 + n, memory=1.0, energy=None, total_cost=0.5)
        for n, row in enumerate(rows)
    )
    return CompareAnswer(workload=WORKLOAD, estimates=rows, ratios=ratios)


def gpu(**changes) -> GpuDocument:
    fields = {
        "id": "rtx-4090", "name": "GeForce RTX 4090", "kind": "gpu", "vendor": "nvidia",
        "architecture": "Ada", "segment": "consumer", "released": "2022-10", "memory_gib": 24.0,
        "available_gib": 23.5,
        "bandwidth_gb_s": 1008.4, "fp32_tflops": 82.58, "tensor_tflops": {"bf16": 165.2}, "tdp_w": 450.0,
        "purchase_usd": None, "purchase_price": None, "rent_usd_per_gpu_h": 0.41, "rent_price": "on demand",
        "origin": "catalog", "overrides": False,
    }  # fmt: skip
    return GpuDocument(**(fields | changes))


ENTRY = {
    "id": "rtx-4090",
    "memory": {"size_gib": 24.0, "ecc": True, "bus_bits": None},
    "tensor": {"rates": [{"format": "fp16", "accumulate": "fp32", "tflops": 165.2}]},
    "identifiers": {"aliases": ["4090"]},
    "sources": {"memory.size_gib": "the box", "*": "a datasheet"},
    "doubts": ["is it real?"],
}


def models(**changes) -> ModelAnswer:
    fields = {
        "name": "gpt2", "family": "gpt", "kind": "decoder", "parameters": 124_439_808,
        "active_parameters": 124_439_808, "parameters_source": "published", "sequence_length": None,
    }  # fmt: skip
    return ModelAnswer(models=(ModelDocument(**(fields | changes)),))


ANSWERS = {
    "recommend": recommend(),
    "relax": recommend(
        recommendations=(), picks=(), shown=0, qualified=0,
        relax=(RelaxDocument(constraint="budget_usd", current=30.0, needed=2702.0,
                              message="raise the budget"),),
    ),
    "steps": recommend(recommendations=(recommendation(1, total_time_h=None, cost=CostDocument(
        **(dict.fromkeys(CostDocument.model_fields) | {"over_time": (), "flips": ()}))),)),
    "estimate": estimates(),
    "compare": compare(),
    "gpus": GpuAnswer(gpus=(gpu(), gpu(id="mine", overrides=True, tensor_tflops={}))),
    "gpu": GpuAnswer(gpus=(gpu(entry=ENTRY, origin="my.yaml", overrides=True),)),
    "no gpu": GpuAnswer(gpus=()),
    "models": models(),
    "model": models(dimensions={"layers": 12, "tied_embeddings": True}),
    "no model": ModelAnswer(models=()),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("width", [40, 80, 120, 250])
def test_tables_keep_to_the_width_and_have_no_escapes_in_a_pipe(name, width):
    text = render_table(ANSWERS[name], Page(width=width))
    assert text.endswith("\n")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("name", ANSWERS)
def test_tables_are_ascii_where_that_is_all_there_is(name):
    assert render_table(ANSWERS[name], Page(ascii=True)).isascii()


@pytest.mark.parametrize("name", ANSWERS)
def test_colour_changes_no_word(name):
    colored = render_table(ANSWERS[name], Page(color=True))
    assert "\x1b[" in colored or name.startswith("no ")
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored).split() == render_table(ANSWERS[name], Page()).split()


def test_the_ranking_at_80_columns():
    text = render_table(ANSWERS["recommend"], Page(width=80))
    lines = text.splitlines()
    assert lines[0] == "llama-3.1-8b, lora finetune, 50M tokens"
    assert lines[1] == "57 configurations qualify; the best 2 are shown (--top all shows all)."
    assert lines[3].split() == ["#", "GPU", "P", "Time", "Cost", "Memory", "GiB"]
    assert lines[5].split() == [
        "1",
        "RTX",
        "4090",
        "*",
        "12.3",
        "h",
        "(10.3-14.8)",
        "$2.90",
        "buy",
        "17.9",
        "/",
        "23.5",
    ]
    assert lines[6].strip() == "cheapest; limited by attention"
    assert lines[7].split()[:3] == ["2", "8", "x"]
    assert "…" in lines[7]
    for part in (
        "balanced: least of cost times time",
        "fastest",
        "Top pick: RTX 4090 (rtx-4090)",
        "micro-batch 4 x 8 accumulation steps (global batch 32)",
        "after 5,229 hours of use",
        "measured 3.1k, predicted 2.9k tokens/s",
        "5 too little memory, e.g.",
        "Card 0: needs 19.3 GiB, has 11.8",
        "1 over the budget, e.g.",
        "2 x Dear Card: costs $9,000",
    ):
        assert part in " ".join(text.split()), part
    assert "Card 3" not in text


def test_a_wider_terminal_shows_more():
    header = render_table(ANSWERS["recommend"], Page(width=250)).splitlines()[3]
    for column in ("Precision", "Micro", "Sharding", "Power", "Energy", "Purchase", "$/GPU-h", "Bottleneck"):
        assert column in header


def test_what_to_relax_comes_first():
    lines = render_table(ANSWERS["relax"], Page()).splitlines()
    assert lines[1:5] == ["No GPU satisfies all constraints.", "", "What to relax", "  - raise the budget"]


def test_without_data_the_answer_is_per_step_and_unknown_is_a_dash():
    lines = render_table(ANSWERS["steps"], Page()).splitlines()
    assert "Per step" in lines[3]
    assert "Price" in lines[3]
    assert words.UNKNOWN in lines[5].split()


def test_the_card_of_an_estimate():
    text = render_table(ANSWERS["estimate"], Page(width=80))
    lines = text.splitlines()
    assert lines[2].startswith("RTX 4090 (rtx-4090)")
    assert lines[2].endswith("fits")
    assert len(lines[2]) == 80
    bar = next(line.strip() for line in lines if line.strip().startswith("["))
    assert bar.count("P") > bar.count("A") > 0
    assert bar.endswith("...]")
    assert "P parameters 15.0" in text
    assert "T temporary 0.05" in text
    assert "does not fit" in text
    assert "^ available" in text
    assert "method: qlora: needs 9.1 GiB" in text


def test_a_comparison_repeats_the_first_gpu_in_every_block():
    text = render_table(ANSWERS["compare"], Page(width=80))
    headers = [line.split() for line in text.splitlines() if line.strip().startswith("Card 0")]
    assert headers == [["Card", "0", "Card", "1", "Card", "2"], ["Card", "0", "Card", "3"]]
    assert "4.00x" in text
    assert "energy ratio" not in text, "a row that knows nothing is left out"


def test_all_facts_of_a_gpu_with_their_sources():
    text = " ".join(render_table(ANSWERS["gpu"], Page()).split())
    assert "memory.size_gib 24 2" in text
    assert "memory.ecc yes 1" in text
    assert "fp16/fp32 165.2 TFLOP/s" in text
    assert "1 a datasheet 2 the box" in text
    assert "is it real?" in text
    assert "my.yaml" in text
    assert "bus_bits" not in text


def evil_answers():
    return (
        recommend(
            workload={"name": EVIL, "model": {"name": EVIL}},
            objective_explained=EVIL,
            recommendations=(
                recommendation(1, name=EVIL, reasons=(EVIL,), bottleneck=EVIL, warnings=(EVIL,)),
            ),
            excluded=(ExcludedDocument(gpu=EVIL, name=EVIL, reason=EVIL, constraint=EVIL),),
            warnings=(EVIL,),
        ),
        EstimateAnswer(workload={"model": {"name": EVIL}}, estimates=(estimate(gpu=EVIL, name=EVIL),)),
        GpuAnswer(gpus=(gpu(id=EVIL, name=EVIL, origin=EVIL, entry={EVIL: EVIL, "sources": {"*": EVIL}}),)),
        models(name=EVIL, family=EVIL, dimensions={EVIL: EVIL}),
    )


@pytest.mark.parametrize("answer", evil_answers())
def test_outside_text_steers_nothing(answer):
    for text in (render_table(answer, Page(width=200)), render_csv(answer), markdown.render(answer)):
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "[bold]x[@click" in render_table(answer, Page(width=200))
    page = markdown.render(answer)
    assert "<script>" not in page.replace("\\<script\\>", "")
    assert "`rm`" not in page.replace("\\`rm\\`", "")


@pytest.mark.parametrize("name", ANSWERS)
def test_markdown_tables_have_as_many_cells_in_every_row(name):
    lines = markdown.render(ANSWERS[name]).splitlines()
    widths = [line.replace("\\|", "").count("|") for line in lines if line.startswith("|")]
    for before, after in pairwise(widths):
        assert before == after or name in ("recommend", "steps", "estimate")


@pytest.mark.parametrize("name", ANSWERS)
def test_json_is_one_document_with_its_schema_and_comes_back_the_same(name):
    answer = ANSWERS[name]
    text = render_json(answer)
    assert text.endswith("}\n")
    assert json.loads(text)["schema"].startswith("gpu-advisor/")
    assert type(answer).model_validate_json(text) == answer
    assert render_line(answer).count("\n") == 1


def test_an_error_line_leaves_out_what_is_not_known():
    place = PlaceDocument(code=2, kind="input", message="no", line=3)
    document = json.loads(render_line(ErrorAnswer(error=place), exclude_none=True))
    assert document == {"error": {"code": 2, "kind": "input", "message": "no", "line": 3, "candidates": []}}


def test_csv_is_flat_and_runs_no_formula():
    answer = recommend(recommendations=(recommendation(1, name="=HYPERLINK(1)", total_time_h=None),))
    (row,) = csv.DictReader(io.StringIO(render_csv(answer)))
    assert row["rank"] == "1"
    assert row["pareto"] == "true"
    assert row["name"] == "'=HYPERLINK(1)"
    assert row["memory.required_gib.high"] == "19.6"
    assert row["plan.sharding.strategy"] == "none"
    assert row["total_time_h"] == ""
    assert row["reasons"] == "cheapest; limited by attention"
    assert row["breakdown"].startswith("kind=gemm time_s=1.44 share=0.75; ")
    assert next(csv.DictReader(io.StringIO(render_csv(compare()))))["ratio.speed"] == "1.0"
    assert render_csv(ANSWERS["no gpu"]) == ""


def test_there_is_no_table_of_an_error():
    answer = ErrorAnswer(error=PlaceDocument(code=2, kind="input", message="no"))
    for render in (render_csv, markdown.render, lambda document: render_table(document, Page())):
        with pytest.raises(TypeError):
            render(answer)


@pytest.mark.parametrize(
    ("hours", "text"),
    [(12.3, "12.3 h (10.3-14.8)"), (0.5, "30.0 min (25.0-36.0)"), (1.4, "84.0 min (70.0-101)"),
     (100, "4.17 d (3.47-5.00)"), (0.001, "3.60 s (3.00-4.32)"), (30000, "3.42 y (2.85-4.11)")],
)  # fmt: skip
def test_an_interval_has_one_unit(hours, text):
    assert words.hours(quantity(hours)) == text


def test_quantities_that_are_exact_or_unknown():
    assert words.hours(Quantity(value=2, low=2, high=2)) == "2.00 h"
    assert words.hours(None) == words.UNKNOWN
    assert words.seconds(Quantity(value=0, low=0, high=0)) == "0 ms"


def test_layouts_in_words():
    sharded = ShardingDocument(strategy="fsdp", data=8, tensor=2, pipeline=4)
    assert words.layout(sharded) == "fsdp x8, tensor 2, pipeline 4"
    assert words.layout(ShardingDocument(strategy="none", data=1, tensor=1, pipeline=1)) == "none"


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0.0, "$0.00"), (0.000085, "$0.000085"), (0.0449, "$0.045"), (0.0999, "$0.10"), (0.1, "$0.10"),
        (17.3, "$17.30"), (99.996, "$100.00"), (1599.4, "$1,599"), (1.2e6, "$1.20M"), (None, "not known"),
    ],
)  # fmt: skip
def test_money_shows_the_digits_that_matter(usd: float | None, shown: str) -> None:
    assert format_money(usd) == shown
