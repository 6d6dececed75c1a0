"""Prices, what a refresh of them brought, and imported quotes as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.fetch.documents import PriceChangeDocument, RefreshAnswer, SourceDocument
from advisor.price_documents import GpuPricesDocument, PriceDocument, PricesAnswer
from advisor.quantity import Model
from advisor.quotes.documents import ImportAnswer, QuoteDocument
from advisor.render.table import Column, Page, Writer
from advisor.render.words import GUESS, GUESSED
from advisor.units import format_money, plain

NOT_KNOWN = "-"
_NAMES_SHOWN = 5
OLD = "!"

KINDS = {
    "launch": "launch", "street_new": "new, street", "used": "used", "cloud_on_demand": "on demand",
    "cloud_spot": "spot", "quote": "quote", "quote_rent": "quote, rent",
}  # fmt: skip


def render(answer: Model, page: Page) -> str:
    """Return prices, a refresh or an import as text for a terminal of the width of ``page``.

    Raises:
        TypeError: it is none of these.
    """
    writer = Writer(page)
    if isinstance(answer, PricesAnswer):
        _prices(writer, answer)
    elif isinstance(answer, RefreshAnswer):
        _refresh(writer, answer)
    elif isinstance(answer, ImportAnswer):
        _import(writer, answer)
    else:
        raise TypeError(f"no table of prices for {type(answer).__name__}")
    return writer.text()


def amount(price: PriceDocument | None) -> str:
    """Return a price, marked where it is old; a machine that is rented whole with its size."""
    if price is None:
        return NOT_KNOWN
    whole = f" x{price.gpus_per_instance}" if price.gpus_per_instance > 1 else ""
    guess = GUESS if price.unverified else ""
    return f"{format_money(price.price_usd)}{whole}{guess}{OLD if price.old else ''}"


def kind(price: PriceDocument | None) -> str:
    """Return what kind of price it is in a word or two."""
    return NOT_KNOWN if price is None else KINDS[price.kind]


def age(price: PriceDocument) -> str:
    """Return a date with how long ago it is where that matters."""
    return f"{price.date}{OLD if price.old else ''}"


def state(price: PriceDocument) -> str:
    """Return whether answers count with a price."""
    if price.expired:
        return "expired"
    return "counts" if price.counted else ""


def _prices(writer: Writer, answer: PricesAnswer) -> None:
    one = len(answer.gpus) == 1 and bool(answer.gpus[0].prices)
    if one:
        _one(writer, answer.gpus[0])
    else:
        _many(writer, answer.gpus)
    writer.line(
        (
            f"{OLD}: older than {answer.old_after_days} days on {answer.as_of}. {GUESSED}. "
            "Dollars a card; rent a GPU and hour.",
            "dim",
        )
    )
    if not one:
        writer.heading("Where prices come from")
        rows = answer.sources
        writer.grid([
            Column("Source", [plain(row.name) for row in rows], flexible=True),
            Column("Kind", [row.kind for row in rows]),
            Column("Prices", [str(row.prices) for row in rows], "right"),
            Column("From", [row.oldest for row in rows]),
            Column("To", [row.newest for row in rows]),
            Column("Old", [str(row.old) if row.old else "" for row in rows], "right"),
        ])  # fmt: skip
    if answer.messages:
        writer.heading("Notes")
        writer.bullets([plain(message) for message in answer.messages], style="yellow")


def _many(writer: Writer, gpus: Sequence[GpuPricesDocument]) -> None:
    writer.grid([
        Column("GPU", [plain(row.gpu) for row in gpus], flexible=True, style="bold"),
        Column("To buy", [amount(row.buy) for row in gpus], "right"),
        Column("Which", [kind(row.buy) for row in gpus]),
        Column("Date", [row.buy.date if row.buy else NOT_KNOWN for row in gpus]),
        Column("To rent", [amount(row.rent) for row in gpus], "right"),
        Column("Of", [str(row.providers or "") for row in gpus], "right"),
        Column("Spot", [amount(row.spot) for row in gpus], "right"),
        Column("Since", [row.rent.date if row.rent else NOT_KNOWN for row in gpus]),
    ])  # fmt: skip


def _one(writer: Writer, gpu: GpuPricesDocument) -> None:
    writer.line((plain(gpu.name), "bold"), f" ({plain(gpu.gpu)})")
    for label, price in (("to buy", gpu.buy), ("to rent", gpu.rent), ("spot", gpu.spot)):
        writer.labelled(label, NOT_KNOWN if price is None else _said(price))
    writer.blank()
    rows = sorted(gpu.prices, key=lambda price: (price.unit, price.kind, not price.counted, price.price_usd))
    writer.grid([
        Column("Kind", [kind(row) for row in rows]),
        Column("Price", [amount(row) for row in rows], "right"),
        Column("Who", [plain(row.provider or NOT_KNOWN) for row in rows], flexible=True),
        Column("Where", [plain(row.region or NOT_KNOWN) for row in rows]),
        Column("Instance", [plain(row.instance or NOT_KNOWN) for row in rows]),
        Column("Date", [age(row) for row in rows]),
        Column("", [state(row) for row in rows]),
    ], under=[terms(row) for row in rows])  # fmt: skip
    if gpu.history:
        writer.heading("Rents that live sources said")
        for point in gpu.history[-10:]:
            text = (
                f"{format_money(point.median_usd)} ({format_money(point.low_usd)} to "
                f"{format_money(point.high_usd)}), {point.providers} providers, {KINDS[point.kind]}"
            )
            writer.labelled(point.day, text)


def terms(row: PriceDocument) -> str:
    """Return for how many a quote holds, until when, and where it is written; nothing of other prices."""
    if not row.kind.startswith("quote"):
        return ""
    found = [f"for {held(row)}"]
    if row.valid_until:
        found.append(f"until {row.valid_until}")
    if row.lead_time_days is not None:
        found.append(f"delivers in {row.lead_time_days} days")
    return plain(f"{', '.join(found)} ({row.source})")


def _said(price: PriceDocument) -> str:
    note = f", {price.note}" if price.note else ""
    doubt = f", {price.unverified}" if price.unverified else ""
    until = f", valid until {price.valid_until}" if price.valid_until else ""
    return f"{amount(price)}, {KINDS[price.kind]}, {price.date}{note}{until}{doubt} ({plain(price.source)})"


def _refresh(writer: Writer, answer: RefreshAnswer) -> None:
    rows = answer.sources
    writer.grid([
        Column("Source", [plain(row.name) for row in rows], flexible=True, style="bold"),
        Column("", [row.status for row in rows]),
        Column("Prices", [str(row.records) for row in rows], "right"),
        Column("New", [str(row.new) for row in rows], "right"),
        Column("Gone", [str(row.gone) for row in rows], "right"),
        Column("Dearer", [str(row.dearer) for row in rows], "right"),
        Column("Cheaper", [str(row.cheaper) for row in rows], "right"),
        Column("As of", [row.prices_as_of or NOT_KNOWN for row in rows]),
    ], under=[plain(source_note(row)) for row in rows])  # fmt: skip
    if answer.changes:
        writer.heading("Largest changes")
        writer.bullets([change(each) for each in answer.changes])
    writer.line((f"kept in {plain(answer.folder)}", "dim"))
    if answer.warnings:
        writer.heading("Warnings")
        writer.bullets([plain(warning) for warning in answer.warnings], style="yellow")


def source_note(row: SourceDocument) -> str:
    """Return what else is to be said of a source: its message, what was not known, what was left out."""
    found = [row.message] if row.message else []
    if row.unknown_names:
        more = ", and others" if len(row.unknown_names) > _NAMES_SHOWN else ""
        found.append(f"names not known: {', '.join(row.unknown_names[:_NAMES_SHOWN])}{more}")
    found += [f"{left.count} left out: {left.reason} ({left.example})" for left in row.left_out]
    return "; ".join(found)


def change(row: PriceChangeDocument) -> str:
    """Return a change of price in a line."""
    where = " ".join(part for part in (row.provider, row.instance, row.region) if part)
    return plain(
        f"{row.gpu_id} at {where or row.source}: {format_money(row.before_usd)} to "
        f"{format_money(row.after_usd)}, {KINDS[row.kind]}"
    )


def _import(writer: Writer, answer: ImportAnswer) -> None:
    rows = answer.quotes
    writer.grid([
        Column("GPU", [plain(row.gpu) for row in rows], flexible=True, style="bold"),
        Column("Vendor", [plain(row.vendor or NOT_KNOWN) for row in rows]),
        Column("For", [held(row) for row in rows], "right"),
        Column("Price", [_quoted(row) for row in rows], "right"),
        Column("Until", [str(row.valid_until or NOT_KNOWN) for row in rows]),
        Column("Delivers", [_delivery(row) for row in rows], "right"),
        Column("", ["expired" if row.expired else "" for row in rows]),
    ])  # fmt: skip
    if answer.messages:
        writer.heading("How it was read")
        writer.bullets([plain(message) for message in answer.messages])


def held(row: QuoteDocument | PriceDocument) -> str:
    """Return for how many a price holds."""
    if row.maximum_count is None:
        return f"{row.minimum_count}+"
    return f"{row.minimum_count}-{row.maximum_count}"


def _quoted(row: QuoteDocument) -> str:
    return f"{format_money(row.price_usd)}{'/h' if row.way == 'rent' else ''}"


def _delivery(row: QuoteDocument) -> str:
    return NOT_KNOWN if row.lead_time_days is None else f"{row.lead_time_days} d"
