"""Where to write what a screen shows, and in which form."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, RadioSet, Static

from advisor.tui.dialogs.dialog import Dialog
from advisor.tui.plain import plain
from advisor.tui.widgets.dotted import DottedButton


class Form(NamedTuple):
    """One form of a file."""

    suffix: str
    name: str


FORMS = (
    Form(".html", "HTML report with plots, one file"),
    Form(".json", "JSON, as --json writes it"),
    Form(".md", "Markdown"),
    Form(".csv", "CSV, a row for each line"),
)


class Wanted(NamedTuple):
    """What the user decided."""

    path: Path
    suffix: str
    replace: bool


class Export(Dialog[Wanted]):
    """Asks for a form and a file; a file that exists is only replaced on a second press.

    Args:
        stem: proposed name without suffix.
        folder: that a name without one is written to.
        downloads: whether the file goes to a browser, which asks itself where to.
    """

    DEFAULT_CSS: ClassVar[str] = """
    Export RadioSet { border: none; background: $surface; padding: 0; height: auto; width: 1fr; }
    Export Input { margin: 1 0; }
    """

    def __init__(self, stem: str, folder: Path, *, downloads: bool = False) -> None:
        super().__init__()
        self._stem = stem
        self._folder = folder
        self._downloads = downloads
        self._asked: Path | None = None

    def compose(self) -> ComposeResult:
        """Lay out the forms, the path and the buttons."""
        with Vertical(classes="-box") as box:
            box.border_title = "Export what this screen shows"
            with RadioSet():
                for place, form in enumerate(FORMS):
                    yield DottedButton(form.name, value=place == 0)
            yield Input(f"{self._stem}{FORMS[0].suffix}", placeholder="file")
            yield Static("", classes="-message", markup=False)
            with Horizontal(classes="-row"):
                yield Button("Write", id="write", variant="primary", compact=True)
                yield Button("Cancel", id="cancel", compact=True)
            where = "Your browser saves the file." if self._downloads else f"In {self._folder}."
            yield Static(plain(where), classes="-hint")

    def on_mount(self) -> None:
        """Start with the forms: the path is proposed."""
        self.query_one(RadioSet).focus()

    @on(RadioSet.Changed)
    def _form_chosen(self, event: RadioSet.Changed) -> None:
        field = self.query_one(Input)
        form = FORMS[event.index]
        path = Path(field.value or self._stem)
        if path.suffix in {each.suffix for each in FORMS}:
            path = path.with_suffix("")
        field.value = f"{path}{form.suffix}"

    @on(Input.Changed)
    def _path_typed(self) -> None:
        self._say("")

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._write()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "write":
            self._write()
        else:
            self.dismiss(None)

    def _write(self) -> None:
        text = self.query_one(Input).value.strip()
        if not text:
            self._say("a file needs a name")
            return
        try:
            self._check(Path(text).expanduser())
        except (OSError, RuntimeError, ValueError) as error:
            self._say(f"this is no path that can be written to: {error}")

    def _check(self, path: Path) -> None:
        """Leave with a path that can be written to, or say what is wrong with it.

        Raises:
            OSError: the system does not even look at it.
        """
        suffix = path.suffix.lower()
        if suffix not in {form.suffix for form in FORMS}:
            self._say(f"the name ends in none of {', '.join(form.suffix for form in FORMS)}")
            return
        path = path if path.is_absolute() else self._folder / path
        if self._downloads:
            self.dismiss(Wanted(path, suffix, replace=False))
            return
        if not path.parent.is_dir():
            self._say(f"the folder {path.parent} does not exist")
            return
        if path.is_dir():
            self._say("this is a folder")
            return
        if path.exists() and self._asked != path:
            self._asked = path
            self._say(f"{path} exists; press Write once more to replace it")
            return
        self.dismiss(Wanted(path, suffix, replace=path.exists()))

    def _say(self, text: str) -> None:
        if not text:
            self._asked = None
        self.query_one(".-message", Static).update(plain(text))
