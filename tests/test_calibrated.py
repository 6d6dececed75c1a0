"""What profiles say about devices: paces, hosts, steps, relatives, intervals, warnings."""

from __future__ import annotations

import datetime
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from advisor import calibration
from advisor.calibrated import Reading, workload_of
from advisor.calibration import StoredProfile, load_suite, load_tables
from advisor.catalog import shipped_devices
from advisor.corrections import cautions
from advisor.describe.subject import NetworkSubject, TransformerSubject
from advisor.documents import EstimateDocument
from advisor.efficiency import load_constants
from advisor.execution import NOT_CALIBRATED, DeviceCalibration, StartFactors
from advisor.hardware import Device
from advisor.operators import Phase
from advisor.problem import problem_of, teams
from advisor.profile import (
    CollectiveResult,
    MeasuredDevice,
    MeasuredHost,
    MeasuredSoftware,
    Profile,
    Sensors,
    SuiteResult,
    Timing,
)
from advisor.service import Advisor, open_advisor
from advisor.workload import Workload
from advisor.yaml_io import data_root

DEVICES = {device.id: device for device in shipped_devices()}
TODAY = datetime.date(2026, 11, 23)


@cache
def reading() -> Reading:
    root = data_root()
    return Reading(load_suite(root), load_tables(root), load_constants(root))


def took(seconds: float, *, stable: bool = True) -> Timing:
    return Timing(median_s=seconds, spread=1.02, repeats=20, stable=stable)


def as_predicted(device: Device, truth: DeviceCalibration, **extra: Any) -> Profile:
    """Return the profile that a device would give whose real paces are ``truth``."""
    results = []
    for name, test in reading().suite.tests.items():
        if device.kind not in test.batch:
            continue
        for precision in test.precisions[device.kind]:
            asked = SuiteResult(test=name, precision=precision, batch=test.batch[device.kind])
            if test.purpose == "step":
                step_s = reading().predicted_step_s(asked, device, truth)
                results.append(asked.model_copy(update={"step": took(step_s)}))
                continue
            found = reading().prediction(asked, device, truth)
            times = {
                phase: sum(found.kernels[phase].values())
                + found.starting[phase]
                + (found.host[phase] if found.synchronous else 0.0)
                for phase in Phase
            }
            if test.purpose == "launches" and not found.synchronous:
                times = dict(found.host)
            update: dict[str, Any] = {
                "forward": took(times[Phase.FORWARD]), "backward": took(times[Phase.BACKWARD]),
            }  # fmt: skip
            if times[Phase.OPTIMIZER]:
                update["optimizer"] = took(times[Phase.OPTIMIZER])
            if test.purpose == "launches" and not found.synchronous:
                kernels = sum(found.kernels[Phase.FORWARD].values()) + found.starting[Phase.FORWARD]
                update["replayed"] = took(kernels)
            results.append(asked.model_copy(update=update))
    fields: dict[str, Any] = {
        "date": TODAY.isoformat(),
        "mode": "full",
        "device": MeasuredDevice(
            kind=device.kind, backend="cuda", name=device.name, gpu=device.id, vendor=device.vendor,
            memory_mib=device.memory.reported_mib or device.memory.size_gib * 1024,
        ),
        "software": MeasuredSoftware(torch="2.13.0", driver="580.1", python="3.13", gpu_advisor="1"),
        "host": MeasuredHost(system="Linux x86_64"),
        "tests": tuple(results),
    }  # fmt: skip
    return Profile(**fields | extra)


def stored(profile: Profile, path: str = "/nowhere/some.yaml") -> StoredProfile:
    return StoredProfile(Path(path).stem, Path(path), profile)


def keep(profile: Profile, name: str = "mine") -> None:
    calibration.keep(profile, name)


def estimate(advisor: Advisor, model: str, gpu: str, **fields: Any) -> EstimateDocument:
    workload = Workload.model_validate({"model": {"name": model}, **fields})
    return advisor.estimate(workload, gpus=[gpu]).estimates[0]


@pytest.mark.parametrize(
    ("gemm", "convolution", "norm", "host", "kernel", "gpu"),
    [(1.0, 1.0, 1.0, 1.0, 1.0, "rtx-4090"), (1.6, 0.7, 1.3, 2.5, 0.8, "rtx-4090"),
     (0.7, 1.8, 0.9, 0.6, 1.4, "h100-sxm5-80gb")],
)  # fmt: skip
def test_a_device_that_is_slower_by_known_factors_is_read_as_such(gemm, convolution, norm, host, kernel, gpu):
    pace = {}
    for precision in ("half", "tf32", "fp32"):
        for phase in ("forward", "backward"):
            pace[f"gemm {phase} {precision}"] = gemm
            pace[f"convolution {phase} {precision}"] = convolution
    pace |= {"norm forward": norm, "norm backward": norm}
    start = StartFactors(kernel=kernel, forward=host)
    truth = NOT_CALIBRATED.model_copy(
        update={"pace": pace, "starting": {"transformer": start, "network": start}}
    )
    found = reading().calibration(stored(as_predicted(DEVICES[gpu], truth)), DEVICES[gpu], ())
    for kind in ("transformer", "network"):
        assert found.starting[kind].forward == pytest.approx(host, rel=0.02)
        assert found.starting[kind].kernel == pytest.approx(kernel, rel=0.3)
    for name in ("gemm forward half", "gemm backward half", "convolution forward half", "norm forward"):
        assert found.pace[name] == pytest.approx(pace[name], rel=0.15), name
    for kind in ("transformer", "network"):
        assert found.step[kind] == pytest.approx(1.0, abs=0.08)


def test_a_profile_that_agrees_with_the_constants_changes_nothing():
    device = DEVICES["a100-sxm4-80gb"]
    keep(as_predicted(device, NOT_CALIBRATED))
    with_it = estimate(open_advisor(), "resnet50", device.id)
    without = estimate(open_advisor(calibrated=False), "resnet50", device.id)
    assert with_it.step_time_s is not None
    assert without.step_time_s is not None
    assert with_it.step_time_s.value == pytest.approx(without.step_time_s.value, rel=0.03)
    assert with_it.calibration is not None
    assert with_it.calibration.relation == "this GPU"
    assert without.calibration is None


def slower(device: Device, factor: float) -> Profile:
    """Return the profile of a device that takes longer by one factor in everything."""
    profile = as_predicted(device, NOT_CALIBRATED)

    def stretched(result: SuiteResult) -> SuiteResult:
        names = ("forward", "backward", "optimizer", "inference", "step", "replayed")
        update = {
            name: took(timing.median_s * factor)
            for name in names
            if (timing := getattr(result, name)) is not None
        }
        return result.model_copy(update=update)

    return profile.model_copy(update={"tests": tuple(map(stretched, profile.tests))})


def test_estimates_of_the_measured_gpu_follow_its_profile_wholly():
    device = DEVICES["rtx-4090"]
    plain = estimate(open_advisor(), "gpt2", device.id)
    keep(slower(device, 1.5))
    found = estimate(open_advisor(), "gpt2", device.id)
    assert found.step_time_s is not None
    assert plain.step_time_s is not None
    assert found.step_time_s.value / plain.step_time_s.value == pytest.approx(1.5, rel=0.05)
    assert found.step_time_s.high / found.step_time_s.value < plain.step_time_s.high / plain.step_time_s.value


def test_relatives_follow_by_the_stated_shrinkage_and_others_do_not():
    """Of the architecture most, of the vendor less, of other vendors not at all; where published runs stand, hardly."""
    plain = {
        gpu: estimate(open_advisor(), "gpt2", gpu)
        for gpu in ("rtx-5080", "rtx-5070", "rtx-4090", "rx-7900-xtx")
    }
    keep(slower(DEVICES["rtx-5090"], 2.0))
    moved = {}
    for gpu, before in plain.items():
        after = estimate(open_advisor(), "gpt2", gpu)
        assert after.step_time_s is not None
        assert before.step_time_s is not None
        moved[gpu] = after.step_time_s.value / before.step_time_s.value
        relation = None if after.calibration is None else after.calibration.relation
        assert relation == {"rtx-5080": "same architecture", "rtx-5070": "same architecture"}.get(gpu)
    assert moved["rtx-5080"] == pytest.approx(2.0**0.8, rel=0.05)
    assert moved["rtx-5070"] == pytest.approx(2.0**0.8, rel=0.05)
    assert moved["rtx-4090"] == moved["rx-7900-xtx"] == 1.0


def test_a_relative_of_an_architecture_with_published_runs_moves_little_and_its_interval_shrinks_little():
    before = estimate(open_advisor(), "gpt2", "a100-pcie-40gb")
    keep(slower(DEVICES["a100-sxm4-80gb"], 2.0))
    after = estimate(open_advisor(), "gpt2", "a100-pcie-40gb")
    assert before.step_time_s is not None
    assert after.step_time_s is not None
    assert after.step_time_s.value / before.step_time_s.value == pytest.approx(2.0**0.1, rel=0.03)
    widths = [math.log(each.step_time_s.high / each.step_time_s.value) for each in (before, after)]  # type: ignore[union-attr]
    assert 0.99 * widths[0] < widths[1] < widths[0]
    assert any("shifted by the calibration" in text for text in after.assumptions)


def test_measured_power_and_memory_take_the_place_of_assumed_ones():
    device = DEVICES["rtx-4090"]
    profile = as_predicted(device, NOT_CALIBRATED)
    tests = tuple(
        result.model_copy(update={"power_w": 300.0 if result.test.startswith("linear") else 200.0})
        for result in profile.tests
    )
    keep(
        profile.model_copy(
            update={"tests": tests, "sensors": Sensors(idle_w=20.0), "context_mib": 1000.0,
                    "device": profile.device.model_copy(update={"memory_mib": 20000.0})}
        )
    )  # fmt: skip
    fixed = {"batch": {"global": 4, "micro": 4}, "checkpointing": "none"}
    found = estimate(open_advisor(), "gpt2", device.id, **fixed)
    plain = estimate(open_advisor(calibrated=False), "gpt2", device.id, **fixed)
    assert found.power_w is not None
    assert 200 < found.power_w < 300
    assert found.memory.available_gib < plain.memory.available_gib - 3
    assert found.memory.overhead_gib - plain.memory.overhead_gib == pytest.approx(
        (1000 - 480) / 1024, abs=0.02
    )


def test_the_newest_profile_counts_and_of_one_day_the_full_one():
    device = DEVICES["rtx-4090"]
    old = slower(device, 3.0).model_copy(update={"date": "2026-10-01"})
    keep(old, "old")
    keep(slower(device, 2.0), "full")
    keep(slower(device, 1.5).model_copy(update={"mode": "quick"}), "quick")
    found = estimate(open_advisor(), "gpt2", device.id)
    assert found.calibration is not None
    assert found.calibration.profile == "full"
    listed = {row.name: row.used for row in open_advisor().calibrations().calibrations}
    assert listed == {"old": False, "full": True, "quick": False}


def test_profiles_say_their_age_their_software_and_their_faults_wherever_they_count(monkeypatch):
    device = DEVICES["rtx-4090"]
    profile = as_predicted(
        device, NOT_CALIBRATED, date="2026-01-05", complete=False, warnings=("the GPU was not idle",)
    )
    own = calibration.own_folder() / "mine.yaml"
    monkeypatch.setattr("advisor.corrections.installed_torch", lambda: "2.9.1")
    monkeypatch.setattr("advisor.corrections.installed_driver", lambda: "570.0")
    said = " ".join(cautions(stored(profile, str(own)), 183, TODAY))
    assert "322 days old" in said
    assert "not finished" in said
    assert "the GPU was not idle" in said
    assert "torch 2.13.0, and 2.9.1 is installed" in said
    assert "driver 580.1, and 570.0 is installed" in said
    # A team's profile is of another machine, whose software is its own.
    assert "installed" not in " ".join(cautions(stored(profile, "/team/calibration/mine.yaml"), 183, TODAY))
    keep(profile)
    warnings = estimate(open_advisor(), "gpt2", device.id).warnings
    assert any(text.startswith("calibration: ") and "days old" in text for text in warnings)


def test_an_estimate_for_other_software_says_that_the_calibration_is_of_torch_today():
    keep(as_predicted(DEVICES["rtx-4090"], NOT_CALIBRATED))
    found = estimate(open_advisor(), "gpt2", "rtx-4090", software={"version": "2.4"})
    assert any("measured with torch 2.13.0, not 2.4" in text for text in found.warnings)
    other = estimate(open_advisor(), "resnet50", "rtx-4090", software={"framework": "mxnet"})
    assert any("not mxnet" in text for text in other.warnings)


def test_tests_that_the_suite_has_no_more_are_left_out():
    device = DEVICES["rtx-4090"]
    profile = as_predicted(device, NOT_CALIBRATED)
    gone = SuiteResult(test="test-of-old", precision="bf16", batch=4, forward=took(5.0))
    found = reading().calibration(
        stored(profile.model_copy(update={"tests": (*profile.tests, gone)})), device, ()
    )
    assert found.step["network"] == pytest.approx(1.0, abs=0.05)


def test_every_test_of_the_suite_is_a_workload_that_the_estimate_knows():
    for name, test in reading().suite.tests.items():
        for kind, precisions in test.precisions.items():
            device = DEVICES["h100-sxm5-80gb" if kind == "gpu" else "ryzen-9-9950x"]
            for precision in precisions:
                result = SuiteResult(test=name, precision=precision, batch=test.batch[kind])
                workload = workload_of(test, result)
                assert isinstance(workload, Workload)
                transformer = test.model.transformer
                subject = (
                    NetworkSubject(reading().tables[name])
                    if transformer is None
                    else TransformerSubject(transformer, name, "calibration")
                )
                (team,) = teams(problem_of(workload, subject), [device], reading().constants)
                assert team.search.best(1).step_s[0] > 0


def unlisted_profile(**device: Any) -> Profile:
    """Return the profile of a card that the catalog does not have, as fast as an RTX 4090."""
    profile = as_predicted(DEVICES["rtx-4090"], NOT_CALIBRATED)
    fields = {
        "gpu": None, "name": "NVIDIA GeForce RTX 7090", "compute_capability": "8.9", "units": 128,
        "power_limit_w": 400.0, "memory_mib": 49140.0, **device,
    }  # fmt: skip
    return profile.model_copy(update={"device": profile.device.model_copy(update=fields)})


def test_a_card_that_the_catalog_does_not_have_is_usable_by_its_profile():
    keep(unlisted_profile(), "new-card")
    advisor = open_advisor()
    found = estimate(advisor, "gpt2", "nvidia-geforce-rtx-7090-48gb")
    like = estimate(open_advisor(calibrated=False), "gpt2", "rtx-4090")
    assert found.step_time_s is not None
    assert like.step_time_s is not None
    assert found.step_time_s.value == pytest.approx(like.step_time_s.value, rel=0.15)
    assert found.memory.available_gib == pytest.approx(47.5, abs=1.0)
    assert any("not in the catalog" in text for text in found.warnings)
    assert found.cost.purchase_usd is None
    # It is measured against itself: nothing follows for its relatives.
    assert estimate(advisor, "gpt2", "rtx-4080").calibration is None
    assert advisor.calibrations().calibrations[0].gpu == "nvidia-geforce-rtx-7090-48gb"


def test_a_slice_of_a_card_is_a_device_of_its_own():
    keep(unlisted_profile(name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", mig=True, memory_mib=9984.0), "slice")
    names = {device.id for device in open_advisor().devices}
    assert "nvidia-h100-80gb-hbm3-mig-1g-10gb-10gb" in names
    assert estimate(open_advisor(), "gpt2", "h100-sxm5-80gb").calibration is None


@pytest.mark.parametrize("missing", ["vendor", "tests"])
def test_a_profile_that_is_too_little_for_an_unlisted_card_is_reported_and_left_out(missing):
    profile = unlisted_profile(**({"vendor": None} if missing == "vendor" else {}))
    if missing == "tests":
        profile = profile.model_copy(update={"tests": profile.tests[-1:]})
    keep(profile, "poor")
    answer = open_advisor().estimate(Workload.model_validate({"model": {"name": "gpt2"}}), gpus=["rtx-4090"])
    assert any("poor left out" in message for message in answer.warnings)


def test_measured_links_take_the_place_of_assumed_ones_and_say_nothing_of_one_gpu():
    device = DEVICES["rtx-4090"]
    fields = {"checkpointing": "none", "batch": {"global": 32, "micro": 4}, "sharding": "ddp"}
    workload = Workload.model_validate({"model": {"name": "gpt2-medium"}, **fields})
    before = open_advisor().estimate(workload, gpus=[device.id], count=4).estimates[0]
    alone = estimate(open_advisor(), "gpt2", device.id)
    slow = [
        CollectiveResult(
            operation="all-reduce", ranks=4, nodes=1, library="nccl", size_bytes=size,
            timing=took(50e-6 + 2 * size * 0.75 / 1e9),
        )
        for size in (2**20, 2**24, 2**28)
    ]  # fmt: skip
    profile = as_predicted(device, NOT_CALIBRATED)
    keep(profile.model_copy(update={"tests": (), "collectives": tuple(slow), "mode": "collectives"}), "links")
    after = open_advisor().estimate(workload, gpus=[device.id], count=4).estimates[0]
    assert before.step_time_s is not None
    assert after.step_time_s is not None
    # 355 million gradients of 4 bytes at 1 GB/s, twice three quarters of them.
    assert after.step_time_s.value > before.step_time_s.value + 1.0
    assert after.calibration is not None
    assert after.calibration.profile == "links"
    assert estimate(open_advisor(), "gpt2", device.id).step_time_s == alone.step_time_s
    assert any("links between GPUs as measured" in text for text in after.assumptions)


def test_a_finished_profile_counts_before_a_later_one_that_is_not_and_a_later_of_one_day_before_an_earlier():
    device = DEVICES["rtx-4090"]
    keep(slower(device, 2.0).model_copy(update={"date": "2026-11-20"}), "finished")
    keep(slower(device, 3.0).model_copy(update={"date": "2026-11-22", "complete": False}), "interrupted")
    found = estimate(open_advisor(), "gpt2", device.id).calibration
    assert found is not None
    assert found.profile == "finished"
    for name in ("again", "again"):
        keep(slower(device, 1.5), name)
        later = calibration.own_folder() / "again-2.yaml"
        if later.exists():
            os.utime(later, (2e9, 2e9))
    found = estimate(open_advisor(), "gpt2", device.id).calibration
    assert found is not None
    assert found.profile == "again-2"


def test_a_profile_that_cannot_stand_for_its_device_makes_room_for_one_that_can():
    keep(unlisted_profile().model_copy(update={"date": "2026-11-20"}), "whole")
    poor = unlisted_profile()
    keep(poor.model_copy(update={"tests": poor.tests[-1:]}), "poor")
    (used,) = [row.name for row in open_advisor().calibrations().calibrations if row.used]
    assert used == "whole"


def test_a_precision_that_was_not_measured_is_said_and_keeps_the_shipped_interval():
    device = DEVICES["rtx-4090"]
    profile = as_predicted(device, NOT_CALIBRATED)
    full = tuple(result for result in profile.tests if result.precision == "fp32")
    before = estimate(open_advisor(), "gpt2", device.id, precision="bf16")
    keep(profile.model_copy(update={"tests": full}))
    after = estimate(open_advisor(), "gpt2", device.id, precision="bf16")
    assert any("bf16 was not measured" in text for text in after.warnings)
    assert before.step_time_s is not None
    assert after.step_time_s is not None
    widths = [each.step_time_s.high / each.step_time_s.value for each in (before, after) if each.step_time_s]
    assert widths[1] == pytest.approx(widths[0])


def test_lists_say_which_calibration_stands_behind_which_gpu():
    keep(as_predicted(DEVICES["rtx-4090"], NOT_CALIBRATED))
    answer = open_advisor().compare(
        Workload.model_validate({"model": {"name": "gpt2"}}), gpus=["rtx-4090", "rx-7900-xtx"]
    )
    assert any(text.startswith("calibration mine") and "rtx-4090" in text for text in answer.warnings)
