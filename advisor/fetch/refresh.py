"""Brings live prices up to date: source by source.

A source that does not answer, or answers what cannot be read or believed, changes nothing: its last good copy stays.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from advisor.fetch.about import load_sources
from advisor.fetch.changes import largest
from advisor.fetch.documents import RefreshAnswer, SourceDocument
from advisor.fetch.http import Http, StoppedError
from advisor.fetch.names import Names
from advisor.fetch.offers import Source
from advisor.fetch.store import Store
from advisor.fetch.update import Update
from advisor.hardware import Device
from advisor.prices import PriceRecord


class Progress(Protocol):
    """Told what happens, from the thread that refreshes."""

    def started(self, source: str) -> None:
        """A source is asked now."""

    def advanced(self, source: str, done: int, total: int | None) -> None:
        """So many of its parts have answered, or pages where ``total`` is not known."""

    def finished(self, document: SourceDocument) -> None:
        """The source is done."""


class Quiet:
    """Shows nothing."""

    def started(self, source: str) -> None:
        """See :class:`Progress`."""

    def advanced(self, source: str, done: int, total: int | None) -> None:
        """See :class:`Progress`."""

    def finished(self, document: SourceDocument) -> None:
        """See :class:`Progress`."""


def refresh(
    sources: Sequence[Source],
    devices: Iterable[Device],
    folder: Path,
    http: Http,
    today: datetime.date,
    progress: Progress | None = None,
    *,
    force: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
    now: datetime.datetime | None = None,
    lock_wait_s: float = 10.0,
) -> RefreshAnswer:
    """Fetch live prices into the user's folder.

    Args:
        sources: to ask, see :func:`advisor.fetch.sources.open_sources`.
        devices: the catalog.
        folder: of the user.
        http: the client, opened; give it the same ``cancelled``.
        today: date of prices that hold now.
        progress: told what happens.
        force: ask also what was asked lately.
        cancelled: asked before each request; what is done until then stays.
        now: for what "lately" means, with a time zone; the time of the machine when left out.
        lock_wait_s: how long to wait for another refresh of the same folder.

    Raises:
        ExternalError: another refresh goes on, or the folder cannot be written.
    """
    shown = progress or Quiet()
    store, names = Store(folder), Names(devices)
    moved: list[tuple[PriceRecord, PriceRecord]] = []
    documents: list[SourceDocument] = []
    with store.locked(lock_wait_s):
        update = Update(
            store=store,
            names=names,
            digest=names.digest(),
            checks=load_sources().checks,
            http=http,
            today=today,
            now=now or datetime.datetime.now(datetime.UTC),
            force=force,
            cancelled=cancelled,
        )
        for source in sources:
            shown.started(source.name)
            try:
                document, changes = update(source, partial(shown.advanced, source.name))
            except StoppedError:
                break
            documents.append(document)
            moved.extend(changes.moved)
            shown.finished(document)
    failed = sum(document.status == "failed" for document in documents)
    unfinished = [source.name for source in sources[len(documents) :]]
    return RefreshAnswer(
        as_of=today.isoformat(),
        ok=len(documents) - failed,
        failed=failed,
        sources=tuple(documents),
        changes=largest(moved),
        folder=str(store.folder),
        warnings=(f"stopped; not finished: {', '.join(unfinished)}",) if unfinished else (),
    )
