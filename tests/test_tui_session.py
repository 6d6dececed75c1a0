"""What the app remembers, and what it does with what it cannot read or keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from advisor.errors import AdvisorError, ExternalError, InputError
from advisor.service import Advisor, open_advisor
from advisor.tui import start
from advisor.tui.app import AdvisorApp
from advisor.tui.desk import Choice
from advisor.tui.session import Picked, Session, load_session, save_session, session_path
from advisor.tui.start import FIRST_MODEL, Left, run
from advisor.tui.themes import THEMES
from tests.tui_support import Driven, drive

FULL = Session(
    source="llama-3.1-8b",
    settings={"method": "lora", "data.tokens": "50e6"},
    objective="cost",
    compared=(Picked(gpu="rtx-4090", count=1), Picked(gpu="rtx-3090", count=1)),
    theme="advisor-light",
    mode="decide",
    shows_excluded=False,
    sort_key="memory",
    sort_reverse=True,
)


@pytest.fixture(scope="module")
def service() -> Advisor:
    return open_advisor()


def test_a_session_is_read_as_it_was_written() -> None:
    assert load_session(session_path()) == Session()
    save_session(FULL, session_path())
    assert load_session(session_path()) == FULL


def test_the_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "session.json"
    save_session(FULL, path)
    assert load_session(path) == FULL


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"version": 2}', b'{"theme": 3}', b'{"settings": {"a": [1]}}', b"\xff\xfe", b'{"x": 1}'],
)  # fmt: skip
def test_what_is_no_session_is_an_error_with_advice(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "session.json"
    path.write_bytes(content)
    with pytest.raises(AdvisorError) as caught:
        load_session(path)
    assert str(path) in str(caught.value)
    assert "remove or mend the file" in str(caught.value)
    assert isinstance(caught.value, InputError | ExternalError)


def test_a_session_that_cannot_be_kept_is_an_error_of_the_outside(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExternalError):
        save_session(FULL, tmp_path / "file" / "session.json")


# The app as it was left


def test_the_app_begins_as_it_was_left(service: Advisor) -> None:
    kept: list[Session] = []

    async def steps(app: Driven) -> None:
        assert app.app.theme == "advisor-light"
        assert app.app.desk.question.objective == "cost"
        assert app.app.desk.compared == (Choice("rtx-4090", 1), Choice("rtx-3090", 1))
        assert app.app.desk.workload.method == "lora"
        assert all(not row.dim for row in app.ranking.rows)
        memory = [row.order["memory"] for row in app.ranking.rows]
        assert memory == sorted(memory, reverse=True)
        picked = [row.key for row in app.ranking.rows if "+" in str(row.cells[0])]
        assert sorted(picked) == ["rtx-3090 1", "rtx-4090 1"]
        kept.append(app.app.session())

    drive(service, steps, **FULL.model_dump())
    assert kept == [FULL]


def test_what_is_changed_is_kept(service: Advisor) -> None:
    kept: list[Session] = []

    async def steps(app: Driven) -> None:
        await app.press("x", "f", "t", "b", "space", "s")
        await app.until_answered()
        await app.press("3")
        await app.until(lambda: app.app.current_mode == "pareto")
        kept.append(app.app.session())

    drive(service, steps, source="gpt2")
    (session,) = kept
    assert session.objective == "cost"
    assert session.theme == THEMES[1].name
    assert session.mode == "pareto"
    assert session.settings == {"constraints.acquire": "buy"}
    assert not session.shows_excluded
    assert len(session.compared) == 1
    assert session.sort_key == "rank"


def test_a_screen_that_was_open_is_opened_again(service: Advisor) -> None:
    async def steps(app: Driven) -> None:
        await app.until(lambda: app.app.current_mode == "catalog")

    drive(service, steps, mode="catalog")


@pytest.mark.parametrize(
    "fields", [{"theme": "no such theme"}, {"mode": "no such screen"}, {"sort_key": "no such column"}]
)
def test_what_another_version_knew_does_no_harm(service: Advisor, fields: dict[str, Any]) -> None:
    async def steps(app: Driven) -> None:
        assert app.app.theme == (THEMES[0].name if "theme" in fields else "advisor-dark")
        assert app.app.current_mode == "decide"
        assert app.listed == app.answered

    drive(service, steps, **fields)


# From the command line in, and out again


@pytest.fixture
def leave_when(monkeypatch: pytest.MonkeyPatch, service: Advisor) -> Callable[..., tuple[Left, AdvisorApp]]:
    """Return what runs the app without a terminal, does something in it, and leaves."""

    def left(
        source: str | None, settings: dict[str, str], steps: Callable[[AdvisorApp, Any], Any] | None = None
    ) -> tuple[Left, AdvisorApp]:
        seen: list[AdvisorApp] = []
        headless = AdvisorApp.run

        async def auto(pilot: Any) -> None:
            app = pilot.app
            seen.append(app)
            for _ in range(600):
                if app.desk.answer is not None or app.desk.problem is not None:
                    break
                await pilot.pause(0.01)
            if steps is not None:
                await steps(app, pilot)
            app.action_leave()

        def run_headless(app: AdvisorApp) -> Any:
            return headless(app, headless=True, size=(140, 45), auto_pilot=auto)

        monkeypatch.setattr(start.AdvisorApp, "run", run_headless)
        found = run(lambda _: service, source, settings, folder=Path.cwd())
        return found, seen[0]

    return left


def test_the_first_start_asks_what_to_run(leave_when: Callable[..., tuple[Left, AdvisorApp]]) -> None:
    from advisor.tui.dialogs.pick_model import PickModel

    async def steps(app: AdvisorApp, pilot: Any) -> None:
        for _ in range(600):
            if isinstance(app.screen, PickModel):
                return
            await pilot.pause(0.01)
        raise AssertionError("nothing was asked")

    found, app = leave_when(None, {}, steps)
    assert found == Left(None, 0, None)
    assert app.desk.question.source == FIRST_MODEL
    assert load_session(session_path()).source == FIRST_MODEL


def test_the_second_start_goes_on(leave_when: Callable[..., tuple[Left, AdvisorApp]]) -> None:
    save_session(FULL, session_path())
    found, app = leave_when(None, {})
    assert found.problem is None
    assert (app.desk.question.source, app.desk.question.settings) == (FULL.source, FULL.settings)
    assert load_session(session_path()) == FULL


def test_the_command_line_begins_another_question(leave_when: Callable[..., tuple[Left, AdvisorApp]]) -> None:
    save_session(FULL, session_path())
    _, app = leave_when("resnet50", {"constraints.budget_usd": "900"})
    assert (app.desk.question.source, dict(app.desk.question.settings)) == (
        "resnet50", {"constraints.budget_usd": "900"},
    )  # fmt: skip
    kept = load_session(session_path())
    assert (kept.source, kept.theme) == ("resnet50", "advisor-light")


def test_options_without_a_workload_are_laid_over_the_last_question(
    leave_when: Callable[..., tuple[Left, AdvisorApp]],
) -> None:
    save_session(FULL, session_path())
    _, app = leave_when(None, {"data.tokens": "1e6"})
    assert dict(app.desk.question.settings) == {"method": "lora", "data.tokens": "1e6"}


@pytest.mark.parametrize(
    "content", [b'{"version": 1, "theme": [/]', b"\xff\x00", json.dumps({"version": 9}).encode()]
)
def test_a_broken_session_is_told_and_left_as_it_was(
    leave_when: Callable[..., tuple[Left, AdvisorApp]], content: bytes
) -> None:
    path = session_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    told: list[str] = []

    async def steps(app: AdvisorApp, pilot: Any) -> None:
        told.extend(note.message for note in app._notifications)

    found, _ = leave_when("gpt2", {}, steps)
    assert path.read_bytes() == content
    assert found.problem is not None
    assert str(path) in str(found.problem)
    assert any(str(path) in message for message in told)


def test_a_session_that_cannot_be_kept_is_told_at_the_end(
    leave_when: Callable[..., tuple[Left, AdvisorApp]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPU_ADVISOR_DATA", str(tmp_path / "file"))
    found, _ = leave_when("gpt2", {})
    assert found.choice is None
    assert found.problem is not None
