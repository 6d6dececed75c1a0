"""What moved between two copies of a source's prices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from advisor.fetch.documents import PriceChangeDocument
from advisor.fetch.records import Key, key
from advisor.prices import PriceRecord

_LEAST_CHANGE = 1e-3
"""Smaller relative moves are rounding."""
_LONGEST_LIST = 20


@dataclass(frozen=True)
class Changes:
    """Numbers of offers, and each pair of an old and a new price that differ."""

    new: int
    gone: int
    moved: tuple[tuple[PriceRecord, PriceRecord], ...]

    @property
    def dearer(self) -> int:
        """Number of offers that ask more."""
        return sum(after.price_usd > before.price_usd for before, after in self.moved)

    @property
    def cheaper(self) -> int:
        """Number of offers that ask less."""
        return len(self.moved) - self.dearer


def compare(before: Mapping[Key, PriceRecord], after: Mapping[Key, PriceRecord]) -> Changes:
    """Return what is new, gone and moved."""
    both = before.keys() & after.keys()
    moved = tuple(
        (before[each], after[each])
        for each in sorted(both, key=str)
        if not math.isclose(before[each].price_usd, after[each].price_usd, rel_tol=_LEAST_CHANGE)
    )
    return Changes(len(after) - len(both), len(before) - len(both), moved)


def largest(moved: Iterable[tuple[PriceRecord, PriceRecord]]) -> tuple[PriceChangeDocument, ...]:
    """Return the largest moves by ratio, the regions of one instance type as one."""
    groups: dict[Key, list[tuple[PriceRecord, PriceRecord]]] = {}
    for before, after in moved:
        groups.setdefault(key(after.model_copy(update={"region": None})), []).append((before, after))
    tops = [(max(group, key=_ratio), len(group)) for group in groups.values()]
    tops.sort(key=lambda top: _ratio(top[0]), reverse=True)
    return tuple(
        PriceChangeDocument(
            source=after.source,
            gpu_id=after.gpu_id,
            kind=after.kind,
            provider=after.provider,
            instance=after.instance,
            region=after.region,
            regions=regions,
            before_usd=before.price_usd,
            after_usd=after.price_usd,
        )
        for (before, after), regions in tops[:_LONGEST_LIST]
    )


def _ratio(pair: tuple[PriceRecord, PriceRecord]) -> float:
    before, after = pair
    return abs(math.log(after.price_usd / before.price_usd))


def keyed(records: Iterable[PriceRecord]) -> dict[Key, PriceRecord]:
    """Return prices by what makes them the same offer."""
    return {key(record): record for record in records}
