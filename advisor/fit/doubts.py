"""Published runs that say little about constants or about which GPU is faster; they stay in every figure of errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from advisor.fit.runs import Run
from advisor.quantity import Model
from advisor.yaml_io import read_yaml


class Doubt(Model):
    """Why runs of a source (of one model, or all) say little about constants."""

    source: str
    """The repository, with which the source of a run begins."""
    model: str | None = None
    fitted: bool = False
    """Whether constants are fitted on them all the same."""
    ranks: bool = True
    """Whether GPUs are ranked by them."""
    because: str


def load_doubts(root: Path) -> tuple[Doubt, ...]:
    """Return the shipped doubts."""
    return TypeAdapter(tuple[Doubt, ...]).validate_python(read_yaml(root / "measurements" / "doubts.yaml"))


def doubt_of(run: Run, doubts: Sequence[Doubt]) -> Doubt | None:
    """Return the doubt about a run, None where there is none."""
    measurement = run.measurement
    for doubt in doubts:
        if measurement.source.startswith(doubt.source) and doubt.model in (None, measurement.model):
            return doubt
    return None
