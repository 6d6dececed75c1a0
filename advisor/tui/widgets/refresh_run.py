"""How far the asking of price lists is: a line for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.message import Message
from textual.widgets import Static

from advisor.fetch.documents import SourceDocument
from advisor.tui.plain import plain

WAITING = "waits"


class RefreshRun(Static):
    """Shows nothing until :meth:`begin`; :attr:`listener` may be called from any thread."""

    DEFAULT_CSS: ClassVar[str] = """
    RefreshRun { height: auto; max-height: 50%; padding: 0 1; background: $panel; display: none; }
    RefreshRun.-begun { display: block; }
    """

    class Said(Message):
        """Something is new of a source."""

        def __init__(self, source: str, text: str) -> None:
            super().__init__()
            self.source = source
            self.text = text

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._lines: dict[str, str] = {}
        self._end = ""
        self.listener = _Listener(self)

    def begin(self, sources: Sequence[str]) -> None:
        """Show the sources that will be asked."""
        self._lines = dict.fromkeys(sources, WAITING)
        self._end = "asking price lists ... (escape stops)"
        self.add_class("-begun")
        self._draw()

    def ended(self, text: str) -> None:
        """Show how it ended."""
        self._end = text
        self._draw()

    @on(Said)
    def _note(self, event: Said) -> None:
        self._lines[event.source] = event.text
        self._draw()

    def _draw(self) -> None:
        width = max(map(len, self._lines), default=0)
        lines = [f"{name:<{width}}  {text}" for name, text in self._lines.items()]
        self.update(plain("\n".join([*lines, self._end])))


class _Listener:
    """Progress of a refresh, passed on to the thread of the app."""

    def __init__(self, run: RefreshRun) -> None:
        self._run = run

    def started(self, source: str) -> None:
        """A source is asked now."""
        self._say(source, "is asked")

    def advanced(self, source: str, done: int, total: int | None) -> None:
        """So many of its parts have answered, or pages where ``total`` is not known."""
        self._say(source, f"{done} of {total}" if total is not None else f"page {done}")

    def finished(self, document: SourceDocument) -> None:
        """The source is done."""
        said = f"{document.status}: {document.message}" if document.message else document.status
        self._say(document.name, f"{said}, {document.records} prices at hand")

    def _say(self, source: str, text: str) -> None:
        self._run.post_message(RefreshRun.Said(source, text))
