"""Where live prices lie in the user's folder, and how they get there: whole, and by one process at a time.

prices/live/<source>.csv             last good copy, what the price book reads
prices/history/<source>/<day>.csv    the copies of earlier days
prices/state/<source>.json           by what the source recognises the copy; written last
"""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from advisor.errors import ExternalError, InputError
from advisor.fetch.offers import Stamp
from advisor.prices import LARGEST_LIVE_BYTES, PriceRecord, parse_prices
from advisor.quantity import Model
from advisor.units import MIB
from advisor.user_data import DATA_VARIABLE
from advisor.whole_file import whole_file
from advisor.yaml_io import read_text

_COLUMNS = (
    "gpu_id", "kind", "provider", "region", "instance", "gpus_per_instance", "price_usd", "date", "source", "note",
)  # fmt: skip
_DAYS_OF_HISTORY = 31
"""Older copies are thinned out to the first of each month."""


class TooManyError(ExternalError):
    """More prices than are kept of one source."""


class PartState(Model):
    """The last good copy of one part of a source."""

    stamp: Stamp
    checked: datetime.date
    """Day of the last answer, which may have been "not changed"."""
    taken: datetime.date
    """Day on which the copy was taken over."""
    held: Mapping[str, datetime.date] = {}
    """Prices of earlier copies that stay, see :class:`advisor.fetch.records.LastGood`."""


class SourceState(Model):
    """What is remembered of a source between two refreshes."""

    url: str
    digest: str
    """Of names and catalog: where it differs, the same answer would be read differently."""
    asked: datetime.datetime
    """When all parts answered last."""
    parts: Mapping[str, PartState]


class Store:
    """The folder of live prices.

    Args:
        folder: of the user.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "prices"

    @contextmanager
    def locked(self, wait_s: float) -> Iterator[None]:
        """Keep other processes from refreshing the same folder.

        Args:
            wait_s: how long to wait for another one.

        Raises:
            ExternalError: another refresh goes on, or the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / "refresh.lock")
            lock.acquire(timeout=wait_s)
        except Timeout:
            raise ExternalError(
                "prices are being refreshed by another process", hint="try again when it is done"
            ) from None
        except (OSError, NotImplementedError) as error:
            raise _not_written(self.folder, error) from None
        try:
            yield
        finally:
            lock.release()

    def live(self, source: str) -> tuple[PriceRecord, ...]:
        """Return the last good copy; nothing where there is none or it cannot be read."""
        path = self._live(source)
        if not path.exists():
            return ()
        try:
            return parse_prices(read_text(path, max_bytes=LARGEST_LIVE_BYTES), str(path))
        except InputError:
            # Damaged by hand: what is fetched next replaces it, and the price book reports it until then.
            return ()

    def state(self, source: str) -> SourceState | None:
        """Return what is remembered; None where nothing is or it cannot be read."""
        try:
            return SourceState.model_validate_json(self._state(source).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(
        self, source: str, records: Iterable[PriceRecord], state: SourceState, today: datetime.date
    ) -> None:
        """Replace the last good copy, keep it as that of ``today``, and remember where it came from.

        Raises:
            TooManyError: nobody would read so large a table; nothing was changed.
            ExternalError: the folder cannot be written.
        """
        data = _table(records)
        if len(data) > LARGEST_LIVE_BYTES:
            raise TooManyError(f"a table of its prices is larger than {LARGEST_LIVE_BYTES / MIB:g} MiB")
        self._replace(self._live(source), data)
        history = self.folder / "history" / source
        self._replace(history / f"{today.isoformat()}.csv", data)
        self.remember(source, state)
        self._thin_out(history, today)

    def remember(self, source: str, state: SourceState) -> None:
        """Write the state alone: the copy at hand is still the newest.

        Raises:
            ExternalError: the folder cannot be written.
        """
        text = json.dumps(state.model_dump(mode="json"), indent=1)
        self._replace(self._state(source), text.encode("utf-8"))

    def _live(self, source: str) -> Path:
        return self.folder / "live" / f"{source}.csv"

    def _state(self, source: str) -> Path:
        return self.folder / "state" / f"{source}.json"

    def _replace(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path.parent, data) as temporary:
                temporary.replace(path)
        except OSError as error:
            raise _not_written(path, error) from None

    def _thin_out(self, history: Path, today: datetime.date) -> None:
        months: set[str] = set()
        for path, day in history_files(history):
            month = day.isoformat()[:7]
            if (today - day).days > _DAYS_OF_HISTORY and month in months:
                path.unlink(missing_ok=True)
            months.add(month)


def history_files(folder: Path) -> list[tuple[Path, datetime.date]]:
    """Return the copies of earlier days of one source, oldest first."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        try:
            found.append((path, datetime.date.fromisoformat(path.stem)))
        except ValueError:
            continue
    return found


def _table(records: Iterable[PriceRecord]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for record in sorted(records, key=_order):
        writer.writerow(["" if (cell := getattr(record, name)) is None else cell for name in _COLUMNS])
    return stream.getvalue().encode("utf-8")


def _order(record: PriceRecord) -> tuple[str | int, ...]:
    return (
        record.gpu_id,
        record.kind,
        record.provider or "",
        record.instance or "",
        record.gpus_per_instance,
        record.region or "",
    )


def _not_written(path: Path, error: Exception) -> ExternalError:
    reason = getattr(error, "strerror", None) or error
    return ExternalError(
        f"{path}: cannot be written ({reason})", hint=f"{DATA_VARIABLE} names another folder"
    )
