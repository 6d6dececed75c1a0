"""RunPod: its public list of GPU types. Prices are US dollars a GPU and hour.

Payload: ``data.gpuTypes`` with ``id`` (the driver's name), ``displayName, memoryInGb, securePrice, communityPrice`` and
``lowestPrice.minimumBidPrice``; a price that is null or 0 is not offered.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from advisor.fetch.about import SourceAbout
from advisor.fetch.http import Http
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

_QUESTION = {
    "query": "query GpuTypes { gpuTypes { id displayName memoryInGb securePrice communityPrice"
    " lowestPrice(input: {gpuCount: 1}) { minimumBidPrice } } }"
}
_REQUIRED = ("id", "displayName", "memoryInGb", "securePrice", "communityPrice")
_NOT_OFFERED = (None, 0)


@dataclass(frozen=True)
class Runpod:
    """RunPod's list prices."""

    name: str
    about: SourceAbout
    url: str

    def ask(
        self, http: Http, part: str, stamp: Stamp, today: datetime.date, advanced: Callable[[int], None]
    ) -> Answer | None:
        """Fetch the list; see ``Source.ask``. It has no stamp of its own."""
        reply = http.post_json(self.url, _QUESTION, limit_bytes=8 * MIB)
        document = json_object(found_body(reply, self.url), self.url, strict=False)
        if document.get("errors"):
            raise FormatChangedError(f"{self.url}: the question is no longer understood")
        data = document.get("data")
        types = objects(data.get("gpuTypes") if isinstance(data, dict) else None, "data.gpuTypes")
        if types and (missing := [name for name in _REQUIRED if name not in types[0]]):
            raise FormatChangedError(
                f"{self.url}: the format changed, there is no field {', '.join(missing)}"
            )
        offers = [offer for each in types for offer in _offers(each, part, today)]
        return Answer(offers, Stamp(), Tally())


def _offers(gpu: Mapping[str, object], provider: str, today: datetime.date) -> Iterator[Offer]:
    shown, memory_gb = clean(gpu.get("displayName")), number(gpu.get("memoryInGb"))
    lowest = gpu.get("lowestPrice")
    bid = lowest.get("minimumBidPrice") if isinstance(lowest, dict) else None
    for where, price, spot in (
        ("secure cloud", gpu.get("securePrice"), False),
        ("community cloud", gpu.get("communityPrice"), False),
        ("lowest bid", bid, True),
    ):
        if price in _NOT_OFFERED:
            continue
        yield Offer(
            provider=provider,
            instance=f"{shown} ({where})",
            region=None,
            names=(clean(gpu.get("id")), shown),
            memory_gb=memory_gb if memory_gb > 0 else None,
            count=1,
            usd_per_hour=number(price),
            spot=spot,
            date=today.isoformat(),
        )
