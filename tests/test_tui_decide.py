"""The screen that decides, driven by its keys over the real service."""

from __future__ import annotations

import json
import shlex
import threading
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Button, Input

from advisor.cli import main
from advisor.documents import RecommendAnswer
from advisor.objective import OBJECTIVES
from advisor.service import Advisor, open_advisor
from advisor.tui import app as app_module
from advisor.tui.desk import MOST_COMPARED, Choice, Question, wrong_fields
from advisor.tui.dialogs.export import Export
from advisor.tui.dialogs.help import Help
from advisor.tui.dialogs.pick_model import PickModel
from advisor.tui.screens.decide import COUNTS
from advisor.tui.screens.detail import DetailScreen
from advisor.tui.themes import THEMES
from advisor.tui.widgets.top_bar import PLACES
from tests.tui_support import NARROW, WIDE, Driven, drive

LORA = {"method": "lora", "data.tokens": "50e6"}


@pytest.fixture(scope="module")
def service() -> Advisor:
    return open_advisor()


# What is run


async def open_dialog(app: Driven) -> PickModel:
    await app.press("o")
    await app.until(
        lambda: isinstance(app.app.screen, PickModel) and bool(app.app.screen._models), "the models"
    )
    return app.app.screen


@pytest.mark.parametrize(
    ("letters", "found"),
    [
        ("llama 3.1 8b", "llama-3.1-8b"),
        ("resnet50", "resnet50"),
        ("qwen2.5 72", "qwen2.5-72b"),
        ("mxtral", "mixtral-8x7b"),
    ],
)
def test_a_few_letters_find_a_model(service: Advisor, letters: str, found: str) -> None:
    async def steps(app: Driven) -> None:
        dialog = await open_dialog(app)
        await app.press(*letters)
        await app.until(lambda: bool(dialog._found) and dialog._found[0] == found, f"{dialog._found[:5]}")
        await app.press("enter")
        await app.until(lambda: app.app.desk.question.source == found)
        await app.until_answered()
        assert app.app.desk.workload.model.name == found
        assert app.app.focused is app.ranking

    drive(service, steps)


def test_the_list_of_models_follows_the_arrows_and_escape_changes_nothing(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        dialog = await open_dialog(app)
        assert len(dialog._found) > 50
        await app.press(*"zzzz")
        await app.until(lambda: "No shipped model" in app.text)
        await app.press("enter", *["backspace"] * 4, "down", "down", "up", "pagedown")
        assert dialog.query_one("OptionList").highlighted == 11
        await app.press("escape")
        assert app.app.screen is app.decide
        assert app.app.desk.question.source == "gpt2"

    drive(service, steps)


def test_another_model_keeps_the_limits_and_drops_the_dimensions(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        dialog = await open_dialog(app)
        await app.press(*"distilgpt2")
        await app.until(lambda: dialog._found[:1] == ["distilgpt2"])
        await app.press("enter")
        await app.until(lambda: app.app.desk.question.source == "distilgpt2")
        assert app.app.desk.question.settings == {"constraints.budget_usd": "900"}
        await app.until_answered()

    drive(service, steps, settings={"constraints.budget_usd": "900", "model.transformer.layers": "13"})


def test_a_workload_file_is_found_letter_by_letter(service: Advisor, tmp_path: Path) -> None:
    (folder := tmp_path / "jobs").mkdir()
    (folder / "mine.yaml").write_text("model: {name: gpt2-medium}\ndata: {tokens: 1e6}\n")
    (folder / "notes.txt").write_text("no workload")
    (folder / ".hidden.yaml").write_text("")

    async def steps(app: Driven) -> None:
        dialog = await open_dialog(app)
        await app.paste(str(tmp_path))
        await app.press(*"/jo")
        assert dialog._found == [f"{folder}/"]
        await app.press("enter")
        assert dialog._found == [str(folder / "mine.yaml")]
        await app.press("m", "enter")
        await app.until(lambda: app.app.desk.question.source == str(folder / "mine.yaml"))
        await app.until_answered()
        assert app.app.desk.workload.model.name == "gpt2-medium"
        assert app.field("data.tokens").value == "1000000"

    drive(service, steps)


def test_a_config_of_hugging_face_is_opened(service: Advisor, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "intermediate_size": 5632,
        "num_attention_heads": 32, "num_hidden_layers": 22, "num_key_value_heads": 4, "vocab_size": 32000,
        "max_position_embeddings": 2048, "hidden_act": "silu", "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }))  # fmt: skip

    async def steps(app: Driven) -> None:
        await open_dialog(app)
        await app.paste(str(config))
        await app.press("enter")
        await app.until(lambda: app.app.desk.question.source == str(config))
        await app.until_answered()
        assert app.app.desk.workload.model.huggingface == str(config)
        best = app.app.desk.answer.recommendations[0]
        assert 1.8 < best.memory.parameters_gib < 4.5

    drive(service, steps)


@pytest.mark.parametrize("source", ["no-such-model", "/no/such/folder/job.yaml"])
def test_what_cannot_be_read_is_shown_and_mended(service: Advisor, source: str) -> None:
    async def steps(app: Driven) -> None:
        await app.until_wrong()
        assert source in app.status
        assert app.app.desk.answer is None
        await open_dialog(app)
        await app.press(*"resnet50", "enter")
        await app.until_answered()
        assert "qualify" in app.status

    drive(service, steps, source=source, answered=False)


def test_a_broken_file_is_told_with_its_line(service: Advisor, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("model: {name: gpt2}\nbatch: {micro: 8\n")

    async def steps(app: Driven) -> None:
        await app.until_wrong()
        assert f"{job}:" in app.status.replace("\n", "")

    drive(service, steps, source=str(job), answered=False)


# Answers


def test_the_ranking_is_the_answer_of_the_service(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        desk = app.app.desk
        expected = service.recommend(desk.workload, objective="balanced", limit=None)
        assert app.listed == [(each.gpu, each.count) for each in expected.recommendations]
        assert len(app.ranking.rows) == len(expected.recommendations) + len(expected.excluded)
        assert app.decide.exported() == (desk.answer, "recommendation")

    drive(service, steps, source="llama-3.1-8b", settings=LORA)


def test_the_ranking_follows_a_budget_as_it_is_typed(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        before = app.listed
        await app.type_into("constraints.budget_usd", "700")
        await app.until(lambda: app.app.desk.workload.constraints.budget_usd == 700)
        await app.until_answered()
        assert app.listed == app.answered
        assert 0 < len(app.listed) < len(before)
        bought = [row.cost.purchase_usd for row in app.app.desk.answer.recommendations]
        assert all(price is None or price <= 700 for price in bought)
        over = next(row for row in app.ranking.rows if row.dim and "budget" in row.note)
        assert "700" in over.note

    drive(service, steps, settings={"constraints.acquire": "buy"})


def test_only_the_last_question_counts(service: Advisor) -> None:
    """Two questions while the service is busy: the first answer comes late, and is dropped."""
    gate, asked = threading.Event(), []

    class Slow:
        def __getattr__(self, name: str) -> object:
            return getattr(service, name)

        def recommend(self, workload: object, **options: object) -> RecommendAnswer:
            asked.append(workload.constraints.max_count)
            if len(asked) == 2:
                gate.wait(10)
            return service.recommend(workload, **options)

    async def steps(app: Driven) -> None:
        first = app.app.desk.answer
        question = Question("gpt2", {"constraints.max_count": "1"})
        app.app._ask(question)
        await app.until(lambda: len(asked) == 2, "the first question")
        app.app._ask(Question("gpt2", {"constraints.max_count": "2"}))
        app.app._ask(Question("gpt2", {"constraints.max_count": "4"}))
        gate.set()
        seen = []
        await app.until(lambda: seen.append(app.app.desk.workload.constraints.max_count) or app.is_settled)
        assert app.app.desk.workload.constraints.max_count == 4
        assert app.app.desk.answer is not first
        assert 1 not in seen
        assert asked == [None, 1, 4]

    drive(lambda _: Slow(), steps)


def test_keys_change_the_question(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        question = lambda: app.app.desk.question  # noqa: E731
        seen = []
        for _ in OBJECTIVES:
            await app.press("f")
            seen.append(question().objective)
        assert seen == [*OBJECTIVES[1:], OBJECTIVES[0]]
        ways = []
        for _ in range(3):
            await app.press("b")
            ways.append(question().settings.get("constraints.acquire"))
        assert ways == ["buy", "rent", None]
        counts = []
        for _ in COUNTS:
            await app.press("c")
            counts.append(question().settings.get("constraints.max_count"))
        assert counts == [*COUNTS[1:], None]

    drive(service, steps)


def test_each_objective_ranks_as_the_service_does(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        for objective in OBJECTIVES[1:]:
            await app.press("f")
            await app.until(lambda: app.app.desk.question.objective == objective)  # noqa: B023
            await app.until_answered()
            expected = service.recommend(app.app.desk.workload, objective=objective, limit=None)
            assert app.listed == [(each.gpu, each.count) for each in expected.recommendations]

    drive(service, steps)


def test_a_count_is_answered_and_shown_in_the_form(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.press("c")
        await app.until(lambda: app.app.desk.workload.constraints.max_count == 1)
        await app.until_answered()
        assert {count for _, count in app.listed} == {1}
        assert app.field("constraints.max_count").value == "1"
        assert "c one GPU" in app.text

    drive(service, steps, source="llama-3.1-70b", settings=LORA)


def test_a_limit_of_the_file_is_taken_away_by_its_key(service: Advisor, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("model: {name: gpt2}\ndata: {tokens: 1e6}\nconstraints: {acquire: [rent]}\n")

    async def steps(app: Driven) -> None:
        assert app.app.desk.workload.constraints.acquire == ("rent",)
        assert "rent only" in app.text
        seen = []
        for _ in range(3):
            await app.press("b")
            await app.until_answered()
            seen.append(app.app.desk.workload.constraints.acquire)
        assert ("buy", "rent") in seen
        assert ("buy",) in seen

    drive(service, steps, source=str(job))


def test_the_filter_narrows_the_rows_and_escape_restores_them(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        everything = len(app.ranking.rows)
        await app.press("slash", *"h200")
        assert {row.key.split("-")[0] for row in app.ranking.rows} == {"h200", "gh200"}
        await app.press("enter")
        assert app.app.focused is app.ranking
        assert app.decide.query_one("#filter").display
        await app.press("c")
        await app.until_answered()
        assert len(app.ranking.rows) < 10
        await app.press("escape")
        assert len(app.ranking.rows) > everything / 2
        assert not app.decide.query_one("#filter").display
        await app.press("ctrl+f", *"no such card")
        assert app.ranking.rows == ()
        await app.press("escape")
        assert app.ranking.rows

    drive(service, steps)


def test_what_does_not_qualify_is_grey_with_its_reason_and_can_be_hidden(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        answer = app.app.desk.answer
        out = [row for row in app.ranking.rows if row.dim]
        assert len(out) == len(answer.excluded)
        reasons = {each.gpu: each.reason for each in answer.excluded}
        assert all(row.note.endswith(reasons[row.key.rsplit(" ", 1)[0]]) for row in out)
        kinds = [row.dim for row in app.ranking.rows]
        assert kinds == sorted(kinds)
        assert app.ranking.move_to(out[0].key)
        await app.press("x")
        assert len(app.ranking.rows) == len(answer.recommendations)
        await app.press("x")
        assert len(app.ranking.rows) == len(answer.recommendations) + len(out)

    drive(service, steps, source="llama-3.1-70b", settings=LORA)


def test_when_nothing_qualifies_it_says_what_to_relax(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        answer = app.app.desk.answer
        assert answer.recommendations == ()
        assert answer.relax
        assert app.status.startswith("No GPU satisfies all constraints; ")
        assert answer.relax[0].message in app.status
        assert app.listed == []
        assert all(row.dim for row in app.ranking.rows)
        await app.press("x", "enter", "space", "A")
        assert app.ranking.rows == ()
        await app.press("escape")

    drive(service, steps, settings={"constraints.budget_usd": "1", "constraints.acquire": "buy"})


def test_space_picks_rows_to_compare(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        first = app.listed[:MOST_COMPARED]
        for _ in range(MOST_COMPARED):
            await app.press("space")
        assert app.app.desk.compared == tuple(Choice(*each) for each in first)
        assert all("+" in str(row.cells[0]) for row in app.ranking.rows[:MOST_COMPARED])
        await app.press("space")
        assert any(f"{MOST_COMPARED} are picked out already" in message for message in app.told)
        await app.press("home", "space")
        assert app.app.desk.compared == tuple(Choice(*each) for each in first[1:])
        await app.press("2")
        await app.until(lambda: app.app.current_mode == "compare" and "ratio" in app.text, "the comparison")

    drive(service, steps, size=WIDE)


def test_the_pane_follows_the_cursor_and_enter_shows_everything(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        from advisor.tui.widgets.detail import Detail

        for key in ("home", "down"):
            await app.press(key)
            name = app.app.desk.answer.recommendations[app.ranking.cursor].name
            await app.until(lambda: any(name in pane.text for pane in app.decide.query(Detail)))  # noqa: B023
        assert app.app.desk.looking_at == Choice(*app.listed[1])
        await app.press("d")
        assert app.decide.query_one("#detail").region.area == 0
        await app.press("enter")
        await app.until(lambda: isinstance(app.app.screen, DetailScreen) and name in app.text)
        await app.press("escape")
        assert app.app.screen is app.decide

    drive(service, steps, size=WIDE)


def test_every_screen_opens_by_number_function_key_and_click(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        for place in (*PLACES[1:], PLACES[0]):
            await app.press(place.key)
            await app.until(lambda: app.app.current_mode == place.mode)  # noqa: B023
        for place in (*PLACES[1:], PLACES[0]):
            await app.press(place.function_key)
            await app.until(lambda: app.app.current_mode == place.mode)  # noqa: B023
        line = app.text.splitlines()[0]
        await app.pilot.click(offset=(line.index("Catalog"), 0))
        await app.until(lambda: app.app.current_mode == "catalog")

    drive(service, steps)


# Taking something along


def rendered(answer: RecommendAnswer, suffix: str) -> str:
    from advisor.render import csv, html, json, markdown

    return {".html": html, ".json": json, ".md": markdown, ".csv": csv}[suffix].render(answer)


@pytest.mark.parametrize("suffix", [".html", ".json", ".md", ".csv"])
def test_what_is_exported_is_what_the_commands_write(service: Advisor, tmp_path: Path, suffix: str) -> None:
    async def steps(app: Driven) -> None:
        await app.press("e")
        await app.until(lambda: isinstance(app.app.screen, Export))
        place = [".html", ".json", ".md", ".csv"].index(suffix)
        await app.press(*["down"] * place, "enter")
        path = tmp_path / f"recommendation{suffix}"
        assert app.app.screen.query_one("Input").value == path.name
        await app.press("tab", "enter")
        await app.until(lambda: path.exists() and app.app.screen is app.decide)
        assert path.read_text(encoding="utf-8") == rendered(app.app.desk.answer, suffix)
        await app.until(lambda: any(str(path) in message for message in app.told))

    drive(service, steps, folder=tmp_path, settings={"constraints.budget_usd": "900"})


def test_a_file_that_exists_is_replaced_only_when_asked_twice(service: Advisor, tmp_path: Path) -> None:
    path = tmp_path / "there.json"
    path.write_text("mine")

    async def steps(app: Driven) -> None:
        await app.press("ctrl+s")
        await app.until(lambda: isinstance(app.app.screen, Export))
        await app.press("tab", "ctrl+u", *"there.json", "enter")
        await app.until(lambda: "exists" in app.text)
        assert path.read_text() == "mine"
        # Another name in between, and the question is asked again.
        await app.press("x", "backspace", "enter")
        assert path.read_text() == "mine"
        assert isinstance(app.app.screen, Export)
        await app.press("enter")
        await app.until(lambda: app.app.screen is app.decide)
        await app.until(lambda: path.read_text() != "mine")
        assert json.loads(path.read_text())["recommendations"]

    drive(service, steps, folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no/such/x.json", "does not exist"),
        ("x.pdf", "ends in none of"),
        ("", "needs a name"),
        ("sub.md", "a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_said(
    service: Advisor, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "sub.md").mkdir()

    async def steps(app: Driven) -> None:
        await app.press("ctrl+s")
        await app.until(lambda: isinstance(app.app.screen, Export))
        await app.press("tab", "ctrl+u", *name, "enter")
        await app.until(lambda: said in str(app.app.screen.query_one(".-message").render()))
        await app.press("escape")
        assert app.app.screen is app.decide
        assert [path.name for path in tmp_path.iterdir()] == ["sub.md"]

    drive(service, steps, folder=tmp_path)


def test_nothing_is_exported_before_there_is_an_answer(service: Advisor, tmp_path: Path) -> None:
    async def steps(app: Driven) -> None:
        await app.until_wrong()
        await app.press("e")
        await app.until(lambda: any("nothing to export" in message for message in app.told))

    drive(service, steps, folder=tmp_path, source="no-such-model", answered=False)


@pytest.mark.parametrize(
    ("source", "settings", "objective"),
    [
        ("gpt2", {}, "balanced"),
        (
            "llama-3.1-8b",
            {**LORA, "constraints.vendors": "nvidia, amd", "constraints.deadline_h": "3d"},
            "cost",
        ),
        ("gpt2", {"model.transformer.layers": "24"}, "balanced"),
        (
            "resnet50",
            {"data.samples": "1.2e6", "data.epochs": "90", "constraints.budget_usd": "$2,500"},
            "time",
        ),
        ("gpt2", {"task": "inference", "inference.new_tokens": "100"}, "balanced"),
    ],
)
def test_the_copied_command_asks_the_same(
    service: Advisor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    settings: dict[str, str],
    objective: str,
) -> None:
    copied: list[str] = []
    monkeypatch.setattr(app_module, "copied_by_desktop", lambda text: copied.append(text) or True)
    ranked: list[list[tuple[str, int]]] = []

    async def steps(app: Driven) -> None:
        await app.press("y")
        await app.until(lambda: bool(copied))
        ranked.append(app.answered)

    drive(service, steps, source=source, settings=settings, objective=objective)
    program, *arguments = shlex.split(copied[0])
    assert program == "gpu-advisor"
    assert main([*arguments, "--json", "--top", "all"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(each["gpu"], each["count"]) for each in answer["recommendations"]] == ranked[0]


def test_the_copied_json_is_what_the_screen_shows(service: Advisor, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr(app_module, "copied_by_desktop", lambda text: copied.append(text) or True)

    async def steps(app: Driven) -> None:
        await app.press("Y")
        await app.until(lambda: bool(copied))
        assert copied[0] == rendered(app.app.desk.answer, ".json")

    drive(service, steps)


def test_without_a_program_of_the_desktop_the_terminal_copies(
    service: Advisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "copied_by_desktop", lambda _: False)

    async def steps(app: Driven) -> None:
        await app.press("y")
        await app.until(lambda: any("sent to your terminal" in message for message in app.told))
        assert app.app.clipboard == "gpu-advisor recommend gpt2"

    drive(service, steps)


def test_the_chosen_gpu_is_what_the_app_returns(service: Advisor) -> None:
    chosen: list[tuple[str, int]] = []

    async def steps(app: Driven) -> None:
        await app.press("down", "down", "A")
        chosen.append(app.listed[2])
        await app.until(lambda: app.app.return_value is not None)

    app = drive(service, steps)
    assert app.return_value is not None
    (estimate,) = app.return_value.estimates
    assert [(estimate.gpu, estimate.count)] == chosen


# Help, palette, themes


def test_help_lists_the_keys_that_work_there(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        for place in PLACES:
            await app.press(place.key)
            await app.until(lambda: app.app.current_mode == place.mode)  # noqa: B023
            bindings = [
                active.binding
                for active in app.app.screen.active_bindings.values()
                if active.enabled and active.binding.description
            ]
            opener = app.app.screen
            await app.press("f1")
            await app.until(lambda: isinstance(app.app.screen, Help) and app.app.screen.is_mounted)
            page = app.app.screen
            said = str(page.query("Static").last().render())
            assert opener.HELP.strip(), place.mode
            assert page._text.strip() == opener.HELP.strip()
            for binding in bindings:
                assert (binding.tooltip or binding.description) in said, place.mode
                assert app.app.get_key_display(binding) in said, place.mode
            assert "Quit" in said
            await app.press("q")
            await app.until(lambda: app.app.screen is opener)  # noqa: B023

    drive(service, steps)


def test_a_question_mark_opens_help_and_leads_back(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.press("question_mark")
        await app.until(lambda: "Keys that work here" in app.text)
        assert isinstance(app.app.screen, Help)
        await app.press("question_mark")
        assert app.app.screen is app.decide

    drive(service, steps, size=NARROW)


def test_the_palette_finds_what_keys_do(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        titles = {command.title for command in app.app.get_system_commands(app.app.screen)}
        assert {"Model", "Workload", "Filter", "Pick", "Buy or rent", "Count", "For", "Left out", "Export",
                "Copy command", "Copy JSON", "Choose", "Compare", "Catalog", "Quit"} <= titles  # fmt: skip
        await app.press("ctrl+p")
        await app.until(lambda: "CommandPalette" in type(app.app.screen).__name__)
        await app.press(*"left out")
        await app.until(lambda: "Show or hide what does not qualify" in app.text)
        await app.press("enter", "enter")
        await app.until(lambda: not app.decide.shows_excluded)

    drive(service, steps, source="llama-3.1-70b")


def test_a_command_of_the_palette_works_from_a_field(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.go_to("data.tokens")
        await app.press("ctrl+p")
        await app.until(lambda: "CommandPalette" in type(app.app.screen).__name__)
        await app.press(*"Catalog")
        await app.until(lambda: "Catalog" in app.text)
        await app.press("enter", "enter")
        await app.until(lambda: app.app.current_mode == "catalog")

    drive(service, steps)


def test_themes_follow_each_other(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        seen = [app.app.theme]
        for _ in THEMES:
            await app.press("t")
            seen.append(app.app.theme)
        names = [theme.name for theme in THEMES]
        assert seen == [*names, names[0]]

    drive(service, steps)


def test_errors_know_their_field() -> None:
    from advisor.errors import ExternalError, InputError

    assert wrong_fields(None) == {}
    assert wrong_fields(ExternalError("gone")) == {}
    assert wrong_fields(InputError("no field")) == {}
    error = InputError("not so", field="constraints.vendors.1", accepted="nvidia", candidates=("nvidia",))
    assert wrong_fields(error) == {"constraints.vendors": "not so; accepted: nvidia; did you mean nvidia"}


def test_the_choice_is_what_the_cursor_of_the_screen_is_on(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.press("space", "space", "4")
        catalog = app.app.screen
        await app.until(lambda: getattr(catalog, "choice", None) is not None)
        assert catalog.choice != app.app.desk.looking_at  # type: ignore[attr-defined]
        await app.press("A")
        await app.until(lambda: app.app.return_value is not None)

    app = drive(service, steps)
    assert app.return_value is not None
    assert app.return_value.estimates[0].gpu == "radeon-vii"


@pytest.mark.parametrize("text", ["~nobody/x.html", "x" * 300 + ".html"])
def test_a_path_that_is_none_is_said(service: Advisor, text: str) -> None:
    async def steps(app: Driven) -> None:
        await app.press("ctrl+s")
        dialog = app.app.screen
        field = dialog.query_one(Input)
        field.value = text
        dialog.query_one("#write", Button).press()
        await app.until(lambda: "no path" in app.text or "does not exist" in app.text)
        assert app.app.screen is dialog
        await app.press("escape", "o")
        picker = app.app.screen
        picker.query_one(Input).value = text
        await app.press("enter")
        assert app.app.screen is picker

    drive(service, steps)


def test_keys_that_come_together_all_count(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        for key in "fbc":
            app.app.post_message(events.Key(key, key))
        await app.until(lambda: "constraints.max_count" in app.app.desk.question.settings)
        await app.until_answered()
        question = app.app.desk.question
        assert question.objective == "cost"
        assert question.settings["constraints.acquire"] == "buy"
        assert question.settings["constraints.max_count"] == "1"

    drive(service, steps)


def test_two_enters_at_once_decide_once(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.press("o", *"resnet50")
        for _ in range(2):
            app.app.post_message(events.Key("enter", "\r"))
        await app.until(lambda: app.app.desk.question.source == "resnet50")
        assert app.app.current_mode == "decide"

    drive(service, steps)
