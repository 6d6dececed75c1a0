"""How far predictions are from published figures, in the few numbers that say it; pure functions of comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from advisor.accuracy_documents import (
    ErrorsDocument,
    NoiseFloorDocument,
    OutcomesDocument,
    RankingDocument,
)
from advisor.fit.comparison import Comparison
from advisor.operators import Floats

CLEAR_DIFFERENCE = 1.1
"""Two GPUs differ clearly where the faster is measured at more than this many times the slower: published runs of the
same card differ by some percent."""


def noise_floor(rows: Iterable[Comparison]) -> NoiseFloorDocument | None:
    """Return how far published throughputs disagree, None where no configuration was published twice.

    Of each source the median counts between sources.
    """
    figures: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if row.quantity in ("training", "inference") and row.subject != "learner":
            sources = figures.setdefault((row.unit, row.configuration), {})
            sources.setdefault(row.source.split(" ")[0], []).append(row.measured)
    between = [
        _apart([median(values) for values in sources.values()])
        for sources in figures.values()
        if len(sources) > 1
    ]
    within = [
        _apart(values) for sources in figures.values() for values in sources.values() if len(values) > 1
    ]
    if not between or not within:
        return None
    return NoiseFloorDocument(
        between_sources_settings=len(between),
        between_sources_median=median(between),
        between_sources_p90=float(np.quantile(between, 0.9)),
        between_versions_settings=len(within),
        between_versions_median=median(within),
        between_versions_p90=float(np.quantile(within, 0.9)),
    )


def _apart(values: Sequence[float]) -> float:
    return max(values) / min(values)


def unseen_view(rows: Iterable[Comparison]) -> tuple[Comparison, ...]:
    """Return the rows that have a prediction without their GPU and family, with it as the prediction."""
    return tuple(
        replace(row, predicted=row.unseen, low=row.unseen_low, high=row.unseen_high)
        for row in rows
        if row.unseen is not None and row.unseen_low is not None and row.unseen_high is not None
    )


def baseline_view(rows: Iterable[Comparison], name: str, *, scaled: bool) -> tuple[Comparison, ...]:
    """Return the rows that a simpler method has a figure for, with it as the prediction.

    Args:
        rows: figures compared.
        name: of the method among :attr:`Comparison.baselines`.
        scaled: whether to multiply by the constant that brings the median of predicted over measured to 1 on these very
            rows: the best constant that a user of the method could have chosen, knowing all answers.
    """
    found = [replace(row, predicted=row.baselines[name]) for row in rows if name in row.baselines]
    if not scaled or not found:
        return tuple(found)
    factor = 1 / median(row.predicted / row.measured for row in found)
    return tuple(replace(row, predicted=row.predicted * factor) for row in found)


def errors(rows: Sequence[Comparison]) -> ErrorsDocument | None:
    """Return the errors of some rows, None where there are none."""
    if not rows:
        return None
    measured, predicted, low, high = (
        np.array([getattr(row, name) for row in rows]) for name in ("measured", "predicted", "low", "high")
    )
    signed: Floats = predicted / measured - 1
    sizes = np.abs(signed)
    return ErrorsDocument(
        rows=len(rows),
        median=float(np.median(sizes)),
        mean=float(sizes.mean()),
        p90=float(np.quantile(sizes, 0.9)),
        bias=float(np.median(signed)),
        coverage=float(((low <= measured) & (measured <= high)).mean()),
        width=float(np.median(high / low)),
    )


def ranking(rows: Iterable[Comparison]) -> RankingDocument | None:
    """Return how well throughputs order GPUs, None where no setting was measured on two.

    A setting fixes everything but the GPU, the number of GPUs included, so the throughput of all of them orders GPUs as
    throughput per GPU does. A GPU that a setting holds several times counts once, with the median of its figures. Every
    pair counts as much as every other: settings with many GPUs weigh more in the agreement, not in the regret.
    """
    settings = [speeds for speeds in _by_setting(rows) if len(speeds) > 1]
    if not settings:
        return None
    pairs = np.array([pair for speeds in settings for pair in _pairs(speeds)]).reshape(-1, 2)
    measured, right = pairs[:, 0], pairs[:, 1]
    apart, clear = measured > 1, measured > CLEAR_DIFFERENCE
    lost = np.array([_lost(speeds) for speeds in settings])
    return RankingDocument(
        settings=len(settings),
        pairs=int(apart.sum()),
        agreement=float(right[apart].mean()) if apart.any() else None,
        clear_pairs=int(clear.sum()),
        clear_agreement=float(right[clear].mean()) if clear.any() else None,
        regret_mean=float(lost.mean()),
        regret_p90=float(np.quantile(lost, 0.9)),
    )


def outcomes(rows: Iterable[Comparison]) -> OutcomesDocument:
    """Return how many runs are wrongly said to fit or not to fit."""
    known = [row for row in rows if row.quantity == "feasibility"]
    failed = [row for row in known if not row.measured]
    ran = [row for row in known if row.measured]
    return OutcomesDocument(
        failed=len(failed),
        failed_called_fitting=sum(bool(row.predicted) for row in failed),
        ran=len(ran),
        ran_called_failing=sum(not row.predicted for row in ran),
    )


def grouped(
    rows: Iterable[Comparison], key: Callable[[Comparison], str]
) -> tuple[tuple[str, tuple[Comparison, ...]], ...]:
    """Return the rows by key, the largest group first, equal ones by name."""
    found: dict[str, list[Comparison]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return tuple(
        (name, tuple(group))
        for name, group in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    )


def worst(rows: Iterable[Comparison], number: int) -> tuple[Comparison, ...]:
    """Return the rows whose prediction is off by the largest factor, the worst first; equal ones keep their order."""
    return tuple(sorted(rows, key=lambda row: -abs(row.log_error))[:number])


def _by_setting(rows: Iterable[Comparison]) -> list[list[tuple[float, float]]]:
    """Return measured and predicted figure of each GPU, for every setting."""
    found: dict[tuple[str, str | None], dict[str, list[Comparison]]] = {}
    for row in rows:
        if row.setting is not None:
            found.setdefault((row.quantity, row.setting), {}).setdefault(row.gpu, []).append(row)
    return [
        [
            (median(row.measured for row in same), median(row.predicted for row in same))
            for _, same in sorted(gpus.items())
        ]
        for gpus in found.values()
    ]


def _pairs(speeds: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return, for every pair, how many times the faster is as fast as the slower, and how right its order is."""
    found = []
    for number, (measured, predicted) in enumerate(speeds):
        for other_measured, other_predicted in speeds[number + 1 :]:
            agrees = np.sign(measured - other_measured) * np.sign(predicted - other_predicted)
            ratio = max(measured, other_measured) / min(measured, other_measured)
            found.append((ratio, (float(agrees) + 1) / 2))
    return found


def _lost(speeds: Sequence[tuple[float, float]]) -> float:
    """Return the share of the fastest GPU's throughput that the one predicted fastest does not reach."""
    chosen, _ = max(speeds, key=lambda speed: speed[1])
    return 1 - chosen / max(measured for measured, _ in speeds)
