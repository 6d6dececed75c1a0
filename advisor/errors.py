"""The errors that a user can meet, each with the exit code that scripts rely on.

    AdvisorError
    ├── InputError          2  what the user wrote is wrong; says where, what, and what is accepted
    ├── ExternalError       3  something outside failed (network, GPU, file) and may be retried
    └── MissingExtraError   4  an optional dependency is not installed

"Nothing satisfies the constraints" (exit code 1) is an answer, not an error: the document carries the reasons.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns; scripts rely on these numbers."""

    ANSWERED = 0
    UNSATISFIED = 1
    BAD_INPUT = 2
    OUTSIDE_FAILED = 3
    MISSING_EXTRA = 4
    INTERRUPTED = 130


class AdvisorError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code: ExitCode = ExitCode.OUTSIDE_FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        message = one_line(self.message)
        return message if self.hint is None else f"{message}\n  hint: {one_line(self.hint)}"


class InputError(AdvisorError):
    """Something the user wrote cannot be used.

    Args:
        message: one sentence that says what is wrong.
        source: file name, ``standard input`` or the option that carried the value.
        field: dotted path of the field, such as ``batch.micro``.
        line: line in ``source`` counted from 1, where known.
        value: the offending value, shortened for display.
        accepted: what would have been accepted.
        candidates: nearest valid names, best first.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        field: str | None = None,
        line: int | None = None,
        value: object = None,
        accepted: str | None = None,
        candidates: Iterable[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.source = source
        self.field = field
        self.line = line
        self.value = value
        self.accepted = accepted
        self.candidates = tuple(candidates)

    def located(self, *, source: str | None = None, line: int | None = None) -> InputError:
        """Return the same error with the place filled in where it was not known."""
        return InputError(
            self.message,
            source=self.source or source,
            field=self.field,
            line=self.line if self.line is not None else line,
            value=self.value,
            accepted=self.accepted,
            candidates=self.candidates,
            hint=self.hint,
        )

    def __str__(self) -> str:
        # A name with a line break in it must not pass for a line of ours.
        place = ":".join(one_line(str(part)) for part in (self.source, self.line) if part is not None)
        head = ": ".join(part for part in (place, one_line(self.field or "")) if part)
        lines = [f"{head}: {self.message}" if head else self.message]
        if self.value is not None:
            lines.append(f"  got: {shorten(self.value)}")
        if self.accepted:
            lines.append(f"  accepted: {one_line(self.accepted)}")
        if self.candidates:
            lines.append(f"  did you mean: {one_line(', '.join(self.candidates))}?")
        if self.hint:
            lines.append(f"  hint: {one_line(self.hint)}")
        return "\n".join(lines)


class ExternalError(AdvisorError):
    """The network, a device or a file failed; the same call may succeed later."""

    exit_code = ExitCode.OUTSIDE_FAILED


class MissingExtraError(AdvisorError):
    """An optional dependency is needed for this command."""

    exit_code = ExitCode.MISSING_EXTRA


def one_line(text: str) -> str:
    """Return text with its line breaks and tabs as spaces."""
    return " ".join(text.splitlines()).replace("\t", " ")


def shorten(value: object, limit: int = 80) -> str:
    """Return ``repr(value)`` cut to ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def nearest(name: str, known: Iterable[str], *, limit: int = 5) -> tuple[str, ...]:
    """Return the names of ``known`` most like ``name``, best first."""
    lowered = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=limit, cutoff=0.5)
    containing = [key for key in lowered if name.lower() in key and key not in close]
    return tuple(lowered[key] for key in (*close, *sorted(containing))[:limit])
