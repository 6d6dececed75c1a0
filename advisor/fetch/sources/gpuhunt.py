"""The catalogs that dstack publishes for gpuhunt: of each provider a version, and a zip with one table.

Payload: ``<base>/<provider>/version`` is text such as ``20260818-42``; ``<base>/<provider>/<version>/catalog.zip``
holds ``<provider>.csv``, a row for an instance type, place and kind of price. The price is US dollars an hour of the
whole instance.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
import zlib
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

_COLUMNS = ("instance_name", "location", "price", "gpu_count", "gpu_name", "gpu_memory", "spot")
_VERSION = re.compile(r"(\d{4})(\d{2})(\d{2})-[A-Za-z0-9]{1,20}\Z")
_LARGEST_ZIP = 32 * MIB
_LARGEST_TABLE = 64 * MIB
_LARGEST_VERSION = MIB
_VENDORS_OF_GPUS = ("nvidia", "amd", "intel", "")
_BOOLEANS = {"true": True, "false": False}
_NOT_READABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, csv.Error, UnicodeDecodeError, ValueError,
    # A version of the format, or a kind of packing, that Python does not know.
    NotImplementedError,
)  # fmt: skip
_BOOKED_AHEAD = "gcp-dws-calendar-mode"
"""Flag of capacity that is booked for days in advance: not a price by the hour."""


@dataclass(frozen=True)
class Gpuhunt:
    """The published catalogs."""

    name: str
    about: SourceAbout
    url: str

    def ask(
        self, http: Http, part: str, stamp: Stamp, today: datetime.date, advanced: Callable[[int], None]
    ) -> Answer | None:
        """Fetch the catalog of one provider, unless its version is the one at hand; see ``Source.ask``."""
        there = self.about.parts[part]
        address = f"{self.url}/{there}/version"
        reply = http.get(address, limit_bytes=_LARGEST_VERSION)
        version = found_body(reply, address).decode("utf-8", "replace").strip()
        date = _date(version)
        if version == stamp.version:
            return None
        advanced(1)
        address = f"{self.url}/{there}/{version}/catalog.zip"
        body = found_body(http.get(address, limit_bytes=_LARGEST_ZIP), address)
        left_out = Tally()
        offers = _readable(_offers(body, part, there, date, left_out), address)
        return Answer(offers, Stamp(version=version), left_out)


def _date(version: str) -> str:
    match = _VERSION.match(version)
    if match is None:
        raise FormatChangedError(
            f"the version of the catalog is not a date and a number: {clean(version[:40])!r}"
        )
    try:
        return datetime.date(*(int(part) for part in match.groups())).isoformat()
    except ValueError:
        raise FormatChangedError(f"the version of the catalog is not a date: {clean(version)!r}") from None


def _readable(offers: Iterator[Offer], address: str) -> Iterator[Offer]:
    try:
        yield from offers
    except _NOT_READABLE as error:
        raise FormatChangedError(f"{address}: not a zip with a table ({error})") from None


def _offers(body: bytes, provider: str, there: str, date: str, left_out: Tally) -> Iterator[Offer]:
    member = f"{there}.csv"
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        try:
            about = archive.getinfo(member)
        except KeyError:
            raise FormatChangedError(f"the zip does not hold {member}") from None
        # Reading stops at the size that the archive states, so the statement is a limit.
        if about.file_size > _LARGEST_TABLE or about.flag_bits & 1:
            raise FormatChangedError(
                f"{member} in the zip is larger than {_LARGEST_TABLE / MIB:g} MiB or locked"
            )
        if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FormatChangedError(f"{member} is packed in an unknown way")
        with archive.open(about) as packed, io.TextIOWrapper(packed, "utf-8-sig", newline="") as lines:
            for row in table_rows(lines, _COLUMNS, f"gpuhunt {there}"):
                offer = _offer(row, provider, date, left_out)
                if offer is not None:
                    yield offer


def _offer(row: Mapping[str, str | None], provider: str, date: str, left_out: Tally) -> Offer | None:
    count, spot = whole(row["gpu_count"]), _BOOLEANS.get((row["spot"] or "").lower())
    if count == 0 or (row.get("gpu_vendor") or "").lower() not in _VENDORS_OF_GPUS:
        return None
    instance = clean(row["instance_name"])
    if count is None or spot is None:
        left_out.add("the row cannot be read", f"{provider} {instance}")
        return None
    if _BOOKED_AHEAD in (row.get("flags") or "").split():
        left_out.add("capacity that is booked days ahead", f"{provider} {instance}")
        return None
    memory_gb = number(row["gpu_memory"])
    return Offer(
        provider=provider,
        instance=instance,
        region=clean(row["location"]),
        names=(clean(row["gpu_name"]),),
        memory_gb=memory_gb if memory_gb > 0 else None,
        count=count,
        usd_per_hour=number(row["price"]),
        spot=spot,
        date=date,
    )
