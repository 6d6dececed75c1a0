"""How wide intervals must be: quantiles of the errors of published runs that the constants had not seen.

Split conformal prediction (Lei et al. 2018): of n errors, the one of rank ceil((n + 1) 0.8) in size holds 80 % of
new ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import get_args

import numpy as np

from advisor.estimation.network import GPUS_PER_NODE
from advisor.execution import Evidence, MeasuredSpread
from advisor.fit.bounds import rounded
from advisor.fit.runs import Run
from advisor.operators import Floats

SHARE = 0.8

ENOUGH = 30
"""Runs of a kind from which its own errors decide; with fewer, those of all numbers of GPUs together."""


def conformal_spread(log_errors: Floats) -> float:
    """Return the factor within which a share of 80 % of new predictions will lie.

    Args:
        log_errors: logarithms of predicted over measured.

    Raises:
        ValueError: too few errors for any promise.
    """
    sizes = np.sort(np.abs(log_errors))
    rank = math.ceil((len(sizes) + 1) * SHARE)
    if rank > len(sizes):
        raise ValueError(f"{len(sizes)} errors are too few for an interval of {SHARE:.0%}")
    return float(np.exp(sizes[rank - 1]))


def group_of(run: Run) -> tuple[str, str, str]:
    """Return the kind of job of a run: subject, task and numbers of GPUs."""
    count = run.measurement.count
    gpus = "one" if count == 1 else "node" if count <= GPUS_PER_NODE else "nodes"
    return run.problem.subject.evidence_kind, "training" if run.problem.training else "inference", gpus


def measured_spreads(
    runs: Sequence[Run], errors: Mapping[Evidence, Floats], priors: Sequence[MeasuredSpread]
) -> tuple[MeasuredSpread, ...]:
    """Return the spread of every kind of job.

    Errors of runs that the constants were fitted on are too small to promise anything, so where both GPU and family
    were seen the narrower of the two held-out spreads counts. Knowing more never widens an interval. Kinds without
    enough runs take those of their subject and task, or the prior.

    Args:
        runs: published runs on GPUs.
        errors: logarithms of predicted over measured by what the constants had seen, NaN where not known.
        priors: spreads where nothing is published.
    """
    groups = np.array([group_of(run) for run in runs])
    found = []
    for prior in priors:
        own = (groups[:, 0] == prior.subject) & (groups[:, 1] == prior.task)
        narrow = own & (groups[:, 2] == prior.gpus)
        chosen = narrow if narrow.sum() >= ENOUGH else own
        if chosen.sum() < ENOUGH:
            found.append(prior.model_copy(update={"runs": 0}))
            continue
        spreads: dict[str, float] = {}
        for evidence in get_args(Evidence):
            known = errors[evidence][chosen]
            known = known[np.isfinite(known)]
            if len(known) >= ENOUGH:
                spreads[evidence] = conformal_spread(known)
        known = {name: spreads.get(name, spreads["both"]) for name in ("gpu", "family", "neither")}
        known["neither"] = max(known.values())
        known["both"] = min(known["gpu"], known["family"])
        values = {name: rounded(value) for name, value in known.items()}
        found.append(prior.model_copy(update=values | {"runs": int(chosen.sum())}))
    return tuple(found)


def kinds() -> tuple[tuple[str, str, str], ...]:
    """Return every kind of job that must have a spread."""
    return tuple(product(("transformer", "network"), ("training", "inference"), ("one", "node", "nodes")))
