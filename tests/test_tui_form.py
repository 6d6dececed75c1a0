"""The form of the workload: its fields, what is said under them, and what an edit asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Collapsible

from advisor.cli import main
from advisor.service import Advisor, open_advisor
from advisor.tui.fields import (
    APART,
    SECTIONS,
    fields_of,
    flattened,
    relevant,
    section_fields,
    typed,
    workload_fields,
)
from advisor.tui.widgets.choice import Choice
from advisor.tui.widgets.workload_form import FieldChoice, FieldGroup, FieldInput
from advisor.workload import Transformer, Workload
from tests.tui_support import NARROW, WIDE, Driven, drive


@pytest.fixture(scope="module")
def service() -> Advisor:
    return open_advisor()


# The fields, as the model declares them


def test_every_field_of_the_workload_stands_in_one_section() -> None:
    """A field that is new in the model needs a place in a section, or a reason to be APART."""
    assert set(APART) == {"name", "model"}
    expected = {field.path for field in fields_of(Workload, without=APART)}
    expected |= {field.path for field in fields_of(Transformer, "model.transformer.")}
    shown = [field.path for section in SECTIONS for field in section_fields(section)]
    assert len(shown) == len(set(shown))
    assert set(shown) == expected == set(workload_fields())


def test_fields_are_those_of_the_published_schema() -> None:
    """The walk over the models finds what a reader of the JSON Schema would."""
    schema = Workload.model_json_schema()

    def leaves(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, part in node["properties"].items():
            kinds = [kind for kind in part.get("anyOf", [part]) if kind.get("type") != "null"]
            models = [schema["$defs"][kind["$ref"].rpartition("/")[2]] for kind in kinds if "$ref" in kind]
            if prefix + name in APART:
                continue
            if len(models) == len(kinds):
                yield from leaves(models[0], f"{prefix}{name}.")
            else:
                yield prefix + name

    assert sorted(leaves(schema)) == sorted(
        path for path in workload_fields() if not path.startswith("model.")
    )


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("constraints.budget_usd", "budget ($)"),
        ("constraints.deadline_h", "deadline (h)"),
        ("constraints.max_power_w", "max power (W)"),
        ("constraints.min_memory_gib", "min memory (GiB)"),
        ("batch.global", "batch global"),
        ("lora.rank", "lora rank"),
        ("inference.batch", "batch"),
        ("economics.electricity_usd_per_kwh", "electricity ($/kWh)"),
        ("economics.hours_per_week", "hours per week"),
        ("task", "task"),
        ("model.transformer.hidden", "hidden"),
        ("model.transformer.latent_attention.query_rank", "latent query rank"),
    ],
)
def test_a_label_says_the_unit(path: str, label: str) -> None:
    assert workload_fields()[path].label == label


def test_labels_of_a_section_differ() -> None:
    for section in SECTIONS:
        labels = [field.label for field in section_fields(section)]
        assert len(labels) == len(set(labels)), section.title


def test_fields_offer_what_the_model_accepts() -> None:
    fields = workload_fields()
    assert fields["task"].choices == ("train", "finetune", "inference")
    assert fields["precision"].choices[-1] == fields["precision"].default == "auto"
    assert fields["compile"].choices == ("false", "true")
    assert (fields["constraints.acquire"].choices, fields["constraints.acquire"].several) == (
        ("buy", "rent"),
        True,
    )
    assert fields["constraints.acquire"].hint == "buy, rent"
    # Words or a number: what is typed is not one of a list.
    assert fields["batch.micro"].choices == ()
    assert fields["batch.micro"].hint == "auto"
    assert fields["constraints.budget_usd"].hint == ""


@pytest.mark.parametrize(
    ("path", "task", "method", "shown"),
    [
        ("inference.new_tokens", "inference", "full", True),
        ("inference.new_tokens", "", "full", False),
        ("data.tokens", "", "", True),
        ("data.tokens", "inference", "", False),
        ("optimizer", "inference", "", False),
        ("batch.global", "train", "", True),
        ("lora.rank", "", "lora", True),
        ("lora.rank", "", "full", False),
        ("lora.rank", "inference", "lora", False),
        ("precision", "inference", "", True),
        ("constraints.budget_usd", "inference", "", True),
    ],
)
def test_fields_that_mean_nothing_are_known(path: str, task: str, method: str, shown: bool) -> None:
    assert relevant(path, task, method) is shown


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (0.1, "0.1"), (5e7, "5e+07"), (123456789.5, "123456789.5"),
     (24, "24"), (["buy", "rent"], "buy, rent"), ("bf16", "bf16"), (1e22, "1e+22")],
)  # fmt: skip
def test_a_value_is_shown_as_one_would_type_it(value: object, text: str) -> None:
    assert typed(value) == text


def test_a_document_is_flattened_to_what_it_says() -> None:
    document = {
        "task": "train",
        "data": {"samples": 10, "epochs": None},
        "constraints": {"vendors": ["amd", "intel"]},
    }
    assert flattened(document) == {"task": "train", "data.samples": "10", "constraints.vendors": "amd, intel"}


# One of a few words


class Words(App[None]):
    """Two fields of words."""

    def __init__(self) -> None:
        super().__init__()
        self.choice = Choice(("train", "finetune", "inference", "int4"), "")
        self.with_default = Choice(("auto", "bf16", "fp16"), "auto")
        self.changes: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.choice
        yield self.with_default

    def on_choice_changed(self, event: Choice.Changed) -> None:
        self.changes.append(event.choice.value)


def test_a_choice_follows_keys_letters_and_the_mouse() -> None:
    async def run() -> None:
        app = Words()
        async with app.run_test(notifications=True, tooltips=True) as pilot:
            app.choice.focus()
            await pilot.pause()
            assert str(app.choice.render()) == "< (not given) >"
            seen = []
            for key in (
                "right",
                "right",
                "left",
                "left",
                "space",
                "enter",
                "i",
                "i",
                "I",
                "z",
                "f",
                "delete",
            ):
                await pilot.press(key)
                seen.append(app.choice.value)
            assert seen == [
                "train", "finetune", "train", "int4", "train", "finetune",
                "inference", "int4", "inference", "inference", "finetune", "",
            ]  # fmt: skip
            # A key that changes nothing tells nothing.
            assert app.changes == [*seen[:9], *seen[10:]]
            app.with_default.focus()
            assert str(app.with_default.render()) == "< (auto) >"
            await pilot.press("right")
            assert str(app.with_default.render()) == "< bf16 >"
            await pilot.press("backspace")
            await pilot.click(app.with_default)
            assert app.with_default.value == "bf16"

    asyncio.run(run())


# The form in the app


def test_a_field_of_the_form_shows_what_the_source_says(service: Advisor, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(
        "model: {name: llama-3.1-8b}\nmethod: lora\nlora: {rank: 32}\ndata: {tokens: 50e6}\n"
        "constraints: {deadline_h: 72, vendors: [nvidia], budget_usd: 2500}\neconomics: {pue: 1.5}\n"
    )

    async def steps(app: Driven) -> None:
        shown = {
            path: app.field(path).value
            for path in (
                "method",
                "data.tokens",
                "constraints.deadline_h",
                "constraints.vendors",
                "constraints.budget_usd",
            )
        }
        assert shown == {
            "method": "lora", "data.tokens": "50000000", "constraints.deadline_h": "72",
            "constraints.vendors": "nvidia", "constraints.budget_usd": "2500",
        }  # fmt: skip
        assert (await app.go_to("economics.pue")).value == "1.5"
        assert (await app.go_to("lora.rank")).value == "32"
        assert (await app.go_to("model.transformer.layers")).value == "32"
        assert app.app.desk.question.settings == {}

    drive(service, steps, source=str(job))


def test_clearing_a_field_of_a_file_goes_back_to_the_default(service: Advisor, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(
        "model: {name: gpt2}\ndata: {tokens: 50e6}\nprecision: bf16\nconstraints: {max_count: 2}\n"
    )

    async def steps(app: Driven) -> None:
        workload = lambda: app.app.desk.workload  # noqa: E731
        assert workload().constraints.max_count == 2
        await app.type_into("constraints.max_count", "")
        await app.until(lambda: workload().constraints.max_count is None)
        await app.go_to("precision")
        await app.press("delete")
        await app.until(lambda: workload().precision == "auto")
        assert app.app.desk.question.settings == {"constraints.max_count": "", "precision": ""}
        # What the file said is no change.
        await app.type_into("constraints.max_count", "2")
        await app.until(lambda: workload().constraints.max_count == 2)
        assert app.app.desk.question.settings == {"precision": ""}

    drive(service, steps, source=str(job))


WRONG = [
    ("constraints.budget_usd", "cheap", ("--budget", "cheap")),
    ("constraints.budget_usd", "-5", ("--set", "constraints.budget_usd=-5")),
    ("constraints.deadline_h", "soon", ("--deadline", "soon")),
    ("constraints.vendors", "nvidea", ("--vendor", "nvidea")),
    ("data.tokens", "many", ("--set", "data.tokens=many")),
    ("batch.micro", "0", ("--set", "batch.micro=0")),
    ("constraints.max_count", "1.5", ("--set", "constraints.max_count=1.5")),
    ("data.sequence_length", "[", ("--set", "data.sequence_length=[")),
]


@pytest.mark.parametrize(
    ("path", "text", "options"), WRONG, ids=[f"{path}={text}" for path, text, _ in WRONG]
)
def test_what_is_wrong_is_said_under_the_field_as_the_command_line_says_it(
    service: Advisor, capsys: pytest.CaptureFixture[str], path: str, text: str, options: tuple[str, str]
) -> None:
    assert main(["recommend", "gpt2", *options]) == 2
    error = capsys.readouterr().err
    sentence = error.splitlines()[0].rpartition(": ")[2]
    assert path in error

    async def steps(app: Driven) -> None:
        await app.type_into(path, text)
        await app.until_wrong()
        editor = app.field(path)
        assert editor.has_class("-wrong")
        said = " ".join(str(each.render()) for each in app.form.query("_Message") if each.display)
        assert sentence in " ".join(said.split())
        assert app.form.query("_Message").first().region.y > editor.region.y
        assert sentence in app.status
        # The answer to the earlier question stays, and is drawn as one.
        assert app.listed == app.answered != []
        assert app.decide.has_class("-stale")
        await app.type_into(path, "")
        await app.until_answered()
        assert not editor.has_class("-wrong")
        assert not [each for each in app.form.query("_Message") if each.display]
        assert not app.decide.has_class("-stale")

    drive(service, steps)


def test_a_section_opens_when_something_in_it_is_wrong(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        group = next(each for each in app.form.query(FieldGroup) if "economics.pue" in each.fields)
        await app.until(lambda: not group.collapsed)
        assert app.field("economics.pue").has_class("-wrong")
        assert not any(each.collapsed for each in app.form.query(Collapsible) if each is group)

    async def begin(app: Driven) -> None:
        await app.until_wrong()
        await steps(app)

    drive(service, begin, settings={"economics.pue": "0.5"}, answered=False)


def test_fields_follow_the_task(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        displayed = lambda path: app.field(path).display  # noqa: E731
        assert displayed("data.tokens")
        assert not displayed("inference.new_tokens")
        await app.go_to("task")
        await app.press("i")
        assert displayed("inference.new_tokens")
        assert not displayed("data.tokens")
        await app.until_answered()
        assert app.app.desk.workload.task == "inference"
        # A value that was typed stays in sight, and can be taken back.
        await app.press("t")
        await app.type_into("data.tokens", "50e6")
        await app.go_to("task")
        await app.press("i")
        assert displayed("data.tokens")
        assert not displayed("data.samples")

    drive(service, steps)


def test_labels_stand_beside_their_editors(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.go_to("lora.rank")
        await app.type_into("constraints.budget_usd", "cheap")
        await app.until_wrong()
        await app.pilot.pause()
        lines = app.text.splitlines()
        seen = 0
        for editor in app.form.query("FieldInput, FieldChoice"):
            if editor.display and 2 < editor.region.y < 40 and editor.region.height:
                label = workload_fields()[editor.path].label
                assert f" {label} " in lines[editor.region.y], editor.path
                seen += 1
        assert seen > 12

    drive(service, steps, size=WIDE, settings={"method": "lora", "data.tokens": "50e6"})


def test_a_click_on_a_label_goes_to_its_field(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        editor = app.field("constraints.deadline_h")
        await app.pilot.click(offset=(4, editor.region.y))
        assert app.app.focused is editor

    drive(service, steps, size=WIDE)


def test_editing_a_dimension_of_a_shipped_transformer_changes_the_answer(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        memory = lambda: app.app.desk.answer.recommendations[0].memory.parameters_gib  # noqa: E731
        best, before = app.answered[0], memory()
        await app.type_into("model.transformer.layers", "24")
        await app.until(lambda: app.app.desk.workload.model.transformer is not None)
        await app.until_answered()
        assert app.app.desk.workload.model.transformer.layers == 24
        assert app.app.desk.workload.name == "gpt2, edited"
        await app.until(lambda: memory() > before * 1.4)
        # The dimension that the source has is no edit.
        await app.type_into("model.transformer.layers", "12")
        await app.until(lambda: app.app.desk.workload.model.name == "gpt2")
        await app.until_answered()
        assert (app.answered[0], memory()) == (best, before)

    drive(service, steps)


def test_a_dimension_of_what_has_none_is_refused_at_the_field(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.type_into("model.transformer.layers", "24")
        await app.until_wrong()
        assert "only a transformer has dimensions" in app.status

    drive(service, steps, source="resnet50")


def test_dimensions_that_do_not_agree_are_told(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.type_into("model.transformer.heads", "7")
        await app.until_wrong()
        assert "does not divide by heads 7" in app.status

    drive(service, steps)


@pytest.mark.parametrize(
    ("path", "text", "attribute", "value"),
    [
        ("constraints.deadline_h", "3d", "deadline_h", 72.0),
        ("constraints.deadline_h", "1.5 h", "deadline_h", 1.5),
        ("constraints.budget_usd", "$2,500", "budget_usd", 2500.0),
        ("constraints.budget_usd", "2.5k", "budget_usd", 2500.0),
        ("constraints.vendors", "nvidia, amd", "vendors", ("nvidia", "amd")),
    ],
)
def test_a_field_reads_what_people_write(
    service: Advisor, path: str, text: str, attribute: str, value: object
) -> None:
    async def steps(app: Driven) -> None:
        await app.type_into(path, text)
        await app.until(lambda: getattr(app.app.desk.workload.constraints, attribute) == value, text)
        await app.until_answered()

    drive(service, steps)


def test_the_settings_of_the_form_are_the_document_that_the_command_line_builds(service: Advisor) -> None:
    """What is typed means the same in the form as after ``--set``."""
    from advisor.workload_file import read_workload

    settings = {"method": "qlora", "data.tokens": "50e6", "lora.targets": "q_proj, v_proj", "compile": "true"}

    async def steps(app: Driven) -> None:
        expected = read_workload(
            "llama-3.1-8b",
            overrides={"method": "qlora", "data.tokens": 50_000_000, "lora.targets": ["q_proj", "v_proj"],
                       "compile": True},
            options={},
        )  # fmt: skip
        assert json.loads(app.app.desk.workload.model_dump_json()) == json.loads(expected.model_dump_json())

    drive(service, steps, source="llama-3.1-8b", settings=settings)


def test_in_a_narrow_terminal_the_form_takes_the_place_of_the_ranking(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        assert app.form.region.area == 0
        await app.press("w")
        await app.until(lambda: getattr(app.app.focused, "path", "") == "constraints.budget_usd")
        assert app.form.region.width >= 78
        assert app.ranking.region.area == 0
        assert "qualify" in app.text
        await app.press(*"100")
        await app.until(lambda: app.app.desk.workload.constraints.budget_usd == 100)
        await app.press("escape")
        assert app.app.focused is app.ranking
        assert app.form.region.area == 0

    drive(service, steps, size=NARROW)


def test_tab_goes_through_the_fields_that_are_shown(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.go_to("task")
        order = []
        for _ in range(8):
            await app.press("tab")
            order.append(getattr(app.app.focused, "path", None))
        shown = [
            each.path for each in app.form.query("FieldInput, FieldChoice")
            if each.display and isinstance(each, FieldInput | FieldChoice)
        ]  # fmt: skip
        assert order[:5] == shown[1:6]

    drive(service, steps)
