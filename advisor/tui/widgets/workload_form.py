"""The workload as a form: a row for each field of the document, with the message of what is wrong under it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Mapping
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Collapsible, Input, Static

from advisor.tui.fields import SECTIONS, Field, Section, relevant, section_fields
from advisor.tui.plain import plain
from advisor.tui.widgets.choice import Choice


class FieldInput(Input):
    """The editor of a field that is typed."""

    def __init__(self, field: Field, value: str) -> None:
        super().__init__(value, placeholder=field.hint, compact=True, select_on_focus=False)
        self.path = field.path


class FieldChoice(Choice):
    """The editor of a field that is one of a few words."""

    def __init__(self, field: Field, value: str) -> None:
        super().__init__(field.choices, field.default)
        self.path = field.path
        self.set_reactive(Choice.value, value)


Editor = FieldInput | FieldChoice


class _Message(Static):
    """What is wrong with the field above it."""


class _Labels(Static):
    """The names of a section's fields, one a line; a click goes to the editor of the line.

    One widget for all of them: a form of a widget for each takes three times as long to appear.
    """

    def on_click(self, event: events.Click) -> None:
        """Go to the editor at this height."""
        for editor in self.screen.query("FieldInput, FieldChoice"):
            if editor.region.y == event.screen_y and editor.display:
                editor.focus()


class FieldGroup(Collapsible):
    """The fields of a section; their editors are made when it is first opened, since nobody opens them all.

    Args:
        section: which.
        value: returns what a field holds, as text.
    """

    DEFAULT_CSS: ClassVar[str] = """
    FieldGroup { padding: 0; margin: 0; border: none; background: transparent; }
    FieldGroup > Contents { padding: 0 0 0 1; height: auto; }
    FieldGroup Horizontal { height: auto; }
    FieldGroup _Labels { width: 17; height: auto; color: $foreground 65%; }
    FieldGroup Vertical { width: 1fr; height: auto; }
    FieldGroup _Message { color: $text-error; height: auto; }
    FieldGroup FieldInput.-wrong { background: $error 25%; }
    FieldGroup FieldChoice.-wrong { background: $error 25%; }
    """

    def __init__(self, section: Section, value: Callable[[str], str]) -> None:
        self._labels = _Labels("", markup=False)
        self._column = Vertical()
        super().__init__(
            Horizontal(self._labels, self._column), title=section.title, collapsed=not section.is_open
        )
        self.fields = {field.path: field for field in section_fields(section)}
        self._labels.styles.width = max(len(field.label) for field in self.fields.values()) + 1
        self.editors: dict[str, Editor] = {}
        self._value = value
        self._messages: dict[str, _Message] = {}

    def on_mount(self) -> None:
        """Make the editors of a section that is open."""
        if not self.collapsed:
            self.make()

    def make(self) -> None:
        """Make the editors, once."""
        if self.editors:
            return
        for path, field in self.fields.items():
            typed = not field.choices or field.several
            self.editors[path] = (FieldInput if typed else FieldChoice)(field, self._value(path))
            self.editors[path].tooltip = Content(path)
        self._column.mount_all(self.editors.values())

    def put(self, values: Mapping[str, str]) -> None:
        """Show values that the user did not type; nobody is told."""
        for path, editor in self.editors.items():
            if editor.value != values.get(path, ""):
                with editor.prevent(Input.Changed, Choice.Changed):
                    editor.value = values.get(path, "")

    def dress(self, shown: Collection[str], changed: Collection[str], wrong: Mapping[str, str]) -> None:
        """Show the fields that mean something now, mark those that were changed, and say what is wrong.

        Args:
            shown: paths of the fields to show.
            changed: paths of those that differ from the source.
            wrong: message by path.
        """
        lines = []
        for path, editor in self.editors.items():
            editor.display = path in shown
            message = wrong.get(path, "") if path in shown else ""
            editor.set_class(bool(message), "-wrong")
            self._say(path, editor, message)
            if path in shown:
                style = "$text-error bold" if message else "$text-accent" if path in changed else ""
                lines.append(Content.styled(self.fields[path].label, style))
                lines += [Content("")] * self._height(message)
        self._labels.update(Content("\n").join(lines))

    def _say(self, path: str, editor: Editor, message: str) -> None:
        found = self._messages.get(path)
        if found is None:
            if not message:
                return
            found = self._messages[path] = _Message("", markup=False)
            self._column.mount(found, after=editor)
        found.display = bool(message)
        found.update(plain("\n".join(self._wrapped(message))))

    def _wrapped(self, message: str) -> list[str]:
        return textwrap.wrap(f"! {message}", max(self._column.size.width, 16)) if message else []

    def _height(self, message: str) -> int:
        return len(self._wrapped(message))


class WorkloadForm(VerticalScroll):
    """All fields of the workload document but its model.

    It holds what the user typed over what the source says, and nothing that was worked out.
    """

    DEFAULT_CSS: ClassVar[str] = "WorkloadForm { padding: 0 1; background: $surface; scrollbar-size: 1 1; }"

    BINDINGS: ClassVar[list[Binding]] = [  # type: ignore[assignment]
        Binding("up", "go(-1)", "Field above", show=False),
        Binding("down", "go(1)", "Field below", show=False),
    ]

    class Changed(Message):
        """The user changed a field."""

        def __init__(self, settings: Mapping[str, str]) -> None:
            super().__init__()
            self.settings = settings

    def __init__(self) -> None:
        super().__init__(can_focus=False)
        self._source: dict[str, str] = {}
        self._settings: dict[str, str] = {}
        self._wrong: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Lay out the sections."""
        for section in SECTIONS:
            yield FieldGroup(section, self._value)

    def on_mount(self) -> None:
        """Write the names beside the editors."""
        self._dress()

    @on(Collapsible.Expanded)
    def _opened(self, event: Collapsible.Expanded) -> None:
        if isinstance(event.collapsible, FieldGroup):
            event.collapsible.make()
            self._dress()

    def on_resize(self) -> None:
        """Break messages anew."""
        self._dress()

    def show(self, source: Mapping[str, str], settings: Mapping[str, str]) -> None:
        """Show a document and what was typed over it.

        Args:
            source: values of the document as text, by path.
            settings: what was typed, by path.
        """
        self._source, self._settings = dict(source), dict(settings)
        values = self._source | self._settings
        for group in self.query(FieldGroup):
            group.put(values)
        self._dress()

    def mark(self, wrong: Mapping[str, str]) -> None:
        """Say under the fields what is wrong with them, by path; what was said of others is taken away."""
        if wrong == self._wrong:
            return
        self._wrong = dict(wrong)
        for group in self.query(FieldGroup):
            if any(path in wrong for path in group.fields):
                group.make()
                group.collapsed = False
        self._dress()

    def action_go(self, way: int) -> None:
        """Go to the next field, or the one before."""
        move = self.screen.focus_next if way > 0 else self.screen.focus_previous
        move("FieldInput, FieldChoice")

    def focus_field(self, path: str) -> None:
        """Put the cursor into a field, its section opened."""
        for group in self.query(FieldGroup):
            if path in group.fields:
                group.make()
                group.collapsed = False
                editor = group.editors[path]
                self.screen.set_focus(editor)
                if self.screen.focused is not editor:
                    self.call_after_refresh(editor.focus)

    def _value(self, path: str) -> str:
        return self._settings.get(path, self._source.get(path, ""))

    def _dress(self) -> None:
        task, method = self._value("task"), self._value("method")
        for group in self.query(FieldGroup):
            shown = [
                path
                for path in group.fields
                if relevant(path, task, method) or path in self._settings or path in self._wrong
            ]
            group.dress(shown, self._settings, self._wrong)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if isinstance(event.input, FieldInput):
            self._edited(event.input.path, event.value)

    @on(Choice.Changed)
    def _chosen(self, event: Choice.Changed) -> None:
        event.stop()
        if isinstance(event.choice, FieldChoice):
            self._edited(event.choice.path, event.choice.value)

    def _edited(self, path: str, value: str) -> None:
        text = value.strip()
        if text == self._value(path):
            return
        if text == self._source.get(path, ""):
            self._settings.pop(path, None)
        else:
            self._settings[path] = text
        self._dress()
        self.post_message(self.Changed(dict(self._settings)))
