"""Fits the constants of ``efficiency.yaml`` on published runs: ``python -m advisor.fit``, for maintainers.

It writes the fitted numbers into ``efficiency.yaml`` (all else there stays as it is) and the held-out ones into
``measurements/folds.json``; the same evidence gives the same files. ``--ablations`` writes nothing and says what each
part of the model is worth: how large errors are where it is left at its neutral value and all else is fitted again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from advisor.catalog import load_devices
from advisor.efficiency import load_constants
from advisor.execution import Constants, Evidence
from advisor.fit.ablations import ABLATIONS, ablated
from advisor.fit.bounds import Bounds, load_bounds, parameters, put
from advisor.fit.doubts import doubt_of, load_doubts
from advisor.fit.fitting import Ended, Fit, Task, path_text, task, with_values
from advisor.fit.flat import FlatRuns, flatten, step_seconds
from advisor.fit.folds import Folds, dealt, fold_names, groups_of, held_out, unseen_seconds
from advisor.fit.intervals import measured_spreads
from advisor.fit.runs import published_runs, with_speed
from advisor.operators import Floats
from advisor.yaml_io import data_root

ENOUGH_TO_BE_SEEN = 3
"""Fitted runs from which a GPU or a family counts as seen."""

SPREADS = (
    "80 % quantiles of the errors of published runs by constants that had not seen the GPU, the family or both; rows "
    "with runs: 0 and mixture_of_experts are priors"
)


class Workshop:
    """What a fit needs, read once in each process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.constants = load_constants(root)
        self.bounds = load_bounds(root)
        devices = {device.id: device for device in load_devices(())}
        every, _ = published_runs(root, devices, self.constants)
        self.runs = tuple(run for run in with_speed(every) if run.device.kind == "gpu")
        self.flat = flatten(self.runs, self.constants)
        self.task = task(self.runs, self.flat, self.constants, self.bounds)
        doubts = load_doubts(root)
        found = [doubt_of(run, doubts) for run in self.runs]
        self.sure = np.array([doubt is None or doubt.fitted for doubt in found])
        self.gpus = dealt(run.device.id for run in self.runs)
        self.families = dealt(run.family for run in self.runs)


def _with_enough(names: Iterable[str]) -> list[str]:
    """Return the names that enough fitted runs bear, in order."""
    return sorted(name for name, count in Counter(names).items() if count >= ENOUGH_TO_BE_SEEN)


@cache
def workshop() -> Workshop:
    """Return the workshop of this process."""
    return Workshop(data_root())


def held_out_values(shop: Workshop, name: str, near: Ended) -> dict[str, float]:
    """Return the constants of one fold; ``near`` is where the fit of all runs ended."""
    nothing = Folds(gpus=shop.gpus, families=shop.families, constants={})
    chosen = held_out(name, *groups_of(shop.runs, nothing)) & shop.sure
    return Fit(shop.task, shop.constants, shop.bounds).best(chosen, near)[0]


def ablated_error(name: str) -> tuple[str, float]:
    """Return the median error of runs under constants fitted without a part of the model."""
    shop = workshop()
    constants, bounds = ablated(name, shop.constants, shop.bounds)
    given = task(shop.runs, shop.flat, constants, bounds)
    values, _ = Fit(given, constants, bounds).best(shop.sure)
    errors = _errors(given, shop.flat, with_values(constants, bounds, values))
    return name, float(np.median(np.abs(np.expm1(-errors[shop.sure]))))


def _errors(given: Task, flat: FlatRuns, constants: Constants) -> Floats:
    return np.asarray(np.log(step_seconds(flat, constants) / given.measured_s))


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit and write, or print the ablations."""
    parser = argparse.ArgumentParser(prog="python -m advisor.fit", description=__doc__)
    parser.add_argument(
        "--ablations", action="store_true", help="say what each part of the model is worth; writes nothing"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.ablations:
        with ProcessPoolExecutor(options.processes) as pool:
            for name, error in pool.map(ablated_error, ABLATIONS):
                sys.stdout.write(f"{error:7.2%}  {name}\n")
                sys.stdout.flush()
        return 0
    shop = workshop()
    values, near = Fit(shop.task, shop.constants, shop.bounds).best(shop.sure)
    found = {name: held_out_values(shop, name, near) for name in fold_names()}
    folds = Folds(gpus=shop.gpus, families=shop.families, constants=found)
    fitted = with_values(shop.constants, shop.bounds, values)
    write(shop, values, spreads_of(shop, folds, fitted), folds)
    return 0


def spreads_of(shop: Workshop, folds: Folds, fitted: Constants) -> list[dict[str, Any]]:
    """Return the spreads of times as documents, from errors of runs by what the constants had seen."""
    runs, flat, measured = shop.runs, shop.flat, shop.task.measured_s
    errors: dict[Evidence, Floats] = {"both": np.log(step_seconds(flat, fitted) / measured)}
    held: tuple[Evidence, ...] = ("gpu", "family", "neither")
    for evidence in held:
        errors[evidence] = np.log(unseen_seconds(runs, flat, folds, fitted, shop.bounds, evidence) / measured)
    return [each.model_dump() for each in measured_spreads(runs, errors, fitted.intervals.measured)]


def write(
    shop: Workshop, values: Mapping[str, float], spreads: Sequence[dict[str, Any]], folds: Folds
) -> None:
    """Write the fitted numbers into the catalog."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = shop.root / "efficiency.yaml"
    document = yaml.load(path.read_text(encoding="utf-8"))
    for each in _fitted_parameters(shop.constants, shop.bounds):
        for place in (each.path, *each.also):
            put(document, place, values[path_text(each.path)])
    rows = [CommentedMap(row) for row in spreads]
    for row in rows:
        row.fa.set_flow_style()
    document["intervals"]["measured"] = rows
    sure = [run for run, fitted in zip(shop.runs, shop.sure, strict=True) if fitted]
    document["intervals"]["gpus"] = _with_enough(run.device.id for run in sure)
    document["intervals"]["families"] = _with_enough(run.problem.subject.evidence_family for run in sure)
    document["intervals"]["source"] = SPREADS
    for name in ("gpus", "families"):
        document["intervals"][name] = _in_one_line(document["intervals"][name])
    text = io.StringIO()
    yaml.dump(document, text)
    path.write_text(text.getvalue(), encoding="utf-8", newline="\n")
    lines = json.dumps(folds.model_dump(), indent=None, separators=(",", ":")).replace("},", "},\n")
    (shop.root / "measurements" / "folds.json").write_text(lines + "\n", encoding="utf-8", newline="\n")


def _fitted_parameters(constants: Constants, bounds: Bounds) -> list[Any]:
    return [each for each in parameters(constants, bounds) if each.path]


def _in_one_line(values: Sequence[str]) -> Any:
    from ruamel.yaml.comments import CommentedSeq

    line = CommentedSeq(values)
    line.fa.set_flow_style()
    return line


if __name__ == "__main__":
    raise SystemExit(main())
