"""HTML reports: valid, self-contained, inert whatever the names are, complete, and small."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

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
    OperatorPointDocument,
    OutlayDocument,
    PickDocument,
    PlaceDocument,
    PlanDocument,
    RatioDocument,
    RecommendAnswer,
    RecommendationDocument,
    RelaxDocument,
    RooflineDocument,
    ShardingDocument,
    WhatIfDocument,
)
from advisor.quantity import Quantity
from advisor.render import charts, words
from advisor.render.charts import Frame, Label
from advisor.render.html import render
from advisor.render.html_page import Cell, page, table

EVIL = (
    "x</title><script>alert(1)</script>]]>--><svg onload='a()'>\"&amp;' \x1b[31m\x07\x00\u202ereversed\u2066"
)
VOID = {"meta", "br"}
WORKLOAD = {"model": {"name": "llama-3.1-8b"}, "method": "lora", "data": {"tokens": 50_000_000}}


def quantity(value: float) -> Quantity:
    return Quantity.spread(value, 1.2)


def point(kind: str, part: str, tflops: float) -> OperatorPointDocument:
    return OperatorPointDocument(
        kind=kind, part=part, flops=1e12, moved_bytes=1e10, time_s=1e12 / tflops / 1e12,
        intensity_flop_per_byte=100.0, tflops=tflops,
    )  # fmt: skip


ROOFLINE = RooflineDocument(
    precision="bf16", peak_tflops=165.2, bandwidth_gb_s=1008.0, ridge_flop_per_byte=163.9,
    operators=(point("gemm", "forward", 99.0), point("attention", "backward", 12.0)),
)  # fmt: skip


def cost(**changes) -> CostDocument:
    fields = {
        "purchase_usd": 1704.0, "purchase_price": "used, 2023-10", "power_usd": 0.86, "rent_usd": 5.04,
        "rent_usd_per_gpu_h": 0.41, "rent_price": "on demand, 2025-09", "owned_usd": 2.9, "total_usd": 2.9,
        "total_by": "buy", "break_even_h": 5000.0, "prices_as_of": "2025-09-17",
    }  # fmt: skip
    return CostDocument(**(fields | changes))


def memory(required: Quantity, available: float) -> MemoryDocument:
    return MemoryDocument(
        required_gib=required, available_gib=available, parameters_gib=15.0, gradients_gib=0.2, optimizer_gib=0.3,
        activations_gib=1.6, temporary_gib=0.05, overhead_gib=0.75, margin_gib=0.0, allocated_gib=17.15,
    )  # fmt: skip


def estimate(**changes) -> EstimateDocument:
    fields = {
        "gpu": "rtx-4090", "name": "GeForce RTX 4090", "count": 1, "fits": True,
        "memory": memory(Quantity(value=17.9, low=16.8, high=19.6), 23.5),
        "plan": PlanDocument(
            precision="bf16", weight_precision="bf16", micro_batch=4, gradient_accumulation=8,
            global_batch=32, checkpointing="full", attention="flash",
            sharding=ShardingDocument(strategy="none", data=1, tensor=1, pipeline=1),
        ),
        "step_time_s": quantity(1.92), "samples_per_s": quantity(16.6), "tokens_per_s": quantity(34_000),
        "total_time_h": quantity(12.3), "mfu": 0.42, "power_w": 390.0, "energy_kwh": quantity(4.8),
        "bottleneck": "matrix products (75% of the step)",
        "breakdown": (BreakdownDocument(kind="gemm", time_s=1.44, share=0.75),
                      BreakdownDocument(kind="attention", time_s=0.48, share=0.25)),
        "cost": cost(),
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
            recommendation(2, name="A100", count=8, cost=cost(total_usd=9.5, total_by="rent"),
                           total_time_h=quantity(9)),
            recommendation(3, name="Unpriced", cost=cost(total_usd=None, purchase_usd=None, rent_usd=None)),
            recommendation(4, name="Fourth"),
        ),
        "picks": (
            PickDocument(label="best to buy", gpu="rtx-4090", name="GeForce RTX 4090", count=1, total_time_h=12.3,
                         purchase_usd=1704.0, rent_usd=5.04, rent_usd_per_h=0.41, rank=1),
            PickDocument(label="fastest", gpu="b200", name="B200", count=1, total_time_h=0.5,
                         purchase_usd=None, rent_usd=2.5, rent_usd_per_h=5.0, rank=9),
        ),
        "shown": 4,
        "qualified": 57,
        "excluded": (
            *(ExcludedDocument(gpu=f"g{n}", name=f"Card {n}", reason="needs 19.3 GiB, has 11.8",
                               constraint="memory") for n in range(5)),
            ExcludedDocument(gpu="x", name="Dear Card", count=2, reason="costs $9,000", constraint="budget_usd"),
        ),
        "relax": (),
        "warnings": ("llama-3.1-8b: 8,030,261,248 parameters",),
    }  # fmt: skip
    return RecommendAnswer(**(fields | changes))


NOTHING = recommend(
    recommendations=(), picks=(), shown=0, qualified=0,
    relax=(RelaxDocument(constraint="budget_usd", current=30.0, needed=2702.0, message="raise the budget"),),
)  # fmt: skip
UNFIT = estimate(
    gpu="rtx-3060-12gb", name="GeForce RTX 3060 12 GB", fits=False, step_time_s=None, samples_per_s=None,
    tokens_per_s=None, total_time_h=None, mfu=None, power_w=None, energy_kwh=None, bottleneck=None, breakdown=(),
    evidence=(), memory=memory(Quantity(value=17.9, low=16.8, high=19.6), 11.8),
    would_fit=(WhatIfDocument(change="method: qlora", required_gib=9.1),),
)  # fmt: skip
OVER_TIME = tuple(
    OutlayDocument(hours=hours, buy_usd=1704.0 + hours * 0.07, rent_usd=hours * 0.41)
    for hours in (0.0, 5000.0, 9000.0)
)
WHOLE = estimate(roofline=ROOFLINE, cost=cost(over_time=OVER_TIME))


def estimates() -> EstimateAnswer:
    return EstimateAnswer(workload=WORKLOAD, estimates=(WHOLE, UNFIT))


def compare() -> CompareAnswer:
    rows = tuple(estimate(gpu=f"gpu-{n}", name=f"Card {n}") for n in range(3))
    ratios = tuple(
        RatioDocument(gpu=row.gpu, count=1, speed=1.0 + n, memory=1.0, energy=None, total_cost=0.5)
        for n, row in enumerate(rows)
    )
    return CompareAnswer(workload=WORKLOAD, estimates=rows, ratios=ratios)


def gpus(*names: str, **changes) -> GpuAnswer:
    fields = {
        "id": "rtx-4090", "kind": "gpu", "vendor": "nvidia", "architecture": "Ada", "segment": "consumer",
        "released": "2022-10", "memory_gib": 24.0, "available_gib": 23.5, "bandwidth_gb_s": 1008.4,
        "fp32_tflops": 82.58, "tensor_tflops": {"bf16": 165.2}, "tdp_w": 450.0, "purchase_usd": None,
        "purchase_price": None, "rent_usd_per_gpu_h": 0.41, "rent_price": "on demand", "origin": "catalog",
        "overrides": False,
    }  # fmt: skip
    return GpuAnswer(gpus=tuple(GpuDocument(**(fields | {"name": name} | changes)) for name in names))


def models(**changes) -> ModelAnswer:
    fields = {
        "name": "gpt2", "family": "gpt", "kind": "decoder", "parameters": 124_439_808,
        "active_parameters": 124_439_808, "parameters_source": "published", "sequence_length": None,
    }  # fmt: skip
    return ModelAnswer(models=(ModelDocument(**(fields | changes)),))


ENTRY = {
    "id": EVIL,
    "memory": {"size_gib": 24.0},
    "sources": {"*": "https://example.org/card"},
    "doubts": ["is it?"],
}
PER_STEP = recommend(
    recommendations=tuple(
        recommendation(rank, total_time_h=None, pareto=rank == 2,
                       cost=cost(total_usd=None, total_by=None, rent_usd=None, purchase_usd=usd))
        for rank, usd in ((1, 1704.0), (2, 25_000.0))
    ),
)  # fmt: skip
ANSWERS = {
    "recommend": recommend(),
    "nothing": NOTHING,
    "a step": PER_STEP,
    "unpriced": recommend(recommendations=(recommendation(1, cost=cost(total_usd=None, purchase_usd=None)),)),
    "estimates": estimates(),
    "compare": compare(),
    "gpus": gpus("RTX 4090", "RTX 3090"),
    "gpu": gpus("RTX 4090", entry=ENTRY),
    "models": models(),
    "model": models(dimensions={"layers": 12, "heads": [1, 2]}),
    "evil": recommend(
        workload={"name": EVIL, "model": {"name": EVIL}, EVIL: EVIL},
        objective_explained=EVIL,
        recommendations=(recommendation(1, name=EVIL, gpu=EVIL, reasons=(EVIL,), warnings=(EVIL,), assumptions=(EVIL,),
                                        bottleneck=EVIL, cost=cost(rent_price=EVIL, prices_as_of=EVIL),
                                        breakdown=(BreakdownDocument(kind=EVIL, time_s=1.0, share=1.0),),
                                        roofline=ROOFLINE.model_copy(
                                            update={"operators": (point(EVIL, "token", 9.0),)}),
                                        evidence=(EvidenceDocument(source=EVIL, gpu=EVIL, model=EVIL, measured=1.0,
                                                                   predicted=2.0, unit=EVIL, similarity=EVIL),)),),
        excluded=(ExcludedDocument(gpu=EVIL, name=EVIL, reason=EVIL, constraint=EVIL),),
        relax=(RelaxDocument(constraint=EVIL, current=None, needed=1.0, message=EVIL),),
        warnings=(EVIL,),
    ),
}  # fmt: skip


class Strict(HTMLParser):
    """Notices what browsers forgive: tags that are left open or cross, attributes and ids given twice."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert "svg" in self.open, f"<{tag}/> means nothing in HTML"
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> crosses another"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)


def parsed(text: str) -> Strict:
    parser = Strict()
    parser.feed(text)
    parser.close()
    assert not parser.open
    return parser


def plain_text(text: str) -> str:
    return " ".join(" ".join(parsed(text).texts).split())


@pytest.fixture(params=ANSWERS, scope="module")
def report(request) -> str:
    return render(ANSWERS[request.param])


def test_tags_are_closed_and_ids_unique_and_known(report):
    found = parsed(report).found
    assert report.startswith("<!DOCTYPE html>\n<html lang=")
    ids = [given["id"] for _, given in found if "id" in given]
    assert len(ids) == len(set(ids))
    for name in ("aria-labelledby", "aria-describedby"):
        assert {given[name] for _, given in found if name in given} <= set(ids)
    assert sum(tag == "h1" for tag, _ in found) == 1
    levels = [int(tag[1]) for tag, _ in found if re.fullmatch(r"h\d", tag)]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_the_strict_parser_notices_faults():
    for wrong in ("<p>", "<b><i></b></i>", "</p>", '<p id="a" id="b"></p>', "<p/>"):
        with pytest.raises(AssertionError):
            parsed(wrong)


def test_nothing_is_loaded_and_nothing_runs_but_the_one_script(report):
    parser = parsed(report)
    for tag, given in parser.found:
        assert not {"src", "href", "xlink:href", "style", "srcset", "action"} & given.keys()
        assert not any(name.startswith("on") for name in given)
        assert tag not in ("link", "img", "iframe", "object", "base", "a", "use", "image", "foreignobject")
    style = re.search(r"<style>(.*?)</style>", report, re.S)[1]
    assert "@import" not in style
    assert "url(" not in style
    scripts = [tag for tag, _ in parser.found if tag == "script"]
    assert len(scripts) == ('<table class="sortable">' in report)


def test_the_policy_names_just_this_style_and_script():
    text = render(ANSWERS["recommend"])
    policy = next(given["content"] for tag, given in parsed(text).found if "http-equiv" in given)
    for tag in ("style", "script"):
        inline = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_tables_have_captions_and_scopes(report):
    found = parsed(report).found
    assert sum(tag == "caption" for tag, _ in found) == sum(tag == "table" for tag, _ in found)
    assert all(given.get("scope") in ("col", "row") for tag, given in found if tag == "th")
    assert report.count('scope="row"') >= report.count("<table")


def test_drawings_are_named_and_described(report):
    found = parsed(report).found
    for tag, given in found:
        if tag == "svg":
            assert given.get("aria-hidden") == "true" or (given["role"], "aria-describedby" in given) == (
                "img",
                True,
            )


def test_outside_text_is_inert(report):
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", report)
    assert "alert(1)</script>" not in report
    assert "<svg onload" not in report


def test_evil_text_is_shown_as_text():
    text = plain_text(render(ANSWERS["evil"]))
    assert text.count("<script>alert(1)</script>]]>-->") > 15


def test_a_kind_without_a_report_is_refused():
    with pytest.raises(TypeError, match="ErrorAnswer"):
        render(ErrorAnswer(error=PlaceDocument(code=2, kind="input", message="no")))


def test_the_same_answer_has_the_same_bytes():
    assert render(recommend()) == render(recommend())


def test_the_answer_comes_first_with_its_picks_and_price_dates():
    text = plain_text(render(ANSWERS["recommend"]))
    first = text.index(
        "Best overall is RTX 4090: time 12.3 h (10.3-14.8), cost $2.90 buy (prices as of 2025-09-17)."
    )
    assert "Best to buy: RTX 4090; fastest: B200." in text
    assert words.pick(recommend().picks[0]) in text
    assert "used, 2023-10" in text
    assert "not among the rows shown" in text
    order = [
        text.index(part)
        for part in (
            "The workload as given",
            "Time against cost",
            "Ranked by",
            "#1 RTX 4090: fits",
            "Left out",
        )
    ]
    assert [first, *order] == sorted([first, *order])
    assert text.index("data.tokens") < text.index("50000000")


def test_the_first_three_are_shown_in_full_and_all_are_ranked():
    text = render(ANSWERS["recommend"])
    assert re.findall(r'<h2 id="rank(\d)">', text) == ["1", "2", "3"]
    shown = plain_text(text)
    for part in ("Fourth", "llama-2-7b on RTX 4090", "0.94x", "same family", "sequence length 2048 tokens",
                 "purchase price is used", "75%", "MFU 42% of the dense peak in bf16"):  # fmt: skip
        assert part in shown


def test_everything_left_out_is_listed_by_constraint():
    text = render(ANSWERS["recommend"])
    assert [text.count("<details>"), text.count("<summary>5 too little memory")] == [2, 1]
    assert all(f"Card {n}: needs 19.3 GiB" in text for n in range(5))
    assert "2 x Dear Card: costs $9,000" in text


def test_nothing_qualifies_says_what_to_relax():
    text = plain_text(render(NOTHING))
    assert "No GPU satisfies all constraints." in text
    assert text.index("What to relax") < text.index("raise the budget") < text.index("Left out: 6 GPUs")


def svgs(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", text, re.S)]


def drawing(text: str, name: str) -> ElementTree.Element:
    return next(each for each in svgs(text) if each.get("aria-labelledby") == f"{name}-t")


def marks(found: ElementTree.Element) -> list[str]:
    return [each.findtext("title") for each in found.iter() if each.get("class", "").startswith("point")]


def test_the_scatter_shows_time_against_cost_and_names_the_front():
    text = render(ANSWERS["recommend"])
    found = drawing(text, "pareto")
    assert len(marks(found)) == 3
    assert [each.text for each in found.iter("text") if each.get("class") == "label"] == ["#1 RTX 4090"]
    assert "1 of 4 are not drawn: no cost known" in text
    assert "No other answer is both faster" in text
    named = found.findtext("desc")
    assert "RTX 4090: 12.3 h" in named
    assert "A100" not in named


def test_without_a_job_length_step_time_is_drawn_against_price():
    found = drawing(render(PER_STEP), "pareto")
    titles = [each.text for each in found.iter("text")]
    assert "purchase price, USD (log scale)" in titles
    assert "time of a step, seconds" in titles
    assert "No other answer that is drawn is both faster" in render(PER_STEP)
    # Rank 2 is as fast and dearer; the flag of the document is about the cost of use.
    assert [each.text for each in found.iter("text") if each.get("class") == "label"] == ["#1 RTX 4090"]


def test_without_prices_there_is_no_scatter():
    assert 'id="pareto-t"' not in render(ANSWERS["unpriced"])


def test_the_memory_bar_has_all_parts_in_proportion_and_the_limit():
    found = drawing(render(estimates()), "estimate2-memory")
    widths = {each.get("class").split()[1]: float(each.get("width"))
              for each in found.iter("rect") if each.get("class").startswith("part")}  # fmt: skip
    assert widths.keys() == set("PGOATH")
    assert widths["P"] / widths["A"] == pytest.approx(15.0 / 1.6, rel=0.01)
    assert any(each.text == "11.8 GiB available" for each in found.iter("text"))
    text = plain_text(render(estimates()))
    assert "RTX 3060 12 GB does not fit: 17.9 GiB (16.8-19.6) needed of 11.8 GiB available" in text
    assert "Would fit with method: qlora: needs 9.1 GiB" in text


@pytest.mark.parametrize(
    ("available", "fits", "said"),
    [(23.5, True, "fits"), (18.5, True, "likely fits"), (11.8, False, "does not fit")],
)
def test_whether_it_fits_is_said_in_words(available, fits, said):
    changed = estimate(fits=fits, memory=memory(Quantity(value=17.9, low=16.8, high=19.6), available))
    assert f"RTX 4090: {said}</h2>" in render(EstimateAnswer(workload=WORKLOAD, estimates=(changed,)))


def test_operators_lie_under_the_roofline():
    text = render(estimates())
    found = drawing(text, "estimate1-roofline")
    assert marks(found) == [
        "gemm, forward: 99 TFLOP/s at 100 FLOP per byte, 10.1 ms",
        "attention, backward: 12 TFLOP/s at 100 FLOP per byte, 83.3 ms",
    ]
    assert "165 TFLOP/s in bf16 and 1,008 GB/s, which meet at 164 FLOP per byte" in plain_text(text)
    assert 'id="estimate2-roofline-t"' not in text


def test_buying_is_drawn_against_renting_with_the_break_even():
    found = drawing(render(estimates()), "estimate1-use")
    assert [each.get("class") for each in found.iter("path") if each.get("class").startswith("curve")] == [
        "curve first",
        "curve second",
    ]
    assert marks(found) == ["5,000 hours of use"]
    assert {"buy", "rent", "break-even, 5,000 hours of use"} <= {each.text for each in found.iter("text")}


@pytest.mark.parametrize("missing", ["buy_usd", "rent_usd"])
def test_one_way_alone_is_drawn_without_a_break_even(missing):
    outlays = tuple(each.model_copy(update={missing: None}) for each in OVER_TIME)
    changed = estimate(cost=cost(over_time=outlays, break_even_h=None))
    found = drawing(render(EstimateAnswer(workload=WORKLOAD, estimates=(changed,))), "estimate1-use")
    assert len([each for each in found.iter("path") if each.get("class").startswith("curve")]) == 1
    assert marks(found) == []


def test_a_comparison_has_the_rows_of_the_table():
    answer = compare()
    text = plain_text(render(answer))
    for label, cells in words.compare_rows(answer.estimates, answer.ratios):
        assert " ".join([label, *cells]) in text
    assert text.count("Published measurements") == 3


def test_rows_can_be_sorted_by_number_and_unknown_ones_stay_last():
    text = "".join(
        table("t", ("a", "b"), [("x", Cell("9 min", 540)), ("y", Cell("-", float("nan")))], sortable=True)
    )
    assert '<td data-v="540">9 min</td>' in text
    assert '<td data-v="">-</td>' in text


def test_a_page_without_a_table_to_sort_has_no_script():
    assert "<script" not in page("t", table("t", ("a",), [("x",)]))


def test_a_long_ranking_is_small():
    rows = tuple(recommendation(rank, total_time_h=quantity(rank)) for rank in range(1, 255))
    assert len(render(recommend(recommendations=rows)).encode()) < 400_000


def test_axes_are_logarithmic_where_the_range_asks_for_it():
    near, far = charts.axis("a", [5.0, 9.0], str), charts.axis("a", [0.5, 900.0], str)
    free = charts.axis("a", [0.0, 900.0], str)
    assert [near.log, far.log, free.log] == [False, True, False]
    for each, values in ((near, [5.0, 9.0]), (far, [0.5, 900.0]), (free, [0.0, 900.0])):
        assert all(0 <= each.place(value) <= 1 for value in values)
        assert 3 <= len(each.ticks()) <= 9
        assert all(-1e-9 <= each.place(tick) <= 1 + 1e-9 for tick in each.ticks())
    assert charts.axis("a", [0.0], str).place(0.0) == 0.0
    assert charts.axis("a", [3.0], str, log=True).place(3.0) > 0


def test_labels_do_not_cover_each_other():
    frame = Frame(charts.axis("a", [1.0, 9.0], str), charts.axis("b", [1.0, 9.0], str))
    labels = [Label(300 + 9 * n, 300 - 6 * n, f"#{n} a card of some length") for n in range(9)]
    places = [
        (float(x), float(y))
        for x, y in re.findall(
            r'<text class="label" x="([\d.]+)" y="([\d.]+)"', "".join(frame.labels(labels))
        )
    ]
    assert len(places) == 9
    width = len(labels[0].text) * 6.5
    for number, (x, y) in enumerate(places):
        for other_x, other_y in places[:number]:
            assert abs(x - other_x) > width or abs(y - other_y) > 12
