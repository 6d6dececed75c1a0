"""What a refresh of prices answers, as JSON documents."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from advisor.documents import Document
from advisor.prices import PriceKind
from advisor.quantity import Model

SourceStatus = Literal["updated", "unchanged", "recent", "failed"]


class LeftOutDocument(Model):
    """Offers that were not taken over, and why."""

    reason: str
    count: int
    example: str


class SourceDocument(Model):
    """What became of one source. Numbers of offers; those of ``new`` to ``cheaper`` are against the last good copy."""

    name: str
    url: str
    status: SourceStatus
    """``recent``: asked so lately that it was not asked again. ``failed``: the last good copy stays."""
    message: str | None = None
    records: int = 0
    """Prices at hand now, also where the source failed."""
    new: int = 0
    gone: int = 0
    dearer: int = 0
    cheaper: int = 0
    prices_as_of: str | None = None
    """Date of the newest price at hand."""
    checked: str | None = None
    """Day of the last answer."""
    unknown_names: tuple[str, ...] = ()
    """GPUs by the source's own names that the catalog does not know, most frequent first; the first 50 of them."""
    left_out: tuple[LeftOutDocument, ...] = ()
    """All offers that are not among ``records``, those of unknown names too."""


class PriceChangeDocument(Model):
    """One offer whose price moved, in US dollars a GPU and hour."""

    source: str
    gpu_id: str
    kind: PriceKind
    provider: str | None
    instance: str | None
    region: str | None
    regions: int
    """How many regions moved; the one named moved most."""
    before_usd: float
    after_usd: float


class RefreshAnswer(Document):
    """What is new among live prices."""

    schema_id: Literal["gpu-advisor/refresh/1"] = Field(default="gpu-advisor/refresh/1", alias="schema")
    as_of: str
    ok: int
    """Sources whose prices are at hand and were checked lately."""
    failed: int
    sources: tuple[SourceDocument, ...]
    changes: tuple[PriceChangeDocument, ...] = ()
    """The largest, as a ratio, first."""
    folder: str
    """Where prices are kept."""
    warnings: tuple[str, ...] = ()

    @property
    def all_failed(self) -> bool:
        """Whether nothing was reached: the command exits with 3."""
        return self.failed > 0 and self.ok == 0
