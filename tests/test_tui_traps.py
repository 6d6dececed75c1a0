"""What would end the app, steer the terminal or do something unasked: names of others, and letters in fields."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import advisor.tui
from advisor.errors import InputError
from advisor.service import Advisor, open_advisor
from advisor.tui.desk import Question
from advisor.tui.dialogs.confirm import Confirm
from advisor.tui.dialogs.export import Export
from advisor.tui.dialogs.help import Help
from advisor.tui.dialogs.pick_model import PickModel
from advisor.tui.plain import plain
from advisor.tui.widgets.top_bar import PLACES
from advisor.tui.widgets.workload_form import FieldInput
from tests.tui_support import EVIL, NARROW, STEERING, WIDE, Driven, drive


@pytest.fixture(scope="module")
def service() -> Advisor:
    return open_advisor()


@pytest.fixture(scope="module")
def evil_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalog in which the RTX 4090 has another name, and prices from a source that has one too."""
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "gpus").mkdir()
    entry = json.loads(open_advisor().gpu("rtx-4090").gpus[0].model_dump_json())["entry"]
    entry["name"] = EVIL
    entry["tensor"]["rates"] = {
        f"{rate['format']}/{rate['accumulate']}": rate["tflops"] for rate in entry["tensor"]["rates"]
    }
    (folder / "gpus" / "own.yaml").write_text(yaml.safe_dump({"devices": {entry.pop("id"): entry}}))
    return folder


def harmless(app: Driven) -> None:
    """Check every line that is on the screen."""
    for strip in app.app.screen._compositor.render_strips():
        assert not [letter for letter in STEERING if letter in strip.text], strip.text
        for segment in strip:
            meta = segment.style.meta if segment.style else {}
            # Footer and tabs of ours have actions; what a name says is none.
            assert "app.quit" not in str(meta), segment.text
            assert not (segment.style and segment.style.link), segment.text


@pytest.mark.parametrize("letter", STEERING, ids=[f"{ord(letter):04x}" for letter in STEERING])
def test_a_letter_that_steers_is_taken_out(letter: str) -> None:
    shown = plain(f"a{letter}b").plain
    assert letter not in shown or letter in "\t\n"
    assert shown.startswith("a")
    assert shown.endswith("b")


def test_brackets_stay_letters() -> None:
    assert plain("[/][bold]x[/bold]").plain == "[/][bold]x[/bold]"
    assert plain("[@click=app.quit]x[/]").spans == []
    assert plain(InputError("[type=int_parsing]", field="a")).plain == "a: [type=int_parsing]"


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_a_card_with_a_steering_name_is_only_text_on_every_screen(
    evil_catalog: Path, size: tuple[int, int]
) -> None:
    service = open_advisor([evil_catalog])

    async def steps(app: Driven) -> None:
        app.ranking.set_filter("rtx-4090")
        assert app.ranking.move_to("rtx-4090 1")
        await app.pilot.pause()
        assert "[@click=app.quit]y[/]" in app.text or size == NARROW
        assert "[/]" in app.text
        harmless(app)
        await app.press("space")
        # Picking moves on to the next row.
        assert app.ranking.move_to("rtx-4090 1")
        await app.press("enter")
        await app.until(lambda: len(app.app.screen_stack) > 1 and "[/]" in app.text)
        await app.pilot.pause()
        harmless(app)
        for place in PLACES[1:]:
            await app.press(place.key)
            await app.until(lambda: app.app.current_mode == place.mode)  # noqa: B023
            await app.pilot.pause(0.05)
            harmless(app)
        await app.press("1", "A")
        await app.until(lambda: app.app.return_value is not None)

    drive(service, steps, size=size)


def test_a_workload_with_a_steering_name_is_only_text(service: Advisor, tmp_path: Path) -> None:
    job = tmp_path / "[@click=app.quit]x[] \u202e.yaml"
    job.write_text(yaml.safe_dump({"name": EVIL, "model": {"name": "gpt2"}, "data": {"tokens": 1_000_000}}))

    async def steps(app: Driven) -> None:
        assert "qualify" in app.status
        harmless(app)
        await app.press("enter")
        await app.until(lambda: len(app.app.screen_stack) > 1)
        await app.pilot.pause()
        harmless(app)
        await app.press("escape", "o")
        await app.until(lambda: isinstance(app.app.screen, PickModel))
        await app.paste(f"{tmp_path}/")
        await app.until(lambda: "[@click=app.quit]x" in app.text)
        harmless(app)
        await app.press("enter")
        await app.until_answered()
        await app.press("y")
        await app.until(lambda: bool(app.told))
        harmless(app)

    drive(service, steps, source=str(job))


@pytest.mark.parametrize(
    "settings",
    [{"precision": EVIL}, {"data.tokens": EVIL}, {"constraints.vendors": EVIL}, {"software.version": EVIL},
     {"lora.targets": EVIL, "method": "lora"}, {"batch.micro": "[/]"}],
    ids=lambda settings: next(iter(settings)),
)  # fmt: skip
def test_a_message_about_a_steering_value_is_only_text(service: Advisor, settings: dict[str, str]) -> None:
    async def steps(app: Driven) -> None:
        await app.until(lambda: app.is_settled and app.status != "asking...")
        await app.pilot.pause()
        harmless(app)
        # The app still answers.
        app.app._ask(Question("gpt2"))
        await app.until_answered()

    drive(service, steps, settings=settings, answered=False)


@pytest.mark.parametrize("source", [EVIL, "[/]", "[", "x]" * 200, "\x1b[2J"])
def test_a_steering_source_is_only_text(service: Advisor, source: str) -> None:
    async def steps(app: Driven) -> None:
        await app.until_wrong()
        harmless(app)
        await app.press("y", "e", "A")
        await app.until(lambda: bool(app.told))
        harmless(app)

    drive(service, steps, source=source, answered=False)


def test_dialogs_take_text_as_text(service: Advisor, tmp_path: Path) -> None:
    (folder := tmp_path / "[b]x[@click=app.quit]").mkdir()
    answers: list[bool | None] = []

    async def steps(app: Driven) -> None:
        app.app.push_screen(Confirm(EVIL, EVIL), answers.append)
        await app.until(lambda: isinstance(app.app.screen, Confirm))
        await app.pilot.pause()
        assert "[@click=app.quit]y[/]" in app.text
        harmless(app)
        # A hasty enter is a no.
        await app.press("enter")
        await app.until(lambda: answers == [False])
        await app.press("ctrl+s")
        await app.until(lambda: isinstance(app.app.screen, Export))
        await app.press("tab", "ctrl+u", *"[/]a/b.md", "enter")
        await app.until(lambda: "does not exist" in app.text)
        harmless(app)
        await app.press("ctrl+u", *"[b]x.md", "enter")
        await app.until(lambda: any("[b]x.md" in message for message in app.told))
        await app.pilot.pause()
        assert (folder / "[b]x.md").exists()
        harmless(app)

    drive(service, steps, folder=folder)


# Letters in fields


def test_letters_in_a_field_are_text(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        editor = await app.go_to("software.framework")
        assert isinstance(editor, FieldInput)
        await app.press("ctrl+u", *"q?/gyext1A ")
        assert editor.value == "q?/gyext1A "
        assert app.app.screen is app.decide
        assert app.app.focused is editor
        assert app.app.desk.question.objective == "balanced"
        assert app.app.desk.compared == ()
        assert app.app.is_running
        for key, dialog in (("f1", Help), ("ctrl+s", Export), ("ctrl+o", PickModel)):
            await app.press(key)
            await app.until(lambda: isinstance(app.app.screen, dialog))  # noqa: B023
            await app.press("escape")
            await app.until(lambda: app.app.screen is app.decide)
        await app.press("ctrl+f")
        assert getattr(app.app.focused, "id", None) == "filter"
        await app.press(*"q?/")
        assert app.app.focused.value == "q?/"
        await app.press("escape")
        await app.go_to("software.framework")
        await app.press("f5")
        await app.until(lambda: app.app.current_mode == "catalog")

    drive(service, steps)


def test_a_choice_keeps_the_letters_that_it_knows(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.go_to("task")
        await app.press("t")
        assert app.field("task").value == "train"
        assert app.app.theme == "advisor-dark"

    drive(service, steps)


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_a_dialog_keeps_the_keys_of_the_app_away(service: Advisor, size: tuple[int, int]) -> None:
    async def steps(app: Driven) -> None:
        await app.press("o")
        await app.until(lambda: isinstance(app.app.screen, PickModel))
        await app.press(*"q?/t1eyAx2")
        assert app.app.screen.query_one("Input").value == "q?/t1eyAx2"
        assert isinstance(app.app.screen, PickModel)
        await app.press("f2", "f5", "ctrl+s")
        await app.pilot.pause()
        assert isinstance(app.app.screen, PickModel)
        await app.press("escape")
        app.app.push_screen(Confirm("Really?", "Do it"))
        await app.until(lambda: isinstance(app.app.screen, Confirm))
        await app.press("q", "t", "e", "2")
        assert isinstance(app.app.screen, Confirm)
        assert app.app.is_running
        await app.press("n")
        assert app.app.screen is app.decide
        assert app.app.theme == "advisor-dark"

    drive(service, steps, size=size)


def test_control_q_leaves_from_a_field_and_from_a_dialog(service: Advisor) -> None:
    for key in ("w", "o"):

        async def steps(app: Driven) -> None:
            await app.press(key)  # noqa: B023
            await app.pilot.pause()
            await app.press("ctrl+q")
            await app.until(lambda: app.app.desk.closed)

        drive(service, steps)


# How widgets are given text

_DOORS = {
    "Static": 0,
    "Label": 0,
    "Button": 0,
    "notify": 0,
    "update": 0,
    "Option": 0,
    "RadioButton": 0,
    "Collapsible": None,
}
"""What reads a string as markup, and the place of the string among its arguments."""


def _calls() -> Iterator[tuple[Path, ast.Call, str]]:
    for path in sorted(Path(advisor.tui.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if name in _DOORS:
                    yield path, node, name


def _is_ours(text: ast.expr) -> bool:
    """Say whether an argument is a literal of ours without brackets, or a call: of plain() or what builds Content."""
    if isinstance(text, ast.Constant):
        return not (isinstance(text.value, str) and "[" in text.value)
    if isinstance(text, ast.IfExp):
        return _is_ours(text.body) and _is_ours(text.orelse)
    if isinstance(text, ast.Call):
        return not (isinstance(text.func, ast.Name) and text.func.id in ("str", "repr", "format"))
    return not isinstance(text, ast.JoinedStr | ast.BinOp)


def test_no_widget_is_given_a_string_that_it_reads_as_markup() -> None:
    """Text goes into a widget as plain(text), as Content, or beside markup=False."""
    found, seen = [], 0
    for path, call, name in _calls():
        seen += 1
        options = {option.arg: option.value for option in call.keywords}
        off = options.get("markup")
        if isinstance(off, ast.Constant) and off.value is False:
            continue
        texts = [*call.args[:1], *(options[key] for key in ("title", "label", "prompt") if key in options)]
        if name == "notify" or not all(_is_ours(text) for text in texts):
            found.append(f"{path.name}:{call.lineno}: {ast.unparse(call)[:80]}")
    assert seen > 30
    assert found == []
