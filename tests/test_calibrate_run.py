"""Measuring for real on the processor: the suite, its faults, the check of a workload, and what the user sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import cast

import jsonschema
import pytest

from advisor import calibration
from advisor.calibrate import planning, suite_run
from advisor.calibrate.check import Run, figures
from advisor.calibrate.nvml import Nvml, NvmlDevice, Sample, Sampler
from advisor.calibrate.planning import PlannedTest, planned
from advisor.calibrate.process import Ended, WorkerProcess
from advisor.calibrate.session import Ran, Session, schedule
from advisor.calibrate.stop import Stop, Stopped
from advisor.calibrate.suite_run import Measured, SuiteRun
from advisor.calibration import load_suite
from advisor.cli import main
from advisor.documents import CheckAnswer
from advisor.profile import MeasuredDevice, SuiteResult, Timing
from advisor.render.calibration import render as render_calibration
from advisor.render.table import Page
from advisor.schemas import schema
from advisor.service import open_advisor
from advisor.suite import SuiteTest
from advisor.workload import Workload
from advisor.yaml_io import data_root

ROOT = Path(__file__).parents[1]
FAULTY = ROOT / "tests" / "data" / "calibrate"
CPU = MeasuredDevice(kind="cpu", backend="cpu", name="a processor", memory_mib=8192.0, units=2)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads of torch not wait for cores that other tests use."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


class Notes:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[str] = []
        self.results: list[SuiteResult] = []
        self.samples: list[Sample] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def begun(self, place: int, of: int, what: str) -> None:
        self.steps.append(f"{place}/{of}")

    def measured(self, result: SuiteResult) -> None:
        self.results.append(result)

    def sampled(self, sample: Sample) -> None:
        self.samples.append(sample)

    def ended(self) -> None:
        self.steps.append("end")


def faulty(name: str, batch: int = 2) -> PlannedTest:
    test = SuiteTest.model_validate(
        {
            "about": name, "batch": {"cpu": batch}, "precisions": {"cpu": ["fp32"]},
            "model": {"torch": {"factory": f"faulty:{name}", "input": {"shape": [4]}, "loss": "mse"}},
        }
    )  # fmt: skip
    return PlannedTest(name, test, "fp32", "nchw", batch)


def run(*names: str, batch: int = 2) -> tuple[Measured, Notes]:
    notes = Notes()
    tests = [faulty(name, batch) for name in names]
    return SuiteRun("cpu", tests, 0.05, None, None, notes).run(), notes


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FAULTY))


@pytest.mark.usefixtures("faults")
def test_a_test_that_fails_is_noted_and_the_others_go_on():
    measured, notes = run("refusing", "small")
    assert [result.test for result in measured.results] == ["small"]
    assert any("cannot be built" in warning for warning in measured.warnings)
    assert any("cannot be built" in text for text in notes.said)
    assert measured.complete


@pytest.mark.usefixtures("faults")
def test_a_test_that_runs_out_of_memory_is_measured_with_the_next_size_that_fits():
    measured, notes = run("hungry", batch=16)
    (result,) = measured.results
    assert result.batch == 4
    assert result.note == "memory ran out with 8 samples"
    assert any("measured with 4" in text for text in notes.said)


@pytest.mark.usefixtures("faults")
def test_a_process_that_dies_costs_its_test_alone():
    measured, _ = run("dying", "small")
    assert [result.test for result in measured.results] == ["small"]
    assert any("dying" in warning and "code 9" in warning for warning in measured.warnings)
    assert measured.complete


@pytest.mark.usefixtures("faults")
def test_a_test_that_hangs_is_ended_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(suite_run, "TEST_LIMIT_S", 2.0)
    measured, _ = run("hanging", "small")
    assert [result.test for result in measured.results] == ["small"]
    assert any("did not answer" in warning for warning in measured.warnings)


class Stopping(Notes):
    """Asks for the end from another thread once a step has begun."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.stop = Stop()
        self._at = at

    def begun(self, place: int, of: int, what: str) -> None:
        super().begun(place, of, what)
        if place == self._at:
            threading.Thread(target=self.stop.ask).start()


@pytest.mark.usefixtures("faults")
def test_a_stop_from_another_thread_ends_a_test_that_hangs_and_keeps_the_rest():
    notes = Stopping(at=2)
    tests = [faulty(name) for name in ("small", "hanging", "small")]
    measured = SuiteRun("cpu", tests, 0.05, None, None, notes, notes.stop).run()
    assert [result.test for result in measured.results] == ["small"]
    assert measured.interrupted
    assert not measured.complete
    assert measured.warnings == ["interrupted after 1 of 3 tests"]
    assert notes.steps[-1] == "end"


def test_what_is_stopped_before_it_begins_starts_nothing_and_keeps_nothing():
    stop = Stop()
    stop.ask()
    session = Session(open_advisor(), Notes(), stop)
    with pytest.raises(Stopped):
        session.machine()
    assert session.calibrate("cpu", quick=True) == Ran(None, True)
    assert calibration.stored_profiles(())[0] == ()


def test_a_check_that_is_stopped_says_so(monkeypatch):
    class Sensed(Notes):
        def say(self, text: str) -> None:
            # The model is about to run.
            stop.ask()

    stop = Stop()
    session = Session(open_advisor(), Sensed(), stop)
    monkeypatch.setattr(
        session,
        "_estimate",
        lambda workload, found: open_advisor().estimate(workload, gpus=["rtx-4090"]).estimates[0],
    )
    with pytest.raises(Stopped):
        session.check(Workload.model_validate({"model": {"name": "gpt2"}}), "cpu")


def test_a_schedule_is_what_is_announced_and_run():
    suite = load_suite(data_root())
    quick, full = schedule(CPU, quick=True), schedule(CPU, quick=False)
    assert quick.tests == planned(suite, CPU, quick=True)
    assert len(full.tests) > len(quick.tests)
    assert quick.about_s < full.about_s
    assert quick.budget_s * len(quick.tests) == pytest.approx(planning.QUICK_S)


def test_samples_are_heard_as_they_are_taken():
    class Driver:
        def sample(self, device: NvmlDevice) -> Sample:
            return Sample(
                at_s=time.perf_counter(), power_w=1.0, energy_j=None, clock_mhz=None, temperature_c=None,
                utilisation=0.5, reasons=None, pcie_generation=None, pcie_lanes=None,
            )  # fmt: skip

    heard: list[tuple[str, Sample]] = []
    enough = threading.Event()

    def hear(sample: Sample) -> None:
        heard.append((threading.current_thread().name, sample))
        if len(heard) == 3:
            enough.set()

    with Sampler(cast("Nvml", Driver()), cast("NvmlDevice", object()), 0.001, hear) as sampler:
        assert enough.wait(30)
    assert {name for name, _ in heard} == {"NVML sampler"}
    assert sampler.latest() == heard[-1][1]


@pytest.mark.usefixtures("faults")
def test_a_device_on_which_everything_dies_is_given_up():
    measured, notes = run("dying", "dying", "dying", "small")
    assert not measured.results
    assert not measured.complete
    assert any("given up" in text for text in notes.said)


def test_a_request_to_a_process_that_has_ended_says_why(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('no torch today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with WorkerProcess({"job": "devices"}) as worker, pytest.raises(Ended, match="no torch today"):
        worker.event(60.0)


def command(*arguments: str) -> int:
    return int(main(["calibrate", *arguments]))


def test_without_torch_the_extra_is_named(monkeypatch, tmp_path, capsys):
    (tmp_path / "torch.py").write_text("raise ImportError('No module named torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert command("--device", "cpu") == 4
    assert 'pip install "gpu-advisor[torch]"' in capsys.readouterr().err


def test_without_a_gpu_the_reason_and_the_way_out_are_named(capsys):
    assert command("--quick") == 3
    error = capsys.readouterr().err
    assert "no GPU found" in error
    assert "--device cpu" in error


def test_an_unknown_device_is_answered_with_those_that_are_there(capsys):
    assert command("--device", "tpu:0") == 2
    assert "cpu (" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_measured_and_measures_nothing(capsys):
    assert command("--device", "cpu", "--quick", "--dry-run") == 0
    said = capsys.readouterr().err
    assert "tests, about" in said
    assert "step-network-small" in said
    assert calibration.stored_profiles(())[0] == ()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment only: what is tested is that it works, not how well it measures."""
    monkeypatch.setattr(planning, "QUICK_S", 0.5)
    monkeypatch.setattr("advisor.calibrate.check.BUDGET_S", 0.5)


def measured_phases(test: PlannedTest) -> tuple[str, ...]:
    """Return the figures that a test must give."""
    if test.test.purpose == "operators" and test.test.optimizer != "none":
        return ("optimizer",)
    return {
        "operators": ("forward", "backward"),
        "launches": ("forward", "backward", "optimizer"),
        "step": ("step",),
    }[test.test.purpose]


@pytest.mark.usefixtures("brief")
def test_calibrating_keeps_a_profile_that_estimates_and_checks_follow(capsys, tmp_path, monkeypatch):
    """The whole way of a user on a machine without a GPU, each test repeated for less long than for them."""
    # One test of each purpose, and of operators those that an entry without a datasheet and a small transformer need.
    short = (
        "linear-wide", "copy", "attention-fused", "layer-norm", "optimizer-adamw", "launches-transformer",
        "step-transformer-small",
    )  # fmt: skip
    tests = [test for test in planned(load_suite(data_root()), CPU, quick=True) if test.name in short]
    assert len(tests) == len(short)
    monkeypatch.setattr("advisor.calibrate.session.planned", lambda *_, **__: tests)
    monkeypatch.setattr("advisor.calibrate.session.budget_s", lambda *_, **__: 0.05)
    assert command("--device", "cpu", "--quick", "--json") == 0
    shown = capsys.readouterr()
    profile = json.loads(shown.out)
    jsonschema.validate(profile, schema("calibration"))
    (stored,), problems = calibration.stored_profiles(())
    assert not problems
    assert stored.profile.model_dump(mode="json") == profile
    assert "estimates use it from now on" in shown.err
    assert [result.test for result in stored.profile.tests] == [test.name for test in tests]
    for result, test in zip(stored.profile.tests, tests, strict=True):
        assert all(getattr(result, name) is not None for name in measured_phases(test)), result.test
    assert not any(
        word in stored.path.read_text().lower() for word in ("uuid", "serial", os.uname().nodename.lower())
    )

    assert command("show", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["calibrations"]
    assert row["used"] is True

    workload = tmp_path / "small.yaml"
    workload.write_text(
        "model: {transformer: {layers: 2, hidden: 64, heads: 2, ffn: 256, vocab: 128, norm: layernorm}}\n"
        "data: {sequence_length: 32}\nbatch: {global: 4, micro: 2}\n"
    )
    assert main(["estimate", str(workload), "--gpu", row["gpu"], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["estimates"][0]["calibration"]["profile"] == stored.name
    assert main(["estimate", str(workload), "--gpu", row["gpu"], "--no-calibration"]) == 2
    capsys.readouterr()

    assert command("--device", "cpu", "--check", str(workload), "--json") == 0
    check = json.loads(capsys.readouterr().out)
    jsonschema.validate(check, schema("check"))
    (step,) = check["figures"]
    assert step["key"] == "step_time_s"
    assert step["error"] == pytest.approx(step["predicted"]["value"] / step["measured"] - 1)
    assert check["plan"]["gradient_accumulation"] == 2

    assert "Predicted" in render_calibration(CheckAnswer.model_validate(check), Page(width=100))

    # A second profile of the same day gets a name of its own; the first stays.
    before = stored.path.read_bytes()
    monkeypatch.setattr("advisor.calibrate.session.planned", lambda *_, **__: tests[:1])
    assert command("--device", "cpu", "--quick") == 0
    assert "quick calibration" in capsys.readouterr().out
    assert sorted(each.name for each in calibration.stored_profiles(())[0]) == [
        stored.name,
        f"{stored.name}-2",
    ]
    assert stored.path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--sharding", "fsdp"), "one device"),
        (("--set", "software.framework=mxnet"), "pytorch"),
        (("--set", "master_weights=copy"), "master_weights"),
        (("--method", "qlora"), "method"),
    ],
)
def test_a_check_refuses_what_one_process_cannot_run(options, word, capsys, tmp_path):
    assert command("--device", "cpu", "--check", "gpt2", *options) in (2, 3)
    assert word in capsys.readouterr().err


def test_a_check_on_a_device_without_estimates_says_to_calibrate_first(capsys):
    assert command("--device", "cpu", "--check", "gpt2") == 3
    assert "calibrate" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interrupt_keeps_what_was_measured(tmp_path):
    environment = os.environ | {"GPU_ADVISOR_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "advisor", "calibrate", "--device", "cpu"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[3/"):
            break
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    (path,) = (tmp_path / "calibration").glob("*.yaml")
    profile = calibration.read_profile(path)
    assert not profile.complete
    assert 1 <= len(profile.tests) <= 3
    assert "interrupted after" in profile.warnings[0]
    assert "Traceback" not in error + out
    deadline = time.monotonic() + 10
    while _workers() and time.monotonic() < deadline:
        time.sleep(0.1)


def _workers() -> list[str]:
    listed = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    return [
        line for line in listed.splitlines() if line.split()[0] == "1" and "advisor.calibrate.worker" in line
    ]


@pytest.mark.parametrize("memory_format", ["nchw", "nhwc"])
def test_the_tests_of_gpus_run_on_what_is_here_in_a_small_size(memory_format, monkeypatch):
    """What no GPU has run yet must not fail for its shapes, formats or losses on the first one."""
    torch = pytest.importorskip("torch")
    from advisor.calibrate import timing
    from advisor.calibrate.measure import measure

    # That each runs is the question, not how long it takes.
    monkeypatch.setattr(timing, "WARM_UP_RUNS", 1)
    monkeypatch.setattr("advisor.calibrate.measure.phased", partial(timing.phased, least_repeats=1))

    gpu = MeasuredDevice(
        kind="gpu", backend="cuda", name="a GPU", compute_capability="9.0", memory_mib=80000.0
    )
    tests = [
        test
        for test in planned(load_suite(data_root()), gpu, quick=False)
        if (test.precision, test.memory_format, test.test.purpose) == ("bf16", memory_format, "operators")
        and test.name != "attention-long"
    ]
    assert len(tests) >= 8
    torch.set_num_threads(1)
    for test in tests:
        outcome = measure(test.request() | {"batch": 1}, test.test, "cpu", 0.01)
        assert "failed" not in outcome, outcome


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "csv"), ("--dry-run", "--json"), ("show", "--quick"), ("--check", "gpt2", "--quick"),
        ("--check", "gpt2", "--dry-run"), ("--check", "no-such-model"), ("--check", "gpt2", "--precision", "fp33"),
    ],
)  # fmt: skip
def test_options_that_disagree_are_refused_before_anything_is_measured(options, capsys):
    assert command("--device", "cpu", *options) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert "error:" in shown.err
    assert "[1/" not in shown.err


def test_a_check_on_a_gpu_has_time_memory_and_power_side_by_side():
    workload = Workload.model_validate({"model": {"name": "resnet50"}, "batch": {"global": 64, "micro": 64}})
    (estimate,) = open_advisor().estimate(workload, gpus=["rtx-4090"]).estimates
    step = Timing(median_s=0.1, spread=1.1, repeats=5, stable=True)
    found = {each.key: each for each in figures(estimate, estimate, Run(step, 5120.0, 6144.0, 7168.0, 300.0))}
    assert list(found) == ["step_time_s", "allocated_gib", "process_gib", "power_w"]
    assert [each.measured for each in found.values()] == [0.1, 5.0, 7.0, 300.0]
    assert found["power_w"].predicted is not None
    assert found["power_w"].predicted.value == estimate.power_w
    assert found["power_w"].error == pytest.approx((estimate.power_w or 0) / 300 - 1)
    memory = estimate.memory
    assert found["process_gib"].without_calibration == pytest.approx(
        memory.required_gib.value - memory.margin_gib
    )
