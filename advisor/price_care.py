"""Looks after the user's prices: asks live sources, keeps quotes and removes them. Each face does it through this."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from advisor.fetch.documents import RefreshAnswer
from advisor.fetch.refresh import Progress
from advisor.prices import PriceKind
from advisor.quote_files import QuoteFiles
from advisor.quotes.documents import ImportAnswer
from advisor.service import Advisor
from advisor.user_data import user_data_folder


def refresh_prices(
    advisor: Advisor,
    progress: Progress,
    *,
    chosen: Sequence[str] = (),
    mirrors: Sequence[str] = (),
    force: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
) -> RefreshAnswer:
    """Ask live sources, and keep what they answer. The only road to the network but the Hugging Face hub.

    Args:
        advisor: over the catalog.
        progress: told what happens, from the thread that calls.
        chosen: names of sources; all when left out.
        mirrors: NAME=ADDRESS of sources that are asked elsewhere.
        force: ask also what was asked lately.
        cancelled: asked before each request; what is done until then stays.

    Raises:
        InputError: a source is not known, or a mirror not an address.
        ExternalError: another refresh goes on, or the folder cannot be written. A source that fails raises nothing.
        MissingExtraError: a library that a chosen source needs is missing.
    """
    from advisor.fetch.http import Http
    from advisor.fetch.refresh import refresh
    from advisor.fetch.sources import open_sources

    sources = open_sources(chosen, mirrors)
    with Http(cancelled=cancelled) as http:
        return refresh(
            sources, advisor.devices, user_data_folder(), http, advisor.today, progress, force=force,
            cancelled=cancelled,
        )  # fmt: skip


def import_quotes(
    advisor: Advisor, path: Path, how: QuoteFiles | None = None, *, force: bool = False
) -> ImportAnswer:
    """Read a file of quotes and keep them for later answers.

    Args:
        advisor: over the catalog.
        path: of the file.
        how: what the user says about it.
        force: whether other quotes of the same name may be replaced.

    Raises:
        InputError: the file is wrong, or other quotes of this name are kept.
        ExternalError: the file cannot be read, or the folder not written.
    """
    from advisor.quotes import store

    how = how or QuoteFiles()
    answer = store.import_quotes(
        path, advisor.names, folder=user_data_folder() / "quotes", rates=how.rates, columns=how.columns,
        decimal=how.decimal, date_order=how.date_order, currency=how.currency, vat_percent=how.vat_percent,
        today=advisor.today, force=force,
    )  # fmt: skip
    kind: Mapping[str, PriceKind] = {"buy": "quote", "rent": "quote_rent"}
    doubts = [
        f"{quote.read_from.line}: {doubt}"
        for quote in answer.quotes
        if (doubt := advisor.prices.doubt(quote.gpu, kind[quote.way], quote.price_usd)) is not None
    ]
    return answer.model_copy(update={"messages": (*doubts, *answer.messages)})


def quote_names() -> tuple[str, ...]:
    """Return under which names quotes are kept."""
    from advisor.quotes import store

    return store.stored_names(user_data_folder() / "quotes")


def remove_quotes(name: str) -> Path:
    """Remove quotes that were imported, and return the path at which they were.

    Raises:
        InputError: there are none of this name.
        ExternalError: they cannot be removed.
    """
    from advisor.quotes import store

    return store.remove_quotes(name, user_data_folder() / "quotes")
