"""Owns standard error: errors, warnings, and what the process returns. Nobody else writes there."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TextIO

from advisor.errors import AdvisorError, ExitCode, InputError, shorten
from advisor.units import plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from advisor.calibrate.nvml import Sample
    from advisor.documents import ErrorAnswer
    from advisor.fetch.documents import SourceDocument
    from advisor.profile import SuiteResult

PROGRAM = "gpu-advisor"
_COLORS = {"error": "\x1b[1;31m", "note": "\x1b[1;33m"}
_RESET = "\x1b[0m"
_KINDS: dict[ExitCode, Literal["input", "outside", "missing-extra"]] = {
    ExitCode.BAD_INPUT: "input",
    ExitCode.MISSING_EXTRA: "missing-extra",
}


def wants_color(stream: TextIO | None) -> bool:
    """Return whether colour may be written: a terminal, and neither NO_COLOR nor TERM=dumb is set."""
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def report_error(error: AdvisorError, *, debug: bool = False, color: bool = True) -> ExitCode:
    """Print an error that a user can act on and return its exit code."""
    if debug:
        _write(traceback.format_exc())
    _say("error", str(error), color)
    return error.exit_code


def report_crash(error: Exception, *, debug: bool = False, color: bool = True) -> ExitCode:
    """Print a fault of this program and return the exit code for it."""
    if debug:
        _write(traceback.format_exc())
    text = f"internal error ({type(error).__name__}: {shorten(str(error), 200)})"
    advice = "please report it with the command line" + ("" if debug else "; --debug prints the traceback")
    _say("error", f"{text}\n  {advice}", color)
    return ExitCode.OUTSIDE_FAILED


def report_notes(notes: Iterable[str], *, color: bool = True) -> None:
    """Print notes that the format on standard output has no place for."""
    for note in notes:
        _say("note", note, color)


class SourceProgress:
    """Tells how far a refresh of prices is: a bar in a terminal, else a line for each source.

    Args:
        color: whether colour may be used.
    """

    def __init__(self, *, color: bool) -> None:
        self._color = color
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def started(self, name: str) -> None:
        """A source is asked."""
        stream = sys.stderr
        if stream is None or not stream.isatty() or os.environ.get("TERM") == "dumb":
            _write(f"asking {plain(name)}\n")
            return
        if self._bar is None:
            self._bar = open_bar(stream, color=self._color)
        self._task = self._bar.add_task(plain(name), total=None)

    def advanced(self, name: str, done: int, total: int | None) -> None:
        """So much of a source has come."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def finished(self, source: SourceDocument) -> None:
        """A source has been asked."""
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        if source.status == "failed":
            _say(
                "warning",
                f"{source.name}: {source.message or 'failed'}; its last good copy stays",
                self._color,
            )

    def ended(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class StepProgress:
    """Tells how far something long is: a bar with the time that is left in a terminal, else a line for each step.

    Args:
        color: whether colour may be used.
    """

    def __init__(self, *, color: bool) -> None:
        self._color = color
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def say(self, text: str) -> None:
        """Say something in a line of its own."""
        if self._bar is not None:
            self._bar.console.print(f"{PROGRAM}: note: {plain(text)}", markup=False, highlight=False)
        else:
            _say("note", text, self._color)

    def begun(self, place: int, of: int, what: str) -> None:
        """Step number ``place`` of ``of`` begins."""
        stream = sys.stderr
        if stream is None or not stream.isatty() or os.environ.get("TERM") == "dumb":
            _write(f"[{place}/{of}] {plain(what)}\n")
            return
        if self._bar is None:
            self._bar = open_bar(stream, color=self._color)
            self._task = self._bar.add_task(plain(what), total=of)
        assert self._task is not None
        self._bar.update(self._task, completed=place - 1, description=plain(what))

    def measured(self, result: SuiteResult) -> None:
        """Say nothing: the table at the end has every result."""

    def sampled(self, sample: Sample) -> None:
        """Say nothing: a line has no room for what moves ten times a second."""

    def ended(self) -> None:
        """Take the bar away; the lines that were said stay."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def open_bar(stream: TextIO, *, color: bool) -> Progress:
    """Return a running bar that takes itself away at its end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(file=stream, no_color=not (color and wants_color(stream)), emoji=False)
    bar = Progress(
        BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False), console=console, transient=True,
    )  # fmt: skip
    bar.start()
    return bar


def confirm(question: str) -> bool:
    """Ask a question that is answered with yes or no on the terminal; anything but a yes is a no."""
    _write(f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def error_answer(error: AdvisorError) -> ErrorAnswer:
    """Return the document that answers a bad line of a stream."""
    from advisor.documents import ErrorAnswer, PlaceDocument

    place = PlaceDocument(code=int(error.exit_code), kind=_KINDS.get(error.exit_code, "outside"),
                          message=plain(error.message), hint=_printable(error.hint))  # fmt: skip
    if isinstance(error, InputError):
        place = place.model_copy(
            update={
                "source": _printable(error.source),
                "line": error.line,
                "field": _printable(error.field),
                "value": None if error.value is None else plain(shorten(error.value)),
                "accepted": _printable(error.accepted),
                "candidates": tuple(plain(each) for each in error.candidates),
            }
        )
    return ErrorAnswer(error=place)


def _printable(text: str | None) -> str | None:
    return None if text is None else plain(text)


def _say(kind: str, message: str, color: bool) -> None:
    label = f"{kind}:"
    if color and wants_color(sys.stderr):
        label = f"{_COLORS[kind]}{label}{_RESET}"
    lines = "\n".join(plain(line) for line in message.splitlines())
    _write(f"{PROGRAM}: {label} {lines}\n")


def _write(text: str) -> None:
    """Write to standard error; characters that it cannot show are escaped, a closed one is ignored."""
    stream = sys.stderr
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):
        # Standard error itself is closed: there is nowhere left to say so.
        return
