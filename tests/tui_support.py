"""What the app's tests share: the whole app over the real service, and waiting for what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual import events
from textual.pilot import Pilot

from advisor.documents import EstimateAnswer
from advisor.service import Advisor
from advisor.tui.app import AdvisorApp
from advisor.tui.plain import plain
from advisor.tui.screens.decide import DecideScreen
from advisor.tui.session import Session
from advisor.tui.widgets.table import Table
from advisor.tui.widgets.workload_form import FieldChoice, FieldInput, WorkloadForm
from tests.tui_pictures import text_of

NARROW, WIDE = (80, 24), (140, 45)
EVIL = "[/][bold]x[@click=app.quit]y[/] \x1b]0;OWNED\x07 \u202ereversed\u200b"
"""Text that steers whatever reads it as markup, or hands it to a terminal as it is."""
STEERING = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))] + list("\u200b\u200e\u202e\u2066\ufeff")
PATIENCE = 600

Drive = Callable[["Driven"], Awaitable[None]]


class Driven:
    """The running app and the hands that use it."""

    def __init__(self, app: AdvisorApp, pilot: Pilot[EstimateAnswer]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def decide(self) -> DecideScreen:
        """The first screen."""
        screen = self.app._decide_screen()
        assert screen is not None
        return screen

    @property
    def ranking(self) -> Table:
        """Its table."""
        return self.decide.ranking

    @property
    def form(self) -> WorkloadForm:
        """Its fields."""
        return self.decide.query_one(WorkloadForm)

    @property
    def status(self) -> str:
        """The line above the ranking."""
        return str(self.decide.query_one("#status").render())

    @property
    def listed(self) -> list[tuple[str, int]]:
        """Id and count of the rows that qualify, from the top."""
        rows = [row for row in self.ranking.rows if not row.dim]
        return [(row.key.rsplit(" ", 1)[0], int(row.key.rsplit(" ", 1)[1])) for row in rows]

    @property
    def answered(self) -> list[tuple[str, int]]:
        """Id and count of what the answer on the desk recommends."""
        assert self.app.desk.answer is not None
        return [(each.gpu, each.count) for each in self.app.desk.answer.recommendations]

    @property
    def told(self) -> list[str]:
        """What toasts say."""
        return [note.message for note in self.app._notifications]

    @property
    def text(self) -> str:
        """The screen, line by line."""
        return text_of(self.app)

    def field(self, path: str) -> FieldInput | FieldChoice:
        """The editor of a field; its section has been opened."""
        return next(each for each in self.form.query("FieldInput, FieldChoice") if each.path == path)

    async def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        await self.pilot.press(*keys)

    async def paste(self, text: str) -> None:
        """Paste into what has the focus: a long path letter by letter takes seconds."""
        self.app.post_message(events.Paste(text))
        await self.pilot.pause()

    async def until(self, done: Callable[[], bool], what: str = "") -> None:
        """Wait until something is so."""
        for _ in range(PATIENCE):
            if done():
                return
            await self.pilot.pause(0.01)
        raise AssertionError(f"it never happened: {what}\n{self.text}")

    async def until_answered(self) -> None:
        """Wait until the ranking answers the question that lies on the desk."""
        desk = self.app.desk

        def done() -> bool:
            answer = desk.answer
            return answer is not None and desk.problem is None and self.is_settled

        await self.until(done, "an answer")

    async def until_wrong(self) -> None:
        """Wait until the app says that the question is wrong."""
        await self.until(lambda: self.is_settled and self.status.startswith("! "), "a message")

    @property
    def is_settled(self) -> bool:
        """Whether nothing is being asked, and the first screen shows what lies on the desk."""
        app, desk = self.app, self.app.desk
        if app._asked.is_set() or app.asking:
            return False
        if app.current_mode != "decide":
            return True
        if desk.problem is not None:
            return self.status == str(plain(f"! {desk.problem}"))
        return self.decide._shown[0] is desk.answer and not self.status.startswith("! ")

    async def go_to(self, path: str) -> FieldInput | FieldChoice:
        """Put the cursor into a field."""
        self.decide.add_class("-form")
        self.form.focus_field(path)
        await self.until(
            lambda: self.app.focused is not None and getattr(self.app.focused, "path", "") == path
        )
        return self.field(path)

    async def type_into(self, path: str, text: str) -> None:
        """Replace what a field holds, as a user would."""
        editor = await self.go_to(path)
        assert isinstance(editor, FieldInput)
        await self.press("end", "ctrl+u", *text)


class WatchedApp(AdvisorApp):
    """Knows whether an answer is on its way."""

    asking = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        answer_question = self.desk.answer_question

        async def watched() -> bool:
            self.asking = True
            try:
                return await answer_question()
            finally:
                self.asking = False

        self.desk.answer_question = watched  # type: ignore[method-assign]


def drive(
    service: Advisor | Callable[[Any], Advisor],
    steps: Drive,
    *,
    size: tuple[int, int] = NARROW,
    folder: Path | None = None,
    answered: bool = True,
    greets: bool = False,
    **session: Any,
) -> AdvisorApp:
    """Run the app, and do something in it; return it after it has ended.

    Args:
        service: the service, or what opens one.
        steps: what to do.
        size: columns and lines of the terminal.
        folder: that exports go to.
        answered: whether to begin when the first answer is there, else as soon as the form is.
        greets: whether the choice of a model comes first.
        session: fields of the session to start with.
    """
    open_service = (lambda _: service) if isinstance(service, Advisor) else service
    kept = Session(**({"source": "gpt2"} | session))
    app = WatchedApp(open_service, kept, folder=folder or Path.cwd(), greets=greets)

    async def run() -> None:
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            driven = Driven(app, pilot)
            try:
                await driven.until(lambda: bool(app._decide_screen() and driven.decide.query(WorkloadForm)))
                if answered:
                    await driven.until_answered()
                await steps(driven)
            finally:
                app.exit(app.return_value, app.return_code or 0)

    asyncio.run(run())
    return app
