"""All that is wrong with a file, said at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from advisor.errors import InputError

MOST = 10
"""So many faults are spelled out."""


@contextmanager
def about(field: str) -> Iterator[None]:
    """Give errors the field that they are about."""
    try:
        yield
    except InputError as error:
        raise _with_field(error, field) from None


def _with_field(error: InputError, field: str | None) -> InputError:
    """Return an error with another field, and without a place."""
    return InputError(
        error.message,
        field=field,
        value=error.value,
        accepted=error.accepted,
        candidates=error.candidates,
        hint=error.hint,
    )


class Faults:
    """Collects what is wrong with the rows of a file.

    Args:
        source: name of the file.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: dict[str, list[str]] = {}
        self._first: tuple[str, InputError] | None = None
        self.count = 0

    def add(self, where: str, error: InputError) -> None:
        """Keep what is wrong at ``where`` ("line 4"); the same fault of several rows is said once."""
        if error.line is not None:
            where = f"{where}, line {error.line}"
        bare = _with_field(error, error.field)
        self._found.setdefault(str(bare), []).append(where)
        self._first = self._first or (where, bare)
        self.count += 1

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Keep the error of a row instead of raising it."""
        try:
            yield
        except InputError as error:
            self.add(where, error)

    def raise_if_any(self) -> None:
        """Raise one error that names every fault, the first ten in full.

        Raises:
            InputError: something is wrong.
        """
        if self._first is None:
            return
        if self.count == 1:
            where, error = self._first
            raise error.located(source=f"{self.source}, {where}")
        lines = [f"{self.count} quotes cannot be read, so none was taken over"]
        by_place = sorted(self._found.items(), key=lambda item: _number(item[1][0]))
        for text, places in by_place[:MOST]:
            first, *rest = text.splitlines()
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            lines.append(f"  {', '.join(places[:3])}{more}: {first}")
            lines.extend(f"  {line}" for line in rest)
        if len(self._found) > MOST:
            lines.append(f"  and {len(self._found) - MOST} more faults")
        raise InputError("\n".join(lines), source=self.source)


def _number(where: str) -> int:
    """Return the number in "line 4"."""
    match = re.search(r"\d+", where)
    return int(match.group()) if match else 0
