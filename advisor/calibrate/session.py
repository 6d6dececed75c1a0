"""What ``calibrate`` does, from finding the devices to the profile in the user's folder and the check of a workload."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from advisor import __version__
from advisor.calibrate.check import Run, check_answer, check_request, checkable
from advisor.calibrate.found import FoundDevice, found_devices, obstacles, pick, runtime
from advisor.calibrate.host import measured_host, other_load
from advisor.calibrate.listener import Listener
from advisor.calibrate.nvml import Nvml, Sampler, Unavailable, open_nvml
from advisor.calibrate.planning import START_S, PlannedTest, budget_s, planned
from advisor.calibrate.process import START_LIMIT_S, Ended, WorkerProcess, under_torchrun
from advisor.calibrate.stop import Stop, Stopped
from advisor.calibrate.suite_run import SuiteRun
from advisor.calibration import keep, load_suite, make_sure_of_the_folder
from advisor.corrections import unsettled
from advisor.documents import CheckAnswer, EstimateDocument
from advisor.errors import ExternalError, InputError, MissingExtraError
from advisor.profile import MeasuredDevice, MeasuredSoftware, Profile, Timing
from advisor.service import Advisor
from advisor.unlisted import unlisted_id
from advisor.workload import Workload
from advisor.yaml_io import data_root

NO_TORCH = 'pip install "gpu-advisor[torch]"'

BUSY_CORES = 0.3
"""Cores that others kept busy from which a processor is not calibrated silently."""

BUILD_S = 0.3
"""What building one test usually takes, for the announcement."""

CHECK_LIMIT_S = 600.0
"""A check that says nothing for this long hangs; a large model takes minutes to build and to warm up."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices of this machine, and the software that runs on them."""

    devices: Sequence[FoundDevice]
    torch: Mapping[str, Any]
    nvml: Nvml | Unavailable

    @property
    def sensors(self) -> Nvml | None:
        """The sensors, None where there are none."""
        return self.nvml if isinstance(self.nvml, Nvml) else None

    def pick(self, wanted: str | None) -> FoundDevice:
        """Return the device of a name, the first GPU without one; see :func:`advisor.calibrate.found.pick`."""
        return pick(self.devices, wanted, obstacles(self.torch, self.nvml))

    def software(self) -> MeasuredSoftware:
        """Return the versions that measurements hold for."""
        return MeasuredSoftware(
            torch=self.torch["torch"].partition("+")[0],
            runtime=runtime(self.torch),
            driver=None if self.sensors is None else self.sensors.driver_version,
            python=platform.python_version(),
            gpu_advisor=__version__,
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a calibration runs on a device.

    Attributes:
        tests: in their order.
        budget_s: what the repeats of one test may take.
        about_s: what the whole usually takes.
    """

    tests: tuple[PlannedTest, ...]
    budget_s: float
    about_s: float


def schedule(device: MeasuredDevice, *, quick: bool) -> Schedule:
    """Return what the suite of the catalog runs on a device.

    Args:
        device: to measure.
        quick: the short suite.
    """
    tests = planned(load_suite(data_root()), device, quick=quick)
    each_s = budget_s(len(tests), quick=quick)
    return Schedule(tests, each_s, START_S + len(tests) * (each_s + BUILD_S))


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a calibration.

    Attributes:
        profile: None on other ranks than the first, or where nothing was measured.
        interrupted: whether it was ended before its end.
        name: what the profile is kept as.
    """

    profile: Profile | None
    interrupted: bool
    name: str | None = None


class Session:
    """One use of ``calibrate``.

    Args:
        advisor: for the catalog and the estimates.
        listener: told what happens.
        stop: ends it from another thread.
    """

    def __init__(self, advisor: Advisor, listener: Listener, stop: Stop | None = None) -> None:
        self._advisor = advisor
        self._listener = listener
        self._stop = stop or Stop()

    def machine(self) -> Machine:
        """Return the devices of this machine.

        Raises:
            MissingExtraError: torch is not installed.
            ExternalError: asking for them failed.
            Stopped: somebody asked for it.
        """
        with WorkerProcess({"job": "devices"}) as worker, self._stop.over(worker):
            event = self._event(worker, START_LIMIT_S)
        nvml = open_nvml()
        return Machine(found_devices(event["found"], nvml, self._advisor.names), event["found"], nvml)

    def announce(self, wanted: str | None, *, quick: bool) -> None:
        """Say what would be measured, and how long that takes.

        Raises:
            InputError: there is no such device.
            ExternalError: there is no GPU and no device was named.
        """
        machine = self.machine()
        device = machine.pick(wanted)
        what = schedule(device.measured, quick=quick)
        self._say_what(machine, device, what)
        for test in what.tests:
            self._listener.say(f"{test.name}: {test.said()}, batch {test.batch}")

    def calibrate(self, wanted: str | None, *, quick: bool) -> Ran:
        """Measure a device, keep its profile in the user's folder and return it.

        Under ``torchrun`` the collectives among its ranks are measured instead.

        Args:
            wanted: the device as torch calls it, None for the first GPU.
            quick: the short suite.

        Raises:
            InputError: there is no such device.
            MissingExtraError: torch is not installed.
            ExternalError: there is no GPU and no device was named, or nothing could be measured.
        """
        try:
            machine = self.machine()
        except Stopped:
            return Ran(None, True)
        device = machine.pick(wanted)
        if under_torchrun():
            return self._collectives(machine, device, quick=quick)
        make_sure_of_the_folder()
        what = schedule(device.measured, quick=quick)
        self._say_what(machine, device, what)
        measured = SuiteRun(
            device.torch_name,
            what.tests,
            what.budget_s,
            machine.sensors,
            device.nvml,
            self._listener,
            self._stop,
        ).run()
        if not measured.results:
            if measured.interrupted:
                return Ran(None, True)
            raise ExternalError(
                "nothing could be measured", hint="; ".join(measured.warnings[-2:]) or "see the notes above"
            )
        profile = Profile(
            date=datetime.date.today().isoformat(),
            mode="quick" if quick else "full",
            complete=measured.complete,
            device=device.measured.model_copy(update=measured.link),
            software=machine.software(),
            host=measured_host(),
            sensors=measured.sensors,
            context_mib=measured.context_mib,
            tests=tuple(measured.results),
            transfers=tuple(measured.transfers),
            warnings=tuple(measured.warnings),
        )
        name = self._keep(profile)
        for caution in unsettled(profile):
            self._listener.say(f"{caution}; calibrate again when nothing else runs")
        return Ran(profile, measured.interrupted, name)

    def _collectives(self, machine: Machine, device: FoundDevice, *, quick: bool) -> Ran:
        from advisor.calibrate.collectives import run_ranks

        found = run_ranks(device.measured.backend, quick=quick, report=self._listener.say)
        if found is None:
            return Ran(None, False)
        results, notes = found
        profile = Profile(
            date=datetime.date.today().isoformat(),
            mode="collectives",
            device=device.measured,
            software=machine.software(),
            host=measured_host(),
            collectives=tuple(results),
            warnings=tuple(notes),
        )
        return Ran(profile, False, self._keep(profile))

    def _keep(self, profile: Profile) -> str:
        """Write a profile into the user's folder, say what it is for, and return its name."""
        name = profile.device.gpu or unlisted_id(profile)
        suffix = "-collectives" if profile.mode == "collectives" else ""
        path = keep(profile, f"{name}{suffix}-{profile.date}")
        (row,) = self._advisor.reopened().calibrations(path.stem).calibrations
        use = (
            f"estimates use it from now on, as --gpu {row.gpu}"
            if row.used
            else "another one counts: calibrate show"
        )
        self._listener.say(f"kept as {path.stem} ({path}); {use}")
        return path.stem

    def _say_what(self, machine: Machine, device: FoundDevice, what: Schedule) -> None:
        found = device.measured
        entry = f"catalog entry {found.gpu}" if found.gpu else "no catalog entry: measured all the same"
        self._listener.say(
            f"{device.torch_name}: {found.name} ({entry}); {len(what.tests)} tests, about {what.about_s:.0f} s; "
            "no setting of the device is changed"
        )
        busy = other_load() if found.kind == "cpu" else None
        if busy is not None and busy > BUSY_CORES:
            self._listener.say(f"the machine is not idle: {busy:.1f} cores were busy in the last minute")
        if found.kind == "gpu" and isinstance(machine.nvml, Unavailable):
            self._listener.say(f"no sensors: {machine.nvml.reason}")

    def check(self, workload: Workload, wanted: str | None) -> CheckAnswer:
        """Run a workload for a short while and return it beside its estimate.

        Args:
            workload: what to run, on one device.
            wanted: the device as torch calls it, None for the first GPU.

        Raises:
            InputError: the workload cannot be run here, or does not fit.
            MissingExtraError: torch, or a package of the model, is not installed.
            ExternalError: the run failed.
            Stopped: somebody asked for it.
        """
        checkable(workload)
        alone = workload.model_copy(update={"sharding": "none"})
        model, length = self._advisor.runnable_model(alone)
        machine = self.machine()
        device = machine.pick(wanted)
        found = device.measured
        estimate = self._estimate(alone, found)
        if not estimate.fits:
            raise InputError(
                "it does not fit by the estimate", field="model", value=estimate.memory.required_gib.value,
                accepted=f"at most {estimate.memory.available_gib:.1f} GiB",
                hint="a smaller batch.micro, or checkpointing: full",
            )  # fmt: skip
        self._listener.say(f"running {estimate.plan.micro_batch} samples at a time on {device.torch_name}")
        run = self._run(check_request(model, alone, estimate, device.torch_name, length), machine, device)
        return check_answer(
            workload.model_dump(mode="json", by_alias=True, exclude_unset=True),
            estimate,
            self._without_calibration(alone, found, estimate),
            run,
            machine.software(),
            device=device.torch_name,
            date=datetime.date.today().isoformat(),
            warnings=estimate.warnings,
        )

    def _estimate(self, workload: Workload, found: MeasuredDevice) -> EstimateDocument:
        name = found.gpu or self._advisor.unlisted_name(found.name, found.units, found.memory_mib)
        if name is None:
            raise ExternalError(
                f"{found.name} is not in the catalog, so that there is no estimate to check",
                hint="gpu-advisor calibrate measures it first; then it has one",
            )
        return self._advisor.estimate(workload, gpus=[name], count=1).estimates[0]

    def _without_calibration(
        self, workload: Workload, found: MeasuredDevice, estimate: EstimateDocument
    ) -> EstimateDocument | None:
        """Return the estimate of the same plan by shipped constants alone, None where they cannot give one."""
        if found.gpu is None or estimate.calibration is None:
            return None
        plan = estimate.plan
        fixed = workload.model_copy(
            update={
                "batch": workload.batch.model_copy(
                    update={"global_size": plan.global_batch, "micro": plan.micro_batch}
                ),
                "checkpointing": plan.checkpointing,
            }
        )
        return self._advisor.uncalibrated().estimate(fixed, gpus=[found.gpu], count=1).estimates[0]

    def _run(self, request: Mapping[str, Any], machine: Machine, device: FoundDevice) -> Run:
        nvml, sensed = machine.sensors, device.nvml
        used_before = None if nvml is None or sensed is None else nvml.memory_used_mib(sensed)
        with (
            Sampler(nvml, sensed, hear=self._listener.sampled) as sampler,
            WorkerProcess(request) as worker,
            self._stop.over(worker),
        ):
            event = self._event(worker, CHECK_LIMIT_S)
            while event["event"] == "running":
                event = self._event(worker, CHECK_LIMIT_S)
            used = None if nvml is None or sensed is None else nvml.memory_used_mib(sensed)
            if event["event"] == "refused":
                if event["missing"]:
                    raise MissingExtraError(event["message"], hint=event["hint"])
                raise InputError(event["message"], hint=event["hint"])
            if event["event"] == "failed":
                hint = "a smaller batch.micro, or checkpointing: full" if event["memory"] else None
                raise ExternalError(f"the run failed: {event['reason']}", hint=hint)
            seen = sampler.window(event["from"], event["to"])
        known = used is not None and used_before is not None
        return Run(
            step=Timing.model_validate(event["step"]),
            allocated_mib=event.get("allocated_mib"),
            reserved_mib=event.get("reserved_mib"),
            process_mib=used - used_before
            if known and used is not None and used_before is not None
            else None,
            power_w=seen.power_w,
        )

    def _event(self, worker: WorkerProcess, limit_s: float) -> dict[str, Any]:
        """Return the next event of the measuring process.

        Raises:
            MissingExtraError: torch is not installed.
            ExternalError: the process hung or died.
            Stopped: it was ended because somebody asked for it.
        """
        try:
            event = worker.event(limit_s)
        except Ended as end:
            if self._stop.asked:
                raise Stopped from None
            raise ExternalError(f"torch does not answer: {end.reason}") from None
        if event["event"] == "missing":
            raise MissingExtraError(f"calibrating needs torch ({event['reason']})", hint=NO_TORCH)
        return event
