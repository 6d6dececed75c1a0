"""What to run: a shipped model found by a few letters, or a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.fuzzy import Matcher
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from advisor import units
from advisor.errors import AdvisorError
from advisor.paths import given_path, is_file
from advisor.tui.dialogs.dialog import Dialog
from advisor.tui.plain import plain
from advisor.units import format_count

if TYPE_CHECKING:
    from advisor.documents import ModelDocument

SHOWN = 200
_SUFFIXES = (".yaml", ".yml", ".json")


class PickModel(Dialog[str]):
    """A field that finds models as one types; text with a slash, or a suffix of a file, finds files.

    Args:
        load: returns what is shipped; waited for while the user types already.
    """

    BINDINGS: ClassVar[list[Binding]] = [
        Binding("down", "cursor(1)", "Down", show=False, priority=True),
        Binding("up", "cursor(-1)", "Up", show=False, priority=True),
        Binding("pagedown", "cursor(10)", "Page down", show=False, priority=True),
        Binding("pageup", "cursor(-10)", "Page up", show=False, priority=True),
    ]

    DEFAULT_CSS: ClassVar[str] = """
    PickModel OptionList { height: 16; max-height: 42vh; border: none; background: $surface; padding: 0; }
    PickModel Input { margin-bottom: 1; }
    """

    def __init__(self, load: Callable[[], Awaitable[Sequence[ModelDocument]]]) -> None:
        super().__init__()
        self._load = load
        self._models: Sequence[ModelDocument] | None = None
        self._found: list[str] = []

    def compose(self) -> ComposeResult:
        """Lay out the field over the list."""
        with Vertical(classes="-box") as box:
            box.border_title = "What do you want to run?"
            yield Input(placeholder="a model such as llama 8b, or a file such as ./job.yaml or ./config.json")
            yield OptionList(compact=True)
            yield Static("", classes="-hint", markup=False)

    def on_mount(self) -> None:
        """Take letters at once; the list follows."""
        self.query_one(Input).focus()
        self._find("")
        self._list()

    @work
    async def _list(self) -> None:
        try:
            self._models = await self._load()
        except AdvisorError as error:
            self.query_one(Static).update(plain(error))
            return
        self._find(self.query_one(Input).value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._find(event.value)

    def _find(self, text: str) -> None:
        as_file = _looks_like_file(text)
        found = list(_files(text)) if as_file else list(_models(text, self._models or ()))
        self._found = [name for name, _ in found[:SHOWN]]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(prompt) for _, prompt in found[:SHOWN])
        if found:
            options.highlighted = 0
        if as_file:
            hint = "Enter opens the file: a workload, a config.json or an operator table."
        elif self._models is None:
            hint = "reading the catalog..."
        elif found:
            hint = f"{len(found)} models. Enter chooses; Escape goes back."
        else:
            hint = "No shipped model has these letters. A path with a slash opens a file."
        self.query_one(Static).update(plain(hint))

    def action_cursor(self, by: int) -> None:
        """Move in the list while the letters go into the field."""
        options = self.query_one(OptionList)
        if options.option_count:
            place = (options.highlighted or 0) + by
            options.highlighted = max(0, min(place, options.option_count - 1))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if _looks_like_file(text) and is_file(given_path(text)):
            self.dismiss(text)
            return
        place = self.query_one(OptionList).highlighted
        if not text and not place:
            # Nothing was typed and nothing pointed at: the model stays.
            self.dismiss(None)
            return
        if place is not None and place < len(self._found):
            self._choose(place)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(event.option_index)

    def _choose(self, place: int) -> None:
        name = self._found[place]
        if name.endswith("/"):
            field = self.query_one(Input)
            # A folder's name may steer the terminal; one that does is typed, not chosen.
            field.value = units.plain(name)
            field.cursor_position = len(field.value)
            field.focus()
            return
        self.dismiss(name)


def _looks_like_file(text: str) -> bool:
    return "/" in text or "\\" in text or text.startswith(("~", ".")) or text.lower().endswith(_SUFFIXES)


def _models(text: str, models: Sequence[ModelDocument]) -> Iterator[tuple[str, Content]]:
    """Yield the models in which every word of a text is found, the nearest first, with what it found marked."""
    words = text.lower().split()
    matchers = [Matcher(word) for word in words]
    scored = []
    for model in models:
        names = (model.name, *model.aliases, model.family, model.kind)
        scores = [max(matcher.match(name) for name in names) for matcher in matchers]
        if all(score > 0 for score in scores):
            # Of names in which the same letters are found, the one with the fewest others is meant.
            whole = sum(word in model.name for word in words)
            scored.append((-whole, -sum(scores), len(model.name), model.name, model))
    for *_, model in sorted(scored, key=lambda each: each[:4] if words else each[3]):
        size = f"{format_count(model.parameters)} parameters"
        if model.active_parameters != model.parameters:
            size += f", {format_count(model.active_parameters)} active"
        yield model.name, Content.assemble(_marked(model.name, words), (f"  {model.kind}, {size}", "dim"))


def _marked(name: str, words: Sequence[str]) -> Content:
    found = plain(name)
    for word in words:
        place = name.find(word)
        if place >= 0:
            found = found.stylize("bold underline", place, place + len(word))
    return found


def _files(text: str) -> Iterator[tuple[str, Content]]:
    """Yield folders and documents whose path begins with a text."""
    path = given_path(text)
    folder, start = (
        (path, "") if text.endswith(("/", "\\")) or text in (".", "..", "~") else (path.parent, path.name)
    )
    try:
        entries = sorted(folder.iterdir(), key=lambda each: (not each.is_dir(), each.name))
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith(start) or (entry.name.startswith(".") and not start.startswith(".")):
            continue
        if entry.is_dir():
            yield f"{entry}/", plain(f"{entry.name}/")
        elif entry.suffix.lower() in _SUFFIXES:
            yield str(entry), plain(entry.name)
