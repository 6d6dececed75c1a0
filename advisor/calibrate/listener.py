"""Who is told how far a measurement is."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """A face that shows progress."""

    def say(self, text: str) -> None:
        """Something is worth a line."""

    def begun(self, place: int, of: int, what: str) -> None:
        """Step ``place`` of ``of`` begins."""

    def ended(self) -> None:
        """The last step is over."""
