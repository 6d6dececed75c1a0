"""Predicted against published: the statistics, the document, and what people see of it."""

import csv
import io
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor import schemas
from advisor.accuracy_documents import AccuracyAnswer
from advisor.cli import main
from advisor.estimation.devices import matrix_peak_tflops
from advisor.fit.baselines import PARAMETER_BYTES, baselines
from advisor.fit.comparison import Comparison
from advisor.fit.flat import flatten
from advisor.fit.report import accuracy_answer
from advisor.fit.runs import published_runs
from advisor.fit.statistics import (
    baseline_view,
    errors,
    grouped,
    noise_floor,
    outcomes,
    ranking,
    unseen_view,
    worst,
)
from advisor.operators import Phase
from advisor.render.accuracy import render as render_table
from advisor.render.accuracy_html import render as render_html
from advisor.render.csv import render as render_csv
from advisor.render.json import render as render_json
from advisor.render.markdown import render as render_markdown
from advisor.render.scatter import canvas, plots
from advisor.render.table import Page
from advisor.service import open_advisor
from advisor.yaml_io import data_root

EVIL = 'x</title><script src="https://evil.example">&\x1b[31m'


def row(measured: float, predicted: float, **changes) -> Comparison:
    fields = {
        "quantity": "training", "subject": "network", "unit": "images/s", "gpu": "rtx-4090", "count": 1,
        "model": "resnet50", "family": "resnet", "source": "someone/benchmark", "row": "line 1", "date": "2024",
        "method": "full", "precision": "fp16", "setting": "resnet50 256", "configuration": "resnet50 rtx-4090 256",
        "measured": measured,
        "predicted": predicted, "low": predicted / 1.5, "high": predicted * 1.5,
    }  # fmt: skip
    return Comparison(**(fields | changes))


def example() -> list[Comparison]:
    """Rows of every section, two GPUs in a setting, and outcomes of both kinds."""
    unseen = {"unseen": 130.0, "unseen_low": 60.0, "unseen_high": 240.0}
    simple = {"baselines": {"peak": 900.0, "roofline": 700.0, "scaled-roofline": 700.0}}
    return [
        row(100, 120, **unseen, **simple),
        row(150, 140, gpu="rtx-3090", **unseen, **simple),
        row(50, 40, gpu="tesla-t4", family="vgg", setting="vgg16", source="other/benchmark"),
        row(900, 1000, subject="transformer", count=8, family="llama", method="lora", unit="tokens/s"),
        row(9000, 9000, subject="transformer", count=64, family="llama", unit="tokens/s"),
        row(700, 600, count=8),
        row(80, 81, quantity="inference", method="inference"),
        *(
            row(10, 8, quantity="memory", unit="GiB", memory_kind=kind, baselines={"parameters": 1.0})
            for kind in ("allocated", "reserved", "device", "statement")
        ),
        row(3, 4, subject="learner", unit="trainings/h", family="xgboost", setting="trees"),
        row(1, 0, quantity="feasibility", unit="", low=0, high=0),
        row(0, 1, quantity="feasibility", unit="", low=1, high=1),
        row(1, 1, quantity="feasibility", unit="", low=1, high=1),
    ]


def answer(by=None, rows=None) -> AccuracyAnswer:
    return accuracy_answer(rows or example(), (), constants_date="2024-01-01", by=by, worst_rows=2)


FIGURES = st.floats(min_value=1e-3, max_value=1e6)
PAIRS = st.lists(st.tuples(FIGURES, FIGURES), min_size=1, max_size=30)
SPEEDS = st.lists(st.integers(1, 10**6), min_size=2, max_size=8, unique=True)


def test_errors_are_those_of_a_hand_made_example():
    found = errors(
        [row(100, 110), row(100, 90), row(100, 150, low=140, high=210), row(100, 100), row(100, 80)]
    )
    assert found is not None
    assert found.rows == 5
    assert found.median == pytest.approx(0.1)
    assert found.mean == pytest.approx(0.18)
    assert found.p90 == pytest.approx(0.2 + 0.6 * 0.3)
    assert found.bias == pytest.approx(0.0)
    assert found.coverage == pytest.approx(0.8)
    assert found.width == pytest.approx(2.25)


@given(PAIRS)
def test_errors_keep_their_bounds_and_a_perfect_model_has_none(pairs):
    found, perfect = errors([row(*pair) for pair in pairs]), errors([row(one, one) for one, _ in pairs])
    assert found is not None
    assert perfect is not None
    assert 0 <= found.coverage <= 1
    assert found.median >= 0
    assert found.width >= 1
    assert abs(found.bias) <= max(abs(other / one - 1) for one, other in pairs) + 1e-9
    assert (perfect.median, perfect.mean, perfect.p90, perfect.bias, perfect.coverage) == (0, 0, 0, 0, 1)


def test_no_rows_have_no_errors_and_no_ranking():
    assert errors([]) is None
    assert ranking([]) is None
    assert ranking([row(1, 2), row(2, 3, gpu="rtx-3090", setting="another")]) is None


@given(SPEEDS)
def test_a_perfect_model_orders_all_pairs_and_a_reversed_one_none(speeds):
    perfect = ranking(row(speed, speed, gpu=f"gpu-{n}") for n, speed in enumerate(speeds))
    turned = ranking(row(speed, 1 / speed, gpu=f"gpu-{n}") for n, speed in enumerate(speeds))
    assert perfect is not None
    assert turned is not None
    assert perfect.pairs == turned.pairs == len(speeds) * (len(speeds) - 1) / 2
    assert (perfect.agreement, turned.agreement) == (1, 0)
    assert perfect.regret_mean == perfect.regret_p90 == 0
    assert turned.regret_mean == pytest.approx(1 - min(speeds) / max(speeds))
    assert perfect.clear_pairs == sum(
        max(a, b) > 1.1 * min(a, b) for n, a in enumerate(speeds) for b in speeds[n + 1 :]
    )


def test_a_predicted_tie_counts_as_half_and_replicates_count_once():
    tie = ranking([row(1, 5), row(2, 5, gpu="rtx-3090")])
    assert tie is not None
    assert tie.agreement == 0.5
    replicates = ranking([row(1, 1), row(9, 9), row(2, 2), row(3, 3, gpu="rtx-3090")])
    assert replicates is not None
    assert (replicates.pairs, replicates.agreement, replicates.regret_mean) == (1, 1.0, 0.0)


def test_settings_of_training_and_inference_are_not_mixed():
    assert ranking([row(1, 1), row(2, 2, gpu="rtx-3090", quantity="inference")]) is None


@given(PAIRS)
def test_the_scaled_baseline_has_no_bias_and_keeps_its_order(pairs):
    rows = [row(one, one, baselines={"peak": other}) for one, other in pairs]
    scaled = baseline_view(rows, "peak", scaled=True)
    found = errors(scaled)
    assert found is not None
    assert found.bias == pytest.approx(0, abs=1e-9)
    order = np.argsort([each.baselines["peak"] for each in rows], kind="stable")
    assert np.all(np.diff([scaled[n].predicted for n in order]) >= 0)
    assert [each.predicted for each in baseline_view(rows, "peak", scaled=False)] == [b for _, b in pairs]


def test_rows_without_an_unseen_prediction_are_not_in_that_view():
    seen, unseen = row(1, 2), row(1, 2, unseen=3.0, unseen_low=2.0, unseen_high=4.0)
    (found,) = unseen_view([seen, unseen])
    assert (found.predicted, found.low, found.high) == (3.0, 2.0, 4.0)


def test_outcomes_count_both_mistakes():
    found = outcomes(example())
    assert (found.failed, found.failed_called_fitting, found.ran, found.ran_called_failing) == (1, 1, 2, 1)


def test_the_worst_rows_are_off_by_the_largest_factor_in_either_direction():
    rows = [row(100, 110), row(100, 30), row(100, 200)]
    assert worst(rows, 2) == (rows[1], rows[2])
    assert worst(rows, 0) == ()


@given(st.lists(st.sampled_from("abc"), max_size=20))
def test_groups_hold_every_row_once(names):
    rows = [row(1, 1, gpu=name, row=str(number)) for number, name in enumerate(names)]
    groups = grouped(rows, lambda each: each.gpu)
    assert sorted(each.row for _, held in groups for each in held) == sorted(each.row for each in rows)
    assert [len(held) for _, held in groups] == sorted((len(held) for _, held in groups), reverse=True)


@pytest.mark.parametrize("by", ["gpu", "source", "family", "method"])
def test_groups_and_sections_add_up(by):
    found = answer(by)
    figures = [each for each in found.rows if each.quantity != "feasibility"]
    assert sum(section.rows for section in found.sections) == len(figures)
    for section in found.sections:
        assert sum(group.rows for group in section.groups) == section.rows
        assert sum(each.section == section.id for each in found.rows) == section.rows
    assert answer().sections[0].groups == ()


def test_every_method_is_measured_on_the_same_rows():
    for contest in answer().contests:
        assert {method.rows for method in contest.methods} == {contest.rows}
    training = answer().contests[0]
    assert [method.method for method in training.methods] == [
        "unseen", "shipped", "peak", "roofline", "scaled-roofline",
    ]  # fmt: skip
    assert training.rows == 2
    ranked = training.methods[1].ranking
    assert ranked is not None
    assert ranked.agreement == 1


def test_the_document_satisfies_its_schema_and_repeats():
    schema = schemas.schema("accuracy")
    jsonschema.Draft202012Validator.check_schema(schema)
    text = render_json(answer("gpu"))
    jsonschema.validate(json.loads(text), schema)
    assert json.loads(text)["schema"] == "gpu-advisor/accuracy/1"
    assert text == render_json(answer("gpu"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(text), "more": 1}, schema)


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_fits_its_page_and_needs_no_colour(width, ascii_only):
    text = render_table(answer("family"), Page(width, ascii=ascii_only))
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert not ascii_only or text.isascii()
    assert "unseen" in text
    assert "Of 1 published runs that ran out of memory 1 are called fitting; of 2 that ran 1 are refused" in (
        " ".join(text.split())
    )


@pytest.mark.parametrize("ascii_only", [False, True])
@given(points=PAIRS)
def test_a_plot_stays_on_its_canvas_and_draws_its_points(ascii_only, points):
    (plot,) = plots(answer(rows=[row(*pair) for pair in points]))
    lines = canvas(plot, width=80, height=22, ascii_only=ascii_only)
    assert len(lines) == 22
    assert max(map(len, lines)) <= 80
    body = "".join(line[8:] for line in lines[:-2])
    drawn = set(body) - {" ", "/"}
    assert drawn
    assert drawn <= (set(".:*#") if ascii_only else {chr(code) for code in range(0x2801, 0x2900)})
    for each in plot.rows:
        assert 0 <= plot.place(each.measured) <= 1
        assert 0 <= plot.place(each.predicted) <= 1


def test_a_perfect_prediction_lies_on_the_diagonal():
    (plot,) = plots(answer(rows=[row(10.0**power, 10.0**power) for power in range(4)]))
    lines = canvas(plot, width=70, height=22, ascii_only=True)
    assert "/" in "".join(lines)
    for number, line in enumerate(lines[:-2]):
        for column in [at for at, mark in enumerate(line[8:]) if mark == "."]:
            assert abs(column / 61 - (19 - number) / 19) < 0.06


def test_the_report_loads_nothing_and_is_well_formed():
    text = render_html(answer("gpu"))
    assert not re.search(r"https?:|//[a-z]|<script|<link|<img|@import|url\(", text)
    root = ElementTree.fromstring(re.sub(r"<meta[^>]*>|<!DOCTYPE html>", "", text))
    points = [
        each for each in root.iter() if "point" in each.get("class", "") and each.find("title") is not None
    ]
    figures = [each for each in example() if each.quantity != "feasibility"]
    legend = sum(len(list(each)) for each in root.iter("ul") if each.get("class") == "legend")
    assert len(points) == len(figures) + legend
    titles = [each.findtext("title", "") for each in points]
    assert any("resnet50" in each and "rtx-3090" in each and "someone/benchmark" in each for each in titles)
    for image in root.iter("svg"):
        assert image.get("aria-hidden") == "true" or image.get("aria-labelledby")


def test_families_differ_in_colour():
    styles = re.findall(r"\.f\d+ \{ fill: (hsl\([^;]*)", render_html(answer()))
    assert len(styles) == len(set(styles)) == len({each.family for each in example()})


def test_names_from_outside_cannot_run_in_any_format():
    found = answer("family", rows=[row(1, 2, model=EVIL, family=EVIL, source=EVIL), row(2, 3)])
    page = render_html(found)
    assert "<script" not in page
    assert "\x1b" not in page + render_table(found, Page(80)) + render_markdown(found) + render_csv(found)
    assert "<script" not in render_markdown(found).replace("\\<", "")


def test_csv_has_every_row_and_markdown_every_section():
    found = answer("source")
    rows = list(csv.DictReader(io.StringIO(render_csv(found))))
    assert len(rows) == len(example())
    assert float(rows[0]["measured"]) == 100
    text = render_markdown(found)
    for section in found.sections:
        assert re.sub(r"[<>]", "", section.title) in text.replace("\\", "").replace(">", "")


@pytest.fixture(scope="module")
def runs():
    advisor = open_advisor()
    found, _ = published_runs(advisor._root, advisor._index.by_id, advisor.constants)
    return found[::60], advisor.constants


def test_baselines_are_the_operations_and_the_parameters_of_the_tables(runs):
    found, constants = runs
    simple = baselines(found, flatten(found, constants))
    assert np.all(simple["roofline"] >= simple["peak"] * (1 - 1e-12))
    checked = 0
    for number, run in enumerate(found):
        if run.measurement.count > 1 or not run.problem.training or run.checkpointing:
            continue
        description = run.search.group.describe(1, False)
        micro = float(run.search.micro[0])
        passes = run.measurement.global_batch / micro
        work = passes * description.table.flops(micro) + description.table.flops(
            micro, phases=(Phase.OPTIMIZER,)
        )
        peak = matrix_peak_tflops(run.device, run.team.precisions[0])[0] * 1e12
        assert simple["peak"][number] == pytest.approx(work / peak)
        held = description.states
        parameters = held.trainable + held.frozen + held.frozen_quantised
        assert simple["parameters"][number] == pytest.approx(parameters * PARAMETER_BYTES / 2**30)
        checked += 1
    assert checked > 10


def test_the_command_compares_everything_shipped_and_the_readme_shows_it(tmp_path):
    """One run for both, since it takes long, in a process of its own, so that what it imports can be told.

    Every line of the README's page of accuracy comes from the command, so constants that say otherwise fail.
    """
    document, report = tmp_path / "accuracy.json", tmp_path / "accuracy.html"
    code = (
        "import sys; from advisor.cli import main\n"
        f"code = main(['accuracy', '--worst', '0', '--output', {str(document)!r}, '--html', {str(report)!r}])\n"
        "assert code == 0, code\n"
        "assert not {'scipy', 'torch'} & {name.partition('.')[0] for name in sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    found = json.loads(document.read_text("utf-8"))
    jsonschema.validate(found, schemas.schema("accuracy"))
    assert {section["id"] for section in found["sections"]} >= {
        "training-one", "transformers-node", "transformers-nodes", "networks-several", "inference",
        "memory-allocated", "memory-reserved", "memory-device", "learners",
    }  # fmt: skip
    assert found["outcomes"]["failed"] > 0
    for each in found["rows"]:
        assert each["low"] <= each["predicted"] <= each["high"]
        assert each["quantity"] == "feasibility" or each["measured"] > 0
    assert "https:" not in report.read_text("utf-8")
    readme = (data_root().parent / "README.md").read_text("utf-8")
    shown = re.search(r"<!-- accuracy -->\n\n(.*?)\n<!-- /accuracy -->", readme, re.DOTALL)
    assert shown is not None
    table = render_table(AccuracyAnswer.model_validate(found), Page(width=100, color=False, ascii=False))
    printed = {line.rstrip() for line in table.splitlines()}
    lines = [line.removeprefix("    ").rstrip() for line in shown.group(1).splitlines()]
    assert len(lines) > 20
    assert [line for line in lines if line not in printed] == []


@pytest.mark.parametrize("option", ["--html", "--output"])
def test_a_file_that_exists_is_kept_without_force(tmp_path, capsys, option):
    kept = tmp_path / "kept.html"
    kept.write_text("mine")
    assert main(["accuracy", option, str(kept)]) == 2
    assert kept.read_text() == "mine"
    message = capsys.readouterr().err
    assert option in message
    assert "--force" in message


@pytest.mark.parametrize("arguments", [["--by", "moon"], ["--worst", "-1"], ["--worst", "many"]])
def test_wrong_options_are_refused_before_the_work(capsys, arguments):
    assert main(["accuracy", *arguments]) == 2
    assert arguments[0] in capsys.readouterr().err


def test_an_estimate_does_not_load_the_comparison():
    code = (
        "import sys; from advisor.cli import main\n"
        "assert main(['estimate', 'gpt2', '--gpu', 'rtx-4090', '--json']) == 0\n"
        "assert not [name for name in sys.modules if name.startswith('advisor.fit')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=120)


def test_the_noise_floor_is_what_sources_and_versions_disagree_by() -> None:
    rows = [
        row(100, 100), row(120, 100), row(220, 100, source="other/benchmark"),
        row(5, 5, configuration="alone"), row(9000, 1, quantity="memory"),
    ]  # fmt: skip
    floor = noise_floor(rows)
    assert floor is not None
    assert (floor.between_sources_settings, floor.between_versions_settings) == (1, 1)
    assert floor.between_sources_median == pytest.approx(2.0)
    assert floor.between_versions_median == pytest.approx(1.2)
    assert noise_floor(rows[:1]) is None
