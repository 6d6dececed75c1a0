"""The fit: bounded constants that explain published runs best, by least squares on the logarithms of step times.

Errors are weighed by a robust loss, runs by how many others tell the same (one model of one source on one GPU), and
each constant is drawn to what its neighbours say (:mod:`advisor.fit.bounds`), so one without evidence stays with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from advisor.estimation.devices import constants_of
from advisor.execution import Constants
from advisor.fit.bounds import Bounds, Parameter, parameters, put, rounded, value_at
from advisor.fit.flat import FlatRuns, step_seconds
from advisor.fit.runs import Run
from advisor.operators import Floats

ERROR = 0.1
"""Standard deviation that a good prediction of a single run has, on the scale of logarithms."""

ROBUST_FROM = 1.5
"""Standard deviations from which an error counts linearly and no longer by its square."""

STEP = 1e-3
ITERATIONS = 25


@dataclass(frozen=True, eq=False)
class Task:
    """Runs with what is known of them, ready to be fitted; arrays have an entry for each run."""

    flat: FlatRuns
    measured_s: Floats
    weights: Floats
    architectures: np.ndarray
    vendors: np.ndarray
    ages: np.ndarray


@dataclass(frozen=True, eq=False)
class Ended:
    """Where a search ended.

    Attributes:
        values: of all parameters.
        slopes: derivatives of the errors of all runs by the logarithms of the values, shape [runs, parameters].
    """

    values: Floats
    slopes: Floats


def task(runs: Sequence[Run], flat: FlatRuns, constants: Constants, bounds: Bounds) -> Task:
    """Return the task of fitting runs whose throughput is known."""
    speeds = np.array([run.measurement.published_speed for run in runs], dtype=np.float64)
    units = np.array([run.units_per_sample for run in runs])
    clusters = [
        (
            run.measurement.source.split(" ")[0],
            run.measurement.model,
            run.device.id,
            run.measurement.count > 1,
        )
        for run in runs
    ]
    sizes = Counter(clusters)
    entries = [constants_of(run.device, constants).architectures for run in runs]
    return Task(
        flat=flat,
        measured_s=flat.samples * units / speeds,
        weights=np.array([sizes[each] ** -0.5 for each in clusters]),
        architectures=np.array([" ".join(each) for each in entries]),
        vendors=np.array([each[0].partition("/")[0] for each in entries]),
        ages=np.array([_age(run, constants, bounds) for run in runs]),
    )


def _age(run: Run, constants: Constants, bounds: Bounds) -> str:
    software = run.problem.workload.software
    framework = software.framework
    if framework not in constants.software.ages:
        return ""
    age = constants.software.age(framework, software.version)
    number = [each is age for each in constants.software.ages[framework]].index(True)
    return f"{bounds.tied_ages[0] if framework in bounds.tied_ages else framework} {number}"


class Fit:
    """Chooses constants for some of the runs of a task."""

    def __init__(self, given: Task, constants: Constants, bounds: Bounds) -> None:
        self._task = given
        self._document = constants.model_dump()
        self._parameters = parameters(constants, bounds)
        self._low = np.log([each.low for each in self._parameters])
        self._high = np.log([each.high for each in self._parameters])
        self._usual = np.log([each.usual for each in self._parameters])
        self._spread = np.log([each.spread for each in self._parameters])
        self._acts = [self._acts_on(each) for each in self._parameters]

    def _acts_on(self, each: Parameter) -> np.ndarray:
        """Return which runs a parameter acts on."""
        given = self._task
        if not each.path:
            return np.zeros(len(given.flat), dtype=bool)
        if not each.group:
            return np.ones(len(given.flat), dtype=bool)
        return np.asarray((given.ages if each.kind.startswith("age ") else given.architectures) == each.group)

    def constants(self, values: Floats) -> Constants:
        """Return the constants with the parameters at ``values``."""
        document = deepcopy(self._document)
        for each, value in zip(self._parameters, values, strict=True):
            for place in (each.path, *each.also) if each.path else ():
                put(document, place, float(value))
        return Constants.model_validate(document)

    def start(self) -> Floats:
        """Return the values at which the search begins: what all are drawn to."""
        return np.asarray(np.exp(np.clip(self._usual, self._low, self._high)))

    def best(self, chosen: np.ndarray, near: Ended | None = None) -> tuple[dict[str, float], Ended]:
        """Return the values that explain the chosen runs best, rounded, by path, and as the search ended.

        Args:
            chosen: which runs count, shape [runs].
            near: where a search for other runs ended. This one then begins there and keeps its derivatives, which
                change little on the short way, so that many such searches are cheap; else it begins at :meth:`start`.
        """
        from scipy.optimize import least_squares

        rows = np.flatnonzero(chosen)
        scale = self._task.weights[rows] / ERROR

        def prior(logs: Floats) -> Floats:
            means = np.array(
                [
                    logs[each.mean] if each.mean is not None else usual
                    for each, usual in zip(self._parameters, self._usual, strict=True)
                ]
            )
            return np.asarray((logs - means) / self._spread)

        def residuals(logs: Floats) -> Floats:
            return np.concatenate([self._errors(logs)[rows] * scale, prior(logs)])

        def jacobian(logs: Floats) -> Floats:
            slopes = self._slopes(logs) if near is None else near.slopes
            return np.concatenate([slopes[rows] * scale[:, None], self._prior_slopes()])

        found = least_squares(
            residuals, np.log(self.start() if near is None else near.values), jac=jacobian,
            bounds=(self._low - 1e-9, self._high + 1e-9), loss="soft_l1", f_scale=ROBUST_FROM, x_scale="jac", ftol=1e-4,
            max_nfev=ITERATIONS,
        )  # fmt: skip
        values = np.exp(np.clip(found.x, self._low, self._high))
        named = {
            path_text(each.path): float(np.clip(rounded(float(value)), each.low, each.high))
            for each, value in zip(self._parameters, values, strict=True)
            if each.path
        }
        return named, Ended(np.asarray(values), self._slopes(found.x) if near is None else near.slopes)

    def _errors(self, logs: Floats) -> Floats:
        """Return the logarithm of predicted over measured step time of every run."""
        values = np.exp(np.clip(logs, self._low, self._high))
        return np.asarray(
            np.log(step_seconds(self._task.flat, self.constants(values)) / self._task.measured_s)
        )

    def _slopes(self, logs: Floats) -> Floats:
        """Return the derivatives of the errors, shape [runs, parameters].

        Parameters of one kind act on different runs, so all of a kind are moved at once.
        """
        here = self._errors(logs)
        slopes = np.zeros((len(here), len(logs)))
        kinds: dict[str, list[int]] = {}
        for index, each in enumerate(self._parameters):
            if each.path:
                kinds.setdefault(each.kind, []).append(index)
        for members in kinds.values():
            step = np.zeros_like(logs)
            step[members] = np.where(logs[members] + STEP > self._high[members], -STEP, STEP)
            there = self._errors(logs + step)
            for index in members:
                slopes[:, index] = np.where(self._acts[index], (there - here) / step[index], 0.0)
        return slopes

    def _prior_slopes(self) -> Floats:
        slopes = np.diag(1 / self._spread)
        for index, each in enumerate(self._parameters):
            if each.mean is not None:
                slopes[index, each.mean] = -1 / self._spread[index]
        return slopes


def path_text(path: tuple[str | int, ...]) -> str:
    """Return a path as one word, for files."""
    return "/".join(str(part) for part in path)


def with_values(constants: Constants, bounds: Bounds, values: dict[str, float]) -> Constants:
    """Return constants with fitted values put in."""
    document: Any = constants.model_dump()
    for each in parameters(constants, bounds):
        if each.path and path_text(each.path) in values:
            for place in (each.path, *each.also):
                put(document, place, values[path_text(each.path)])
    return Constants.model_validate(document)


def values_of(constants: Constants, bounds: Bounds) -> dict[str, float]:
    """Return the fitted values that constants hold, by path."""
    document = constants.model_dump()
    return {
        path_text(each.path): value_at(document, each.path)
        for each in parameters(constants, bounds)
        if each.path
    }
