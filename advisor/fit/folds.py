"""Held-out folds: constants that have seen neither the GPU nor the family of a run.

GPUs and families are dealt to groups of about the same number of runs. For each pair of groups there is a set of constants
fitted without any run on those GPUs and without any run of those families; it predicts the runs that are in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from advisor.execution import Constants
from advisor.fit.bounds import Bounds, load_bounds
from advisor.fit.fitting import with_values
from advisor.fit.flat import FlatRuns, step_seconds
from advisor.fit.runs import Run
from advisor.operators import Floats
from advisor.quantity import Model
from advisor.yaml_io import read_yaml

GROUPS = 3
"""Groups of GPUs, and of families."""


class Folds(Model):
    """Everything in ``measurements/folds.yaml``, which the maintainers' command writes."""

    gpus: Mapping[str, int]
    """Group of each GPU."""
    families: Mapping[str, int]
    constants: Mapping[str, Mapping[str, float]]
    """Fitted values by path, for each pair of groups that they have not seen, as ``gpus-families``."""


def load_folds(root: Path) -> Folds:
    """Return the shipped folds."""
    return Folds.model_validate(read_yaml(root / "measurements" / "folds.yaml"))


def dealt(names: Iterable[str]) -> dict[str, int]:
    """Return a group for each name, so that groups have about as many entries; the most frequent are dealt first."""
    sizes = [0] * GROUPS
    found = {}
    for name, count in sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])):
        smallest = sizes.index(min(sizes))
        found[name] = smallest
        sizes[smallest] += count
    return dict(sorted(found.items()))


def unseen_seconds(runs: Sequence[Run], flat: FlatRuns, folds: Folds, constants: Constants, root: Path) -> Floats:
    """Return step times of runs by constants that have seen neither their GPU nor their family; NaN where none exist.

    Args:
        runs: published runs.
        flat: the same as arrays.
        folds: the held-out constants.
        constants: the shipped ones, for all that is not fitted.
        root: the shipped catalog.
    """
    bounds: Bounds = load_bounds(root)
    names = np.array(
        [f"{folds.gpus.get(run.device.id)}-{folds.families.get(run.family)}" for run in runs]
    )
    found = np.full(len(runs), np.nan)
    for name, values in folds.constants.items():
        chosen = names == name
        if chosen.any():
            found[chosen] = step_seconds(flat, with_values(constants, bounds, dict(values)))[chosen]
    return found
