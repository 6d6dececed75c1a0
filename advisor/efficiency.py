"""Reader of the fitted constants in ``catalog/efficiency.yaml``."""

from __future__ import annotations

from pathlib import Path

from advisor.execution import Constants
from advisor.yaml_io import read_yaml


def load_constants(root: Path) -> Constants:
    """Return the constants shipped under ``root``."""
    return Constants.model_validate(read_yaml(root / "efficiency.yaml"))
