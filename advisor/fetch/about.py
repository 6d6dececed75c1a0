"""Which sources of live prices there are, and what is believed of them (catalog/prices/sources.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from advisor.quantity import Model
from advisor.yaml_io import data_root, read_yaml, validate

Positive = Annotated[float, Field(gt=0)]


class SourceAbout(Model):
    """One source in catalog/prices/sources.yaml."""

    url: str = Field(pattern=r"^https?://")
    covers: str
    terms: str
    parts: Annotated[Mapping[str, str], Field(min_length=1)]
    """What this project calls a provider, and what the source calls it."""


class Checks(Model):
    """What is believed of a source (catalog/prices/sources.yaml says why)."""

    plausible_usd_per_gpu_hour: tuple[Positive, Positive]
    largest_change: Annotated[float, Field(gt=1)]
    least_share: Annotated[float, Field(gt=0, lt=1)]
    least_prices: Annotated[int, Field(ge=1)]
    memory_days: Annotated[int, Field(ge=1)]
    recent_hours: Positive


class SourcesFile(Model):
    """The file catalog/prices/sources.yaml."""

    sources: Mapping[str, SourceAbout]
    checks: Checks
    source: str


@lru_cache(maxsize=2)
def load_sources(root: Path | None = None) -> SourcesFile:
    """Return the shipped list of sources.

    Raises:
        InputError: the file is wrong.
    """
    path = (root or data_root()) / "prices" / "sources.yaml"
    return validate(SourcesFile, read_yaml(path), "prices/sources.yaml")
