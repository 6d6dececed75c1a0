"""Published runs that constants are not fitted on; they stay in every figure of accuracy."""

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
