"""Who is told how far a measurement is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from advisor.calibrate.nvml import Sample
    from advisor.profile import SuiteResult


class Listener(Protocol):
    """A face that shows progress."""

    def say(self, text: str) -> None:
        """Something is worth a line."""

    def begun(self, place: int, of: int, what: str) -> None:
        """Step ``place`` of ``of`` begins."""

    def measured(self, result: SuiteResult) -> None:
        """A test of the suite is measured."""

    def sampled(self, sample: Sample) -> None:
        """The sensors were read; called some ten times a second in a thread of its own."""

    def ended(self) -> None:
        """The last step is over."""
