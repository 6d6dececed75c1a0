"""The fit and what it leaves in the catalog: bounds, ages, held-out folds, intervals, doubts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.catalog import load_devices
from advisor.efficiency import load_constants
from advisor.estimation.step import together
from advisor.execution import Constants, version_key
from advisor.fit.ablations import ABLATIONS, ablated
from advisor.fit.bounds import load_bounds, outside, parameters, rounded
from advisor.fit.doubts import doubt_of, load_doubts
from advisor.fit.fitting import Fit, task, values_of, with_values
from advisor.fit.flat import flatten, step_seconds
from advisor.fit.folds import GROUPS, dealt, fold_names, groups_of, held_out, load_folds, unseen_seconds
from advisor.fit.intervals import SHARE, conformal_spread, group_of, kinds
from advisor.fit.runs import published_runs, with_speed
from advisor.yaml_io import data_root

ROOT = data_root()
CONSTANTS = load_constants(ROOT)
BOUNDS = load_bounds(ROOT)


@pytest.fixture(scope="module")
def runs():
    devices = {device.id: device for device in load_devices(())}
    found, _ = published_runs(ROOT, devices, CONSTANTS)
    return tuple(run for run in with_speed(found) if run.device.kind == "gpu")


# Constants


def test_no_constant_leaves_its_bounds() -> None:
    assert outside(CONSTANTS, BOUNDS) == []


def test_a_constant_outside_its_bounds_is_named() -> None:
    values = values_of(CONSTANTS, BOUNDS) | {"network/overlap_data": 0.01}
    assert outside(with_values(CONSTANTS, BOUNDS, values), BOUNDS) == [
        "network.overlap_data is 0.01, not 0.05 to 0.98"
    ]


def test_every_bound_is_of_a_constant_and_allows_what_it_is_drawn_to() -> None:
    for each in parameters(CONSTANTS, BOUNDS):
        assert each.low <= each.usual <= each.high, each
    known = values_of(CONSTANTS, BOUNDS)
    assert len(known) == len([each for each in parameters(CONSTANTS, BOUNDS) if each.path])
    assert with_values(CONSTANTS, BOUNDS, known) == CONSTANTS


def test_fitted_values_have_three_digits() -> None:
    for path, value in values_of(CONSTANTS, BOUNDS).items():
        assert value == pytest.approx(rounded(value), rel=1e-12), path


def test_every_kind_of_job_has_a_spread_and_knowing_more_narrows_it() -> None:
    measured = CONSTANTS.intervals.measured
    assert {(each.subject, each.task, each.gpus) for each in measured} == set(kinds())
    for each in measured:
        assert 1 < each.both <= min(each.gpu, each.family) <= max(each.gpu, each.family) <= each.neither


# Ages of software


def test_versions_are_compared_by_their_numbers() -> None:
    software = CONSTANTS.software
    assert version_key("1.13.0a0+d0d6b1f") == (1, 13, 0)
    assert version_key("1.9") < version_key("1.13")
    assert software.age("pytorch", None) == software.ages["pytorch"][-1]
    assert software.age("PyTorch", "2.9") == software.ages["pytorch"][-1]
    assert software.age("pytorch", "1.4.0") is not software.age("pytorch", "1.3.1")
    assert software.age("no such framework", "0.1").launch == 1.0


def test_current_software_is_the_reference() -> None:
    newest = CONSTANTS.software.ages["pytorch"][-1]
    assert (newest.launch, newest.convolution_half, newest.convolution_full, newest.streaming) == (1, 1, 1, 1)


@given(st.floats(1e-6, 1e3), st.floats(0, 1e3), st.floats(1, 8))
def test_together_lies_between_the_longer_and_the_sum(device: float, host: float, exponent: float) -> None:
    both = float(together(np.array(device), np.array(host), exponent))
    assert max(device, host) * (1 - 1e-9) <= both <= (device + host) * (1 + 1e-9)


# Flat runs


def test_flat_runs_are_predicted_as_the_search_does(runs) -> None:
    sample = runs[::37]
    seconds = step_seconds(flatten(sample, CONSTANTS), CONSTANTS)
    for run, flat in zip(sample, seconds, strict=True):
        searched = float(run.search.best(run.measurement.count).step_s[0])
        assert flat == pytest.approx(searched, rel=1e-9), (run.measurement.model, run.device.id)


# The fit


def test_the_fit_finds_constants_back(runs) -> None:
    sample = [run for run in runs if run.measurement.model in ("resnet50", "bert-large", "vgg16")][::8]
    flat = flatten(sample, CONSTANTS)
    truth = with_values(
        CONSTANTS,
        BOUNDS,
        values_of(CONSTANTS, BOUNDS) | {"kernel/tf32_rate": 0.85, "network/pcie_share": 0.5},
    )
    given_task = task(sample, flat, CONSTANTS, BOUNDS)
    ideal = replace(given_task, measured_s=step_seconds(flat, truth), weights=np.full(len(sample), 100.0))
    fit = Fit(ideal, CONSTANTS, BOUNDS)
    values, _ = fit.best(np.ones(len(sample), dtype=bool))
    found = with_values(CONSTANTS, BOUNDS, values)
    errors = np.log(step_seconds(flat, found) / ideal.measured_s)
    assert np.median(np.abs(errors)) < 0.01
    assert values["network/pcie_share"] == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("name", [name for name in ABLATIONS if name != "everything"])
def test_an_ablation_takes_something_out_of_action(name: str) -> None:
    constants, bounds = ablated(name, CONSTANTS, BOUNDS)
    assert constants != CONSTANTS or outside(CONSTANTS, bounds)


def test_nothing_is_left_out_of_everything() -> None:
    assert ablated("everything", CONSTANTS, BOUNDS) == (CONSTANTS, BOUNDS)


# Folds


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1))
def test_names_are_dealt_once_and_evenly(names: list[str]) -> None:
    groups = dealt(names)
    assert set(groups) == set(names)
    assert set(groups.values()) <= set(range(GROUPS))
    sizes = [sum(groups[name] == group for name in names) for group in range(GROUPS)]
    largest = max(names.count(name) for name in names)
    assert max(sizes) - min(sizes) <= largest


def test_held_out_constants_have_seen_neither_gpu_nor_family(runs) -> None:
    folds = load_folds(ROOT)
    gpus, families = groups_of(runs, folds)
    assert set(folds.constants) == set(fold_names())
    for name in fold_names():
        allowed = held_out(name, gpus, families)
        gpu, _, family = name.partition("-")
        assert not {run.device.id for run, ok in zip(runs, allowed, strict=True) if ok} & {
            each for each, group in folds.gpus.items() if str(group) == gpu
        }
        assert not {run.family for run, ok in zip(runs, allowed, strict=True) if ok} & {
            each for each, group in folds.families.items() if str(group) == family
        }


def test_every_run_has_a_held_out_prediction(runs) -> None:
    flat = flatten(runs, CONSTANTS)
    seconds = unseen_seconds(runs, flat, load_folds(ROOT), CONSTANTS, BOUNDS, "neither")
    assert np.isfinite(seconds).all()
    assert not np.allclose(seconds, step_seconds(flat, CONSTANTS), rtol=0.01)


# Intervals


@given(st.lists(st.floats(-2, 2, allow_nan=False), min_size=4, max_size=200))
def test_a_conformal_spread_holds_its_share(errors: list[float]) -> None:
    values = np.array(errors)
    spread = conformal_spread(values)
    assert (np.abs(values) <= math.log(spread) + 1e-12).mean() >= SHARE


def test_too_few_errors_promise_nothing() -> None:
    with pytest.raises(ValueError, match="too few"):
        conformal_spread(np.array([0.1, 0.2, 0.3]))


def test_unseen_intervals_hold_the_stated_share(runs) -> None:
    flat = flatten(runs, CONSTANTS)
    given_task = task(runs, flat, CONSTANTS, BOUNDS)
    seconds = unseen_seconds(runs, flat, load_folds(ROOT), CONSTANTS, BOUNDS, "neither")
    errors = np.abs(np.log(seconds / given_task.measured_s))
    spreads = np.array([math.log(CONSTANTS.intervals.spread(*group_of(run), "neither")) for run in runs])
    assert 0.76 <= (errors <= spreads).mean() <= 0.86
    groups = [group_of(run) for run in runs]
    for group in set(groups):
        own = np.array([each == group for each in groups])
        if own.sum() >= 100:
            assert 0.76 <= (errors <= spreads)[own].mean() <= 0.86, group


# Doubts


def test_every_doubt_is_about_some_runs(runs) -> None:
    doubts = load_doubts(ROOT)
    found = {doubt_of(run, doubts) for run in runs}
    assert set(doubts) <= found
    assert None in found


def test_constants_can_be_read_back(runs) -> None:
    assert Constants.model_validate(CONSTANTS.model_dump()) == CONSTANTS
