"""The quotes that a user has imported: one file for each price list, ``quotes/<name>.json`` in the user's folder."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from advisor.errors import ExternalError, InputError, nearest
from advisor.hardware import NameIndex
from advisor.paths import file_stem
from advisor.prices import PriceRecord
from advisor.quotes.amounts import DecimalMark
from advisor.quotes.documents import ImportAnswer, QuoteDocument, ReadFromDocument, StoredQuote, StoredQuotes
from advisor.quotes.read import QuoteFile, read_quotes
from advisor.quotes.times import DateOrder
from advisor.user_data import DATA_VARIABLE, user_data_folder
from advisor.whole_file import write_text_file
from advisor.yaml_io import read_yaml, validate


def quotes_folder() -> Path:
    """Return where imported quotes are kept; it need not exist."""
    return user_data_folder() / "quotes"


def import_quotes(
    path: Path,
    devices_index: NameIndex,
    *,
    rates: Mapping[str, float],
    columns: Mapping[str, str],
    today: datetime.date,
    decimal: DecimalMark | None = None,
    date_order: DateOrder | None = None,
    currency: str | None = None,
    vat_percent: float | None = None,
    folder: Path | None = None,
    force: bool = False,
) -> ImportAnswer:
    """Read a file of quotes and keep them, so that later answers count them.

    Args:
        path: of the file; for what else says how to read it see :func:`advisor.quotes.read.read_quotes`.
        folder: where quotes are kept; that of the user when left out.
        force: whether other quotes of the same name may be replaced.

    Raises:
        InputError: the file is wrong, or other quotes of this name are there.
        ExternalError: the file cannot be read, or the folder not written.
    """
    quotes = read_quotes(
        path,
        devices_index,
        rates=rates,
        columns=columns,
        today=today,
        decimal=decimal,
        date_order=date_order,
        currency=currency,
        vat_percent=vat_percent,
    )
    return keep_quotes(quotes, devices_index, folder=folder, force=force)


def keep_quotes(
    quotes: QuoteFile, devices_index: NameIndex, *, folder: Path | None = None, force: bool = False
) -> ImportAnswer:
    """Keep quotes that were read.

    Args:
        quotes: of a file.
        devices_index: the catalog they were read with.
        folder: where quotes are kept; that of the user when left out.
        force: whether other quotes of the same name may be replaced.

    Raises:
        InputError: other quotes of this name are there.
        ExternalError: the folder cannot be written.
    """
    folder = folder or quotes_folder()
    name = _name(quotes.name)
    path = folder / f"{name}.json"
    kept = _kept(path)
    changed = kept is None or kept.digest != quotes.digest
    if changed:
        try:
            _write(path, quotes, replace=force)
        except InputError:
            # Another process may have kept the same ones since.
            kept = _kept(path)
            if kept is None or kept.digest != quotes.digest:
                raise
            changed = False
    return ImportAnswer(
        file=quotes.name,
        name=name,
        stored=str(path),
        changed=changed,
        as_of=quotes.as_of if kept is None or changed else kept.as_of,
        quotes=tuple(_documents(quotes, devices_index)),
        columns=quotes.columns,
        messages=quotes.messages if changed else (*quotes.messages, "imported before: nothing has changed"),
    )


def stored_quotes(folder: Path | None = None) -> tuple[tuple[PriceRecord, ...], tuple[str, ...]]:
    """Return all quotes that were imported, and which files of them cannot be read.

    Args:
        folder: where quotes are kept; that of the user when left out.
    """
    found: list[PriceRecord] = []
    messages: list[str] = []
    for path in sorted((folder or quotes_folder()).glob("*.json")):
        try:
            kept = _read(path)
        except (InputError, ExternalError) as error:
            reason = str(error).splitlines()[0]
            messages.append(f"quotes left out: {reason}; import them again, or remove {path.stem!r}")
            continue
        found.extend(quote.record for quote in kept.quotes)
    return tuple(found), tuple(messages)


def stored_names(folder: Path | None = None) -> tuple[str, ...]:
    """Return under which names quotes are kept."""
    return tuple(sorted(path.stem for path in (folder or quotes_folder()).glob("*.json")))


def remove_quotes(name: str, folder: Path | None = None) -> Path:
    """Remove quotes that were imported, and return the path at which they were.

    Args:
        name: as :class:`ImportAnswer` says it, or the name of the file.
        folder: where quotes are kept; that of the user when left out.

    Raises:
        InputError: there are none of this name.
        ExternalError: the file cannot be removed.
    """
    names = stored_names(folder)
    # Only what was found in the folder is removed, so that no name leads out of it.
    chosen = name if name in names else _name(name)
    if chosen not in names:
        raise InputError(
            "no quotes of this name",
            value=name,
            accepted=", ".join(names) or "there are none",
            candidates=nearest(name, names),
        )
    path = (folder or quotes_folder()) / f"{chosen}.json"
    try:
        path.unlink()
    except OSError as error:
        raise ExternalError(f"{path}: cannot be removed ({error.strerror or error})") from None
    return path


def _name(file_name: str) -> str:
    """Return the name under which quotes of a file are kept: its own, as every system accepts it."""
    stem = re.sub(r"\.(csv|tsv|txt|json)\Z", "", file_name, flags=re.IGNORECASE)
    return file_stem(stem, "quotes")


def _read(path: Path) -> StoredQuotes:
    return validate(StoredQuotes, read_yaml(path), str(path))


def _kept(path: Path) -> StoredQuotes | None:
    """Return what is kept at ``path``; None where nothing is, or it cannot be read."""
    if not path.exists():
        return None
    try:
        return _read(path)
    except InputError:
        return None


def _write(path: Path, quotes: QuoteFile, *, replace: bool) -> None:
    kept = StoredQuotes(
        file=quotes.name,
        digest=quotes.digest,
        as_of=quotes.as_of,
        columns=quotes.columns,
        quotes=tuple(
            StoredQuote(
                record=quote.record, line=quote.offer.where, text=quote.offer.product, rate=quote.rate
            )
            for quote in quotes.quotes
        ),
        messages=quotes.messages,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExternalError(
            f"{path.parent}: cannot be made ({error.strerror or error})",
            hint=f"{DATA_VARIABLE} names another folder",
        ) from None
    try:
        write_text_file(path, kept.model_dump_json(indent=1) + "\n", replace=replace)
    except InputError:
        raise InputError(
            "other quotes of this name are kept",
            source=quotes.name,
            value=path.stem,
            hint="--force replaces them; or give the file another name",
        ) from None


def _documents(quotes: QuoteFile, devices_index: NameIndex) -> Iterable[QuoteDocument]:
    for quote in quotes.quotes:
        record = quote.record
        yield QuoteDocument(
            vendor=record.provider,
            gpu=record.gpu_id,
            name=devices_index.by_id[record.gpu_id].name,
            way="rent" if record.rented else "buy",
            minimum_count=record.minimum_count,
            maximum_count=record.maximum_count,
            price_usd=record.price_usd,
            price_in_currency=record.price_in_currency,
            currency=record.currency,
            rate=quote.rate,
            valid_until=record.valid_until,
            expired=record.expired(quotes.as_of),
            lead_time_days=record.lead_time_days,
            read_from=ReadFromDocument(line=quote.offer.where, text=quote.offer.product),
            note=record.note,
        )
