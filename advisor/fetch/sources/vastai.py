"""vast.ai: what is free to rent on a marketplace now; of many machines alike the median.

Payload: ``offers`` with ``gpu_name, num_gpus, gpu_ram`` (MiB a GPU), ``dph_base`` (US dollars an hour of the machine
without its storage), ``min_bid`` (the same, interruptible).
"""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Callable, Mapping
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
    whole,
)
from advisor.units import MIB, format_money

_MOST_OFFERS = 3000
_LARGEST_ANSWER = 32 * MIB
_QUESTION = {
    "rentable": {"eq": True},
    "rented": {"eq": False},
    "num_gpus": {"gte": 1},
    "order": [["score", "desc"]],
    "limit": _MOST_OFFERS,
}
_REQUIRED = ("gpu_name", "num_gpus", "gpu_ram", "dph_base")

Group = tuple[str, float | None, int, bool]


@dataclass(frozen=True)
class Vastai:
    """The marketplace."""

    name: str
    about: SourceAbout
    url: str

    def ask(
        self, http: Http, part: str, stamp: Stamp, today: datetime.date, advanced: Callable[[int], None]
    ) -> Answer | None:
        """Fetch what is free now; see ``Source.ask``. A market has no copy that stays the same."""
        reply = http.post_json(self.url, _QUESTION, limit_bytes=_LARGEST_ANSWER)
        document = json_object(found_body(reply, self.url), self.url, strict=False)
        machines = objects(document.get("offers"), "offers")
        if machines and (missing := [name for name in _REQUIRED if name not in machines[0]]):
            raise FormatChangedError(
                f"{self.url}: the format changed, there is no field {', '.join(missing)}"
            )
        left_out = Tally()
        groups: dict[Group, list[float]] = {}
        for machine in machines:
            _add(groups, machine, left_out)
        offers = [_summed_up(group, prices, part, today) for group, prices in groups.items()]
        return Answer(offers, Stamp(), left_out)


def _add(groups: dict[Group, list[float]], machine: Mapping[str, object], left_out: Tally) -> None:
    name, count = clean(machine.get("gpu_name")), whole(machine.get("num_gpus"))
    if not name or not count:
        left_out.add("the offer cannot be read", f"vast {name or 'without a name'}")
        return
    memory_mib = number(machine.get("gpu_ram"))
    # Rounded, so that drivers that report a few MiB less do not make another group.
    memory_gb = float(round(memory_mib / 1024)) if memory_mib > 0 and math.isfinite(memory_mib) else None
    price, bid = number(machine.get("dph_base")), number(machine.get("min_bid"))
    if not (price > 0 and math.isfinite(price)):
        left_out.add("not a price", f"vast {name}: {price:g}")
    else:
        groups.setdefault((name, memory_gb, count, False), []).append(price)
    if bid > 0 and math.isfinite(bid):
        groups.setdefault((name, memory_gb, count, True), []).append(bid)


def _summed_up(group: Group, prices: list[float], provider: str, today: datetime.date) -> Offer:
    name, memory_gb, count, spot = group
    low, high = format_money(min(prices) / count), format_money(max(prices) / count)
    note = "1 offer" if len(prices) == 1 else f"median of {len(prices)} offers, {low} to {high} a GPU"
    return Offer(
        provider=provider,
        instance=None,
        region=None,
        names=(name,),
        memory_gb=memory_gb,
        count=count,
        usd_per_hour=statistics.median(prices),
        spot=spot,
        date=today.isoformat(),
        note=f"{note}, without storage" + (", lowest bids" if spot else ""),
    )
