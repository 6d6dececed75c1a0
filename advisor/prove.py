"""Measures a device and proves the estimates on it: for maintainers, on the first machine that has a new GPU.

``python -m advisor.prove`` runs the whole suite, then every workload of ``calibration/checks.yaml`` in the catalog,
and writes the profile and the comparison, with date and versions, into a folder (``calibration/evidence`` of the
catalog). It returns 1 where a figure is farther off than its target.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from advisor.calibrate.session import Session
from advisor.calibration import text_of
from advisor.diagnostics import StepProgress, report_error
from advisor.documents import CheckAnswer
from advisor.errors import AdvisorError, InputError
from advisor.profile import Profile
from advisor.quantity import Model
from advisor.render.calibration import render
from advisor.render.table import Page
from advisor.service import open_advisor
from advisor.suite import DeviceKind
from advisor.unlisted import unlisted_id
from advisor.workload import Workload
from advisor.yaml_io import data_root, read_yaml, validate


class Checks(Model):
    """Everything in ``calibration/checks.yaml``."""

    targets: Mapping[DeviceKind, Mapping[str, float]]
    """Largest relative error by figure."""
    workloads: Mapping[DeviceKind, tuple[Workload, ...]]


def load_checks(root: Path) -> Checks:
    """Return the checks of a catalog.

    Raises:
        InputError: they are malformed.
    """
    path = root / "calibration" / "checks.yaml"
    return validate(Checks, read_yaml(path), str(path))


def answers(
    device: str | None, workloads: Sequence[Workload], progress: StepProgress
) -> Iterator[CheckAnswer]:
    """Yield the comparison of each workload; one that does not fit, or fails, is said and left out."""
    for workload in workloads:
        try:
            yield Session(open_advisor(), progress).check(workload, device)
        except AdvisorError as error:
            progress.say(f"{workload.name}: {error}")


def missed(found: Sequence[CheckAnswer], targets: Mapping[str, float]) -> list[str]:
    """Return the figures that are farther off than their targets, in words."""
    return [
        f"{answer.workload.get('name')}: {figure.what} off by {figure.error:+.1%}, target {targets[figure.what]:.0%}"
        for answer in found
        for figure in answer.figures
        if figure.error is not None and abs(figure.error) > targets.get(figure.what, float("inf"))
    ]


def write(folder: Path, profile: Profile, found: Sequence[CheckAnswer]) -> Path:
    """Write profile and comparison into a folder and return the comparison's file."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{profile.device.gpu or unlisted_id(profile)}-{profile.date}"
    (folder / f"{name}.yaml").write_text(text_of(profile), encoding="utf-8", newline="\n")
    documents = [each.model_dump(mode="json", by_alias=True) for each in found]
    path = folder / f"{name}-checks.json"
    path.write_text(json.dumps(documents, indent=1) + "\n", encoding="utf-8", newline="\n")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, check and write; returns 1 where a target is missed, 130 where the user ended it."""
    parser = argparse.ArgumentParser(prog="python -m advisor.prove", description=__doc__)
    parser.add_argument("--device", help="as torch calls it; the first GPU when left out")
    parser.add_argument("--quick", action="store_true", help="the short suite")
    parser.add_argument("--output", type=Path, default=data_root() / "calibration" / "evidence")
    options = parser.parse_args(arguments)
    progress = StepProgress(color=True)
    try:
        checks = load_checks(data_root())
        ran = Session(open_advisor(), progress).calibrate(options.device, quick=options.quick)
        if ran.interrupted or ran.profile is None:
            return 130
        kind = ran.profile.device.kind
        workloads = checks.workloads.get(kind)
        if workloads is None:
            raise InputError(
                "no checks for this kind of device", value=kind, accepted=", ".join(checks.workloads)
            )
        found = list(answers(options.device, workloads, progress))
    except AdvisorError as error:
        return report_error(error)
    path = write(options.output, ran.profile, found)
    for answer in found:
        sys.stdout.write(render(answer, Page(width=100)) + "\n")
    failures = missed(found, checks.targets[kind])
    sys.stdout.write("\n".join([f"written to {path.parent}", *failures]) + "\n")
    return int(bool(failures) or len(found) < len(workloads))


if __name__ == "__main__":
    raise SystemExit(main())
