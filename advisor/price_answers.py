"""From the price book to the document that shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from advisor.hardware import Device
from advisor.price_book import PriceBook, is_shipped
from advisor.price_documents import (
    GpuPricesDocument,
    PriceDocument,
    PricePointDocument,
    PricesAnswer,
    PriceSourceDocument,
)
from advisor.prices import PriceKind, PriceRecord

_PLACE_IN_FILE = re.compile(r", (?:line|quote) [0-9]+")
"""What stands behind the name of the file in the source of a quote: the file is what ``prices remove`` takes."""
_NO_HISTORY: Sequence[PricePointDocument] = ()


def price_document(record: PriceRecord, book: PriceBook, *, counted: bool) -> PriceDocument:
    """Return one price with its age."""
    return PriceDocument(
        kind=record.kind,
        unit="GPU-hour" if record.rented else "card",
        price_usd=record.price_usd,
        provider=record.provider,
        region=record.region,
        instance=record.instance,
        gpus_per_instance=record.gpus_per_instance,
        minimum_count=record.minimum_count,
        maximum_count=record.maximum_count,
        currency=record.currency,
        price_in_currency=record.price_in_currency,
        date=record.date,
        age_days=record.age_days(book.today),
        old=book.is_old(record),
        valid_until=record.valid_until.isoformat() if record.valid_until else None,
        expired=record.expired(book.today),
        lead_time_days=record.lead_time_days,
        source=record.source,
        note=record.note,
        unverified=record.unverified,
        counted=counted,
        offers=record.offers,
        low=record.low,
        high=record.high,
    )


def gpu_prices(
    device: Device,
    book: PriceBook,
    *,
    everything: bool,
    history: Sequence[PricePointDocument] = _NO_HISTORY,
) -> GpuPricesDocument:
    """Return the prices of one GPU.

    Args:
        device: the GPU.
        book: of prices.
        everything: whether to list each price, or only those that answers count with.
        history: what live sources said on earlier days.
    """
    kinds: tuple[PriceKind, ...] = ("cloud_on_demand", "cloud_spot")
    offered = {kind: book.counted(device.id, kind) for kind in kinds}
    buy, rent = book.buy_price(device.id), book.rent_price(device.id)
    counting = {id(record) for records in offered.values() for record in records}
    counting |= {id(record) for record in (buy, rent) if record is not None}

    def shown(record: PriceRecord | None) -> PriceDocument | None:
        return None if record is None else price_document(record, book, counted=True)

    listed = book.records(device.id) if everything else ()
    return GpuPricesDocument(
        gpu=device.id,
        name=device.name,
        buy=shown(buy),
        used=shown(book.newest(device.id, "used")),
        launch=shown(book.launch_price(device.id)),
        rent=shown(rent),
        spot=shown(book.spot_price(device.id)),
        providers=len({record.provider for record in offered["cloud_on_demand"]}),
        prices=tuple(
            price_document(record, book, counted=id(record) in counting or record == buy) for record in listed
        ),
        history=tuple(history),
    )


def prices_answer(
    documents: Iterable[GpuPricesDocument], book: PriceBook, messages: Iterable[str]
) -> PricesAnswer:
    """Return the list of prices with where they come from."""
    return PricesAnswer(
        as_of=book.today.isoformat(),
        old_after_days=book.policy.old_days,
        gpus=tuple(documents),
        sources=tuple(_sources(book)),
        messages=tuple(messages),
    )


def _sources(book: PriceBook) -> Iterable[PriceSourceDocument]:
    grouped: dict[tuple[str, str], list[PriceRecord]] = {}
    for record in book.records():
        kind = "quotes" if record.kind.startswith("quote") else "shipped" if is_shipped(record) else "live"
        name = _PLACE_IN_FILE.split(record.source)[0] if kind == "quotes" else record.source
        grouped.setdefault((kind, name), []).append(record)
    for (kind, name), records in sorted(grouped.items()):
        days: Mapping[str, PriceRecord] = {record.date: record for record in records}
        ordered = sorted(days.values(), key=lambda record: record.earliest_day)
        vendors = (
            sorted({record.provider for record in records if record.provider}) if kind == "quotes" else []
        )
        yield PriceSourceDocument(
            name=f"{name} ({', '.join(vendors)})" if vendors else name,
            kind="quotes" if kind == "quotes" else "shipped" if kind == "shipped" else "live",
            prices=len(records),
            oldest=ordered[0].date,
            newest=ordered[-1].date,
            old=sum(book.is_old(record) for record in records),
        )
