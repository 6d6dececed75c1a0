"""Held-out folds: constants that have not seen the GPU of a run, its family, or both.

GPUs and families are dealt to groups of about the same number of runs. For each group of GPUs, each group of families
and each pair of them there is a set of constants fitted without any run on those GPUs and of those families.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from advisor.execution import Constants, Evidence
from advisor.fit.bounds import Bounds
from advisor.fit.fitting import with_values
from advisor.fit.flat import FlatRuns, step_seconds
from advisor.fit.runs import Run
from advisor.operators import Floats
from advisor.quantity import Model
from advisor.yaml_io import parse_json, read_text, validate

GROUPS = 5
"""Groups of GPUs, and of families."""

NOTHING = "any"
"""Stands for no group in the name of a set of constants."""


class Folds(Model):
    """Everything in ``measurements/folds.json``, which the maintainers' command writes."""

    gpus: Mapping[str, int]
    """Group of each GPU."""
    families: Mapping[str, int]
    constants: Mapping[str, Mapping[str, float]]
    """Fitted values by path, by what they have not seen: ``group of GPUs - group of families``, either may be any."""


def load_folds(root: Path) -> Folds:
    """Return the shipped folds.

    Raises:
        InputError: the file is damaged.
    """
    path = root / "measurements" / "folds.json"
    text = read_text(path)
    return validate(Folds, parse_json(text, str(path)), str(path), text)


def fold_names() -> tuple[str, ...]:
    """Return the names of all sets of held-out constants."""
    groups = (NOTHING, *map(str, range(GROUPS)))
    return tuple(
        f"{gpus}-{families}" for gpus in groups for families in groups if (gpus, families) != (NOTHING,) * 2
    )


def dealt(names: Iterable[str]) -> dict[str, int]:
    """Return a group for each name, so that groups have about as many entries; the most frequent are dealt first."""
    sizes = [0] * GROUPS
    found = {}
    for name, count in sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])):
        smallest = sizes.index(min(sizes))
        found[name] = smallest
        sizes[smallest] += count
    return dict(sorted(found.items()))


def held_out(name: str, gpus: np.ndarray, families: np.ndarray) -> np.ndarray:
    """Return which runs a set of constants may be fitted on; ``gpus`` and ``families`` are the groups of the runs."""
    gpu, _, family = name.partition("-")
    return np.asarray((gpus.astype(str) != gpu) & (families.astype(str) != family))


def groups_of(runs: Sequence[Run], folds: Folds) -> tuple[np.ndarray, np.ndarray]:
    """Return the group of the GPU and of the family of each run, -1 where it was dealt to none."""
    return (
        np.array([folds.gpus.get(run.device.id, -1) for run in runs]),
        np.array([folds.families.get(run.family, -1) for run in runs]),
    )


def unseen_seconds(
    runs: Sequence[Run],
    flat: FlatRuns,
    folds: Folds,
    constants: Constants,
    bounds: Bounds,
    evidence: Evidence,
) -> Floats:
    """Return step times of runs by constants that have seen no more than ``evidence``; NaN where there are none.

    Args:
        runs: published runs.
        flat: the same as arrays.
        folds: the held-out constants.
        constants: the shipped ones, for all that is not fitted.
        bounds: what is fitted.
        evidence: "gpu" where other families on the GPU may have been seen, "family" where the family on other GPUs, or
            "neither".
    """
    gpus, families = groups_of(runs, folds)
    names = np.array(
        [
            f"{NOTHING if evidence == 'gpu' else gpu}-{NOTHING if evidence == 'family' else family}"
            for gpu, family in zip(gpus, families, strict=True)
        ]
    )
    found = np.full(len(runs), np.nan)
    for name in sorted(set(names) & set(folds.constants)):
        chosen = names == name
        own = with_values(constants, bounds, dict(folds.constants[name]))
        found[chosen] = step_seconds(flat, own)[chosen]
    return found
