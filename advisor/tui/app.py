"""The app: modes, keys, what lies on the desk, and leaving. Screens and widgets do not know it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.notifications import SeverityLevel
from textual.screen import Screen

from advisor import units
from advisor.errors import AdvisorError
from advisor.tui.clipboard import copied_by_desktop
from advisor.tui.desk import Choice, Desk, Question
from advisor.tui.screens.decide import DecideScreen
from advisor.tui.screens.desk_screen import DataChanged, DeskChanged, DeskScreen
from advisor.tui.session import Picked, Session
from advisor.tui.themes import THEMES
from advisor.tui.widgets.top_bar import PLACES, TopBar
from advisor.whole_file import write_text_file

if TYPE_CHECKING:
    from rich.console import RenderableType

    from advisor.documents import EstimateAnswer, ModelDocument
    from advisor.service import Advisor
    from advisor.torch_model import TorchModel
    from advisor.tui.dialogs.export import Wanted
    from advisor.tui.widgets.detail import DetailWanted

    _App = App[EstimateAnswer]
else:
    _App = App

DEBOUNCE_S = 0.01
"""How long the app waits for another key before it asks; keys that come while it is asking are answered together."""

SIGNALS = {"SIGTERM": 143, "SIGHUP": 129}
"""Signals that end the app in order, and what the process then returns: 128 and the signal's number."""


class AdvisorApp(_App):
    """Decides which GPU to buy or rent, by looking; returns the estimate of the GPU that was chosen, if one was.

    Args:
        open_service: returns the service; ``allow`` is what it asks before the code of a model runs.
        session: what to start with.
        folder: that exports without a folder in their name go to.
        greets: whether to begin with the choice of a model.
        problem: what to tell at the start.
    """

    TITLE = "gpu-advisor"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        *(
            Binding(f"{place.key},{place.function_key}", f"open('{place.mode}')", place.title, show=False)
            for place in PLACES
        ),
        Binding("question_mark,f1", "help", "Help"),
        Binding("ctrl+s,e", "export", "Export"),
        Binding(
            "y", "copy_command", "Copy command", show=False, tooltip="Copy the command that asks the same"
        ),
        Binding("Y", "copy_json", "Copy JSON", show=False, tooltip="Copy what this screen shows as JSON"),
        Binding("A", "choose", "Choose", show=False, tooltip="Leave with this GPU as the answer"),
        Binding("t", "next_theme", "Theme", show=False),
        Binding("q", "leave", "Quit"),
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True),
    ]

    CSS: ClassVar[str] = """
    ToastRack { align: right bottom; }
    Input > .input--placeholder { color: $foreground 65%; }
    """

    def __init__(
        self,
        open_service: Callable[[Callable[[TorchModel], bool]], Advisor],
        session: Session,
        *,
        folder: Path,
        greets: bool = False,
        problem: AdvisorError | None = None,
    ) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        # Set before the first style sheet is read: setting it later reads all of them again.
        known = session.theme in self.available_themes
        self.set_reactive(App.theme, session.theme if known else THEMES[0].name)
        question = Question(session.source or "", dict(session.settings), session.objective)
        self.desk = Desk(lambda: open_service(self._allow_code), question)
        self.desk.compared = tuple(Choice(each.gpu, each.count) for each in session.compared)
        self._session = session
        self._folder = folder
        self._greets = greets
        self._told = problem
        self._asked = asyncio.Event()
        self._permissions: dict[str, bool] = {}
        self._asking_for: Future[bool | None] | None = None

    def on_mount(self) -> None:
        """Open the first screen and begin to answer."""
        for place in PLACES:
            self.add_mode(place.mode, partial(_screen, place.mode, self.desk))
        self.switch_mode("decide")
        self._end_on_signals()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """Begin to answer, after the first picture: loading the service holds up everything else."""
        self._keep_answering()
        self._asked.set()
        screen = self.screen
        if isinstance(screen, DecideScreen):
            kept = self._session
            screen.restore(
                shows_excluded=kept.shows_excluded, sort_key=kept.sort_key, sort_reverse=kept.sort_reverse
            )
        if self._told is not None:
            self.notify(str(self._told), severity="warning", timeout=20, markup=False)
        if self._greets:
            self._pick_model()
        elif self._session.mode != "decide" and self._session.mode in {place.mode for place in PLACES}:
            self.switch_mode(self._session.mode)

    def _end_on_signals(self) -> None:
        """Leave the terminal as it was when the process is told to end; Windows has no such signals."""
        loop = asyncio.get_running_loop()
        for name, code in SIGNALS.items():
            number = getattr(signal, name, None)
            if number is not None:
                with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                    loop.add_signal_handler(number, self.exit, None, code)

    # Answers

    @work(group="answers")
    async def _keep_answering(self) -> None:
        """Answer the question on the desk whenever there is another one; of several that came meanwhile the last."""
        first = True
        while True:
            await self._asked.wait()
            await asyncio.sleep(DEBOUNCE_S)
            self._asked.clear()
            if self.desk.question.source and await self.desk.answer_question():
                self._tell_screens()
                if first:
                    # The catalog lives as long as the app: looking for garbage in it would cost more than an answer.
                    gc.freeze()
                    first = False

    def _tell_screens(self) -> None:
        for screen in self.screen_stack:
            screen.post_message(DeskChanged())

    @on(DecideScreen.Asked)
    def _another_question(self, event: DecideScreen.Asked) -> None:
        self._ask(event.question)

    def _ask(self, question: Question) -> None:
        self.desk.question = question
        self.desk.changed()
        self._tell_screens()
        self._asked.set()

    @on(DataChanged)
    def _data_changed(self) -> None:
        self._reopen()

    @work(exclusive=True, group="reopen")
    async def _reopen(self) -> None:
        """Ask a service that has read calibrations and prices again."""
        try:
            self.desk.replace_service(await self.desk.ask(lambda service: service.reopened()))
        except AdvisorError as error:
            self.notify(str(error), severity="error", markup=False)
        else:
            self._asked.set()

    def _allow_code(self, model: TorchModel) -> bool:
        """Ask whether the code of a model may run, once for each; called in the thread that would run it."""
        from advisor.tui.dialogs.confirm import Confirm

        key = model.model_dump_json()
        if key in self._permissions:
            return self._permissions[key]
        if self.desk.closed:
            return False
        factories = ", ".join(part.factory for part in model.steps)
        question = f"This runs the code of {factories} (looked for in {model.folder or '.'} too). Run it?"
        decided: Future[bool | None] = Future()
        self._asking_for = decided
        self.call_from_thread(self.push_screen, Confirm(question, "Run it"), decided.set_result)
        self._permissions[key] = bool(decided.result())
        return self._permissions[key]

    # Going somewhere

    @on(TopBar.Opened)
    def _tab_opened(self, event: TopBar.Opened) -> None:
        self.action_open(event.mode)

    def action_open(self, mode: str) -> None:
        """Open a full screen; what stands on top of the current one goes."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if self.current_mode != mode:
            self.switch_mode(mode)

    def on_detail_wanted(self, event: DetailWanted) -> None:
        """Show everything about a GPU."""
        from advisor.tui.screens.detail import DetailScreen

        self.push_screen(DetailScreen(self.desk, event.choice))

    @on(DecideScreen.ModelWanted)
    def _model_wanted(self) -> None:
        self._pick_model()

    @work(exclusive=True, group="pick")
    async def _pick_model(self) -> None:
        from advisor.tui.dialogs.pick_model import PickModel
        from advisor.tui.fields import workload_fields

        kinds: dict[str, str] = {}

        async def load() -> Sequence[ModelDocument]:
            models = (await self.desk.ask(lambda service: service.models())).models
            kinds.update((model.name, model.kind) for model in models)
            return models

        source = await self.push_screen_wait(PickModel(load))
        if source is not None:
            # Tokens and adapters of one kind of model make no sense for another; a file says itself what it asks.
            now = self.desk.question
            alike = kinds.get(source) is not None and kinds.get(source) == kinds.get(now.source)
            kept = {
                path: text
                for path, text in now.settings.items()
                if path in workload_fields()
                and not path.startswith("model.")
                and (alike or (source in kinds and path.startswith(("constraints.", "economics."))))
            }
            self._ask(Question(source, kept, self.desk.question.objective))

    def action_help(self) -> None:
        """Show what the screen is for, and its keys."""
        from advisor.tui.dialogs.help import Help

        screen = self.screen
        if isinstance(screen, Help):
            return
        title = next((place.title for place in PLACES if place.mode == getattr(screen, "MODE", "")), "Help")
        self.push_screen(Help(title, str(getattr(screen, "HELP", "") or ""), list(self._keys())))

    def _keys(self) -> Iterator[tuple[str, str]]:
        seen: dict[str, list[str]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.description and active.enabled:
                what = binding.tooltip or binding.description
                seen.setdefault(what, []).append(self.get_key_display(binding))
        for what, keys in seen.items():
            yield ", ".join(dict.fromkeys(keys)), what

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield every command for the palette: what Textual has, every screen, every key of this one."""
        yield from super().get_system_commands(screen)
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.description and active.enabled:
                yield SystemCommand(
                    binding.description,
                    binding.tooltip or f"Key {self.get_key_display(binding)}",
                    self._runner(active.node, binding.action),
                )

    def _runner(self, node: object, action: str) -> Callable[[], None]:
        def run() -> None:
            self.call_later(self.run_action, action, node)

        return run

    def action_next_theme(self) -> None:
        """Take the next look."""
        names = [theme.name for theme in THEMES]
        place = names.index(self.theme) + 1 if self.theme in names else 0
        self.theme = names[place % len(names)]
        self.notify(f"theme: {self.theme}", markup=False, timeout=2)

    # Taking something along

    @work(exclusive=True, group="export")
    async def action_export(self) -> None:
        """Write what the screen shows to a file."""
        from advisor.tui.dialogs.export import Export
        from advisor.tui.export import exported

        shown = getattr(self.screen, "exported", lambda: None)()
        if shown is None:
            self.notify("this screen has nothing to export yet", markup=False)
            return
        answer, stem = shown
        wanted = await self.push_screen_wait(Export(stem, self._folder, downloads=self.is_web))
        if wanted is None:
            return
        text = exported(answer, wanted.suffix)
        if self.is_web:
            self._download(text, wanted)
            return
        try:
            write_text_file(wanted.path, text, replace=wanted.replace)
        except AdvisorError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.notify(f"written: {wanted.path}", markup=False, timeout=8)

    def _download(self, text: str, wanted: Wanted) -> None:
        self.deliver_text(io.StringIO(text), save_filename=wanted.path.name, open_method="download")

    def action_copy_command(self) -> None:
        """Copy the command that asks the same question."""
        from advisor.tui.command_line import command_of

        try:
            self._copy(command_of(self.desk.question, self.desk.source_values), "the command")
        except AdvisorError as error:
            self.notify(str(error), severity="error", markup=False)

    def action_copy_json(self) -> None:
        """Copy what the screen shows as JSON."""
        from advisor.tui.export import exported

        shown = getattr(self.screen, "exported", lambda: None)()
        if shown is not None:
            self._copy(exported(shown[0], ".json"), "JSON")

    @work(exclusive=True, group="copy")
    async def _copy(self, text: str, what: str) -> None:
        if not self.is_web and await asyncio.to_thread(copied_by_desktop, text):
            self.notify(f"copied: {what}", markup=False)
            return
        self.copy_to_clipboard(text)
        self.notify(f"sent to your terminal: {what}; if it keeps nothing, ctrl+s writes a file", markup=False)

    # Leaving

    def exit(
        self,
        result: EstimateAnswer | None = None,
        return_code: int = 0,
        message: RenderableType | None = None,
    ) -> None:
        """Leave; who waits for an answer stops first, since the widgets it is for are about to go."""
        if not self.desk.closed:
            self._session = self.session()
            self.desk.closed = True
        if self._asking_for is not None and not self._asking_for.done():
            # A thread waits for the answer, and the process for the thread.
            self._asking_for.set_result(False)
        self.workers.cancel_all()
        super().exit(result, return_code, message)

    @work(exclusive=True, group="choose")
    async def action_choose(self) -> None:
        """Leave with the GPU under the cursor as the answer."""
        desk, workload = self.desk, self.desk.workload
        choice: Choice | None = getattr(self.screen, "choice", None)
        if workload is None or choice is None:
            self.notify("there is nothing to choose here", markup=False)
            return
        try:
            found = await desk.ask(
                lambda service: service.estimate(workload, gpus=[choice.gpu], count=choice.count)
            )
        except AdvisorError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.exit(found)

    def action_leave(self) -> None:
        """Leave without an answer."""
        self.exit(None)

    @property
    def fault(self) -> Exception | None:
        """What ended the app, where that was a fault of its own."""
        return self._exception

    def _handle_exception(self, error: Exception) -> None:
        # Widgets that are half there when the user leaves may fail; nobody would see what they show.
        if not self.desk.closed:
            super()._handle_exception(error)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a message for a while, as letters: whatever stands in it steers neither the app nor the terminal."""
        text = "\n".join(units.plain(line) for line in message.splitlines())
        super().notify(text, title=units.plain(title), severity=severity, timeout=timeout, markup=False)

    def _print_error_renderables(self) -> None:
        """Leave it to the caller to report a fault: a user never meets a traceback."""

    def session(self) -> Session:
        """Return what to remember; after the app has ended, what was so when the user left."""
        if self.desk.closed:
            return self._session
        question, decide = self.desk.question, self._decide_screen()
        kept = self._session
        sort_key, sort_reverse = (kept.sort_key, kept.sort_reverse) if decide is None else decide.order
        return Session(
            source=question.source or None,
            settings=dict(question.settings),
            objective=question.objective,
            compared=tuple(Picked(gpu=each.gpu, count=each.count) for each in self.desk.compared),
            theme=self.theme,
            mode=self.current_mode,
            shows_excluded=kept.shows_excluded if decide is None else decide.shows_excluded,
            sort_key=sort_key,
            sort_reverse=sort_reverse,
        )

    def _decide_screen(self) -> DecideScreen | None:
        found: Sequence[Screen[object]] = self._screen_stacks.get("decide", [])
        return next((each for each in found if isinstance(each, DecideScreen)), None)


def _screen(mode: str, desk: Desk) -> DeskScreen:
    """Return a new full screen; its module is loaded when it is first opened."""
    if mode == "compare":
        from advisor.tui.screens.compare import CompareScreen

        return CompareScreen(desk)
    if mode == "pareto":
        from advisor.tui.screens.pareto import ParetoScreen

        return ParetoScreen(desk)
    if mode == "catalog":
        from advisor.tui.screens.catalog import CatalogScreen

        return CatalogScreen(desk)
    if mode == "calibrate":
        from advisor.tui.screens.calibrate import CalibrateScreen

        return CalibrateScreen(desk)
    if mode == "prices":
        from advisor.tui.screens.prices import PricesScreen

        return PricesScreen(desk)
    if mode == "fleet":
        from advisor.tui.screens.fleet import FleetScreen

        return FleetScreen(desk)
    return DecideScreen(desk)
