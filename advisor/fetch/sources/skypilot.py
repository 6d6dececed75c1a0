"""The tables of skypilot-catalog: ``<base>/<cloud>/vms.csv``, columns in an order of their own in each.

Payload: ``InstanceType, AcceleratorName, AcceleratorCount, Price, SpotPrice, Region`` and ``GpuInfo``, a Python or JSON
dictionary with the memory of a GPU in MiB. Prices are US dollars an hour of the whole instance; rows have no date.
"""

from __future__ import annotations

import ast
import csv
import datetime
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from advisor.fetch.about import SourceAbout
from advisor.fetch.http import Http
from advisor.fetch.offers import (
    Answer,
    FormatChangedError,
    Offer,
    Stamp,
    Tally,
    clean,
    found_body,
    number,
    table_rows,
    whole,
)
from advisor.units import MIB

_COLUMNS = ("InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "Region")
_LARGEST_TABLE = 32 * MIB
_LONGEST_INFO = 2000


@dataclass(frozen=True)
class Skypilot:
    """The published tables."""

    name: str
    about: SourceAbout
    url: str

    def ask(
        self, http: Http, part: str, stamp: Stamp, today: datetime.date, advanced: Callable[[int], None]
    ) -> Answer | None:
        """Fetch the table of one cloud, unless the server says that it is the one at hand; see ``Source.ask``."""
        address = f"{self.url}/{self.about.parts[part]}/vms.csv"
        reply = http.get(
            address, etag=stamp.etag, last_modified=stamp.last_modified, limit_bytes=_LARGEST_TABLE
        )
        if reply.status == 304:
            return None
        left_out = Tally()
        try:
            text = found_body(reply, address).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise FormatChangedError(f"{address}: not a table") from None
        offers = _readable(_offers(text, part, today, left_out), address)
        return Answer(offers, Stamp(etag=reply.etag, last_modified=reply.last_modified), left_out)


def _readable(offers: Iterator[Offer], address: str) -> Iterator[Offer]:
    try:
        yield from offers
    except csv.Error:
        raise FormatChangedError(f"{address}: not a table") from None


def _offers(text: str, provider: str, today: datetime.date, left_out: Tally) -> Iterator[Offer]:
    for row in table_rows(io.StringIO(text, newline=""), _COLUMNS, f"skypilot {provider}"):
        name, count = clean(row["AcceleratorName"]), whole(row["AcceleratorCount"])
        if not name:
            continue
        instance = clean(row["InstanceType"])
        if not count:
            left_out.add("the row cannot be read", f"{provider} {instance}")
            continue
        for column, spot in (("Price", False), ("SpotPrice", True)):
            price = row.get(column)
            if not price or not price.strip():
                continue
            yield Offer(
                provider=provider,
                instance=instance,
                region=clean(row["Region"]),
                names=(name,),
                memory_gb=_memory_gb(row.get("GpuInfo")),
                count=count,
                usd_per_hour=number(price),
                spot=spot,
                # A day would make an old row newer than what other sources date.
                date=str(today.year),
                note="the source does not date its rows",
            )


def _memory_gb(info: str | None) -> float | None:
    """Return the memory of one GPU from the column GpuInfo, None where it does not say."""
    if not info or len(info) > _LONGEST_INFO:
        return None
    try:
        document: object = json.loads(info)
    except ValueError:
        try:
            document = ast.literal_eval(info)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    gpus = document.get("Gpus") if isinstance(document, Mapping) else None
    first = gpus[0] if isinstance(gpus, list) and gpus else None
    memory = first.get("MemoryInfo") if isinstance(first, Mapping) else None
    size_mib = number(memory.get("SizeInMiB")) if isinstance(memory, Mapping) else 0.0
    return size_mib / 1024 if size_mib > 0 else None
