"""What a source of live prices hands over, before anything is believed: offers, and what could not be read."""

from __future__ import annotations

import csv
import datetime
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from advisor.errors import ExternalError
from advisor.fetch.about import SourceAbout
from advisor.fetch.http import Http, Reply
from advisor.quantity import Model
from advisor.units import plain

_LONGEST_TEXT = 120
_LONGEST_LINE = 65_536
_MOST_OFFERS = 50_000
"""Of one part of a source; the longest list of a cloud has about a fifth of that."""


class FormatChangedError(ExternalError):
    """A source answers, but not what this program can read."""


class Stamp(Model):
    """By what a source recognises the copy that is at hand."""

    etag: str | None = None
    last_modified: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Offer:
    """One offer to rent, as the source words it.

    Attributes:
        provider: who rents, in this project's words.
        instance: the provider's name of the machine.
        region: the provider's name of the place.
        names: what the source calls the GPU; the first that is known counts.
        memory_gb: of one GPU as sold, None where the source does not say.
        count: GPUs of the machine, None where the instance type must tell.
        usd_per_hour: of the whole machine; NaN where it was not a number.
        spot: whether it can be interrupted.
        date: of the price, as exact as the source is.
        note: what a reader should know.
    """

    provider: str
    instance: str | None
    region: str | None
    names: tuple[str, ...]
    memory_gb: float | None
    count: int | None
    usd_per_hour: float
    spot: bool
    date: str
    note: str | None = None


@dataclass
class Tally:
    """What was left out: how many by reason, and one example each."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count what was left out."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        self.examples.setdefault(reason, example)

    def merge(self, other: Tally) -> None:
        """Add another tally to this one."""
        for reason, count in other.counts.items():
            self.add(reason, other.examples[reason], count)


@dataclass(frozen=True)
class Answer:
    """What one part of a source answered.

    Attributes:
        offers: to be gone through once; a long answer is read as they are taken, and its faults are raised then, as
            those of ``Source.ask``.
        stamp: of this answer.
        left_out: complete when all offers were taken.
    """

    offers: Iterable[Offer]
    stamp: Stamp
    left_out: Tally


class Source(Protocol):
    """A place that tells prices over HTTP."""

    @property
    def name(self) -> str:
        """Name in catalog/prices/sources.yaml."""

    @property
    def url(self) -> str:
        """Address that is asked, the shipped one or a mirror."""

    @property
    def about(self) -> SourceAbout:
        """What it covers, on what terms."""

    def ask(
        self, http: Http, part: str, stamp: Stamp, today: datetime.date, advanced: Callable[[int], None]
    ) -> Answer | None:
        """Fetch the offers of one part.

        Args:
            http: the client.
            part: a key of ``about.parts``.
            stamp: of the copy at hand; an empty one fetches in any case.
            today: date of prices that hold now.
            advanced: called with the number of pages so far.

        Returns:
            None where the copy at hand is still the newest.

        Raises:
            ExternalError: not reached, refused, or (FormatChangedError) not readable.
        """


def at_most(offers: Iterable[Offer], source: str) -> Iterator[Offer]:
    """Hand on the offers of one part of a source while they are not too many to be true.

    Raises:
        FormatChangedError: they are.
    """
    for number_of, offer in enumerate(offers, 1):
        if number_of > _MOST_OFFERS:
            raise FormatChangedError(f"{source}: more than {_MOST_OFFERS:,} offers, which is not believed")
        yield offer


def clean(value: object) -> str:
    """Return a text of a source as one short line without control characters; empty for what is no text."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return ""
    return " ".join(plain(str(value)).split())[:_LONGEST_TEXT].strip()


def number(value: object) -> float:
    """Return a number of a source, NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def whole(value: object) -> int | None:
    """Return a whole number that counts GPUs, None for anything else."""
    found = number(value)
    return int(found) if found.is_integer() and 0 <= found <= 4096 else None


def found_body(reply: Reply, url: str) -> bytes:
    """Return the body of a success.

    Raises:
        ExternalError: the server says that there is nothing, or that it is not for everyone.
    """
    if reply.found:
        return reply.body
    reasons = {404: "there is nothing at this address (404)"}
    reason = reasons.get(reply.status, f"the server refuses to answer without an account ({reply.status})")
    raise ExternalError(f"{plain(url)}: {reason}", hint="a mirror can be given with --source-url NAME=URL")


def objects(value: object, field_name: str) -> list[Mapping[str, object]]:
    """Return a list of JSON objects.

    Raises:
        FormatChangedError: ``value`` is something else.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise FormatChangedError(f"the answer has no list {field_name!r}")
    return value


def table_rows(lines: Iterable[str], columns: Sequence[str], what: str) -> Iterator[Mapping[str, str | None]]:
    """Read a CSV table row by row.

    Args:
        lines: of the table, its header first.
        columns: that must be there, in any order and among others.
        what: is read, for messages.

    Raises:
        FormatChangedError: a column is missing, or a line is too long for a row.
        csv.Error: it is no table.
    """
    rows = csv.DictReader(_short(lines, what))
    missing = [name for name in columns if name not in (rows.fieldnames or ())]
    if missing:
        raise FormatChangedError(f"{what}: the format changed, there is no column {', '.join(missing)}")
    return rows


def _short(lines: Iterable[str], what: str) -> Iterator[str]:
    # A line of nothing but commas needs eight times the memory of its text.
    for line in lines:
        if len(line) > _LONGEST_LINE:
            raise FormatChangedError(f"{what}: the format changed, a line has {len(line)} characters")
        yield line
