"""Brings one source of live prices up to date: its parts one by one, each whole or not at all."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from advisor.errors import ExternalError
from advisor.fetch.about import Checks
from advisor.fetch.changes import Changes, compare, keyed
from advisor.fetch.documents import LeftOutDocument, SourceDocument, SourceStatus
from advisor.fetch.http import Http, NotReachedError, StoppedError
from advisor.fetch.names import Names
from advisor.fetch.offers import FormatChangedError, Source, Stamp, Tally, at_most
from advisor.fetch.records import LastGood, believe
from advisor.fetch.store import PartState, SourceState, Store, TooManyError
from advisor.prices import PriceRecord

_MOST_NAMES = 50
_NOTHING = Changes(0, 0, ())
_LONG_AGO = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

Advanced = Callable[[int, int | None], None]


@dataclass
class _Parts:
    """What the parts of a source came to."""

    records: list[PriceRecord] = field(default_factory=list)
    states: dict[str, PartState] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    left_out: Tally = field(default_factory=Tally)
    unknown: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> str:
        """What went wrong, in one line."""
        return "; ".join(f"{part}: {message}" for part, message in self.failures.items())


@dataclass(frozen=True)
class Update:
    """One refresh: what every source needs.

    Attributes:
        store: of live prices, locked.
        names: of the catalog.
        digest: of ``names``.
        checks: what is believed.
        http: the client.
        today: date of prices that hold now.
        now: for what "lately" means.
        force: ask also what was asked lately.
        cancelled: asked before each part.
    """

    store: Store
    names: Names
    digest: str
    checks: Checks
    http: Http
    today: datetime.date
    now: datetime.datetime
    force: bool
    cancelled: Callable[[], bool]

    def __call__(self, source: Source, advanced: Advanced) -> tuple[SourceDocument, Changes]:
        """Ask ``source`` and keep what it answers.

        Raises:
            StoppedError: the user asked to stop; nothing of this source was changed.
            ExternalError: the folder cannot be written.
        """
        before = self.store.live(source.name)
        state = self._state(source, before)
        if state is not None and self._lately(state) and not self.force:
            minutes = (self.now - state.asked).total_seconds() / 60
            return _document(source, "recent", before, state.parts, f"asked {minutes:.0f} min ago"), _NOTHING
        known = state.parts if state is not None else {}
        remembered = self.store.state(source.name)
        parts = self._ask_all(source, before, known, remembered.parts if remembered else {}, advanced)
        if not parts.states:
            return _document(source, "failed", before, known, parts.failed + _stays(before), parts), _NOTHING
        # A source of which a part failed may be asked again at once.
        following = SourceState(
            url=source.url,
            digest=self.digest,
            asked=_LONG_AGO if parts.failures else self.now,
            parts={**known, **parts.states},
        )
        if parts.fresh:
            try:
                self.store.write(source.name, parts.records, following, self.today)
            except TooManyError as error:
                return _document(
                    source, "failed", before, known, error.message + _stays(before), parts
                ), _NOTHING
            changes = compare(keyed(before), keyed(parts.records))
            document = _document(
                source, "updated", parts.records, following.parts, parts.failed, parts, changes
            )
            return document, changes
        self.store.remember(source.name, following)
        since = max(part.taken for part in parts.states.values())
        message = "; ".join(filter(None, (f"not changed since {since}", parts.failed)))
        return _document(source, "unchanged", before, following.parts, message, parts), _NOTHING

    def _state(self, source: Source, before: Sequence[PriceRecord]) -> SourceState | None:
        """Return what is remembered, None where the copy at hand is not what the same answer would give."""
        state = self.store.state(source.name)
        if state is None or state.url != source.url or state.digest != self.digest or not before:
            return None
        return state

    def _lately(self, state: SourceState) -> bool:
        hours = (self.now - state.asked).total_seconds() / 3600
        return 0 <= hours < self.checks.recent_hours

    def _ask_all(
        self,
        source: Source,
        before: Sequence[PriceRecord],
        known: Mapping[str, PartState],
        remembered: Mapping[str, PartState],
        advanced: Advanced,
    ) -> _Parts:
        """Return what all parts answer; those of ``known`` may also answer "not changed"."""
        parts, total = _Parts(), len(source.about.parts)

        def paged(pages: int) -> None:
            if total == 1:
                advanced(pages, None)

        for done, part in enumerate(source.about.parts):
            if self.cancelled():
                raise StoppedError("stopped")
            if total > 1:
                advanced(done, total)
            last = _last_good(part, before, remembered.get(part))
            try:
                records = self._ask(
                    source, part, known.get(part) if last.records else None, last, parts, paged
                )
            except StoppedError:
                raise
            except NotReachedError as error:
                parts.failures["no connection"] = error.message
                waiting = list(source.about.parts)[done:]
                parts.records.extend(record for record in before if record.provider in waiting)
                break
            except ExternalError as error:
                parts.failures[part] = error.message
                records = last.records
            parts.records.extend(records)
        return parts

    def _ask(
        self,
        source: Source,
        part: str,
        known: PartState | None,
        last: LastGood,
        parts: _Parts,
        paged: Callable[[int], None],
    ) -> Sequence[PriceRecord]:
        """Return the prices of one part; the old ones where they are still the newest."""
        answer = source.ask(self.http, part, known.stamp if known else Stamp(), self.today, paged)
        if answer is None:
            if known is None:
                raise FormatChangedError("says 'not changed' without having been asked for that")
            parts.states[part] = known.model_copy(update={"checked": self.today})
            return last.records
        offers = at_most(answer.offers, source.name)
        believed = believe(offers, self.names, self.checks, last, source.name, self.today)
        parts.left_out.merge(answer.left_out)
        parts.left_out.merge(believed.left_out)
        parts.unknown.update(believed.unknown_names)
        self._check_number(len(believed.records), len(last.records), known)
        parts.fresh.add(part)
        parts.states[part] = PartState(
            stamp=answer.stamp, checked=self.today, taken=self.today, held=believed.held
        )
        return list(believed.records.values())

    def _check_number(self, found: int, before: int, known: PartState | None) -> None:
        if found == 0:
            raise FormatChangedError("the answer holds no price of a known GPU")
        remembered = known is not None and (self.today - known.taken).days <= self.checks.memory_days
        if remembered and before >= self.checks.least_prices and found < self.checks.least_share * before:
            raise FormatChangedError(f"only {found} prices where {before} were before")


def _last_good(part: str, before: Sequence[PriceRecord], state: PartState | None) -> LastGood:
    records = [record for record in before if record.provider == part]
    return LastGood(records, state.checked, state.held) if state else LastGood(records)


def _stays(before: Sequence[PriceRecord]) -> str:
    return "; the last good copy stays" if before else ""


def _document(
    source: Source,
    status: SourceStatus,
    records: Sequence[PriceRecord],
    states: Mapping[str, PartState],
    message: str,
    parts: _Parts | None = None,
    changes: Changes = _NOTHING,
) -> SourceDocument:
    newest = max(records, key=lambda record: record.earliest_day, default=None)
    unknown = parts.unknown if parts else Counter[str]()
    left_out = Tally()
    if parts:
        left_out.merge(parts.left_out)
    if unknown:
        left_out.add("the name is not known", unknown.most_common(1)[0][0], unknown.total())
    return SourceDocument(
        name=source.name,
        url=source.url,
        status=status,
        message=message or None,
        records=len(records),
        new=changes.new,
        gone=changes.gone,
        dearer=changes.dearer,
        cheaper=changes.cheaper,
        prices_as_of=newest.date if newest else None,
        checked=max((part.checked.isoformat() for part in states.values()), default=None),
        unknown_names=tuple(name for name, _ in unknown.most_common(_MOST_NAMES)),
        left_out=tuple(
            LeftOutDocument(reason=reason, count=count, example=left_out.examples[reason])
            for reason, count in left_out.counts.items()
        ),
    )
