"""Azure Retail Prices: JSON pages without a key; which GPU a size holds is in catalog/prices/names.yaml.

Payload: ``Items`` with ``armSkuName, armRegionName, retailPrice, currencyCode, unitOfMeasure, meterName, productName,
type, effectiveStartDate``; ``NextPageLink`` leads to the next page.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from advisor.fetch.about import SourceAbout
from advisor.fetch.http import Http, Reply
from advisor.fetch.json_body import json_object
from advisor.fetch.offers import (
    Answer,
    FormatChangedError,
    Offer,
    Stamp,
    Tally,
    clean,
    found_body,
    number,
    objects,
)
from advisor.units import MIB

_FILTER = (
    "serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and contains(armSkuName, 'Standard_N')"
    " and contains(productName, 'Windows') eq false and contains(meterName, 'Low Priority') eq false"
)
_VERSION = "2023-01-01-preview"
_LARGEST_PAGE = 4 * MIB
"""A page holds 1,000 items of less than 1 KiB."""
_LARGEST_LIST = 64 * MIB
_MOST_PAGES = 300
_REQUIRED = ("armSkuName", "armRegionName", "retailPrice", "meterName", "productName", "type")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Azure:
    """Microsoft's list of retail prices."""

    name: str
    about: SourceAbout
    url: str

    def ask(
        self, http: Http, part: str, stamp: Stamp, today: datetime.date, advanced: Callable[[int], None]
    ) -> Answer | None:
        """Fetch all pages; see ``Source.ask``. The list has no stamp of its own."""
        left_out = Tally()
        offers = (
            offer
            for page in self._pages(http, advanced)
            for item in page
            if (offer := _offer(item, part, today, left_out)) is not None
        )
        return Answer(offers, Stamp(), left_out)

    def _pages(self, http: Http, advanced: Callable[[int], None]) -> Iterator[Sequence[Mapping[str, object]]]:
        seen: set[str] = set()
        length = 0
        reply = http.get(
            self.url, params={"api-version": _VERSION, "$filter": _FILTER}, limit_bytes=_LARGEST_PAGE
        )
        while True:
            length += len(reply.body)
            if length > _LARGEST_LIST:
                raise FormatChangedError(
                    f"{self.url}: all pages together are larger than {_LARGEST_LIST / MIB:g} MiB"
                )
            found, following = _page(reply, self.url)
            yield found
            advanced(len(seen) + 1)
            if not following or not found:
                return
            if following in seen or len(seen) >= _MOST_PAGES:
                raise FormatChangedError(f"{self.url}: the pages do not end")
            if _host(following) != _host(self.url):
                raise FormatChangedError(f"{self.url}: the next page is at another address")
            seen.add(following)
            reply = http.get(following, limit_bytes=_LARGEST_PAGE)


def _page(reply: Reply, url: str) -> tuple[list[Mapping[str, object]], str]:
    document = json_object(found_body(reply, url), url, strict=False)
    items = objects(document.get("Items"), "Items")
    if items and (missing := [name for name in _REQUIRED if name not in items[0]]):
        raise FormatChangedError(f"{url}: the format changed, there is no field {', '.join(missing)}")
    following = document.get("NextPageLink")
    return items, following if isinstance(following, str) else ""


def _host(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts: SplitResult = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return "", None, None


def _offer(item: Mapping[str, object], provider: str, today: datetime.date, left_out: Tally) -> Offer | None:
    size, meter = clean(item.get("armSkuName")), clean(item.get("meterName"))
    product = clean(item.get("productName"))
    begins = clean(item.get("effectiveStartDate"))[:10]
    if item.get("type") != "Consumption" or begins > today.isoformat():
        return None
    if "Windows" in product or "Low Priority" in meter or "CloudServices" in product.replace(" ", ""):
        return None
    if (
        clean(item.get("currencyCode", "USD")) != "USD"
        or clean(item.get("unitOfMeasure", "1 Hour")) != "1 Hour"
    ):
        left_out.add("not US dollars an hour", f"{provider} {size}")
        return None
    return Offer(
        provider=provider,
        instance=size,
        region=clean(item.get("armRegionName")),
        names=(size,),
        memory_gb=None,
        count=None,
        usd_per_hour=number(item.get("retailPrice")),
        spot="spot" in meter.lower().split(),
        date=today.isoformat(),
    )
