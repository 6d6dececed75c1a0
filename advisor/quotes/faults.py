"""All that is wrong with a file, said at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from advisor.errors import InputError

MOST = 10
"""So many faults are spelled out."""


class Faults:
    """Collects what is wrong with the rows of a file.

    Args:
        source: name of the file.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: dict[str, list[str]] = {}
        self._first: tuple[str, InputError] | None = None
        self.count = 0

    def add(self, where: str, error: InputError) -> None:
        """Keep what is wrong at ``where`` ("line 4"); the same fault of many rows is said once."""
        bare = InputError(
            error.message,
            field=error.field,
            value=error.value,
            accepted=error.accepted,
            candidates=error.candidates,
            hint=error.hint,
        )
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
            raise error.located(source=f"{self._source}, {where}")
        lines = [f"{self.count} rows cannot be read; nothing was taken over"]
        for text, places in list(self._found.items())[:MOST]:
            first, *rest = text.splitlines()
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            lines.append(f"  {', '.join(places[:3])}{more}: {first}")
            lines.extend(f"  {line}" for line in rest)
        if len(self._found) > MOST:
            lines.append(f"  and {len(self._found) - MOST} more faults")
        raise InputError("\n".join(lines), source=self._source)
